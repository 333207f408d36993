package reconcile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of what other members may send.
const (
	MaxCounter      = 1 << 53 // counters stay exact as JSON numbers and never wrap
	MaxVector       = 4096    // nodes in a vector
	MaxIncarnations = 64      // of one member in a vector
	MaxSiblings     = 64      // concurrent versions in one register
	MaxName         = 255     // bytes of a name
	MaxSize         = 1 << 53 // bytes of a file
	// MaxJump is how many events a member can be ahead of what was heard from it:
	// more than a first scan of any folder makes.
	MaxJump = 1 << 24
)

// ErrInvalid is what is wrong with an entry that nobody honest sends.
var ErrInvalid = errors.New("not valid")

// Rules is what an entry from another node is checked against.
type Rules struct {
	// Member reports whether an ID is or was a member. Nil: everybody is.
	Member func(p2p.ID) bool
}

// Check reports whether v is in canonical form, within the limits, and made of
// members' events. The error is ErrInvalid.
func (v Vector) Check(r Rules) error {
	if len(v) > MaxVector {
		return fmt.Errorf("reconcile: vector of %d nodes: %w: at most %d", len(v), ErrInvalid, MaxVector)
	}
	run := 0
	for i, d := range v {
		if err := d.check(r); err != nil {
			return err
		}
		if i > 0 && v[i-1].compareNode(d) >= 0 {
			return fmt.Errorf("reconcile: vector: %w: %v is not in order", ErrInvalid, d)
		}
		if run++; i > 0 && v[i-1].Member != d.Member {
			run = 1
		}
		if run > MaxIncarnations {
			return fmt.Errorf("reconcile: vector: %w: more than %d incarnations of member %s", ErrInvalid, MaxIncarnations, d.Member.Short())
		}
	}
	return nil
}

func (d Dot) check(r Rules) error {
	switch {
	case d.Counter == 0 || d.Counter > MaxCounter:
		return fmt.Errorf("reconcile: counter %d of member %s: %w: 1 to 2^53", d.Counter, d.Member.Short(), ErrInvalid)
	case d.Member.IsZero() || r.Member != nil && !r.Member(d.Member):
		return fmt.Errorf("reconcile: counter of %s: %w: not a member", d.Member.Short(), ErrInvalid)
	}
	return nil
}

// Vectors returns all vectors in e.
func (e Entry) Vectors() []Vector {
	var vs []Vector
	for _, p := range e.Places {
		vs = append(vs, p.Vector)
	}
	for _, c := range e.Contents {
		vs = append(vs, c.Vector)
		if len(c.Seen) > 0 {
			vs = append(vs, c.Seen)
		}
	}
	return vs
}

// Check reports whether e, which came from another node, is a state that an
// honest node can have. The error is ErrInvalid.
func (e Entry) Check(r Rules) error {
	bad := func(why string) error { return fmt.Errorf("reconcile: entry %v: %w: %s", e.ID, ErrInvalid, why) }
	switch {
	case e.Kind != KindFile && e.Kind != KindDir:
		return bad("neither file nor directory")
	case len(e.Places) == 0 || len(e.Places) > MaxSiblings:
		return bad(fmt.Sprintf("%d places", len(e.Places)))
	case len(e.Contents) == 0 || len(e.Contents) > MaxSiblings:
		return bad(fmt.Sprintf("%d contents", len(e.Contents)))
	case !same(e, Join(e, e)):
		return bad("versions not in order, or one supersedes another")
	}
	if err := Dot(e.ID).check(r); err != nil {
		return fmt.Errorf("reconcile: entry: %w", err)
	}
	for _, v := range e.Vectors() {
		if err := v.Check(r); err != nil {
			return fmt.Errorf("reconcile: entry %v: %w", e.ID, err)
		}
	}
	for _, p := range e.Places {
		if why := p.check(e.ID); why != "" {
			return bad(why)
		}
	}
	for _, c := range e.Contents {
		if why := c.check(e.Kind); why != "" {
			return bad(why)
		}
	}
	return nil
}

func (p Place) check(id EntryID) string {
	switch {
	case p.Dot.IsZero() || p.Vector.counter(p.Dot) != p.Dot.Counter:
		return "a place is not its author's last event"
	case p.Parent == id || p.Was.Parent == id:
		return "its own parent"
	case p.Was.Name != "" && checkName(p.Was.Name) != "":
		return "former name " + checkName(p.Was.Name)
	case checkName(p.Name) != "":
		return "name " + checkName(p.Name)
	}
	return ""
}

func (c Content) check(kind Kind) string {
	switch {
	case c.Dot.IsZero() || c.Vector.counter(c.Dot) != c.Dot.Counter:
		return "a content is not its author's last event"
	case !c.Vector.Has(c.Made) || c.Made.IsZero():
		return "content from nowhere"
	case c.Size < 0 || c.Size > MaxSize:
		return "impossible size"
	case c.Mode&^fs.ModePerm != 0:
		return "mode has more than permission bits"
	case kind == KindDir && (c.Size != 0 || c.Hash != Hash{} || c.Parent != Hash{}):
		return "a directory with content"
	case kind == KindFile && c.Hash == Hash{}:
		return "a file without hash"
	case !c.Deleted && len(c.Seen) > 0:
		return "places seen by what is no tombstone"
	}
	return ""
}

// checkName says what is wrong with the name of an entry, or nothing. What is
// impossible on some operating systems only is not wrong here.
func checkName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > MaxName:
		return "is too long"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return "is not a name"
	case strings.EqualFold(name, reserved):
		return "is reserved"
	}
	return ""
}

// reserved is the only name that the program takes for itself.
const reserved = ".shoal"
