//go:build linux

package nat

import (
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestStrangers: homes that have no member outside find each other at a node of other
// people, and where their routers let no packet pass, a TURN server relays.
func TestStrangers(t *testing.T) {
	t.Parallel()
	l := build(t, "strangers")
	meet, server := l.Host("meeting-point"), l.Host("server")
	if err := meet.Start(); err != nil {
		t.Fatal(err)
	}
	err := server.Run("turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "-L", server.Addr.String(), "--lt-cred-mech",
		"-r", "lab", "-u", "bob:secret", "--min-port", "50000", "--max-port", "50100", "--log-file", "stdout", "--pidfile", "")
	if err != nil {
		t.Fatal(err)
	}
	var homes []*lab.Host
	for _, h := range l.Hosts() {
		if h.Router != nil {
			h.Flags = []string{"--rendezvous", meet.Addr.String(), "--stun", server.Addr.String(), "--turn", "bob:secret@" + server.Addr.String()}
			homes = append(homes, h)
		}
	}
	n, err := lab.Join(homes...)
	if err != nil {
		t.Fatalf("not all have joined:\n%v", err)
	}
	settle(t, n, fault)
}
