//go:build linux

package nat

import (
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestTwins: most homes have the same private addresses. Those of another home lead
// nowhere, or to oneself; those of one's own home are the best way to who is there.
func TestTwins(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "twins"))
	settle(t, n, func(p lab.Pair) string {
		sameHome := p.A.Router != nil && p.A.Router == p.B.Router
		switch {
		case !p.Linked():
			return "not linked"
		case p.Relayed():
			return "relayed without need"
		case p.Disagreement() != "":
			return "the ends do not agree: " + p.Disagreement()
		case sameHome && (p.AB.Path.Kind != "direct" || p.BA.Path.Kind != "direct"):
			return "not direct within a home"
		}
		return ""
	})
}
