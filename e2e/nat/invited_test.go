//go:build linux

package nat

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestInvited: somebody at home invites somebody in another home, whose routers let no
// packet pass between the two. The newcomer is no member yet, so no relay knows him.
func TestInvited(t *testing.T) {
	t.Parallel()
	l := build(t, "invited")
	host, guest := l.Host("host"), l.Host("guest")
	if _, err := lab.Join(l.Host("R1"), host); err != nil {
		t.Fatal(err)
	}
	if err := l.Host("R1").Call("PATCH", "/api/members/"+host.ID, map[string]string{"role": "admin"}, nil); err != nil {
		t.Fatal(err)
	}
	var network struct {
		Relays []struct {
			InUse bool `json:"in_use"`
		}
	}
	for end := time.Now().Add(*limit); ; time.Sleep(200 * time.Millisecond) {
		if err := host.Call("GET", "/api/network", nil, &network); err != nil {
			t.Fatal(err)
		}
		if len(network.Relays) == 1 && network.Relays[0].InUse {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the host has no relay: %+v", network)
		}
	}
	var invitation struct{ Link string }
	if err := host.Call("POST", "/api/invites", map[string]any{}, &invitation); err != nil {
		t.Fatal(err)
	}
	if err := guest.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if out, err := guest.CLI("join", invitation.Link); err != nil {
		t.Fatalf("join: %v\n%s\n%s", err, out, guest.Tail(20))
	}
	t.Logf("joined within %.1f s", time.Since(began).Seconds())
	for end := time.Now().Add(*limit); ; time.Sleep(200 * time.Millisecond) {
		peers, err := guest.Peers()
		if err != nil {
			t.Fatal(err)
		}
		linked := 0
		for _, p := range peers {
			if p.Connected {
				linked++
			}
		}
		if linked == 2 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the guest is linked to %d members: %+v", linked, peers)
		}
	}
}
