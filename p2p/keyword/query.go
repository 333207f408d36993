package keyword

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/ranges"
)

// Plan is a way to answer a query for several words.
type Plan string

// The plans. For one word, and for any of several, there is one way: the lists.
const (
	PlanAuto       Plan = ""           // PlanParallel
	PlanLists      Plan = "lists"      // all lists are fetched and compared here
	PlanSequential Plan = "sequential" // the rarest word's filter goes to the next, and so on
	PlanParallel   Plan = "parallel"   // all filters are fetched; each list is asked with those of the others
	PlanPairs      Plan = "pairs"      // pairs of words, which were put together
)

// Plans returns all plans that can be chosen.
func Plans() []Plan { return []Plan{PlanLists, PlanSequential, PlanParallel, PlanPairs} }

// Query asks for documents by words.
type Query struct {
	Terms []string // distinct, folded
	Any   bool     // documents that have any of them; otherwise all
	Plan  Plan
	// Similar finds words that are so many edits away too; 0: none.
	Similar int
	// Limit is how many documents to return. 0: 100.
	Limit int
}

// Hit is a document that was found.
type Hit struct {
	Place  ranges.Place
	Value  []byte
	Author p2p.ID
	Terms  []string // of the network's words, those at which it was found
}

// Term says what is known of a word of the query.
type Term struct {
	Word      string
	Similar   []Word // that were looked for as well
	Residuals int    // what is left of it when letters are deleted, at which similar words were looked for
	// Documents is how many there are of it and of similar words, about; -1: not known.
	Documents int
	Dropped   bool // too frequent to be of any help beside the others
	Failed    bool // some of those who keep it could not be asked
}

// Word is a word that is similar to one of the query.
type Word struct {
	Word     string
	Distance int
	Left     []string // residuals that led to it
}

// Answer is what was found, and how.
type Answer struct {
	Hits      []Hit // in the order of places
	Total     int
	Truncated bool // there may be more: a list was longer than what can be fetched
	Partial   bool // somebody could not be asked
	Terms     []Term
	Plan      Plan
	Steps     []Step
	Trace     dht.Trace
}

// Step is a part of the plan.
type Step struct {
	What     string // in words
	Keys     int    // lists that were asked
	Rounds   int
	Messages int
	Bytes    int
	Got      int // entries that came
	// Filters are sizes in bytes of the filters that came.
	Filters []int
	Drawn   []Drawn // the first maxDrawn of them
}

// Drawn is as much of a filter as can be drawn.
type Drawn struct {
	Word  string // of whose documents it is
	Bytes int    // all of it
	K     int    // bits of a document
	Fill  float64
	Bits  []byte // the first drawnBytes
	// Found are those of Bits that documents of the answer have.
	Found []byte

	filter bloom.Filter
}

// find notes which bits are those of documents that were found at its word.
func (d *Drawn) find(hits []Hit) {
	d.Found = make([]byte, len(d.Bits))
	for _, h := range hits {
		if !slices.Contains(h.Terms, d.Word) {
			continue
		}
		for _, at := range d.filter.Places(h.Place) {
			if at/8 < len(d.Found) {
				d.Found[at/8] |= 1 << (at % 8)
			}
		}
	}
}

// How much of the filters that came is shown.
const (
	maxDrawn   = 12
	drawnBytes = 64
)

// filterBits is how many bits a key has in the filters of PlanParallel. 12 let 0.3 % pass.
const filterBits = 12

// entryBits is about what an entry weighs that is sent in vain.
const entryBits = 8 * 300

// A word that has more than frequent documents, and more than frequentTimes as many as the
// rarest one, is dropped.
const (
	frequent      = 4096
	frequentTimes = 64
)

// maxWords is how many similar words of one are looked for.
const maxWords = 8

// maxLeft is how many residuals that led to a word are named.
const maxLeft = 16

// Search answers a query. Errors: ErrQuery, and those of the table.
func (x *Index) Search(ctx context.Context, q Query) (Answer, error) {
	if err := q.check(); err != nil {
		return Answer{}, err
	}
	s := &searching{x: x, q: q, limit: cmp.Or(q.Limit, 100)}
	s.a.Plan = q.Plan
	for _, word := range q.Terms {
		s.groups = append(s.groups, &group{Term: Term{Word: word, Documents: -1}, words: []string{word}})
	}
	err := s.run(ctx)
	for _, step := range s.a.Steps {
		for i := range step.Drawn {
			step.Drawn[i].find(s.a.Hits)
		}
	}
	for _, g := range s.groups {
		s.a.Terms = append(s.a.Terms, g.Term)
	}
	if err != nil {
		return s.a, fmt.Errorf("keyword: search: %w", err)
	}
	return s.a, nil
}

func (q Query) check() error {
	if len(q.Terms) == 0 || len(q.Terms) > MaxQuery {
		return fmt.Errorf("%w: %d words, want 1 to %d", ErrQuery, len(q.Terms), MaxQuery)
	}
	for i, word := range q.Terms {
		if !usable(word) || slices.Contains(q.Terms[:i], word) {
			return fmt.Errorf("%w: word %d", ErrQuery, i+1)
		}
	}
	if q.Plan != PlanAuto && !slices.Contains(Plans(), q.Plan) {
		return fmt.Errorf("%w: plan %.40q", ErrQuery, q.Plan)
	}
	if q.Similar < 0 || q.Similar > MaxSimilar {
		return fmt.Errorf("%w: words %d edits away, at most %d", ErrQuery, q.Similar, MaxSimilar)
	}
	if q.Limit < 0 || q.Limit > ranges.MaxLimit {
		return fmt.Errorf("%w: %d documents, at most %d", ErrQuery, q.Limit, ranges.MaxLimit)
	}
	return nil
}

// searching is a query on its way.
type searching struct {
	x      *Index
	q      Query
	limit  int
	groups []*group
	a      Answer
}

// group is a word of the query and those that stand for it.
type group struct {
	Term
	words []string
}

func (s *searching) run(ctx context.Context) error {
	if s.q.Similar > 0 {
		if err := s.similar(ctx); err != nil {
			return err
		}
	}
	switch plan := s.q.Plan; {
	case len(s.groups) == 1 || s.q.Any:
		s.a.Plan = PlanLists
		return s.lists(ctx, s.groups)
	case plan == PlanLists:
		return s.lists(ctx, s.groups)
	case plan == PlanSequential:
		return s.sequential(ctx)
	case plan == PlanPairs:
		return s.pairs(ctx)
	default:
		s.a.Plan = PlanParallel
		return s.parallel(ctx)
	}
}

// all is the range of all documents of a word.
func all() ranges.Range { return ranges.Range{To: math.MaxUint64, Limit: ranges.MaxLimit} }

// ask asks lists, each with its range, as one step. Those of words are named by them.
func (s *searching) ask(ctx context.Context, what string, asks []ranges.Ask, words ...string) ([]ranges.Answer, error) {
	answers, trace, err := ranges.QueryAll(ctx, s.x.o.Table, asks)
	step := Step{What: what, Keys: len(asks), Rounds: trace.Rounds, Messages: trace.Messages, Bytes: trace.Bytes}
	s.a.Trace.Add(trace)
	for i, a := range answers {
		step.Got += len(a.Entries)
		s.a.Partial = s.a.Partial || a.Partial
		s.a.Truncated = s.a.Truncated || a.Next != nil
		for _, v := range a.Segments {
			n := len(v.Summary.Bits)
			if n == 0 {
				continue
			}
			step.Filters = append(step.Filters, n)
			if i < len(words) && len(step.Drawn) < maxDrawn {
				step.Drawn = append(step.Drawn, Drawn{Word: words[i], Bytes: n, K: v.Summary.K, Fill: v.Summary.Fill(), Bits: v.Summary.Bits[:min(n, drawnBytes)], filter: v.Summary})
			}
		}
	}
	s.a.Steps = append(s.a.Steps, step)
	return answers, err
}

// similar finds the words that the network has and that are a few edits away.
func (s *searching) similar(ctx context.Context) error {
	var asks []ranges.Ask
	var of []*group
	var texts []string
	for _, g := range s.groups {
		for _, text := range fastss.Residuals(g.Word, edits(g.Word, s.q.Similar)) {
			asks = append(asks, ranges.Ask{Index: s.x.residual(text), Range: ranges.Range{To: math.MaxUint64, Limit: ranges.DefaultLimit}})
			of, texts = append(of, g), append(texts, text)
			g.Residuals++
		}
	}
	if len(asks) == 0 {
		return nil
	}
	answers, err := s.ask(ctx, "words that are left of the typed ones when letters are deleted, and what they were", asks)
	if err != nil {
		return err
	}
	for i, a := range answers {
		g, k := of[i], edits(of[i].Word, s.q.Similar)
		for _, e := range a.Entries {
			word := string(e.Value)
			// Whoever puts something else here is not to be believed.
			if !usable(word) || edits(word, s.q.Similar) == 0 {
				continue
			}
			if at := slices.IndexFunc(g.Similar, func(w Word) bool { return w.Word == word }); at >= 0 {
				if left := &g.Similar[at].Left; len(*left) < maxLeft && !slices.Contains(*left, texts[i]) {
					*left = append(*left, texts[i])
				}
				continue
			}
			if d := s.x.o.Metric.Within(g.Word, word, k); d > 0 && d <= k {
				g.Similar = append(g.Similar, Word{word, d, []string{texts[i]}})
			}
		}
	}
	for _, g := range s.groups {
		slices.SortFunc(g.Similar, func(a, b Word) int {
			return cmp.Or(a.Distance-b.Distance, strings.Compare(a.Word, b.Word))
		})
		if len(g.Similar) > maxWords {
			g.Similar, s.a.Truncated = g.Similar[:maxWords], true
		}
		for _, w := range g.Similar {
			g.words = append(g.words, w.Word)
		}
	}
	return nil
}

// found collects the documents of a group. What two members have put at one place are two
// documents: neither can say of the other's what words it has.
type found map[of]*Hit

type of struct {
	ranges.Place
	author p2p.ID
}

// take takes what an answer has for a word.
func (f found) take(word string, a ranges.Answer) {
	for _, e := range a.Entries {
		if len(e.Value) > MaxValue {
			continue // nobody could have published that
		}
		at := of{e.Place, e.Author}
		h := f[at]
		if h == nil {
			h = &Hit{Place: e.Place, Value: e.Value, Author: e.Author}
			f[at] = h
		}
		h.Terms = append(h.Terms, word)
	}
}

// lists fetches all lists whole.
func (s *searching) lists(ctx context.Context, groups []*group) error {
	sets, err := s.fetch(ctx, "all documents of each word", groups, func(*group) func(ranges.Segment) [][]bloom.Filter { return nil })
	if err != nil {
		return err
	}
	for i, g := range groups {
		g.Documents = len(sets[i])
	}
	s.finish(sets)
	return nil
}

// fetch fetches the lists of groups, with what is to be let through.
func (s *searching) fetch(ctx context.Context, what string, groups []*group, where func(*group) func(ranges.Segment) [][]bloom.Filter) ([]found, error) {
	var asks []ranges.Ask
	for _, g := range groups {
		for _, word := range g.words {
			r := all()
			r.Where = where(g)
			asks = append(asks, ranges.Ask{Index: s.x.term(word), Range: r})
		}
	}
	answers, err := s.ask(ctx, what, asks)
	if err != nil {
		return nil, err
	}
	sets := make([]found, len(groups))
	for i, g := range groups {
		sets[i] = found{}
		for _, word := range g.words {
			sets[i].take(word, answers[0])
			g.Failed = g.Failed || answers[0].Partial
			answers = answers[1:]
		}
	}
	return sets, nil
}

// finish makes the answer: what any, or each, of the sets has.
func (s *searching) finish(sets []found) {
	merged := found{}
	for i, set := range sets {
		for place, h := range set {
			m := merged[place]
			switch {
			case m != nil:
				m.Terms = append(m.Terms, h.Terms...)
			case i == 0 || s.q.Any:
				merged[place] = h
			}
		}
		if !s.q.Any {
			maps.DeleteFunc(merged, func(at of, _ *Hit) bool { return set[at] == nil })
		}
	}
	s.a.Total = len(merged)
	for _, h := range merged {
		s.a.Hits = append(s.a.Hits, *h)
	}
	slices.SortFunc(s.a.Hits, func(a, b Hit) int { return a.Place.Compare(b.Place) })
	if len(s.a.Hits) > s.limit {
		s.a.Hits, s.a.Truncated = s.a.Hits[:s.limit], true
	}
}

// filters are the filters of a group's segments.
type filters []filtered

type filtered struct {
	ranges.Segment
	bloom.Filter
}

// summarize asks groups for filters of their documents, and how many there are.
func (s *searching) summarize(ctx context.Context, what string, groups []*group, bits int, where func(*group) func(ranges.Segment) [][]bloom.Filter) ([]filters, error) {
	var asks []ranges.Ask
	var words []string
	for _, g := range groups {
		for _, word := range g.words {
			r := all()
			r.Summary = bits
			r.Where = where(g)
			asks, words = append(asks, ranges.Ask{Index: s.x.term(word), Range: r}), append(words, word)
		}
	}
	answers, err := s.ask(ctx, what, asks, words...)
	if err != nil {
		return nil, err
	}
	out := make([]filters, len(groups))
	for i, g := range groups {
		n := 0
		for range g.words {
			for _, v := range answers[0].Segments {
				n += v.Entries
				if v.Entries > 0 && len(v.Summary.Bits) > 0 {
					out[i] = append(out[i], filtered{v.Segment, v.Summary})
				}
			}
			g.Failed = g.Failed || answers[0].Partial
			answers = answers[1:]
		}
		if g.Documents < 0 {
			g.Documents = n
		}
	}
	return out, nil
}

// nothing restricts nothing.
func nothing(*group) func(ranges.Segment) [][]bloom.Filter { return nil }

// of returns the filters that a segment's documents must be in: those of segments that have
// some of the same documents.
func (f filters) of(s ranges.Segment) []bloom.Filter {
	var out []bloom.Filter
	for _, v := range f {
		if v.Contains(s) || s.Contains(v.Segment) {
			out = append(out, v.Filter)
		}
	}
	if out == nil {
		out = []bloom.Filter{bloom.New(1, 1)} // nothing is there
	}
	return out
}

// together returns for a segment the filters of several groups, but no more than a query can
// carry: without one of them more comes than is needed, and nothing is missing.
func together(all []filters, s ranges.Segment) [][]bloom.Filter {
	var out [][]bloom.Filter
	n, size := 0, 0
	for _, f := range all {
		list := f.of(s)
		own := 0
		for _, one := range list {
			own += len(one.Bits)
		}
		if n+len(list) > dht.MaxFilters || size+own > dht.MaxFiltered/2 {
			continue
		}
		n, size = n+len(list), size+own
		out = append(out, list)
	}
	return out
}

// rarest orders groups by how many documents they have, and drops those that are too frequent
// to be of any help.
func (s *searching) rarest() []*group {
	kept := slices.Clone(s.groups)
	slices.SortStableFunc(kept, func(a, b *group) int { return a.Documents - b.Documents })
	least := max(kept[0].Documents, 1)
	return slices.DeleteFunc(kept, func(g *group) bool {
		g.Dropped = g != kept[0] && g.Documents > frequent && g.Documents > frequentTimes*least
		return g.Dropped
	})
}

// parallel fetches the filters of all words at once, and asks each list with those of the
// others.
func (s *searching) parallel(ctx context.Context) error {
	sums, err := s.summarize(ctx, "a filter of each word's documents", s.groups, filterBits, nothing)
	if err != nil {
		return err
	}
	of := map[*group]filters{}
	for i, g := range s.groups {
		of[g] = sums[i]
	}
	kept := s.rarest()
	if kept[0].Documents == 0 && !kept[0].Failed {
		return nil
	}
	sets, err := s.fetch(ctx, "the documents of each word that the filters of the others let through", kept, func(g *group) func(ranges.Segment) [][]bloom.Filter {
		var others []filters
		for _, o := range kept {
			if o != g {
				others = append(others, of[o])
			}
		}
		return func(seg ranges.Segment) [][]bloom.Filter { return together(others, seg) }
	})
	if err != nil {
		return err
	}
	s.finish(sets)
	return nil
}

// sequential sends the filter of the rarest word's documents to the next word, that of those
// which it lets through to the one after that, and so on; the last one returns documents,
// which are then compared with the lists of the others.
func (s *searching) sequential(ctx context.Context) error {
	// A bit for each document counts them; a filter of so few would not be of any use.
	if _, err := s.summarize(ctx, "how many documents each word has", s.groups, 1, nothing); err != nil {
		return err
	}
	kept := s.rarest()
	if kept[0].Documents == 0 && !kept[0].Failed {
		return nil
	}
	var passed []filters
	where := func(*group) func(ranges.Segment) [][]bloom.Filter {
		if passed == nil {
			return nil
		}
		return func(seg ranges.Segment) [][]bloom.Filter { return together(passed, seg) }
	}
	for i, g := range kept[:len(kept)-1] {
		bits := int(math.Ceil(bloom.Best(float64(kept[i+1].Documents)/float64(max(g.Documents, 1)), entryBits)))
		sums, err := s.summarize(ctx, fmt.Sprintf("a filter of %q, %d bits for each document", g.Word, max(bits, 1)), kept[i:i+1], max(bits, 1), where)
		if err != nil {
			return err
		}
		passed = []filters{sums[0]}
	}
	last := kept[len(kept)-1]
	sets, err := s.fetch(ctx, fmt.Sprintf("the documents of %q that the filter lets through", last.Word), kept[len(kept)-1:], where)
	if err != nil {
		return err
	}
	if len(kept) == 1 || len(sets[0]) == 0 {
		s.finish(sets)
		return nil
	}
	candidates := candidatesOf(sets[0])
	rest, err := s.fetch(ctx, "which of these the other words have", kept[:len(kept)-1], func(*group) func(ranges.Segment) [][]bloom.Filter {
		return func(ranges.Segment) [][]bloom.Filter { return [][]bloom.Filter{{candidates}} }
	})
	if err != nil {
		return err
	}
	s.finish(append(rest, sets[0]))
	return nil
}

// candidatesOf returns a filter that hardly lets anything else through.
func candidatesOf(f found) bloom.Filter {
	out := bloom.New(len(f), 24)
	for at := range f {
		out.Add(at.Place)
	}
	return out
}

// pairs asks for the documents that have been put at two words together, and compares the
// lists of pairs.
func (s *searching) pairs(ctx context.Context) error {
	var asks []ranges.Ask
	var names [][2]string
	for i := 0; i < len(s.groups); i += 2 {
		a := s.groups[i]
		b := s.groups[min(i+1, len(s.groups)-1)]
		if a == b {
			b = s.groups[0]
		}
		for _, v := range a.words {
			for _, w := range b.words {
				if v != w {
					asks = append(asks, ranges.Ask{Index: s.x.pair(v, w), Range: all()})
					names = append(names, [2]string{a.Word, b.Word})
				}
			}
		}
	}
	answers, err := s.ask(ctx, "the documents that were put at two words together", asks)
	if err != nil {
		return err
	}
	var sets []found
	for i, a := range answers {
		if i == 0 || names[i] != names[i-1] {
			sets = append(sets, found{})
		}
		sets[len(sets)-1].take(names[i][0]+" "+names[i][1], a)
	}
	s.finish(sets)
	return nil
}
