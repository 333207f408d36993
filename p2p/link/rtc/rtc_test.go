package rtc

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNode is a transport with what a node does around it: it keeps the newest
// link to each peer and answers signalling.
type testNode struct {
	*Transport
	identity p2p.Identity
	accepted chan p2p.Link
	sock     muteSocket

	mu    sync.Mutex // guards all that follows
	links map[p2p.ID]p2p.Link
	alter func(proto string, msg []byte) []byte // what this node, as a relay, does to replies and requests
}

var testNetwork = p2p.ID{1, 2, 3}

// newIdentity makes the identity whose seed consists of the byte i.
func newIdentity(t testing.TB, i byte) p2p.Identity {
	t.Helper()
	id, err := p2p.NewIdentity(bytes.NewReader(bytes.Repeat([]byte{i}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newNode starts a node on loopback; change may set more options.
func newNode(t testing.TB, i byte, change func(*Options)) *testNode {
	t.Helper()
	return newQuietNode(t, i, silence, change)
}

// newQuietNode is newNode with another patience.
func newQuietNode(t testing.TB, i byte, q quiet, change func(*Options)) *testNode {
	t.Helper()
	return newAnyNode(t, i, q, change, thisComputer())
}

// newFarNode is newNode with something in front of its socket.
func newFarNode(t testing.TB, i byte, far func(socket) socket) *testNode {
	t.Helper()
	sys := thisComputer()
	sys.wrap = far
	return newAnyNode(t, i, silence, nil, sys)
}

func newAnyNode(t testing.TB, i byte, q quiet, change func(*Options), sys system) *testNode {
	t.Helper()
	n := &testNode{identity: newIdentity(t, i), links: map[p2p.ID]p2p.Link{}, accepted: make(chan p2p.Link, 100)}
	o := Options{
		Listen: "127.0.0.1:0",
		Linked: n.linked,
		Caller: n,
		Local: link.Local{
			Identity: n.identity,
			Network:  func() p2p.ID { return testNetwork },
			Handler:  n.handler,
		},
	}
	if change != nil {
		change(&o)
	}
	wrap := sys.wrap
	sys.wrap = func(s socket) socket {
		n.sock.socket = wrap(s)
		return &n.sock
	}
	tr, err := listen(context.Background(), o, q, sys)
	if err != nil {
		t.Fatal(err)
	}
	n.Transport = tr
	tr.perHousehold.set(1e6, 50) // all tests are one household
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			l, err := tr.Accept(context.Background())
			if err != nil {
				return
			}
			n.keep(l)
			select {
			case n.accepted <- l:
			default:
			}
		}
	})
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		accepting.Wait()
		if live := tr.Live(); live != 0 {
			t.Errorf("%d PeerConnections are left after Close", live)
		}
	})
	return n
}

func (n *testNode) keep(l p2p.Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[l.Peer()] = l
}

func (n *testNode) linked() []p2p.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []p2p.ID
	for id, l := range n.links {
		select {
		case <-l.Done():
		default:
			out = append(out, id)
		}
	}
	return out
}

// Call implements p2p.Caller.
func (n *testNode) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	n.mu.Lock()
	l, alter := n.links[to], n.alter
	n.mu.Unlock()
	if l == nil {
		return nil, p2p.ErrUnreachable
	}
	if alter != nil {
		req = alter("request", slices.Clone(req))
	}
	out, err := l.Call(ctx, proto, req)
	if err == nil && alter != nil {
		out = alter("reply", out)
	}
	return out, err
}

func (n *testNode) handler(proto string) p2p.Handler {
	if proto == "echo/1" {
		return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
	}
	return n.Handlers()[proto]
}

func (n *testNode) contact(relays ...p2p.ID) p2p.Contact {
	return p2p.Contact{PublicKey: n.identity.PublicKey(), Addrs: n.Addrs(), Relays: relays}
}

func (n *testNode) hidden(relays ...p2p.ID) p2p.Contact {
	return p2p.Contact{PublicKey: n.identity.PublicKey(), Relays: relays}
}

// mustDial links n to the node of c and checks that a call goes through.
func (n *testNode) mustDial(t testing.TB, c p2p.Contact) p2p.Link {
	t.Helper()
	l, err := n.Dial(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.keep(l)
	mustEcho(t, l)
	return l
}

func mustEcho(t testing.TB, l p2p.Link) {
	t.Helper()
	if out, err := l.Call(t.Context(), "echo/1", []byte("hello")); err != nil || string(out) != "hello" {
		t.Fatalf("echo: %q, %v", out, err)
	}
}

func mustAccept(t testing.TB, n *testNode) p2p.Link {
	t.Helper()
	select {
	case l := <-n.accepted:
		return l
	case <-t.Context().Done():
	case <-time.After(20 * time.Second):
	}
	t.Fatal("no link came in")
	return nil
}

func TestDial(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	start := time.Now()
	la := a.mustDial(t, b.contact())
	t.Logf("linked and asked in %s", time.Since(start))
	lb := mustAccept(t, b)
	mustEcho(t, lb)
	if la.Peer() != b.id || lb.Peer() != a.id {
		t.Errorf("peers %s and %s", la.Peer().Short(), lb.Peer().Short())
	}
	if la.Binding() != lb.Binding() {
		t.Error("the two ends have different bindings")
	}
	p := la.Path()
	if p.Kind != p2p.PathDirect || p.Proto != "udp" || p.Remote != b.port.addr() || p.Local != a.port.addr() || p.Why == "" {
		t.Errorf("path %+v", p)
	}
	if len(p.Tried) != 2 || p.Tried[0].Result != "selected" || p.Tried[1].Proto != "tcp" {
		t.Errorf("tried %+v", p.Tried)
	}
	if st := la.Stats(); st.BytesIn == 0 || st.BytesOut == 0 || st.Since.IsZero() {
		t.Errorf("stats %+v", st)
	}
}

// muteSocket can fall silent, as a computer does when its plug is pulled, and lose what
// is longer than its path carries.
type muteSocket struct {
	socket
	mute atomic.Bool
	loss atomic.Int32 // percent of what is sent
	most atomic.Int64 // bytes of a datagram; 0: any
	sent atomic.Pointer[func(to netip.AddrPort)]
}

func (s *muteSocket) Read(each func(b []byte, from netip.AddrPort)) error {
	return s.socket.Read(func(b []byte, from netip.AddrPort) {
		if !s.mute.Load() {
			each(b, from)
		}
	})
}

func (s *muteSocket) WriteTo(b []byte, to netip.AddrPort) error {
	if rand.N(int32(100)) < s.loss.Load() {
		return nil
	}
	if most := s.most.Load(); s.mute.Load() || most != 0 && int64(len(b)) > most {
		return nil
	}
	if sent := s.sent.Load(); sent != nil {
		(*sent)(to)
	}
	return s.socket.WriteTo(b, to)
}

// Bound to all interfaces, a node offers what leads to it from outside, and an
// announced address besides.
func TestAllInterfaces(t *testing.T) {
	t.Parallel()
	announced := netip.MustParseAddrPort("203.0.113.7:4747")
	everywhere := func(o *Options) { o.Listen, o.Announce = ":0", []netip.AddrPort{announced} }
	a, b := newNode(t, 1, everywhere), newNode(t, 2, everywhere)
	l := a.mustDial(t, b.contact())
	addrs := b.Addrs()
	if len(addrs) < 2 || addrs[len(addrs)-1] != announced {
		t.Errorf("addresses %v", addrs)
	}
	own := addrs[:len(addrs)-1]
	for _, x := range own {
		if x.Port() != b.Port() || x.Addr().IsLoopback() != own[0].Addr().IsLoopback() {
			t.Errorf("addresses %v", addrs)
		}
	}
	p := l.Path()
	if p.Kind != p2p.PathDirect || !slices.Contains(own, p.Remote) || !p.Local.Addr().IsValid() || p.Local.Addr().IsUnspecified() {
		t.Errorf("path %+v", p)
	}
}
