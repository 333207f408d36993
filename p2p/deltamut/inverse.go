package delta

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// A Part is a part of a new file that an old one holds.
type Part struct {
	Offset, Base int64 // where it begins in the new file, and in the old one
	Length       int64 // in bytes
}

// InverseOptions are the choices of whoever looks for parts. The zero value is a
// good one.
type InverseOptions struct {
	// Size is the expected length of the old file in bytes, as of DiffOptions.
	Size int64
	// Workers is the number of goroutines that scan the old file, as of
	// DiffOptions.
	Workers int
}

// Inverse reads an old file to its end and yields which parts of the new file, the
// signed one, it holds: the direction of zsync, where who has the new file only
// serves its bytes and its signature, and who wants it does the work. Each byte of
// the new file comes at most once. Parts are as long as they are in both files;
// those that are in the new file several times come last. The first error of old is
// the last thing that comes.
//
// That two blocks are equal is only suggested, as in Diff: what is made of parts
// has to be verified.
func Inverse(sig *Signature, old io.Reader, o InverseOptions) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		s := newSearch(sig, old, o.Workers, knownSize(o.Size))
		g := &gatherer{index: s.index, known: make([]uint64, sig.Blocks()/64+1)}
		if s.index.twins {
			g.where = make([]int64, sig.full())
		}
		g.yield = func(p Part) error {
			if !yield(p, nil) {
				return errStopped
			}
			return nil
		}
		err := s.run(g.window)
		if err == nil {
			err = g.finish()
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Part{}, fmt.Errorf("delta: inverse: at %d of the old file: %w", s.begun, err))
		}
	}
}

// gatherer makes parts out of what has been found in one window after the other.
type gatherer struct {
	*index
	yield   func(Part) error
	known   []uint64 // a bit for each block that is in a part
	where   []int64  // of the first of equal blocks: where it is in the old file, + 1
	pending Part     // not yet sent, because more may adjoin
}

func (g *gatherer) window(w *window) error {
	block := int64(g.sig.block)
	for _, m := range w.matches {
		for done := int64(0); done < m.length; done += block {
			i := int((m.offset + done) / block)
			base := w.pos + int64(m.at) + done
			if g.where != nil && i < g.sig.full() {
				if first := g.first(i); first >= 0 && g.where[first] == 0 {
					g.where[first] = base + 1
				}
			}
			if err := g.add(i, base); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes block i of the new file for what the old one has at base, unless it is
// known already.
func (g *gatherer) add(i int, base int64) error {
	if g.known[i/64]>>(i%64)&1 != 0 {
		return nil
	}
	g.known[i/64] |= 1 << (i % 64)
	offset, length := int64(i)*int64(g.sig.block), int64(g.sig.block)
	if i == g.sig.full() {
		length = int64(g.sig.tail())
	}
	p := &g.pending
	if p.Length > 0 && p.Offset+p.Length == offset && p.Base+p.Length == base {
		p.Length += length
		return nil
	}
	if err := g.send(); err != nil {
		return err
	}
	g.pending = Part{Offset: offset, Base: base, Length: length}
	return nil
}

func (g *gatherer) send() error {
	if g.pending.Length == 0 {
		return nil
	}
	return g.yield(g.pending)
}

// finish adds the blocks that are equal to others.
func (g *gatherer) finish() error {
	for i := range len(g.where) {
		if first := g.first(i); first >= 0 && g.where[first] > 0 {
			if err := g.add(i, g.where[first]-1); err != nil {
				return err
			}
		}
	}
	return g.send()
}
