package ranges

import (
	"context"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Inserted says what became of an entry.
type Inserted struct {
	At     []Segment  // where it is kept
	Full   []Segment  // segments of its path that refused it
	Status dht.Status // of the record that fared worst; see dht.Status.Stored
}

// Insert puts entries, all at once. The results are in the order of entries; that a member
// refuses one is no error.
func (x *Index) Insert(ctx context.Context, all []Entry) ([]Inserted, dht.Trace, error) {
	results, trace, err := InsertAll(ctx, x.o.Table, []Batch{{x, all}})
	if err != nil {
		return nil, trace, err
	}
	return results[0], trace, nil
}

// Batch is entries for one index.
type Batch struct {
	Index   *Index
	Entries []Entry
}

// InsertAll puts entries into several indexes of a table in the rounds that one of them
// takes.
func InsertAll(ctx context.Context, table Table, batches []Batch) ([][]Inserted, dht.Trace, error) {
	var trace dht.Trace
	plans := make([]*planning, len(batches))
	for i, b := range batches {
		var err error
		if plans[i], err = b.Index.plan(b.Entries); err != nil {
			return nil, trace, err
		}
	}
	for {
		var queries []dht.Query
		asked := make([][]Segment, len(plans))
		for i, p := range plans {
			asked[i] = p.unknown()
			queries = append(queries, p.queries(asked[i])...)
		}
		if len(queries) == 0 {
			break
		}
		found, more, err := table.MultiGet(ctx, queries, dht.ReadOptions{})
		trace.Add(more)
		if err != nil {
			return nil, trace, fmt.Errorf("ranges: insert: %w", err)
		}
		for i, p := range plans {
			n := queriesEach * len(asked[i])
			p.take(asked[i], found[:n])
			found = found[n:]
		}
	}
	var puts []dht.Put
	counts := make([]int, len(plans))
	for i, p := range plans {
		own := p.puts()
		counts[i] = len(own)
		puts = append(puts, own...)
	}
	results, more, err := table.MultiPut(ctx, puts)
	trace.Add(more)
	if err != nil {
		return nil, trace, fmt.Errorf("ranges: insert: %w", err)
	}
	out := make([][]Inserted, len(plans))
	for i, p := range plans {
		out[i] = p.results(results[:counts[i]])
		results = results[counts[i]:]
	}
	return out, trace, nil
}

// plan begins to find places for entries.
func (x *Index) plan(all []Entry) (*planning, error) {
	p := &planning{x: x, heard: map[Segment]bool{}, have: map[Segment]map[Place]bool{}}
	for _, e := range all {
		if x.bits < MaxBits && e.Key > Last(x.bits) {
			return nil, fmt.Errorf("ranges: insert %d into %q: keys have %d bits: %w", e.Key, x.o.Name, x.bits, dht.ErrMalformed)
		}
		if len(e.Value) > MaxValue {
			return nil, fmt.Errorf("ranges: insert into %q: a value of %d bytes, at most %d: %w", x.o.Name, len(e.Value), MaxValue, p2p.ErrTooLarge)
		}
		p.all = append(p.all, planned{entry: e, place: e.Place(), path: x.o.Scheme.Path(e.Key)})
	}
	return p, nil
}

// planning finds places for entries.
type planning struct {
	x     *Index
	all   []planned
	heard map[Segment]bool           // has been asked now
	have  map[Segment]map[Place]bool // entries that segments have already

	latest uint64 // when what is there already was put, or later

	marks map[Segment]int // of the puts, those of marks, by segment; -1 where none is needed
}

// planned is an entry on its way.
type planned struct {
	entry Entry
	place Place
	path  []Segment
	at    []Segment
	full  []Segment
	puts  []int // of the puts, those that must be stored for it
}

// known reports whether enough is known of a segment, and returns it.
func (p *planning) known(s Segment) (state, bool) {
	st := p.x.get(s)
	return st, p.heard[s] || !st.read.IsZero() && p.x.o.Now().Sub(st.read) < fresh
}

// unknown returns the segments of which more must be known to place all entries.
func (p *planning) unknown() []Segment {
	var out []Segment
	seen := map[Segment]bool{}
	p.place(func(e *planned, from int) {
		to := len(e.path) - 1
		if !p.x.o.Scheme.Everywhere() {
			n := from
			for n < to && p.x.get(e.path[n]).full {
				n++
			}
			to = min(to, n+p.x.o.Window)
		}
		for _, s := range e.path[from:to] {
			st, ok := p.known(s)
			if !p.x.o.Scheme.Everywhere() && !e.entry.New && (st.full || s == e.path[from]) {
				ok = p.heard[s]
			}
			if !ok && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	})
	return out
}

// place decides where entries go, each at the segments of its path that have room. It calls
// unknown with the index in its path where not enough is known of a segment to go on.
func (p *planning) place(unknown func(e *planned, from int)) {
	more := map[Segment]int{}
	everywhere := p.x.o.Scheme.Everywhere()
	for i := range p.all {
		e := &p.all[i]
		e.at, e.full = nil, nil
		for j, s := range e.path {
			st, ok := p.known(s)
			last := j == len(e.path)-1
			if !ok && !last {
				unknown(e, j)
				break
			}
			has := p.have[s][e.place]
			// A split segment takes nothing any more: what came later than its mark may be
			// below, and is not to be in both.
			full := st.count+more[s] >= p.x.o.Capacity || st.full && !everywhere
			if !last && !has && full {
				if !everywhere && !p.heard[s] && !e.entry.New {
					unknown(e, j) // whether it is here already
					break
				}
				e.full = append(e.full, s)
				continue
			}
			if !has {
				more[s]++
			}
			e.at = append(e.at, s)
			if !everywhere {
				break
			}
		}
	}
}

// queriesEach is how many queries are asked about a segment.
const queriesEach = 3

// queries asks about segments: how many entries they have, whether those that come are among
// them, and what is full.
func (p *planning) queries(ask []Segment) []dht.Query {
	if len(ask) == 0 {
		return nil
	}
	places := map[Segment][]Place{}
	for _, e := range p.all {
		for _, s := range e.path {
			places[s] = append(places[s], e.place)
		}
	}
	queries := make([]dht.Query, 0, queriesEach*len(ask))
	for _, s := range ask {
		location := p.x.Location(s)
		which := dht.Query{Location: location, Domain: entries, Bare: true}
		if some := places[s]; len(some) > min(2*p.x.o.Capacity, dht.MaxContents) {
			which.Limit = min(2*p.x.o.Capacity, dht.MaxResults) // it has not all of them
		} else {
			slices.SortFunc(some, Place.Compare)
			which.Contents = slices.Compact(some)
		}
		queries = append(queries,
			dht.Query{Location: location, Domain: entries, Count: true}, which,
			dht.Query{Location: location, Domain: marks, Bare: true, Contents: p.marksFor(s)})
	}
	return queries
}

// take takes what was found.
func (p *planning) take(ask []Segment, found []dht.Found) {
	now := p.x.o.Now()
	for i, s := range ask {
		p.heard[s] = true
		_, full, _ := p.x.learn(s, found[3*i+2])
		p.x.change(s, func(st *state) { st.read, st.count, st.full, st.told = now, found[3*i].Count, full, now })
		p.have[s] = map[Place]bool{}
		for _, c := range found[3*i+1].Records {
			p.have[s][c.Content] = true
			p.latest = max(p.latest, c.Seq) // they are numbered by the same clock
		}
	}
}

// marksFor returns which marks to look for at a segment: its own, and where an entry goes to
// the first segment that has room, those of the paths that lead through it.
func (p *planning) marksFor(s Segment) []p2p.Key {
	out := []p2p.Key{s.markAt(p.x.bits)}
	if p.x.o.Scheme.Everywhere() {
		return out
	}
	seen := map[Segment]bool{s: true}
	for _, e := range p.all {
		if s.Depth >= len(e.path) || e.path[s.Depth] != s {
			continue
		}
		for _, u := range e.path[s.Depth:] {
			if !seen[u] && len(out) < dht.MaxContents {
				seen[u] = true
				out = append(out, u.markAt(p.x.bits))
			}
		}
	}
	slices.SortFunc(out, p2p.Key.Compare)
	return out
}

// puts returns what is to be put: entries, marks, then hints.
func (p *planning) puts() []dht.Put {
	var puts []dht.Put
	at := max(uint64(p.x.o.Now().UnixMicro()), p.latest+1)
	p.marks = map[Segment]int{}
	for i := range p.all {
		e := &p.all[i]
		for _, s := range e.at {
			e.puts = append(e.puts, len(puts))
			puts = append(puts, dht.Put{Address: p.x.EntryAt(s, e.place), Value: stamped(at+uint64(i), e.entry.Value), TTL: e.entry.TTL})
		}
	}
	var hinted []Segment
	for i := range p.all {
		e := &p.all[i]
		for _, s := range e.full {
			n, ok := p.marks[s]
			if !ok {
				n = -1
				st := p.x.get(s)
				if p.x.o.Now().Sub(st.marked) >= fresh {
					n = len(puts)
					puts = append(puts, p.x.mark(s, s))
				}
				if !st.full {
					hinted = append(hinted, s)
				}
				p.marks[s] = n
			}
			if n >= 0 {
				e.puts = append(e.puts, n)
			}
		}
	}
	for _, s := range hinted {
		for above := s; above.Depth > 0; {
			above = above.Parent()
			puts = append(puts, p.x.mark(above, s))
		}
	}
	return puts
}

// results returns what became of the entries, and remembers what was stored. Whether hints
// were is nobody's trouble: without them a query takes a round more.
func (p *planning) results(puts []dht.PutResult) []Inserted {
	now := p.x.o.Now()
	for s, n := range p.marks {
		if n >= 0 && puts[n].Stored() {
			p.x.change(s, func(st *state) { st.full, st.told, st.marked = true, now, now })
		}
	}
	out := make([]Inserted, len(p.all))
	for i, e := range p.all {
		out[i] = Inserted{At: e.at, Full: e.full, Status: dht.StatusOK}
		for j, n := range e.puts {
			if !puts[n].Stored() {
				out[i].Status = puts[n].Status
			} else if j < len(e.at) && !p.have[e.at[j]][e.place] {
				p.x.change(e.at[j], func(st *state) { st.count++ })
			}
		}
	}
	return out
}
