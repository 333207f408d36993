package tracker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// identityOf returns that of a member of tests, and member its ID.
func identityOf(i int) p2p.Identity {
	secret := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	id, err := p2p.IdentityFromSeed(secret[:])
	if err != nil {
		panic(err)
	}
	return id
}

func member(i int) p2p.ID { return identityOf(i).ID() }

// number returns the ID of a seed that nobody has a text of.
func number(i int) seed.ID {
	return seed.ID(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("seed"), uint64(i))))
}

// table is a table that never loses anything, and counts.
type table struct {
	mu      sync.Mutex // guards the following
	now     func() time.Time
	records map[dht.Address]dht.Copy
	puts    int
	broken  bool
}

// tableOf is the table as one member sees it.
type tableOf struct {
	*table
	identity p2p.Identity
}

// breaks makes the table refuse everything from now on, or not any more, and says how much was put.
func (t *table) breaks(on bool) (puts int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = on
	return t.puts
}

func newTable() *table { return &table{now: time.Now, records: map[dht.Address]dht.Copy{}} }

func (t tableOf) MultiPut(ctx context.Context, puts []dht.Put) ([]dht.PutResult, dht.Trace, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken {
		return nil, dht.Trace{}, dht.ErrNoReplica
	}
	out := make([]dht.PutResult, len(puts))
	for i, p := range puts {
		t.puts++
		h := dht.Header{Address: p.Address, TTL: uint32(p.TTL / time.Second), Protect: p.Protect, Author: t.identity.PublicKey(), Seq: uint64(t.now().UnixMicro())}
		t.records[p.Address] = dht.Copy{Record: dht.Record{Header: h, Value: p.Value}}
		out[i] = dht.PutResult{Header: h, Status: dht.StatusOK, Copies: 3}
	}
	return out, dht.Trace{}, ctx.Err()
}

func (t tableOf) Get(ctx context.Context, q dht.Query, _ dht.ReadOptions) (found dht.Found, _ dht.Trace, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken {
		return found, dht.Trace{}, dht.ErrNoReplica
	}
	for a, c := range t.records {
		c.Left = time.UnixMicro(int64(c.Seq)).Add(time.Duration(c.TTL) * time.Second).Sub(t.now())
		if a.Location == q.Location && (q.Domains || a.Domain == q.Domain) && c.Left > 0 {
			found.Records = append(found.Records, c)
		}
	}
	return found, dht.Trace{}, ctx.Err()
}

// seedOf makes a seed of a small file.
func seedOf(t testing.TB, name, content string) seed.Seed {
	t.Helper()
	s, err := seed.Make(t.Context(), strings.NewReader(content), int64(len(content)), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// big makes a seed of a file with many pieces.
func big(t testing.TB, name string, pieces int) seed.Seed {
	t.Helper()
	b := bytes.Repeat([]byte{7}, pieces*(64<<10))
	copy(b, name)
	s, err := seed.Make(t.Context(), bytes.NewReader(b), int64(len(b)), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// net is a network of trackers in one process, for bubbles of testing/synctest. Links are on and off;
// a call reaches whoever is up, with a link or without, as over package route.
type net struct {
	t testing.TB

	mu    sync.Mutex // guards the following
	nodes map[p2p.ID]*node
	links map[[2]p2p.ID]*fakeLink
	down  map[p2p.ID]bool
	calls map[p2p.ID]int // to each
	bytes int
}

type node struct {
	*Service
	id   p2p.ID
	stop context.CancelFunc
	done chan struct{}
}

// fakeLink is a link of which only the peer is looked at.
type fakeLink struct {
	p2p.Link
	peer p2p.ID
}

func (l *fakeLink) Peer() p2p.ID { return l.peer }

func newNet(t testing.TB) *net {
	return &net{t: t, nodes: map[p2p.ID]*node{}, links: map[[2]p2p.ID]*fakeLink{}, down: map[p2p.ID]bool{}, calls: map[p2p.ID]int{}}
}

// start starts a node that is linked to all that run.
func (n *net) start(i int, o Options) *node {
	n.t.Helper()
	id := member(i)
	o.ID = id
	o.Caller = caller{n, id}
	o.Links = func() (out []p2p.Link) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for pair, l := range n.links {
			if pair[0] == id {
				out = append(out, l)
			}
		}
		return out
	}
	s, err := New(n.t.Context(), o)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	one := &node{Service: s, id: id, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(one.done)
		if err := s.Run(ctx); err != nil {
			n.t.Error(err)
		}
	}()
	n.mu.Lock()
	n.nodes[id] = one
	delete(n.down, id)
	others := slices.Collect(func(yield func(p2p.ID) bool) {
		for other := range n.nodes {
			if other != id && !n.down[other] && !yield(other) {
				return
			}
		}
	})
	n.mu.Unlock()
	for _, other := range others {
		n.link(id, other, true)
	}
	return one
}

// link makes a link, or ends it.
func (n *net) link(a, b p2p.ID, on bool) {
	n.mu.Lock()
	for _, pair := range [][2]p2p.ID{{a, b}, {b, a}} {
		delete(n.links, pair)
		if on {
			n.links[pair] = &fakeLink{peer: pair[1]}
		}
	}
	ends := []*node{n.nodes[a], n.nodes[b]}
	n.mu.Unlock()
	for _, e := range ends {
		e.Kick()
	}
}

// crash takes a node away.
func (n *net) crash(one *node) {
	n.mu.Lock()
	n.down[one.id] = true
	var peers []p2p.ID
	for pair := range n.links {
		if pair[0] == one.id {
			peers = append(peers, pair[1])
		}
	}
	n.mu.Unlock()
	one.stop()
	for _, p := range peers {
		n.link(one.id, p, false)
	}
	<-one.done
}

// end stops all, so that a bubble can end.
func (n *net) end() {
	n.mu.Lock()
	nodes := make([]*node, 0, len(n.nodes))
	for _, one := range n.nodes {
		nodes = append(nodes, one)
	}
	n.mu.Unlock()
	for _, one := range nodes {
		one.stop()
		<-one.done
	}
}

type caller struct {
	n    *net
	from p2p.ID
}

// Call implements Caller: it takes a millisecond, and a node that is down never answers.
func (c caller) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	c.n.mu.Lock()
	one, down := c.n.nodes[to], c.n.down[to]
	c.n.calls[to]++
	c.n.bytes += len(req)
	c.n.mu.Unlock()
	if one == nil || down {
		<-ctx.Done()
		return nil, fmt.Errorf("call: %w", p2p.ErrUnreachable)
	}
	if proto != Proto {
		return nil, p2p.ErrNoProtocol
	}
	if len(req) > 56<<10 {
		c.n.t.Errorf("a request of %d bytes does not go without a link", len(req))
		return nil, p2p.ErrTooLarge
	}
	time.Sleep(time.Millisecond)
	return one.HandleCall(ctx, c.from, req)
}

// sourcesOf returns who a node thinks has a seed, in words.
func (n *node) sourcesOf(id seed.ID, names map[p2p.ID]string) string {
	var out []string
	for _, p := range n.known(id) {
		what := "part"
		if p.Have.All {
			what = "all"
		} else if p.Have.Count == 0 {
			what = "nothing"
		}
		out = append(out, fmt.Sprintf("%s %s %s", names[p.ID], what, p.Told))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
