//go:build linux

package nat

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestBlocked: where no UDP passes, links run over TCP: to computers that can be
// reached, directly, and to all others through those.
func TestBlocked(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "blocked"))
	settle(t, n, blockedFault)
}

// blockedFault says what is wrong with a pair where no UDP passes in offices.
func blockedFault(p lab.Pair) string {
	office := func(h *lab.Host) bool { return strings.HasPrefix(h.Name, "office") }
	blocked := office(p.A) || office(p.B)
	public := p.A.Router == nil || p.B.Router == nil
	switch {
	case !p.Linked():
		return "not linked"
	case p.Disagreement() != "":
		return "the ends do not agree: " + p.Disagreement()
	case public && p.Relayed():
		return "relayed without need"
	case blocked && public && p.AB.Path.Proto != "tcp":
		return "not over TCP"
	case !blocked && p.AB.Path.Proto != "udp":
		return "not over UDP"
	}
	return ""
}
