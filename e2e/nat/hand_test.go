//go:build linux

package nat

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// thinking is how long the person at the other end takes: longer than any handshake
// that needs no people.
const thinking = 15 * time.Second

// TestByHand: two homes with no member in between. A server of another network says how
// the two are seen, and that is all that it does.
func TestByHand(t *testing.T) {
	t.Parallel()
	l := build(t, "by-hand")
	server := l.Host("R1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	joinByHand(t, l, "punched", "--stun", server.Addr.String()+":4747")
}

// TestByHandMapped: the routers forward ports, and nobody has to be asked.
func TestByHandMapped(t *testing.T) {
	t.Parallel()
	joinByHand(t, build(t, "by-hand-mapped"), "mapped")
}

// joinByHand has home-b join home-a by two texts, and checks of which kind the path is.
func joinByHand(t *testing.T, l *lab.Lab, kind string, flags ...string) {
	t.Helper()
	a, b := l.Host("home-a"), l.Host("home-b")
	for _, h := range []*lab.Host{a, b} {
		if err := h.Start(flags...); err != nil {
			t.Fatal(err)
		}
		if kind == "mapped" {
			forwarded(t, h)
		}
	}
	var invitation struct{ Link string }
	if err := a.Call("POST", "/api/invites", map[string]any{}, &invitation); err != nil {
		t.Fatal(err)
	}
	if kind == "punched" {
		if out, err := b.CLI("join", invitation.Link); err == nil {
			t.Fatalf("they need nobody to carry anything: %s", out)
		}
	}
	var offer struct{ ID, Offer string }
	if err := b.Call("POST", "/api/handshakes", map[string]string{"link": invitation.Link}, &offer); err != nil {
		t.Fatalf("offer: %v\n%s", err, b.Tail(20))
	}
	var answer struct{ Answer string }
	if err := a.Call("POST", "/api/handshakes/answer", map[string]string{"offer": offer.Offer}, &answer); err != nil {
		t.Fatalf("answer: %v\n%s", err, a.Tail(20))
	}
	time.Sleep(thinking)
	var linked struct {
		Path  struct{ Kind, Why string }
		Words []string
	}
	began := time.Now()
	if err := b.Call("POST", "/api/handshakes/"+offer.ID, map[string]string{"answer": answer.Answer}, &linked); err != nil {
		t.Fatalf("finish: %v\n%s\n%s", err, a.Tail(20), b.Tail(20))
	}
	t.Logf("offer of %d characters, answer of %d; linked %.1f s after it was pasted: %s", len(offer.Offer), len(answer.Answer), time.Since(began).Seconds(), linked.Path.Why)
	if linked.Path.Kind != kind || len(linked.Words) != 4 {
		t.Errorf("linked: %+v", linked)
	}
	for end := time.Now().Add(*limit); ; time.Sleep(200 * time.Millisecond) {
		peers, err := a.Peers()
		if err != nil {
			t.Fatal(err)
		}
		if p := peers[b.ID]; p.Connected {
			if p.Path.Kind != kind {
				t.Errorf("the other end says %s: %s", p.Path.Kind, p.Path.Why)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the inviter has no link: %+v", peers)
		}
	}
}

// forwarded waits until the router forwards a port to h.
func forwarded(t *testing.T, h *lab.Host) {
	t.Helper()
	var network struct {
		PortMapping struct{ UPnP bool } `json:"port_mapping"`
	}
	for end := time.Now().Add(*limit); !network.PortMapping.UPnP; time.Sleep(200 * time.Millisecond) {
		if err := h.Call("GET", "/api/network", nil, &network); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%s: the router forwards nothing", h.Name)
		}
	}
}
