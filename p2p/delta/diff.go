package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strconv"
	"sync"
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

// DiffOptions are the choices of whoever compares. The zero value is a good one.
type DiffOptions struct {
	// Size is the expected length of the new file in bytes. It only decides about
	// how much is read at once. Zero: unknown.
	Size int64
	// Workers is the number of goroutines that scan the new file. How many bytes are
	// copied does not depend on it. Zero: one for each processor, as far as memory
	// is bounded. A file of less than 1 MiB is scanned by the caller's goroutine
	// alone, and so is any with one worker. With more, they take turns to read
	// target.
	Workers int
	// Base is the old file, if it is at hand. Then copies are extended byte by byte
	// to both sides, and data are the edits only, not the blocks around them; but for
	// less than a block where a window of about 1 MiB begins.
	Base io.ReaderAt
}

// Diff reads the new file to its end and yields what makes it out of the signed
// one, in order. Copies that adjoin are one, as long as they are. The first error
// of target is the last thing that comes. The sum of the new file is the caller's
// to compute, for example by an io.TeeReader; see Encode.
func Diff(sig *Signature, target io.Reader) iter.Seq2[Op, error] {
	return DiffWith(sig, target, DiffOptions{})
}

// DiffWith is Diff with choices.
func DiffWith(sig *Signature, target io.Reader, o DiffOptions) iter.Seq2[Op, error] {
	return diff(sig, target, o, knownSize(o.Size))
}

// knownSize returns an expected length, or -1 if it is unknown.
func knownSize(size int64) int64 {
	if size <= 0 {
		return -1
	}
	return size
}

// diff compares with a target that has size bytes, or nobody knows how many if
// that is negative.
func diff(sig *Signature, target io.Reader, o DiffOptions, size int64) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		j := &joiner{yield: func(o Op) error {
			if !yield(o, nil) {
				return errStopped
			}
			return nil
		}}
		if o.Base != nil {
			j.extend = &extender{base: o.Base, size: sig.size}
		}
		s := newSearch(sig, target, o.Workers, size)
		err := s.run(j.join)
		if err == nil {
			err = j.sendCopy()
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Op{}, fmt.Errorf("delta: diff: at %d of the new file: %w", j.done, err))
		}
	}
}

// joiner makes operations out of what has been found in one window after the
// other. A match may reach into the next window; none begins before another ends.
type joiner struct {
	yield  func(Op) error
	extend *extender // nil: there is no old file
	done   int64     // bytes of the target that are in operations or in copied
	copied Op        // not yet sent, because more may adjoin
}

func (j *joiner) join(w *window) error {
	for _, m := range w.matches {
		back, err := j.literal(w, w.pos+int64(m.at), m.offset)
		if err != nil {
			return err
		}
		if err := j.copy(m.offset-back, m.length+back); err != nil {
			return err
		}
	}
	_, err := j.literal(w, w.pos+int64(w.limit), -1)
	return err
}

// literal deals with the bytes before to, which nothing was found for. Behind them
// comes a copy from offset of the old file, unless that is negative. It returns how
// many of them belong to this copy.
func (j *joiner) literal(w *window, to, offset int64) (back int64, err error) {
	if to <= j.done {
		return 0, nil
	}
	p := w.buf[j.done-w.pos : to-w.pos]
	if j.extend != nil {
		if j.copied.Length > 0 {
			n, err := j.extend.forward(p, j.copied.Offset+j.copied.Length)
			if err != nil {
				return 0, err
			}
			j.copied.Length += int64(n)
			j.done += int64(n)
			p = p[n:]
		}
		if offset >= 0 {
			n, err := j.extend.backward(p, offset)
			if err != nil {
				return 0, err
			}
			back = int64(n)
			p = p[:len(p)-n]
		}
	}
	for len(p) > 0 {
		if err := j.sendCopy(); err != nil {
			return 0, err
		}
		n := min(len(p), MaxData)
		j.done += int64(n)
		if err := j.yield(Op{Data: p[:n:n]}); err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return back, nil
}

func (j *joiner) copy(offset, length int64) error {
	if j.copied.Length == 0 || j.copied.Offset+j.copied.Length != offset {
		if err := j.sendCopy(); err != nil {
			return err
		}
		j.copied.Offset = offset
	}
	j.copied.Length += length
	j.done += length
	return nil
}

func (j *joiner) sendCopy() error {
	o := j.copied
	j.copied = Op{}
	if o.Length == 0 {
		return nil
	}
	return j.yield(o)
}

// extender compares with the old file.
type extender struct {
	base io.ReaderAt
	size int64
	buf  [extendMost]byte
}

// What is read of the old file at once: little at first, because it is different
// most often.
const (
	extendLeast = 256
	extendMost  = 16 << 10
)

// forward returns how many of the first bytes of p are in the old file at offset.
func (e *extender) forward(p []byte, offset int64) (n int, err error) {
	for step := extendLeast; n < len(p) && offset+int64(n) < e.size; step = min(2*step, extendMost) {
		k := int(min(int64(min(step, len(p)-n)), e.size-offset-int64(n)))
		if err := e.read(k, offset+int64(n)); err != nil {
			return 0, err
		}
		same := commonPrefix(p[n:n+k], e.buf[:k])
		if n += same; same < k {
			break
		}
	}
	return n, nil
}

// backward returns how many of the last bytes of p are in the old file before
// offset.
func (e *extender) backward(p []byte, offset int64) (n int, err error) {
	for step := extendLeast; n < len(p) && int64(n) < offset; step = min(2*step, extendMost) {
		k := int(min(int64(min(step, len(p)-n)), offset-int64(n)))
		if err := e.read(k, offset-int64(n+k)); err != nil {
			return 0, err
		}
		end := len(p) - n
		same := commonSuffix(p[end-k:end], e.buf[:k])
		if n += same; same < k {
			break
		}
	}
	return n, nil
}

func (e *extender) read(n int, offset int64) error {
	if k, err := e.base.ReadAt(e.buf[:n], offset); k < n {
		return fmt.Errorf("read the old file at %d: %w", offset, err)
	}
	return nil
}

// commonPrefix and commonSuffix compare two slices of one length.
func commonPrefix(a, b []byte) int {
	if bytes.Equal(a, b) {
		return len(a)
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b []byte) int {
	if bytes.Equal(a, b) {
		return len(a)
	}
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// A window is a part of the target: blocks that begin in buf[:limit] are looked
// for in it. Behind that are the bytes of blocks that reach beyond, which the next
// window has as well. At the end of the target limit is the end of buf.
type window struct {
	buf     []byte // its capacity is what was allocated
	step    int    // limit, but at the end
	limit   int
	pos     int64 // of buf[0] in the target
	last    bool
	matches []match
}

// The length of windows, rounded down to at least two blocks, and of what is read at
// once: then a sum of the target is computed while the bytes are in the second cache.
// The kernel copies long pieces in two thirds of the time of pieces of 128 KiB, but
// for 1 MiB or more Go's own copy leaves nothing in the cache.
const (
	leastWindow  = 960 << 10 // of one worker
	sharedWindow = 1 << 20   // of several
	readPiece    = 960 << 10
	// windowMemory is how much memory all windows of several workers take.
	windowMemory = 12 << 20
)

// search is one run of Diff or Inverse.
type search struct {
	sig     *Signature
	index   *index
	target  io.Reader
	workers int
	size    int64 // of the target, or negative
	least   int   // length of windows, of one worker
	shared  int   // and of several, both of whole blocks
	work    int64 // by all scanners
	reach   int64 // where the last match ends in the target
	next    int   // the block that follows it

	// Of who reads.
	begun int64  // bytes of the target in windows
	ahead []byte // what the last window shares with the next
	eof   bool
}

func newSearch(sig *Signature, target io.Reader, workers int, size int64) *search {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &search{
		sig: sig, index: newIndex(sig),
		target: target, workers: workers, size: size,
		least:  max(leastWindow/sig.block, 2) * sig.block,
		shared: max(sharedWindow/sig.block, 2) * sig.block,
	}
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// run calls found for one window of the target after the other. The window is
// found's until it returns.
func (s *search) run(found func(*window) error) (err error) {
	workers := min(s.workers, windowMemory/(s.shared+s.sig.block)-1)
	if workers < 2 || s.size >= 0 && s.size < 2*int64(s.shared) {
		return s.alone(found)
	}
	first := s.takeWindow()
	if err := s.fill(first); err != nil {
		return err
	}
	after := newScanner(s.index)
	if s.eof {
		s.scan(first, after)
		return found(first)
	}
	windows := make([]*window, workers+1)
	windows[0] = first
	for i := range workers {
		windows[i+1] = s.takeWindow()
	}
	scanners := make([]*scanner, workers)
	for i := range scanners {
		scanners[i] = newScanner(s.index)
	}
	// Where the caller wants no more operations it may still look at the last one.
	defer func() {
		if err == nil {
			for _, w := range windows {
				spare.Put(w)
			}
		}
	}()
	err = inOrder(windows, workers,
		func(w *window) (more bool, err error) {
			if first == nil {
				err = s.fill(w)
				return !s.eof, err
			}
			// What was read first is in order now, whichever window that is for.
			*w, *first = *first, *w
			first = nil
			return true, nil
		},
		func(worker int, w *window) {
			c := scanners[worker]
			c.next = s.aligned(w)
			c.matches = w.matches
			c.scan(w.buf, 0, w.limit, w.last)
			w.matches, c.matches = c.matches, nil
		},
		func(w *window) error {
			if s.missed(w) {
				after.matches = w.matches
				s.scan(w, after)
				after.matches = nil
			} else {
				s.passed(w)
			}
			return found(w)
		})
	for _, c := range scanners {
		s.work += c.work
	}
	return err
}

// alone is run with one goroutine.
func (s *search) alone(found func(*window) error) error {
	w, c := s.newWindow(s.least), newScanner(s.index)
	for !s.eof {
		if err := s.fill(w); err != nil {
			return err
		}
		s.scan(w, c)
		if err := found(w); err != nil {
			return err
		}
	}
	return nil
}

// aligned returns the block that a window begins with if nothing was inserted
// before. Among equal blocks that would be a guess, so then it is none.
func (s *search) aligned(w *window) int {
	if s.index.twins {
		return s.sig.Blocks()
	}
	return int(min(w.pos/int64(s.sig.block), MaxBlocks))
}

// missed reports whether a worker may have found something else in its window than
// if it had known that the last match of the window before reaches into it: a match
// that begins before that ends, or another of equal blocks, or not the short last
// block. Then the window is scanned again, so that several workers find what one
// finds.
func (s *search) missed(w *window) bool {
	if s.reach < w.pos {
		return false
	}
	if s.next == s.sig.full() && s.sig.tail() > 0 {
		return true
	}
	if len(w.matches) == 0 {
		return false
	}
	first := w.matches[0]
	from := w.pos + int64(first.at)
	return from < s.reach || from == s.reach && first.offset != int64(s.next)*int64(s.sig.block)
}

// scan goes on where the last match ended.
func (s *search) scan(w *window, c *scanner) {
	if c.next = s.next; s.reach < w.pos {
		c.next = s.aligned(w)
	}
	c.scan(w.buf, int(max(0, s.reach-w.pos)), w.limit, w.last)
	w.matches = c.matches
	s.work, c.work = s.work+c.work, 0
	s.passed(w)
}

// passed notes where the last match of the window ends.
func (s *search) passed(w *window) {
	if k := len(w.matches) - 1; k >= 0 {
		last := w.matches[k]
		s.reach = w.pos + int64(last.at) + last.length
		s.next = int((last.offset + last.length + int64(s.sig.block) - 1) / int64(s.sig.block))
	}
}

func (s *search) newWindow(step int) *window {
	n := step + s.sig.block
	if s.size >= 0 && s.size < int64(n) {
		n = int(s.size) + 1 // one more, to see the end
	}
	return &window{buf: make([]byte, n), step: step}
}

// spare has windows of several workers. For three new ones the system takes as long as
// it takes to scan one, and no worker has anything to do in that time.
var spare sync.Pool

func (s *search) takeWindow() *window {
	w, ok := spare.Get().(*window)
	if !ok || cap(w.buf) != s.shared+s.sig.block {
		return s.newWindow(s.shared)
	}
	w.step = s.shared
	return w
}

// fill reads the next window.
func (s *search) fill(w *window) error {
	buf := w.buf[:cap(w.buf)]
	have := copy(buf, s.ahead)
	n, err := readPieces(s.target, buf[have:])
	have += n
	if s.eof = errors.Is(err, io.EOF); err != nil && !s.eof {
		return err
	}
	w.buf, w.pos, w.last, w.limit = buf[:have], s.begun, s.eof, min(w.step, have)
	if s.eof {
		w.limit = have
	}
	s.begun += int64(w.limit)
	s.ahead = w.buf[w.limit:]
	return nil
}

// readPieces fills buf. The error is io.EOF if the file ends before.
func readPieces(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = io.ReadFull(r, buf[n:min(len(buf), n+readPiece)])
		n += k
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
