package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/zeebo/blake3"
)

// MaxBits is the most that Outline.Bits can be.
const MaxBits = 16

// An Outline names the chunks of a manifest by groups, for somebody who has a newer
// one. The zero Outline is that of no manifest.
type Outline struct {
	// Pieces says whether whoever has the outline wants the pieces of the newer
	// manifest, 32 bytes for each MiB of the file.
	Pieces bool

	bits   int
	chunks int // in all groups
	groups int
	ids    []byte // of each group, idSize(groups) bytes
}

// OutlineBits returns the bits with which an outline of a manifest of n chunks and
// the answer to it are short.
//
// With k edits, groups of g chunks cost about 4.5·n/g bytes in the outline and
// 1.5·35·g·k in the answer: those with an edit are longer than the average. This is
// the best g for 10 edits. For 10 times as many or as few the total is up to about
// twice the best.
func OutlineBits(n int) int {
	const each = 4.5 / (1.5 * float64(entrySize) * 10)
	b := math.Round(math.Log2(max(1, float64(n)*each)) / 2)
	return min(int(b), MaxBits)
}

// Outline returns the outline of m in groups of 2^bits chunks on average, which are
// cut by what is in them, as chunks are: see groups. It wants pieces.
func (m *Manifest) Outline(bits int) Outline {
	o := Outline{Pieces: true, bits: min(max(bits, 0), MaxBits), chunks: len(m.ends)}
	ends := m.groups(o.bits)
	o.groups = len(ends)
	size := idSize(o.groups)
	o.ids = make([]byte, 0, len(ends)*size)
	var entries []byte
	first := 0
	for _, end := range ends {
		var id uint64
		id, entries = m.groupID(first, end, entries)
		o.ids = append(o.ids, binary.LittleEndian.AppendUint64(nil, id)[:size]...)
		first = end
	}
	return o
}

// groups returns the index after the last chunk of each group. A group ends with a
// chunk whose hash has zeros in its low bits, at the latest with 4·2^bits chunks,
// and not before half of the average: so most are about as long as the average,
// and an edit costs less than with lengths left to chance.
func (m *Manifest) groups(bits int) (ends []int) {
	least, zeros := 0, bits
	if bits > 1 {
		least, zeros = 1<<(bits-1), bits-1
	}
	ends = make([]int, 0, len(m.ends)*5/4>>bits+1)
	first := 0
	for i := range m.hashes {
		low := binary.LittleEndian.Uint32(m.hashes[i][:]) & (1<<zeros - 1)
		if n := i + 1 - first; n > least && low == 0 || n == 4<<bits || i == len(m.hashes)-1 {
			ends = append(ends, i+1)
			first = i + 1
		}
	}
	return ends
}

// groupID returns 64 bits of the BLAKE3 of the packed chunks, and the room in which
// it packed them.
func (m *Manifest) groupID(first, end int, room []byte) (uint64, []byte) {
	room = m.appendEntries(room[:0], first, end)
	sum := blake3.Sum256(room)
	return binary.LittleEndian.Uint64(sum[:]), room
}

// idSize returns how many bytes name one of n groups. That one of as many other
// groups has a name that is taken happens once in 4096 times or less. It is
// noticed, and costs that the whole manifest is sent.
func idSize(n int) int { return min((2*bits.Len(uint(n))+12+7)/8, 8) }

// Groups returns the number of groups.
func (o Outline) Groups() int { return o.groups }

// Bits returns the binary logarithm of the average number of chunks in a group.
func (o Outline) Bits() int { return o.bits }

// AppendBinary appends the outline to b:
//
//	"shoalmo1", bits (1 byte), whether pieces are wanted (1 byte: 0 or 1),
//	number of chunks, number of groups (varints),
//	for each group the first bytes of the BLAKE3 of its packed chunks
//
// The error is always nil.
func (o Outline) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, outlineMagic...)
	b = append(b, byte(o.bits), 0)
	if o.Pieces {
		b[len(b)-1] = 1
	}
	b = binary.AppendUvarint(b, uint64(o.chunks))
	b = binary.AppendUvarint(b, uint64(o.Groups()))
	return append(b, o.ids...), nil
}

// ParseOutline reads what AppendBinary wrote, and nothing else. It allocates at
// most as many bytes as b has.
func ParseOutline(b []byte) (Outline, error) {
	o, err := parseOutline(b)
	if err != nil {
		return Outline{}, fmt.Errorf("chunk: parse an outline: %w", err)
	}
	return o, nil
}

func parseOutline(b []byte) (o Outline, err error) {
	d := decoder{rest: b}
	if err := d.magic(outlineMagic); err != nil {
		return o, err
	}
	head, err := d.bytes(2)
	if err != nil {
		return o, err
	}
	if head[0] > MaxBits || head[1] > 1 {
		return o, fmt.Errorf("bits %d, pieces %d: %w", head[0], head[1], ErrMalformed)
	}
	o.bits, o.Pieces = int(head[0]), head[1] == 1
	chunks, err := d.number(MaxChunks)
	if err != nil {
		return o, fmt.Errorf("number of chunks: %w", err)
	}
	o.chunks = int(chunks)
	n, err := d.number(chunks)
	if err != nil {
		return o, fmt.Errorf("number of groups: %w", err)
	}
	if least := (chunks + 4<<o.bits - 1) >> (o.bits + 2); n < least {
		return o, fmt.Errorf("%d chunks in %d groups: %w", chunks, n, ErrMalformed)
	}
	ids, err := d.bytes(int(n) * idSize(int(n)))
	if err != nil {
		return o, fmt.Errorf("%d groups: %w", n, err)
	}
	o.groups, o.ids = int(n), append([]byte(nil), ids...)
	return o, d.end()
}
