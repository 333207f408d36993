package replica

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// UnpackEntry returns the entry of an ID that PackEntry has packed as b.
func UnpackEntry(a Actors, id reconcile.EntryID, b []byte) (reconcile.Entry, error) {
	u := unpacker{a: a, b: b}
	head := u.flags(onePlace | oneContent | 3)
	e := reconcile.Entry{ID: id, Kind: kinds()[head&3]}
	for range u.count(head&oneContent != 0) {
		if u.err != nil {
			break
		}
		e.Contents = append(e.Contents, u.content(reconcile.Dot(id)))
	}
	for range u.count(head&onePlace != 0) {
		if u.err != nil {
			break
		}
		e.Places = append(e.Places, u.place(reconcile.Dot(id), onlyHash(e)))
	}
	if err := u.end(); err != nil {
		return reconcile.Entry{}, fmt.Errorf("replica: unpack entry %v: %w", id, err)
	}
	return e, nil
}

// UnpackRow returns the row that PackRow has packed as b; id is that of its first
// ref, zero if there is none.
func UnpackRow(a Actors, id reconcile.EntryID, b []byte) (reconcile.Row, error) {
	u := unpacker{a: a, b: b}
	head := u.flags(rowDotIsID | rowMadeIsDot | rowIsUsual | rowHasInode | 3)
	m := u.meta()
	r := reconcile.Row{Dot: reconcile.Dot(id), Parent: m.parent}
	r.Item = reconcile.Item{Kind: kinds()[head&3], Size: m.size, Modified: m.modified, Mode: m.mode, Hash: m.hash}
	if head&rowHasInode != 0 {
		r.Inode = u.uint()
	}
	if head&rowDotIsID == 0 {
		r.Dot = u.dot()
	}
	r.Made = r.Dot
	if head&rowMadeIsDot == 0 {
		r.Made = u.dot()
	}
	if head&rowIsUsual != 0 {
		r.Refs = []reconcile.Ref{{ID: id, Place: reconcile.Vector{reconcile.Dot(id)}, Contents: []reconcile.Vector{{r.Dot}}}}
	} else {
		r.Refs = u.refs(id, r.Dot)
	}
	if err := u.end(); err != nil {
		return reconcile.Row{}, fmt.Errorf("replica: unpack row of %v: %w", id, err)
	}
	return r, nil
}

// UnpackVector returns the vector that PackVector has packed as b.
func UnpackVector(a Actors, b []byte) (reconcile.Vector, error) {
	u := unpacker{a: a, b: b}
	v := u.vector(reconcile.Dot{})
	if err := u.end(); err != nil {
		return nil, fmt.Errorf("replica: unpack vector: %w", err)
	}
	return v, nil
}

// unpacker reads b from its start. After the first error everything reads as zero,
// so that loops must look at err. Slices grow as what they hold is read: no length
// that b claims is believed.
type unpacker struct {
	a   Actors
	b   []byte
	err error
}

func (u *unpacker) fail() {
	if u.err == nil {
		u.err = errPacked
	}
	u.b = nil
}

// end returns the first error, or that something is left.
func (u *unpacker) end() error {
	if len(u.b) > 0 {
		u.fail()
	}
	return u.err
}

// take returns the next n bytes, or none.
func (u *unpacker) take(n int) []byte {
	if n < 0 || n > len(u.b) {
		u.fail()
		return nil
	}
	b := u.b[:n]
	u.b = u.b[n:]
	return b
}

// flags returns a byte that has no bits but those of known.
func (u *unpacker) flags(known byte) byte {
	b := u.take(1)
	if len(b) == 0 {
		return 0
	}
	if b[0]&^known != 0 {
		u.fail()
		return 0
	}
	return b[0]
}

func (u *unpacker) uint() uint64 {
	n, size := binary.Uvarint(u.b)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.b = u.b[size:]
	return n
}

func (u *unpacker) int() int64 {
	n, size := binary.Varint(u.b)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.b = u.b[size:]
	return n
}

// count returns how many things follow, each of which has a byte at least.
func (u *unpacker) count(one bool) int {
	if one {
		return 1
	}
	n := u.uint()
	if n > uint64(len(u.b)) {
		u.fail()
		return 0
	}
	return int(n)
}

func (u *unpacker) hash(given bool) (h reconcile.Hash) {
	if given {
		copy(h[:], u.take(len(h)))
	}
	return h
}

func (u *unpacker) dot() (d reconcile.Dot) {
	n := u.uint()
	d.Counter = u.uint()
	switch {
	case u.err != nil || n > maxActor:
		u.fail()
		return reconcile.Dot{}
	case n == 0:
		return d
	}
	var err error
	if d.Member, d.Incarnation, err = u.a.Actor(int(n)); err != nil {
		u.err = fmt.Errorf("actor %d: %w", n, err)
		u.b = nil
		return reconcile.Dot{}
	}
	return d
}

func (u *unpacker) vector(usual reconcile.Dot) (v reconcile.Vector) {
	n := u.uint()
	switch {
	case n == 0:
		return nil
	case n == 1:
		return reconcile.Vector{usual}
	case n-1 > uint64(len(u.b))/2:
		u.fail()
		return nil
	}
	for range n - 1 {
		if u.err != nil {
			return nil
		}
		v = append(v, u.dot())
	}
	return v
}

func (u *unpacker) spot() (s reconcile.Spot) {
	s.Parent = reconcile.EntryID(u.dot())
	if n := u.uint(); n <= uint64(len(u.b)) {
		s.Name = string(u.take(int(n)))
	} else {
		u.fail()
	}
	return s
}

func (u *unpacker) place(id reconcile.Dot, hash reconcile.Hash) (p reconcile.Place) {
	head := u.flags(placeKnownBits)
	p.Dot, p.Auto = id, head&placeIsAuto != 0
	if head&placeDotIsID == 0 {
		p.Dot = u.dot()
	}
	if head&placeOfDot != 0 {
		p.Vector = reconcile.Vector{p.Dot}
	} else {
		p.Vector = u.vector(reconcile.Dot{})
	}
	p.Spot = u.spot()
	switch {
	case head&placeWasGiven != 0:
		p.Was = u.spot()
	case head&placeWasSpot != 0:
		p.Was = p.Spot
	}
	switch {
	case head&placeHadGiven != 0:
		p.Had = u.hash(true)
	case head&placeHadHash != 0:
		p.Had = hash
	}
	return p
}

func (u *unpacker) content(id reconcile.Dot) (c reconcile.Content) {
	head := u.flags(contentKnownBits)
	m := u.meta()
	c = reconcile.Content{
		Dot: id, Deleted: head&contentIsDeleted != 0,
		Size: m.size, Modified: m.modified, Mode: m.mode, Hash: m.hash, Parent: m.parent,
	}
	if head&contentDotIsID == 0 {
		c.Dot = u.dot()
	}
	if head&contentOfDot != 0 {
		c.Vector = reconcile.Vector{c.Dot}
	} else {
		c.Vector = u.vector(reconcile.Dot{})
	}
	c.Made = c.Dot
	if head&contentMadeIsDot == 0 {
		c.Made = u.dot()
	}
	if head&contentHasSeen != 0 {
		c.Seen = u.vector(reconcile.Dot{})
	}
	return c
}

func (u *unpacker) meta() (m meta) {
	head := u.flags(metaWholeSeconds | metaNeverChanged | metaIsEmpty | metaHasHash | metaHasParent | 3)
	if m.mode = usualMode(head); m.mode == 0 {
		m.mode = u.mode()
	}
	switch {
	case head&metaWholeSeconds != 0:
		seconds := u.int()
		m.modified = seconds * int64(time.Second)
		if m.modified/int64(time.Second) != seconds {
			u.fail()
		}
	case head&metaNeverChanged == 0:
		if b := u.take(8); len(b) == 8 {
			m.modified = int64(binary.BigEndian.Uint64(b))
		}
	}
	if head&metaIsEmpty == 0 {
		m.size = int64(u.uint())
	}
	m.hash = u.hash(head&metaHasHash != 0)
	m.parent = u.hash(head&metaHasParent != 0)
	return m
}

func (u *unpacker) mode() fs.FileMode {
	n := u.uint()
	if n > math.MaxUint32 {
		u.fail()
		return 0
	}
	return fs.FileMode(n)
}

func (u *unpacker) refs(id reconcile.EntryID, dot reconcile.Dot) (refs []reconcile.Ref) {
	for i := range u.count(false) {
		if u.err != nil {
			return nil
		}
		ref := reconcile.Ref{ID: id}
		if i > 0 {
			ref.ID = reconcile.EntryID(u.dot())
		}
		ref.Of = reconcile.EntryID(u.dot())
		ref.Place = u.vector(reconcile.Dot(ref.ID))
		for range u.count(false) {
			if u.err != nil {
				return nil
			}
			ref.Contents = append(ref.Contents, u.vector(dot))
		}
		refs = append(refs, ref)
	}
	return refs
}
