//go:build linux

package nat

import (
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestMapping: a router that forwards ports on request is asked to, by whichever
// protocol it speaks; everybody then reaches the home at that port; and the router
// forwards nothing any more when the node has ended.
func TestMapping(t *testing.T) {
	t.Parallel()
	l := build(t, "mapping")
	n := join(t, l)
	settle(t, n, func(p lab.Pair) string {
		switch {
		case !p.Linked():
			return "not linked"
		case p.Disagreement() != "":
			return "the ends do not agree: " + p.Disagreement()
		case mapped(p.A) && p.BA.Path.Kind != "mapped", mapped(p.B) && p.AB.Path.Kind != "mapped":
			return "a home is not reached at its mapped port"
		}
		return ""
	})
	for _, h := range l.Hosts() {
		if !mapped(h) {
			continue
		}
		before, err := h.Router.Forwarded()
		if err != nil || before == "" {
			t.Errorf("%s forwards nothing while the node runs (%v)", h.Router.Name, err)
		}
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
		if after, err := h.Router.Forwarded(); err != nil || after != "" {
			t.Errorf("%s still forwards after the node has ended: %s (%v)", h.Router.Name, after, err)
		}
	}
}

func mapped(h *lab.Host) bool { return h.NAT == lab.PortRestricted }
