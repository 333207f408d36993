// Command ranges counts what entries of an ordered index and questions for ranges cost: the
// indexes are those of p2p/ranges, p2p/dst and p2p/pht, over a table that counts what a network
// of so many members would send (p2p/ranges/rangetest).
//
//	go run ./e2e/bench/ranges                 # as in BENCHMARKS.md
//	go run ./e2e/bench/ranges -nodes 30 -keys equal
//
// The same arguments give the same numbers.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/pht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
)

func main() {
	nodes := flag.Int("nodes", 0, "members; 0: 30, 1000 and 34,000")
	keys := flag.String("keys", "", "how keys lie; empty: all ways")
	entries := flag.Int("entries", 20_000, "entries of an index")
	seed := flag.Uint64("seed", 1, "seed of keys and questions")
	flag.Parse()
	sizes := []int{30, 1000, 34_000}
	if *nodes > 0 {
		sizes = []int{*nodes}
	}
	if err := run(sizes, *keys, *entries, *seed); err != nil {
		log.Fatal(err)
	}
}

// way is how keys lie.
type way struct {
	name string
	key  func(r *rand.Rand, i int) uint64
}

var ways = []way{
	{"uniform", func(r *rand.Rand, _ int) uint64 { return r.Uint64N(1 << keyBits) }},
	{"sequential", func(_ *rand.Rand, i int) uint64 { return 1<<31 + uint64(i) }},
	{"equal", func(*rand.Rand, int) uint64 { return 1 << 31 }},
	{"common prefix", func(r *rand.Rand, _ int) uint64 { return 0xABCDE<<12 | r.Uint64N(1<<12) }},
	{"Zipf", func(r *rand.Rand, _ int) uint64 {
		return uint64(min(math.Pow(2, r.ExpFloat64()*4), 1<<keyBits-1))
	}},
}

// keyBits is what all indexes have, so that they can be compared.
const keyBits = 32

func run(sizes []int, keys string, entries int, seed uint64) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "nodes\tkeys\tindex\trecords an entry\tmost at one place\tan insert: rounds, messages\tof one who knows\t1000 at once\ta range of about 100: rounds (most), messages (p95)\tof one who knows")
	for _, n := range sizes {
		for _, way := range ways {
			if keys != "" && keys != way.name {
				continue
			}
			for _, s := range []ranges.Scheme{dst.Tree{KeyBits: keyBits}, pht.Tree{KeyBits: keyBits}, ranges.Buckets{KeyBits: keyBits, Depth: 8}} {
				if err := row(w, n, way, s, entries, seed); err != nil {
					return err
				}
			}
		}
	}
	return w.Flush()
}

// row measures one index.
func row(w *tabwriter.Writer, nodes int, way way, s ranges.Scheme, entries int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	now := time.Unix(1_800_000_000, 0)
	network := rangetest.New(nodes, 3, func() time.Time { return now })
	open := func() *ranges.Index {
		return ranges.New(ranges.Options{Table: network, Name: "bench", Scheme: s, Now: func() time.Time { return now }})
	}
	i := 0
	some := func(n int) (out []ranges.Entry) {
		for range n {
			id := fmt.Sprint(i)
			out = append(out, ranges.Entry{Key: way.key(r, i), ID: id, Value: []byte(id), New: true})
			i++
		}
		return out
	}
	ctx := context.Background()
	insert := func(x *ranges.Index, n int) (dht.Trace, error) {
		now = now.Add(time.Microsecond)
		results, trace, err := x.Insert(ctx, some(n))
		for _, result := range results {
			if !result.Status.Stored() {
				return trace, fmt.Errorf("%s: not stored: %s", s.Name(), result.Status)
			}
		}
		return trace, err
	}
	owner := open()
	var bulk dht.Trace
	for range entries / 1000 {
		var err error
		if bulk, err = insert(owner, 1000); err != nil {
			return err
		}
	}
	most, total := 0, 0
	for _, puts := range network.Puts() {
		most, total = max(most, puts), total+puts
	}
	var cold, warm, asked, again []dht.Trace
	for range 100 {
		x := open()
		t, err := insert(x, 1)
		if err != nil {
			return err
		}
		cold = append(cold, t)
		if t, err = insert(owner, 1); err != nil {
			return err
		}
		warm = append(warm, t)
	}
	reader := open()
	for range 200 {
		from := some(1)[0].Key
		to := from
		switch way.name {
		case "uniform":
			to += 100 * (1 << keyBits) / uint64(entries)
		case "sequential":
			from = 1<<31 + r.Uint64N(uint64(entries))
			to = from + 100
		}
		q := ranges.Range{From: from, To: to, Limit: 100}
		a, err := open().Query(ctx, q)
		if err != nil {
			return err
		}
		asked = append(asked, a.Trace)
		if a, err = reader.Query(ctx, q); err != nil {
			return err
		}
		again = append(again, a.Trace)
	}
	fmt.Fprintf(w, "%d\t%s\t%s\t%.1f\t%d\t%.1f, %.0f\t%.1f, %.0f\t%d, %d\t%d, %d\t%d, %d\n",
		nodes, way.name, s.Name(), float64(total)/float64(entries), most,
		mean(cold, rounds), mean(cold, messages), mean(warm, rounds), mean(warm, messages), bulk.Rounds, bulk.Messages,
		at(asked, rounds, 1), at(asked, messages, 0.95), at(again, rounds, 1), at(again, messages, 0.95))
	return nil
}

func rounds(t dht.Trace) int   { return t.Rounds }
func messages(t dht.Trace) int { return t.Messages }

func mean(all []dht.Trace, of func(dht.Trace) int) float64 {
	sum := 0
	for _, t := range all {
		sum += of(t)
	}
	return float64(sum) / float64(len(all))
}

// at returns the value that so many of all do not exceed.
func at(all []dht.Trace, of func(dht.Trace) int, share float64) int {
	var values []int
	for _, t := range all {
		values = append(values, of(t))
	}
	slices.Sort(values)
	return values[int(math.Ceil(share*float64(len(values))))-1]
}
