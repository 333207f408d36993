package nat

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// asker is a member that asks h, seen at an address.
func asker(i byte, at string) p2p.Link {
	return &simLink{
		to:   &simNode{id: p2p.ID{i}},
		path: p2p.Path{Kind: p2p.PathDirect, Proto: "udp", Remote: netip.MustParseAddrPort(at)},
	}
}

// sent is a datagram that the p2p port has sent.
type sent struct {
	to netip.AddrPort
	b  []byte
}

// newHelper makes a helper whose p2p port writes down what it sends.
func newHelper(w *world) (*helper, func(from p2p.Link, q query) error, *[]sent) {
	own := netip.MustParseAddr("203.0.113.11")
	h := &helper{
		own:    func() []netip.Addr { return []netip.Addr{own} },
		listen: func(context.Context) (net.PacketConn, error) { return w.open(own, 0, nil), nil },
		stun:   &Responder{},
	}
	var out []sent
	return h, func(from p2p.Link, q query) error {
		b, err := wire.Marshal(q)
		if err != nil {
			return err
		}
		_, err = h.handle(context.Background(), from, b, func(b []byte, to netip.AddrPort) error {
			out = append(out, sent{to, b})
			return nil
		})
		return err
	}, &out
}

func codeOf(err error) string {
	var refused *p2p.CallError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// TestHelpReflectsNothing: a member that names another's address gets nothing sent
// there, from either port.
func TestHelpReflectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		victim := w.open(netip.MustParseAddr("192.0.2.66"), 53, nil)
		h, ask, out := newHelper(w)
		defer h.close()
		for i, from := range []Source{SourceSame, SourceOther} {
			q := query{Op: opProbe, To: "192.0.2.66:53", Nonce: make([]byte, 16), From: from}
			if err := ask(asker(byte(i), "198.51.100.7:4747"), q); codeOf(err) != codeRefused {
				t.Errorf("%s: %v", from, err)
			}
		}
		if len(*out) > 0 || len(victim.in) > 0 {
			t.Errorf("%d and %d packets were sent to somebody else", len(*out), len(victim.in))
		}
		if err := ask(asker(1, "198.51.100.7:4747"), query{Op: opProbe, To: "198.51.100.7:53", Nonce: make([]byte, 16), From: SourceSame}); err != nil {
			t.Error(err)
		}
		if len(*out) != 1 || (*out)[0].to != netip.MustParseAddrPort("198.51.100.7:53") || len((*out)[0].b) != probeSize {
			t.Errorf("sent %v", *out)
		}
	})
}

// TestHelpIsLimited: a dozen a minute for each member, sixty for all.
func TestHelpIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ask, out := newHelper(newWorld(1))
		defer h.close()
		q := query{Op: opProbe, To: "198.51.100.7:53", Nonce: make([]byte, 16), From: SourceSame}
		try := func(i byte, times int) (served int) {
			for range times {
				if err := ask(asker(i, "198.51.100.7:4747"), q); err == nil {
					served++
				} else if codeOf(err) != codeLimited {
					t.Error(err)
				}
			}
			return served
		}
		if n := try(1, 50); n != queriesEach {
			t.Errorf("a member was helped %d times in a minute", n)
		}
		time.Sleep(59 * time.Second)
		if n := try(1, 1); n != 0 {
			t.Error("the minute was not over")
		}
		time.Sleep(time.Second)
		if n := try(1, 50); n != queriesEach {
			t.Errorf("a member was helped %d times in the next minute", n)
		}
		total := queriesEach
		for i := byte(2); i < 100; i++ {
			total += try(i, 3)
		}
		if total != queriesAll {
			t.Errorf("all were helped %d times in a minute", total)
		}
		if len(h.each) > queriesAll {
			t.Errorf("%d members are remembered", len(h.each))
		}
		if len(*out) != queriesEach+queriesAll {
			t.Errorf("%d probes were sent", len(*out))
		}
	})
}

// TestSidePort: it answers STUN, is the same for all, and goes when it is not used.
func TestSidePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		h, ask, _ := newHelper(w)
		open := func(i byte) netip.AddrPort {
			if err := ask(asker(i, "198.51.100.7:4747"), query{Op: opPort}); err != nil {
				t.Fatal(err)
			}
			return h.side.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		}
		side := open(1)
		time.Sleep(sideKept - time.Second)
		if again := open(2); again != side {
			t.Errorf("%v, then %v", side, again)
		}
		time.Sleep(sideKept - time.Second)
		conn := w.open(netip.MustParseAddr("198.51.100.7"), 0, nil)
		if mapped, _, err := Ask(t.Context(), conn, side); err != nil || mapped != conn.addr {
			t.Errorf("got %v, %v", mapped, err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if h.side != nil || w.conns[side] != nil {
			t.Error("the port is still open")
		}
		open(1)
		h.close()
		if len(w.conns) != 1 {
			t.Error("the port outlives its owner")
		}
		if err := ask(asker(1, "198.51.100.7:4747"), query{Op: opPort}); codeOf(err) != codeUnavailable {
			t.Errorf("after the end: %v", err)
		}
	})
}
