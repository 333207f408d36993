package lexicon

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// BenchmarkLearn has a member learn 100,000 words from each of three others, of which two have the
// same: what that takes on the wire, in memory for good, and in time.
func BenchmarkLearn(b *testing.B) {
	c := newClock()
	words, others := lexiconOf(100_000, 1), lexiconOf(100_000, 2)
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{}}
	for i, list := range [][]string{words, words, others} {
		var docs []doc
		for j, some := range slices.Collect(slices.Chunk(list, 400)) {
			docs = append(docs, text(fmt.Sprint("d", j), some...))
		}
		p.nodes[node(byte(i+2))] = NewOffers(indexOf(b, docs...), c.now)
	}
	var before, after runtime.MemStats
	var r *learner
	for b.Loop() {
		b.StopTimer()
		r, p.bytes = nil, 0
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		r = learnerOf(p, c)
		r.once(context.Background())
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		c.pass(every * 100)
		b.StartTimer()
	}
	s := r.Status()
	b.ReportMetric(float64(p.bytes)/1024, "KiB-wire")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Words), "B/word")
	b.ReportMetric(float64(s.Words), "words")
}

// BenchmarkView makes anew what is told of an index with 100,000 words, as happens when a
// document has come and somebody asks.
func BenchmarkView(b *testing.B) {
	var docs []doc
	for j, some := range slices.Collect(slices.Chunk(lexiconOf(100_000, 1), 400)) {
		docs = append(docs, text(fmt.Sprint("d", j), some...))
	}
	x := indexOf(b, docs...)
	o := NewOffers(x, nil)
	for b.Loop() {
		if _, err := o.make(context.Background(), x.ViewOf(node(2))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkComplete completes two letters, and a mistyped word, among 200,000 words.
func BenchmarkComplete(b *testing.B) {
	c := newClock()
	own := indexOf(b, text("a", lexiconOf(100_000, 1)...))
	r := learnerOf(&peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(indexOf(b, text("a", lexiconOf(100_000, 2)...)), c.now)}}, c)
	r.once(context.Background())
	for _, typed := range []string{"ea", "eatro", "eatrxqzo"} {
		b.Run(typed, func(b *testing.B) {
			for b.Loop() {
				r.Complete(own, typed, 6)
			}
		})
	}
}
