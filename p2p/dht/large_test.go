package dht_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var (
	largeNodes = flag.Int("dht.large", 200, "nodes of TestLarge")
	largeSeeds = flag.Int("dht.large.seeds", 1, "how many seeds TestLargeChurn runs")
)

// city is a network in which nobody knows all: real routers, contacts and tables, over links
// that carry calls and nothing else, each with as many of them as a node wants.
type city struct {
	t       testing.TB
	latency time.Duration
	ctx     context.Context

	mu     sync.Mutex // guards all following fields
	nodes  []*citizen
	byID   map[p2p.ID]*citizen
	hops   map[string][]int // of forwarded and direct requests that arrived, by protocol
	dialed int              // links that were made
	log    bytes.Buffer     // what all nodes log
}

// citizen is one node. What is in its store outlives a crash.
type citizen struct {
	c        *city
	identity p2p.Identity
	member   dht.Member
	store    dht.Store
	router   *route.Router
	contacts *route.Contacts
	table    *dht.Table
	stop     context.CancelFunc
	lie      func(proto string, req []byte) ([]byte, bool) // what it answers instead

	mu     sync.Mutex // guards all following fields
	links  map[p2p.ID]*cityLink
	silent map[p2p.ID]time.Time
}

// cityLink is a link. It is there for three seconds after its peer has crashed.
type cityLink struct {
	p2p.Link
	from, to *citizen
	done     chan struct{}
}

func (l *cityLink) Peer() p2p.ID { return l.to.member.ID }

// Call implements p2p.Link.
func (l *cityLink) Call(ctx context.Context, proto string, req []byte) ([]byte, error) {
	for _, there := range []bool{true, false} {
		select {
		case <-time.After(l.from.c.latency):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !there {
			break
		}
		router := l.to.running()
		if router == nil {
			select {
			case <-l.done:
				return nil, fmt.Errorf("the link has ended: %w", p2p.ErrUnreachable)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		resp, err := router.Handlers()[proto](ctx, &cityLink{from: l.to, to: l.from}, slices.Clone(req))
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

func (n *citizen) running() *route.Router {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.router
}

// Open implements p2p.Link.
func (*cityLink) Open(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }

// newCity makes n nodes; place says where each of the first ones is that is not where chance has
// put it.
func newCity(t testing.TB, n int, seed uint64, o dht.Options, place ...p2p.Key) *city {
	c := &city{t: t, latency: 10 * time.Millisecond, ctx: t.Context(), byID: map[p2p.ID]*citizen{}, hops: map[string][]int{}}
	for range n {
		c.admit(seed, place)
	}
	for _, node := range c.nodes {
		node.start(o)
	}
	c.link()
	return c
}

func (c *city) admit(seed uint64, place []p2p.Key) *citizen {
	i := len(c.nodes)
	b := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), uint64(i)))
	identity, err := p2p.IdentityFromSeed(b[:])
	if err != nil {
		c.t.Fatal(err)
	}
	position := p2p.Key(sha256.Sum256(b[:]))
	if i < len(place) {
		position = place[i]
	}
	n := &citizen{
		c: c, identity: identity, store: dht.NewMemory(),
		member: dht.Member{ID: identity.ID(), Position: position, PublicKey: identity.PublicKey(), Name: fmt.Sprintf("node %d", i)},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes, c.byID[n.member.ID] = append(c.nodes, n), n
	return n
}

// start starts a node, without links, or starts it again after a crash.
func (n *citizen) start(o dht.Options) {
	c := n.c
	network := func() p2p.ID { return p2p.ID{1} }
	open := o.Open
	var contacts *route.Contacts
	router := route.New(route.Options{
		Identity: n.identity, Network: network, Member: c.member, Link: n.linkTo, Links: n.allLinks,
		Nearest: func(k p2p.Key, count int) []route.Member { return contacts.Closest(k, count) },
		Heard:   func(m route.Member) { contacts.Heard(m) },
		Publish: c.heard,
	})
	var table *dht.Table
	contacts = route.NewContacts(route.ContactsOptions{Router: router, Large: func() bool { return true }, Open: open, Changed: func() { table.Changed() }})
	o.Identity, o.Store, o.Network, o.Alive, o.Caller, o.Contacts = n.identity, n.store, network, n.alive, cityCaller{n, router}, contacts
	o.Roster, o.Members, o.Size = 1, func() []dht.Member { return nil }, func() int { return len(c.byID) }
	o.Member = func(id p2p.ID) (dht.Member, bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		m, ok := c.byID[id]
		if !ok {
			return dht.Member{}, false
		}
		return m.member, true
	}
	o.Logger = slog.New(slog.NewTextHandler(&lockedWriter{c}, nil))
	table = dht.New(o)
	find := router.Handlers()[route.FindProtocol]
	handlers := map[string]dht.Handler{route.FindProtocol: func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
		return find(ctx, &cityLink{from: n, to: c.byID[from]}, req)
	}}
	maps.Copy(handlers, table.Handlers())
	for proto, h := range handlers {
		router.Handle(proto, func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
			if n.lie != nil {
				if b, is := n.lie(proto, req); is {
					return b, nil
				}
			}
			return h(ctx, from, req)
		})
	}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(c.ctx)
	n.mu.Lock()
	n.contacts, n.table, n.links, n.silent = contacts, table, map[p2p.ID]*cityLink{}, map[p2p.ID]time.Time{}
	n.router = router
	n.mu.Unlock()
	for _, run := range []func(context.Context) error{contacts.Run, table.Run} {
		go func() {
			if err := run(ctx); err != nil {
				c.t.Error(err)
			}
		}()
	}
}

type lockedWriter struct{ c *city }

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.log.Write(b)
}

func (c *city) logged(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.log.Bytes(), []byte(text))
}

func (c *city) member(id p2p.ID) (route.Member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.byID[id]
	if !ok {
		return route.Member{}, false
	}
	return routed(n.member), true
}

func routed(m dht.Member) route.Member {
	return route.Member{ID: m.ID, Position: m.Position, Key: m.PublicKey}
}

// heard counts the hops of requests that arrive.
func (c *city) heard(e p2p.Event) {
	if h, ok := e.(route.Hop); ok && h.Via == h.To {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hops[h.Proto] = append(c.hops[h.Proto], h.Hops)
	}
}

func (n *citizen) linkTo(id p2p.ID) (p2p.Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.links[id]; l != nil {
		return l, nil
	}
	return nil, p2p.ErrUnreachable
}

func (n *citizen) allLinks() []p2p.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []p2p.Link
	for _, l := range n.links {
		all = append(all, l)
	}
	return all
}

// alive is what a node's suspects say.
func (n *citizen) alive(id p2p.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	since, is := n.silent[id]
	return !is || time.Since(since) > 30*time.Second
}

// link gives all nodes that are up the links that they want, and takes those that neither end wants.
func (c *city) link() {
	c.wants(false)
	c.wants(true)
}

func (c *city) wants(shed bool) {
	var up []*citizen
	var members []route.Member
	for _, n := range c.nodes {
		if n.running() != nil {
			up, members = append(up, n), append(members, routed(n.member))
		}
	}
	space, wanted := route.NewSpace(members), map[[2]p2p.ID]bool{}
	for _, n := range up {
		var linked []route.Member
		for _, l := range n.allLinks() {
			linked = append(linked, routed(l.(*cityLink).to.member))
		}
		for _, id := range space.Want(n.member.ID, linked) {
			n.join(c.byID[id])
			wanted[[2]p2p.ID{n.member.ID, id}], wanted[[2]p2p.ID{id, n.member.ID}] = true, true
		}
	}
	for _, n := range up {
		n.mu.Lock()
		for id, l := range n.links {
			if shed && !wanted[[2]p2p.ID{n.member.ID, id}] && l.to.running() != nil {
				delete(n.links, id)
			}
		}
		n.mu.Unlock()
	}
	for _, n := range up {
		n.contacts.Look()
		n.table.Changed()
	}
}

func (n *citizen) join(o *citizen) {
	if _, err := n.linkTo(o.member.ID); err == nil {
		return
	}
	for _, ends := range [][2]*citizen{{n, o}, {o, n}} {
		ends[0].mu.Lock()
		ends[0].links[ends[1].member.ID] = &cityLink{from: ends[0], to: ends[1], done: make(chan struct{})}
		ends[0].mu.Unlock()
	}
	n.c.mu.Lock()
	n.c.dialed++
	n.c.mu.Unlock()
}

// crash takes a node away; its peers see that after three seconds.
func (n *citizen) crash() {
	n.stop()
	n.mu.Lock()
	n.router = nil
	links := n.links
	n.links = map[p2p.ID]*cityLink{}
	n.mu.Unlock()
	time.AfterFunc(3*time.Second, func() {
		for _, l := range links {
			peer := l.to
			peer.mu.Lock()
			if own := peer.links[n.member.ID]; own != nil {
				close(own.done)
				delete(peer.links, n.member.ID)
			}
			peer.mu.Unlock()
			if peer.running() != nil {
				peer.contacts.Look()
				peer.table.Changed()
			}
		}
	})
}

func (c *city) end() {
	for _, n := range c.nodes {
		if n.running() != nil {
			n.crash()
		}
	}
	time.Sleep(time.Minute) // nothing is on its way any more
}

// cityCaller is what node.tableCaller is, with streams that are calls.
type cityCaller struct {
	n      *citizen
	router *route.Router // of the run
}

func (c cityCaller) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	var resp []byte
	l, err := c.n.linkTo(to)
	if c.n.running() != c.router {
		return nil, p2p.ErrUnreachable
	}
	if err == nil {
		c.n.c.heard(route.Hop{To: to, Via: to, Proto: proto, Hops: 1})
		resp, err = l.Call(ctx, proto, req)
	} else {
		resp, err = c.router.Call(ctx, to, proto, req)
	}
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if errors.Is(err, p2p.ErrUnreachable) {
		c.n.silent[to] = time.Now()
	} else {
		delete(c.n.silent, to)
	}
	return resp, err
}

func (c cityCaller) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	return c.Call(ctx, to, proto, req)
}

func (c cityCaller) Limit(to p2p.ID) int {
	if _, err := c.n.linkTo(to); err == nil {
		return 4 << 20
	}
	return route.MaxForwarded
}

// copies counts the nodes that are up and have a value at a location.
func (c *city) copies(a dht.Address, value string) (count int) {
	for _, n := range c.nodes {
		if n.running() == nil {
			continue
		}
		for h, err := range n.store.Read(c.ctx, dht.Query{Location: a.Location, Domain: a.Domain, Contents: []p2p.Key{a.Content}}) {
			if err != nil {
				c.t.Fatal(err)
			}
			if h.Kind == dht.KindValue && string(h.Value) == value {
				count++
			}
		}
	}
	return count
}

// nearest returns the n nodes nearest to a key that are up: the truth.
func (c *city) nearest(key p2p.Key, n int) []*citizen {
	var up []*citizen
	for _, one := range c.nodes {
		if one.running() != nil {
			up = append(up, one)
		}
	}
	slices.SortFunc(up, func(a, b *citizen) int {
		return a.member.Position.Distance(key).Compare(b.member.Position.Distance(key))
	})
	return up[:n]
}

// TestLarge: where nobody knows all, what one node puts is kept by those that are nearest, and
// any other node finds it, over links that there are and few hops.
func TestLarge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCity(t, *largeNodes, 1, dht.Options{})
		defer c.end()
		time.Sleep(10 * time.Second)
		c.mu.Lock()
		dialed := c.dialed
		c.mu.Unlock()
		const keys = 40
		right, most := 0, 0
		var messages, rounds int
		for i := range keys {
			a := at(fmt.Sprint("key ", i))
			r, trace, err := c.nodes[i*7%len(c.nodes)].table.Put(t.Context(), dht.Put{Address: a, Value: []byte("hello")})
			if err != nil || r.Copies != 3 {
				t.Fatalf("put %d: %+v: %v\n%+v", i, r, err, trace)
			}
			for j, n := range c.nearest(a.Location, 3) {
				if r.Replicas[j].ID == n.member.ID {
					right++
				}
			}
			if trace.Crowded > 0 {
				t.Errorf("key %d is crowded by chance", i)
			}
		}
		for i := range keys {
			f, trace, err := c.nodes[i*11%len(c.nodes)].table.Get(t.Context(), dht.Query{Location: at(fmt.Sprint("key ", i)).Location}, dht.ReadOptions{})
			if err != nil || len(f.Records) != 1 || len(f.Records[0].Have) != 3 {
				t.Fatalf("get %d: %+v: %v\n%+v", i, f, err, trace)
			}
			messages, rounds = messages+trace.Messages, rounds+trace.Rounds
		}
		if right != 3*keys {
			t.Errorf("%d of %d copies are with the nearest", right, 3*keys)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dialed != dialed {
			t.Errorf("%d links were made", c.dialed-dialed)
		}
		for _, n := range c.nodes {
			most = max(most, len(n.links))
		}
		for _, proto := range []string{dht.ProtoPut, dht.ProtoGet, route.FindProtocol} {
			h := c.hops[proto]
			slices.Sort(h)
			p95, sum := h[len(h)*95/100], 0
			for _, one := range h {
				sum += one
			}
			t.Logf("%s: %d requests, %.2f hops on average, 95 %% at most %d, all at most %d", proto, len(h), float64(sum)/float64(len(h)), p95, h[len(h)-1])
			if p95 > 3 {
				t.Errorf("%s: 95 %% of the requests take %d hops", proto, p95)
			}
		}
		t.Logf("%d nodes with %d links at most: a get takes %.1f messages in %.1f rounds", len(c.nodes), most, float64(messages)/keys, float64(rounds)/keys)
	})
}

// A batch of many keys takes no more lookups than there are neighbourhoods, and one message to
// each member.
func TestLargeBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCity(t, 150, 2, dht.Options{})
		defer c.end()
		time.Sleep(10 * time.Second)
		const keys = 5000
		puts, queries := make([]dht.Put, keys), make([]dht.Query, keys)
		for i := range keys {
			a := at(fmt.Sprint("key ", i))
			puts[i] = dht.Put{Address: a, Value: []byte("hello")}
			queries[i] = dht.Query{Location: a.Location}
		}
		results, trace, err := c.nodes[0].table.MultiPut(t.Context(), puts)
		if err != nil {
			t.Fatal(err)
		}
		short := 0
		for _, r := range results {
			if r.Copies != 3 {
				short++
			}
		}
		if short > 0 {
			t.Errorf("%d of %d records have not three copies", short, keys)
		}
		looked := func(trace dht.Trace) (find, other int) {
			for _, s := range trace.Steps {
				if s.Proto == route.FindProtocol {
					find++
				} else {
					other++
				}
			}
			return find, other
		}
		find, other := looked(trace)
		t.Logf("put: %d questions and %d messages with records", find, other)
		if find > 1500 || other > 700 {
			t.Errorf("%d questions and %d messages for %d keys", find, other, keys)
		}
		found, trace, err := c.nodes[90].table.MultiGet(t.Context(), queries, dht.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range found {
			if len(f.Records) != 1 {
				t.Fatalf("key %d: %+v", i, f)
			}
		}
		find, other = looked(trace)
		t.Logf("get: %d questions and %d messages with queries", find, other)
		// What was found a moment ago is still known.
		_, trace, err = c.nodes[90].table.MultiGet(t.Context(), queries, dht.ReadOptions{})
		if find, _ := looked(trace); err != nil || find > 0 {
			t.Errorf("the same again: %d questions: %v", find, err)
		}
	})
}

// TestLargeChurn: what was acknowledged is not lost while nodes come and go, as long as one
// replica survives each time.
func TestLargeChurn(t *testing.T) {
	for seed := range *largeSeeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { largeChurn(t, uint64(seed)) })
		})
	}
}

func largeChurn(t *testing.T, seed uint64) {
	c := newCity(t, 80, 100+seed, dht.Options{})
	defer c.end()
	random := rand.New(rand.NewPCG(seed, 1))
	time.Sleep(10 * time.Second)
	acked := map[string]bool{}
	var gone []*citizen
	up := func() *citizen {
		for {
			if n := c.nodes[random.IntN(len(c.nodes))]; n.running() != nil {
				return n
			}
		}
	}
	for step := range 10 {
		for i := range 4 {
			name := fmt.Sprintf("%d/%d", step, i)
			r, _, err := up().table.Put(t.Context(), dht.Put{Address: at(name), Value: []byte(name)})
			if err == nil && r.Stored() {
				acked[name] = true
			}
		}
		// At most two of a neighbourhood go before the others have noticed.
		for range 2 {
			n := up()
			n.crash()
			gone = append(gone, n)
		}
		time.Sleep(5 * time.Second)
		for len(gone) > 12 {
			n := gone[0]
			gone = gone[1:]
			if random.IntN(2) == 0 {
				n.store = dht.NewMemory() // its disk is new
			}
			n.start(dht.Options{})
		}
		c.link()
		time.Sleep(40 * time.Second)
	}
	time.Sleep(6 * time.Minute)
	lost, short := 0, 0
	for name := range acked {
		if copies := c.copies(at(name), name); copies < 3 {
			short++
		}
		f, trace, err := up().table.Get(t.Context(), dht.Query{Location: at(name).Location}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 1 {
			lost++
			t.Logf("%s: %d copies: %+v: %v\n%+v", name, c.copies(at(name), name), f.Replicas, err, trace)
		}
	}
	t.Logf("%d records, %d of them with fewer than three copies", len(acked), short)
	if lost > 0 || short > 0 || len(acked) < 36 {
		t.Errorf("%d of %d acknowledged records are lost, %d have fewer than three copies", lost, len(acked), short)
	}
}

// near returns positions around a key: so many bits are those of the key, the next one is not.
func near(key p2p.Key, bits, n int) []p2p.Key {
	out := make([]p2p.Key, n)
	for i := range out {
		k := p2p.Key(sha256.Sum256(append(key[:], byte(i))))
		for b := range bits {
			k[b/8] = k[b/8]&^(128>>(b%8)) | key[b/8]&(128>>(b%8))
		}
		k[bits/8] = k[bits/8]&^(128>>(bits%8)) | ^key[bits/8]&(128>>(bits%8))
		out[i] = k
	}
	return out
}

// swallow says that it has stored what it has not, and that it has nothing.
func swallow(n *citizen) {
	n.lie = func(proto string, req []byte) ([]byte, bool) {
		switch proto {
		case dht.ProtoPut, dht.ProtoGet:
			// It keeps what it gets, for the answer, and forgets it at once.
			resp, err := n.table.Handlers()[proto](n.c.ctx, n.member.ID, req)
			var all []p2p.Key
			for sum, err := range n.store.Sums(n.c.ctx, time.Now().UnixMilli()) {
				if err == nil {
					all = append(all, sum.Location)
				}
			}
			return resp, err == nil && n.store.Drop(n.c.ctx, all) == nil
		case dht.ProtoSync:
			return nil, true
		}
		return nil, false
	}
}

// TestLargeSybils: members who sit around a key, and swallow what they are to keep, are noticed
// where they are nearer than chance would have them, and hide nothing.
func TestLargeSybils(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := at("the exam")
		c := newCity(t, 100, 3, dht.Options{}, near(a.Location, 40, 6)...)
		defer c.end()
		for _, n := range c.nodes[:6] {
			swallow(n)
		}
		time.Sleep(10 * time.Second)
		r, trace, err := c.nodes[50].table.Put(t.Context(), dht.Put{Address: a, Value: []byte("at nine")})
		if err != nil || !r.Stored() || trace.Crowded != 1 {
			t.Fatalf("put: %+v, %d keys are crowded: %v", r, trace.Crowded, err)
		}
		if !c.logged("sit around a key") {
			t.Error("nothing was logged")
		}
		for _, i := range []int{60, 70, 90} {
			f, trace, err := c.nodes[i].table.Get(t.Context(), dht.Query{Location: a.Location}, dht.ReadOptions{})
			if err != nil || len(f.Records) != 1 || string(f.Records[0].Value) != "at nine" || trace.Crowded != 1 {
				t.Fatalf("node %d gets %+v, %d keys are crowded: %v", i, f.Records, trace.Crowded, err)
			}
		}
		// Copies stay where they are: those who swallow are not left alone with the record.
		time.Sleep(6 * time.Minute)
		if f, _, err := c.nodes[70].table.Get(t.Context(), dht.Query{Location: a.Location}, dht.ReadOptions{}); err != nil || len(f.Records) != 1 {
			t.Errorf("later: %+v, %v", f, err)
		}
	})
}

// Where anybody can be admitted, who sits a little nearer to a key than the honest ones, as chance could have
// put him, hides nothing either: all members of the region keep a record and are asked.
func TestLargeOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := at("the exam")
		o := dht.Options{Open: func() bool { return true }}
		c := newCity(t, 100, 4, o, near(a.Location, 10, 3)...)
		defer c.end()
		for _, n := range c.nodes[:3] {
			swallow(n)
		}
		time.Sleep(10 * time.Second)
		for i, n := range c.nearest(a.Location, 3) {
			if n.lie == nil {
				t.Fatalf("the %d. nearest is honest", i+1)
			}
		}
		r, trace, err := c.nodes[50].table.Put(t.Context(), dht.Put{Address: a, Value: []byte("at nine")})
		if err != nil || r.Copies < 8 || trace.Crowded > 0 {
			t.Fatalf("put: %+v, %d keys are crowded: %v", r, trace.Crowded, err)
		}
		f, _, err := c.nodes[60].table.Get(t.Context(), dht.Query{Location: a.Location}, dht.ReadOptions{})
		if err != nil || len(f.Records) != 1 || len(f.Records[0].Have) < 5 {
			t.Fatalf("get: %+v: %v", f, err)
		}
		time.Sleep(6 * time.Minute)
		if n := c.copies(a, "at nine"); n < 5 {
			t.Errorf("later there are %d copies", n)
		}
	})
}

// TestLargeVersions: where nobody knows all, replicas believe the votes of those who keep a name, also
// where more do so than the nearest.
func TestLargeVersions(t *testing.T) {
	for _, open := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			c := newCity(t, 100, 6, dht.Options{Open: func() bool { return open }})
			defer c.end()
			time.Sleep(10 * time.Second)
			for i := range 20 {
				name := at(fmt.Sprint("story ", i)).Name()
				for j := range 2 {
					r, _, err := c.nodes[50+i+j].table.VPut(t.Context(), appending(name, fmt.Sprint("word", j)))
					if err != nil || r.Version.Number() != uint64(j+1) {
						t.Errorf("open %v, version %s of name %d: %v", open, r.Version, i, err)
					}
				}
			}
			if c.logged("no_quorum") {
				t.Errorf("open %v: a majority was not believed", open)
			}
		})
	}
}

// TestLargeStale: what a lookup has found a minute ago may end to count while others are looked up:
// those keys are not forgotten.
func TestLargeStale(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCity(t, 150, 3, dht.Options{})
		defer c.end()
		time.Sleep(10 * time.Second)
		for i := range 16 {
			table := c.nodes[i].table
			began := time.Now()
			if _, _, err := table.Get(t.Context(), dht.Query{Location: at("old").Location}, dht.ReadOptions{}); err != nil && !errors.Is(err, dht.ErrNoReplica) {
				t.Fatal(err)
			}
			looked := time.Since(began)
			time.Sleep(route.Fresh - looked - 60*time.Millisecond + time.Duration(i)*10*time.Millisecond)
			puts := []dht.Put{{Address: at("old"), Value: []byte("x")}}
			for j := range 50 {
				puts = append(puts, dht.Put{Address: at(fmt.Sprint("key ", j)), Value: []byte("x")})
			}
			results, _, err := table.MultiPut(t.Context(), puts)
			if err != nil {
				t.Fatal(err)
			}
			for j, r := range results {
				if r.Copies != 3 {
					t.Errorf("%d: put %d has %d copies: %v", i, j, r.Copies, r.Status)
				}
			}
		}
	})
}

// TestLargeValues: the largest values come to those who keep them over any link, also by way of
// others, back to who asks, and to who takes the place of one that has gone.
func TestLargeValues(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCity(t, 150, 9, dht.Options{})
		defer c.end()
		time.Sleep(10 * time.Second)
		value := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, dht.MaxValue) }
		for i := range 10 {
			a := at(fmt.Sprint("picture ", i))
			r, trace, err := c.nodes[i].table.Put(t.Context(), dht.Put{Address: a, Value: value(i)})
			if err != nil || r.Copies != 3 {
				t.Fatalf("put %d: %d copies: %v\n%+v", i, r.Copies, err, trace)
			}
			name := at(fmt.Sprint("versions ", i)).Name()
			for range 2 {
				p := dht.VPut{Name: name, Update: func([]dht.Copy) ([]byte, error) { return value(i), nil }}
				if _, _, err := c.nodes[i].table.VPut(t.Context(), p); err != nil {
					t.Fatalf("vput %d: %v", i, err)
				}
			}
		}
		read := func(when string) {
			for i := range 10 {
				for _, key := range []string{"picture ", "versions "} {
					location := at(fmt.Sprint(key, i)).Location
					f, trace, err := c.nodes[149-i].table.Get(t.Context(), dht.Query{Location: location}, dht.ReadOptions{})
					if err != nil || len(f.Records) != 1 || !bytes.Equal(f.Records[0].Record.Value, value(i)) || len(f.Records[0].Have) != 3 {
						t.Fatalf("%s, get of %s%d: %d records: %v\n%+v", when, key, i, len(f.Records), err, trace)
					}
				}
			}
		}
		read("at once")
		gone := c.nearest(at("picture 0").Location, 1)[0]
		if gone == c.nodes[149] { // who reads it
			t.Fatal("another seed is needed")
		}
		gone.crash()
		time.Sleep(5 * time.Minute)
		if n := c.copies(at("picture 0"), string(value(0))); n != 3 {
			t.Errorf("after one has gone %d have the value", n)
		}
	})
}

// TestLargeHostile: a storer refuses what is not of its region, and who names members that are
// none, or that are elsewhere, misleads nobody.
func TestLargeHostile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCity(t, 120, 5, dht.Options{})
		defer c.end()
		stranger := sha256.Sum256([]byte("stranger"))
		nobody, err := p2p.IdentityFromSeed(stranger[:])
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 24; i++ { // a fifth of all
			c.nodes[i].lie = func(proto string, _ []byte) ([]byte, bool) {
				if proto != route.FindProtocol {
					return nil, false
				}
				type found struct {
					Key      []byte  `cbor:"1,keyasint"`
					Position p2p.Key `cbor:"2,keyasint"`
				}
				var all []found
				all = append(all, found{nobody.PublicKey(), at("a").Location})
				for _, n := range c.nodes[:3] { // real ones that are said to be just there
					all = append(all, found{n.member.PublicKey, at("a").Location})
				}
				b, err := wire.Marshal(struct {
					Members []found `cbor:"1,keyasint"`
				}{all})
				return b, err == nil
			}
		}
		time.Sleep(10 * time.Second)
		for i := range 20 {
			a := at(fmt.Sprint("key ", i))
			r, _, err := c.nodes[50+i].table.Put(t.Context(), dht.Put{Address: a, Value: []byte("hello")})
			if err != nil || r.Copies != 3 {
				t.Fatalf("put %d: %+v: %v", i, r, err)
			}
			for j, n := range c.nearest(a.Location, 3) {
				if r.Replicas[j].ID != n.member.ID {
					t.Errorf("key %d: the %d. nearest does not keep it", i, j+1)
				}
			}
		}
		if !c.logged("members that are none were named") {
			t.Error("strangers are not logged")
		}

		// A record that is in order, at the far end of the key space.
		a := at("elsewhere")
		author := c.nodes[100]
		batch := []dht.Record{{Header: dht.Header{Address: a, Seq: uint64(time.Now().UnixMicro())}, Value: []byte("hello")}}
		dht.Sign(author.identity, p2p.ID{1}, batch)
		var req bytes.Buffer
		if err := wire.WriteMsg(&req, dht.Write{Record: batch[0]}); err != nil {
			t.Fatal(err)
		}
		far := c.nearest(a.Location, len(c.nodes))[len(c.nodes)-1]
		resp, err := cityCaller{author, author.router}.Call(t.Context(), far.member.ID, dht.ProtoPut, req.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Status dht.Status `cbor:"1,keyasint"`
		}
		if err := wire.ReadMsg(bytes.NewReader(resp), &said); err != nil || said.Status != dht.StatusNotResponsible {
			t.Errorf("who is far away says %v, %v", said.Status, err)
		}
		if !c.logged("why=not_responsible") || c.copies(a, "hello") != 0 {
			t.Errorf("%d copies", c.copies(a, "hello"))
		}
	})
}
