package rtc

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/linktest"
)

func TestConformance(t *testing.T) {
	linktest.Run(t, func(t *testing.T, handler func(proto string) p2p.Handler) linktest.Pair {
		withHandler := func(o *Options) { o.Local.Handler = handler }
		a, b := newNode(t, 1, withHandler), newNode(t, 2, withHandler)
		l, err := a.Dial(t.Context(), b.contact(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return linktest.Pair{A: l, B: mustAccept(t, b), Crash: func() { b.sock.mute.Store(true) }}
	})
}
