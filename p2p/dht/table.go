package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

// DefaultReplicas is how many members keep each record, and OpenReplicas in a network in which
// anybody can be admitted: there whoever makes up members may have three around a key, and
// against six of them has to make up a good part of the network (BENCHMARKS.md).
const (
	DefaultReplicas = 3
	OpenReplicas    = 6
)

// DefaultQuota is what one author may have at one replica.
var defaultQuota = Usage{Records: 500_000, Bytes: 256 << 20}

// defaultTotal is what all may have there in an open network.
var defaultTotal = Usage{Records: 4_000_000, Bytes: 4 << 30}

// Caller asks members, over links or through others (package route).
type Caller interface {
	Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error)
	// Exchange is Call for answers that may be long. Where there is no link, it fails with
	// p2p.ErrUnreachable.
	Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error)
	// Limit is how many bytes a request to a member may have, and the answer of an exchange
	// with it; without a link, of both in a call.
	Limit(to p2p.ID) int
}

// maxCall is up to where a request and its answer are filled in any case, and maxAlone how long
// they can be with one record alone.
const (
	maxCall  = 56 << 10
	maxAlone = route.MaxForwarded
)

// Options of a table.
type Options struct {
	Identity p2p.Identity
	Network  func() p2p.ID
	// Members returns all members, this node among them, in any order but always the same.
	// The slice is not changed later.
	Members func() []Member
	// Roster is how many members a network has at most in which this node reckons with all of
	// Members. In a larger one it finds who keeps what by lookups, if there are Contacts. 0: 2000.
	Roster int
	// Wide reports whether there are members that Members does not have, however many these
	// are; nil: there are none.
	Wide func() bool
	// Contacts finds members where there are more than Roster. Nil: Members are all, always.
	Contacts *route.Contacts
	// Size returns how many members there are, and Member one of them: for networks so large that
	// Members does not return them. Nil: as Members has it.
	Size   func() int
	Member func(p2p.ID) (Member, bool)
	// Open reports whether anybody can be admitted, so that many members of one person may sit
	// where he wants them. Nil: nobody is.
	Open func() bool
	// Alive reports whether a member can be asked now, as far as is known.
	Alive  func(p2p.ID) bool
	Caller Caller
	Store  Store
	// Replicas is how many members are to keep each record. 0: DefaultReplicas, or OpenReplicas
	// while Open says so.
	Replicas int
	// Auto raises Replicas where many members leave. SetAuto changes it.
	Auto Auto
	// Root says who sees to it that there are enough copies.
	Root Root
	// Rules are those of protection.
	Rules Rules
	// Quota bounds what one author can have here. The zero value: 500,000 records, 256 MiB.
	Quota Usage
	// Total bounds what all authors can have here together where Open says that anybody can be
	// as many as he likes. The zero value: 4,000,000 records, 4 GiB.
	Total Usage
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Jitter returns a random time below its argument. Nil: rand.N.
	Jitter func(time.Duration) time.Duration
	// Publish receives steps and what came from others.
	Publish p2p.Publish
	Logger  *slog.Logger // nil: nothing is logged
}

// Root says which of the members that keep a record send copies to the others, as in
// TomP2P.
type Root string

// The roots.
const (
	RootEvery   Root = ""     // n-root: each of them, with each other
	RootNearest Root = "zero" // 0-root: the nearest one only
)

// Table is one node's part of the distributed table, and its view of the whole. Its
// methods may be used by several goroutines at once.
type Table struct {
	o    Options
	self p2p.ID

	rules    atomic.Pointer[Rules]
	replicas atomic.Int32
	auto     atomic.Pointer[Auto]
	sizing   sync.Mutex    // held while replicas and auto change together
	number   atomic.Uint64 // of the last operation
	changes  atomic.Uint64 // of what is kept here
	repair   repairs

	strangers strangers
	confirmed confirmed
	gate      gate
	refreshes refreshes
	observer  observer
}

// New returns a table. Its Run keeps copies where they should be.
func New(o Options) *Table {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.N[time.Duration]
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Auto.Window == 0 {
		o.Auto.Window = autoWindow
	}
	if o.Roster == 0 {
		o.Roster = DefaultRoster
	}
	if o.Size == nil {
		o.Size = func() int { return len(o.Members()) }
	}
	if o.Member == nil {
		o.Member = func(id p2p.ID) (Member, bool) {
			all := o.Members()
			i := slices.IndexFunc(all, func(m Member) bool { return m.ID == id })
			if i < 0 {
				return Member{}, false
			}
			return all[i], true
		}
	}
	if o.Open == nil {
		o.Open = func() bool { return false }
	}
	if o.Wide == nil {
		o.Wide = func() bool { return false }
	}
	if o.Quota == (Usage{}) {
		o.Quota = defaultQuota
	}
	if o.Total == (Usage{}) {
		o.Total = defaultTotal
	}
	t := &Table{o: o, self: o.Identity.ID()}
	t.rules.Store(&o.Rules)
	t.replicas.Store(int32(o.Replicas))
	t.auto.Store(&o.Auto)
	t.repair.init()
	t.refreshes.changed, t.refreshes.all = make(chan struct{}, 1), map[uint64]*Refreshed{}
	return t
}

// Rules returns the rules of protection that hold at this node.
func (t *Table) Rules() Rules { return *t.rules.Load() }

// SetRules changes them, for what comes from now on.
func (t *Table) SetRules(r Rules) { t.rules.Store(&r) }

// Replicas returns how many members are to keep each record.
func (t *Table) Replicas() int {
	if n := int(t.replicas.Load()); n > 0 {
		return n
	}
	return t.least()
}

// least is how many there are to be where nobody and nothing says otherwise.
func (t *Table) least() int {
	switch {
	case t.o.Replicas > 0:
		return t.o.Replicas
	case t.o.Open():
		return OpenReplicas
	}
	return DefaultReplicas
}

// SetReplicas changes that, and ends Auto; it is at least 1 and at most MaxReplicas. What
// there is gets its copies with the next repair.
func (t *Table) SetReplicas(n int) {
	t.sizing.Lock()
	defer t.sizing.Unlock()
	t.auto.Store(&Auto{Window: autoWindow})
	t.resize(n)
}

func (t *Table) resize(n int) {
	t.replicas.Store(int32(min(max(n, 1), MaxReplicas)))
	t.Changed()
}

// MaxReplicas is how many copies a network can want.
const MaxReplicas = 20

// view returns who is there now, as far as this node knows.
func (t *Table) view() view {
	if t.Large() {
		return t.nearView()
	}
	v := view{self: t.self, members: t.o.Members(), alive: map[p2p.ID]bool{}}
	for _, m := range v.members {
		if m.ID == t.self || t.o.Alive(m.ID) {
			v.alive[m.ID] = true
		}
	}
	return v
}

// Responsible returns the members that should keep records of a location, nearest first, as far as
// this node knows without asking.
func (t *Table) Responsible(location p2p.Key) []Member {
	return t.view().replicas(location, t.Replicas())
}

// Keepers is Responsible; in a large network they are looked up. The error is the context's.
func (t *Table) Keepers(ctx context.Context, location p2p.Key) ([]Member, error) {
	v, err := t.around(ctx, t.begin("find"), []p2p.Key{location}, t.Replicas())
	if err != nil {
		return nil, fmt.Errorf("dht: who keeps %x: %w", location[:4], err)
	}
	return v.replicas(location, v.want(location, t.Replicas())), nil
}

// now is the time in Unix milliseconds.
func (t *Table) now() int64 { return t.o.Now().UnixMilli() }

// operation is one call of a method that asks others.
type operation struct {
	t     *Table
	name  string
	n     uint64
	began time.Time

	mu     sync.Mutex // guards the following
	trace  Trace
	before int // rounds of lookups, before anybody was asked for records
}

func (t *Table) begin(name string) *operation {
	return &operation{t: t, name: name, n: t.number.Add(1), began: t.o.Now()}
}

// end returns how the operation went, its steps in order.
func (o *operation) end() Trace {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trace.Took = o.t.o.Now().Sub(o.began)
	slices.SortStableFunc(o.trace.Steps, func(a, b Step) int {
		if a.Round != b.Round {
			return a.Round - b.Round
		}
		return a.To.Compare(b.To)
	})
	return o.trace
}

// ask sends one request and hands the answer to read, which says in words what it is.
func (o *operation) ask(ctx context.Context, r request, read func(resp []byte) (string, error)) error {
	o.mu.Lock()
	r.round += o.before
	o.mu.Unlock()
	s := Step{Operation: o.name, Number: o.n, Round: r.round, From: o.t.self, To: r.to, Proto: r.proto, Items: r.items, Out: len(r.message)}
	started := o.t.o.Now()
	resp, err := o.call(ctx, r)
	s.At, s.Took, s.In = started.Sub(o.began), o.t.o.Now().Sub(started), len(resp)
	o.t.met(r.to, err)
	if err == nil {
		s.Outcome, err = read(resp)
	}
	if err != nil {
		s.Failed, s.Outcome = true, err.Error()
	}
	o.note(s)
	return err
}

// note adds a step.
func (o *operation) note(s Step) {
	o.mu.Lock()
	o.trace.Rounds = max(o.trace.Rounds, s.Round)
	if s.To != o.t.self {
		o.trace.Messages++
		o.trace.Bytes += s.Out + s.In
	}
	o.trace.Steps = append(o.trace.Steps, s)
	o.mu.Unlock()
	o.t.o.Publish.Emit(s)
}

// request is one message of an operation.
type request struct {
	round   int
	to      p2p.ID
	proto   string
	items   int
	message []byte
	long    bool // the answer may be longer than that of a call
}

// call asks this node itself without a message.
func (o *operation) call(ctx context.Context, r request) ([]byte, error) {
	switch {
	case r.to == o.t.self:
		h := o.t.Handlers()[r.proto]
		if h == nil {
			return nil, fmt.Errorf("dht: %s: %w", r.proto, p2p.ErrNoProtocol)
		}
		return h(ctx, o.t.self, r.message)
	case r.long:
		return o.t.o.Caller.Exchange(ctx, r.to, r.proto, r.message)
	default:
		return o.t.o.Caller.Call(ctx, r.to, r.proto, r.message)
	}
}

// outcome counts statuses in words, the most frequent first.
func outcome(count map[Status]int) string {
	keys := slices.SortedFunc(maps.Keys(count), func(a, b Status) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return int(a) - int(b)
	})
	var words []string
	for _, s := range keys {
		words = append(words, fmt.Sprintf("%d %s", count[s], s))
	}
	if words == nil {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// Handler answers a request of a member, whichever way it came.
type Handler func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error)

// Handlers returns who answers the protocols of the table.
func (t *Table) Handlers() map[string]Handler {
	return map[string]Handler{ProtoPut: t.guard(t.handlePut), ProtoGet: t.guard(t.handleGet), ProtoSync: t.guard(t.handleSync)}
}

// each calls f for all members at once and returns when all have returned.
func each[T any](of map[p2p.ID]T, f func(p2p.ID, T)) {
	var wg sync.WaitGroup
	for id, v := range of {
		wg.Go(func() { f(id, v) })
	}
	wg.Wait()
}

// ErrNoReplica: nobody who should keep a location could be asked.
var ErrNoReplica = errors.New("no replica can be asked")
