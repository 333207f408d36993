package lexicon

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func node(n byte) p2p.ID { return p2p.ID{n} }

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time           { return c.at }
func (c *clock) pass(by time.Duration)    { c.at = c.at.Add(by) }
func newClock() *clock                    { return &clock{time.Unix(1_700_000_000, 0)} }
func text(id string, words ...string) doc { return doc{id, "", words} }

type doc struct {
	id, folder string
	words      []string
}

// indexOf returns an index in memory.
func indexOf(t testing.TB, docs ...doc) *search.Index {
	t.Helper()
	x, err := search.Open(context.Background(), search.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	put(t, x, docs...)
	return x
}

func put(t testing.TB, x *search.Index, docs ...doc) {
	t.Helper()
	var all []search.Document
	for _, d := range docs {
		one := search.Document{ID: d.id, Title: "x", Folder: d.folder, Text: strings.Join(d.words, " ")}
		if d.folder != "" {
			one.Path = d.id + "0"
		}
		all = append(all, one)
	}
	if err := x.Put(context.Background(), all); err != nil {
		t.Fatal(err)
	}
}

// peers is a p2p.Caller over what answers for each node, which counts.
type peers struct {
	self  p2p.ID
	nodes map[p2p.ID]*Offers
	spoil func([]byte) []byte

	mu    sync.Mutex // guards calls and bytes
	calls int
	bytes int
}

func (p *peers) Call(ctx context.Context, to p2p.ID, proto string, b []byte) ([]byte, error) {
	o := p.nodes[to]
	if o == nil || proto != Proto {
		return nil, p2p.ErrUnreachable
	}
	b, err := o.Handle(ctx, p.self, b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	p.bytes += len(b)
	if p.spoil != nil {
		b = p.spoil(b)
	}
	return b, err
}

// learnerOf returns one that asks all of peers, under a clock.
func learnerOf(p *peers, c *clock) *learner {
	members := func() (all []p2p.ID) {
		for id := range p.nodes {
			all = append(all, id)
		}
		return all
	}
	o := Options{Caller: p, Linked: members, Member: func(id p2p.ID) bool { return p.nodes[id] != nil }, Now: c.now}
	return newLearner(new(Lexicon), o)
}

// wordsOf returns the words that are known, as one text.
func wordsOf(l *Lexicon) string {
	var all []string
	for _, m := range l.Prefix("") {
		all = append(all, fmt.Sprint(m.Word, ":", m.Count))
	}
	return strings.Join(all, " ")
}
