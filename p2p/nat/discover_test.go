package nat

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// check makes a check of n.
func check(t *testing.T, n *simNode) Report {
	t.Helper()
	r, err := n.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNATTypes: with two members on the Internet every kind of router is told from
// every other.
func TestNATTypes(t *testing.T) {
	type kind struct {
		mapping Mapping
		filter  Filtering
	}
	reach := map[Filtering]Truth{FilteringOpen: Yes, FilteringIndependent: Yes, FilteringAddress: No, FilteringAddressPort: No}
	kinds := []kind{
		{MappingNone, FilteringOpen}, {MappingNone, FilteringAddress}, {MappingNone, FilteringAddressPort},
	}
	for _, m := range []Mapping{MappingIndependent, MappingAddress, MappingAddressPort} {
		for _, f := range []Filtering{FilteringIndependent, FilteringAddress, FilteringAddressPort} {
			kinds = append(kinds, kind{m, f})
		}
	}
	for _, k := range kinds {
		t.Run(fmt.Sprintf("%s/%s", k.mapping, k.filter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1)
				a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
				ip, outside := "10.1.0.2", "192.0.2.1"
				if k.mapping == MappingNone {
					ip = outside
				}
				n := w.node(t, ip, w.newBox(outside, k.mapping, k.filter), nil)
				link(a, b)
				link(n, a)
				link(n, b)
				began := time.Now()
				r := check(t, n)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				if r.Mapping != k.mapping || r.Filtering != k.filter {
					t.Errorf("found %s/%s", r.Mapping, r.Filtering)
				}
				if want := reach[k.filter]; r.Reachable != want {
					t.Errorf("reachable: %q, want %q", r.Reachable, want)
				}
				if r.External.Addr() != netip.MustParseAddr(outside) || !r.UDP || !r.TCP || !r.IPv4 || r.IPv6 || r.Scope != ScopePublic {
					t.Errorf("got %+v", r)
				}
				for _, f := range r.Findings {
					if f.Sentence == "" || strings.Contains(f.Sentence, "Not known") && f.About != "double_nat" {
						t.Errorf("%s: %q", f.About, f.Sentence)
					}
				}
				if (len(r.Advice) == 0) != (r.Reachable == Yes) {
					t.Errorf("advice %q", r.Advice)
				}
			})
		})
	}
}

// TestFewMembers: what can be said without two members on the Internet, and what
// cannot.
func TestFewMembers(t *testing.T) {
	for name, tc := range map[string]struct {
		mapping   Mapping
		filter    Filtering
		want      Mapping
		wantFilt  Filtering
		reachable Truth
	}{
		"public":             {MappingNone, FilteringOpen, MappingNone, FilteringOpen, Yes},
		"firewall":           {MappingNone, FilteringAddressPort, MappingNone, FilteringAddressPort, No},
		"full cone":          {MappingIndependent, FilteringIndependent, MappingIndependent, FilteringUnknown, ""},
		"address-restricted": {MappingIndependent, FilteringAddress, MappingIndependent, FilteringUnknown, ""},
		"port-restricted":    {MappingIndependent, FilteringAddressPort, MappingIndependent, FilteringAddressPort, No},
		"symmetric":          {MappingAddressPort, FilteringAddressPort, MappingAddressPort, FilteringAddressPort, No},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1)
				a := w.node(t, "203.0.113.11", nil, nil)
				ip, outside := "10.1.0.2", "192.0.2.1"
				if tc.mapping == MappingNone {
					ip = outside
				}
				b := w.newBox(outside, tc.mapping, tc.filter)
				n := w.node(t, ip, b, nil)
				link(n, a)
				if tc.mapping != MappingNone { // a neighbour is no help: it does not see the router
					link(n, w.node(t, "10.1.0.3", b, nil))
				}
				if r := check(t, n); r.Mapping != tc.want || r.Filtering != tc.wantFilt || r.Reachable != tc.reachable || r.Scope != ScopePublic {
					t.Errorf("found %s/%s, reachable %q, in %s", r.Mapping, r.Filtering, r.Reachable, r.Scope)
				}
			})
		})
	}
}

// TestLocalNetwork: without a member outside, the report says for whom it holds.
func TestLocalNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		b := w.newBox("192.0.2.1", MappingIndependent, FilteringAddressPort)
		n := w.node(t, "10.1.0.2", b, nil)
		link(n, w.node(t, "10.1.0.3", b, nil))
		r := check(t, n)
		if r.Scope != ScopePrivate || r.Mapping != MappingNone || r.Reachable != Yes || !r.UDP {
			t.Errorf("got %+v", r)
		}
	})
}

// TestForwarded: a port that the router forwards is found open, whatever the
// router does with other ports, and is the address to tell.
func TestForwarded(t *testing.T) {
	for _, f := range []Filtering{FilteringAddressPort, FilteringAddress} {
		for _, right := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", f, right), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(1)
					a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
					router := w.newBox("192.0.2.1", MappingAddressPort, f)
					if right {
						router.forwards[simPort] = netip.MustParseAddrPort("10.1.0.2:4747")
					}
					announced := netip.MustParseAddrPort("192.0.2.1:4747")
					n := w.node(t, "10.1.0.2", router, func(o *Options) { o.Announced = []netip.AddrPort{announced} })
					link(n, a)
					link(n, b)
					r := check(t, n)
					if r.Mapping != MappingAddressPort || r.Filtering != f || !r.Manual {
						t.Errorf("found %s/%s", r.Mapping, r.Filtering)
					}
					if right && (r.Reachable != Yes || r.External != announced || len(r.Advice) > 0) {
						t.Errorf("reachable %q at %v, advice %q", r.Reachable, r.External, r.Advice)
					}
					if !right && (r.Reachable != No || r.External == announced || !strings.Contains(strings.Join(r.Advice, " "), "192.0.2.1:4747 is announced but nothing arrives there")) {
						t.Errorf("reachable %q at %v, advice %q", r.Reachable, r.External, r.Advice)
					}
				})
			})
		}
	}
}

// TestBehindRouters: when no member answers fresh sockets, because all are behind
// routers, the p2p port's own look tells the mapping.
func TestBehindRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		n := w.node(t, "10.1.0.2", w.newBox("192.0.2.1", MappingIndependent, FilteringAddressPort), nil)
		for i, outside := range []string{"203.0.113.1", "198.51.100.1"} {
			link(n, w.node(t, fmt.Sprintf("10.%d.0.2", i+2), w.newBox(outside, MappingIndependent, FilteringAddressPort), nil))
		}
		r := check(t, n)
		if r.Mapping != MappingIndependent || r.Filtering != FilteringUnknown || !r.UDP || !r.IPv4 || r.External.Addr() != netip.MustParseAddr("192.0.2.1") || r.Reachable != No {
			t.Errorf("got %+v", r)
		}
	})
}

// TestServers: STUN servers that the owner names tell the mapping to a node that
// has no members.
func TestServers(t *testing.T) {
	for _, m := range []Mapping{MappingIndependent, MappingAddressPort} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(1)
			a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
			n := w.node(t, "10.1.0.2", w.newBox("192.0.2.1", m, FilteringAddressPort), func(o *Options) {
				o.Servers = func() []netip.AddrPort { return []netip.AddrPort{a.conn.addr, b.conn.addr} }
			})
			if r := check(t, n); r.Mapping != m || !r.UDP || r.Reachable != "" || r.Filtering != FilteringUnknown {
				t.Errorf("%s: got %+v", m, r)
			}
		})
	}
}

// TestBlockedUDP: a link over TCP is there, and the report says what is missing.
func TestBlockedUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.loss = 1
		a := w.node(t, "203.0.113.11", nil, nil)
		n := w.node(t, "192.0.2.1", nil, func(o *Options) {
			o.Addrs = func(p2p.ID) []netip.AddrPort { return []netip.AddrPort{a.conn.addr} }
		})
		l := &simLink{from: n, to: a, path: p2p.Path{Kind: p2p.PathDirect, Proto: "tcp", Remote: netip.MustParseAddrPort("203.0.113.11:55555")}}
		n.links = append(n.links, l)
		n.Linked(l)
		r := check(t, n)
		if r.UDP || !r.TCP || r.Mapping != "" || r.Filtering != FilteringUnknown || r.Reachable != "" || !strings.Contains(strings.Join(r.Advice, " "), "UDP is blocked") {
			t.Errorf("got %+v", r)
		}
	})
}

// TestLoss: packets that get lost make a report less certain or more careful, never
// too good.
func TestLoss(t *testing.T) {
	mappings := []Mapping{MappingIndependent, MappingAddress, MappingAddressPort}
	filters := []Filtering{FilteringIndependent, FilteringAddress, FilteringAddressPort}
	for seed := range uint64(150) {
		m, f := mappings[seed%3], filters[seed/3%3]
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed)
			a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
			n := w.node(t, "10.1.0.2", w.newBox("192.0.2.1", m, f), nil)
			link(n, a)
			link(n, b)
			w.loss = 0.3
			r := check(t, n)
			rank := slices.Index(filters, r.Filtering)
			if r.Mapping != "" && slices.Index(mappings, r.Mapping) < slices.Index(mappings, m) && m != MappingAddress || rank >= 0 && rank < slices.Index(filters, f) {
				t.Errorf("seed %d: %s/%s was taken for %s/%s", seed, m, f, r.Mapping, r.Filtering)
			}
			// A port that is open to its peer's other ports only, while a fresh one
			// seems to be open to none, is taken for a forwarded one.
			if r.Reachable == Yes && f == FilteringAddressPort {
				t.Errorf("seed %d: %s/%s was taken for reachable", seed, m, f)
			}
		})
	}
}

// TestForgedProbe: who does not know the nonce, or sends from elsewhere, changes
// nothing.
func TestForgedProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
		n := w.node(t, "192.0.2.1", w.newBox("192.0.2.1", MappingNone, FilteringAddressPort), nil)
		link(n, a)
		link(n, b)
		w.mu.Lock()
		w.spy = func(from, to netip.AddrPort, p []byte) {
			// b copies what a sends to n, as if it had been let in, and guesses.
			if m, err := parse(p); err == nil && m.class == classIndication && to.Addr() == n.conn.addr.Addr() {
				for _, conn := range w.conns {
					if conn.addr == to {
						conn.take(b.conn.addr, p)
						conn.take(netip.AddrPortFrom(from.Addr(), 1), probe(newTxID(), Nonce{1}))
					}
				}
			}
		}
		w.mu.Unlock()
		if r := check(t, n); r.Filtering != FilteringAddressPort || r.Reachable != No {
			t.Errorf("found %s, reachable %q", r.Filtering, r.Reachable)
		}
	})
}

// TestWhenChecked: soon after the first link, when something has changed, every
// hour; and a new result is told once.
func TestWhenChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		a := w.node(t, "203.0.113.11", nil, nil)
		router := w.newBox("192.0.2.1", MappingIndependent, FilteringAddressPort)
		n := w.node(t, "10.1.0.2", router, nil)
		told := func() int {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.events)
		}
		time.Sleep(30 * time.Minute)
		if !n.Report().Checked.IsZero() {
			t.Error("a check without members")
		}
		link(n, a)
		began := time.Now()
		time.Sleep(20 * time.Second)
		first := n.Report()
		if first.Checked.Before(began) || first.Mapping != MappingIndependent || told() != 1 {
			t.Errorf("after the first link: %+v, %d events", first, told())
		}
		time.Sleep(70 * time.Minute)
		second := n.Report()
		if !second.Checked.After(first.Checked) || second.Since != first.Since || told() != 1 {
			t.Errorf("an hour later: checked %v, since %v, %d events", second.Checked, second.Since, told())
		}
		w.mu.Lock()
		router.mapping = MappingAddressPort
		w.mu.Unlock()
		link(n, w.node(t, "198.51.100.12", nil, nil))
		time.Sleep(time.Minute)
		third := n.Report()
		if third.Mapping != MappingAddressPort || third.Since != third.Checked || told() != 2 {
			t.Errorf("after a member at a new address: %s, %d events", third.Mapping, told())
		}
		w.mu.Lock()
		n.moved = netip.MustParseAddr("10.1.0.77")
		w.mu.Unlock()
		time.Sleep(time.Minute)
		if fourth := n.Report(); !fourth.Checked.After(third.Checked) {
			t.Error("no check after this computer's address has changed")
		}
	})
}

// TestCheckTogether: those who ask while a check runs get its result; who asks
// again at once gets the same.
func TestCheckTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		a := w.node(t, "203.0.113.11", nil, nil)
		n := w.node(t, "10.1.0.2", w.newBox("192.0.2.1", MappingIndependent, FilteringAddressPort), nil)
		link(n, a)
		results := make(chan Report, 3)
		for range 2 {
			go func() { results <- check(t, n) }()
		}
		time.Sleep(time.Millisecond)
		go func() { results <- check(t, n) }()
		one, two, three := <-results, <-results, <-results
		if one.Checked != two.Checked || two.Checked != three.Checked {
			t.Errorf("three checks: %v, %v, %v", one.Checked, two.Checked, three.Checked)
		}
		if again := check(t, n); again.Checked != one.Checked {
			t.Error("a check again at once")
		}
		time.Sleep(recent)
		if again := check(t, n); again.Checked == one.Checked {
			t.Error("no check ten seconds later")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(recent)
		if _, err := n.Check(ctx); err == nil {
			t.Error("a check of somebody who has gone")
		}
	})
}

// TestTooOften: members that are asked without end help again after a minute.
func TestTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		a, b := w.node(t, "203.0.113.11", nil, nil), w.node(t, "198.51.100.12", nil, nil)
		n := w.node(t, "10.1.0.2", w.newBox("192.0.2.1", MappingIndependent, FilteringAddressPort), nil)
		link(n, a)
		link(n, b)
		limited := false
		for range 4 {
			r := check(t, n)
			for _, f := range r.Findings {
				limited = limited || strings.Contains(f.Sentence, "asked too often")
			}
			if r.Mapping != MappingIndependent {
				t.Errorf("mapping %s", r.Mapping)
			}
			time.Sleep(recent)
		}
		if !limited {
			t.Error("no report says why something is not known")
		}
		time.Sleep(2 * time.Minute)
		if r := check(t, n); r.Filtering != FilteringAddressPort || r.Reachable != No {
			t.Errorf("two minutes later: %s, reachable %q", r.Filtering, r.Reachable)
		}
	})
}
