package rtc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// scattered are n addresses in different neighbourhoods.
func scattered(n, first int) []netip.AddrPort {
	var out []netip.AddrPort
	for i := range n {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte((first + i) >> 8), byte(first + i), 1}), 4747))
	}
	return out
}

// A contact names sixteen addresses of others. Whoever dials it every 20 seconds
// for a day, as a node does, connects to each less and less.
func TestBookBacksOff(t *testing.T) {
	t.Parallel()
	b, peer, addrs := newBook(), p2p.ID{1}, scattered(16, 0)
	tries := map[netip.AddrPort]int{}
	start := time.Unix(1000, 0)
	for now := start; now.Before(start.Add(24 * time.Hour)); now = now.Add(20 * time.Second) {
		chosen, _ := b.choose(peer, addrs, nil, false, now)
		if len(chosen) > maxFresh {
			t.Fatalf("%d addresses at once", len(chosen))
		}
		for _, a := range chosen {
			if b.begin(peer, a, now) {
				tries[a]++
				b.end(peer, a, errors.New("refused"), now)
			}
		}
	}
	for _, a := range addrs {
		// Each 10 minutes once it is known, and the doubling before.
		if n := tries[a]; n < 24 || n > 24*6+12 {
			t.Errorf("%s was tried %d times in a day", a, n)
		}
	}
}

// New addresses each time do not help either.
func TestBookBoundsNewAddresses(t *testing.T) {
	t.Parallel()
	b, peer, tries := newBook(), p2p.ID{1}, 0
	start := time.Unix(1000, 0)
	for i := range 24 * 180 {
		now := start.Add(time.Duration(i) * 20 * time.Second)
		chosen, _ := b.choose(peer, scattered(16, 16*i), nil, false, now)
		for _, a := range chosen {
			if b.begin(peer, a, now) {
				tries++
			}
		}
	}
	if tries > 32+24*120 {
		t.Errorf("%d tries in a day", tries)
	}
	if len(b.all) > maxPlaces {
		t.Errorf("%d places", len(b.all))
	}
}

func TestBookRemembersWhatAnswered(t *testing.T) {
	t.Parallel()
	b, peer, now := newBook(), p2p.ID{1}, time.Unix(1000, 0)
	addrs := append(scattered(8, 0), netip.MustParseAddrPort("20.0.0.1:22"))
	b.worked(peer, addrs[7], now)
	b.worked(peer, addrs[8], now) // a port that is not tried without
	for range 50 {
		chosen, left := b.choose(peer, addrs, nil, false, now)
		if !slices.Contains(chosen, addrs[7]) || !slices.Contains(chosen, addrs[8]) {
			t.Fatalf("%v, left %v", chosen, left)
		}
		for _, a := range chosen {
			b.begin(peer, a, now)
			b.end(peer, a, errors.New("refused"), now)
		}
	}
	if chosen, _ := b.choose(p2p.ID{2}, addrs[8:], nil, false, now); len(chosen) != 0 {
		t.Errorf("an address that answers for another peer: %v", chosen)
	}
	chosen, left := b.choose(peer, addrs, nil, false, now)
	if len(chosen) != 2 || len(left) != 7 || !strings.Contains(left[0], "ws 20.0.0.1:4747: refused, again in ") {
		t.Errorf("%v, left %q", chosen, left)
	}
	if chosen, left := b.choose(peer, addrs, nil, true, now); len(chosen) != 9 || len(left) != 0 {
		t.Errorf("once: %v, left %v", chosen, left)
	}
	// In another network other addresses answer.
	if chosen, _ := b.choose(peer, addrs, scattered(1, 99), false, now); len(chosen) != 2+maxFresh {
		t.Errorf("after a move: %v", chosen)
	}
}

func TestBookChoice(t *testing.T) {
	t.Parallel()
	var near []netip.AddrPort
	for i := range 10 {
		near = append(near, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}), 4747))
	}
	b, now := newBook(), time.Unix(1000, 0)
	for _, once := range []bool{false, true} {
		if chosen, _ := b.choose(p2p.ID{1}, near, nil, once, now); !slices.Equal(chosen, near[:maxNear]) {
			t.Errorf("of one household: %v", chosen)
		}
	}
	for text, want := range map[string]bool{
		"20.0.0.1:80": true, "20.0.0.1:443": true, "20.0.0.1:1024": true, "[::ffff:20.0.0.1]:4747": true,
		"20.0.0.1:22": false, "20.0.0.1:25": false, "20.0.0.1:1023": false, "20.0.0.1:0": false,
		"0.0.0.0:4747": false, "0.1.2.3:4747": false, "240.0.0.1:4747": false, "255.255.255.255:4747": false,
		"224.0.0.1:4747": false, "[ff02::1]:4747": false, "[::]:4747": false,
	} {
		if chosen, _ := b.choose(p2p.ID{2}, []netip.AddrPort{netip.MustParseAddrPort(text)}, nil, true, now); (len(chosen) == 1) != want {
			t.Errorf("%s: %v", text, chosen)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b, now := newBook(), time.Unix(1000, 0)
		addrs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.AddrPort {
			ip := netip.AddrFrom4([4]byte{20, 0, byte(rapid.IntRange(0, 3).Draw(t, "net")), byte(rapid.IntRange(1, 9).Draw(t, "host"))})
			return netip.AddrPortFrom(ip, uint16(rapid.IntRange(79, 81).Draw(t, "port"))+uint16(rapid.SampledFrom([]int{0, 4000}).Draw(t, "high")))
		}), 0, 40).Draw(t, "addrs")
		for range 5 {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			chosen, _ := b.choose(p2p.ID{1}, addrs, nil, false, now)
			count := map[netip.Prefix]int{}
			for i, a := range chosen {
				count[neighbourhood(a.Addr())]++
				if count[neighbourhood(a.Addr())] > maxNear || slices.Contains(chosen[:i], a) {
					t.Fatalf("%v", chosen)
				}
				b.begin(p2p.ID{1}, a, now)
			}
			if len(chosen) > maxFresh {
				t.Fatalf("%v", chosen)
			}
		}
	})
}

// A contact that names others' ports makes one dial connect to at most four, and
// what is left alone is told.
func TestReflection(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	var hits atomic.Int32
	c := b.hidden()
	for range 16 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				hits.Add(1)
				_ = conn.Close()
			}
		}()
		c.Addrs = append(c.Addrs, l.Addr().(*net.TCPAddr).AddrPort())
	}
	for round := range 20 {
		before := hits.Load()
		if _, err := a.Dial(t.Context(), c, nil); !errors.Is(err, p2p.ErrUnreachable) {
			t.Fatalf("error %v", err)
		}
		if n := hits.Load() - before; n > 4 {
			t.Errorf("round %d: %d connections", round, n)
		}
	}
	if n := hits.Load(); n > 32+1 {
		t.Errorf("%d connections", n)
	}
}

// Failing often does not make a node slow to find a peer that starts again, be it
// one that it dialled or one that dialled it.
func TestRedialOfKnownAddress(t *testing.T) {
	t.Parallel()
	for _, dialled := range []bool{true, false} {
		t.Run(fmt.Sprint(dialled), func(t *testing.T) {
			a, b := newNode(t, 1, nil), newNode(t, 2, nil)
			contact, address := b.contact(), b.port.addr().String()
			if dialled {
				a.mustDial(t, contact)
			} else {
				b.mustDial(t, a.contact())
				mustAccept(t, a)
			}
			_ = b.Transport.Close()
			for range 40 { // more than a peer has for addresses that never answered
				if _, err := a.Dial(t.Context(), contact, nil); !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") {
					t.Fatalf("error %v", err)
				}
			}
			newNode(t, 2, func(o *Options) { o.Listen = address })
			a.mustDial(t, contact)
		})
	}
}
