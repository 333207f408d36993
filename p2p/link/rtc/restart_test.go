package rtc

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// linkedPair is two nodes with a link, which know each other's contacts.
func linkedPair(t *testing.T) (a, b *testNode, la, lb p2p.Link) {
	var nodes [2]*testNode
	know := func(o *Options) {
		o.Contact = func(id p2p.ID) (p2p.Contact, bool) {
			for _, n := range nodes {
				if n != nil && n.id == id {
					return n.contact(), true
				}
			}
			return p2p.Contact{}, false
		}
	}
	nodes[0], nodes[1] = newNode(t, 1, know), newNode(t, 2, know)
	a, b = nodes[0], nodes[1]
	la = a.mustDial(t, b.contact())
	return a, b, la, mustAccept(t, b)
}

// names are what the two ends are known by to an ICE agent at rest.
type names struct{ own, peers string }

func (s *session) names() names {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	s.mu.Lock()
	defer s.mu.Unlock()
	return names{s.local.Ufrag, s.remote.Ufrag}
}

func (n *testNode) session(peer p2p.ID) *session {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	return n.current[peer]
}

func (n *testNode) mustRestart(t *testing.T, peer p2p.ID, alive bool) {
	t.Helper()
	if err := n.restart(t.Context(), n.session(peer), peer, alive); err != nil {
		t.Error(err)
	}
}

// A connection that looks for another path keeps its streams, whoever asks for it and
// over whatever way.
func TestRestartKeepsStreams(t *testing.T) {
	t.Parallel()
	a, b, la, lb := linkedPair(t)
	here, there := openStream(t, la, lb)
	for i := range 6 {
		before := a.session(b.id).peer.path.Load()
		if i%2 == 0 {
			a.mustRestart(t, b.id, i < 2)
		} else {
			b.mustRestart(t, a.id, i < 2)
		}
		mustCarry(t, here, there, byte(i))
		mustCarry(t, there, here, byte(i))
		eventually(t, "another path", func() bool {
			r := a.session(b.id).peer.path.Load()
			return r.conn != before.conn && b.session(a.id).peer.path.Load() != nil
		})
		mustEcho(t, la)
		mustEcho(t, lb)
	}
	if p := la.Path(); p.Kind != p2p.PathDirect || p.Remote != b.port.addr() {
		t.Errorf("path %+v", p)
	}
}

// When both ends look for another path at once, they agree on one.
func TestRestartGlare(t *testing.T) {
	t.Parallel()
	a, b, la, lb := linkedPair(t)
	for range 10 {
		var both sync.WaitGroup
		both.Go(func() { a.mustRestart(t, b.id, true) })
		both.Go(func() { b.mustRestart(t, a.id, true) })
		both.Wait()
		mustEcho(t, la)
		mustEcho(t, lb)
	}
	eventually(t, "agreement", func() bool {
		here, there := a.session(b.id).names(), b.session(a.id).names()
		return here.own == there.peers && here.peers == there.own
	})
}

// An offer that its author has given up for the other end's is of no use when it comes
// late: nobody waits for the answer.
func TestRestartOfferComesLate(t *testing.T) {
	t.Parallel()
	a, b, la, _ := linkedPair(t)
	s := b.session(a.id)
	d := s.local
	d.Setup = "actpass"
	msg, err := seal(b.identity, envelope{Kind: offer, To: a.id, Network: testNetwork, Issued: b.number(0), SDP: d.sdp(), Restart: s.origin})
	if err != nil {
		t.Fatal(err)
	}
	late, err := open(msg)
	if err != nil {
		t.Fatal(err)
	}
	a.mustRestart(t, b.id, true)
	reply, err := a.answer(t.Context(), late, msg, courier{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := openReply(reply, msg, a.id, b.id)
	if err != nil || !errors.Is(replyError(e), errStale) {
		t.Errorf("%v, %v; want a refusal", replyError(e), err)
	}
	mustEcho(t, la)
}

// An offer that finds no way gives way to that of a peer which has found one, although its
// author's ID is the smaller one.
func TestRestartWithoutAWay(t *testing.T) {
	t.Parallel()
	a, b, la, lb := linkedPair(t)
	if a.id.Compare(b.id) > 0 {
		a, b = b, a
	}
	s := a.session(b.id)
	<-s.turn
	var once sync.Once
	a.Transport.mu.Lock()
	s.yield, s.offered = func() { once.Do(func() { s.turn <- struct{}{} }) }, time.Now()
	a.Transport.mu.Unlock()
	before := a.session(b.id).peer.path.Load()
	b.mustRestart(t, a.id, true)
	a.Transport.mu.Lock()
	s.yield = nil
	a.Transport.mu.Unlock()
	eventually(t, "another path", func() bool { return s.peer.path.Load().conn != before.conn })
	mustEcho(t, la)
	mustEcho(t, lb)
}

// What was sent into a path that has gone arrives as soon as there is another one, and
// not when SCTP's patience has ended.
func TestRestartSendsTheTailAgain(t *testing.T) {
	t.Parallel()
	a, b, la, lb := linkedPair(t)
	here, there := openStream(t, la, lb)
	eventually(t, "silence", func() bool { return a.session(b.id).peer.silent.Load() })
	a.sock.mute.Store(true)
	if _, err := here.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	a.sock.mute.Store(false)
	start := time.Now()
	a.mustRestart(t, b.id, false)
	buf := make([]byte, 4)
	if _, err := io.ReadFull(there, buf); err != nil || string(buf) != "lost" {
		t.Fatalf("%q, %v", buf, err)
	}
	t.Logf("arrived %v after the path was back", time.Since(start))
}

// A peer that has forgotten the connection says so, and it ends.
func TestRestartOfNothing(t *testing.T) {
	t.Parallel()
	a, b, la, _ := linkedPair(t)
	s := a.session(b.id)
	s.origin[0]++
	if err := a.restart(t.Context(), s, b.id, false); err == nil {
		t.Error("another connection was restarted")
	}
	select {
	case <-la.Done():
	case <-time.After(10 * time.Second):
		t.Error("the link still stands")
	}
}

func openStream(t *testing.T, from, to p2p.Link) (here, there net.Conn) {
	t.Helper()
	here, err := from.Open(t.Context(), "test/1")
	if err == nil {
		_, there, err = to.Accept(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

func mustCarry(t *testing.T, from, to net.Conn, b byte) {
	t.Helper()
	if _, err := from.Write([]byte{b}); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got [1]byte
	if _, err := io.ReadFull(to, got[:]); err != nil || got[0] != b {
		t.Fatalf("got %v, %v; want %v", got, err, b)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

// A link at rest stays as it is: what was sent in silence was answered since.
func TestRestKeepsPath(t *testing.T) {
	t.Parallel()
	var nodes [2]*testNode
	know := func(o *Options) {
		o.Contact = func(id p2p.ID) (p2p.Contact, bool) {
			for _, n := range nodes {
				if n != nil && n.id == id {
					return n.contact(), true
				}
			}
			return p2p.Contact{}, false
		}
	}
	q := quiet{rest: time.Second, retry: 200 * time.Millisecond, gone: 4 * time.Second}
	nodes[0], nodes[1] = newQuietNode(t, 1, q, know), newQuietNode(t, 2, q, know)
	l := nodes[0].mustDial(t, nodes[1].contact())
	mustAccept(t, nodes[1])
	for range 4 {
		select {
		case <-l.Done():
			t.Fatal(l.Err())
		case <-time.After(1300 * time.Millisecond):
		}
		mustEcho(t, l)
	}
	for _, s := range traceOf(l).Steps {
		if s.Kind == p2p.StepRestart || s.Kind == p2p.StepOffered {
			t.Errorf("another path was looked for after %v", s.At)
		}
	}
}

// Peers that are linked already are told when a router forwards an address.
func TestMappedAddressIsOffered(t *testing.T) {
	t.Parallel()
	_, b, la, _ := linkedPair(t)
	b.SetMapped([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4747")})
	eventually(t, "an offer with it", func() bool {
		for _, s := range traceOf(la).Steps {
			if s.Kind == p2p.StepOffered && s.Via == b.id && strings.Contains(s.Note, "1 forwarded to it") {
				return true
			}
		}
		return false
	})
	mustEcho(t, la)
}
