package lan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/shoal-p2p/shoal/p2p"
)

var (
	netA = someID(200)
	netB = someID(201)
)

// wire is a local network of cores with a clock of its own.
type wire struct {
	t     *testing.T
	now   time.Time
	nodes []*station
	sent  int            // packets
	found map[string]int // "who>whom"
}

// station is a node on a wire.
type station struct {
	*core
	name    string
	network p2p.ID
	nets    []subnet
	next    time.Time
}

func newWire(t *testing.T) *wire {
	return &wire{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), found: map[string]int{}}
}

func on(text string) []subnet {
	p := netip.MustParsePrefix(text)
	return []subnet{{Index: 2, Prefixes: []netip.Prefix{p}, Addrs: []netip.Addr{p.Addr()}, Port: 4747}}
}

// add starts a node.
func (w *wire) add(id byte, network p2p.ID, at string) *station {
	steps := time.Duration(id)
	n := &station{core: newCore(someID(id), "1", func() time.Duration {
		steps = (steps*7 + 3) % 100
		return 20*time.Millisecond + steps*time.Millisecond
	}), name: fmt.Sprint(id), network: network, nets: on(at)}
	w.nodes = append(w.nodes, n)
	w.look(n)
	return n
}

func (w *wire) look(n *station) {
	n.look(n.network, n.nets, w.now)
	n.next = w.now
}

// end says goodbye and takes a node away.
func (w *wire) end(n *station) {
	out, err := n.goodbye()
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = slices.DeleteFunc(w.nodes, func(o *station) bool { return o == n })
	w.deliver(n, out)
}

// run lets time pass.
func (w *wire) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := end
		for _, n := range w.nodes {
			if n.next.Before(next) {
				next = n.next
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		if !w.now.Before(end) {
			return
		}
		for _, n := range w.nodes {
			if n.next.After(w.now) {
				continue
			}
			out, at, err := n.due(w.now)
			if err != nil {
				w.t.Fatal(err)
			}
			n.next = at
			w.deliver(n, out)
		}
	}
}

func (w *wire) deliver(from *station, out []datagram) {
	for _, d := range out {
		w.sent++
		w.hear(packet{Index: 2, From: netip.AddrPortFrom(from.nets[0].Addrs[0], port), Msg: d.Msg})
	}
}

// hear brings a packet to everybody, also to who sent it.
func (w *wire) hear(in packet) {
	for _, n := range w.nodes {
		if f, ok := n.receive(in, w.now); ok {
			for _, o := range w.nodes {
				if o.self == f.ID {
					w.found[n.name+">"+o.name]++
				}
			}
		}
		if _, at, err := n.due(w.now.Add(-time.Hour)); err == nil && at.Before(n.next) {
			n.next = at
		}
	}
}

// knows returns where a node takes another one to be.
func (w *wire) knows(n *station, id byte) []netip.AddrPort {
	return n.table.addrs(someID(id), tagOf(n.network, someID(id)), w.now)
}

func TestTwoFindEachOther(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	w.run(10 * time.Minute)
	b := w.add(2, netA, "10.0.0.2/24")
	w.run(300 * time.Millisecond)
	if got := w.knows(a, 2); !slices.Equal(got, ports("10.0.0.2:4747")) {
		t.Errorf("the older knows %v", got)
	}
	if got := w.knows(b, 1); !slices.Equal(got, ports("10.0.0.1:4747")) {
		t.Errorf("the newer knows %v", got)
	}
	if w.found["1>2"] != 1 || w.found["2>1"] != 1 {
		t.Errorf("told: %v", w.found)
	}
	w.run(20 * time.Hour)
	if len(w.knows(a, 2)) != 1 || len(w.knows(b, 1)) != 1 {
		t.Error("nodes that are there were forgotten")
	}
	w.end(b)
	if got := w.knows(a, 2); len(got) != 0 {
		t.Errorf("after the goodbye: %v", got)
	}
}

// TestSilence: nodes that rest hardly say anything, however many they are.
func TestSilence(t *testing.T) {
	w := newWire(t)
	const n = 12
	for i := range byte(n) {
		w.add(i+1, netA, fmt.Sprintf("10.0.0.%d/24", i+1))
	}
	w.run(time.Minute)
	start := w.sent
	t.Logf("%.1f packets of a node in the first minute", float64(start)/n)
	if start > n*13 {
		t.Errorf("%d packets in the first minute", start)
	}
	w.run(2 * time.Hour) // questions go back to one an hour
	w.sent = 0
	w.run(10 * time.Hour)
	t.Logf("%.1f packets of a node in an hour", float64(w.sent)/n/10)
	if each := float64(w.sent) / n / 10; each > 4 {
		t.Errorf("%.1f packets of each node in an hour", each)
	}
	for _, o := range w.nodes {
		for i := range byte(n) {
			if o.self != someID(i+1) && len(w.knows(o, i+1)) != 1 {
				t.Errorf("%s does not know %d any more", o.name, i+1)
			}
		}
	}
}

// TestForgotten: a node that went without a word is forgotten when what it said has
// run out.
func TestForgotten(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	b := w.add(2, netA, "10.0.0.2/24")
	w.run(time.Minute)
	w.nodes = slices.DeleteFunc(w.nodes, func(n *station) bool { return n == b })
	w.run(70 * time.Minute)
	if len(w.knows(a, 2)) != 1 {
		t.Error("forgotten too early")
	}
	w.run(6 * time.Minute)
	if got := w.knows(a, 2); len(got) != 0 {
		t.Errorf("remembered for ever: %v", got)
	}
}

// TestNewAddress: a computer that gets another address is known there at once, and its
// old address is the last to be tried.
func TestNewAddress(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	b := w.add(2, netA, "10.0.0.2/24")
	w.run(time.Hour)
	b.nets = on("10.0.0.22/24")
	w.look(b)
	w.run(300 * time.Millisecond)
	if got := w.knows(a, 2); !slices.Equal(got, ports("10.0.0.22:4747", "10.0.0.2:4747")) {
		t.Errorf("got %v", got)
	}
	if w.found["1>2"] != 2 {
		t.Errorf("told %v", w.found)
	}
}

// TestMoved: who comes into another local network forgets the one before, and asks
// anew for those that came along, whatever it knew.
func TestMoved(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	b := w.add(2, netA, "10.0.0.2/24")
	w.run(time.Hour)
	b.nets = on("192.168.0.2/24")
	w.look(b)
	w.run(10 * time.Second) // b says so while a is not there yet
	a.nets = on("192.168.0.1/24")
	w.look(a)
	if got := w.knows(a, 2); len(got) != 0 {
		t.Errorf("still knows %v", got)
	}
	w.run(300 * time.Millisecond)
	if got := w.knows(a, 2); !slices.Equal(got, ports("192.168.0.2:4747")) {
		t.Errorf("got %v", got)
	}
	if got := w.knows(b, 1); !slices.Equal(got, ports("192.168.0.1:4747")) {
		t.Errorf("got %v", got)
	}
	a.nets = nil
	w.look(a)
	if len(a.table) != 0 {
		t.Error("without a network there is still somebody in it")
	}
}

// TestMissed: a node that is missed is asked for anew, though it is known, but not all
// the time.
func TestMissed(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	b := w.add(2, netA, "10.0.0.2/24")
	w.run(10 * time.Minute)
	b.nets[0].Addrs = addrs("10.0.0.22") // and all announcements are lost
	b.core.places[0].subnet = b.nets[0]
	w.sent = 0
	for range 50 {
		a.urge(w.now)
		a.next = w.now
		w.run(time.Second)
	}
	if got := w.knows(a, 2); len(got) == 0 || got[0] != ports("10.0.0.22:4747")[0] {
		t.Errorf("got %v", got)
	}
	if w.sent > 9 {
		t.Errorf("%d packets in 50 seconds", w.sent)
	}
}

// TestOtherNetworks: nodes of other networks are not passed on, but found by who holds
// an invitation.
func TestOtherNetworks(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	w.add(2, netB, "10.0.0.2/24")
	w.run(time.Minute)
	if len(w.found) != 0 || len(w.knows(a, 2)) != 0 {
		t.Errorf("told %v, knows %v", w.found, w.knows(a, 2))
	}
	if got := a.table.addrs(someID(2), tagOf(netB, someID(2)), w.now); len(got) != 1 {
		t.Errorf("with an invitation: %v", got)
	}
	// It joins: now it is one of its own.
	a.network = netB
	w.look(a)
	w.run(time.Second)
	if got := w.knows(a, 2); len(got) != 1 {
		t.Errorf("after the join: %v", got)
	}
	if w.found["2>1"] != 1 {
		t.Errorf("the other was told %v", w.found)
	}
}

// TestSeek: a node that is asked for by name answers at once.
func TestSeek(t *testing.T) {
	w := newWire(t)
	w.add(1, netA, "10.0.0.1/24")
	w.run(time.Hour)
	b := w.add(2, netB, "10.0.0.2/24")
	b.seekNow(someID(1))
	w.run(5 * time.Millisecond)
	if got := b.table.addrs(someID(1), tagOf(netA, someID(1)), w.now); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// TestServicesAreListed: who asks what there is, as avahi-browse -a does, is told.
func TestServicesAreListed(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	w.run(time.Minute)
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
	q := writer{b: &b}
	q.do(b.StartQuestions())
	q.do(b.Question(dnsmessage.Question{Name: q.name(listing), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}))
	msg, err := q.finish()
	if err != nil {
		t.Fatal(err)
	}
	a.receive(packet{From: ports("10.0.0.9:5353")[0], Msg: msg}, w.now)
	out, _, err := a.due(w.now.Add(150 * time.Millisecond))
	if err != nil || len(out) != 1 {
		t.Fatalf("got %v, %v", out, err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(out[0].Msg); err != nil {
		t.Fatal(err)
	}
	if first := m.Answers[0]; first.Header.Name.String() != listing || first.Body.(*dnsmessage.PTRResource).PTR.String() != service {
		t.Errorf("got %v", m.Answers)
	}
}

// say makes the packet of a node that lies.
func say(t *testing.T, c card, from string) packet {
	t.Helper()
	msg, err := c.pack(false)
	if err != nil {
		t.Fatal(err)
	}
	return packet{Index: 2, From: netip.MustParseAddrPort(from), Msg: msg}
}

// TestStrangersAreBounded: whatever somebody in the local network says, it stays in
// bounds, of place, number and rate.
func TestStrangersAreBounded(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	w.run(time.Hour)
	lie := func(id p2p.ID, texts ...string) card {
		return card{ID: id, Tag: tagOf(netA, id), Port: 80, Addrs: addrs(texts...), TTL: time.Hour}
	}
	x := someID(9)
	at := func() []netip.AddrPort { return a.table.addrs(x, tagOf(netA, x), w.now) }
	for name, in := range map[string]packet{
		"addresses elsewhere":    say(t, lie(x, "127.0.0.1", "8.8.8.8", "10.0.1.1", "224.0.0.1", "fe80::1", "::1", "10.0.0.255", "0.0.0.0"), "10.0.0.9:5353"),
		"from elsewhere":         say(t, lie(x, "10.0.0.9"), "10.0.1.9:5353"),
		"from another port":      say(t, lie(x, "10.0.0.9"), "10.0.0.9:5354"),
		"through an unknown way": {Index: 3, From: ports("10.0.0.9:5353")[0], Msg: say(t, lie(x, "10.0.0.9"), "10.0.0.9:5353").Msg},
		"this very node":         say(t, card{ID: x, Tag: tagOf(netA, x), Port: 4747, Addrs: addrs("10.0.0.1"), TTL: time.Hour}, "10.0.0.9:5353"),
		"a goodbye":              say(t, card{ID: x, Tag: tagOf(netA, x), Port: 80, Addrs: addrs("10.0.0.9")}, "10.0.0.9:5353"),
	} {
		if _, ok := a.receive(in, w.now); ok || len(at()) != 0 || len(a.table) != 0 {
			t.Errorf("%s: %v", name, at())
		}
	}
	// Another node of this computer is no lie.
	if _, ok := a.receive(say(t, card{ID: x, Tag: tagOf(netA, x), Port: 4748, Addrs: addrs("10.0.0.1"), TTL: time.Hour}, "10.0.0.1:5353"), w.now); !ok {
		t.Error("a node of the same computer is not found")
	}
	told := 0
	for i := range 200 {
		w.now = w.now.Add(50 * time.Millisecond)
		if _, ok := a.receive(say(t, lie(x, fmt.Sprintf("10.0.0.%d", 10+i), fmt.Sprintf("10.0.0.%d", 11+i)), "10.0.0.9:5353"), w.now); ok {
			told++
		}
	}
	if told > 6 || len(at()) > maxPlaces {
		t.Errorf("told %d times in 10 seconds, %d addresses", told, len(at()))
	}
	// Many nodes: the own network's stay.
	w.now = w.now.Add(time.Minute)
	for i := range 3 * maxNodes {
		w.now = w.now.Add(20 * time.Millisecond)
		id := p2p.ID{7, byte(i), byte(i >> 8)}
		a.receive(say(t, card{ID: id, Port: 80, Addrs: addrs("10.0.0.9"), TTL: time.Hour}, "10.0.0.9:5353"), w.now)
	}
	if len(a.table) != maxNodes || len(at()) == 0 {
		t.Errorf("%d nodes, %v", len(a.table), at())
	}
	for i := range 300 {
		w.now = w.now.Add(20 * time.Millisecond)
		y := p2p.ID{9, byte(i), byte(i >> 8)}
		if _, ok := a.receive(say(t, lie(y, "10.0.0.8"), "10.0.0.8:5353"), w.now); !ok || len(a.table) != maxNodes {
			t.Fatalf("no place for a node of the own network among %d", len(a.table))
		}
	}
	own := 0
	for _, e := range a.table {
		if e.own {
			own++
		}
	}
	if own != 301 {
		t.Errorf("%d nodes of 301 of the own network are left", own)
	}
	// And a flood is not read.
	w.now = w.now.Add(time.Hour)
	b := w.add(3, netA, "10.0.0.3/24")
	read := 0
	for i := range 10 * packetBurst {
		id := p2p.ID{8, byte(i), byte(i >> 8)}
		if _, ok := b.receive(say(t, lie(id, "10.0.0.9"), "10.0.0.9:5353"), w.now); ok {
			read++
		}
	}
	if read > packetBurst {
		t.Errorf("%d packets of a flood were read", read)
	}
}

// TestAnswersAreRare: a node says who it is once a second at most, however often it is
// asked.
func TestAnswersAreRare(t *testing.T) {
	w := newWire(t)
	a := w.add(1, netA, "10.0.0.1/24")
	w.run(time.Hour)
	seek, err := packQuestion([]p2p.ID{a.self}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.sent = 0
	for range 500 {
		w.hear(packet{Index: 2, From: ports("10.0.0.9:5353")[0], Msg: seek})
		w.run(20 * time.Millisecond)
	}
	if w.sent < 5 || w.sent > 11 {
		t.Errorf("%d answers in 10 seconds", w.sent)
	}
}
