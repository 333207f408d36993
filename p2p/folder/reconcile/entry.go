package reconcile

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"io/fs"

	"github.com/shoal-p2p/shoal/p2p"
)

// Hash is the BLAKE3-256 of a file's content. The zero Hash means none.
type Hash [32]byte

// String returns h in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Compare orders hashes as big-endian numbers.
func (h Hash) Compare(other Hash) int { return bytes.Compare(h[:], other[:]) }

// Kind says what an entry is, for life: what was a file and is a directory now is
// another entry.
type Kind string

// The kinds of things. Only files and directories are entries.
const (
	KindFile Kind = "file"
	KindDir  Kind = "dir"
	// KindOther is something on a disk that is not shared or cannot be read now: a
	// symbolic link, an ignored or unreadable file, a mount point, a file that
	// changed while it was read. It is left alone and stands in the way.
	KindOther Kind = "other"
)

// EntryID names an entry by the event that made it. The zero EntryID is the
// folder itself.
type EntryID Dot

// IsZero reports whether id is the folder itself.
func (id EntryID) IsZero() bool { return id == EntryID{} }

// Compare orders IDs.
func (id EntryID) Compare(other EntryID) int { return Dot(id).Compare(Dot(other)) }

// String returns a short form for people and tests.
func (id EntryID) String() string { return Dot(id).String() }

// Entry is all that is known of one file or directory. Entries are values: what
// their slices hold is never changed. They travel whole, all siblings together:
// that a node knows of an event, and yet not of what the event's author knew about
// the same entry, must not occur (see recorder.rescue).
type Entry struct {
	ID       EntryID
	Kind     Kind
	Places   []Place   // concurrent; sorted by dot
	Contents []Content // concurrent; sorted by dot
}

// placed is what all of an entry's places together have seen.
func (e Entry) placed() (v Vector) {
	for _, p := range e.Places {
		v = v.Merge(p.Vector)
	}
	return v
}

// Spot is a position in the tree.
type Spot struct {
	Parent EntryID // a directory
	Name   string
}

func (s Spot) compare(t Spot) int {
	return cmp.Or(s.Parent.Compare(t.Parent), cmp.Compare(s.Name, t.Name))
}

// Place is a version of where an entry is.
type Place struct {
	Dot    Dot    // the event that made it
	Vector Vector // Dot and the places that it supersedes
	Spot
	Was Spot // before the move; where the entry is if the move made a cycle
	Had Hash // what the file's content was when it was put here
	// Auto: made by the program so that what is shown stays where it is. It does
	// not count as a sign that somebody wants the entry, and any other place wins
	// against it.
	Auto bool
}

// Content is a version of what an entry is: bytes, or existence, or a tombstone.
type Content struct {
	Dot     Dot    // the event that made it
	Vector  Vector // Dot and the contents that it supersedes
	Made    Dot    // the event that wrote the bytes; a change of mode or time alone keeps it
	Deleted bool   // a tombstone; the fields below describe what was deleted
	Seen    Vector // of a tombstone: the places of the entry that its author knew
	Hash    Hash   // of a file
	Parent  Hash   // the bytes that these replaced, if any
	Size    int64  // bytes of a file
	// Modified is in nanoseconds since 1970. It is carried for people and never
	// decides anything.
	Modified int64
	Mode     fs.FileMode // permission bits
}

// Author is this node as the maker of versions.
type Author struct {
	Member      p2p.ID
	Incarnation uint64
	Counter     uint64 // of the last event; the next one has the next number
}

// next counts one more event.
func (a *Author) next() Dot {
	a.Counter++
	return Dot{Member: a.Member, Incarnation: a.Incarnation, Counter: a.Counter}
}

// comparePlaces is a total order over all fields that tells any two places apart.
func comparePlaces(a, b Place) int {
	return cmp.Or(a.Dot.Compare(b.Dot), a.Vector.compare(b.Vector), a.Spot.compare(b.Spot),
		a.Was.compare(b.Was), a.Had.Compare(b.Had), compareBool(a.Auto, b.Auto))
}

// compareContents is a total order over all fields that tells any two contents
// apart.
func compareContents(a, b Content) int {
	return cmp.Or(a.Dot.Compare(b.Dot), a.Vector.compare(b.Vector), a.Made.Compare(b.Made),
		compareBool(a.Deleted, b.Deleted), a.Seen.compare(b.Seen), a.Hash.Compare(b.Hash), a.Parent.Compare(b.Parent),
		cmp.Compare(a.Size, b.Size), cmp.Compare(a.Modified, b.Modified), cmp.Compare(a.Mode, b.Mode))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// rankPlaces says which of two concurrent places is shown: a person's before the
// program's, then the larger counter sum.
func rankPlaces(a, b Place) int {
	return cmp.Or(compareBool(b.Auto, a.Auto), a.Vector.compareSum(b.Vector), a.Spot.compare(b.Spot), comparePlaces(a, b))
}

// rankContents says which of two concurrent contents has the name: the larger
// counter sum, then the larger hash.
func rankContents(a, b Content) int {
	return cmp.Or(a.Vector.compareSum(b.Vector), a.Hash.Compare(b.Hash), compareContents(a, b))
}
