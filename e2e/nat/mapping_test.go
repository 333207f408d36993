//go:build linux

package nat

import (
	"strings"
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
		case mapped(p.A) && !toMapped(p.BA, p.B), mapped(p.B) && !toMapped(p.AB, p.A):
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

// toMapped reports whether from sends to a port that a router forwards, and whether the
// link is called so: unless the router of from has opened a hole for the answers, which
// is what a link is called that has one at either end.
func toMapped(link lab.Peer, from *lab.Host) bool {
	want := "mapped"
	if from.Router != nil && !mapped(from) {
		want = "punched"
	}
	return link.Path.Kind == want && strings.Contains(link.Path.Why, "which the peer announces and its router forwards")
}

func mapped(h *lab.Host) bool { return h.NAT == lab.PortRestricted }
