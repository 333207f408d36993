// Command words measures what it takes to find documents by their words in the table, by each
// plan of p2p/keyword: real tables and their messages, in one process.
//
//	go run ./e2e/bench/words                  # as in BENCHMARKS.md, a minute
//	go run ./e2e/bench/words -documents 500
//
// The same arguments give the same messages; bytes differ by what signatures are like.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

func main() {
	nodes := flag.Int("nodes", 30, "members")
	documents := flag.Int("documents", 500, "documents")
	words := flag.Int("words", 60, "words of a document")
	vocabulary := flag.Int("vocabulary", 3000, "words that there are")
	queries := flag.Int("queries", 60, "questions for each row")
	seed := flag.Uint64("seed", 1, "seed of words and questions")
	flag.Parse()
	if err := run(*nodes, *documents, *words, *vocabulary, *queries, *seed); err != nil {
		log.Fatal(err)
	}
}

// tables starts a network of real tables in this process.
func tables(n int) ([]*dht.Table, error) {
	calls := sim.NewCalls(sim.CallOptions{Latency: time.Microsecond, Timeout: time.Minute})
	var members []dht.Member
	var who []p2p.Identity
	for i := range n {
		seed := sha256.Sum256(fmt.Append(nil, "node ", i))
		id, err := p2p.IdentityFromSeed(seed[:])
		if err != nil {
			return nil, err
		}
		who = append(who, id)
		members = append(members, dht.Member{ID: id.ID(), Position: sha256.Sum256(append(seed[:], 1)), PublicKey: id.PublicKey(), Name: fmt.Sprint("node ", i)})
	}
	all := make([]*dht.Table, n)
	for i, id := range who {
		o := dht.Options{
			Identity: id, Store: dht.NewMemory(), Alive: calls.Up,
			Network: func() p2p.ID { return p2p.ID{1} }, Members: func() []dht.Member { return members },
		}
		o.Caller = calls.Add(id.ID(), func(ctx context.Context, from p2p.ID, proto string, req []byte) ([]byte, error) {
			return all[i].Handlers()[proto](ctx, from, req)
		})
		all[i] = dht.New(o)
	}
	return all, nil
}

// spell returns words that can be pronounced, as different as those of a language.
func spell(r *rand.Rand, n int) []string {
	seen := map[string]bool{}
	var out []string
	for len(out) < n {
		w := ""
		for range 2 + r.IntN(3) {
			w += string("bcdfghjklmnprstvwz"[r.IntN(18)]) + string("aeiou"[r.IntN(5)])
			if r.IntN(3) == 0 {
				w += string("lmnrst"[r.IntN(6)])
			}
		}
		if len(w) >= 6 && !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

func run(nodes, documents, words, vocabulary, queries int, seed uint64) error {
	all, err := tables(nodes)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	// Words as in texts: the second is half as frequent as the first, and so on.
	zipf := rand.NewZipf(r, 1.1, 8, uint64(vocabulary-1))
	spelled := spell(r, vocabulary)
	word := func() string { return spelled[zipf.Uint64()] }
	ctx := context.Background()
	publisher := keyword.New(keyword.Options{Table: all[0], Name: "bench"})
	var kept [][]string
	var total dht.Trace
	entries := 0
	began := time.Now()
	for i := 0; i < documents; i += 100 {
		var some []keyword.Document
		for j := range min(100, documents-i) {
			var own []string
			for len(own) < words {
				if w := word(); !slices.Contains(own, w) {
					own = append(own, w)
				}
			}
			kept = append(kept, own)
			id := fmt.Sprint("document ", i+j)
			some = append(some, keyword.Document{ID: id, Terms: own, Pairs: own[:4], Value: fmt.Appendf(nil, "%-150s", id)})
		}
		p, err := publisher.Publish(ctx, some, 1, time.Hour)
		if err != nil {
			return err
		}
		entries += p.Entries
		total.Messages, total.Bytes, total.Rounds = total.Messages+p.Trace.Messages, total.Bytes+p.Trace.Bytes, max(total.Rounds, p.Trace.Rounds)
	}
	fmt.Printf("%d documents of %d words, %d members: %d entries, %d messages, %.1f MB, at most %d rounds for 100 documents, %.1f s\n\n",
		documents, words, nodes, entries, total.Messages, float64(total.Bytes)/1e6, total.Rounds, time.Since(began).Seconds())

	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "question\tplan\trounds (most)\tmessages (mean)\tkB (mean, p95)\tfilters kB\tfound (mean)")
	for _, c := range []struct {
		name string
		n    int
		any  bool
	}{{"one word", 1, false}, {"any of two", 2, true}, {"two words", 2, false}, {"three words", 3, false}} {
		var asked [][]string
		for len(asked) < queries {
			d := kept[r.IntN(len(kept))]
			var q []string
			for len(q) < c.n {
				if one := d[r.IntN(len(d))]; !slices.Contains(q, one) {
					q = append(q, one)
				}
			}
			asked = append(asked, q)
		}
		plans := []keyword.Plan{keyword.PlanLists}
		if c.n > 1 && !c.any {
			plans = keyword.Plans()
		}
		for _, plan := range plans {
			var sizes []float64
			rounds, messages, filters, found := 0, 0, 0, 0
			for _, q := range asked {
				a, err := keyword.New(keyword.Options{Table: all[1], Name: "bench"}).Search(ctx, keyword.Query{Terms: q, Any: c.any, Plan: plan, Limit: 1000})
				if err != nil {
					return err
				}
				rounds, messages, found = max(rounds, a.Trace.Rounds), messages+a.Trace.Messages, found+a.Total
				sizes = append(sizes, float64(a.Trace.Bytes)/1000)
				for _, s := range a.Steps {
					for _, n := range s.Filters {
						filters += n
					}
				}
			}
			slices.Sort(sizes)
			sum := 0.0
			for _, s := range sizes {
				sum += s
			}
			n := float64(len(asked))
			fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.1f, %.1f\t%.1f\t%.1f\n", c.name, plan, rounds, float64(messages)/n, sum/n, sizes[int(math.Ceil(0.95*n))-1], float64(filters)/n/1000, float64(found)/n)
		}
	}
	rounds, messages, found := 0, 0, 0
	var sizes []float64
	for range queries {
		d := kept[r.IntN(len(kept))]
		typo := []byte(d[r.IntN(len(d))])
		i := 1 + r.IntN(len(typo)-2)
		typo[i], typo[i+1] = typo[i+1], typo[i]
		a, err := keyword.New(keyword.Options{Table: all[1], Name: "bench"}).Search(ctx, keyword.Query{Terms: []string{string(typo)}, Similar: 1, Limit: 1000})
		if err != nil {
			return err
		}
		rounds, messages, found = max(rounds, a.Trace.Rounds), messages+a.Trace.Messages, found+a.Total
		sizes = append(sizes, float64(a.Trace.Bytes)/1000)
	}
	slices.Sort(sizes)
	sum := 0.0
	for _, s := range sizes {
		sum += s
	}
	n := float64(queries)
	fmt.Fprintf(w, "one word, two letters exchanged\tsimilar\t%d\t%.1f\t%.1f, %.1f\t\t%.1f\n", rounds, float64(messages)/n, sum/n, sizes[int(math.Ceil(0.95*n))-1], float64(found)/n)
	return w.Flush()
}
