package dht

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// NewMemory returns a store that forgets everything with the process: for tests, and for
// simulations of thousands of nodes. What it yields shares memory with what it keeps.
func NewMemory() Store { return &memory{} }

// memory implements Store.
type memory struct {
	mu        sync.RWMutex
	locations ordered[p2p.Key, *location]
	ends      ordered[end, struct{}] // of cells and claims on domains that expire, in part or altogether
	usage     map[p2p.ID]Usage
	seq       uint64 // the least that is free
}

// location is all of one location. There is none that is empty.
type location struct {
	cells   ordered[place, *kept]
	domains ordered[p2p.Key, Claim]
	sum     Sum // of all records, expired or not
	records int
}

// place is a name within a location.
type place struct{ domain, content p2p.Key }

// Compare orders places.
func (p place) Compare(o place) int {
	if c := p.domain.Compare(o.domain); c != 0 {
		return c
	}
	return p.content.Compare(o.content)
}

// lastKey returns the key that is not below any other.
func lastKey() (k p2p.Key) {
	for i := range k {
		k[i] = 0xff
	}
	return k
}

// kept is what a location has under one name.
type kept struct {
	records []Held
	entry   Claim
}

// end says that something of a name, or the claim on a domain, expires.
type end struct {
	expires int64
	name    Name
	domain  bool // the claim on the domain of the name, which has no content
}

// Compare orders ends by time.
func (e end) Compare(o end) int {
	switch {
	case e.expires < o.expires:
		return -1
	case e.expires > o.expires:
		return 1
	case e.domain != o.domain && e.domain:
		return -1
	case e.domain != o.domain:
		return 1
	}
	return e.name.Compare(o.name)
}

// earliest returns the first of two ends, where 0 is never.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// expires returns when the first of it does.
func (k *kept) expires() int64 {
	first := k.entry.Expires
	for i := range k.records {
		first = earliest(first, k.records[i].Expires)
	}
	return first
}

// Change implements Store.
func (m *memory) Change(ctx context.Context, names []Name, decide func(cells []*Cell) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckNames(names); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	cells := make([]*Cell, len(names))
	domains := make([]*Claim, len(names)) // decide may not put another one in their place
	for i, name := range names {
		c := &Cell{Name: name}
		l, there := m.locations.get(name.Location)
		if there {
			if k, there := l.cells.get(place{name.Domain, name.Content}); there {
				c.Records, c.Entry = slices.Clone(k.records), k.entry
			}
		}
		if i > 0 && names[i-1].Location == name.Location && names[i-1].Domain == name.Domain {
			c.Domain = domains[i-1]
		} else {
			c.Domain = new(Claim)
			if there {
				*c.Domain, _ = l.domains.get(name.Domain)
			}
		}
		cells[i], domains[i] = c, c.Domain
	}
	if err := decide(cells); err != nil {
		return err
	}
	for i, c := range cells {
		c.Name = names[i]
		if err := c.Check(); err != nil {
			return err
		}
	}
	for i, c := range cells {
		m.set(names[i], c.Records, c.Entry)
		if i+1 == len(cells) || domains[i] != domains[i+1] {
			m.recount(names[i], domains[i])
			m.setDomain(names[i], *domains[i])
		}
	}
	return nil
}

// recount finds out when a claim on a domain ends that the cells could not tell.
func (m *memory) recount(name Name, c *Claim) {
	if !c.Stale {
		return
	}
	l, _ := m.open(name)
	c.Recount(ProtectDomain, func(yield func(Held) bool) {
		for at, k := range l.cells.from(place{name.Domain, p2p.Key{}}) {
			if at.domain != name.Domain {
				return
			}
			for _, h := range k.records {
				if !yield(h) {
					return
				}
			}
		}
	})
}

// set makes the records and the claim those that are kept under name.
func (m *memory) set(name Name, records []Held, entry Claim) {
	l, k := m.open(name)
	if entry.IsZero() {
		entry = Claim{}
	}
	for was, is := range Changed(k.records, records) {
		m.count(l, was, -1)
		m.count(l, is, 1)
	}
	before := k.expires()
	k.records, k.entry = slices.Clip(slices.Clone(records)), entry
	if after := k.expires(); after != before {
		if before != 0 {
			m.ends.delete(end{before, name, false})
		}
		if after != 0 {
			m.ends.put(end{after, name, false}, struct{}{})
		}
	}
	if at := (place{name.Domain, name.Content}); len(records) == 0 && entry.IsZero() {
		l.cells.delete(at)
	} else {
		l.cells.put(at, k)
	}
	m.close(name.Location, l)
}

// setDomain sets the claim on the domain of name.
func (m *memory) setDomain(name Name, c Claim) {
	l, _ := m.open(name)
	was, _ := l.domains.get(name.Domain)
	e := end{was.Expires, Name{name.Location, name.Domain, p2p.Key{}}, true}
	if e.expires != 0 {
		m.ends.delete(e)
	}
	if c.IsZero() {
		l.domains.delete(name.Domain)
	} else {
		l.domains.put(name.Domain, c)
		if e.expires = c.Expires; e.expires != 0 {
			m.ends.put(e, struct{}{})
		}
	}
	m.close(name.Location, l)
}

// open returns the location of name and what it has there, new ones if there are none.
func (m *memory) open(name Name) (*location, *kept) {
	l, there := m.locations.get(name.Location)
	if !there {
		return &location{}, &kept{}
	}
	k, there := l.cells.get(place{name.Domain, name.Content})
	if !there {
		k = &kept{}
	}
	return l, k
}

// close keeps a location, unless it is empty.
func (m *memory) close(at p2p.Key, l *location) {
	if l.cells.n == 0 && l.domains.n == 0 {
		m.locations.delete(at)
	} else {
		m.locations.put(at, l)
	}
}

// count adds n times a record, if there is one, to what is known of its location and its author.
func (m *memory) count(l *location, r *Held, n int) {
	if r == nil {
		return
	}
	l.sum.Add(r.Header)
	l.records += n
	if m.usage == nil {
		m.usage = map[p2p.ID]Usage{}
	}
	author := p2p.IDOf(r.Author)
	u := m.usage[author]
	u.Records += n
	u.Bytes += int64(n) * int64(r.Size)
	if u.Records == 0 {
		delete(m.usage, author)
	} else {
		m.usage[author] = u
	}
}

// Read implements Store.
func (m *memory) Read(ctx context.Context, q Query) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Held{}, err)
			return
		}
		m.mu.RLock()
		defer m.mu.RUnlock()
		l, there := m.locations.get(q.Location)
		if !there {
			return
		}
		for k := range l.query(&q) {
			for i := range k.records {
				h := &k.records[i]
				if q.Descending {
					h = &k.records[len(k.records)-1-i]
				}
				if !q.Wants(&h.Header) {
					continue
				}
				held := *h
				if q.Bare {
					held.Value = nil
				}
				if !yield(held, nil) {
					return
				}
			}
		}
	}
}

// query yields what a query spans, in the order that it wants.
func (l *location) query(q *Query) iter.Seq[*kept] {
	return func(yield func(*kept) bool) {
		if !q.Domains {
			l.queryDomain(q, q.Domain, yield)
			return
		}
		// From one domain to the next, without looking at the names within.
		at := place{}
		if q.Descending {
			at = place{lastKey(), lastKey()}
		}
		for {
			domain, there := l.domainAt(at, q.Descending)
			if !there || !l.queryDomain(q, domain, yield) {
				return
			}
			if q.Descending {
				at.domain, there = step(domain, 0xff)
			} else {
				at.domain, there = step(domain, 1)
			}
			if !there {
				return
			}
		}
	}
}

// step returns the key after k with by 1, the key before with by 0xff; ok is false if
// there is none.
func step(k p2p.Key, by byte) (next p2p.Key, ok bool) {
	around := byte(0)
	if by == 0xff {
		around = 0xff
	}
	for i := len(k) - 1; i >= 0; i-- {
		k[i] += by
		if k[i] != around {
			return k, true
		}
	}
	return k, false
}

// domainAt returns the domain of the first place that is not below at, or of the last
// one that is not above it.
func (l *location) domainAt(at place, descending bool) (p2p.Key, bool) {
	seq := l.cells.from(at)
	if descending {
		seq = l.cells.upTo(at)
	}
	for p := range seq {
		return p.domain, true
	}
	return p2p.Key{}, false
}

// queryDomain is query within a domain. It returns false when yield does.
func (l *location) queryDomain(q *Query, domain p2p.Key, yield func(*kept) bool) bool {
	if len(q.Contents) > 0 {
		for i := range q.Contents {
			if q.Descending {
				i = len(q.Contents) - 1 - i
			}
			if i > 0 && q.Contents[i] == q.Contents[i-1] {
				continue // one of several that are the same
			}
			if k, there := l.cells.get(place{domain, q.Contents[i]}); there && !yield(k) {
				return false
			}
		}
		return true
	}
	from, to := place{domain, q.From}, place{domain, lastKey()}
	if q.To != nil {
		to.content = *q.To
	}
	if q.Descending {
		for p, k := range l.cells.upTo(to) {
			if p.Compare(from) < 0 {
				break
			}
			if !yield(k) {
				return false
			}
		}
		return true
	}
	for p, k := range l.cells.from(from) {
		if p.Compare(to) > 0 {
			break
		}
		if !yield(k) {
			return false
		}
	}
	return true
}

// Sums implements Store.
func (m *memory) Sums(ctx context.Context, now int64) iter.Seq2[LocationSum, error] {
	return func(yield func(LocationSum, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(LocationSum{}, err)
			return
		}
		m.mu.RLock()
		defer m.mu.RUnlock()
		expired := m.expired(now)
		for at, l := range m.locations.from(p2p.Key{}) {
			s := LocationSum{Location: at, Sum: l.sum, Records: l.records}
			if e, some := expired[at]; some {
				s.Sum.Merge(e.Sum)
				s.Records -= e.Records
			}
			if s.Records > 0 && !yield(s, nil) {
				return
			}
		}
	}
}

// expired returns the sums over what has expired by now and is still there.
func (m *memory) expired(now int64) map[p2p.Key]LocationSum {
	sums := map[p2p.Key]LocationSum{}
	for e := range m.ends.from(end{}) {
		if e.expires > now {
			break
		}
		_, k := m.open(e.name)
		if e.domain {
			continue
		}
		s := sums[e.name.Location]
		for i := range k.records {
			if r := &k.records[i]; Expired(r.Expires, now) {
				s.Sum.Add(r.Header)
				s.Records++
			}
		}
		sums[e.name.Location] = s
	}
	return sums
}

// Expire implements Store.
func (m *memory) Expire(ctx context.Context, now int64, limit int) (deleted int, next int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.ends.n > 0 {
		e := m.ends.chunks[0][0].key
		if e.expires > now || deleted >= limit {
			return deleted, e.expires, nil
		}
		if e.domain {
			m.setDomain(e.name, Claim{})
			continue
		}
		_, k := m.open(e.name)
		entry := k.entry
		if Expired(entry.Expires, now) {
			entry = Claim{}
		}
		records := slices.DeleteFunc(slices.Clone(k.records), func(h Held) bool {
			gone := deleted < limit && Expired(h.Expires, now)
			if gone {
				deleted++
			}
			return gone
		})
		m.set(e.name, records, entry)
	}
	return deleted, 0, nil
}

// Drop implements Store.
func (m *memory) Drop(ctx context.Context, locations []p2p.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range locations {
		l, there := m.locations.get(at)
		if !there {
			continue
		}
		var names []Name
		for p := range l.cells.from(place{}) {
			names = append(names, Name{at, p.domain, p.content})
		}
		for domain := range l.domains.from(p2p.Key{}) {
			m.ends.delete(endOfDomain(at, domain, l))
		}
		for _, name := range names {
			m.set(name, nil, Claim{})
		}
		m.locations.delete(at)
	}
	return nil
}

func endOfDomain(at, domain p2p.Key, l *location) end {
	c, _ := l.domains.get(domain)
	return end{c.Expires, Name{at, domain, p2p.Key{}}, true}
}

// Usage implements Store.
func (m *memory) Usage(ctx context.Context, author p2p.ID) (Usage, error) {
	if err := ctx.Err(); err != nil {
		return Usage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.usage[author], nil
}

// Total implements Store.
func (m *memory) Total(ctx context.Context) (sum Usage, err error) {
	if err := ctx.Err(); err != nil {
		return Usage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, u := range m.usage {
		sum.Records += u.Records
		sum.Bytes += u.Bytes
	}
	return sum, nil
}

// NextSeq implements Store.
func (m *memory) NextSeq(ctx context.Context, atLeast uint64, n int) (first uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	first, then, err := Reserve(m.seq, atLeast, n)
	if err == nil {
		m.seq = then
	}
	return first, err
}
