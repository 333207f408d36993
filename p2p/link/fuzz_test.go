package link

import (
	"context"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// FuzzLink feeds a living link with messages on all channels: each is a byte for
// the channel, a byte for the length, and the message. The link must end with an
// error or go on, and hold no more than it may.
func FuzzLink(f *testing.F) {
	add := func(parts ...any) {
		var b []byte
		for i := 0; i < len(parts); i += 2 {
			msg := wire.AppendFrame(nil, parts[i+1].(wire.Frame))
			b = append(append(b, byte(parts[i].(int)), byte(len(msg))), msg...)
		}
		f.Add(b)
	}
	s := id(2, 0)
	x := []byte("x/1")
	add(2, wire.Frame{Type: wire.Open, Stream: s, Code: 100, Payload: x}, 2, wire.Frame{Type: wire.Data, Stream: s, Payload: x},
		2, wire.Frame{Type: wire.Stop, Stream: s, Code: 1}, 2, wire.Frame{Type: wire.Fin, Stream: s}, 0, wire.Frame{Type: wire.Credit, Stream: s, Code: 9})
	add(1, wire.Frame{Type: wire.Request, Stream: 2, Payload: wire.AppendRequest(nil, "x/1", x)}, 0, wire.Frame{Type: wire.Cancel, Stream: 2})
	add(2, wire.Frame{Type: wire.Ask, Stream: s, Payload: x}, 2, wire.Frame{Type: wire.Data, Stream: s, Payload: x}, 2, wire.Frame{Type: wire.Fin, Stream: s})
	add(0, wire.Frame{Type: wire.Ping, Code: 1}, 0, wire.Frame{Type: wire.GoAway, Code: 1, Payload: x})
	add(laneOf(1), wire.Frame{Type: wire.Data, Stream: 1, Payload: x}, 1, wire.Frame{Type: wire.Reply, Stream: 3, Payload: x})
	f.Fuzz(func(t *testing.T, data []byte) {
		echo := func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
		e := besiege(t, 4096, func(string) p2p.Handler { return echo })
		own, err := e.victim.Open(t.Context(), "own/1") // number 1
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = own.Close() }()
		for len(data) >= 2 {
			ch, n := int(data[0])%Channels, min(int(data[1]), len(data)-2)
			if e.raw(ch, data[2:2+n]) != nil {
				break
			}
			data = data[2+n:]
		}
		for ch := firstLane; ch < Channels; ch++ {
			_ = e.raw(ch, nil) // an empty message ends the link after all others of its channel
		}
		<-e.victim.Done()
		if e.victim.Err() == nil {
			t.Fatal("ended without a reason")
		}
		e.victim.work.Wait() // its readers have gone through what had come before the end
		unread := 0
		for _, s := range e.victim.streams {
			unread += s.unread
		}
		if unread > 16<<20 {
			t.Fatalf("%d bytes unread", unread)
		}
	})
}
