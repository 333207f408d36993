package chunk

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"
)

// A difference is
//
//	"shoalmd1", what is left out of the new manifest (as in a manifest),
//	file size (varint), root (32 bytes),
//	check (16 bytes: the first of the BLAKE3 of the packed new manifest),
//	until the chunks make up the file, a varint of
//	    2·(n-1): n groups of the old manifest, from the one that a varint says,
//	             as the distance from the one expected next, zigzag
//	    2·(n-1)+1: n packed chunks, which follow
//	the values of the pieces, as in a manifest
//
// The chunks that come from old groups are at most maxCopied times as many as the
// old manifest has, so that a short difference does not make a huge manifest.
const (
	checkLen  = 16
	maxCopied = 2
)

// Difference returns what makes m out of the manifest that the outline is of. Where
// m knows no pieces, or the outline does not want them, they are left out.
func (m *Manifest) Difference(of Outline) []byte {
	if !of.Pieces {
		m = m.WithoutPieces()
	}
	packed := m.append(nil)
	sum := blake3.Sum256(packed)
	b := append(packed[:0], differenceMagic...)
	b = m.appendHead(b)
	b = append(b, sum[:checkLen]...)
	w := differenceWriter{b: b, m: m}
	known := of.index()
	budget := maxCopied * of.chunks
	first := 0
	for _, end := range m.groups(of.bits) {
		var id uint64
		id, w.room = m.groupID(first, end, w.room)
		i, ok := of.find(known, id, w.next())
		if ok && end-first <= budget {
			w.copy(i)
			budget -= end - first
		} else {
			w.entries(first, end)
		}
		first = end
	}
	w.flush()
	return m.appendPieces(w.b)
}

// index returns the first group of each name.
func (o Outline) index() map[uint64]int {
	known := make(map[uint64]int, o.groups)
	for i := o.groups - 1; i >= 0; i-- {
		known[o.id(i)] = i
	}
	return known
}

func (o Outline) id(i int) uint64 {
	var b [8]byte
	size := idSize(o.groups)
	copy(b[:], o.ids[i*size:(i+1)*size])
	return binary.LittleEndian.Uint64(b[:])
}

// find returns a group with this name, next if that has it.
func (o Outline) find(known map[uint64]int, id uint64, next int) (int, bool) {
	id &= 1<<(8*idSize(o.groups)) - 1
	if next < o.groups && o.id(next) == id {
		return next, true
	}
	i, ok := known[id]
	return i, ok
}

// A differenceWriter joins what can be written as one.
type differenceWriter struct {
	b    []byte
	m    *Manifest
	room []byte

	expected   int // the group after the last one copied
	from, n    int // groups that are to be copied
	first, end int // chunks that are to be written
}

// next returns the group with which a run goes on.
func (w *differenceWriter) next() int {
	if w.n > 0 {
		return w.from + w.n
	}
	return w.expected
}

func (w *differenceWriter) copy(group int) {
	if w.n == 0 || group != w.from+w.n {
		w.flush()
		w.from = group
	}
	w.n++
}

func (w *differenceWriter) entries(first, end int) {
	if w.end != first || w.n > 0 {
		w.flush()
		w.first = first
	}
	w.end = end
}

// flush writes what is waiting: groups or chunks, never both.
func (w *differenceWriter) flush() {
	switch {
	case w.n > 0:
		w.b = binary.AppendUvarint(w.b, uint64(w.n-1)<<1)
		w.b = binary.AppendVarint(w.b, int64(w.from-w.expected))
		w.expected = w.from + w.n
	case w.end > w.first:
		w.b = binary.AppendUvarint(w.b, uint64(w.end-w.first-1)<<1|1)
		w.b = w.m.appendEntries(w.b, w.first, w.end)
	}
	w.n, w.first = 0, w.end
}

// Apply returns the manifest that a difference makes out of m, whose outline o the
// difference is of. Everything is checked as by [Parse]. ErrMismatch means that a
// group was taken for another: then only the whole manifest helps. Apply allocates
// a small multiple of what m and diff take.
func (m *Manifest) Apply(o Outline, diff []byte) (*Manifest, error) {
	made, err := m.apply(o.bits, diff)
	if err != nil {
		return nil, fmt.Errorf("chunk: apply a difference: %w", err)
	}
	return made, nil
}

func (m *Manifest) apply(bits int, diff []byte) (*Manifest, error) {
	d := decoder{rest: diff}
	if err := d.magic(differenceMagic); err != nil {
		return nil, err
	}
	made, flags, err := d.head()
	if err != nil {
		return nil, err
	}
	check, err := d.bytes(checkLen)
	if err != nil {
		return nil, err
	}
	if flags&noChunks == 0 {
		// Room for all chunks that can be in the difference, and the old ones.
		n := min(m.Len()+len(d.rest)/entrySize, MaxChunks)
		made.ends, made.hashes = make([]int64, 0, n), make([]Hash, 0, n)
		if err := d.operations(made, m, m.groups(bits)); err != nil {
			return nil, err
		}
	}
	if err := d.pieces(made, flags); err != nil {
		return nil, err
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	if sum := blake3.Sum256(made.append(nil)); [checkLen]byte(sum[:]) != [checkLen]byte(check) {
		return nil, fmt.Errorf("the manifest: %w", ErrMismatch)
	}
	return made, nil
}

// operations adds the chunks of m, out of the groups of old.
func (d *decoder) operations(m, old *Manifest, groups []int) error {
	budget := maxCopied * old.Len()
	next := 0
	for m.offset(m.Len()) < m.size {
		x, err := d.number(2*MaxChunks - 1)
		if err != nil {
			return fmt.Errorf("operation: %w", err)
		}
		n := int(x>>1) + 1
		if x&1 != 0 {
			b, err := d.bytes(n * entrySize)
			if err != nil {
				return fmt.Errorf("%d chunks: %w", n, err)
			}
			if err := m.addEntries(b); err != nil {
				return err
			}
			continue
		}
		z, err := d.number(2 * MaxChunks)
		if err != nil {
			return fmt.Errorf("group: %w", err)
		}
		from := next + int(z>>1)
		if z&1 != 0 {
			from = next - int(z>>1) - 1
		}
		next = from + n
		if from < 0 || next > len(groups) {
			return fmt.Errorf("groups %d to %d of %d: %w", from, next, len(groups), ErrMalformed)
		}
		first, end := 0, groups[next-1]
		if from > 0 {
			first = groups[from-1]
		}
		if budget -= end - first; budget < 0 {
			return fmt.Errorf("more than %d times the old chunks are copied: %w", maxCopied, ErrTooLarge)
		}
		for i := first; i < end; i++ {
			if err := m.add(old.ends[i]-old.offset(i), old.hashes[i]); err != nil {
				return err
			}
		}
	}
	return m.checkEnd()
}
