//go:build linux

package nat

import (
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestMatrix: computers behind all kinds of NAT become one network in which everybody
// is linked to everybody, directly wherever a packet can go directly.
func TestMatrix(t *testing.T) {
	settle(t, join(t, build(t, "matrix")), fault)
}

// fault says what is wrong with a pair. Empty: nothing.
func fault(p lab.Pair) string {
	switch relayed := lab.NeedsRelay(p.A.NAT, p.B.NAT); {
	case !p.Linked():
		return "not linked"
	case relayed && !p.Relayed():
		return "linked without a relay, which cannot be"
	case !relayed && p.Relayed():
		return "relayed without need"
	case p.Disagreement() != "":
		return "the ends do not agree: " + p.Disagreement()
	}
	return ""
}
