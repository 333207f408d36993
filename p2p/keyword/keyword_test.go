package keyword_test

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
)

func open(network *rangetest.Network, capacity int) *keyword.Index {
	return keyword.New(keyword.Options{Table: network, Name: "test", Capacity: capacity})
}

func document(id string, words ...string) keyword.Document {
	return keyword.Document{ID: id, Terms: words, Pairs: words[:min(len(words), 4)], Value: []byte(id)}
}

func publish(t *testing.T, x *keyword.Index, k int, documents ...keyword.Document) keyword.Published {
	t.Helper()
	p, err := x.Publish(t.Context(), documents, k, time.Hour)
	if err != nil || p.Failed > 0 {
		t.Fatalf("%+v: %v", p, err)
	}
	return p
}

func search(t *testing.T, x *keyword.Index, q keyword.Query) (keyword.Answer, string) {
	t.Helper()
	a, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, h := range a.Hits {
		ids = append(ids, string(h.Value))
	}
	slices.Sort(ids)
	return a, strings.Join(ids, " ")
}

// TestPairs is the known answer of XOR-combined keys: three words and three pairs are six
// keys, and two words in any order lead to the document at one key.
func TestPairs(t *testing.T) {
	network := rangetest.New(20, 3, time.Now)
	x := open(network, 0)
	p := publish(t, x, 0, document("CSG", "communication", "systems", "group"))
	if p.Lists != 6 {
		t.Errorf("%d keys, want 6", p.Lists)
	}
	for _, words := range [][]string{{"communication", "systems"}, {"systems", "communication"}, {"communication", "systems", "group"}} {
		a, got := search(t, open(network, 0), keyword.Query{Terms: words, Plan: keyword.PlanPairs})
		if got != "CSG" || a.Steps[0].Keys != (len(words)+1)/2 || a.Trace.Rounds != 1 {
			t.Errorf("%v: %q at %d keys in %d rounds", words, got, a.Steps[0].Keys, a.Trace.Rounds)
		}
	}
	if _, got := search(t, x, keyword.Query{Terms: []string{"systems", "theory"}, Plan: keyword.PlanPairs}); got != "" {
		t.Errorf("found %q", got)
	}
}

// TestSimilar is the lecture's FastSS: what is left of "greet" after one deletion are five
// keys, asked at once; one leads to "great", and that to the song: two rounds.
func TestSimilar(t *testing.T) {
	network := rangetest.New(20, 3, time.Now)
	x := open(network, 0)
	p := publish(t, x, 2, document("song", "another", "great", "song"))
	if p.Words != 3 {
		t.Errorf("%d words", p.Words)
	}
	if p := publish(t, x, 2, document("song 2", "great", "songs")); p.Words != 1 {
		t.Errorf("%d words are new, want 1", p.Words)
	}
	a, got := search(t, open(network, 0), keyword.Query{Terms: []string{"greet"}, Similar: 2})
	if got != "song song 2" || a.Steps[0].Keys != 5 || a.Trace.Rounds != 2 {
		t.Errorf("%q, %d keys, %d rounds", got, a.Steps[0].Keys, a.Trace.Rounds)
	}
	want := keyword.Term{Word: "greet", Documents: 2, Residuals: 5, Similar: []keyword.Word{{Word: "great", Distance: 1, Left: []string{"gret"}}}}
	if diff := cmp.Diff(want, a.Terms[0]); diff != "" {
		t.Error(diff)
	}
	if _, got := search(t, x, keyword.Query{Terms: []string{"greet", "sogn"}, Similar: 2}); got != "song" {
		t.Errorf("two typos: %q", got)
	}
	if _, got := search(t, x, keyword.Query{Terms: []string{"greet"}}); got != "" {
		t.Errorf("exactly: %q", got)
	}
}

// TestDrawn: what is shown of a filter is a part of it, in which those documents are.
func TestDrawn(t *testing.T) {
	network := rangetest.New(5, 3, time.Now)
	x := open(network, 0)
	var some []keyword.Document
	for i := range 100 {
		some = append(some, keyword.Document{ID: fmt.Sprint(i), Terms: []string{"even", "odd"}[i%2:][:1], Value: []byte("d")})
	}
	publish(t, x, 0, some...)
	a, _ := search(t, x, keyword.Query{Terms: []string{"even", "odd"}, Plan: keyword.PlanParallel})
	drawn := a.Steps[0].Drawn
	if len(drawn) != 2 || drawn[0].Word != "even" || drawn[1].Word != "odd" {
		t.Fatalf("%+v", drawn)
	}
	for i, f := range drawn {
		// 50 documents at 12 bits are 75 bytes, that is 128.
		if f.Bytes != 128 || f.Bytes != a.Steps[0].Filters[i] || len(f.Bits) != 64 || f.K < 8 || f.Fill < 0.3 || f.Fill > 0.6 {
			t.Errorf("%+v", f)
		}
		set := 0
		for _, b := range f.Bits {
			set += bits.OnesCount8(b)
		}
		if share := float64(set) / 512; share < f.Fill/2 || share > f.Fill*2 {
			t.Errorf("%.2f of the first bits are set, %.2f of all", share, f.Fill)
		}
		if slices.ContainsFunc(f.Found, func(b byte) bool { return b != 0 }) {
			t.Error("nothing was found, and there are bits of it")
		}
	}
	// What is found has bits in the filters of its words, all of which are set.
	publish(t, x, 0, keyword.Document{ID: "zero", Terms: []string{"even", "odd"}, Value: []byte("d")})
	found, _ := search(t, x, keyword.Query{Terms: []string{"even", "odd"}, Plan: keyword.PlanParallel})
	most := 0
	for _, f := range found.Steps[0].Drawn {
		of := 0
		for i, b := range f.Found {
			of += bits.OnesCount8(b)
			if b&^f.Bits[i] != 0 {
				t.Errorf("byte %d: %08b is in %08b", i, b, f.Bits[i])
			}
		}
		if of > f.K {
			t.Errorf("%d bits of a document, want %d at most", of, f.K)
		}
		most = max(most, of)
	}
	if len(found.Hits) != 1 || most == 0 {
		t.Errorf("%d documents, %d bits", len(found.Hits), most)
	}
}

// TestRandom: whatever was published and withdrawn, each plan and each node finds what a look
// through all documents does.
func TestRandom(t *testing.T) {
	for range 8 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		t.Run("", func(t *testing.T) {
			t.Logf("seed %d", seed)
			at := time.Unix(1_800_000_000, 0)
			now := func() time.Time { return at }
			network := rangetest.New(30, 3, now)
			capacity := 3 + r.IntN(20)
			x := keyword.New(keyword.Options{Table: network, Name: "test", Capacity: capacity, Now: now})
			there := map[string][]string{}
			next := 0
			for range 12 {
				at = at.Add(time.Microsecond)
				var some []keyword.Document
				for range r.IntN(12) {
					var words []string
					for w := range 10 {
						if r.IntN(w+2) == 0 {
							words = append(words, fmt.Sprint("word", w))
						}
					}
					if len(words) == 0 {
						continue
					}
					next++
					d := keyword.Document{ID: fmt.Sprint("d", next), Terms: words, Pairs: words, Value: fmt.Append(nil, "d", next)}
					some = append(some, d)
					there[d.ID] = words
				}
				publish(t, x, 0, some...)
				var gone []keyword.Document
				for id, words := range there {
					if r.IntN(8) == 0 {
						gone = append(gone, keyword.Document{ID: id, Terms: words, Pairs: words})
						delete(there, id)
					}
				}
				if _, err := x.Withdraw(t.Context(), gone); err != nil {
					t.Fatal(err)
				}
				for range 6 {
					words := []string{fmt.Sprint("word", r.IntN(10))}
					for w := range 10 {
						if word := fmt.Sprint("word", w); r.IntN(4) == 0 && word != words[0] {
							words = append(words, word)
						}
					}
					for _, any := range []bool{false, true} {
						want := wanted(there, words, any)
						for _, plan := range append(keyword.Plans(), keyword.PlanAuto) {
							if plan == keyword.PlanPairs && any {
								continue
							}
							asker := x
							if r.IntN(2) == 0 {
								asker = keyword.New(keyword.Options{Table: network, Name: "test", Capacity: capacity, Now: now})
							}
							a, got := search(t, asker, keyword.Query{Terms: words, Any: any, Plan: plan, Limit: 1000})
							if got != want || a.Total != len(strings.Fields(want)) {
								t.Fatalf("%s %v, any %v: %q, want %q\n%+v", plan, words, any, got, want, a.Steps)
							}
						}
					}
				}
			}
		})
	}
}

func wanted(there map[string][]string, words []string, any bool) string {
	var ids []string
	for id, has := range there {
		n := 0
		for _, w := range words {
			if slices.Contains(has, w) {
				n++
			}
		}
		if n == len(words) || any && n > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// TestRounds: words are published, and found by a node that knows nothing, in two rounds,
// with no more messages in each than there are members.
func TestRounds(t *testing.T) {
	const nodes = 30
	network := rangetest.New(nodes, 3, time.Now)
	x := open(network, 0)
	var documents []keyword.Document
	for i := range 200 {
		words := []string{"all"}
		for w := range 20 {
			words = append(words, fmt.Sprint("word", i%(w+1), "of", w))
		}
		documents = append(documents, keyword.Document{ID: fmt.Sprint(i), Terms: words, Value: fmt.Append(nil, i)})
	}
	p := publish(t, x, 2, documents...)
	if p.Trace.Rounds > 2 || p.Trace.Messages > 2*nodes {
		t.Errorf("%d entries took %d rounds and %d messages", p.Entries, p.Trace.Rounds, p.Trace.Messages)
	}
	t.Logf("%d documents, %d words for similar ones, %d entries: %d messages", len(documents), p.Words, p.Entries, p.Trace.Messages)
	a, _ := search(t, open(network, 0), keyword.Query{Terms: []string{"all", "word3of10", "word1of7"}})
	if a.Trace.Rounds > 2 || a.Trace.Messages > 2*nodes || a.Total == 0 {
		t.Errorf("%d found in %d rounds and %d messages", a.Total, a.Trace.Rounds, a.Trace.Messages)
	}
}

// TestFrequent: a word that nearly everything has is left out beside a rare one, and the
// answer says so.
func TestFrequent(t *testing.T) {
	network := rangetest.New(10, 2, time.Now)
	x := open(network, 0)
	for batch := range 10 {
		var documents []keyword.Document
		for i := range 500 {
			id := fmt.Sprint(batch*500 + i)
			words := []string{"the"}
			if i == 0 && batch < 3 {
				words = append(words, "rare")
			}
			documents = append(documents, keyword.Document{ID: id, Terms: words, Value: []byte(id)})
		}
		publish(t, x, 0, documents...)
	}
	for _, plan := range []keyword.Plan{keyword.PlanParallel, keyword.PlanSequential} {
		a, got := search(t, open(network, 0), keyword.Query{Terms: []string{"the", "rare"}, Plan: plan})
		if got != "0 1000 500" || !a.Terms[0].Dropped || a.Terms[1].Dropped || a.Terms[0].Documents != 5000 {
			t.Errorf("%s: %q, %+v", plan, got, a.Terms)
		}
	}
}

// TestBadInput: what cannot be asked or put is refused, and what strangers have put is not
// believed.
func TestBadInput(t *testing.T) {
	network := rangetest.New(5, 2, time.Now)
	x := open(network, 0)
	long := strings.Repeat("x", 65)
	for _, q := range []keyword.Query{
		{},
		{Terms: []string{""}},
		{Terms: []string{long}},
		{Terms: []string{"\xff"}},
		{Terms: []string{"a", "a"}},
		{Terms: []string{"a"}, Plan: "best"},
		{Terms: []string{"a"}, Similar: 3},
		{Terms: []string{"a"}, Limit: -1},
		{Terms: make([]string, 17)},
	} {
		if _, err := x.Search(t.Context(), q); !errors.Is(err, keyword.ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, d := range []keyword.Document{{}, {ID: "x", Value: make([]byte, keyword.MaxValue+1)}, {ID: "x", Pairs: make([]string, 17)}} {
		if _, err := x.Publish(t.Context(), []keyword.Document{d}, 2, 0); !errors.Is(err, keyword.ErrDocument) {
			t.Errorf("%+v: %v", d.ID, err)
		}
	}
	// Words that cannot be looked for are left out, the others are there.
	publish(t, x, 2, keyword.Document{ID: "d", Terms: []string{"", long, "word"}, Value: []byte("d")})
	if _, got := search(t, x, keyword.Query{Terms: []string{"word"}}); got != "d" {
		t.Errorf("%q", got)
	}
	if a, _ := search(t, x, keyword.Query{Terms: []string{"words"}, Similar: 2}); len(a.Terms[0].Similar) != 1 {
		t.Errorf("%+v", a.Terms)
	}
}

// TestStrangers: nobody can put somebody else's document at a word that it does not have.
func TestStrangers(t *testing.T) {
	network := rangetest.New(20, 3, time.Now)
	network.By(1)
	publish(t, open(network, 0), 0, document("bob", "harmless", "garden"))
	network.By(2)
	publish(t, open(network, 0), 0, document("bob", "robbery"))
	for _, plan := range keyword.Plans() {
		if a, got := search(t, open(network, 0), keyword.Query{Terms: []string{"garden", "robbery"}, Plan: plan}); got != "" || a.Total != 0 {
			t.Errorf("%s: %q", plan, got)
		}
	}
	a, _ := search(t, open(network, 0), keyword.Query{Terms: []string{"garden", "robbery"}, Any: true})
	if len(a.Hits) != 2 {
		t.Errorf("any: %+v", a.Hits)
	}
}

// TestRoom: words for which there is no room are not found by similar ones, and counted; what
// has ended makes room.
func TestRoom(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	now := func() time.Time { return at }
	network := rangetest.New(20, 3, now)
	x := keyword.New(keyword.Options{Table: network, Name: "test", Now: now, Similar: 60})
	if p := publish(t, x, 2, document("1", "distributed")); p.Words != 0 || p.Unlikely != 1 {
		t.Errorf("%+v", p)
	}
	if p := publish(t, x, 2, document("2", "great", "songs", "hello", "world", "lists", "never", "again", "trees", "plums", "pears")); p.Words != 10 || p.Unlikely != 0 {
		t.Errorf("%+v", p)
	}
	if p := publish(t, x, 2, document("3", "greatest")); p.Words != 0 || p.Unlikely != 1 {
		t.Errorf("%+v", p)
	}
	at = at.Add(2 * time.Hour)
	if p := publish(t, x, 2, document("3", "greatest")); p.Words != 1 || p.Unlikely != 0 {
		t.Errorf("%+v", p)
	}
}

// TestManyAtOnce: what is put at once is bounded, however much there is.
func TestManyAtOnce(t *testing.T) {
	network := rangetest.New(20, 3, time.Now)
	x := open(network, 0)
	var words []string
	for i := range 1500 {
		words = append(words, fmt.Sprintf("w%07d", 7919*i))
	}
	before := 0
	network.Before(func(op string) {
		n := 0
		for _, puts := range network.Puts() {
			n += puts
		}
		if n-before > keyword.MaxAtOnce+100 {
			t.Errorf("%d records at once", n-before)
		}
		before = n
	})
	p := publish(t, x, 2, document("long", words...))
	if p.Lists != 1500+6 || p.Words != 1500 {
		t.Errorf("%+v", p)
	}
	network.Before(nil)
	if _, got := search(t, open(network, 0), keyword.Query{Terms: []string{words[0], words[1499]}}); got != "long" {
		t.Errorf("found %q", got)
	}
}
