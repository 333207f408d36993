// Command route measures how many hops a forwarded request takes, and how many links
// each member keeps for that, in networks of many sizes: the tables and the choice of the next
// hop are those of p2p/route, and nothing else of a node runs.
//
//	go run ./e2e/bench/route                      # all sizes, as in BENCHMARKS.md
//	go run ./e2e/bench/route -nodes 1000 -seed 7  # one
//
// The same arguments give the same numbers.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

func main() {
	nodes := flag.Int("nodes", 0, "members; 0: all sizes of the table")
	seed := flag.Uint64("seed", 1, "seed of positions, failures and requests")
	lookups := flag.Int("lookups", 10_000, "requests")
	failed := flag.Float64("failed", 0.1, "share of members that are gone in the second half of the table, with nobody having noticed")
	kademlia := flag.Bool("kademlia", false, "links of Kademlia instead: 8 for each bit, and siblings")
	flag.Parse()
	sizes := []int{30, 100, 300, 1000, 3000, 10_000, 34_000}
	if *nodes > 0 {
		sizes = []int{*nodes}
	}
	if err := run(os.Stdout, sizes, *seed, *lookups, *failed, *kademlia); err != nil {
		log.Fatal(err)
	}
}

// result is one row of the table.
type result struct {
	nodes         int
	want, links   spread // that a member wants, and has
	mutual        float64
	whole         routes
	stale         routes // a share is gone, and nobody has noticed
	noticed       routes // the links to them have ended, and no others have been made yet
	took          time.Duration
	mebibytesHeap uint64
}

// routes is what became of requests.
type routes struct {
	hops, messages spread
	right          int // that ended at the member nearest to the key
	of             int
}

func run(out io.Writer, sizes []int, seed uint64, lookups int, failed float64, kademlia bool) error {
	fmt.Fprintln(out, "| members | links wanted, mean / most | links, mean / most | wanted by both | hops, mean / p95 / most | at the nearest | 10 % gone: hops | messages, mean / most | at the nearest | links ended: hops | at the nearest | time, heap |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	var all []result
	for _, n := range sizes {
		r := measure(n, seed, lookups, failed, kademlia)
		all = append(all, r)
		_, err := fmt.Fprintf(out, "| %d | %.0f / %d | %.0f / %d | %.0f %% | %.2f / %d / %d | %d of %d | %.2f / %d / %d | %.2f / %d | %d of %d | %.2f / %d / %d | %d of %d | %.1f s, %d MiB |\n",
			n, r.want.mean(), r.want.most(), r.links.mean(), r.links.most(), 100*r.mutual,
			r.whole.hops.mean(), r.whole.hops.at(.95), r.whole.hops.most(), r.whole.right, r.whole.of,
			r.stale.hops.mean(), r.stale.hops.at(.95), r.stale.hops.most(), r.stale.messages.mean(), r.stale.messages.most(), r.stale.right, r.stale.of,
			r.noticed.hops.mean(), r.noticed.hops.at(.95), r.noticed.hops.most(), r.noticed.right, r.noticed.of,
			r.took.Seconds(), r.mebibytesHeap)
		if err != nil {
			return err
		}
	}
	if len(all) < 2 {
		return nil
	}
	return plot(out, all)
}

// network is members by position, and the links of each as indices.
type network struct {
	members []route.Member
	links   [][]int32
	gone    []bool
	noticed bool // who is gone has no links any more
}

func measure(n int, seed uint64, lookups int, failed float64, kademlia bool) result {
	start := time.Now()
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	w := &network{members: make([]route.Member, n), gone: make([]bool, n)}
	for i := range w.members {
		m := &w.members[i]
		binary.BigEndian.PutUint32(m.ID[:], uint32(i+1)) // not zero, and leads back to i
		fill(random, &m.Position)
	}
	r := result{nodes: n}
	wants := w.wants(seed, kademlia)
	r.links, r.mutual = w.connect(wants)
	if !kademlia {
		// All began at once, and knew of no links. Now they look again, and what neither end
		// wants any more is closed.
		wants = w.wants(seed, false)
		r.links, r.mutual = w.connect(wants)
	}
	for _, to := range wants {
		r.want = append(r.want, len(to))
	}
	slices.Sort(r.want)
	r.whole = w.requests(random, lookups)
	for i := range w.gone {
		w.gone[i] = random.Float64() < failed
	}
	r.stale = w.requests(random, lookups)
	w.noticed = true
	r.noticed = w.requests(random, lookups)
	r.took = time.Since(start)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	r.mebibytesHeap = mem.HeapSys >> 20
	return r
}

func fill(random *rand.Rand, k *p2p.Key) {
	for i := 0; i < len(k); i += 8 {
		binary.BigEndian.PutUint64(k[i:], random.Uint64())
	}
}

// index is where a member stands, by its ID.
func index(id p2p.ID) int32 { return int32(binary.BigEndian.Uint32(id[:]) - 1) }

// wants computes whom each member wants a link to.
func (w *network) wants(seed uint64, kademlia bool) [][]int32 {
	space := route.NewSpace(w.members)
	wants := make([][]int32, len(w.members))
	var all sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for part := range workers {
		all.Go(func() {
			for i := part; i < len(wants); i += workers {
				var ids []p2p.ID
				if kademlia {
					ids = w.table(i, seed)
				} else {
					ids = space.Want(w.members[i].ID, w.linked(i))
				}
				wants[i] = make([]int32, len(ids))
				for j, id := range ids {
					wants[i][j] = index(id)
				}
			}
		})
	}
	all.Wait()
	return wants
}

// linked returns to whom a member has links.
func (w *network) linked(i int) []route.Member {
	if w.links == nil {
		return nil
	}
	linked := make([]route.Member, len(w.links[i]))
	for n, j := range w.links[i] {
		linked[n] = w.members[j]
	}
	return linked
}

// table returns the links of Kademlia: who was met first stays in its bucket.
func (w *network) table(i int, seed uint64) []p2p.ID {
	t := route.NewTable(w.members[i], route.KeepOldest)
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	for _, j := range random.Perm(len(w.members)) {
		t.Insert(w.members[j])
	}
	var ids []p2p.ID
	for _, m := range t.Members() {
		ids = append(ids, m.ID)
	}
	return ids
}

// connect makes a link of each pair of which one wants the other, and tells what share
// both want.
func (w *network) connect(wants [][]int32) (degrees spread, mutual float64) {
	w.links = make([][]int32, len(wants))
	for i, to := range wants {
		for _, j := range to {
			w.links[i] = append(w.links[i], j)
			w.links[j] = append(w.links[j], int32(i))
		}
	}
	wanted, pairs := 0, 0
	for i := range w.links {
		wanted += len(wants[i])
		slices.Sort(w.links[i])
		w.links[i] = slices.Compact(w.links[i])
		pairs += len(w.links[i])
		degrees = append(degrees, len(w.links[i]))
	}
	slices.Sort(degrees)
	// A pair that both want is counted twice among the wants.
	return degrees, float64(2*wanted-pairs) / float64(pairs)
}

// requests sends requests from random members to random keys.
func (w *network) requests(random *rand.Rand, lookups int) routes {
	var living []route.Member
	for i, m := range w.members {
		if !w.gone[i] {
			living = append(living, m)
		}
	}
	space := route.NewSpace(living)
	r := routes{of: lookups}
	for range lookups {
		var key p2p.Key
		fill(random, &key)
		from := index(living[random.IntN(len(living))].ID)
		nearest := index(space.Closest(key, 1)[0].ID)
		t := trip{network: w, key: w.members[nearest].Position, target: nearest, seen: []int32{from}}
		hops, found := t.pass(from, route.MaxHops)
		if found {
			r.right++
			r.hops = append(r.hops, hops)
		}
		r.messages = append(r.messages, t.messages)
	}
	slices.Sort(r.hops)
	slices.Sort(r.messages)
	return r
}

// trip is one request. It is passed on as p2p/route does: to the best that are nearer, one
// after the other, and by each of them in the same way.
type trip struct {
	*network
	key      p2p.Key
	target   int32
	messages int
	seen     []int32
}

func (t *trip) pass(at int32, left int) (hops int, found bool) {
	if at == t.target {
		return 0, true
	}
	if left == 0 {
		return 0, false
	}
	var linked []route.Member
	for _, j := range t.links[at] {
		if !t.noticed || !t.gone[j] {
			linked = append(linked, t.members[j])
		}
	}
	if left == route.MaxHops {
		linked = route.ByDistance(t.key, linked)
	} else {
		linked = route.Ahead(t.members[at].Position, t.key, linked)
	}
	for _, m := range linked {
		j := index(m.ID)
		t.messages++
		if t.gone[j] || slices.Contains(t.seen, j) {
			continue
		}
		t.seen = append(t.seen, j)
		if hops, found = t.pass(j, left-1); found {
			return hops + 1, true
		}
	}
	return 0, false
}

// spread is a sorted sample.
type spread []int

func (s spread) mean() float64 {
	sum := 0
	for _, x := range s {
		sum += x
	}
	return float64(sum) / float64(max(len(s), 1))
}

func (s spread) most() int { return s.at(1) }

// at returns the value that a share of the sample does not exceed.
func (s spread) at(share float64) int {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(share*float64(len(s))), len(s)-1)]
}

// plot draws the means against the size: hops with everybody there, and messages with
// a tenth gone.
func plot(out io.Writer, all []result) error {
	const perUnit = 12
	if _, err := fmt.Fprintf(out, "\n%8s  hops: #, and with 10 %% gone messages: +\n", "members"); err != nil {
		return err
	}
	for _, r := range all {
		bar := func(mark string, x float64) string { return strings.Repeat(mark, int(x*perUnit+.5)) }
		if _, err := fmt.Fprintf(out, "%8d |%s %.2f\n%8s |%s %.2f\n", r.nodes,
			bar("#", r.whole.hops.mean()), r.whole.hops.mean(), "", bar("+", r.stale.messages.mean()), r.stale.messages.mean()); err != nil {
			return err
		}
	}
	return nil
}
