package ranges

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Table is what an index needs of a distributed table.
type Table interface {
	MultiGet(ctx context.Context, queries []dht.Query, o dht.ReadOptions) ([]dht.Found, dht.Trace, error)
	MultiPut(ctx context.Context, puts []dht.Put) ([]dht.PutResult, dht.Trace, error)
	MultiRemove(ctx context.Context, queries []dht.Query) ([]dht.Copy, []dht.PutResult, dht.Trace, error)
	RemoveUnchanged(ctx context.Context, records []dht.Header) ([]dht.PutResult, dht.Trace, error)
}

// DefaultCapacity is how many entries a segment is to have.
const DefaultCapacity = 64

// Options of an index.
type Options struct {
	Table  Table
	Name   string // of the index
	Scheme Scheme
	// Capacity is how many entries a segment is to have. 0: DefaultCapacity.
	Capacity int
	// Window is how many segments of a path, after those that seem to be full, are asked at
	// once where an entry is at one of them only. 0: DefaultWindow. Where most indexes are
	// small 1 saves messages.
	Window int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// DefaultWindow is how many segments of a path are asked at once.
const DefaultWindow = 8

// Index is one node's view of an index that all members share. Its methods may be used by
// several goroutines at once. Who has the same name and scheme has the same index.
type Index struct {
	o    Options
	bits int

	mu    sync.Mutex // guards what follows
	known map[Segment]state
}

// New returns the index.
func New(o Options) *Index {
	o.Capacity = cmp.Or(o.Capacity, DefaultCapacity)
	o.Window = cmp.Or(o.Window, DefaultWindow)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Index{o: o, bits: o.Scheme.Bits(), known: map[Segment]state{}}
}

// Name returns the name of the index.
func (x *Index) Name() string { return x.o.Name }

// Bits returns how many bits keys have.
func (x *Index) Bits() int { return x.bits }

// state is what is known of a segment. It may be out of date, and is only used where that
// costs time and nothing else.
type state struct {
	read  time.Time // when count was; zero: never
	count int
	// full: it has refused entries. That stays true long enough, since a mark that is taken
	// away leaves nothing below that is not above too.
	full   bool
	told   time.Time // when that was heard
	marked time.Time // when its mark was written last, at least; zero: not known
}

const (
	// fresh is how long a node relies on what it has read of a segment: how many entries
	// it has, and that there is a mark.
	fresh = 5 * time.Minute
	// healed is how old a mark is that may be taken away. Who refused an entry less than
	// this before wrote it anew, or relied on one that is not older than fresh and has put
	// what was refused below by now: it is seen by who takes the mark away.
	healed = 2 * fresh
	// maxKnown bounds the memory for states.
	maxKnown = 64 << 10
)

// The domains of a segment's location.
var (
	entries = dht.KeyOf("entries")
	marks   = dht.KeyOf("marks")
)

// Location returns where the table keeps a segment of the index.
func (x *Index) Location(s Segment) p2p.Key {
	return dht.KeyOf(fmt.Sprintf("range\x00%s\x00%s\x00%d\x00%d\x00%x", x.o.Name, x.o.Scheme.Name(), x.bits, s.Depth, s.Prefix))
}

// EntryAt returns where the table keeps the entry of a place, if the segment has it.
func (x *Index) EntryAt(s Segment, at Place) dht.Address {
	return dht.Address{Location: x.Location(s), Domain: entries, Content: at}
}

// MarkOf returns where the table keeps a segment's mark, if it has refused entries.
func (x *Index) MarkOf(s Segment) dht.Address { return x.markAt(s, s) }

func (x *Index) markAt(at, full Segment) dht.Address {
	return dht.Address{Location: x.Location(at), Domain: marks, Content: full.markAt(x.bits)}
}

// get returns what is known of a segment.
func (x *Index) get(s Segment) state {
	x.mu.Lock()
	defer x.mu.Unlock()
	st := x.known[s]
	if st.full && x.o.Now().Sub(st.told) >= hintTTL {
		st.full = false // somebody may have said so who was wrong
	}
	return st
}

// change changes what is known of a segment.
func (x *Index) change(s Segment, change func(*state)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st, ok := x.known[s]
	if !ok && len(x.known) >= maxKnown {
		clear(x.known)
	}
	change(&st)
	x.known[s] = st
}

// hintTTL is how long it is remembered above a segment that it is full. Who comes upon one
// that is, and has not been told above, says it again there.
const hintTTL = 24 * time.Hour

// mark returns the put that says at one segment's location that another one is full, which
// is below it or the same.
func (x *Index) mark(at, full Segment) dht.Put {
	p := dht.Put{Address: x.markAt(at, full), TTL: hintTTL}
	if at == full {
		p.TTL = dht.MaxTTL // how much is left of it says how old it is
	}
	return p
}

// learn takes what was found among the marks at the location of a segment: the segment's own
// mark, and which segments below are full. What makes no sense is not believed.
func (x *Index) learn(s Segment, found ...dht.Found) (own dht.Copy, full bool, below map[Segment]bool) {
	now := x.o.Now()
	below = map[Segment]bool{}
	for _, f := range found {
		for _, c := range f.Records {
			u, ok := marked(x.bits, c.Content)
			if !ok || c.Kind != dht.KindValue || !s.Contains(u) {
				continue
			}
			if u == s {
				own, full = c, true
			} else {
				below[u] = true
			}
			age := dht.MaxTTL - c.Left
			x.change(u, func(st *state) {
				st.full, st.told = true, now
				if u == s {
					st.marked = now.Add(-age)
				}
			})
		}
	}
	return own, full, below
}
