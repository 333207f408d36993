package p2p

import (
	"errors"
	"fmt"
	"slices"
)

// What a member may do with a folder.
const (
	AccessWrite = "write" // read it, and change it
	AccessRead  = "read"
	AccessNone  = "none" // nothing of it goes there, and it is not shown
)

// IsAccess reports whether a word is one of these.
func IsAccess(word string) bool {
	return word == AccessWrite || word == AccessRead || word == AccessNone
}

// MaxGrants is how many members of a folder may have an access of their own: what says so
// fits one signed statement.
const MaxGrants = 100

// Grant is what one member may do with a folder, where that is not what all may.
type Grant struct {
	Member ID
	Access string
}

// Grants are by member, each once.
type Grants []Grant

// Of returns the access of a member; others is that of all who have no grant.
func (g Grants) Of(member ID, others string) string {
	if i, found := g.find(member); found {
		return g[i].Access
	}
	return others
}

func (g Grants) find(member ID) (int, bool) {
	return slices.BinarySearchFunc(g, member, func(g Grant, id ID) int { return g.Member.Compare(id) })
}

// With returns the grants with that of one member changed; with an empty access it has none.
func (g Grants) With(member ID, access string) Grants {
	out := slices.Clone(g)
	i, found := out.find(member)
	switch {
	case found && access == "":
		return slices.Delete(out, i, i+1)
	case found:
		out[i].Access = access
	case access != "":
		return slices.Insert(out, i, Grant{Member: member, Access: access})
	}
	return out
}

// Check reports whether the grants are in order, each with an access, and not too many.
func (g Grants) Check() error {
	if len(g) > MaxGrants {
		return fmt.Errorf("%d members with an access of their own, at most %d", len(g), MaxGrants)
	}
	for i, x := range g {
		switch {
		case x.Member.IsZero():
			return errors.New("an access of nobody")
		case !IsAccess(x.Access):
			return fmt.Errorf("access %.20q of %s", x.Access, x.Member.Short())
		case i > 0 && g[i-1].Member.Compare(x.Member) >= 0:
			return errors.New("accesses that are not in the order of members")
		}
	}
	return nil
}

// accessOrder gives each access a number that is part of the protocol.
var accessOrder = []string{AccessNone, AccessRead, AccessWrite}

// Pack returns the grants as bytes: of each the ID, and one that says which access. They
// have been checked.
func (g Grants) Pack() []byte {
	var b []byte
	for _, x := range g {
		b = append(append(b, x.Member[:]...), byte(slices.Index(accessOrder, x.Access)))
	}
	return b
}

// UnpackGrants is the inverse of Pack. It checks what it returns.
func UnpackGrants(b []byte) (Grants, error) {
	const size = len(ID{}) + 1
	if len(b)%size != 0 || len(b)/size > MaxGrants {
		return nil, fmt.Errorf("%d bytes of accesses", len(b))
	}
	var out Grants
	for some := range slices.Chunk(b, size) {
		which := int(some[size-1])
		if which >= len(accessOrder) {
			return nil, fmt.Errorf("access number %d", which)
		}
		out = append(out, Grant{Member: ID(some[:size-1]), Access: accessOrder[which]})
	}
	return out, out.Check()
}
