package route

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Atlas is what lookups have found: parts of the key space all of whose members are known. A
// lookup finds who is nearest to one key; where it has found all members that share a prefix
// with the key, it answers for all other keys with that prefix, as long as that lasts. So a
// thousand keys need about as many lookups as there are such parts. It is for one goroutine.
type Atlas struct{ sheets []sheet }

// sheet is what one lookup has found.
type sheet struct {
	key     p2p.Key
	bits    int      // of key, with which all are among members; more than a key has: none
	members []Member // nearest to key first
	less    bool     // one of them has gone
	when    time.Time
}

// maxSheets bounds an atlas; a node that asks for more forgets the oldest.
const maxSheets = 4096

// Add notes what a lookup has found then.
func (a *Atlas) Add(f Finding, when time.Time) {
	a.sheets = slices.DeleteFunc(a.sheets, func(s sheet) bool { return s.key == f.Key })
	if len(a.sheets) == maxSheets {
		a.sheets = slices.Delete(a.sheets, 0, 1)
	}
	a.sheets = append(a.sheets, sheet{key: f.Key, bits: f.Bits, members: slices.Clone(f.Members), when: when})
}

// Part is a part of the key space: the keys that begin as Key does, with Bits bits.
type Part struct {
	Key  p2p.Key
	Bits int
}

// Has reports whether a key is in it.
func (p Part) Has(key p2p.Key) bool { return p.Key.CommonPrefixLen(key) >= p.Bits }

// At returns the part that answers for a key, of which at least n members are known to be the
// nearest, and its members, if somebody has looked there since; ok is false if not.
func (a *Atlas) At(key p2p.Key, n int, since time.Time) (p Part, members []Member, ok bool) {
	// What was found last is there still.
	for i := range slices.Backward(a.sheets) {
		s := &a.sheets[i]
		switch {
		case s.when.Before(since):
		case s.bits == 0:
			return Part{}, s.members, true
		case s.key == key && (len(s.members) >= n || !s.less):
			if s.bits <= 8*len(key) && s.inside() >= n {
				return Part{s.key, s.bits}, s.members, true
			}
			return Part{key, 8 * len(key)}, s.members, true
		case s.bits <= 8*len(key) && key.CommonPrefixLen(s.key) >= s.bits && s.inside() >= n:
			return Part{s.key, s.bits}, s.members, true
		}
	}
	return Part{}, nil, false
}

// inside counts the members that share the sheet's prefix.
func (s *sheet) inside() int {
	n := 0
	for n < len(s.members) && s.key.CommonPrefixLen(s.members[n].Position) >= s.bits {
		n++
	}
	return n
}

// Insert notes that a member is there, wherever it belongs.
func (a *Atlas) Insert(m Member) {
	for i := range a.sheets {
		s := &a.sheets[i]
		last := s.members[len(s.members)-1:]
		if at(s.members, m.ID) >= 0 || s.key.CommonPrefixLen(m.Position) < s.bits &&
			(len(last) == 0 || m.Position.Distance(s.key).Compare(last[0].Position.Distance(s.key)) > 0) {
			continue
		}
		to, _ := slices.BinarySearchFunc(s.members, m, func(a, b Member) int {
			return a.Position.Distance(s.key).Compare(b.Position.Distance(s.key))
		})
		s.members = slices.Insert(s.members, to, m)
	}
}

// Remove forgets a member that is gone.
func (a *Atlas) Remove(id p2p.ID) {
	for i := range a.sheets {
		s := &a.sheets[i]
		if j := at(s.members, id); j >= 0 {
			s.members, s.less = slices.Delete(s.members, j, j+1), true
		}
	}
	a.sheets = slices.DeleteFunc(a.sheets, func(s sheet) bool { return len(s.members) == 0 })
}

// Forget forgets what was found before.
func (a *Atlas) Forget(before time.Time) {
	a.sheets = slices.DeleteFunc(a.sheets, func(s sheet) bool { return s.when.Before(before) })
}
