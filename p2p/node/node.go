package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/exchange"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/lexicon"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/nat/lan"
	"github.com/shoal-p2p/shoal/p2p/nat/portmap"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges/registry"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// addrsEvery is how often a node looks whether its own addresses have changed.
const addrsEvery = 15 * time.Second

// Errors that callers tell apart, besides those of p2p and of the parts.
var (
	// ErrNotFound: there is no such folder or document.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: there are several such folders; the node tells them apart.
	ErrAmbiguous = errors.New("not the only one")
)

// Node is one member of a network. All methods may be used by several goroutines
// at once.
type Node struct {
	id      p2p.ID
	name    string
	version string
	started time.Time
	log     *slog.Logger

	events    *Events
	transport p2p.Transport
	members   *member.Service
	folders   *folder.Service
	sync      *exchange.Service
	index     *search.Index
	texts     *extract.Reader
	lacking   *unreadFiles // of which search has no text
	mesh      *search.Mesh
	lexicon   *lexicon.Lexicon // words of other members
	route     *route.Router    // calls to members, with a link or without
	overlay   *route.Contacts  // members that it knows where it does not know all
	table     *dht.Table
	registers *dht.Registers
	ranges    *registry.Registry
	words     *keyword.Index
	publisher *publish.Publisher
	publishes bool
	direct    *direct.Service
	tracker   *tracker.Service // who has which seed
	swarm     *swarm.Service   // those of this node
	passes    *pass.Book       // that let others in for a seed
	outings   outings
	suspects  suspects
	steps     *rate.Limiter // of events of route and table
	meetings  *rate.Limiter // after which links are chosen anew, in a large network
	network   *nat.Service
	router    *portmap.Mapper // nil: no router is asked for anything
	stun      *servers
	links     *links
	limits    *link.Limits
	paths     *paths
	lan       *lan.Service                           // nil: nobody is looked for in the local network
	handlers  map[string]p2p.Handler                 // complete before the transport is made
	forwards  atomic.Pointer[map[string]p2p.Handler] // of the transport itself, once it is made
	serves    atomic.Pointer[func(p2p.ID) bool]      // whether it relays for a member, likewise; nil: for nobody

	joining  sync.Mutex  // one Join at a time
	veiled   atomic.Bool // no folder is anybody's, see joinOpen
	heard    heardOffers
	byHand   handshakes
	granting sync.Mutex    // held while it is changed who may do what with a folder
	moved    chan struct{} // has room for one: addresses or relays may have changed

	ctx   context.Context // ends when Close begins
	stop  context.CancelFunc
	close func() error // once

	// running counts the parts, and the calls that enter has let in.
	running sync.WaitGroup
	entry   sync.Mutex // guards closed
	closed  bool
}

// Start makes a node and returns when it can be used. ctx bounds the start only;
// the node runs until Close.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Store == nil {
		m, err := newMemory()
		if err != nil {
			return nil, fmt.Errorf("node: start: %w", err)
		}
		o.Store = m
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	identity, err := o.Store.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("node: start: %w", err)
	}
	n := &Node{
		id: identity.ID(), name: member.CleanName(o.Name), version: o.Version,
		started: time.Now(), log: o.Logger, events: newEvents(), moved: make(chan struct{}, 1),
	}
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	n.close = sync.OnceValue(n.shutDown)
	if n.name == "" {
		n.name = n.id.Short()
	}
	if err := n.assemble(ctx, identity, o); err != nil {
		n.stop()
		return nil, fmt.Errorf("node: start: %w", err)
	}
	n.run()
	return n, nil
}

// assemble opens the parts and ties them together. The transport, which holds a
// port, comes last: nothing needs undoing when an earlier part fails.
func (n *Node) assemble(ctx context.Context, identity p2p.Identity, o Options) error {
	publish := p2p.Publish(n.events.publish)
	n.links = newLinks(n.id, n.log, publish)
	n.limits = new(link.Limits)
	n.limits.Set(o.Limits)
	n.paths = newPaths(n.links)
	var err error
	n.members, err = member.Open(member.Options{
		Identity: identity, Name: n.name, Store: o.Store.Member(), Mode: o.Mode, Roster: min(o.Roster, member.MaxMembers),
		Publish: n.publishMember, Logger: n.log, Changed: n.links.kick,
	})
	if err != nil {
		return err
	}
	n.heard.start(n.id, n.members.Offers())
	n.index, err = search.Options{Rereading: rereading(n.log)}.Open(ctx, o.Store.Search())
	if err != nil {
		return err
	}
	n.meetings = rate.NewLimiter(2, 4)
	n.steps = rate.NewLimiter(stepsPerSecond, stepsAtOnce)
	n.route = n.newRoute(identity, n.publishSome)
	n.suspects.linked, n.suspects.sparse = n.Connected, func() bool { return n.members.Size() > route.MaxMesh || n.members.Wide() }
	n.overlay = n.newContacts()
	n.table = n.newTable(identity, o, n.publishSome)
	n.ranges = registry.New(n.table, nil)
	n.words = keyword.New(keyword.Options{Table: n.table, Name: "documents", Small: func() bool { return n.members.Size() <= route.MaxMesh && n.size() <= route.MaxMesh }})
	n.tracker, err = n.newTracker(ctx, o, n.publishSome)
	if err != nil {
		return err
	}
	n.publisher, n.publishes = n.newPublisher(o), o.Publish
	n.links.altered = func() {
		n.overlay.Look()
		n.table.Changed()
		n.tracker.Kick()
	}
	n.route.Handle(member.ProtoVouch, n.members.HandleVouch)
	n.direct = direct.New(direct.Options{Caller: n.route, Link: n.links.need, Publish: publish})
	n.route.Handle(direct.Proto, n.direct.HandleCall)
	n.route.Handle(tracker.Proto, n.tracker.HandleCall)
	n.registers = n.newRegisters(o, n.publishSome)
	for _, all := range []map[string]dht.Handler{n.table.Handlers(), n.registers.Handlers()} {
		for proto, h := range all {
			n.route.Handle(proto, route.Handler(h))
		}
	}
	n.lexicon = new(lexicon.Lexicon)
	n.mesh = &search.Mesh{Index: n.index, Self: search.Member{ID: n.id, Name: n.name}, Caller: n.route, Elsewhere: n.lexicon}
	n.texts = extract.New(extract.Options{Command: o.Extract, Logger: n.log})
	if n.lacking, err = openUnread(ctx, o.Store.Unread(), n.log); err != nil {
		return err
	}
	n.folders, err = folder.Open(folder.Options{
		Store: o.Store.Folder(), Sink: sink{n.index, n.texts, n.lacking, n.log}, DataDir: o.DataDir,
		Allowed: n.readable,
		Publish: publish, Logger: n.log, Changed: func(id string, d folder.Dirty) { n.sync.Changed(id, d) },
	})
	if err != nil {
		return err
	}
	n.sync = exchange.New(exchange.Options{
		Identity: identity, Network: func() p2p.ID { return n.members.Network().ID }, Store: o.Store.Replica(),
		Folders: n.folders, Access: n.folderAccess, Key: n.memberKey, Links: n.links.all, Publish: publish, Logger: n.log, Busy: o.Busy,
	})
	if err := n.forgetOrphans(ctx); err != nil {
		return err
	}
	n.stun = newServers(slices.Concat(o.STUN, o.Rendezvous), n.log)
	n.network = n.newNetwork(o)
	if n.passes, err = n.newPasses(ctx, o, publish); err != nil {
		return err
	}
	if n.swarm, err = n.newSwarm(ctx, o, n.forgetting(publish)); err != nil {
		return err
	}
	n.index.Restrict(n.readableTo)
	n.index.Name(n.labelOf)
	n.handlers = map[string]p2p.Handler{}
	for proto, h := range n.members.Handlers() {
		n.handlers[proto] = n.links.afterAdd(h)
	}
	n.route.Handle(search.Proto, n.index.Handler)
	n.route.Handle(search.FetchProto, n.index.FetchHandler)
	n.route.Handle(lexicon.Proto, lexicon.NewOffers(n.index, nil).Handle)
	n.route.Handle(folder.ListProtocol, n.folders.HandleList)
	n.handlers[exchange.DigestProtocol] = n.sync.HandleDigest
	n.handlers[nat.Protocol] = n.network.Handle
	n.handlers[pathProto] = n.paths.handle
	maps.Copy(n.handlers, n.route.Handlers())
	n.links.roster, n.links.serve, n.links.greet = n, n.serve, n.greet
	n.links.byPass, n.links.grants = n.byPass, n.passes.Grants
	n.transport, err = n.listen(ctx, o, link.Local{
		Identity: identity, Network: func() p2p.ID { return n.members.Network().ID },
		Gate: n.gate, Proof: n.members.Proof, Conceals: func(id [16]byte) bool { return n.passes.Has(id) },
		Handler: n.handler, Limits: n.limits, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.links.transport = n.transport
	n.findLocally(o)
	n.router = n.newRouter(o)
	if err := n.announce(); err != nil {
		return errors.Join(err, n.transport.Close())
	}
	return nil
}

// listen makes the transport. It serves others before it is known here, so what it
// answers by itself is looked up when it is asked for.
func (n *Node) listen(ctx context.Context, o Options, local link.Local) (p2p.Transport, error) {
	open := o.Transport
	if open == nil {
		open = func(local link.Local) (p2p.Transport, error) {
			return rtc.Listen(ctx, rtc.Options{
				Local: local, Name: n.name, Listen: cmp.Or(o.Listen, "127.0.0.1:0"), AnyPort: o.AnyPort, Announce: o.Announce,
				Linked: n.links.linked, Caller: n.links, Contact: n.members.Contact, Changed: n.addrsChanged, Moved: n.paths.moved,
				STUN: n.network.Take, STUNServers: n.stun.addrs, TURNServers: o.TURN, Rendezvous: o.Rendezvous, Relay: o.Relay,
			})
		}
	}
	t, err := open(local)
	if err != nil {
		return nil, err
	}
	if own, ok := t.(interface{ Handlers() map[string]p2p.Handler }); ok {
		handlers := own.Handlers()
		n.forwards.Store(&handlers)
	}
	if r, ok := t.(interface{ RelaysFor(p2p.ID) bool }); ok {
		serves := r.RelaysFor
		n.serves.Store(&serves)
	}
	if p, ok := t.(nat.Port); ok {
		n.network.Attach(p)
	}
	return t, nil
}

// run starts everything that runs until Close.
func (n *Node) run() {
	parts := map[string]func(context.Context) error{
		"links":     n.links.run,
		"paths":     n.paths.run,
		"members":   func(ctx context.Context) error { return n.members.Run(ctx, n.links, n.links.linked) },
		"folders":   n.folders.Run,
		"exchange":  n.sync.Run,
		"network":   n.network.Run,
		"router":    n.watchRouter,
		"servers":   n.stun.run,
		"addresses": n.watchAddrs,
		"offers":    n.watchOffers,
		"access":    n.watchAccess,
		"sources":   n.watchLinks,
		"table":     n.table.Run,
		"registers": n.registers.Run,
		"contacts":  n.overlay.Run,
		"tracker":   n.tracker.Run,
		"swarm":     n.swarm.Run,
		"lexicon":   n.learnWords,
		"publisher": n.publisher.Run,
		"vouchers":  n.watchVouchers,
	}
	if n.lan != nil {
		parts["lan"] = n.lan.Run
	}
	for what, run := range parts {
		n.running.Go(func() {
			if err := run(n.ctx); err != nil && n.ctx.Err() == nil {
				n.log.Error("a part of the node stopped", "part", what, "error", err)
			}
		})
	}
}

// enter lets a call in that writes, or asks others, unless the node is closed. The
// call's context ends with the node, which waits for leave.
func (n *Node) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	n.entry.Lock()
	defer n.entry.Unlock()
	if n.closed {
		return nil, nil, fmt.Errorf("node: %s: %w", n.name, p2p.ErrClosed)
	}
	n.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(n.ctx, cancel)
	return ctx, func() {
		unlink()
		cancel()
		n.running.Done()
	}, nil
}

// Close ends the node: it says goodbye to its peers, ends the calls that run, and
// returns when nothing of it runs any more. Closing again returns the first result.
// The Store is the caller's to close, after this.
func (n *Node) Close() error { return n.close() }

func (n *Node) shutDown() error {
	n.entry.Lock()
	n.closed = true
	n.entry.Unlock()
	n.withdraw()
	n.handOver()
	n.stop()
	n.running.Wait()
	n.registers.Close()
	n.texts.Close()
	if err := n.transport.Close(); err != nil {
		return fmt.Errorf("node: close: %w", err)
	}
	return nil
}

// Limits returns how fast streams are carried at most.
func (n *Node) Limits() link.Rates { return n.limits.Rates() }

// SetLimits changes that, also of the links there are.
func (n *Node) SetLimits(r link.Rates) { n.limits.Set(r) }

// watchAddrs tells the network when this node's addresses change.
func (n *Node) watchAddrs(ctx context.Context) error {
	tick := time.NewTicker(addrsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.moved:
		}
		if err := n.announce(); err != nil {
			n.log.Error("addresses not announced", "error", err)
		}
	}
}

// announce signs a contact with the present addresses and relays, if they are
// others than before.
func (n *Node) announce() error {
	addrs := n.transport.Addrs()
	_, err := n.members.SetContact(addrs[:min(len(addrs), maxAddrs)], n.ownRelays())
	return err
}

// addrsChanged makes watchAddrs look at once, and gives a new relay what it is to have.
func (n *Node) addrsChanged() {
	n.overlay.Shelter()
	select {
	case n.moved <- struct{}{}:
	default:
	}
}

// maxAddrs is how many addresses a contact may have (p2p/member).
const maxAddrs = 16

// codeForbidden answers the calls of a guest.
const codeForbidden = "forbidden"

// handler finds who answers calls of a protocol, and lets nobody but members in:
// a guest may only do what member.Allowed says, and a visitor nothing.
func (n *Node) handler(proto string) p2p.Handler {
	h := n.handlers[proto]
	if forwards := n.forwards.Load(); h == nil && forwards != nil {
		h = (*forwards)[proto]
	}
	if h == nil {
		return nil
	}
	return func(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
		present := n.isMember(from.Peer())
		visits := !present && n.byPass(from)
		if visits {
			n.links.fault(from)
		}
		if visits || !member.Allowed(proto, present) {
			return nil, &p2p.CallError{Code: codeForbidden, Message: "not a member of this network"}
		}
		resp, err := h(ctx, from, req)
		if err != nil && !present && proto == member.ProtoJoin {
			n.links.sendOff(from.Peer())
		}
		return resp, err
	}
}

// serve answers the streams that the peer of a link opens, until the link ends. A
// guest's are reset, and those of protocols that do not exist: nobody would read
// what they carry. A visitor's are answered that are of its seed.
func (n *Node) serve(ctx context.Context, l p2p.Link) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for {
		proto, conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		switch {
		case !n.isMember(l.Peer()):
			n.receiveStream(ctx, l, proto, conn, wg.Go)
		case proto == folder.ContentProtocol:
			wg.Go(func() { n.folders.ServeContent(ctx, l, conn) })
		case proto == exchange.IndexProtocol || proto == exchange.FilesProtocol || proto == exchange.PartsProtocol:
			wg.Go(func() { n.sync.Serve(ctx, l, proto, conn) })
		case proto == route.ExchangeProtocol:
			wg.Go(func() { n.route.ServeStream(ctx, l, conn) })
		case proto == swarm.Protocol:
			wg.Go(func() { n.swarm.Serve(ctx, l, conn) })
		case proto == direct.StreamProto:
			wg.Go(func() { n.direct.ServeStream(ctx, l.Peer(), conn) })
		default:
			reset(conn)
		}
	}
}

// reset ends a stream that nobody is to use.
func reset(conn net.Conn) {
	if r, ok := conn.(interface{ Reset(code uint64) error }); ok {
		_ = r.Reset(0) // it is broken already
	}
	_ = conn.Close() // nothing was written
}

// greet does what is due when a link to a member came up.
func (n *Node) greet(ctx context.Context, l p2p.Link) {
	n.network.Linked(l)
	n.exchange(ctx, l)
	n.paths.tell(ctx, l)
}

// exchange brings the rosters of both ends in line. The other end may not know
// yet that this node is a member: it is still reading the answer to its own join,
// or the admission of this node is on its way to it.
func (n *Node) exchange(ctx context.Context, l p2p.Link) {
	const longest = 3 * time.Second
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := n.members.Linked(ctx, l)
		if err == nil || errors.Is(err, member.ErrRevoked) || ctx.Err() != nil {
			return // with ErrRevoked run has been kicked, and closes the link
		}
		var refused *p2p.CallError
		if !errors.As(err, &refused) || refused.Code != codeForbidden || wait > longest {
			n.log.Warn("roster not exchanged", "peer", n.nameOf(l.Peer()), "error", err)
			return
		}
		select {
		case <-time.After(wait):
		case <-l.Done():
		case <-ctx.Done():
		}
	}
}

// meet implements roster.
func (n *Node) meet(l p2p.Link) {
	if shows, ok := l.(interface{ Proof() []byte }); ok {
		n.present(l.Peer(), shows.Proof())
	}
}

// present takes in what was shown of somebody. It says what it is about itself.
func (n *Node) present(id p2p.ID, proof []byte) {
	if len(proof) == 0 {
		return
	}
	_, known := n.members.Role(id)
	who, err := n.members.Present(proof)
	if err != nil {
		n.log.Debug("a proof that proves nothing", "of", id.Short(), "error", err)
		return
	}
	if !known && (n.members.Size() <= route.MaxMesh || n.meetings.Allow()) {
		n.log.Debug("met", "member", who.Short())
		n.links.kick() // it may be one to whom a link is wanted
	}
}

// How often a node looks whether its membership depends on a single signer, and how soon again when
// nobody could be asked.
const (
	vouchEvery = 10 * time.Minute
	vouchAgain = time.Minute
)

// watchVouchers asks an admin for a second certificate while there is only one, and for a place in
// the roster while there are folders that cannot be offered without.
func (n *Node) watchVouchers(ctx context.Context) error {
	timer := time.NewTimer(vouchAgain/2 + rand.N(vouchAgain/2))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		wait := vouchEvery
		if n.members.Alone() {
			if err := n.members.Vouch(ctx, n.route, false); err != nil {
				n.log.Debug("no second certificate", "error", err)
				wait = vouchAgain
			}
		}
		if err := n.seat(ctx); err != nil {
			n.log.Warn("no place in the roster", "error", err)
			wait = vouchAgain
		}
		timer.Reset(wait)
	}
}

// isMember implements roster. To a node that was revoked nobody is: it has left.
func (n *Node) isMember(id p2p.ID) bool {
	_, ok := n.members.Role(id)
	return ok && !n.members.Self().Revoked
}

// others returns the other members; none to a node that was revoked.
func (n *Node) others() []member.Member {
	if n.members.Self().Revoked {
		return nil
	}
	return slices.DeleteFunc(n.members.Members(), func(m member.Member) bool { return m.Self })
}

// nameOf implements roster.
func (n *Node) nameOf(id p2p.ID) string {
	if m, ok := n.members.Member(id); ok {
		return m.Name
	}
	return id.Short()
}

// contacts implements roster: those of all other members.
func (n *Node) contacts() []p2p.Contact {
	var out []p2p.Contact
	for _, m := range n.others() {
		out = append(out, m.Contact)
	}
	return out
}

// farewellTimeout bounds farewell.
const farewellTimeout = time.Second

// farewell implements roster.
func (n *Node) farewell(ctx context.Context, l p2p.Link) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	// The peer ends the link itself when it understands.
	if err := n.members.Farewell(ctx, l); err != nil && !errors.Is(err, p2p.ErrClosed) {
		n.log.Debug("a revoked node was not told", "peer", n.nameOf(l.Peer()), "error", err)
	}
}

// Status is what a node says of itself.
type Status struct {
	ID        p2p.ID
	Name      string
	Version   string
	Started   time.Time
	P2P       []netip.AddrPort
	Network   member.Network
	Role      member.Role
	Revoked   bool // this node was removed from the network; it may join one
	Members   int  // of the network, this node included
	Peers     int  // of them linked now
	Folders   int  // shared here
	Documents int  // that this node can find by itself
	Terms     int  // different words in them
}

// ID returns the node's ID.
func (n *Node) ID() p2p.ID { return n.id }

// Name returns the node's name.
func (n *Node) Name() string { return n.name }

// Events returns the log of what happens on this node.
func (n *Node) Events() *Events { return n.events }

// Status returns what the node is and does now.
func (n *Node) Status() Status {
	self, index := n.members.Self(), n.index.Stats()
	return Status{
		ID: n.id, Name: n.name, Version: n.version, Started: n.started,
		P2P: n.transport.Addrs(), Network: n.members.Network(), Role: self.Role, Revoked: self.Revoked,
		Members: n.size(), Peers: len(n.links.linked()),
		Folders: len(n.folders.List()), Documents: index.Documents, Terms: index.Terms,
	}
}

// size returns how many members the network has: about, where nobody knows all of them.
func (n *Node) size() int {
	known := len(n.others()) + 1
	if !n.members.Wide() {
		return known
	}
	if about, ok := n.overlay.Size(); ok {
		return max(known, int(math.Round(about)))
	}
	return known
}

// Peer is another member and the link to it.
type Peer struct {
	ID        p2p.ID
	Name      string
	Connected bool
	Path      p2p.Path    // when connected; of the worse kind of what the two ends see
	Stats     p2p.Stats   // bytes over all links since this node started
	Since     time.Time   // when the link came up, or went down; zero: it was never up
	Error     string      // why there is no link
	Snapshot  *route.Kept // from which this node answers for it, as its relay; nil: it does not
	Through   bool        // there is none because it is reached through others: the network is large
}

// Peers returns all other members, by name.
func (n *Node) Peers() []Peer {
	var out []Peer
	standsIn := n.route.StandsIn()
	for _, m := range n.others() {
		p := n.links.state(m.ID)
		p.Name = m.Name
		if kept, ok := standsIn[m.ID]; ok {
			p.Snapshot = &kept
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Peer) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return a.ID.Compare(b.ID)
	})
	return out
}
