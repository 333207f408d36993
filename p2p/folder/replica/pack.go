package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Actors gives small numbers, from 1, to the pairs of member and incarnation that
// occur in a folder. A number means the same pair for as long as anything packed
// with it is kept.
type Actors interface {
	// Number returns the number of a pair.
	Number(member p2p.ID, incarnation uint64) (int, error)
	// Actor returns the pair of a number. An unknown one is an error.
	Actor(n int) (member p2p.ID, incarnation uint64, err error)
}

// errPacked is what is wrong with bytes that no Pack function made.
var errPacked = errors.New("not what was packed")

// How the forms are made up. Numbers are varints; a dot is actor and counter, with
// actor 0 for no member and no incarnation. What is usual is a bit in place of the
// value, and everything about a first version is usual. The forms are of one node
// only: they are in its database and never travel.

// Bits of an entry's first byte; the lowest two are the kind.
const (
	onePlace   = 1 << 2
	oneContent = 1 << 3
)

// Bits of a place.
const (
	placeDotIsID   = 1 << iota // Dot is the entry's ID
	placeOfDot                 // Vector is Dot alone
	placeWasGiven              // Was follows; else it is as the next bit says
	placeWasSpot               // Was is Spot; else zero
	placeHadGiven              // Had follows; else it is as the next bit says
	placeHadHash               // Had is the hash of the only content; else zero
	placeIsAuto                // Auto
	placeKnownBits = 1<<iota - 1
)

// Bits of a content.
const (
	contentDotIsID   = 1 << iota // Dot is the entry's ID
	contentOfDot                 // Vector is Dot alone
	contentMadeIsDot             // Made is Dot
	contentIsDeleted             // Deleted
	contentHasSeen               // Seen follows
	contentKnownBits = 1<<iota - 1
)

// Bits of a row; the lowest two are the kind.
const (
	rowDotIsID   = 1 << 2 // Dot is the ID of the first ref
	rowMadeIsDot = 1 << 3 // Made is Dot
	rowIsUsual   = 1 << 4 // one ref, of an entry of its own, with Place its ID alone and one content, Dot alone
	rowHasInode  = 1 << 5 // Inode follows
)

// Bits of a meta; the lowest two are an index of usualModes.
const (
	metaWholeSeconds = 1 << 2 // Modified follows in seconds; else in nanoseconds, unless it is 0
	metaNeverChanged = 1 << 3 // Modified is 0
	metaIsEmpty      = 1 << 4 // Size is 0
	metaHasHash      = 1 << 5 // Hash follows
	metaHasParent    = 1 << 6 // Parent follows
)

// usualMode returns the mode that index i of a meta stands for; 0: it follows.
func usualMode(i byte) fs.FileMode {
	return [...]fs.FileMode{0, 0o644, 0o755, 0o600}[i&3]
}

// meta is what a content and a row both have.
type meta struct {
	size, modified int64
	mode           fs.FileMode
	hash, parent   reconcile.Hash
}

// kinds in the order of their numbers.
func kinds() [4]reconcile.Kind {
	return [...]reconcile.Kind{"", reconcile.KindFile, reconcile.KindDir, reconcile.KindOther}
}

// PackEntry returns the packed form of e without its ID.
func PackEntry(a Actors, e reconcile.Entry) ([]byte, error) {
	p := packer{a: a, b: make([]byte, 0, 96)}
	p.byte(p.kind(e.Kind) | bit(len(e.Places) == 1, onePlace) | bit(len(e.Contents) == 1, oneContent))
	// Contents first: a place may refer to the hash of the only one.
	if len(e.Contents) != 1 {
		p.uint(uint64(len(e.Contents)))
	}
	for i := range e.Contents {
		p.content(&e.Contents[i], reconcile.Dot(e.ID))
	}
	if len(e.Places) != 1 {
		p.uint(uint64(len(e.Places)))
	}
	for i := range e.Places {
		p.place(&e.Places[i], reconcile.Dot(e.ID), onlyHash(e))
	}
	if p.err != nil {
		return nil, fmt.Errorf("replica: pack entry %v: %w", e.ID, p.err)
	}
	return p.b, nil
}

// onlyHash returns the hash of the only content of e, zero if there are several.
func onlyHash(e reconcile.Entry) reconcile.Hash {
	if len(e.Contents) != 1 {
		return reconcile.Hash{}
	}
	return e.Contents[0].Hash
}

// PackRow returns the packed form of r without the ID of its first ref.
func PackRow(a Actors, r reconcile.Row) ([]byte, error) {
	p := packer{a: a, b: make([]byte, 0, 80)}
	id, usual := firstOf(r), usualRefs(r)
	p.byte(p.kind(r.Kind) | bit(r.Dot == id, rowDotIsID) | bit(r.Made == r.Dot, rowMadeIsDot) |
		bit(usual, rowIsUsual) | bit(r.Inode != 0, rowHasInode))
	p.meta(meta{r.Size, r.Modified, r.Mode, r.Hash, r.Parent})
	if r.Inode != 0 {
		p.uint(r.Inode)
	}
	if r.Dot != id {
		p.dot(r.Dot)
	}
	if r.Made != r.Dot {
		p.dot(r.Made)
	}
	if !usual {
		p.refs(r)
	}
	if p.err != nil {
		return nil, fmt.Errorf("replica: pack row of %v: %w", id, p.err)
	}
	return p.b, nil
}

// firstOf returns the ID of the first ref of r, zero if there is none.
func firstOf(r reconcile.Row) reconcile.Dot {
	if len(r.Refs) == 0 {
		return reconcile.Dot{}
	}
	return reconcile.Dot(r.Refs[0].ID)
}

// usualRefs reports whether rowIsUsual says all about the refs of r.
func usualRefs(r reconcile.Row) bool {
	if len(r.Refs) != 1 || !r.Refs[0].Of.IsZero() || len(r.Refs[0].Contents) != 1 {
		return false
	}
	ref := r.Refs[0]
	return isAlone(ref.Place, reconcile.Dot(ref.ID)) && isAlone(ref.Contents[0], r.Dot)
}

// isAlone reports whether v is d alone.
func isAlone(v reconcile.Vector, d reconcile.Dot) bool { return len(v) == 1 && v[0] == d }

// PackVector returns the packed form of v.
func PackVector(a Actors, v reconcile.Vector) ([]byte, error) {
	p := packer{a: a}
	p.vector(v, reconcile.Dot{})
	if p.err != nil {
		return nil, fmt.Errorf("replica: pack vector: %w", p.err)
	}
	return p.b, nil
}

// bit returns b if on.
func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// packer appends to b. After an error what it appends has no meaning.
type packer struct {
	a   Actors
	b   []byte
	err error
}

func (p *packer) byte(b byte)   { p.b = append(p.b, b) }
func (p *packer) uint(n uint64) { p.b = binary.AppendUvarint(p.b, n) }

func (p *packer) kind(k reconcile.Kind) byte {
	all := kinds()
	i := slices.Index(all[:], k)
	if i < 0 {
		p.err = errors.Join(p.err, fmt.Errorf("unknown kind %.20q", k))
	}
	return byte(i & 3)
}

func (p *packer) dot(d reconcile.Dot) {
	n := 0
	if !d.Member.IsZero() || d.Incarnation != 0 {
		var err error
		if n, err = p.a.Number(d.Member, d.Incarnation); err != nil {
			p.err = errors.Join(p.err, err)
		}
	}
	p.uint(uint64(n))
	p.uint(d.Counter)
}

// vector appends v: 1 stands for usual alone, otherwise its length, plus 1 if it
// is not empty, is followed by its dots.
func (p *packer) vector(v reconcile.Vector, usual reconcile.Dot) {
	switch {
	case len(v) == 0:
		p.byte(0)
	case isAlone(v, usual):
		p.byte(1)
	default:
		p.uint(uint64(len(v)) + 1)
		for _, d := range v {
			p.dot(d)
		}
	}
}

func (p *packer) spot(s reconcile.Spot) {
	p.dot(reconcile.Dot(s.Parent))
	p.uint(uint64(len(s.Name)))
	p.b = append(p.b, s.Name...)
}

func (p *packer) place(x *reconcile.Place, id reconcile.Dot, hash reconcile.Hash) {
	wasGiven := x.Was != reconcile.Spot{} && x.Was != x.Spot
	hadGiven := x.Had != reconcile.Hash{} && x.Had != hash
	p.byte(bit(x.Dot == id, placeDotIsID) | bit(isAlone(x.Vector, x.Dot), placeOfDot) |
		bit(wasGiven, placeWasGiven) | bit(x.Was != reconcile.Spot{} && !wasGiven, placeWasSpot) |
		bit(hadGiven, placeHadGiven) | bit(x.Had != reconcile.Hash{} && !hadGiven, placeHadHash) |
		bit(x.Auto, placeIsAuto))
	if x.Dot != id {
		p.dot(x.Dot)
	}
	if !isAlone(x.Vector, x.Dot) {
		p.vector(x.Vector, reconcile.Dot{})
	}
	p.spot(x.Spot)
	if wasGiven {
		p.spot(x.Was)
	}
	if hadGiven {
		p.b = append(p.b, x.Had[:]...)
	}
}

func (p *packer) content(c *reconcile.Content, id reconcile.Dot) {
	p.byte(bit(c.Dot == id, contentDotIsID) | bit(isAlone(c.Vector, c.Dot), contentOfDot) |
		bit(c.Made == c.Dot, contentMadeIsDot) | bit(c.Deleted, contentIsDeleted) | bit(len(c.Seen) > 0, contentHasSeen))
	p.meta(meta{c.Size, c.Modified, c.Mode, c.Hash, c.Parent})
	if c.Dot != id {
		p.dot(c.Dot)
	}
	if !isAlone(c.Vector, c.Dot) {
		p.vector(c.Vector, reconcile.Dot{})
	}
	if c.Made != c.Dot {
		p.dot(c.Made)
	}
	if len(c.Seen) > 0 {
		p.vector(c.Seen, reconcile.Dot{})
	}
}

func (p *packer) meta(m meta) {
	var mode byte
	for i := byte(1); i <= 3; i++ {
		mode |= bit(m.mode == usualMode(i), i)
	}
	whole := m.modified != 0 && m.modified%int64(time.Second) == 0
	p.byte(mode | bit(whole, metaWholeSeconds) | bit(m.modified == 0, metaNeverChanged) | bit(m.size == 0, metaIsEmpty) |
		bit(m.hash != reconcile.Hash{}, metaHasHash) | bit(m.parent != reconcile.Hash{}, metaHasParent))
	if mode == 0 {
		p.uint(uint64(m.mode))
	}
	switch {
	case whole:
		p.b = binary.AppendVarint(p.b, m.modified/int64(time.Second))
	case m.modified != 0:
		p.b = binary.BigEndian.AppendUint64(p.b, uint64(m.modified))
	}
	if m.size != 0 {
		p.uint(uint64(m.size))
	}
	for _, h := range [...]*reconcile.Hash{&m.hash, &m.parent} {
		if *h != (reconcile.Hash{}) {
			p.b = append(p.b, h[:]...)
		}
	}
}

// refs appends those of r; the ID of the first is with whoever keeps the row.
func (p *packer) refs(r reconcile.Row) {
	p.uint(uint64(len(r.Refs)))
	for i, ref := range r.Refs {
		if i > 0 {
			p.dot(reconcile.Dot(ref.ID))
		}
		p.dot(reconcile.Dot(ref.Of))
		p.vector(ref.Place, reconcile.Dot(ref.ID))
		p.uint(uint64(len(ref.Contents)))
		for _, v := range ref.Contents {
			p.vector(v, r.Dot)
		}
	}
}

// maxActor bounds the numbers of actors.
const maxActor = math.MaxInt32
