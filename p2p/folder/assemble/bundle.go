package assemble

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
)

// Bundle is some gaps whose deltas are asked for at once: the parts of the base, joined,
// are the old file, the gaps, joined, the new one.
type Bundle struct {
	Gaps []Gap
	// New are the parts of the new version. They may go on for less than a block after a
	// gap, over bytes that are known already: so that the last block of Old is found.
	New []Extent
	// Old are the parts of the base. Each but the last takes a multiple of Block, with zeros
	// after its end (see Joined), so that no block is of two parts.
	Old   []Extent
	Block int // bytes
}

// Limits of a bundle, which bound what is in memory for it on both sides.
const (
	// MaxNew is how many bytes of the new version it is about, unless a single chunk is
	// longer. A link takes a fifth of a second for it, so that a round trip more does not matter.
	MaxNew = 16 << 20
	// MaxOld is how many bytes of the base it is about, give or take one gap.
	MaxOld = 3 * MaxNew
	// MaxExtents is how many parts of either file it has.
	MaxExtents = 1024
)

// Bundles joins gaps, in order.
func Bundles(m, base *chunk.Manifest, gaps []Gap) []Bundle {
	var all []Bundle
	var open []Gap
	var size, old int64
	extents := 0
	flush := func() {
		if len(open) > 0 {
			all = append(all, bundle(m, base, open))
		}
		open, size, old, extents = nil, 0, 0, 0
	}
	for _, g := range split(m, gaps) {
		_, length := span(m, g.Run)
		if size+length > MaxNew || old+Size(g.Old) > MaxOld || extents+len(g.Old) > MaxExtents || len(open) == MaxExtents {
			flush()
		}
		open, size, old, extents = append(open, g), size+length, old+Size(g.Old), extents+len(g.Old)
	}
	flush()
	return all
}

// split cuts gaps that are longer than a bundle.
func split(m *chunk.Manifest, gaps []Gap) []Gap {
	var out []Gap
	for _, g := range gaps {
		begin, length := span(m, g.Run)
		if length <= MaxNew {
			out = append(out, g)
			continue
		}
		old := g.Old[0]
		if last := g.Old[len(g.Old)-1]; last.Offset >= old.Offset {
			old.Length = last.End() - old.Offset
		} else {
			g.Flush = false
		}
		for i := g.First; i < g.end(); {
			part := Run{i, 1}
			for part.end() < g.end() {
				if _, n := span(m, Run{i, part.N + 1}); n > MaxNew {
					break
				}
				part.N++
			}
			// Of the base what is as far from its part's begin, give or take.
			offset, n := span(m, part)
			from := old.Offset + max(0, offset-begin-slack)
			to := min(old.End(), old.Offset+offset-begin+n+slack)
			p := Gap{Run: part, Flush: g.Flush && part.end() == g.end()}
			if p.Flush {
				to = old.End()
				from = max(old.Offset, min(from, to-n-slack))
			}
			if to > from { // else it is past the end of what it was made from
				p.Old = []Extent{{from, to - from}}
			}
			out = append(out, p)
			i = part.end()
		}
	}
	return out
}

// The least and the longest block.
const (
	leastBlock = 512
	mostBlock  = 16 << 10
)

// blockFor chooses the block for parts of the base of so many bytes that have so many chunks:
// in each of them there is an edit, or it would have been found. With k edits a transfer takes
// 13·size/b bytes of signature and about 3/2·k·b around the edits.
func blockFor(size int64, chunks int) int {
	least := 13 * size * 2 / int64(3*max(chunks, 2)) // b²
	b := 1 << (bits.Len64(uint64(max(least, 1))) / 2)
	return min(max(b, leastBlock), mostBlock)
}

func bundle(m, base *chunk.Manifest, gaps []Gap) Bundle {
	b := Bundle{Gaps: gaps}
	var size int64
	chunks := 0
	for _, g := range gaps {
		chunks += g.N
		for _, e := range g.Old {
			size += e.Length
		}
	}
	b.Block = blockFor(size, chunks)
	for _, g := range gaps {
		at, length := span(m, g.Run)
		last := Extent{at, length}
		for i, e := range g.Old {
			more := min(pad(e.Length, b.Block), base.Size()-e.End())
			e.Length += more
			if i == len(g.Old)-1 && g.Flush {
				last.Length = min(last.Length+more, m.Size()-at)
			}
			b.Old = append(b.Old, e)
		}
		b.New = append(b.New, last)
	}
	return b
}

// pad is how many bytes are missing to a multiple of block.
func pad(n int64, block int) int64 {
	return (int64(block) - n%int64(block)) % int64(block)
}

// Size returns the length of the parts, joined.
func Size(extents []Extent) (n int64) {
	for _, e := range extents {
		n += e.Length
	}
	return n
}

// ErrOutside: what was asked for is not within the joined parts.
var ErrOutside = errors.New("outside the parts")

// Joined is the old file of a bundle.
type Joined struct {
	r     io.ReaderAt
	parts []Extent
	begin []int64 // of each part in the joined file
	size  int64
}

// Join returns the old file of a bundle, whose base is r.
func (b Bundle) Join(r io.ReaderAt) *Joined {
	j := &Joined{r: r, parts: b.Old}
	for i, e := range b.Old {
		j.begin = append(j.begin, j.size)
		j.size += e.Length
		if i < len(b.Old)-1 {
			j.size += pad(e.Length, b.Block)
		}
	}
	return j
}

// Size returns the length of the file.
func (j *Joined) Size() int64 { return j.size }

// ReadAt implements io.ReaderAt.
func (j *Joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("assemble: read at %d: %w", off, ErrOutside)
	}
	for n < len(p) {
		if off >= j.size {
			return n, io.EOF
		}
		k, err := j.readPart(p[n:], off)
		n, off = n+k, off+int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readPart reads from the one part that holds off.
func (j *Joined) readPart(p []byte, off int64) (int, error) {
	i := j.find(off)
	end := j.size
	if i+1 < len(j.begin) {
		end = j.begin[i+1]
	}
	p = p[:min(int64(len(p)), end-off)]
	at := off - j.begin[i]
	if at >= j.parts[i].Length { // the zeros behind the part
		clear(p)
		return len(p), nil
	}
	p = p[:min(int64(len(p)), j.parts[i].Length-at)]
	n, err := j.r.ReadAt(p, j.parts[i].Offset+at)
	if n == len(p) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("assemble: read the base at %d: %w", j.parts[i].Offset+at+int64(n), io.ErrUnexpectedEOF)
	}
	return n, err
}

// find returns the part that off lies in, or in the zeros behind it.
func (j *Joined) find(off int64) int {
	lo, hi := 0, len(j.begin)
	for lo+1 < hi {
		if mid := (lo + hi) / 2; j.begin[mid] <= off {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// Reader returns the parts of a file one after the other. An end of the file before the end
// of a part is io.ErrUnexpectedEOF.
func Reader(r io.ReaderAt, parts []Extent) io.Reader { return &reader{r: r, parts: parts} }

type reader struct {
	r     io.ReaderAt
	parts []Extent
	done  int64 // of parts[0]
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.parts) > 0 && r.done == r.parts[0].Length {
		r.parts, r.done = r.parts[1:], 0
	}
	if len(r.parts) == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.parts[0].Length-r.done)]
	n, err := r.r.ReadAt(p, r.parts[0].Offset+r.done)
	r.done += int64(n)
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// Sign returns the signature of the old file.
func (b Bundle) Sign(base io.ReaderAt) (*delta.Signature, error) {
	j := b.Join(base)
	return delta.Sign(io.NewSectionReader(j, 0, j.Size()), delta.SignOptions{Size: j.Size(), Block: b.Block, Bare: true})
}
