package ranges_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
)

// schemes are all that there are, for keys of 64 bits.
var schemes = map[string]ranges.Scheme{
	"dst":     dst.Tree{KeyBits: 64, LeafBits: 44},
	"pht":     pht.Tree{KeyBits: 64},
	"buckets": ranges.Buckets{KeyBits: 64, Depth: 6},
}

// clock is the time of a test.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// world is an index over a network, with all entries that it must have.
type world struct {
	t       testing.TB
	clock   *clock
	network *rangetest.Network // nil: the table is a real one
	table   ranges.Table
	scheme  ranges.Scheme
	index   *ranges.Index
	all     map[ranges.Place]expected
}

type expected struct {
	value   string
	expires time.Time
}

func newWorld(t testing.TB, scheme ranges.Scheme, capacity int) *world {
	w := &world{t: t, clock: &clock{time.Unix(1_800_000_000, 0)}, scheme: scheme, all: map[ranges.Place]expected{}}
	w.network = rangetest.New(100, 3, w.clock.now)
	w.table = w.network
	w.index = w.node(capacity)
	return w
}

// node returns the index as another node sees it.
func (w *world) node(capacity int) *ranges.Index {
	return ranges.New(ranges.Options{Table: w.table, Name: "test", Scheme: w.scheme, Capacity: capacity, Now: w.clock.now})
}

func (w *world) insert(x *ranges.Index, entries ...ranges.Entry) dht.Trace {
	w.t.Helper()
	w.clock.at = w.clock.at.Add(time.Microsecond)
	results, trace, err := x.Insert(context.Background(), entries)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, r := range results {
		if !r.Status.Stored() {
			w.t.Fatalf("%+v: %s", entries[i], r.Status)
		}
		e := expected{value: string(entries[i].Value)}
		if entries[i].TTL > 0 {
			e.expires = w.clock.at.Add(entries[i].TTL)
		}
		w.all[entries[i].Place()] = e
	}
	return trace
}

// want returns the values of a range in order.
func (w *world) want(from, to uint64, descending bool) []string {
	var places []ranges.Place
	for p, e := range w.all {
		if k := ranges.KeyAt(p); k >= from && k <= to && (e.expires.IsZero() || w.clock.at.Before(e.expires)) {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, ranges.Place.Compare)
	if descending {
		slices.Reverse(places)
	}
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = w.all[p].value
	}
	return out
}

// query asks for a range, page by page, and checks that it is exactly what is there.
func (w *world) query(x *ranges.Index, r ranges.Range) (first ranges.Answer) {
	w.t.Helper()
	var got []string
	for page := 0; ; page++ {
		a, err := x.Query(context.Background(), r)
		if err != nil {
			w.t.Fatal(err)
		}
		if page == 0 {
			first = a
		}
		for _, e := range a.Entries {
			got = append(got, string(e.Value))
		}
		if a.Partial || len(a.Entries) > cmp.Or(r.Limit, ranges.DefaultLimit) {
			w.t.Fatalf("page %d of %+v: partial %v, %d entries", page, r, a.Partial, len(a.Entries))
		}
		if a.Next == nil {
			break
		}
		if page == 10_000 {
			w.t.Fatalf("%+v: no end", r)
		}
		r.After = a.Next
	}
	if want := w.want(r.From, r.To, r.Descending); !slices.Equal(got, want) {
		w.t.Fatalf("%+v: %d entries, want %d: %.300v, want %.300v", r, len(got), len(want), got, want)
	}
	return first
}

func entry(key uint64, id any) ranges.Entry {
	s := fmt.Sprint(key, " ", id)
	return ranges.Entry{Key: key, ID: s, Value: []byte(s)}
}

// each runs a test with each scheme.
func each(t *testing.T, f func(t *testing.T, s ranges.Scheme)) {
	for name, s := range schemes {
		t.Run(name, func(t *testing.T) { f(t, s) })
	}
}

// keysOf are the ways in which keys can lie, as functions of how many there were before.
var keysOf = map[string]func(r *rand.Rand, i int) uint64{
	"uniform":       func(r *rand.Rand, _ int) uint64 { return r.Uint64() },
	"sequential":    func(_ *rand.Rand, i int) uint64 { return 1_800_000_000_000 + uint64(i) },
	"common prefix": func(r *rand.Rand, _ int) uint64 { return 0xABCDEF0123<<24 | r.Uint64N(1<<24) },
	"equal":         func(*rand.Rand, int) uint64 { return 1 << 63 },
	"Zipf":          func(r *rand.Rand, _ int) uint64 { return zipf(r) },
}

// zipf returns numbers that are the rarer the larger they are.
func zipf(r *rand.Rand) uint64 { return uint64(math.Pow(2, r.ExpFloat64()*4)) }

// TestMatrix: whatever the keys are like, and whoever asks, each range has exactly what was
// put into it.
func TestMatrix(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		for name, key := range keysOf {
			t.Run(name, func(t *testing.T) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				r := rand.New(rand.NewPCG(seed, 0))
				w := newWorld(t, s, 8)
				other := w.node(8)
				var some []ranges.Entry
				for i := range 300 {
					e := entry(key(r, i), i)
					e.New = r.IntN(2) == 0
					some = append(some, e)
					if len(some) > r.IntN(20) {
						w.insert([]*ranges.Index{w.index, other}[i%2], some...)
						some = nil
					}
				}
				w.insert(w.index, some...)
				bounds := []uint64{0, 1, 1 << 63, 1<<63 - 1, 1<<63 + 1, math.MaxUint64}
				for range 12 {
					bounds = append(bounds, key(r, r.IntN(300)), r.Uint64())
				}
				for _, x := range []*ranges.Index{w.index, other, w.node(8)} {
					w.query(x, ranges.Range{To: math.MaxUint64})
					w.query(x, ranges.Range{To: math.MaxUint64, Descending: true, Limit: 7})
					for range 10 {
						a, b := bounds[r.IntN(len(bounds))], bounds[r.IntN(len(bounds))]
						w.query(x, ranges.Range{From: a, To: b, Limit: r.IntN(60), Descending: r.IntN(2) == 0})
					}
				}
			})
		}
	})
}

// TestRounds: a range costs two rounds at most, and no more messages than there are nodes,
// even for a node that knows nothing.
func TestRounds(t *testing.T) {
	for _, name := range []string{"dst", "pht"} {
		for keys, key := range keysOf {
			t.Run(name+" "+keys, func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				w := newWorld(t, schemes[name], 32)
				const batch, batches = 500, 6
				for i := range batches {
					var some []ranges.Entry
					for j := range batch {
						some = append(some, entry(key(r, batch*i+j), batch*i+j))
					}
					w.insert(w.index, some...)
				}
				rounds, messages, queries := 0, 0, 0
				for range 20 {
					a := key(r, r.IntN(batch*batches))
					b := a + r.Uint64N(1<<uint(1+r.IntN(50)))
					got := w.query(w.node(32), ranges.Range{From: a, To: max(a, b), Limit: ranges.MaxLimit})
					if got.Next == nil {
						rounds = max(rounds, got.Trace.Rounds)
						queries++
						messages += got.Trace.Messages
					}
					if got.Trace.Messages > 100*got.Trace.Rounds {
						t.Errorf("%d messages to 100 nodes in %d rounds", got.Trace.Messages, got.Trace.Rounds)
					}
				}
				t.Logf("most rounds %d, %.1f messages a query", rounds, float64(messages)/float64(max(queries, 1)))
				if rounds > 2 {
					t.Errorf("%d rounds", rounds)
				}
			})
		}
	}
}

// TestEqualKeys: two thousand entries can have one key.
func TestEqualKeys(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := newWorld(t, s, 16)
		for i := range 200 {
			var some []ranges.Entry
			for j := range 10 {
				some = append(some, entry(42, 10*i+j))
			}
			w.insert(w.index, some...)
		}
		w.query(w.index, ranges.Range{From: 42, To: 42, Limit: ranges.MaxLimit})
		w.query(w.node(16), ranges.Range{From: 0, To: 42, Limit: 300})
		w.query(w.node(16), ranges.Range{From: 43, To: 1000})
	})
}

// TestCommonPrefix: one entry more than a segment has room for costs one put, however many
// bits all keys have in common.
func TestCommonPrefix(t *testing.T) {
	w := newWorld(t, pht.Tree{KeyBits: 64}, 16)
	for i := range 16 {
		w.insert(w.index, entry(0xABCDEF0123<<24|uint64(i)<<10, i))
	}
	trace := w.insert(w.index, entry(0xABCDEF0123<<24|7, 16))
	if trace.Rounds > 2 {
		t.Errorf("a split took %d rounds", trace.Rounds)
	}
	w.query(w.node(16), ranges.Range{To: math.MaxUint64})
}

// TestSequential: with keys that only grow no segment is asked to keep much more than the
// others, and the newest are found at once.
func TestSequential(t *testing.T) {
	w := newWorld(t, dst.Tree{KeyBits: 41, LeafBits: 10}, 64)
	const n = 5_000
	var some []ranges.Entry
	for i := range uint64(n) {
		if some = append(some, entry(1<<40+i*977, i)); len(some) == 500 {
			w.insert(w.index, some...)
			some = nil
		}
	}
	most, total := 0, 0
	for _, puts := range w.network.Puts() {
		most, total = max(most, puts), total+puts
	}
	t.Logf("%d puts of %d entries, at most %d at one of %d locations", total, n, most, len(w.network.Puts()))
	if most > 400 {
		t.Errorf("%d puts at one location", most)
	}
	a := w.query(w.node(64), ranges.Range{From: 1<<40 + (n-100)*977, To: math.MaxUint64})
	if len(a.Entries) != 100 || a.Trace.Rounds > 2 {
		t.Errorf("the newest: %d entries in %d rounds", len(a.Entries), a.Trace.Rounds)
	}
}

// TestBadRanges: ranges that are none, and cursors from somewhere else.
func TestBadRanges(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := newWorld(t, s, 4)
		for i := range uint64(20) {
			w.insert(w.index, entry(i, i))
		}
		for _, r := range []ranges.Range{{From: 5, To: 4}, {From: math.MaxUint64, To: 0}} {
			if a := w.query(w.index, r); len(a.Entries) != 0 || a.Next != nil {
				t.Errorf("%+v: %+v", r, a)
			}
		}
		lowest, highest := ranges.Place{}, ranges.Place(slices.Repeat([]byte{255}, 32))
		for _, r := range []ranges.Range{{To: 5, After: &highest}, {From: 5, To: 9, After: &lowest, Descending: true}, {To: 9, After: &highest, Descending: true, Limit: 4096}, {To: 9, After: &lowest}} {
			if _, err := w.index.Query(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
		for _, limit := range []int{-1, ranges.MaxLimit + 1} {
			if _, err := w.index.Query(t.Context(), ranges.Range{Limit: limit}); err == nil {
				t.Errorf("limit %d", limit)
			}
		}
	})
	x := ranges.New(ranges.Options{Table: rangetest.New(1, 1, time.Now), Scheme: dst.Tree{KeyBits: 8}})
	if _, _, err := x.Insert(t.Context(), []ranges.Entry{{Key: 256}}); err == nil || !strings.Contains(err.Error(), "8 bits") {
		t.Errorf("a key of 9 bits: %v", err)
	}
}

// TestRemoval: what was removed or has ended is not there, and segments that were full are
// so no more after a while.
func TestRemoval(t *testing.T) {
	for _, name := range []string{"dst", "pht"} {
		for _, ends := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ends ", ends), func(t *testing.T) {
				w := newWorld(t, schemes[name], 8)
				var all []ranges.Entry
				for i := range uint64(100) {
					e := entry(i<<55, i)
					if ends {
						e.TTL = time.Hour
					}
					all = append(all, e)
				}
				w.insert(w.index, all...)
				if a := w.query(w.node(8), ranges.Range{To: math.MaxUint64}); !full(a) {
					t.Fatal("nothing is full")
				}
				if ends {
					w.clock.at = w.clock.at.Add(2 * time.Hour)
				} else {
					for _, e := range all {
						removed, _, err := w.index.Remove(t.Context(), e.Place())
						if err != nil || !removed {
							t.Fatal(removed, err)
						}
						delete(w.all, e.Place())
					}
					if removed, _, err := w.index.Remove(t.Context(), all[0].Place()); removed || err != nil {
						t.Error("removed twice:", err)
					}
					if a := w.query(w.node(8), ranges.Range{To: math.MaxUint64}); !full(a) || mended(a) > 0 {
						t.Error("a young mark was taken away")
					}
					w.clock.at = w.clock.at.Add(11 * time.Minute)
				}
				if a := w.query(w.node(8), ranges.Range{To: math.MaxUint64}); mended(a) == 0 {
					t.Errorf("nothing was mended: %+v", a.Segments)
				}
				if a := w.query(w.node(8), ranges.Range{To: math.MaxUint64}); full(a) {
					t.Errorf("still full: %+v", a.Segments)
				}
				w.insert(w.index, all[:20]...)
				for _, x := range []*ranges.Index{w.index, w.node(8)} {
					w.query(x, ranges.Range{To: math.MaxUint64})
				}
			})
		}
	}
}

func full(a ranges.Answer) bool {
	return slices.ContainsFunc(a.Segments, func(s ranges.Asked) bool { return s.Full })
}

func mended(a ranges.Answer) (n int) {
	for _, s := range a.Segments {
		if s.Mended {
			n++
		}
	}
	return n
}

// TestRefresh: entries that are put again stay where they are, with their new values.
func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := newWorld(t, s, 8)
		for round := range 5 {
			var all []ranges.Entry
			for i := range uint64(200) {
				e := entry(i*i<<40, i)
				e.Value, e.TTL = fmt.Append(nil, round, " ", i), time.Hour
				all = append(all, e)
			}
			w.insert(w.node(8), all...)
			w.query(w.node(8), ranges.Range{To: math.MaxUint64})
			w.clock.at = w.clock.at.Add(50 * time.Minute)
			w.query(w.index, ranges.Range{To: math.MaxUint64})
		}
	})
}

// TestRandom: members put, remove and ask in any order, each with its own knowledge; of what
// is said to be kept nothing is ever missing.
func TestRandom(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		for range 15 {
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, s, 3)
			nodes := []*ranges.Index{w.index, w.node(3), w.node(5)}
			var keys []ranges.Entry
			ok := t.Run("", func(t *testing.T) {
				t.Logf("seed %d", seed)
				w.t = t
				for i := range 150 {
					x := nodes[r.IntN(len(nodes))]
					switch r.IntN(6) {
					case 0, 1:
						e := entry(r.Uint64N(64)<<uint(r.IntN(58)), i)
						if r.IntN(2) == 0 {
							e.TTL = time.Duration(1+r.IntN(40)) * time.Minute
						}
						keys = append(keys, e)
						w.insert(x, e)
					case 2:
						if len(keys) > 0 {
							e := keys[r.IntN(len(keys))]
							e.Value = fmt.Append(nil, "again ", i)
							w.insert(x, e)
						}
					case 3:
						if len(keys) > 0 {
							p := keys[r.IntN(len(keys))].Place()
							if _, _, err := x.Remove(t.Context(), p); err != nil {
								t.Fatal(err)
							}
							delete(w.all, p)
						}
					case 4:
						w.clock.at = w.clock.at.Add(time.Duration(r.IntN(9)) * time.Minute)
					case 5:
						a, b := r.Uint64()>>uint(r.IntN(64)), r.Uint64()>>uint(r.IntN(64))
						w.query(x, ranges.Range{From: min(a, b), To: max(a, b), Limit: r.IntN(20), Descending: r.IntN(2) == 0})
					}
					w.query(x, ranges.Range{To: math.MaxUint64})
				}
			})
			if !ok {
				return
			}
		}
	})
}

// TestInsertMeanwhile: an entry that another member puts while a query mends a mark is found
// afterwards, whatever comes first.
func TestInsertMeanwhile(t *testing.T) {
	for _, name := range []string{"dst", "pht"} {
		for when := 1; when < 8; when++ {
			w := newWorld(t, schemes[name], 2)
			for i := range uint64(6) {
				w.insert(w.index, entry(i, i))
			}
			other := w.node(2)
			w.insert(other, entry(100, "other")) // it knows what is full
			for p := range w.all {
				if _, _, err := w.index.Remove(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			clear(w.all)
			w.clock.at = w.clock.at.Add(11 * time.Minute)
			n, busy := 0, false
			w.network.Before(func(string) {
				if busy {
					return
				}
				if n++; n == when {
					busy = true
					w.insert(other, entry(7, "meanwhile"), entry(8, "meanwhile"), entry(9, "meanwhile"))
					busy = false
				}
			})
			if _, err := w.node(2).Query(t.Context(), ranges.Range{To: math.MaxUint64}); err != nil {
				t.Fatal(err)
			}
			w.network.Before(nil)
			for _, x := range []*ranges.Index{w.node(2), other, w.index} {
				w.query(x, ranges.Range{To: math.MaxUint64})
				w.query(x, ranges.Range{From: 7, To: 8})
			}
		}
	}
}

// TestUnreachable: where those who keep a segment cannot be asked, the answer says so, and
// what could not be kept is not said to be.
func TestUnreachable(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := newWorld(t, s, 2)
		w.insert(w.index, entry(1, 1), entry(2, 2), entry(3, 3))
		path := s.Path(1 << 60)
		w.network.Fail(w.index.Location(path[0]), true)
		a, err := w.node(2).Query(t.Context(), ranges.Range{To: math.MaxUint64})
		if err != nil || !a.Partial {
			t.Errorf("partial %v: %v", a.Partial, err)
		}
		r, _, err := w.node(2).Insert(t.Context(), []ranges.Entry{entry(1<<60, 0)})
		if err != nil || r[0].Status.Stored() {
			t.Errorf("%+v: %v", r, err)
		}
	})
}

// TestUnreachableRemoval: what may still be there is not said to be removed.
func TestUnreachableRemoval(t *testing.T) {
	each(t, func(t *testing.T, s ranges.Scheme) {
		w := newWorld(t, s, 2)
		e := entry(1<<60, 0)
		w.insert(w.index, e)
		at := w.index.Location(s.Path(e.Key)[0])
		w.network.Fail(at, true)
		if removed, _, err := w.node(2).Remove(t.Context(), e.Place()); err == nil || removed {
			t.Errorf("removed %v, where nobody could be asked", removed)
		}
		w.network.Fail(at, false)
		if removed, _, err := w.node(2).Remove(t.Context(), e.Place()); err != nil || !removed && s.Name() != "dst" {
			t.Errorf("removed %v: %v", removed, err)
		}
		w.all = nil
		w.query(w.node(2), ranges.Range{To: math.MaxUint64})
	})
}
