//go:build linux

package nat

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestCarrier: a home behind two routers, its own and a carrier's, is linked to all,
// directly to those elsewhere; and its user is told that a port which the own router
// forwards is of no use.
func TestCarrier(t *testing.T) {
	t.Parallel()
	l := build(t, "carrier")
	n := join(t, l)
	inside := func(h *lab.Host) bool { return strings.HasPrefix(h.Name, "inside") }
	settle(t, n, func(p lab.Pair) string {
		switch {
		case !p.Linked():
			return "not linked"
		case inside(p.A) && inside(p.B): // only if the carrier sends back what it gets from inside
		case p.Relayed():
			return "relayed without need"
		case p.Disagreement() != "":
			return "the ends do not agree: " + p.Disagreement()
		case p.AB.Path.Kind == "mapped" || p.BA.Path.Kind == "mapped":
			return "reached at a port that nobody forwards"
		}
		return ""
	})
	for _, h := range l.Hosts() {
		// A router that says nothing leaves it open.
		right := func(r report) bool { return inside(h) == (r.DoubleNAT != nil && *r.DoubleNAT) }
		r, err := ask(h, right)
		if err != nil {
			t.Fatal(err)
		}
		if !right(r) {
			t.Errorf("%s: GET /api/network: %+v, want double_nat %v", h.Name, r, inside(h))
		}
	}
}

// ask reads a node's report until it is as wanted, or enough time has passed for that.
func ask(h *lab.Host, as func(report) bool) (r report, err error) {
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		r = report{}
		err = h.Call("GET", "/api/network", nil, &r)
		if err != nil || as(r) || time.Now().After(end) {
			return r, err
		}
	}
}
