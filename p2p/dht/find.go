package dht

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

// In a network of more than Options.Roster members, or with members that not all know, a node does not reckon with all of them. It
// knows those around itself (route.Contacts), and looks up who is near to a key. What one
// lookup finds answers for the keys beside that one, so that a batch of thousands of
// keys takes as many lookups as the network has neighbourhoods.

// DefaultRoster is up to how many members a node reckons with all.
const DefaultRoster = 2000

const (
	maxLookups    = 4096 // of one operation
	maxAround     = 8192 // parts of the key space that one operation is about
	repairLookups = 32   // of one repair: the rest comes with the next one
	// crowded is how improbable it is that as many members are as near to a key as those that
	// were found, from where on they are not believed to be there by chance (route.Chance).
	crowded = 1e-6
)

// Large reports whether this node finds members by lookups.
func (t *Table) Large() bool {
	return t.o.Contacts != nil && (t.o.Size() > t.o.Roster || t.o.Wide())
}

// met tells the contacts whether a member could be asked.
func (t *Table) met(id p2p.ID, err error) {
	if id != t.self && errors.Is(err, p2p.ErrUnreachable) && t.Large() {
		t.o.Contacts.Failed(id)
	}
}

// nearView is who is there around this node, as far as it knows.
func (t *Table) nearView() view {
	v := t.newView()
	v.parts = nil
	t.join(&v, t.o.Contacts.Members())
	return v
}

// newView returns the view of a large network in which nobody is known but this node.
func (t *Table) newView() view {
	v := view{self: t.self, alive: map[p2p.ID]bool{}, parts: []route.Part{}, known: map[p2p.ID]bool{}, wide: map[p2p.Key]bool{}}
	if self, ok := t.o.Member(t.self); ok {
		v.members, v.alive[t.self], v.known[t.self] = append(v.members, self), true, true
	}
	return v
}

// join adds members to a view.
func (t *Table) join(v *view, found []route.Member) {
	for _, f := range found {
		if v.known[f.ID] {
			continue
		}
		m, ok := t.o.Member(f.ID)
		if !ok || m.Position != f.Position {
			continue
		}
		v.members, v.known[m.ID] = append(v.members, m), true
		if t.o.Alive(m.ID) {
			v.alive[m.ID] = true
		}
	}
}

// around returns who is there around locations: where n members are to keep each of them,
// those and some who could take their place. In a large network they are looked up, and the
// questions are steps of the operation. The error is the context's.
func (t *Table) around(ctx context.Context, op *operation, locations []p2p.Key, n int) (view, error) {
	if !t.Large() {
		return t.view(), nil
	}
	return t.survey(ctx, op, locations, route.SurveyOptions{N: n, Since: time.Now().Add(-route.Fresh), Lookups: maxLookups}, maxAround)
}

// survey is around, with bounds: of locations for which nobody has looked, or that are in more
// parts of the key space than that, the view knows nothing (view.covers).
func (t *Table) survey(ctx context.Context, op *operation, locations []p2p.Key, o route.SurveyOptions, parts int) (view, error) {
	v := t.newView()
	if _, err := t.o.Contacts.Survey(ctx, locations, o, op.looked); err != nil {
		return v, err
	}
	size, known := t.o.Contacts.Size()
	if v.each = t.o.Open(); known {
		v.bits = route.Region(size, o.N)
	}
	seen, looked := map[route.Part]bool{}, map[p2p.Key]bool{}
	chances := map[p2p.Key]float64{}
	for _, l := range locations {
		part, members, ok := t.o.Contacts.At(l, o.N, o.Since)
		if !ok || looked[l] || !seen[part] && len(v.parts) == parts {
			continue
		}
		looked[l] = true
		if !seen[part] {
			seen[part] = true
			v.parts = append(v.parts, part)
			t.join(&v, members)
		}
		if chance := chanceOf(size, l, members); known && chance < crowded {
			chances[l], v.wide[l] = chance, true
		} else if v.each {
			chances[l] = 1
		}
	}
	return v, t.widen(ctx, op, &v, chances)
}

// chanceOf returns how probable it is that members are as near to a key as the nearest of
// some are.
func chanceOf(size float64, key p2p.Key, members []route.Member) float64 {
	near := slices.SortedFunc(slices.Values(members), func(a, b route.Member) int {
		return a.Position.Distance(key).Compare(b.Position.Distance(key))
	})
	return route.Chance(size, key, near[:min(len(near), route.K)])
}

// widen finds all members of the regions of some locations. Where somebody sits around a key
// nearer than chance would have him, or anybody could, what is there is kept by all who are as
// near as honest members are, and asked of all of them: so who sits there can add to what is
// found, and hide nothing (SR-DHT-Store, Sridhar et al. 2024).
func (t *Table) widen(ctx context.Context, op *operation, v *view, chances map[p2p.Key]float64) error {
	var mu sync.Mutex // guards v
	limit := make(chan struct{}, comparisons)
	var running sync.WaitGroup
	for l, chance := range chances {
		running.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			members, err := t.region(ctx, op, l, v.bits)
			if err != nil {
				return // then those that are known are all there are
			}
			if chance < crowded {
				t.crowded(op, l, chance, members)
			}
			mu.Lock()
			defer mu.Unlock()
			t.join(v, members)
		})
	}
	running.Wait()
	return ctx.Err()
}

// region returns the members that share so many bits with a key.
func (t *Table) region(ctx context.Context, op *operation, key p2p.Key, bits int) ([]route.Member, error) {
	if part, members, ok := t.o.Contacts.At(key, 0, time.Now().Add(-route.Fresh)); ok && part.Bits <= bits {
		return members, nil
	}
	return t.o.Contacts.FindRegion(ctx, key, bits, op.looked)
}

// crowded tells that those around a key are not there by chance.
func (t *Table) crowded(op *operation, key p2p.Key, chance float64, members []route.Member) {
	var names []string
	for _, m := range members[:min(len(members), t.Replicas())] {
		names = append(names, t.nameOf(m.ID))
	}
	t.o.Logger.Warn("members sit around a key, nearer than chance would have them", "key", hex.EncodeToString(key[:6]), "chance", chance, "nearest", names)
	t.o.Publish.Emit(Crowded{Key: hex.EncodeToString(key[:]), Chance: chance})
	op.mu.Lock()
	op.trace.Crowded++
	op.mu.Unlock()
}

// looked adds a question of a lookup to the operation.
func (o *operation) looked(a route.Asked) {
	s := Step{
		Operation: o.name, Number: o.n, Round: a.Round, From: o.t.self, To: a.ID, Proto: route.FindProtocol, Items: 1,
		Out: a.Out, In: a.In, Outcome: fmt.Sprintf("names %d members", len(a.Heard)), At: o.t.o.Now().Sub(o.began) - a.Took, Took: a.Took,
	}
	if a.Strangers > 0 {
		o.t.o.Logger.Warn("members that are none were named", "by", o.t.nameOf(a.ID), "members", a.Strangers)
	}
	if a.Err != nil {
		s.Outcome, s.Failed = a.Err.Error(), true
	}
	o.note(s)
	o.mu.Lock()
	o.before = max(o.before, a.Round)
	o.mu.Unlock()
}

// mayKeep reports whether records of a location, of which there are to be n copies, belong to a
// member at all. In a large network that is decided by how near it is, and how many members
// there are: who knows a part of them cannot count who is nearer.
func (t *Table) mayKeep(v view, id p2p.ID, location p2p.Key, n int) bool {
	if v.known == nil {
		return v.responsible(id, location, n)
	}
	member, ok := t.o.Member(id)
	if !ok {
		return false
	}
	size, known := t.o.Contacts.Size()
	if !known || member.Position.CommonPrefixLen(location) >= route.Region(size, region*n) {
		return true
	}
	// One location in some thousands has so few members around it.
	_, members, ok := t.o.Contacts.At(location, n, time.Now().Add(-route.Around))
	if !ok {
		return false
	}
	nearer := 0
	for _, m := range members {
		if m.Position.Distance(location).Compare(member.Position.Distance(location)) < 0 {
			nearer++
		}
	}
	return nearer < n
}

// Crowded is the event that members were found around a key nearer than chance would have them.
type Crowded struct {
	Key    string  `json:"key"`
	Chance float64 `json:"chance"` // that it is so, in a network as large as this one seems to be
}

// Topic implements p2p.Event.
func (Crowded) Topic() string { return "dht.crowded" }

// Located is what a lookup of a key has found.
type Located struct {
	Key     p2p.Key
	Asked   []route.Asked // in the order in which the answers came
	Members []Member      // the nearest that answered, and this node, nearest first
	Keep    int           // so many of them are to keep the key
	Size    float64       // how many members there are, about
	Bits    int           // all members that share so many bits with the key are among Members; see route.Finding
	Region  int           // those who share so many with it are as near as keepers are, but in one case of a thousand
	Chance  float64       // that members are as near to the key as those who were found
	Rounds  int           // answers that had to come one after the other
	Took    time.Duration
}

// Crowded reports whether the members sit nearer to the key than chance would have them.
func (l Located) Crowded() bool { return l.Chance < crowded }

// Lookup asks for the members nearest to a key as a node does that does not know all members, also
// where this one does, and tells of each question. The error is the context's.
func (t *Table) Lookup(ctx context.Context, key p2p.Key) (Located, error) {
	l := Located{Key: key, Chance: 1}
	if t.o.Contacts == nil {
		return l, fmt.Errorf("dht: look up %x: %w", key[:4], p2p.ErrNoProtocol)
	}
	began := t.o.Now()
	n := t.Replicas()
	f, err := t.o.Contacts.Find(ctx, key, max(n, route.K), func(a route.Asked) { l.Asked = append(l.Asked, a) })
	if ctx.Err() != nil {
		return l, fmt.Errorf("dht: look up %x: %w", key[:4], ctx.Err())
	}
	v := t.newView()
	t.join(&v, f.Members)
	l.Members = nearest(v.members, key, len(v.members), nil)
	size, known := t.o.Contacts.Size()
	l.Size, l.Bits, l.Rounds = size, f.Bits, f.Rounds
	if err != nil { // nobody is there but this node
		l.Bits = 8*len(key) + 1
	}
	if known {
		l.Region, l.Chance = route.Region(l.Size, n), chanceOf(l.Size, key, f.Members)
	}
	v.bits, v.each, v.parts = l.Region, t.o.Open() && t.Large(), nil
	v.wide[key] = l.Crowded() && t.Large()
	l.Keep = min(v.want(key, n), len(l.Members))
	l.Took = t.o.Now().Sub(began)
	return l, nil
}

// Roster is up to how many members this node reckons with all.
func (t *Table) Roster() int { return t.o.Roster }

// Contacts returns the members that this node knows where it does not know all; nil: it has none.
func (t *Table) Contacts() *route.Contacts { return t.o.Contacts }
