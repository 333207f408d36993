package route

import (
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// LookupOptions say how a Lookup searches. The zero value is right for a closed network.
type LookupOptions struct {
	Want  int // how many of the nearest members are looked for; 0: K
	Alpha int // how many are asked at the same time; 0: 3
	// Paths is how many ways are gone that have no member in common (S/Kademlia, Baumgart
	// and Mies 2007), so that who lies on one of them cannot lead the others astray; 0: one.
	Paths int
	// MaxAsked bounds how many are asked at all, whatever they answer; 0: 16 for each member
	// that is wanted. It is reached only where somebody makes up members.
	MaxAsked int
	// Answer is how many members of an answer are looked at; 0: K.
	Answer int
	// InPerson asks each member itself, and no relay in its place: so that it learns of the one who
	// asks. It is for those who make a Lookup.
	InPerson bool
}

// Lookup finds the members nearest to a key by asking ever nearer ones for the nearest that
// they know. It decides whom to ask; who uses it asks them, checks who they are, and
// tells what came of it. It is for one goroutine.
//
// What it knows is bounded by what was asked: so many for each answer. So nobody can make it go on
// for ever, or grow.
type Lookup struct {
	target p2p.Key
	o      LookupOptions
	paths  []path
	asked  map[p2p.ID]int // by which path; each at most once
	count  int
}

// path is one of the ways: the members that it has heard of, nearest first.
type path struct{ known []contact }

type contact struct {
	Member
	state state
}

type state uint8

const (
	fresh    state = iota
	asking         // no answer yet
	answered       // alive
	dead           // failed, or another path's
)

// NewLookup returns a lookup that begins with the seeds, which are dealt to the paths.
func NewLookup(target p2p.Key, seeds []Member, o LookupOptions) *Lookup {
	if o.Want <= 0 {
		o.Want = K
	}
	if o.Alpha <= 0 {
		o.Alpha = 3
	}
	if o.MaxAsked <= 0 {
		o.MaxAsked = 16 * o.Want
	}
	if o.Answer <= 0 {
		o.Answer = K
	}
	o.Paths = max(o.Paths, 1)
	l := &Lookup{target: target, o: o, paths: make([]path, o.Paths), asked: map[p2p.ID]int{}}
	seeds = slices.SortedFunc(slices.Values(seeds), func(a, b Member) int { return l.compare(a, b) })
	for i, m := range seeds[:min(len(seeds), o.Paths*o.Want)] {
		l.paths[i%o.Paths].add(l, m)
	}
	return l
}

func (l *Lookup) compare(a, b Member) int {
	return a.Position.Distance(l.target).Compare(b.Position.Distance(l.target))
}

// add notes a member, unless the path knows it.
func (p *path) add(l *Lookup, m Member) {
	if m.ID.IsZero() || slices.ContainsFunc(p.known, func(c contact) bool { return c.ID == m.ID }) {
		return
	}
	i, _ := slices.BinarySearchFunc(p.known, m, func(c contact, m Member) int { return l.compare(c.Member, m) })
	p.known = slices.Insert(p.known, i, contact{Member: m})
}

// Next returns whom to ask now: so many that Alpha questions are open. Each is asked once;
// then comes Heard or Failed.
func (l *Lookup) Next() []Member {
	open := 0
	for _, p := range l.paths {
		for _, c := range p.known {
			if c.state == asking {
				open++
			}
		}
	}
	var next []Member
	for progress := true; progress; {
		progress = false
		for i := range l.paths { // one of each path in turn, so that none gets ahead
			if open+len(next) >= l.o.Alpha || l.count >= l.o.MaxAsked {
				return next
			}
			if c := l.candidate(i); c != nil {
				c.state = asking
				l.asked[c.ID] = i
				l.count++
				next = append(next, c.Member)
				progress = true
			}
		}
	}
	return next
}

// candidate returns the nearest member of a path that was not asked, if it is among the
// Want nearest of those that are not dead.
func (l *Lookup) candidate(i int) *contact {
	alive := 0
	for j := range l.paths[i].known {
		c := &l.paths[i].known[j]
		if by, taken := l.asked[c.ID]; taken && by != i {
			c.state = dead // paths have nobody in common
		}
		if c.state == dead {
			continue
		}
		if alive++; alive > l.o.Want {
			return nil
		}
		if c.state == fresh {
			return c
		}
	}
	return nil
}

// Heard tells what a member has answered: the nearest that it knows. What nobody asked for
// is ignored, and so is more than Answer.
func (l *Lookup) Heard(from p2p.ID, nearer []Member) {
	p, c := l.open(from)
	if c == nil {
		return
	}
	c.state = answered
	for _, m := range nearer[:min(len(nearer), l.o.Answer)] {
		p.add(l, m)
	}
}

// Failed tells that a member did not answer, or not as it should.
func (l *Lookup) Failed(id p2p.ID) {
	if _, c := l.open(id); c != nil {
		c.state = dead
	}
}

// open returns the member whose answer is waited for.
func (l *Lookup) open(id p2p.ID) (*path, *contact) {
	i, ok := l.asked[id]
	if !ok {
		return nil, nil
	}
	p := &l.paths[i]
	j := slices.IndexFunc(p.known, func(c contact) bool { return c.ID == id && c.state == asking })
	if j < 0 {
		return nil, nil
	}
	return p, &p.known[j]
}

// Done reports whether there is nobody left to ask or to wait for.
func (l *Lookup) Done() bool {
	for i, p := range l.paths {
		if slices.ContainsFunc(p.known, func(c contact) bool { return c.state == asking }) {
			return false
		}
		if l.count < l.o.MaxAsked && l.candidate(i) != nil {
			return false
		}
	}
	return true
}

// Asked returns how many members were asked.
func (l *Lookup) Asked() int { return l.count }

// Closest returns the nearest members that have answered, nearest first, of all paths.
func (l *Lookup) Closest() []Member {
	var all []Member
	for _, p := range l.paths {
		for _, c := range p.known {
			if c.state == answered {
				all = append(all, c.Member)
			}
		}
	}
	slices.SortFunc(all, l.compare)
	return all[:min(len(all), l.o.Want)]
}
