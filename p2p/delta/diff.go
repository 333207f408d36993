package delta

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// MaxData is the most bytes that one Op carries.
const MaxData = 256 << 10

// An Op says what comes next in the new file: a copy of a part of the old file,
// or bytes that are given.
type Op struct {
	// Offset and Length, in bytes, say which part of the old file is copied. Both
	// are zero if there is Data.
	Offset, Length int64
	// Data are the bytes themselves, at most MaxData. They belong to whoever made
	// the Op and change when the next one is asked for.
	Data []byte
}

// Size returns how many bytes of the new file the operation makes.
func (o Op) Size() int64 { return o.Length + int64(len(o.Data)) }

// String returns the operation in words.
func (o Op) String() string {
	if o.Data != nil {
		return "data " + strconv.Quote(string(o.Data))
	}
	return fmt.Sprintf("copy %d bytes at %d", o.Length, o.Offset)
}

// check refuses operations that make more than left bytes, or copy what an old
// file of base bytes does not have.
func (o Op) check(left, base int64) error {
	switch {
	case o.Length < 0 || o.Offset < 0 || o.Length > base || o.Offset > base-o.Length:
		return fmt.Errorf("copy %d bytes at %d: %w", o.Length, o.Offset, ErrOutside)
	case o.Length > 0 && len(o.Data) > 0:
		return fmt.Errorf("a copy with data: %w", ErrMalformed)
	case o.Size() > left:
		return fmt.Errorf("%d bytes more, where %d are left: %w", o.Size(), left, ErrLength)
	}
	return nil
}

// errStopped: the caller wants no more operations.
var errStopped = errors.New("stopped")

// Diff reads the new file to its end and yields what makes it out of the signed
// one, in order. Copies that adjoin are one, as long as they are. The first error
// of target is the last thing that comes. The sum of the new file is the caller's
// to compute, for example by an io.TeeReader; see Encode.
func Diff(sig *Signature, target io.Reader) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		s := newSearch(sig, target)
		s.yield = func(o Op) error {
			if !yield(o, nil) {
				return errStopped
			}
			return nil
		}
		if err := s.run(); err != nil && !errors.Is(err, errStopped) {
			yield(Op{}, fmt.Errorf("delta: diff: at %d of the new file: %w", s.passed+int64(s.at), err))
		}
	}
}

// The budget for looks that turn out to be in vain, counted in bytes that the
// strong sum reads. It grows by allowance for each byte that the search moves on,
// so that all the work together is at most proportional to the length of the new
// file. Without it, sums that are wrong on purpose (or 40,000 equal blocks, in
// the oldest attack on rsync) make the strong sum read a block at each offset.
// Who runs out of it finds fewer blocks, and sends more bytes. Honest files need
// a hundredth: a look in vain comes once in 250 offsets at most, and the strong
// sum reads length of the old file / 2^40 bytes for each offset.
const (
	allowance = 8
	advance   = 4 * MaxBlock // what there is at the beginning
	lookCost  = 32
)

// search is one run of Diff. The window of the signature's block length stands at
// buf[at]; what is before it and not yet sent begins at buf[sent]:
//
//	buf: … sent | literal so far … at | window … at+block | read … end
type search struct {
	index  *index
	sig    *Signature
	target io.Reader
	yield  func(Op) error

	buf           []byte
	sent, at, end int
	eof           bool
	passed        int64 // bytes of the target before buf[0]

	gone   *[256]uint64
	h      uint64 // sum of the window, if rolled
	rolled bool   // the window has been looked at
	next   int    // the block that follows the one matched last
	copied Op     // not yet sent

	strong *xxhash.Digest
	budget int64 // never below zero
	found  []int
}

func newSearch(sig *Signature, target io.Reader) *search {
	return &search{
		index: newIndex(sig), sig: sig, target: target,
		buf:  make([]byte, MaxData+4*sig.block),
		gone: departures(sig.block), strong: xxhash.New(),
		budget: advance, found: make([]int, 0, maxCandidates),
	}
}

func (s *search) run() error {
	block := s.sig.block
	for {
		if s.end-s.at <= block && !s.eof {
			if err := s.refill(); err != nil {
				return err
			}
		}
		if s.end-s.at < block {
			return s.finish()
		}
		if !s.rolled {
			i := s.expected()
			if i < 0 {
				s.h, s.rolled = polynomial(s.buf[s.at:s.at+block]), true
				if s.index.has(s.h) {
					i = s.look()
				}
			}
			if i >= 0 {
				if err := s.match(i); err != nil {
					return err
				}
				continue
			}
		}
		if s.at+block == s.end { // the end of the target; otherwise there were more bytes
			s.at++
			return s.finish()
		}
		if err := s.scan(); err != nil {
			return err
		}
	}
}

// scan rolls on by at least one byte, to the next match or as far as there are
// bytes.
func (s *search) scan() error {
	in := s.buf[s.at+s.sig.block : s.end]
	steps, h, hit := roll(s.index.filter, s.gone, s.h, s.buf[s.at:s.at+len(in)], in)
	s.h, s.at, s.budget = h, s.at+steps, s.budget+allowance*int64(steps)
	if !hit {
		return nil
	}
	if i := s.look(); i >= 0 {
		return s.match(i)
	}
	return nil
}

// refill sends what was found to be new and makes room for more.
func (s *search) refill() error {
	if err := s.flush(s.at); err != nil {
		return err
	}
	copy(s.buf, s.buf[s.at:s.end])
	s.passed += int64(s.at)
	s.sent, s.at, s.end = 0, 0, s.end-s.at
	n, err := io.ReadFull(s.target, s.buf[s.end:])
	s.end += n
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.eof, err = true, nil
	}
	return err
}

// expected returns the block that follows the one matched last, if it is what
// the target continues with, otherwise -1. Where files are equal this is all
// that is done. It costs at most as much as the match before it did.
func (s *search) expected() int {
	if s.next >= s.sig.Blocks() {
		return -1
	}
	n := s.length(s.next)
	if s.end-s.at < n || s.strongAt(s.at, n) != s.sig.strong(s.next) {
		return -1
	}
	return s.next
}

// look returns a block that is equal to the window, whose weak sum is s.h, or -1.
func (s *search) look() int {
	block := s.sig.block
	if s.budget < lookCost+int64(block) {
		return -1
	}
	cost := int64(lookCost)
	s.found = s.index.candidates(s.found[:0], s.h>>weakShift)
	if len(s.found) > 0 {
		strong := s.strongAt(s.at, block)
		for _, i := range s.found {
			if s.sig.strong(i) == strong {
				return i
			}
		}
		cost += int64(block)
	}
	s.budget -= cost
	return -1
}

func (s *search) strongAt(at, n int) uint64 {
	return strongSum(s.strong, s.sig.seed, s.buf[at:at+n])
}

// length returns that of block i.
func (s *search) length(i int) int {
	if i == s.sig.full() {
		return s.sig.tail()
	}
	return s.sig.block
}

// match takes block i for what begins at the window, and moves behind it.
func (s *search) match(i int) error {
	if err := s.flush(s.at); err != nil {
		return err
	}
	offset, n := int64(i)*int64(s.sig.block), s.length(i)
	if s.copied.Length > 0 && s.copied.Offset+s.copied.Length == offset {
		s.copied.Length += int64(n)
	} else {
		if err := s.sendCopy(); err != nil {
			return err
		}
		s.copied = Op{Offset: offset, Length: int64(n)}
	}
	s.at += n
	s.sent, s.next, s.rolled = s.at, i+1, false
	return nil
}

// flush sends the bytes before end that nothing was found for.
func (s *search) flush(end int) error {
	for s.sent < end {
		if err := s.sendCopy(); err != nil {
			return err
		}
		n := min(end-s.sent, MaxData)
		data := s.buf[s.sent : s.sent+n : s.sent+n]
		s.sent += n
		if err := s.yield(Op{Data: data}); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) sendCopy() error {
	o := s.copied
	s.copied = Op{}
	if o.Length == 0 {
		return nil
	}
	return s.yield(o)
}

// finish deals with what is left at the end: less than a block. The short last
// block of the old file is looked for where it is expected and at the very end.
func (s *search) finish() error {
	last := s.sig.full()
	if n := s.sig.tail(); n > 0 {
		if i := s.expected(); !s.rolled && i >= 0 {
			if err := s.match(i); err != nil {
				return err
			}
		} else if at := s.end - n; at >= s.at && s.strongAt(at, n) == s.sig.strong(last) {
			s.at = at
			if err := s.match(last); err != nil {
				return err
			}
		}
	}
	if err := s.flush(s.end); err != nil {
		return err
	}
	return s.sendCopy()
}
