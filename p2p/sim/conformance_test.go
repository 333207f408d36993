package sim

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/linktest"
)

func identity(t testing.TB) p2p.Identity {
	t.Helper()
	i, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// node is a transport of network and the contact to dial it by.
func node(t testing.TB, n *Network, handler func(string) p2p.Handler) (p2p.Transport, p2p.Contact) {
	t.Helper()
	i := identity(t)
	tr := n.Transport(Local{Identity: i, Network: func() p2p.ID { return p2p.ID{1} }, Handler: handler})
	t.Cleanup(func() { _ = tr.Close() })
	return tr, p2p.Contact{PublicKey: i.PublicKey()}
}

func open(t testing.TB, n *Network, handler func(string) p2p.Handler) linktest.Pair {
	t.Helper()
	a, _ := node(t, n, handler)
	b, contact := node(t, n, handler)
	la, err := a.Dial(t.Context(), contact, nil)
	if err != nil {
		t.Fatal(err)
	}
	lb, err := b.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return linktest.Pair{A: la, B: lb, Crash: func() { n.Crash(contact.ID()) }}
}

func TestConformance(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
	}{
		{"perfect", Options{}},
		{"lossy", Options{Seed: 1, Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.01, Bandwidth: 50 << 20}},
	} {
		t.Run(test.name, func(t *testing.T) {
			linktest.RunIn(t, synctest.Test, func(t *testing.T, handler func(string) p2p.Handler) linktest.Pair {
				return open(t, New(test.options), handler)
			})
		})
	}
}
