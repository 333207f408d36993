package dht_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/route"
)

var (
	wideNodes  = flag.Int("dht.wide", 80, "nodes of TestWide")
	wideRoster = flag.Int("dht.wide.roster", 16, "how many of them the roster names")
)

// country is a network of more members than its roster names, in which nothing is made up: everybody
// joins by an invitation, is a member by what it shows at each link, finds others by lookups, and
// has links to those whom route.Want names of those whom it knows. Links carry calls and
// nothing else.
type country struct {
	t       testing.TB
	ctx     context.Context
	latency time.Duration
	held    atomic.Bool // nobody makes links
	dialed  atomic.Int64
	nodes   []*inhabitant

	mu   sync.Mutex // guards the following
	byID map[p2p.ID]*inhabitant
	hops []int // of requests for records that arrived
}

type inhabitant struct {
	c        *country
	identity p2p.Identity
	members  *member.Service
	router   *route.Router
	contacts *route.Contacts
	table    *dht.Table
	handlers map[string]p2p.Handler
	kicked   chan struct{}

	mu    sync.Mutex // guards the following
	links map[p2p.ID]*road
}

// road is one end of a link.
type road struct {
	p2p.Link
	from, to *inhabitant
	binding  [32]byte
	ours     bool
	since    time.Time
	done     chan struct{} // of both ends
	close    func()
	other    *road // the other end
}

func (r *road) Peer() p2p.ID                 { return r.to.identity.ID() }
func (r *road) PublicKey() ed25519.PublicKey { return r.to.identity.PublicKey() }
func (r *road) Binding() [32]byte            { return r.binding }
func (r *road) Path() p2p.Path               { return p2p.Path{Kind: p2p.PathMemory} }
func (r *road) Done() <-chan struct{}        { return r.done }
func (r *road) Close() error                 { r.close(); return nil }
func (*road) Open(context.Context, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

// Call implements p2p.Link.
func (r *road) Call(ctx context.Context, proto string, req []byte) ([]byte, error) {
	for _, there := range []bool{true, false} {
		select {
		case <-time.After(r.from.c.latency):
		case <-r.done:
			return nil, p2p.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !there {
			break
		}
		_, isMember := r.to.members.Role(r.from.identity.ID())
		h := r.to.handlers[proto]
		if h == nil || !member.Allowed(proto, isMember) {
			return nil, &p2p.CallError{Code: "forbidden", Message: proto}
		}
		back := *r
		back.from, back.to = r.to, r.from
		resp, err := h(ctx, &back, slices.Clone(req))
		if err != nil {
			if coded := (*p2p.CallError)(nil); !errors.As(err, &coded) {
				err = &p2p.CallError{Code: "internal", Message: err.Error()}
			}
			return nil, err
		}
		req = resp
	}
	return req, nil
}

func (c *country) settle(i, roster int, mode member.Mode) *inhabitant {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("inhabitant"), uint64(i)))
	identity, err := p2p.IdentityFromSeed(seed[:])
	if err != nil {
		c.t.Fatal(err)
	}
	n := &inhabitant{c: c, identity: identity, links: map[p2p.ID]*road{}, kicked: make(chan struct{}, 1)}
	n.members, err = member.Open(member.Options{
		Identity: identity, Name: fmt.Sprint("node ", i), Roster: roster, Mode: mode,
		Revoked: n.drop, Changed: n.kick,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	network := func() p2p.ID { return n.members.Network().ID }
	open := func() bool { return n.members.Network().Mode == member.ModeOpen }
	n.router = route.New(route.Options{
		Identity: identity, Network: network, Member: n.routed, Link: n.linkTo, Links: n.all,
		Prove: n.members.Prove, Present: func(id p2p.ID, proof []byte) {
			_, known := n.members.Role(id)
			if _, err := n.members.Present(proof); err == nil && !known {
				n.kick()
			}
		},
		Nearest: func(k p2p.Key, count int) []route.Member { return n.contacts.Closest(k, count) },
		Heard:   func(m route.Member) { n.contacts.Heard(m) },
		Publish: c.heard,
	})
	n.contacts = route.NewContacts(route.ContactsOptions{Router: n.router, Large: n.members.Wide, Open: open, Changed: func() { n.table.Changed() }})
	n.table = dht.New(dht.Options{
		Identity: identity, Store: dht.NewMemory(), Network: network, Members: func() []dht.Member { return nil }, Size: n.members.Size, Wide: n.members.Wide,
		Member: func(id p2p.ID) (dht.Member, bool) {
			m, ok := n.members.Member(id)
			return dht.Member{ID: m.ID, Position: m.Key, PublicKey: m.Contact.PublicKey, Name: m.Name}, ok && !m.Revoked
		},
		Alive: func(p2p.ID) bool { return true }, Caller: widely{n.router}, Contacts: n.contacts, Open: open,
	})
	n.handlers = n.members.Handlers()
	n.router.Handle(member.ProtoVouch, n.members.HandleVouch)
	for proto, h := range n.table.Handlers() {
		n.router.Handle(proto, route.Handler(h))
	}
	maps.Copy(n.handlers, n.router.Handlers())
	c.mu.Lock()
	c.byID[identity.ID()] = n
	c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	for _, run := range []func(context.Context) error{
		n.contacts.Run, n.table.Run, n.keep,
		func(ctx context.Context) error { return n.members.Run(ctx, direct{n}, n.linked) },
	} {
		go func() {
			if err := run(c.ctx); err != nil {
				c.t.Error(err)
			}
		}()
	}
	return n
}

// widely calls over links and by others; the tables of this test send no streams.
type widely struct{ *route.Router }

// Exchange implements dht.Caller.
func (w widely) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	return w.Call(ctx, to, proto, req)
}

// Limit implements dht.Caller.
func (w widely) Limit(p2p.ID) int { return route.MaxForwarded }

// direct calls over links only.
type direct struct{ n *inhabitant }

// Call implements p2p.Caller.
func (d direct) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	l, err := d.n.linkTo(to)
	if err != nil {
		return nil, err
	}
	return l.Call(ctx, proto, req)
}

func (c *country) heard(e p2p.Event) {
	if h, ok := e.(route.Hop); ok && h.Via == h.To && h.Proto == dht.ProtoGet {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hops = append(c.hops, h.Hops)
	}
}

func (n *inhabitant) kick() {
	select {
	case n.kicked <- struct{}{}:
	default:
	}
}

func (n *inhabitant) routed(id p2p.ID) (route.Member, bool) {
	m, ok := n.members.Member(id)
	return route.Member{ID: m.ID, Position: m.Key, Key: m.Contact.PublicKey}, ok && !m.Revoked
}

func (n *inhabitant) linkTo(id p2p.ID) (p2p.Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.links[id]; l != nil {
		return l, nil
	}
	return nil, p2p.ErrUnreachable
}

func (n *inhabitant) all() []p2p.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []p2p.Link
	for _, l := range n.links {
		out = append(out, l)
	}
	return out
}

func (n *inhabitant) linked() []p2p.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.links))
}

// drop ends the link to somebody who was removed, after telling so.
func (n *inhabitant) drop(id p2p.ID) {
	if l, err := n.linkTo(id); err == nil {
		go func() {
			_ = n.members.Farewell(n.c.ctx, l) // it may have gone
			_ = l.Close()
		}()
	}
}

// dial makes a link as a transport does: the gate decides by what is shown.
func (n *inhabitant) dial(to *inhabitant, inv *member.Invitation) (*road, error) {
	c := n.c
	k := p2p.Knock{From: n.identity.PublicKey(), Network: n.members.Network().ID, Proof: n.members.Proof(900)}
	if inv != nil {
		pass := inv.Pass()
		k.Network, k.Invite, k.Message, k.Proof = pass.Network, pass.Invite, []byte("knock"), nil
		mac := hmac.New(sha256.New, pass.Key[:])
		mac.Write(k.Message)
		k.MAC = mac.Sum(nil)
	}
	if err := to.members.Gate(k); err != nil {
		return nil, err
	}
	a, b := n.identity.ID(), to.identity.ID()
	done, once := make(chan struct{}), sync.Once{}
	end := &road{from: n, to: to, ours: true, since: time.Now(), done: done, binding: sha256.Sum256(slices.Concat(a[:], b[:], fmt.Append(nil, c.dialed.Add(1))))}
	other := &road{from: to, to: n, since: end.since, done: done, binding: end.binding}
	end.close = func() {
		once.Do(func() {
			close(done)
			for _, r := range []*road{end, other} {
				r.from.mu.Lock()
				if r.from.links[r.Peer()] == r {
					delete(r.from.links, r.Peer())
				}
				r.from.mu.Unlock()
				r.from.contacts.Look()
			}
		})
	}
	other.close, end.other, other.other = end.close, other, end
	if inv == nil {
		end.adopt()
		other.adopt()
	}
	return end, nil
}

// adopt takes in what the peer shows in its hello, and the link if that is a member's.
func (r *road) adopt() {
	if proof := r.to.members.Proof(900); proof != nil {
		_, _ = r.from.members.Present(proof) // what it is worth is asked for now
	}
	if _, ok := r.from.members.Role(r.Peer()); !ok {
		return
	}
	r.from.mu.Lock()
	if old := r.from.links[r.Peer()]; old != nil {
		defer old.close()
	}
	r.from.links[r.Peer()] = r
	r.from.mu.Unlock()
	r.from.contacts.Look()
	r.from.table.Changed()
	go func() {
		_ = r.from.members.Linked(r.from.c.ctx, r) // by comparing again in a minute
	}()
}

// keep keeps the links that a node wants.
func (n *inhabitant) keep(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.kicked:
			time.Sleep(5 * time.Second) // with what comes at the same time
		}
		if !n.c.held.Load() {
			n.relink()
		}
	}
}

func (n *inhabitant) relink() {
	if n.members.Self().Revoked {
		return
	}
	var at, linked []route.Member
	for _, m := range n.members.Members() {
		at = append(at, route.Member{ID: m.ID, Position: m.Key})
	}
	for _, l := range n.all() {
		if m, ok := n.routed(l.Peer()); ok {
			linked = append(linked, m)
		}
	}
	wanted := map[p2p.ID]bool{}
	for _, id := range route.Want(n.identity.ID(), at, linked) {
		wanted[id] = true
		if _, err := n.linkTo(id); err == nil {
			continue
		}
		n.c.mu.Lock()
		to := n.c.byID[id]
		n.c.mu.Unlock()
		if to != nil && n.identity.ID() != id {
			_, _ = n.dial(to, nil) // it is tried again
		}
	}
	for _, l := range n.all() {
		if r := l.(*road); r.ours && !wanted[r.Peer()] && time.Since(r.since) > 2*time.Minute {
			_ = r.Close()
		}
	}
}

func (n *inhabitant) join(inviter *inhabitant) error {
	inv, err := inviter.members.Invite(member.InviteOptions{})
	if err != nil {
		return err
	}
	l, err := n.dial(inviter, &inv)
	if err != nil {
		return err
	}
	if _, err := n.members.Join(n.c.ctx, l, inv); err != nil {
		return err
	}
	l.adopt()
	l.other.adopt()
	return nil
}

// TestWide: a network of which the roster names a few. -dht.wide 2500 is more than any roster names.
func TestWideNetwork(t *testing.T) {
	for _, mode := range []member.Mode{member.ModeClosed, member.ModeOpen} {
		t.Run(string(mode), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { wide(t, mode) }) })
	}
}

func wide(t *testing.T, mode member.Mode) {
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		time.Sleep(time.Minute)
	}()
	c := &country{t: t, ctx: ctx, latency: 10 * time.Millisecond, byID: map[p2p.ID]*inhabitant{}}
	roster := 0
	for i := range *wideNodes {
		if roster = 0; i == 0 {
			roster = *wideRoster
		}
		c.settle(i, roster, map[bool]member.Mode{true: mode, false: member.ModeClosed}[i == 0])
	}
	began := time.Now()
	for i, n := range c.nodes[1:] {
		inviter := c.nodes[0]
		switch {
		case mode == member.ModeOpen: // by whomever it meets
			inviter = c.nodes[i-i*i%min(i+1, 40)]
		case i > 8:
			inviter = c.nodes[i%4]
		}
		err := n.join(inviter)
		if errors.Is(err, member.ErrFull) { // as a person does: he asks another one
			err = n.join(c.nodes[0])
		}
		if err != nil {
			t.Fatalf("node %d joins by %s: %v", i+1, inviter.members.Self().Name, err)
		}
		if i == 7 && mode == member.ModeClosed {
			for _, admin := range c.nodes[1:4] {
				if err := c.nodes[0].members.SetRole(admin.identity.ID(), member.RoleAdmin); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5 * time.Second)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%d joined in %s", len(c.nodes), time.Since(began))
	time.Sleep(2 * time.Minute)
	certified, links, known, statements := 0, 0, 0, 0
	for _, n := range c.nodes {
		if n.members.Self().Certified {
			certified++
		}
		links += len(n.linked())
		known += n.members.Size()
		statements = max(statements, n.members.Statements())
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d carry certificates; %d links and %d members known to each, %d statements in a roster at most; %d KiB of heap each",
		certified, links/len(c.nodes), known/len(c.nodes), statements, int(m.HeapInuse)>>10/len(c.nodes))
	// Who are admitted by two members at the same time may both get the last place.
	if most := len(c.nodes) - *wideRoster; certified > most || certified < most-*wideRoster/4 {
		t.Errorf("%d of %d carry certificates", certified, len(c.nodes))
	}

	c.held.Store(true)
	puts, keys := make([]dht.Put, 200), make([]p2p.Key, 200)
	for i := range puts {
		keys[i] = dht.KeyOf(fmt.Sprint("key ", i))
		puts[i] = dht.Put{Address: dht.Address{Location: keys[i]}, Value: []byte("hello")}
	}
	results, _, err := c.nodes[len(c.nodes)-1].table.MultiPut(ctx, puts)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Copies < 3 {
			t.Errorf("put %d: %d copies", i, r.Copies)
		}
	}
	before := c.dialed.Load()
	c.mu.Lock()
	c.hops = nil
	c.mu.Unlock()
	for i, key := range keys[:60] {
		reader := c.nodes[(31*i+7)%len(c.nodes)]
		found, _, err := reader.table.Get(ctx, dht.Query{Location: key}, dht.ReadOptions{})
		if err != nil || len(found.Records) != 1 {
			t.Errorf("%s gets %d: %d records, %v", reader.members.Self().Name, i, len(found.Records), err)
		}
	}
	c.mu.Lock()
	slices.Sort(c.hops)
	hops := slices.Clone(c.hops)
	c.mu.Unlock()
	if c.dialed.Load() != before {
		t.Error("links were made for reads")
	}
	if len(hops) == 0 {
		t.Fatal("everybody has a link to everybody: more nodes are needed")
	}
	if p95 := hops[len(hops)*95/100]; p95 > 3 {
		t.Errorf("a request for records takes %d hops in 95 of 100 cases", p95)
	}
	t.Logf("%d requests for records: %d hops in the median, %d in 95 of 100 cases, %d at most", len(hops), hops[len(hops)/2], hops[len(hops)*95/100], hops[len(hops)-1])

	gone := c.nodes[len(c.nodes)*3/4]
	id, proof := gone.identity.ID(), gone.members.Prove(gone.identity.ID())
	if err := c.nodes[0].members.Revoke(id); errors.Is(err, member.ErrUnknownMember) {
		if _, err := c.nodes[0].members.Present(proof); err != nil { // the admin is shown whom it is about
			t.Fatal(err)
		}
		if err := c.nodes[0].members.Revoke(id); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	why := ""
	left := func() (n int) {
		for _, o := range c.nodes {
			if o == gone {
				continue
			}
			_, isMember := o.members.Role(id)
			_, linked := o.linkTo(id)
			if _, err := o.members.Present(proof); err == nil || isMember || linked == nil {
				n++
				why = fmt.Sprintf("%s: shown %v, a member %v, linked %v", o.members.Self().Name, err, isMember, linked == nil)
			}
		}
		return n
	}
	for left() > 0 && time.Since(began) < 10*time.Second {
		time.Sleep(100 * time.Millisecond)
	}
	if n := left(); n > 0 || !gone.members.Self().Revoked {
		t.Errorf("after %s it is a member to %d, and knows better: %v; %s", time.Since(began), n, gone.members.Self().Revoked, why)
	}
	t.Logf("a revocation reached all in %s", time.Since(began))
}
