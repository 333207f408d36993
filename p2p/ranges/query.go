package ranges

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Limits of an answer.
const (
	DefaultLimit = 1000
	MaxLimit     = dht.MaxResults
)

// Range is what is asked for: the entries whose keys are From, To or between them.
type Range struct {
	From, To   uint64
	Descending bool
	// After is where the entries before ended; nil: this is the beginning.
	After *Place
	// Limit is how many entries to return. 0: DefaultLimit.
	Limit int
	// Where returns filters for a segment: only entries whose places may be in one of the
	// filters of each list (see dht.Query). Nil: all.
	Where func(Segment) [][]bloom.Filter
	// Summary asks segments for filters of the places that they have, with so many bits for
	// each, instead of entries.
	Summary int

	each int // what a segment is asked for; at least Limit
}

// Found is an entry of an answer.
type Found struct {
	Key    uint64
	Place  Place
	Value  []byte
	Author p2p.ID
	Left   time.Duration // how long it will be there; 0: until it is removed
	At     []Segment     // where it was found
}

// Asked says what a segment had.
type Asked struct {
	Segment
	Round   int          // the first is 1
	Entries int          // of the range
	Full    bool         // it has refused entries: those below were asked too
	Mended  bool         // it is full no more, which was noticed now
	Failed  bool         // none of those who keep it could be asked
	Summary bloom.Filter // that was asked for
}

// Answer is what a range has.
type Answer struct {
	Entries  []Found // in order
	Next     *Place  // to be put into After for what comes next; nil: that was all
	Segments []Asked // in the order in which they were asked
	Partial  bool    // some of them could not be asked, and may have more
	Trace    dht.Trace
}

// Query returns the entries of a range.
func (x *Index) Query(ctx context.Context, r Range) (Answer, error) {
	answers, trace, err := QueryAll(ctx, x.o.Table, []Ask{{x, r}})
	if err != nil {
		return Answer{}, err
	}
	answers[0].Trace = trace
	return answers[0], nil
}

// Ask is a question to one index.
type Ask struct {
	Index *Index
	Range Range
}

// What a query does at most, whatever members have put into an index. An answer that is cut
// by it says where to go on.
const (
	maxAsked = 4096 // segments of one walk
	maxWalks = 16   // that follow each other
	maxMends = 64   // marks that are looked at whether they are needed, and taken away
	maxHints = 64
)

// QueryAll asks several indexes of a table in the rounds that one of them takes. The answers
// have no traces of their own.
//
// Where much was removed a walk may end with less than was wanted, since what is remembered
// of that takes room in answers: then another one goes on from there.
func QueryAll(ctx context.Context, table Table, asks []Ask) ([]Answer, dht.Trace, error) {
	var trace dht.Trace
	out := make([]Answer, len(asks))
	todo, of := slices.Clone(asks), make([]int, len(asks))
	for i := range of {
		of[i] = i
		todo[i].Range.Limit = cmp.Or(todo[i].Range.Limit, DefaultLimit)
	}
	for n := 1; len(todo) > 0; n++ {
		before := trace.Rounds
		answers, more, err := walkAll(ctx, table, todo)
		trace.Add(more)
		if err != nil {
			return nil, trace, err
		}
		var rest []Ask
		var restOf []int
		for j, a := range answers {
			i, r := of[j], todo[j].Range
			whole := &out[i]
			whole.Entries, whole.Next = append(whole.Entries, a.Entries...), a.Next
			for k := range a.Segments {
				a.Segments[k].Round += before
			}
			whole.Segments, whole.Partial = append(whole.Segments, a.Segments...), whole.Partial || a.Partial
			if a.Next == nil || len(a.Entries) >= r.Limit || r.Summary > 0 || n == maxWalks || len(whole.Segments) >= maxAsked {
				continue
			}
			r.After, r.Limit, r.each = a.Next, r.Limit-len(a.Entries), min(MaxLimit, 64<<(2*n))
			rest, restOf = append(rest, Ask{todo[j].Index, r}), append(restOf, i)
		}
		todo, of = rest, restOf
	}
	return out, trace, nil
}

// walkAll asks each index once for what it has.
func walkAll(ctx context.Context, table Table, asks []Ask) ([]Answer, dht.Trace, error) {
	var trace dht.Trace
	walks := make([]*walk, len(asks))
	for i, a := range asks {
		var err error
		if walks[i], err = a.Index.walk(a.Range); err != nil {
			return nil, trace, err
		}
	}
	for {
		var queries []dht.Query
		counts, next := make([]int, len(walks)), make([][]Segment, len(walks))
		for i, w := range walks {
			next[i] = w.next()
			own := w.queries(next[i])
			counts[i] = len(own)
			queries = append(queries, own...)
		}
		if len(queries) == 0 {
			break
		}
		found, more, err := table.MultiGet(ctx, queries, dht.ReadOptions{})
		trace.Add(more)
		if err != nil {
			return nil, trace, fmt.Errorf("ranges: query: %w", err)
		}
		for i, w := range walks {
			if n := len(next[i]); n > 0 {
				w.heard(next[i], found[:n], found[n:counts[i]])
			}
			found = found[counts[i]:]
		}
	}
	var puts []dht.Put
	out := make([]Answer, len(walks))
	for i, w := range walks {
		if old := w.unneeded(); len(old) > 0 {
			results, more, err := table.RemoveUnchanged(ctx, old)
			trace.Add(more)
			if err == nil { // else a mark stays, which costs a round
				w.mended(old, results)
			}
		}
		puts = append(puts, w.hints()...)
		out[i] = w.finish()
	}
	if len(puts) > 0 {
		_, more, err := table.MultiPut(ctx, puts)
		trace.Add(more)
		if err != nil && ctx.Err() != nil { // else the next one takes a round more
			return nil, trace, fmt.Errorf("ranges: query: %w", err)
		}
	}
	return out, trace, nil
}

// queries asks segments for what they have, and those that can be full for their marks.
func (w *walk) queries(ask []Segment) []dht.Query {
	var out []dht.Query
	for _, s := range ask {
		out = append(out, w.entriesOf(s))
	}
	for _, s := range ask {
		if len(w.x.o.Scheme.Below(s)) > 0 {
			out = append(out, w.marksOf(s)...)
		}
	}
	return out
}

// walk is a query on its way from segment to segment.
type walk struct {
	x        *Index
	r        Range
	from, to Place // included
	round    int
	pending  []Segment // in the order of the query
	queued   map[Segment]bool
	chunk    int // how many of them are asked at once
	asked    map[Segment]*visit
	order    []Segment
	found    map[Place]*Found
	newest   map[Place]uint64
	// horizon is up to where everything is known of what was asked.
	horizon Place
	answer  Answer
}

// visit is what a segment had.
type visit struct {
	Asked
	mark  dht.Copy
	below map[Segment]bool // that are full, as it is known there
	have  map[Place]uint64 // what a full segment has, and since when; it counts only below
	whole bool             // the range contains the segment, and it was not cut
}

func (x *Index) walk(r Range) (*walk, error) {
	r.Limit = cmp.Or(r.Limit, DefaultLimit)
	last := Last(x.bits)
	switch {
	case r.Limit < 0 || r.Limit > MaxLimit:
		return nil, fmt.Errorf("ranges: query for %d entries, at most %d: %w", r.Limit, MaxLimit, dht.ErrMalformed)
	case r.From > last:
		r.From, r.To = 1, 0 // nothing can be there
	}
	r.To = min(r.To, last)
	w := &walk{
		x: x, r: r, from: firstAt(r.From), to: lastAt(r.To),
		queued: map[Segment]bool{}, asked: map[Segment]*visit{}, found: map[Place]*Found{}, newest: map[Place]uint64{},
		// As many as would have enough, if each were half full, are asked at first.
		chunk: max(64, 4*r.Limit/x.o.Capacity),
	}
	some := r.From <= r.To
	if r.After != nil && some {
		var next Place
		if r.Descending {
			next, some = before(*r.After)
			w.to = least(w.to, next)
		} else {
			next, some = after(*r.After)
			w.from = most(w.from, next)
		}
		some = some && w.from.Compare(w.to) <= 0
	}
	w.horizon = w.to
	if r.Descending {
		w.horizon = w.from
	}
	if !some {
		return w, nil
	}
	start := x.o.Scheme.Start(KeyAt(w.from), KeyAt(w.to))
	if !x.o.Scheme.Everywhere() {
		// What is full leads to those below; more than a few are only guessed.
		n := 0
		for n < len(start) && x.get(start[n]).full {
			n++
		}
		start = start[:min(len(start), n+x.o.Window)]
	}
	for _, s := range start {
		w.add(s)
	}
	w.sort()
	return w, nil
}

func least(a, b Place) Place {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

func most(a, b Place) Place {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

// add adds a segment to those that are to be asked, or, where it is known to be full, those
// below.
func (w *walk) add(s Segment) {
	if w.queued[s] || !s.Meets(w.x.bits, KeyAt(w.from), KeyAt(w.to)) {
		return
	}
	w.queued[s] = true
	full := w.x.get(s).full
	if !full || !w.x.o.Scheme.Everywhere() {
		w.pending = append(w.pending, s)
	}
	if full {
		for _, below := range w.x.o.Scheme.Below(s) {
			w.add(below)
		}
	}
}

// sort orders what is to be asked, those above before those below.
func (w *walk) sort() {
	slices.SortFunc(w.pending, func(a, b Segment) int {
		if w.r.Descending {
			return cmp.Or(cmp.Compare(b.To(w.x.bits), a.To(w.x.bits)), a.Depth-b.Depth)
		}
		return cmp.Or(cmp.Compare(a.From(w.x.bits), b.From(w.x.bits)), a.Depth-b.Depth)
	})
}

// next returns whom to ask in the next round; nobody when there is enough.
func (w *walk) next() []Segment {
	if len(w.pending) == 0 || w.enough() {
		return nil
	}
	n := min(len(w.pending), w.chunk, max(maxAsked-len(w.order), 1))
	if len(w.order) >= maxAsked {
		// Somebody has put marks where nothing is full. Whoever goes on from here must get
		// further: what is asked alone leads there in as many rounds as there are levels.
		if w.further() {
			return nil
		}
	}
	ask := w.pending[:n:n]
	w.pending = w.pending[n:]
	w.chunk *= 2
	w.round++
	return ask
}

// further reports whether everything is known of a part of the range.
func (w *walk) further() bool {
	if w.r.Descending {
		return w.edge().Compare(w.to) <= 0
	}
	return w.edge().Compare(w.from) >= 0
}

// edge returns up to where everything is known.
func (w *walk) edge() Place {
	edge := w.horizon
	if len(w.pending) == 0 {
		return edge
	}
	s := w.pending[0]
	if w.r.Descending {
		if at, ok := after(lastAt(s.To(w.x.bits))); ok {
			return most(edge, at)
		}
		return lastAt(Last(MaxBits))
	}
	if at, ok := before(firstAt(s.From(w.x.bits))); ok {
		return least(edge, at)
	}
	return Place{}
}

// inside reports whether a place is in the part of the range of which everything is known.
func (w *walk) inside(p Place, edge Place) bool {
	if w.r.Descending {
		return p.Compare(edge) >= 0
	}
	return p.Compare(edge) <= 0
}

// enough reports whether as many entries are known as were asked for.
func (w *walk) enough() bool {
	if len(w.found) < w.r.Limit {
		return false
	}
	n, edge := 0, w.edge()
	for p := range w.found {
		if w.inside(p, edge) {
			n++
		}
	}
	return n >= w.r.Limit
}

// entriesOf is the query for the entries of a segment that are in the range.
func (w *walk) entriesOf(s Segment) dht.Query {
	to := w.to
	q := dht.Query{
		Location: w.x.Location(s), Domain: entries, From: w.from, To: &to,
		Limit: max(w.r.Limit, w.r.each), Descending: w.r.Descending, Summary: w.r.Summary,
	}
	if w.r.Where != nil {
		q.Where = w.r.Where(s)
	}
	return q
}

// marksOf are the queries for the marks at a segment's location that matter in the range:
// those of segments that begin in it, and those that begin before and reach into it.
func (w *walk) marksOf(s Segment) []dht.Query {
	from, to := KeyAt(w.from), KeyAt(w.to)
	last := markKey(to, 0xff)
	before := []p2p.Key{s.markAt(w.x.bits)}
	for depth := s.Depth + 1; depth <= w.x.bits; depth++ {
		u := At(w.x.bits, depth, from)
		if !s.Contains(u) || u.From(w.x.bits) == from {
			break
		}
		before = append(before, u.markAt(w.x.bits))
	}
	slices.SortFunc(before, p2p.Key.Compare)
	location := w.x.Location(s)
	return []dht.Query{
		{Location: location, Domain: marks, Bare: true, From: markKey(from, 0), To: &last},
		{Location: location, Domain: marks, Bare: true, Contents: before},
	}
}

// hints returns the puts that save the next query a round: what is full, and was not known
// to be at the widest segment above that was asked.
func (w *walk) hints() []dht.Put {
	var out []dht.Put
	for _, s := range w.order {
		if !w.asked[s].Full || w.asked[s].Mended {
			continue
		}
		if len(out) == maxHints {
			break
		}
		for _, above := range w.order {
			if above != s && above.Contains(s) {
				if !w.asked[above].below[s] {
					out = append(out, w.x.mark(above, s))
				}
				break
			}
		}
	}
	return out
}

// heard takes what segments have.
func (w *walk) heard(ask []Segment, found, marked []dht.Found) {
	for i, s := range ask {
		v := &visit{Asked: Asked{Segment: s, Round: w.round}}
		w.asked[s] = v
		w.order = append(w.order, s)
		if len(w.x.o.Scheme.Below(s)) > 0 {
			v.mark, v.Full, v.below = w.x.learn(s, marked[:2]...)
			v.Failed = !answered(marked[0]) || !answered(marked[1])
			marked = marked[2:]
		}
		v.Failed = v.Failed || !answered(found[i])
		w.answer.Partial = w.answer.Partial || v.Failed
		v.Entries, v.Summary = found[i].Count, found[i].Summary
		v.whole = w.r.Where == nil && w.r.Summary == 0 && !v.Failed && !found[i].More && w.from.Compare(firstAt(s.From(w.x.bits))) <= 0 && w.to.Compare(lastAt(s.To(w.x.bits))) >= 0
		for _, c := range found[i].Records {
			at, value, ok := stampOf(c.Seq, c.Value)
			switch {
			case c.Kind != dht.KindValue || !ok || !w.belongs(c.Content, s):
				continue
			case v.Full && w.x.o.Scheme.Everywhere():
				if v.have == nil {
					v.have = map[Place]uint64{}
				}
				v.have[c.Content] = at
			default:
				w.take(s, c, at, value)
			}
			v.Entries++
		}
		if found[i].More && !(v.Full && w.x.o.Scheme.Everywhere()) {
			w.cut(v, found[i].Until)
		}
	}
	for _, s := range ask {
		if !w.asked[s].Full {
			continue
		}
		for _, below := range w.x.o.Scheme.Below(s) {
			w.add(below)
		}
	}
	w.sort()
}

// cut takes it that a segment has more than it returned, which is all up to a place; nil: it
// is not known where it ends.
func (w *walk) cut(v *visit, until *Place) {
	switch {
	case w.r.Summary > 0:
		// Whatever is asked for may be there: a filter that lets everything pass.
		v.Summary = bloom.Filter{K: 1, Bits: bytes.Repeat([]byte{0xff}, bloom.MinBytes)}
	case until == nil:
		v.Failed, w.answer.Partial = true, true
	case w.r.Descending:
		w.horizon = most(w.horizon, *until)
	default:
		w.horizon = least(w.horizon, *until)
	}
}

// answered reports whether anybody answered a query.
func answered(f dht.Found) bool {
	return slices.ContainsFunc(f.Replicas, func(a dht.Answered) bool { return a.Status == dht.StatusOK })
}

// belongs reports whether a place is one of a segment. Whoever puts an entry where nobody
// looks for it is not to be found by accident.
func (w *walk) belongs(p Place, s Segment) bool {
	key := KeyAt(p)
	return key >= s.From(w.x.bits) && key <= s.To(w.x.bits)
}

// take takes an entry. Of several with one place the latest counts.
func (w *walk) take(s Segment, c dht.Copy, at uint64, value []byte) {
	f := w.found[c.Content]
	if f == nil {
		f = &Found{Key: KeyAt(c.Content), Place: c.Content}
		w.found[c.Content] = f
	}
	switch {
	case at > w.newest[c.Content]:
		w.newest[c.Content] = at
		f.Value, f.Left, f.Author = value, c.Left, p2p.IDOf(c.Author)
		f.At = append(f.At[:0], s)
	case at == w.newest[c.Content]:
		f.At = append(f.At, s)
	}
}

// unneeded returns the marks of segments that have all that is below them, and nothing else.
func (w *walk) unneeded() []dht.Header {
	if len(w.pending) > 0 {
		return nil
	}
	var out []dht.Header
	looked := 0
	for _, s := range w.order {
		v := w.asked[s]
		if v.Full && v.whole && dht.MaxTTL-v.mark.Left >= healed && v.Entries < w.x.o.Capacity && looked < maxMends {
			looked++
			if !w.misses(s) {
				out = append(out, v.mark.Header)
			}
		}
	}
	return out
}

// misses reports whether a full segment lacks something that is below it, or may be.
func (w *walk) misses(s Segment) bool {
	for _, u := range w.order {
		v := w.asked[u]
		if u != s && s.Contains(u) && !v.whole {
			return true
		}
	}
	n := 0
	for p, f := range w.found {
		switch {
		case !w.belongs(p, s):
			continue
		case !w.x.o.Scheme.Everywhere():
			if slices.ContainsFunc(f.At, func(u Segment) bool { return u != s && s.Contains(u) }) {
				return true
			}
		case w.asked[s].have[p] != w.newest[p]:
			return true
		}
		n++
	}
	return w.x.o.Scheme.Everywhere() && n != len(w.asked[s].have)
}

// mended remembers which marks have gone.
func (w *walk) mended(old []dht.Header, results []dht.PutResult) {
	for i, h := range old {
		if !results[i].Stored() {
			continue
		}
		s, _ := marked(w.x.bits, h.Content)
		w.asked[s].Mended = true
		w.x.change(s, func(st *state) { *st = state{} })
	}
}

// finish returns the answer.
func (w *walk) finish() Answer {
	a, edge := w.answer, w.edge()
	for p, f := range w.found {
		if w.inside(p, edge) {
			a.Entries = append(a.Entries, *f)
		}
	}
	slices.SortFunc(a.Entries, func(x, y Found) int {
		if w.r.Descending {
			x, y = y, x
		}
		return x.Place.Compare(y.Place)
	})
	end := w.to
	if w.r.Descending {
		end = w.from
	}
	switch {
	case len(a.Entries) > w.r.Limit:
		a.Entries = a.Entries[:w.r.Limit]
		a.Next = &a.Entries[len(a.Entries)-1].Place
	case edge != end && len(w.order) > 0:
		a.Next = &edge
	}
	for _, s := range w.order {
		a.Segments = append(a.Segments, w.asked[s].Asked)
	}
	return a
}
