package lexicon

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// What one member has is known at the others: its words, and in about how many documents.
func TestLearn(t *testing.T) {
	c := newClock()
	x := indexOf(t, text("a", "network", "node"), text("b", "network", "straße"), text("c", "network"))
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(x, c.now)}}
	r := learnerOf(p, c)
	r.once(t.Context())
	if got, want := wordsOf(r.Lexicon), "network:3 node:1 strasse:1 x:3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Documents() != 3 {
		t.Errorf("%d documents", r.Documents())
	}
	calls := p.calls
	r.once(t.Context())
	if p.calls != calls {
		t.Error("asked again at once")
	}
	c.pass(every)
	r.once(t.Context())
	if p.calls != calls+1 {
		t.Errorf("%d calls to see that nothing has changed", p.calls-calls)
	}
	put(t, x, text("d", "shoal"))
	if err := x.Remove(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	c.pass(every)
	r.once(t.Context())
	if got, want := wordsOf(r.Lexicon), "network:3 node:1 shoal:1 x:3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	delete(p.nodes, node(2)) // no member any more
	r.once(t.Context())
	if got := wordsOf(r.Lexicon); got != "" || r.Status() != (Status{}) {
		t.Errorf("%q, %+v", got, r.Status())
	}
}

// A member that may not read a folder never hears of a word that is only there, whatever it
// asks for; nor does one that may no more.
func TestAccess(t *testing.T) {
	c := newClock()
	x := indexOf(t, doc{"a", "open", []string{"granite"}}, doc{"b", "secret", []string{"lepidolite", "granite"}}, text("c", "published"))
	outsider, insider := node(1), node(3)
	allowed := map[p2p.ID]bool{insider: true}
	x.Restrict(func(who p2p.ID) map[string]bool {
		return map[string]bool{"open": true, "secret": allowed[who]}
	})
	offers := NewOffers(x, c.now)
	of := func(who p2p.ID) *learner {
		return learnerOf(&peers{self: who, nodes: map[p2p.ID]*Offers{node(2): offers}}, c)
	}
	in, out := of(insider), of(outsider)
	in.once(t.Context())
	out.once(t.Context())
	if got, want := wordsOf(in.Lexicon), "a0:1 b0:1 granite:3 lepidolite:1 published:1 x:3"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
	if got, want := wordsOf(out.Lexicon), "a0:1 granite:1 published:1 x:3"; got != want {
		t.Errorf("outside: %q, want %q", got, want)
	}
	if in.Documents() != 3 || out.Documents() != 2 {
		t.Errorf("documents: %d inside, %d outside", in.Documents(), out.Documents())
	}
	// The name of a chunk is no key to it.
	var want [][]byte
	for _, id := range in.of(node(2)).chunks {
		want = append(want, id[:])
	}
	if got, err := out.call(t.Context(), node(2), request{Want: want}); err != nil {
		t.Error(err)
	} else if chunks, err := unpack(got.Chunks); err != nil || len(chunks) != 0 {
		t.Errorf("%d chunks by their names, %v", len(chunks), err)
	}
	// Nor is the version that somebody else had.
	v := in.of(node(2)).version
	if got, err := out.call(t.Context(), node(2), request{Since: v[:]}); err != nil || !got.All || chunkID(got.Version) == v {
		t.Errorf("%+v, %v", got, err)
	}
	allowed[insider] = false
	c.pass(every)
	in.once(t.Context())
	if got := wordsOf(in.Lexicon); strings.Contains(got, "lepidolite") {
		t.Errorf("still known: %q", got)
	}
	allowed[outsider] = true
	c.pass(every)
	out.once(t.Context())
	if got := wordsOf(out.Lexicon); !strings.Contains(got, "lepidolite") {
		t.Errorf("not yet known: %q", got)
	}
}

// lexiconOf returns so many different words.
func lexiconOf(n int, seed uint64) []string {
	random := rand.New(rand.NewPCG(seed, 1))
	all := map[string]bool{}
	for len(all) < n {
		var w strings.Builder
		for range 3 + random.IntN(8) {
			w.WriteByte("eeeaaiioutnrslcdmphgbfyv"[random.IntN(24)])
		}
		all[w.String()] = true
	}
	words := make([]string, 0, n)
	for w := range all {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}

// What a document more costs on the wire is about its new words, not the vocabulary; and what
// others have told already is not fetched again.
func TestDeltas(t *testing.T) {
	c := newClock()
	words := lexiconOf(30_000, 1)
	var docs []doc
	for i := 0; i < len(words); i += 300 {
		docs = append(docs, text(fmt.Sprint("d", i), words[i:i+300]...))
	}
	x, y := indexOf(t, docs...), indexOf(t, docs...)
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(x, c.now)}}
	r := learnerOf(p, c)
	r.once(t.Context())
	whole := p.bytes
	if n := len(r.Prefix("")); n != len(words)+1 {
		t.Fatalf("%d words of %d", n, len(words)+1)
	}
	p.nodes[node(3)] = NewOffers(y, c.now)
	r.once(t.Context())
	same := p.bytes - whole
	if m, ok := r.Find(words[7]); !ok || m != 2 {
		t.Errorf("%s: %d documents", words[7], m)
	}
	put(t, x, text("new", append(slices.Clone(words[:200]), "neverseenbefore")...))
	c.pass(every)
	before, calls := p.bytes, p.calls
	r.once(t.Context())
	delta := p.bytes - before
	t.Logf("30,000 words: %d bytes, %.1f a word; from a second member %d bytes; a document of 200 words with a new one: %d bytes, %d calls", whole, float64(whole)/30_000, same, delta, p.calls-calls)
	if whole > 8*30_000 || same > whole/10 || delta > whole/20 {
		t.Errorf("%d bytes for all, %d for the same from another, %d for a document", whole, same, delta)
	}
	if _, ok := r.Find("neverseenbefore"); !ok {
		t.Error("the new word is not known")
	}
	// After a restart nothing is remembered of the versions before: the names of all chunks are
	// told, and what has come already is not fetched again.
	p.nodes[node(2)] = NewOffers(x, c.now)
	put(t, x, text("newer", "otherword"))
	c.pass(every)
	before = p.bytes
	r.once(t.Context())
	if again := p.bytes - before; again > whole/8 {
		t.Errorf("%d bytes after a restart, %d for all", again, whole)
	}
	if _, ok := r.Find("otherword"); !ok {
		t.Error("the newer word is not known")
	}
}

// Whatever comes and goes, and whoever is asked when, in the end what is known is what there is.
func TestConverges(t *testing.T) {
	for seed := range uint64(4) {
		c := newClock()
		random := rand.New(rand.NewPCG(seed, 9))
		words := lexiconOf(3000, seed)
		x, y := indexOf(t), indexOf(t)
		p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(x, c.now), node(3): NewOffers(y, c.now)}}
		r := learnerOf(p, c)
		for range 30 {
			for _, some := range []*search.Index{x, y} {
				for range random.IntN(3) {
					id := fmt.Sprint("d", random.IntN(8))
					if random.IntN(3) == 0 {
						if err := some.Remove(t.Context(), id); err != nil {
							t.Fatal(err)
						}
						continue
					}
					from := random.IntN(len(words) - 500)
					put(t, some, text(id, words[from:from+1+random.IntN(500)]...))
				}
			}
			c.pass(every)
			r.once(t.Context())
		}
		c.pass(every)
		r.once(t.Context())
		want := map[string]int{}
		for _, some := range []*search.Index{x, y} {
			for _, m := range some.Beginning("") {
				want[m.Word] += documentsOf(classOf(m.Count))
			}
		}
		got := r.Prefix("")
		if len(got) != len(want) {
			t.Errorf("seed %d: %d words, want %d", seed, len(got), len(want))
		}
		for _, m := range got {
			if want[m.Word] != m.Count {
				t.Errorf("seed %d: %s in %d documents, want %d", seed, m.Word, m.Count, want[m.Word])
			}
		}
	}
}

// Of more words than are told, those that few documents have are left out.
func TestRareWordsAreLeftOut(t *testing.T) {
	c := newClock()
	words := lexiconOf(1000, 3)
	x := indexOf(t, text("a", words...), text("b", words[:400]...), text("c", words[:100]...), text("d", words[:100]...))
	o := NewOffers(x, c.now)
	o.words = 500
	r := learnerOf(&peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): o}}, c)
	r.once(t.Context())
	// With x, the title, and an eighth of those that one document has: there is room for 99 of 600.
	if s := r.Status(); s.Words < 430 || s.Words > 500 || !s.Cut {
		t.Errorf("%+v", s)
	}
	if _, ok := r.Find(words[50]); !ok {
		t.Error("a frequent word is not told")
	}
}

// All that is known of others has a bound; what has no room is not fetched again and again.
func TestBounds(t *testing.T) {
	c := newClock()
	x, y := indexOf(t, text("a", lexiconOf(4000, 1)...)), indexOf(t, text("b", lexiconOf(4000, 2)...))
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(x, c.now), node(3): NewOffers(y, c.now)}}
	r := learnerOf(p, c)
	r.Lexicon.union, r.Lexicon.bytes = 5000, 1<<20
	r.once(t.Context())
	if s := r.Status(); s.Words > 5000 || s.Words < 4000 || !s.Cut {
		t.Errorf("%+v", s)
	}
	before := p.bytes
	c.pass(every)
	r.once(t.Context())
	if more := p.bytes - before; more > 200 {
		t.Errorf("%d bytes for what has no room", more)
	}
	if err := x.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.pass(every)
		r.once(t.Context())
	}
	if s := r.Status(); s.Words < 4000 || s.Cut {
		t.Errorf("there is room: %+v", s)
	}
}

// A member that asks without end is refused.
func TestRate(t *testing.T) {
	c := newClock()
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(indexOf(t, text("a", "word")), c.now)}}
	r := learnerOf(p, c)
	served := 0
	for range 500 {
		if _, err := r.call(t.Context(), node(2), request{}); err == nil {
			served++
		}
	}
	if served != callsBurst {
		t.Errorf("%d of 500 calls at once were served", served)
	}
	c.pass(10 * time.Second)
	if _, err := r.call(t.Context(), node(2), request{}); err != nil {
		t.Error(err)
	}
}

// Nothing that a member says can break what is known, or make it more than its bounds.
func TestLiars(t *testing.T) {
	c := newClock()
	honest := NewOffers(indexOf(t, text("a", "network", "node")), c.now)
	long := []byte(strings.Repeat("a", maxWordBytes+1))
	var chunks [][]byte
	for _, w := range []string{"b\x00c", "Network", "café", "\xff", "two words", "\u202eevil", ""} {
		chunks = append(chunks, append(append([]byte{0, byte(len(w))}, w...), 0))
	}
	chunks = append(chunks,
		append(append([]byte{0, 0x81, 2}, long...), 0),               // too long
		[]byte{0, 1, 'b', 0, 0, 1, 'a', 0},                           // out of order
		[]byte{0, 1, 'b', 0, 1, 0, 0},                                // twice
		[]byte{0, 1, 'b', maxClass + 1},                              // in too many documents
		[]byte{3, 1, 'b', 0},                                         // shares what is not there
		[]byte{0, 1, 'b'},                                            // ends early
		[]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, // a length beyond all
	)
	for i, chunk := range chunks {
		if err := read(chunk, func(entry) {}); err == nil {
			t.Errorf("chunk %d %q is taken for words", i, chunk)
			continue
		}
		id := idOf(chunk)
		p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): honest}}
		p.spoil = func([]byte) []byte {
			packed, _, err := new(packer).pack([][]byte{chunk})
			if err != nil {
				t.Fatal(err)
			}
			v := versionOf([]chunkID{id})
			b, err := wire.Marshal(response{Version: v[:], All: true, New: [][]byte{id[:]}, Chunks: packed, Documents: 1})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		r := learnerOf(p, c)
		r.once(t.Context())
		if s := r.Status(); s.Words != 0 || s.Bytes != 0 {
			t.Errorf("chunk %d %q: %+v", i, chunk, s)
		}
	}
	id := make([]byte, len(chunkID{}))
	for what, lie := range map[string]response{
		"no version":         {},
		"short version":      {Version: []byte("short")},
		"not its chunks":     {Version: id, All: true, New: [][]byte{id}},
		"short names":        {Version: id, All: true, New: [][]byte{{1, 2}}},
		"more of nothing":    {Version: id, All: true, More: true},
		"negative documents": {Version: id, All: true, Documents: -1},
		"more without end":   {Version: id, All: true, More: true, New: [][]byte{id}},
	} {
		p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): honest}}
		p.spoil = func([]byte) []byte {
			b, err := wire.Marshal(lie)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		r := learnerOf(p, c)
		r.once(t.Context())
		if s := r.Status(); s.Words != 0 || p.calls > maxAsks {
			t.Errorf("%s: %+v after %d calls", what, s, p.calls)
		}
	}
	for what, q := range map[string]request{"short since": {Since: []byte("x")}, "negative skip": {Skip: -1}, "many": {Want: make([][]byte, maxWanted+1)}, "short name": {Want: [][]byte{{1}}}} {
		r := learnerOf(&peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): honest}}, c)
		if _, err := r.call(t.Context(), node(2), q); err == nil {
			t.Errorf("%s: answered", what)
		}
	}
}

// A packed answer is read to its bound, whatever it would unpack to.
func TestBomb(t *testing.T) {
	zeros := make([]byte, maxChunkBytes)
	var many [][]byte
	for range 40 * maxWanted {
		many = append(many, zeros)
	}
	packed, n, err := new(packer).pack(many)
	if err != nil || n <= maxWanted {
		t.Fatalf("%d chunks, %v", n, err)
	}
	if _, err := unpack(packed); err == nil {
		t.Errorf("%d bytes that unpack to %d MiB are taken", len(packed), n*maxChunkBytes>>20)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 1, 1, 'b', 3})
	f.Add([]byte{0, 4, 0xc3, 0xa9, 'a', 'b', 0})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		var again []byte
		c := cutter{done: func(_ string, done []byte) { again = append(again, done...) }}
		words := 0
		if err := read(chunk, func(e entry) {
			if search.Fold(string(e.word)) != string(e.word) {
				t.Errorf("%q is not folded", e.word)
			}
			words++
			c.add(string(e.word), e.class)
		}); err != nil {
			return
		}
		c.end()
		if words == 0 || len(again) == 0 {
			t.Error("a chunk of nothing")
		}
	})
}

func FuzzUnpack(f *testing.F) {
	packed, _, err := new(packer).pack([][]byte{{0, 1, 'a', 0}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, packed []byte) {
		chunks, err := unpack(packed)
		if err == nil && len(chunks) > maxWanted {
			t.Errorf("%d chunks", len(chunks))
		}
	})
}

func TestComplete(t *testing.T) {
	c := newClock()
	own := indexOf(t, text("a", "network", "netting"))
	p := &peers{self: node(1), nodes: map[p2p.ID]*Offers{node(2): NewOffers(indexOf(t,
		text("a", "networks", "netting", "pdfs"), text("b", "networks", "netting"), text("c", "networks", "netting", "network"),
	), c.now)}}
	r := learnerOf(p, c)
	r.once(t.Context())
	for text, want := range map[string]string{
		"peer netw":   "peer networks:3/0 peer network:2/0",
		"NETT":        "netting:4/0",
		"netwrk":      "network:2/1 networks:3/2", // nothing begins so
		"network":     "networks:3/0",
		"netting":     "",
		"n":           "",
		"netw ":       "",
		"type:pd":     "",
		"name:netw":   "name:networks:3/0 name:network:2/0",
		`"peer netw`:  `"peer networks:3/0 "peer network:2/0`,
		"":            "",
		"\xff\x00":    "",
		"-netw":       "-networks:3/0 -network:2/0",
		"(a OR nett":  "(a OR netting:4/0",
		"size:>1 pdf": "size:>1 pdfs:1/0",
	} {
		var got []string
		for _, w := range r.Complete(own, text, 5) {
			got = append(got, fmt.Sprintf("%s:%d/%d", w.Query, w.Documents, w.Distance))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	put(t, own, text("f", "plans.pdf", "planspng"))
	if got := r.Complete(own, "plan", 9); len(got) != 2 || got[0].Word != "plans" || got[1].Word != "planspng" {
		t.Errorf("with names of files: %+v", got)
	}
	if got := r.Complete(own, "net", 1); len(got) != 1 || got[0].Word != "netting" {
		t.Errorf("%+v", got)
	}
}
