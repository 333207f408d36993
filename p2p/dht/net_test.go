package dht_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/route"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// world is a network of tables in one process and in virtual time.
type world struct {
	t       testing.TB
	calls   *sim.Calls
	options dht.Options
	// registers: the first node has founded a network whose members keep registers.
	registers bool
	// narrow: there are no links, so that no answer is longer than a call's.
	narrow  bool
	mu      sync.Mutex   // guards members, and what nodes answer instead, against tables that run
	members []dht.Member // admitted ones
	nodes   []*testNode
	ctx     context.Context
}

// testNode is one computer: what is on its disk outlives a crash.
type testNode struct {
	w        *world
	identity p2p.Identity
	member   dht.Member
	store    dht.Store
	table    *dht.Table
	promises *paxos.Memory // on its disk
	stepless bool          // and how epochs came about is not there
	// instead is what the node answers in place of what its program does. Nil, or a nil handler: that.
	instead  func(proto string, honest dht.Handler) dht.Handler
	caller   dht.Caller
	register *dht.Registers
	clock    time.Duration // how far its clock is ahead
	stop     context.CancelFunc
}

func newWorld(t testing.TB, n int, conditions sim.CallOptions, o dht.Options) *world {
	return newWorldOf(t, n, conditions, o, false)
}

func newWorldOf(t testing.TB, n int, conditions sim.CallOptions, o dht.Options, registers bool) *world {
	w := &world{t: t, calls: sim.NewCalls(conditions), options: o, ctx: t.Context(), registers: registers}
	w.found(n)
	return w
}

// found makes so many members and starts them.
func (w *world) found(n int) {
	for range n {
		w.admit()
	}
	for _, node := range w.nodes {
		node.start()
	}
}

// admit makes a member that is not running yet.
func (w *world) admit() *testNode {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("node"), uint64(len(w.nodes))))
	identity, err := p2p.IdentityFromSeed(seed[:])
	if err != nil {
		w.t.Fatal(err)
	}
	m := dht.Member{
		ID: identity.ID(), Position: sha256.Sum256(append([]byte("position"), seed[:]...)), PublicKey: identity.PublicKey(),
		Name: fmt.Sprintf("node %d", len(w.nodes)),
	}
	n := &testNode{w: w, identity: identity, member: m, store: dht.NewMemory(), promises: &paxos.Memory{}}
	w.mu.Lock()
	w.members = append(slices.Clone(w.members), m)
	w.mu.Unlock()
	w.nodes = append(w.nodes, n)
	return n
}

// start starts a node, or starts it again after a crash.
func (n *testNode) start() {
	o := n.w.options
	o.Identity, o.Store = n.identity, n.store
	if clock := n.clock; clock != 0 {
		o.Now = func() time.Time { return time.Now().Add(clock) }
	}
	o.Network = func() p2p.ID { return p2p.ID{1} }
	o.Members = func() []dht.Member {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		return n.w.members
	}
	o.Alive = n.w.calls.Up
	random := rand.New(rand.NewPCG(1, binary.BigEndian.Uint64(n.member.ID[:])))
	o.Jitter = func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	var table *dht.Table
	var answer func(proto string) dht.Handler
	ready := make(chan struct{}) // somebody may ask at once
	o.Caller = n.w.calls.Add(n.member.ID, func(ctx context.Context, from p2p.ID, proto string, req []byte) ([]byte, error) {
		<-ready
		return answer(proto)(ctx, from, req)
	})
	if n.w.narrow {
		o.Caller = narrowCaller{o.Caller}
	}
	n.caller = o.Caller
	table = dht.New(o)
	n.table = table
	n.register = dht.NewRegisters(dht.RegistersOptions{
		Table: table, Caller: o.Caller, Store: n.kept(), Founder: func() (p2p.ID, bool) { return n.w.nodes[0].member.ID, n.w.registers },
		Logger: n.w.options.Logger,
	})
	registers := n.register
	handlers := registers.Handlers()
	maps.Copy(handlers, table.Handlers())
	answer = func(proto string) dht.Handler {
		n.w.mu.Lock()
		instead := n.instead
		n.w.mu.Unlock()
		if instead != nil {
			if h := instead(proto, handlers[proto]); h != nil {
				return h
			}
		}
		return handlers[proto]
	}
	close(ready)
	var ctx context.Context
	ctx, n.stop = context.WithCancel(n.w.ctx)
	go func() {
		if err := table.Run(ctx); err != nil {
			n.w.t.Error(err)
		}
	}()
	if n.w.registers {
		go func() {
			if err := registers.Run(ctx); err != nil {
				n.w.t.Error(err)
			}
		}()
	}
}

// lies has a node answer something else.
func (n *testNode) lies(instead func(proto string, honest dht.Handler) dht.Handler) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.instead = instead
}

// kept is the store of the node's promises.
func (n *testNode) kept() paxos.Store {
	if n.stepless {
		return stepless{n.promises}
	}
	return n.promises
}

// stepless is a store that did not keep steps before the third epoch.
type stepless struct{ *paxos.Memory }

func (s stepless) Steps(ctx context.Context, register p2p.Key, after uint64, most int) ([]paxos.Step, error) {
	return s.Memory.Steps(ctx, register, max(after, 2), most)
}

// narrowCaller has no links.
type narrowCaller struct{ dht.Caller }

func (narrowCaller) Limit(p2p.ID) int { return route.MaxForwarded }

func (c narrowCaller) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	resp, err := c.Caller.Call(ctx, to, proto, req)
	if len(req) > route.MaxForwarded || err == nil && len(resp) > route.MaxForwarded {
		return nil, fmt.Errorf("%s: %d bytes, an answer of %d bytes", proto, len(req), len(resp))
	}
	return resp, err
}

func (c narrowCaller) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	return c.Call(ctx, to, proto, req)
}

// crash takes a node away.
func (n *testNode) crash() {
	n.w.calls.Crash(n.member.ID)
	n.stop()
	n.w.changed()
}

// changed tells all tables that somebody came or went.
func (w *world) changed() {
	for _, n := range w.nodes {
		if w.calls.Up(n.member.ID) {
			n.table.Changed()
		}
	}
}

// repair lets all nodes compare once, one after the other.
func (w *world) repair() {
	for _, n := range w.nodes {
		if w.calls.Up(n.member.ID) {
			if err := n.table.Repair(w.ctx); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// end stops all nodes, so that a bubble can end.
func (w *world) end() {
	for _, n := range w.nodes {
		n.crash()
	}
	w.calls.Wait()
}

// copies counts the nodes that are up and have a live record with a value at an address.
func (w *world) copies(a dht.Address, value string) int {
	count := 0
	for _, n := range w.nodes {
		if !w.calls.Up(n.member.ID) {
			continue
		}
		for h, err := range n.store.Read(w.ctx, dht.Query{Location: a.Location, Domain: a.Domain, Contents: []p2p.Key{a.Content}, Versions: true}) {
			if err != nil {
				w.t.Fatal(err)
			}
			if h.Address == a && h.Kind == dht.KindValue && string(h.Value) == value {
				count++
			}
		}
	}
	return count
}

func at(name string) dht.Address { return dht.Address{Location: dht.KeyOf(name)} }

func (n *testNode) put(p dht.Put) dht.PutResult {
	n.w.t.Helper()
	r, _, err := n.table.Put(n.w.ctx, p)
	if err != nil {
		n.w.t.Fatal(err)
	}
	return r
}

func (n *testNode) get(q dht.Query) []string {
	n.w.t.Helper()
	f, _, err := n.table.Get(n.w.ctx, q, dht.ReadOptions{})
	if err != nil {
		n.w.t.Fatal(err)
	}
	var out []string
	for _, r := range f.Records {
		out = append(out, string(r.Value))
	}
	return out
}

// inBubble runs a test in virtual time. With the race detector it does not: the runtime of
// Go 1.26 then crashes where many goroutines of a bubble wait for timers
// (runtime.(*timer).maybeRunChan). What is shared is looked at in package node's tests.
func inBubble(t *testing.T, f func(t *testing.T)) {
	if raced {
		t.Skip("not with the race detector, which crashes in large bubbles: run it without")
	}
	synctest.Test(t, f)
}
