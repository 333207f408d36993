package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/nat/relay"
)

// Options configures a Transport.
type Options struct {
	Local link.Local
	// Name is what this node calls itself in what people carry.
	Name string
	// Listen is the p2p port, "host:port", for UDP and TCP: ":4747" on all
	// interfaces, "127.0.0.1:0" any free number on loopback. Empty is ":4747".
	Listen string
	// AnyPort takes any free port when the one of Listen is taken.
	AnyPort bool
	// Announce are addresses that somebody forwards to the p2p port.
	Announce []netip.AddrPort
	// STUNServers returns whom to ask how they see this node, besides its peers. Nil:
	// nobody. TURNServers relay to it, besides its peers.
	STUNServers func() []netip.AddrPort
	TURNServers []TURNServer
	// Rendezvous are nodes, "host:port", of any network, at which this one registers
	// so that others find it, and looks for them.
	Rendezvous []string
	// Relay says whether this node relays for members that cannot be reached, and
	// RelayRate how many bytes per second each of them may send. 0: 8 MiB.
	Relay     RelayMode
	RelayRate int64
	// Changed is told when Addrs, Reflexive or Relays may have changed. It must not
	// wait. Nil: nobody is told.
	Changed func()
	// Linked returns the peers that can forward signalling now; Caller reaches
	// them. Without, only WebSockets are tried and nothing is forwarded.
	Linked func() []p2p.ID
	Caller p2p.Caller
	// Contact returns what is known of a member. Without, a link whose path is lost
	// ends, and is made anew.
	Contact func(p2p.ID) (p2p.Contact, bool)
	// Moved is told when the link to a peer has another path. It must not wait. Nil:
	// nobody is told.
	Moved func(p2p.ID)
	// STUN gets the STUN messages that come to the p2p port and are for no ICE
	// agent, and returns what to answer, if anything. The bytes are valid during
	// the call, which must not wait. Nil: they are ignored.
	STUN func(b []byte, from netip.AddrPort) (answer []byte)
}

// Transport makes links over WebRTC. It implements p2p.Transport.
type Transport struct {
	o           Options
	sys         system
	id          p2p.ID
	log         *slog.Logger
	port        port
	wildcard    bool // the port is bound to no particular address
	mux         *mux
	engine      *engine
	patient     *engine  // of handshakes that people carry
	fingerprint [32]byte // of the certificate
	server      *http.Server
	splitter    *splitter

	ctx     context.Context // ends when Close begins
	cancel  context.CancelFunc
	running sync.WaitGroup // goroutines; entered by enter
	closing sync.WaitGroup // PeerConnections that are being closed
	live    atomic.Int64   // PeerConnections that are not closed

	arrived chan p2p.Link
	book    *book

	questions  nat.Questions // of the p2p port to STUN servers
	seen       seen
	relays     relays
	doubt      chan struct{} // has room for one: a peer should have been heard
	adopted    chan struct{} // has room for one: a link came up
	sheltering chan struct{} // has room for one: look after the relays

	perHousehold buckets[netip.Prefix] // of WebSocket requests
	perPeer      buckets[carried]      // of "signal/1" calls
	forwarding   forwarding
	meetings     meetings // of nodes of any network, here

	mu          sync.Mutex // guards all that follows
	closed      bool
	issued      int64
	dials       map[p2p.ID]*dial
	inbound     map[p2p.ID]*inbound
	direct      directDoor
	slots       slots // of the unfinished handshakes of others
	current     map[p2p.ID]*session
	sessions    map[*session]bool
	replies     replies
	floors      floors
	hand        hand
	handLife    time.Duration
	reach       Reach
	mapped      []netip.AddrPort // what routers forward to the p2p port
	apart       time.Time        // when a peer was met that has no protocol in common with this node
	relayServer *relay.Server    // nil while this node does not relay
	failures    failures
}

var _ p2p.Transport = (*Transport)(nil)

// Listen binds the p2p port and serves it. An error that wraps
// syscall.EADDRINUSE says that the port is taken.
func Listen(ctx context.Context, o Options) (*Transport, error) {
	return listen(ctx, o, silence, thisComputer())
}

// system is what a transport needs of the computer besides a port.
type system struct {
	wrap       func(socket) socket // what stands between the mux and its socket
	interfaces func() ([]netInterface, error)
	dial       func(ctx context.Context, network, addr string) (net.Conn, error) // for tunnels
}

func thisComputer() system {
	return system{
		wrap:       func(s socket) socket { return s },
		interfaces: readInterfaces,
		dial:       (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
}

// listen is Listen with another patience with peers that are silent, and another
// computer.
func listen(ctx context.Context, o Options, q quiet, sys system) (*Transport, error) {
	if o.Local.Identity.IsZero() || o.Local.Network == nil {
		return nil, errors.New("rtc: listen: an identity and a network are needed")
	}
	if o.Listen == "" {
		o.Listen = ":4747"
	}
	cert, fingerprint, err := newCertificate()
	if err != nil {
		return nil, err
	}
	p, err := listenPort(ctx, o.Listen, o.AnyPort)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		o: o, sys: sys, id: o.Local.Identity.ID(), log: o.Local.Logger, port: p, fingerprint: fingerprint,
		wildcard: p.addr().Addr().IsUnspecified(),
		arrived:  make(chan p2p.Link, maxHandshakes), book: newBook(),
		perHousehold: buckets[netip.Prefix]{rate: 10, burst: 50},
		perPeer:      buckets[carried]{rate: 20, burst: 100},
		forwarding:   newForwarding(),
		dials:        map[p2p.ID]*dial{}, inbound: map[p2p.ID]*inbound{},
		current: map[p2p.ID]*session{}, sessions: map[*session]bool{},
		handLife: handLife, doubt: make(chan struct{}, 1), adopted: make(chan struct{}, 1), sheltering: make(chan struct{}, 1),
	}
	t.relays = relays{
		t: t, members: map[p2p.ID]*relayed{}, guest: map[p2p.ID]*relayed{}, offers: map[p2p.ID]relayOffer{}, failed: map[p2p.ID]time.Time{},
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.mux = newMux(sys.wrap(newSocket(p.udp)), t.bases)
	t.mux.dial, t.mux.stun, t.mux.stranger = sys.dial, t.stun, t.knocked
	t.engine = newEngine(t.mux, cert, t.log, q)
	t.patient = t.engine.patient(handLife)
	t.server = t.newServer()
	t.splitter = newSplitter(&cappedListener{Listener: p.tcp}, t.mux.serveStream)
	t.running.Go(func() { _ = t.mux.run() })
	t.running.Go(t.splitter.run)
	t.running.Go(func() { _ = t.server.Serve(t.splitter.web) })
	t.running.Go(t.observe)
	t.running.Go(t.shelter)
	t.running.Go(t.watchPaths)
	for _, host := range o.Rendezvous {
		t.running.Go(func() { t.meet(host) })
	}
	t.running.Go(func() { t.watch(q.retry) })
	return t, nil
}

// Accept implements p2p.Transport. Its error is p2p.ErrClosed or the context's.
func (t *Transport) Accept(ctx context.Context) (p2p.Link, error) {
	select {
	case l := <-t.arrived:
		return l, nil
	case <-t.ctx.Done():
		return nil, fmt.Errorf("rtc: accept: %w", p2p.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("rtc: accept: %w", ctx.Err())
	}
}

// Addrs implements p2p.Transport: the addresses of this computer that lead to the
// p2p port, then those that routers forward.
func (t *Transport) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, c := range t.candidates() {
		if !c.TCP && (c.Kind == p2p.PathDirect || c.Kind == p2p.PathMapped) {
			out = append(out, c.Addr)
		}
	}
	return out
}

// Port returns the number of the p2p port.
func (t *Transport) Port() uint16 { return t.port.addr().Port() }

// Bound returns the address that the p2p port is bound to.
func (t *Transport) Bound() netip.AddrPort { return t.port.addr() }

// Send sends a datagram from the p2p port. It may be lost, as any datagram.
func (t *Transport) Send(b []byte, to netip.AddrPort) error {
	if err := t.mux.sock.WriteTo(b, to); err != nil {
		return fmt.Errorf("rtc: send to %s: %w", to, err)
	}
	return nil
}

// Live counts the PeerConnections that are not closed, those of links and of
// handshakes.
func (t *Transport) Live() int { return int(t.live.Load()) }

// Close implements p2p.Transport. It closes all links and returns when nothing of
// the transport is left, or after some seconds if pion hangs.
func (t *Transport) Close() error {
	t.mu.Lock()
	already := t.closed
	t.closed = true
	var all []*session
	for s := range t.sessions {
		all = append(all, s)
	}
	t.mu.Unlock()
	t.cancel()
	if already {
		return nil
	}
	t.endRelaying()
	_ = t.splitter.Close()
	_ = t.server.Close()
	var ended sync.WaitGroup
	for _, s := range all {
		ended.Go(func() { s.close(fmt.Errorf("rtc: closed here: %w", p2p.ErrClosed)) })
	}
	ended.Wait()
	// The socket goes last: it carries the goodbyes.
	err := t.mux.Close()
	done := make(chan struct{})
	go func() {
		t.running.Wait()
		t.closing.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * closeTimeout):
	}
	if err != nil {
		return fmt.Errorf("rtc: close: %w", err)
	}
	return nil
}

// enter registers a goroutine that somebody else started, unless the transport is
// closed. The goroutine calls t.running.Done when it ends.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running.Add(1)
	return true
}

// stun takes STUN messages that are for no agent.
func (t *Transport) stun(b []byte, from netip.AddrPort) (answer []byte) {
	if t.questions.Take(b, from) || t.o.STUN == nil {
		return nil
	}
	return t.o.STUN(b, from)
}

// changed tells that what this node says of itself may have changed. Peers that are
// reached in a roundabout way may be reached directly then.
func (t *Transport) changed() {
	t.mu.Lock()
	for _, s := range t.current {
		s.roam.again = 0
		s.roam.next = time.Now().Add(changeWait)
	}
	t.mu.Unlock()
	if t.o.Changed != nil {
		t.o.Changed()
	}
}

// SetMapped tells which addresses routers forward to the p2p port now.
func (t *Transport) SetMapped(addrs []netip.AddrPort) {
	t.mu.Lock()
	same := slices.Equal(t.mapped, addrs)
	if !same && len(addrs) > 0 {
		for s := range t.sessions { // also those that have been described without it
			s.roam.mapped = true
		}
	}
	t.mapped = slices.Clone(addrs)
	t.mu.Unlock()
	if !same {
		t.changed()
	}
}

// stunServers are those that the owner names.
func (t *Transport) stunServers() []netip.AddrPort {
	if t.o.STUNServers == nil {
		return nil
	}
	return t.o.STUNServers()
}

// announced are the addresses that somebody forwards to the p2p port.
func (t *Transport) announced() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(slices.Clone(t.o.Announce), t.mapped...)
}

// own are the addresses at which this computer's p2p port may be reached.
func (t *Transport) own() []netip.AddrPort {
	bound := t.port.addr()
	var interfaces []netInterface
	if t.wildcard {
		var err error
		if interfaces, err = t.sys.interfaces(); err != nil {
			t.log.Warn("interfaces cannot be listed", "error", err)
		}
	}
	var out []netip.AddrPort
	for _, a := range ownAddrs(bound.Addr(), interfaces) {
		out = append(out, netip.AddrPortFrom(a, bound.Port()))
	}
	return out
}

// bases are the first own address of each family. What is behind tunnels has addresses
// of IPv4, so that there has to be one of that where there is no IPv4, too.
func (t *Transport) bases() []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range append(t.own(), netip.AddrPortFrom(virtualBase, t.Port())) {
		if !slices.ContainsFunc(out, sameFamily(a)) {
			out = append(out, a)
		}
	}
	return out
}

// loopback reports whether this node lives on loopback, so that peers may be
// there too.
func (t *Transport) loopback() bool { return onLoopback(t.own()) }

func onLoopback(own []netip.AddrPort) bool { return len(own) > 0 && own[0].Addr().IsLoopback() }

// adopt makes s the connection to peer. The one before it ends: the peer dials
// again only when it has none, whatever this node still believes.
func (t *Transport) adopt(peer p2p.ID, s *session) {
	t.mu.Lock()
	old := t.current[peer]
	if t.sessions[s] { // else it has ended already
		t.current[peer] = s
		t.failures.forget(peer)
	}
	t.hand.linked(peer, s)
	t.mu.Unlock()
	signal(t.adopted)
	signal(t.sheltering)
	if old != nil {
		go old.close(fmt.Errorf("rtc: a newer connection to the same peer: %w", p2p.ErrClosed))
	}
}

// track counts s until untrack.
func (t *Transport) track(s *session) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("rtc: new connection: %w", p2p.ErrClosed)
	}
	t.sessions[s] = true
	t.live.Add(1)
	return nil
}

// watch looks every now and then whether peers are alive.
func (t *Transport) watch(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var all []*session
	for {
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return
		}
		all = all[:0]
		t.mu.Lock()
		for s := range t.sessions {
			all = append(all, s)
		}
		t.mu.Unlock()
		now := time.Now()
		doubt := false
		for _, s := range all {
			s.peer.look(now)
			doubt = doubt || s.peer.doubtful(now)
		}
		if doubt {
			signal(t.doubt)
		}
		clear(all)
	}
}

func (t *Transport) untrack(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s)
	for peer, cur := range t.current {
		if cur == s {
			delete(t.current, peer)
		}
	}
	t.live.Add(-1)
}
