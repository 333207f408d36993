package delta

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/zeebo/blake3"
)

// MaxSize is the largest file, in bytes, that an encoded delta can be about.
const MaxSize = 1 << 60

// Header is what an encoded delta says first.
type Header struct {
	Size     int64 // of the new file, in bytes
	BaseSize int64 // of the old file
	Base     Sum   // of the old file
}

// A Writer encodes a delta:
//
//	"shoaldl1", size of the new file, size of the old file (varints),
//	BLAKE3 of the old file (32 bytes),
//	operations: length·2 (varint), distance from the end of the last copy
//	            (zigzag varint), for a copy
//	            length·2+1 (varint), bytes, for data
//	0, BLAKE3 of the new file (32 bytes)
type Writer struct {
	w    *bufio.Writer
	size int64 // of the new file
	left int64 // of it, not yet encoded
	base int64
	last int64 // where the last copy ended in the old file
}

// NewWriter writes the header to w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("delta: encode: %w", err)
	}
	d := &Writer{w: bufio.NewWriterSize(w, copyBuffer), size: h.Size, left: h.Size, base: h.BaseSize}
	head := []byte(deltaMagic)
	head = binary.AppendUvarint(head, uint64(h.Size))
	head = binary.AppendUvarint(head, uint64(h.BaseSize))
	if err := d.write(append(head, h.Base[:]...)); err != nil {
		return nil, err
	}
	return d, nil
}

func (h Header) check() error {
	if h.Size < 0 || h.BaseSize < 0 || h.Size > MaxSize || h.BaseSize > MaxSize {
		return fmt.Errorf("files of %d and %d bytes: %w", h.Size, h.BaseSize, ErrTooLarge)
	}
	return nil
}

// WriteOp encodes an operation, at once if it has data. Operations that do not
// fit the header are refused.
func (d *Writer) WriteOp(op Op) error {
	if err := op.check(d.left, d.base); err != nil {
		return fmt.Errorf("delta: encode: at %d: %w", d.size-d.left, err)
	}
	d.left -= op.Size()
	var head []byte
	if op.Length > 0 {
		head = binary.AppendUvarint(head, uint64(op.Length)<<1)
		head = binary.AppendVarint(head, op.Offset-d.last)
		d.last = op.Offset + op.Length
	}
	if len(op.Data) > 0 {
		head = binary.AppendUvarint(head, uint64(len(op.Data))<<1|1)
	}
	if err := d.write(head); err != nil {
		return err
	}
	return d.write(op.Data)
}

// Close writes the end, with the sum of the new file, and flushes. It does not
// close the underlying writer.
func (d *Writer) Close(sum Sum) error {
	if d.left != 0 {
		return fmt.Errorf("delta: encode: the end after %d of %d bytes: %w", d.size-d.left, d.size, ErrLength)
	}
	if err := d.write(append([]byte{0}, sum[:]...)); err != nil {
		return err
	}
	if err := d.w.Flush(); err != nil {
		return fmt.Errorf("delta: encode: %w", err)
	}
	return nil
}

func (d *Writer) write(p []byte) error {
	if _, err := d.w.Write(p); err != nil {
		return fmt.Errorf("delta: encode: %w", err)
	}
	return nil
}

// Summary says what a delta consists of.
type Summary struct {
	Sum            Sum   // of the new file
	Copied, Data   int64 // bytes of the new file that are copied, and given
	Copies, Pieces int   // operations of both kinds
}

// EncodeOptions are the choices of whoever makes a delta.
type EncodeOptions struct {
	// Bare leaves out the sum of the new file: zeros stand in its place. For parts
	// of a file that is verified as a whole; see PatchOptions.Bare.
	Bare bool
}

// Encode compares the target, which must have size bytes, with the signed file
// and writes the delta to w.
func Encode(w io.Writer, sig *Signature, target io.Reader, size int64) (Summary, error) {
	return EncodeWith(w, sig, target, size, EncodeOptions{})
}

// EncodeWith is Encode with choices.
func EncodeWith(w io.Writer, sig *Signature, target io.Reader, size int64, o EncodeOptions) (Summary, error) {
	var s Summary
	d, err := NewWriter(w, Header{Size: size, BaseSize: sig.Size(), Base: sig.Sum()})
	if err != nil {
		return s, err
	}
	hash := blake3.New()
	if !o.Bare {
		target = io.TeeReader(target, hash)
	}
	for op, err := range Diff(sig, target) {
		if err != nil {
			return s, err
		}
		if err := d.WriteOp(op); err != nil {
			return s, err
		}
		s.count(op)
	}
	if !o.Bare {
		hash.Sum(s.Sum[:0])
	}
	return s, d.Close(s.Sum)
}

func (s *Summary) count(op Op) {
	s.Copied += op.Length
	s.Data += int64(len(op.Data))
	if op.Length > 0 {
		s.Copies++
	}
	if len(op.Data) > 0 {
		s.Pieces++
	}
}

// A Reader decodes a delta. Whatever it reads, it holds little memory.
type Reader struct {
	r      *bufio.Reader
	header Header
	sum    Sum
	begun  bool
	ended  bool
}

// NewReader reads the header from r. Of a *bufio.Reader only the delta is
// consumed, of any other reader perhaps more.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: buffered(r)}
	if err := d.readHeader(); err != nil {
		return nil, fmt.Errorf("delta: decode: header: %w", err)
	}
	return d, nil
}

func (d *Reader) readHeader() error {
	if err := readMagic(d.r, deltaMagic); err != nil {
		return err
	}
	for _, n := range []*int64{&d.header.Size, &d.header.BaseSize} {
		v, err := readVarint(d.r)
		if err != nil {
			return err
		}
		if v > MaxSize {
			return fmt.Errorf("a file of %d bytes: %w", v, ErrTooLarge)
		}
		*n = int64(v)
	}
	return readFull(d.r, d.header.Base[:])
}

// Header returns what the delta says about itself.
func (d *Reader) Header() Header { return d.header }

// Sum returns the sum of the new file, after the last operation. Before that, and
// after an error, ok is false.
func (d *Reader) Sum() (sum Sum, ok bool) { return d.sum, d.ended }

// errBegun: the operations have been asked for before.
var errBegun = errors.New("the operations can be read only once")

// Ops yields the operations, once. Each lies within the files that the header
// tells of, and all together make the whole new file, unless an error is the last
// thing that comes. Data longer than 64 KiB comes in pieces.
func (d *Reader) Ops() iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		if d.begun {
			yield(Op{}, fmt.Errorf("delta: decode: %w", errBegun))
			return
		}
		d.begun = true
		o := &opReader{r: d.r, left: d.header.Size, base: d.header.BaseSize}
		for {
			op, err := o.next()
			if errors.Is(err, errEnd) {
				if err = readFull(d.r, d.sum[:]); err == nil {
					d.ended = true
					return
				}
			}
			if err != nil {
				yield(Op{}, fmt.Errorf("delta: decode: at %d of the new file: %w", d.header.Size-o.left, err))
				return
			}
			if !yield(op, nil) {
				return
			}
		}
	}
}

// Patch applies the delta to the old file. It is the function Patch with the
// length and the sum that the delta itself announces. These tell nothing about
// who made the delta: who knows the sum of the new file from elsewhere gives
// Patch that.
func (d *Reader) Patch(base io.ReaderAt, w io.Writer) (Sum, error) {
	sum, err := rebuild(base, d.Ops(), w, d.header.Size)
	if err != nil {
		return Sum{}, fmt.Errorf("delta: patch: %w", err)
	}
	if want, ok := d.Sum(); !ok || sum != want {
		return sum, fmt.Errorf("delta: patch: its sum is %v instead of %v: %w", sum, want, ErrMismatch)
	}
	return sum, nil
}

// opReader decodes one operation after the other.
type opReader struct {
	r    *bufio.Reader
	left int64 // bytes of the new file that are still to come
	base int64
	last int64 // where the last copy ended
	data int64 // bytes left of the data begun
	buf  []byte
}

// errEnd: there are no more operations.
var errEnd = errors.New("end")

func (o *opReader) next() (Op, error) {
	if o.data > 0 {
		return o.piece()
	}
	head, err := readVarint(o.r)
	if err != nil {
		return Op{}, err
	}
	length := int64(head >> 1)
	switch {
	case head == 0 && o.left == 0:
		return Op{}, errEnd
	case length == 0:
		return Op{}, fmt.Errorf("the end, or nothing, where %d bytes are left: %w", o.left, ErrMalformed)
	case length > o.left:
		return Op{}, fmt.Errorf("%d bytes more, where %d are left: %w", length, o.left, ErrLength)
	case head&1 != 0:
		o.data = length
		return o.piece()
	}
	return o.copy(length)
}

func (o *opReader) copy(length int64) (Op, error) {
	zigzag, err := readVarint(o.r)
	if err != nil {
		return Op{}, err
	}
	distance := int64(zigzag>>1) ^ -int64(zigzag&1)
	// last is at most MaxSize, so that nothing overflows if distance is, too.
	if distance > MaxSize || distance < -MaxSize {
		return Op{}, fmt.Errorf("copy at %d + %d: %w", o.last, distance, ErrOutside)
	}
	op := Op{Offset: o.last + distance, Length: length}
	if err := op.check(o.left, o.base); err != nil {
		return Op{}, err
	}
	o.last = op.Offset + length
	o.left -= length
	return op, nil
}

// piece reads the next part of data. The buffer grows only with what arrives.
func (o *opReader) piece() (Op, error) {
	n := int(min(o.data, copyBuffer))
	if len(o.buf) < n {
		o.buf = make([]byte, min(copyBuffer, max(n, 512)))
	}
	if err := readFull(o.r, o.buf[:n]); err != nil {
		return Op{}, err
	}
	o.data -= int64(n)
	o.left -= int64(n)
	return Op{Data: o.buf[:n:n]}, nil
}
