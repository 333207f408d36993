package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/turn/v5"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/nat/relay"
)

const (
	// shelterEvery is how often a node looks after its relays.
	shelterEvery = 10 * time.Second
	// offerLife is how long what a relay said of itself holds.
	offerLife = time.Minute
	// relayIdle is how long an allocation that nobody uses is kept.
	relayIdle = time.Minute
	// relayRetry is how long a relay that failed is left alone.
	relayRetry = 20 * time.Second
	// allocateTimeout bounds an attempt over UDP; over TCP there is as much again.
	allocateTimeout = 3 * time.Second
)

// TURNServer is a relay that is no member.
type TURNServer struct {
	Host           string // "name:port"; the name may be an address
	User, Password string
	TCP            bool // over TCP only; else UDP is tried first
}

// relays are this node's allocations at relays. Its mutex comes before
// those of the Transport and the mux, which are never held when it is taken.
type relays struct {
	t *Transport

	mu       sync.Mutex // guards all that follows
	members  map[p2p.ID]*relayed
	guest    map[p2p.ID]*relayed // at relays that let this node in as somebody's guest
	plain    []*relayed          // at the servers that the owner names
	standing []p2p.ID            // that others are told of
	offers   map[p2p.ID]relayOffer
	failed   map[p2p.ID]time.Time
}

type relayOffer struct {
	relay.Offer
	open bool
	at   time.Time
}

// relayed is an allocation, or the attempt to get one. It implements tunnel.
type relayed struct {
	t      *Transport
	id     p2p.ID // zero for a server that is no member
	cancel context.CancelFunc
	idle   time.Time // since then nobody uses it; guarded by relays.mu

	mu     sync.Mutex // guards all that follows
	client *relay.Client
	addr   netip.AddrPort // the relayed address
	server netip.AddrPort
	proto  string // to the server
}

// send implements tunnel.
func (r *relayed) send(b []byte, to netip.AddrPort) error {
	r.mu.Lock()
	c := r.client
	r.mu.Unlock()
	if c == nil {
		return nil // not yet, or no more
	}
	return c.Send(b, to)
}

// release implements tunnel.
func (r *relayed) release(netip.AddrPort) {}

// where tells which server it is and how it is reached.
func (r *relayed) where() (server netip.AddrPort, proto string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server, r.proto
}

func (r *relayed) address() netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// addrs are the relayed addresses at which this node can be reached, at most n.
func (rs *relays) addrs(n int) []candidate {
	rs.mu.Lock()
	var all []*relayed
	for _, id := range rs.standing {
		if r := rs.members[id]; r != nil {
			all = append(all, r)
		}
	}
	all = append(all, rs.plain...)
	rs.mu.Unlock()
	var out []candidate
	for _, r := range all {
		if a := r.address(); a.IsValid() && len(out) < n {
			out = append(out, candidate{Addr: a, Kind: p2p.PathRelayed, Relay: r.id})
		}
	}
	return out
}

// at returns this node's allocation at a member, which is begun if there is none,
// or nil if that makes no sense now.
func (rs *relays) at(id p2p.ID) *relayed {
	if id == rs.t.id {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !rs.t.linked(id) {
		return rs.guest[id]
	}
	return rs.begin(id, time.Now())
}

// enterAsGuest begins an allocation at a relay of which this node has a pass.
func (rs *relays) enterAsGuest(p relayPass) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.guest[p.ID] != nil || len(rs.guest) >= relay.MaxKnown || !rs.t.enter() {
		return
	}
	ctx, cancel := context.WithCancel(rs.t.ctx)
	r := &relayed{t: rs.t, id: p.ID, cancel: cancel, idle: time.Now()}
	rs.guest[p.ID] = r
	go func() {
		defer rs.t.running.Done()
		err := r.run(ctx, func(context.Context, p2p.ID) (grant, error) { return p.grant(rs.t.loopback()), nil })
		cancel()
		rs.mu.Lock()
		delete(rs.guest, p.ID)
		rs.mu.Unlock()
		rs.t.log.Debug("no guest of a relay any more", "relay", p.ID.Short(), "error", err)
	}()
}

// begin is at with rs.mu held.
func (rs *relays) begin(id p2p.ID, now time.Time) *relayed {
	if r := rs.members[id]; r != nil {
		return r
	}
	if now.Sub(rs.failed[id]) < relayRetry || !rs.t.enter() {
		return nil
	}
	ctx, cancel := context.WithCancel(rs.t.ctx)
	r := &relayed{t: rs.t, id: id, cancel: cancel, idle: now}
	rs.members[id] = r
	go func() {
		defer rs.t.running.Done()
		err := r.run(ctx, rs.t.memberGrant)
		cancel()
		rs.lost(r, err)
	}()
	return r
}

func (rs *relays) lost(r *relayed, err error) {
	rs.mu.Lock()
	if rs.members[r.id] == r {
		delete(rs.members, r.id)
	}
	if err != nil && rs.t.ctx.Err() == nil {
		rs.failed[r.id] = time.Now()
	}
	rs.mu.Unlock()
	if rs.t.ctx.Err() == nil {
		rs.t.log.Debug("a relay is gone", "relay", r.id.Short(), "error", err)
		rs.t.changed()
		signal(rs.t.sheltering)
	}
}

// foreign are the allocations at relays that are no members.
func (rs *relays) foreign() []*relayed {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Clone(rs.plain)
}

// grant is what a relay gives a client.
type grant struct {
	at             []door // to be tried in this order
	user, password string
}

// door is an address of a relay, and how it is spoken to there.
type door struct {
	addr netip.AddrPort
	tcp  bool
}

// run gets an allocation and keeps it until ctx ends or the relay is gone.
func (r *relayed) run(ctx context.Context, ask func(context.Context, p2p.ID) (grant, error)) error {
	g, err := ask(ctx, r.id)
	if err != nil {
		return fmt.Errorf("rtc: relay %s: %w", r.id.Short(), err)
	}
	err = errors.New("no address is known")
	for _, d := range g.at {
		var c *relay.Client
		var end func()
		if c, end, err = r.t.allocate(ctx, r, d, g); err != nil {
			continue
		}
		r.t.changed()
		again := time.AfterFunc(relayGrace, r.t.offerAgain)
		r.t.traceRelay(r, nil)
		select {
		case <-ctx.Done():
		case <-c.Done():
			err = c.Err()
		}
		again.Stop()
		r.mu.Lock()
		r.client, r.addr = nil, netip.AddrPort{}
		r.mu.Unlock()
		end()
		break
	}
	if ctx.Err() != nil {
		return nil
	}
	r.t.traceRelay(r, err)
	return fmt.Errorf("rtc: relay %s: %w", r.id.Short(), err)
}

// allocate gets an allocation for r at a server. end gives it back.
func (t *Transport) allocate(ctx context.Context, r *relayed, at door, g grant) (c *relay.Client, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, allocateTimeout)
	defer cancel()
	o := relay.ClientOptions{
		Server: at.addr, User: g.user, Password: g.password, Loggers: loggerFactory{t.log},
		Receive: func(b []byte, from netip.AddrPort) { t.mux.arrive(r, b, from) },
	}
	proto := "udp"
	if at.tcp {
		proto = "tcp"
		conn, err := t.mux.dial(ctx, "tcp", at.addr.String())
		if err != nil {
			return nil, nil, fmt.Errorf("rtc: relay at %s over TCP: %w", at.addr, err)
		}
		o.Conn = turn.NewSTUNConn(conn)
	} else {
		o.Conn = newInlet(t.mux) // what comes is brought by the mux
	}
	if c, err = relay.NewClient(o); err != nil {
		_ = o.Conn.Close()
		return nil, nil, err
	}
	var reading sync.WaitGroup
	if at.tcp {
		reading.Go(func() { readTURN(o.Conn, c) })
	} else {
		t.mux.mu.Lock()
		t.mux.clients[at.addr] = c
		t.mux.mu.Unlock()
	}
	end = func() {
		_ = c.Close()
		_ = o.Conn.Close()
		reading.Wait()
		t.mux.mu.Lock()
		defer t.mux.mu.Unlock()
		if t.mux.clients[at.addr] == c {
			delete(t.mux.clients, at.addr)
		}
	}
	addr, err := c.Allocate(ctx)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("rtc: relay at %s over %s: %w", at.addr, proto, err)
	}
	r.mu.Lock()
	r.client, r.addr, r.server, r.proto = c, addr, at.addr, proto
	r.mu.Unlock()
	t.log.Debug("relayed address", "at", at.addr, "over", proto, "addr", addr)
	return c, end, nil
}

// readTURN brings a client what comes over TCP, until the connection ends.
func readTURN(conn net.PacketConn, c *relay.Client) {
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			go func() { _ = c.Close() }()
			return
		}
		c.Handle(buf[:n])
	}
}

// shelter looks after the relays of this node as long as the transport lives.
func (t *Transport) shelter() {
	for _, s := range t.o.TURNServers {
		t.running.Go(func() { t.keepPlain(s) })
	}
	tick := time.NewTicker(shelterEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		case <-t.sheltering:
		}
		t.openRelay()
		t.relays.look(t.ctx, time.Now())
	}
}

// keepPlain keeps an allocation at a relay that is no member.
func (t *Transport) keepPlain(s TURNServer) {
	r := &relayed{t: t}
	t.relays.mu.Lock()
	t.relays.plain = append(t.relays.plain, r)
	t.relays.mu.Unlock()
	for {
		err := r.run(t.ctx, func(ctx context.Context, _ p2p.ID) (grant, error) { return s.grant(ctx) })
		if t.ctx.Err() == nil {
			t.log.Warn("the TURN server is of no use now", "server", s.Host, "error", err)
		}
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(relayRetry):
		}
	}
}

// grant looks the server's name up.
func (s TURNServer) grant(ctx context.Context) (grant, error) {
	addrs, err := nat.LookUp(ctx, s.Host)
	if err != nil {
		return grant{}, err
	}
	g := grant{user: s.User, password: s.Password}
	for _, tcp := range []bool{false, true} {
		for _, a := range addrs {
			if tcp || !s.TCP {
				g.at = append(g.at, door{a, tcp})
			}
		}
	}
	return g, nil
}

// look asks members whether they relay, chooses some if this node needs any, and
// gives up those that nobody uses.
func (rs *relays) look(ctx context.Context, now time.Time) {
	var chosen []p2p.ID
	if rs.t.sheltered() {
		rs.ask(ctx, now)
		rs.mu.Lock()
		var offers []relay.Offer
		for id, o := range rs.offers {
			if o.open && rs.t.linked(id) && (rs.members[id] != nil || now.Sub(rs.failed[id]) >= relayRetry) {
				offers = append(offers, o.Offer)
			}
		}
		chosen = relay.Choose(offers, rs.standing)
		rs.mu.Unlock()
	}
	rs.mu.Lock()
	changed := !slices.Equal(chosen, rs.standing)
	rs.standing = chosen
	for _, id := range chosen {
		rs.begin(id, now)
	}
	var idle []*relayed
	for id, r := range rs.members {
		switch {
		case slices.Contains(chosen, id) || rs.t.mux.uses(r):
			r.idle = now
		case now.Sub(r.idle) > relayIdle || !rs.t.linked(id):
			idle = append(idle, r)
		}
	}
	for _, r := range rs.guest {
		if rs.t.mux.uses(r) {
			r.idle = now
		} else if now.Sub(r.idle) > relayIdle {
			idle = append(idle, r)
		}
	}
	rs.mu.Unlock()
	for _, r := range idle {
		r.cancel()
	}
	if changed {
		rs.t.changed()
	}
}

// ask brings what is known of relays up to date, for MaxKnown that relay and a few
// that may.
func (rs *relays) ask(ctx context.Context, now time.Time) {
	var due []p2p.ID
	open := 0
	rs.mu.Lock()
	for id, o := range rs.offers {
		if !rs.t.linked(id) {
			delete(rs.offers, id)
		} else if o.open {
			open++
		}
	}
	for _, id := range rs.t.o.Linked() {
		o, known := rs.offers[id]
		if !known && open < relay.MaxKnown && len(due) < 2*relay.MaxKnown || known && now.Sub(o.at) > offerLife {
			due = append(due, id)
		}
	}
	rs.mu.Unlock()
	var asking sync.WaitGroup
	for _, id := range due {
		asking.Go(func() {
			start := time.Now()
			told, err := rs.t.askRelay(ctx, id, relayAsk{})
			o := relayOffer{open: err == nil && told.Open, at: now}
			o.ID, o.RTT, o.Used, o.Total, o.Dual = id, time.Since(start), told.Used, told.Total, rs.t.dual(id)
			rs.mu.Lock()
			defer rs.mu.Unlock()
			rs.offers[id] = o
		})
	}
	asking.Wait()
}

// dual reports whether a member says that it is on the Internet with IPv4 and IPv6.
func (t *Transport) dual(id p2p.ID) bool {
	if t.o.Contact == nil {
		return false
	}
	c, _ := t.o.Contact(id)
	with := func(v4 bool) bool {
		return slices.ContainsFunc(c.Addrs, func(a netip.AddrPort) bool { return public(a.Addr()) && a.Addr().Unmap().Is4() == v4 })
	}
	return with(true) && with(false)
}

// uses reports whether a tunnel has any address in use.
func (m *mux) uses(via tunnel) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.exits.per[via] > 0
}

// RelayState is what a node knows of a relay.
type RelayState struct {
	ID    p2p.ID         // zero for a server that is no member
	Addr  netip.AddrPort // of the server; invalid while there is no allocation
	Proto string         // to it
	RTT   time.Duration
	InUse bool // this node can be reached through it
}

// KnownRelays returns the relays that this node could use, those in use first.
func (t *Transport) KnownRelays() []RelayState {
	t.relays.mu.Lock()
	defer t.relays.mu.Unlock()
	var out []RelayState
	add := func(id p2p.ID, r *relayed, rtt time.Duration) {
		s := RelayState{ID: id, RTT: rtt}
		if r != nil {
			s.Addr, s.Proto = r.where()
			s.InUse = r.address().IsValid()
		}
		out = append(out, s)
	}
	for _, r := range t.relays.plain {
		add(p2p.ID{}, r, 0)
	}
	for id, o := range t.relays.offers {
		if o.open && len(out) < relay.MaxKnown+len(t.relays.plain) {
			add(id, t.relays.members[id], o.RTT)
		}
	}
	slices.SortFunc(out, func(a, b RelayState) int {
		if a.InUse != b.InUse {
			if a.InUse {
				return -1
			}
			return 1
		}
		return int(a.RTT - b.RTT)
	})
	return out
}

// Relays returns the members that relay to this node when it cannot be reached
// otherwise.
func (t *Transport) Relays() []p2p.ID {
	t.relays.mu.Lock()
	defer t.relays.mu.Unlock()
	return slices.Clone(t.relays.standing)
}

// signal wakes whoever waits for c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
