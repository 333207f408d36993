package dht

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
)

// Found is what there is for one query.
type Found struct {
	Query Query
	// Records are in the query's order; of each address the one that holds, of the heads of
	// a name those that no other replica knows to be replaced.
	Records  []Copy
	Replicas []Answered // that were asked, nearest first
	More     bool       // there are more than a replica returns at once: ask from Until on
	// Until is the content, the last one in the query's order, up to which all is known that
	// those who were asked have; nil where there is no more, or not even one was returned. It
	// is not always that of a record: what was removed has no record here.
	Until *p2p.Key
	Count int // of values at the replica that has the most, where the query asks for no more
	// Summary is a filter of all contents that a replica has, where the query asks for that.
	Summary bloom.Filter
}

// Copy is a record that was found.
type Copy struct {
	Record
	Left time.Duration // how long it has to live; 0: no end
	Have []p2p.ID      // who returned it, nearest first
}

// Answered says what one replica had.
type Answered struct {
	ID      p2p.ID `json:"id"`
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Records int    `json:"records"`
	Error   string `json:"error,omitempty"` // why it could not be asked
}

// ReadOptions say how much answers are trusted. The zero value takes the newest.
type ReadOptions struct {
	// Majority takes of each address the record that most replicas have, not the newest: for
	// open networks, where some of them may lie.
	Majority bool
}

// MultiGet gets all at once: each member that keeps some of it gets one message. The
// results are in the order of queries. That nothing is there is no error.
func (t *Table) MultiGet(ctx context.Context, queries []Query, o ReadOptions) ([]Found, Trace, error) {
	return t.get(ctx, "get", queries, o)
}

// MultiDigest is MultiGet without values: what there is, and not what it says.
func (t *Table) MultiDigest(ctx context.Context, queries []Query, o ReadOptions) ([]Found, Trace, error) {
	bare := slices.Clone(queries)
	for i := range bare {
		bare[i].Bare = true
	}
	return t.get(ctx, "digest", bare, o)
}

// Get gets the records of one query.
func (t *Table) Get(ctx context.Context, q Query, o ReadOptions) (Found, Trace, error) {
	found, trace, err := t.MultiGet(ctx, []Query{q}, o)
	if err != nil {
		return Found{}, trace, err
	}
	return found[0], trace, nil
}

// getRounds is how often others are asked when some could not be.
const getRounds = 3

// getting is a query on its way.
type getting struct {
	query  Query
	asked  map[p2p.ID]*Answered
	order  []p2p.ID
	copies map[p2p.ID][]copied // by who returned them
	behind []Record            // headers that were not checked
	cut    map[p2p.ID]bool     // who has more
	count  int

	summary bloom.Filter
}

func (t *Table) get(ctx context.Context, name string, queries []Query, o ReadOptions) ([]Found, Trace, error) {
	op := t.begin(name)
	all := make([]*getting, len(queries))
	for i, q := range queries {
		if err := q.check(); err != nil {
			return nil, op.end(), fmt.Errorf("dht: %s: %w", name, err)
		}
		// Between two versions all are meant, also those that a third one replaces.
		q.Versions = q.Versions || !q.VersionFrom.IsZero() || !q.VersionTo.IsZero()
		all[i] = &getting{query: q, asked: map[p2p.ID]*Answered{}, copies: map[p2p.ID][]copied{}, cut: map[p2p.ID]bool{}}
	}
	want := t.Replicas()
	locations := make([]p2p.Key, len(queries))
	for i, q := range queries {
		locations[i] = q.Location
	}
	v, err := t.around(ctx, op, locations, want)
	if err != nil {
		return nil, op.end(), fmt.Errorf("dht: %s: %w", name, err)
	}
	names := v.names()
	for round := 1; round <= getRounds && ctx.Err() == nil; round++ {
		batches := map[p2p.ID][]*getting{}
		for _, g := range all {
			for _, m := range g.next(v, want, names) {
				batches[m.ID] = append(batches[m.ID], g)
			}
		}
		if len(batches) == 0 {
			break
		}
		t.collect(ctx, op, round, batches)
	}
	out, trace := make([]Found, len(all)), op.end()
	answered, check := 0, Checker{Network: t.o.Network()}
	for i, g := range all {
		out[i] = g.merge(o, &check)
		for _, a := range g.asked {
			if a.Status == StatusOK {
				answered++
				break
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return out, trace, fmt.Errorf("dht: %s: %w", name, err)
	}
	if answered == 0 && len(all) > 0 {
		return out, trace, fmt.Errorf("dht: %s: %w", name, ErrNoReplica)
	}
	t.mend(all, out)
	return out, trace, nil
}

// next returns whom to ask in the next round: the nearest, and one more for each that could
// not be asked.
func (g *getting) next(v view, want int, names map[p2p.ID]string) []Member {
	var out []Member
	useful := 0
	want = v.want(g.query.Location, want)
	for _, m := range v.replicas(g.query.Location, want+getRounds) {
		if useful == want {
			break
		}
		a := g.asked[m.ID]
		if a != nil && a.Status != StatusOK {
			continue
		}
		if a == nil {
			g.asked[m.ID] = &Answered{ID: m.ID, Name: names[m.ID]}
			g.order = append(g.order, m.ID)
			out = append(out, m)
		}
		useful++
	}
	return out
}

// collect asks all members of a round and sorts what they say.
func (t *Table) collect(ctx context.Context, op *operation, round int, batches map[p2p.ID][]*getting) {
	type heard struct {
		to  p2p.ID
		of  *getting
		got got
		err error
	}
	answers := make(chan heard, 64)
	go func() {
		defer close(answers)
		each(batches, func(to p2p.ID, batch []*getting) {
			for len(batch) > 0 {
				some := batch[:min(len(batch), MaxItems)]
				read, err := t.getFrom(ctx, op, round, to, some, len(some) > shortGet)
				if err == nil && read[0].cut && len(some) <= shortGet && t.limit(to) > maxCall {
					read, err = t.getFrom(ctx, op, round, to, some, true)
				}
				if err != nil {
					t.suspect(to, err)
					for _, g := range batch {
						answers <- heard{to: to, of: g, err: err}
					}
					return
				}
				for i, r := range read {
					t.follow(ctx, op, round, to, some[i].query, &r)
					answers <- heard{to: to, of: some[i], got: r}
				}
				batch = batch[len(read):]
			}
		})
	}()
	for h := range answers {
		a := h.of.asked[h.to]
		if h.err != nil {
			a.Status, a.Error = StatusFailed, h.err.Error()
			continue
		}
		a.Status, a.Records = h.got.status, len(h.got.copies)
		h.of.copies[h.to] = h.got.copies
		h.of.behind = append(h.of.behind, h.got.behind...)
		if h.got.more {
			h.of.cut[h.to] = true
		}
		h.of.count = max(h.of.count, h.got.count)
		h.of.summary = bloom.Join(h.of.summary, h.got.summary)
	}
}

// maxPages is how many answers to one query come from one member: together as much as one has
// over a link.
const maxPages = maxAnswer / maxCall

// follow asks a member for the rest of what had no room in its answer, as far as the query wants
// it. Who is reached through others has room for about a hundred records in each. What could not
// be asked for stays cut.
func (t *Table) follow(ctx context.Context, op *operation, round int, to p2p.ID, q Query, g *got) {
	for page := 1; page < maxPages && g.cut && g.more && len(g.copies) > 0 && len(g.copies) < q.limit(); page++ {
		last := g.copies[len(g.copies)-1].Record.Content
		rest, ok := q.behind(last)
		if !ok {
			return
		}
		read, err := t.getFrom(ctx, op, round, to, []*getting{{query: rest}}, true)
		if err != nil || len(read[0].copies) == 0 {
			return
		}
		next := read[0]
		// The answer before may have had a part of its last content only: that comes again.
		if !q.before(last, next.copies[len(next.copies)-1].Record.Content) && next.cut {
			return // there is more of it than an answer has room for
		}
		g.copies = slices.DeleteFunc(g.copies, func(c copied) bool { return c.Record.Content == last })
		g.copies = append(g.copies, next.copies...)
		g.behind = append(g.behind, next.behind...)
		g.more, g.cut = next.more, next.cut
	}
}

// behind returns the query for what is not before a content in the order of q; false where a
// content does not say where an answer has ended.
func (q Query) behind(content p2p.Key) (Query, bool) {
	switch {
	case q.Domains || q.Count || q.Summary > 0:
		return q, false
	case len(q.Contents) > 0:
		i, _ := slices.BinarySearchFunc(q.Contents, content, p2p.Key.Compare)
		if q.Descending {
			q.Contents = q.Contents[:min(i+1, len(q.Contents))]
		} else {
			q.Contents = q.Contents[i:]
		}
		return q, len(q.Contents) > 0
	case q.Descending:
		q.To = &content
	default:
		q.From = content
	}
	return q, true
}

// got is a replica's answer to one query.
type got struct {
	status Status
	copies []copied
	behind []Record
	more   bool
	count  int

	summary bloom.Filter
	cut     bool // because the answer had not enough room
}

// shortGet is how many queries are asked in a call, whose answer is short. More are asked, or
// again, where there is room for a long one.
const shortGet = 16

// room returns how many bytes an answer has.
func (t *Table) room(to p2p.ID, long bool) int {
	if long {
		return t.limit(to)
	}
	return maxCall
}

// getFrom asks one member for as many of the queries as fit its answer: the result is of
// the first ones, at least one.
func (t *Table) getFrom(ctx context.Context, op *operation, round int, to p2p.ID, some []*getting, long bool) ([]got, error) {
	limit := t.limit(to)
	long = long && limit > maxCall
	req, err := beginRequest(t.room(to, long))
	if err != nil {
		return nil, err
	}
	sent := 0
	for _, g := range some {
		q := g.query
		// What was removed is needed to know what holds, also where nobody is to see it.
		q.Tombstones = true
		next, err := appendItem(req, q)
		if err != nil {
			return nil, fmt.Errorf("dht: get: %w", err)
		}
		if len(next) > limit && sent > 0 {
			break
		}
		req = next
		sent++
	}
	var out []got
	err = op.ask(ctx, request{round: round, to: to, proto: ProtoGet, items: sent, message: req, long: long}, func(resp []byte) (string, error) {
		var err error
		if out, err = t.readAnswers(resp, some[:sent]); err != nil {
			return "", err
		}
		records := 0
		for _, g := range out {
			records += len(g.copies)
		}
		if records == 1 {
			return "1 record", nil
		}
		return fmt.Sprintf("%d records", records), nil
	})
	return out, err
}

// readAnswers reads and checks what a member says. Of what is not as it should be nothing
// is believed.
func (t *Table) readAnswers(resp []byte, of []*getting) ([]got, error) {
	r := newItemReader(resp)
	check, now := Checker{Network: t.o.Network()}, t.now()
	var out []got
	for r.more() {
		if len(out) == len(of) {
			return nil, fmt.Errorf("dht: more answers than queries: %w", ErrMalformed)
		}
		var a answer
		if err := r.read(&a); err != nil {
			return nil, err
		}
		q := of[len(out)].query
		if a.Records < 0 || a.Records > q.limit() || a.Edges < 0 || a.Edges > maxEdges {
			return nil, fmt.Errorf("dht: %d records for a query of %d: %w", a.Records, q.limit(), ErrMalformed)
		}
		if a.Count < 0 || a.Count > q.limit() || a.Count > 0 && !q.Count && q.Summary == 0 {
			return nil, fmt.Errorf("dht: a count of %d for a query of %d: %w", a.Count, q.limit(), ErrMalformed)
		}
		g := got{status: a.Status, more: a.More, cut: a.Cut, count: a.Count}
		if a.Summary != nil {
			if err := a.Summary.Check(); err != nil || q.Summary == 0 {
				return nil, fmt.Errorf("dht: a summary for a query: %w", ErrMalformed)
			}
			g.summary = *a.Summary
		}
		for range a.Records {
			var c copied
			if err := r.read(&c); err != nil {
				return nil, err
			}
			if err := check.Check(c.Record); err != nil {
				return nil, err
			}
			if !q.asksFor(c.Record) {
				return nil, fmt.Errorf("dht: a record that nobody asked for: %w", ErrMalformed)
			}
			if !c.Record.credible(now) {
				return nil, fmt.Errorf("dht: a record of another time: %w", ErrMalformed)
			}
			c.Left = c.Record.left(c.Left)
			g.copies = append(g.copies, c)
		}
		for range a.Edges {
			var e copied
			if err := r.read(&e); err != nil {
				return nil, err
			}
			g.behind = append(g.behind, e.Record)
		}
		out = append(out, g)
	}
	if len(out) == 0 && len(of) > 0 {
		return nil, fmt.Errorf("dht: no answer: %w", ErrMalformed)
	}
	return out, nil
}

// left returns how many milliseconds a record has to live of which somebody says how many.
func (h Header) left(said uint64) uint64 {
	ttl, ends := h.TimeToLive()
	switch most := uint64(ttl.Milliseconds()); {
	case !ends:
		return 0
	case said == 0:
		return most
	default:
		return min(said, most)
	}
}

// asksFor reports whether a record is one of those that q is about.
func (q Query) asksFor(r Record) bool {
	switch {
	case r.Location != q.Location || !q.Domains && r.Domain != q.Domain:
		return false
	case len(q.Contents) > 0:
		if _, ok := slices.BinarySearchFunc(q.Contents, r.Content, p2p.Key.Compare); !ok {
			return false
		}
	case r.Content.Compare(q.From) < 0 || q.To != nil && r.Content.Compare(*q.To) > 0:
		return false
	}
	if q.Versions && (r.Version.Compare(q.VersionFrom) < 0 || !q.VersionTo.IsZero() && r.Version.Compare(q.VersionTo) > 0) {
		return false
	}
	return (!r.Prepared || q.Prepared) && (q.Bare || !r.IsHeader()) && q.wants(r.Content)
}

// merge makes one answer of all.
func (g *getting) merge(o ReadOptions, check *Checker) Found {
	f := Found{Query: g.query, More: len(g.cut) > 0, Until: g.until(), Count: g.count, Summary: g.summary}
	for _, id := range g.order {
		f.Replicas = append(f.Replicas, *g.asked[id])
	}
	type candidate struct {
		Copy
		left uint64
	}
	byAddress := map[Address]map[[32]byte]*candidate{}
	for _, id := range g.order {
		for _, c := range g.copies[id] {
			same := byAddress[c.Record.Address]
			if same == nil {
				same = map[[32]byte]*candidate{}
				byAddress[c.Record.Address] = same
			}
			hash := c.Record.hash()
			if same[hash] == nil {
				same[hash] = &candidate{Copy: Copy{Record: c.Record}}
			}
			same[hash].Have = append(same[hash].Have, id)
			same[hash].left = max(same[hash].left, c.Left)
		}
	}
	holds := make(map[Address]*candidate, len(byAddress))
	for address, same := range byAddress {
		for _, c := range same {
			if holds[address] == nil || preferred(c.Copy, holds[address].Copy, o) {
				holds[address] = c
			}
		}
	}
	replaced := g.replaced(func(a Address) (Header, bool) {
		c := holds[a]
		if c == nil {
			return Header{}, false
		}
		return c.Header, true
	}, slices.Collect(maps.Keys(holds)), check)
	for address, best := range holds {
		if best.Kind == KindTombstone && !g.query.Tombstones || !g.query.Versions && replaced[address] {
			continue
		}
		if f.Until != nil && g.query.before(*f.Until, address.Content) {
			continue // another replica may have something before that
		}
		best.Left = time.Duration(best.left) * time.Millisecond
		f.Records = append(f.Records, best.Copy)
	}
	slices.SortFunc(f.Records, func(a, b Copy) int {
		if g.query.Descending {
			a, b = b, a
		}
		return a.Compare(b.Address)
	})
	if limit := g.query.limit(); len(f.Records) > limit {
		f.Records, f.More = f.Records[:limit], true
		f.Until = &f.Records[limit-1].Content
	}
	return f
}

// until returns the content up to which nobody has more than was returned.
func (g *getting) until() *p2p.Key {
	var out *p2p.Key
	for id := range g.cut {
		n := len(g.copies[id])
		if n == 0 {
			continue
		}
		if last := &g.copies[id][n-1].Record.Content; out == nil || g.query.before(*last, *out) {
			out = last
		}
	}
	return out
}

// before reports whether one content comes before another one in the query's order.
func (q Query) before(a, b p2p.Key) bool {
	if q.Descending {
		a, b = b, a
	}
	return a.Compare(b) < 0
}

// preferred reports whether a is to be believed rather than b, which is at the same address.
func preferred(a, b Copy, o ReadOptions) bool {
	if o.Majority && len(a.Have) != len(b.Have) {
		return len(a.Have) > len(b.Have)
	}
	return a.Newer(b.Header)
}

// replaced returns the addresses of versions that another one replaces which has not been
// removed: where a replica still has them as heads, it has not heard of what came later.
// holds returns the header that holds at an address, if one was found. What is behind heads
// is checked only where it makes a difference.
func (g *getting) replaced(holds func(Address) (Header, bool), found []Address, check *Checker) map[Address]bool {
	out := map[Address]bool{}
	for _, a := range found {
		if h, _ := holds(a); h.Kind == KindValue && !h.Prepared {
			for _, v := range h.Based {
				out[a.Name().At(v)] = true
			}
		}
	}
	for _, e := range g.behind {
		if h, ok := holds(e.Address); ok && h.Kind != KindValue || e.Kind != KindValue || e.Prepared || e.Location != g.query.Location {
			continue
		}
		for _, v := range e.Based {
			a := e.Name().At(v)
			if _, is := holds(a); is && !out[a] && check.Check(e) == nil {
				out[a] = true
			}
		}
	}
	return out
}

// mend sends replicas what they lack of what was found, in the background: reading repairs.
func (t *Table) mend(all []*getting, found []Found) {
	missing := map[p2p.ID][]Write{}
	for i, g := range all {
		if g.query.Bare || g.query.Count || g.query.Summary > 0 || len(g.cut) > 0 {
			continue
		}
		for _, c := range found[i].Records {
			if c.Prepared {
				continue
			}
			for _, id := range g.order {
				if g.asked[id].Status != StatusOK || slices.Contains(c.Have, id) {
					continue
				}
				missing[id] = append(missing[id], Write{
					Record: c.Record, Repair: true, Left: uint64(c.Left.Milliseconds()), Quorum: t.votes(c.Header),
				})
			}
		}
	}
	if len(missing) > 0 {
		t.repair.deliver(missing)
	}
}

// MultiRemove removes what queries ask for, from all replicas: each record is replaced by
// a tombstone, which stops copies that come late. It returns what was removed, with values
// unless the queries are bare, and what became of each tombstone in the same order.
func (t *Table) MultiRemove(ctx context.Context, queries []Query) ([]Copy, []PutResult, Trace, error) {
	found, trace, err := t.get(ctx, "remove", queries, ReadOptions{})
	if err != nil {
		return nil, nil, trace, err
	}
	var removed []Copy
	var puts []Put
	for _, f := range found {
		for _, c := range f.Records {
			if c.Kind == KindTombstone {
				continue
			}
			removed = append(removed, c)
			puts = append(puts, Put{Address: c.Address, TTL: max(TombstoneTTL, c.Left), tombstone: true, seq: c.Seq + 1})
		}
	}
	if len(puts) == 0 {
		return nil, nil, trace, nil
	}
	results, more, err := t.put(ctx, "remove", puts)
	trace.Add(more)
	return removed, results, trace, err
}

// RemoveUnchanged removes records as they were read: what has been written at their
// addresses since then stays. The results are in the order of records.
func (t *Table) RemoveUnchanged(ctx context.Context, records []Header) ([]PutResult, Trace, error) {
	puts := make([]Put, len(records))
	for i, h := range records {
		// Of equal sequence numbers a tombstone holds, and anything newer has a larger one. Its
		// time is counted from when the record was written.
		age := time.Duration(max(t.o.Now().UnixMicro()-int64(min(h.Seq, math.MaxInt64)), 0)) * time.Microsecond
		puts[i] = Put{Address: h.Address, TTL: TombstoneTTL + age, tombstone: true, exactly: h.Seq}
	}
	return t.put(ctx, "remove", puts)
}

// TombstoneTTL is how long replicas remember at least that something was removed: a copy
// that comes back from a disk that was away for longer would be there again.
const TombstoneTTL = 30 * 24 * time.Hour

// MultiRenew gives records that are there a new TTL, without sending their values
// again. Only who may write there can; the results are in the order of addresses, with
// StatusNotFound where nothing is.
func (t *Table) MultiRenew(ctx context.Context, addresses []Address, ttl time.Duration) ([]PutResult, Trace, error) {
	return t.change(ctx, "renew", addresses, func(p *Put) { p.TTL = ttl })
}

// Transfer makes somebody else the owner of what the records at the addresses claim. Only
// the present owner can.
func (t *Table) Transfer(ctx context.Context, addresses []Address, to []byte) ([]PutResult, Trace, error) {
	return t.change(ctx, "transfer", addresses, func(p *Put) { p.Owner = to })
}

// change changes headers of what is there.
func (t *Table) change(ctx context.Context, name string, addresses []Address, change func(*Put)) ([]PutResult, Trace, error) {
	queries := make([]Query, len(addresses))
	for i, a := range addresses {
		queries[i] = Query{Location: a.Location, Domain: a.Domain, Contents: []p2p.Key{a.Content}, Versions: true, VersionFrom: a.Version, VersionTo: a.Version, Bare: true}
	}
	found, trace, err := t.get(ctx, name, queries, ReadOptions{})
	if err != nil {
		return nil, trace, err
	}
	out := make([]PutResult, len(addresses))
	var puts []Put
	var of []int
	for i, a := range addresses {
		out[i] = PutResult{Header: Header{Address: a}, Status: StatusNotFound}
		at := slices.IndexFunc(found[i].Records, func(c Copy) bool { return c.Address == a && c.Kind == KindValue })
		if at < 0 {
			continue
		}
		h := found[i].Records[at].Header
		p := Put{Address: a, Protect: h.Protect, Owner: h.Owner, TTL: time.Duration(h.TTL) * time.Second, Renew: &h}
		change(&p)
		puts, of = append(puts, p), append(of, i)
	}
	if len(puts) == 0 {
		return out, trace, nil
	}
	results, more, err := t.put(ctx, name, puts)
	trace.Add(more)
	for i, r := range results {
		out[of[i]] = r
	}
	return out, trace, err
}
