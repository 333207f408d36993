package delta

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
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
//	"shoaldl2", size of the new file, size of the old file (varints),
//	BLAKE3 of the old file (32 bytes),
//	frames,
//	0, BLAKE3 of the new file (32 bytes)
//
// A frame is some operations, without and then with what they bring:
//
//	length of the operations below, in bytes (varint, 1 to 65,536),
//	bytes of data D (varint, at most MaxData),
//	if D > 0: 0, or their compressed length, less than D (varint),
//	operations: length·2 (varint), distance from the end of the last copy
//	            (zigzag varint), for a copy
//	            length·2+1 (varint), for the next so many bytes of data
//	data, if compressed as a frame of Zstandard (RFC 8878)
//
// A frame is written when it is full, so what is compressed does not depend on how
// often copies come between.
type Writer struct {
	w       io.Writer
	size    int64 // of the new file
	left    int64 // of it, not yet encoded
	base    int64
	last    int64 // where the last copy ended in the old file
	written int64

	ops, data []byte // of the frame begun
	run       int    // bytes at the end of data that no operation tells of yet
	raw       bool
	vain      int           // samples in a row that did not shrink
	skip      int           // frames not to be sampled
	packer    *zstd.Encoder // nil until something is compressed
	packed    []byte
}

const (
	frameOps  = 64 << 10
	longestOp = 2 * binary.MaxVarintLen64
)

// NewWriter writes the header to w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("delta: encode: %w", err)
	}
	d := &Writer{w: w, size: h.Size, left: h.Size, base: h.BaseSize}
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

// WriteOp encodes an operation. Operations that do not fit the header are refused.
func (d *Writer) WriteOp(op Op) error {
	if err := op.check(d.left, d.base); err != nil {
		return fmt.Errorf("delta: encode: at %d: %w", d.size-d.left, err)
	}
	d.left -= op.Size()
	if op.Length > 0 {
		if len(d.ops)+2*longestOp > frameOps {
			if err := d.flush(d.data); err != nil {
				return err
			}
		}
		d.endRun()
		d.ops = binary.AppendUvarint(d.ops, uint64(op.Length)<<1)
		d.ops = binary.AppendVarint(d.ops, op.Offset-d.last)
		d.last = op.Offset + op.Length
	}
	for p := op.Data; len(p) > 0; {
		if len(d.data) == MaxData || len(d.ops)+longestOp > frameOps {
			if err := d.flush(d.data); err != nil {
				return err
			}
		}
		if len(d.data) == 0 && len(p) >= MaxData/2 { // a frame without a copy of it
			d.run = min(len(p), MaxData)
			if err := d.flush(p[:d.run]); err != nil {
				return err
			}
			p = p[min(len(p), MaxData):]
			continue
		}
		n := min(len(p), MaxData-len(d.data))
		d.data = append(d.data, p[:n]...)
		d.run += n
		p = p[n:]
	}
	return nil
}

// endRun writes the operation of the data since the last copy.
func (d *Writer) endRun() {
	if d.run > 0 {
		d.ops = binary.AppendUvarint(d.ops, uint64(d.run)<<1|1)
		d.run = 0
	}
}

// flush writes the frame with the data that its operations ask for.
func (d *Writer) flush(data []byte) error {
	d.endRun()
	if len(d.ops) == 0 {
		return nil
	}
	head := binary.AppendUvarint(nil, uint64(len(d.ops)))
	head = binary.AppendUvarint(head, uint64(len(data)))
	if len(data) > 0 {
		packed, err := d.pack(data)
		if err != nil {
			return err
		}
		head = binary.AppendUvarint(head, uint64(len(packed)))
		if len(packed) > 0 {
			data = packed
		}
	}
	for _, part := range [][]byte{head, d.ops, data} {
		if err := d.write(part); err != nil {
			return err
		}
	}
	d.ops, d.data = d.ops[:0], d.data[:0]
	return nil
}

// What is compressed: data of at least packLeast bytes of which a sample shrinks
// by more than 1/packGain, as the whole then has to.
const (
	packLeast  = 256
	packSample = 2 << 10 // from the beginning, and as much from the middle
	packGain   = 16
	packSkip   = 8 // the most frames without a sample, after as many in vain
)

// pack returns the data compressed, or nothing if that is not worth it.
func (d *Writer) pack(data []byte) ([]byte, error) {
	if d.raw || len(data) < packLeast {
		return nil, nil
	}
	if d.packer == nil {
		var err error
		d.packer, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(MaxData), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		if err != nil {
			return nil, fmt.Errorf("delta: encode: zstd: %w", err)
		}
	}
	gains := func(n, packed int) bool { return packed < n-n/packGain }
	if len(data) > 4*packSample {
		if d.skip > 0 {
			d.skip--
			return nil, nil
		}
		middle := len(data) / 2
		sample := append(append([]byte(nil), data[:packSample]...), data[middle:middle+packSample]...)
		d.packed = d.packer.EncodeAll(sample, d.packed[:0])
		if !gains(len(sample), len(d.packed)) {
			d.vain++
			d.skip = min(d.vain-1, packSkip)
			return nil, nil
		}
		d.vain = 0
	}
	d.packed = d.packer.EncodeAll(data, d.packed[:0])
	if !gains(len(data), len(d.packed)) {
		return nil, nil
	}
	return d.packed, nil
}

// Close writes the end, with the sum of the new file. It does not close the
// underlying writer.
func (d *Writer) Close(sum Sum) error {
	if d.left != 0 {
		return fmt.Errorf("delta: encode: the end after %d of %d bytes: %w", d.size-d.left, d.size, ErrLength)
	}
	if err := d.flush(d.data); err != nil {
		return err
	}
	return d.write(append([]byte{0}, sum[:]...))
}

func (d *Writer) write(p []byte) error {
	n, err := d.w.Write(p)
	d.written += int64(n)
	if err != nil {
		return fmt.Errorf("delta: encode: %w", err)
	}
	return nil
}

// Summary says what a delta consists of.
type Summary struct {
	Sum            Sum   // of the new file
	Copied, Data   int64 // bytes of the new file that are copied, and given
	Copies, Pieces int   // operations of both kinds
	Encoded        int64 // bytes of the delta
}

// EncodeOptions are the choices of whoever makes a delta. The zero value is a good
// one.
type EncodeOptions struct {
	Diff DiffOptions
	// Bare leaves out the sum of the new file: zeros stand in its place. For parts
	// of a file that is verified as a whole; see PatchOptions.Bare.
	Bare bool
	// Raw leaves data as they are, for links that are faster than a compressor.
	Raw bool
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
	d.raw = o.Raw
	hash := blake3.New()
	if !o.Bare {
		target = io.TeeReader(target, hash)
	}
	for op, err := range diff(sig, target, o.Diff, size) {
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
	err = d.Close(s.Sum)
	s.Encoded = d.written
	return s, err
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

// A Reader decodes a delta. Whatever it reads, it holds at most one frame: 64 KiB
// of operations, twice MaxData, and what decompressing so much takes.
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
// thing that comes. The bytes of an Op are good until the next is asked for.
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

	ops, data       []byte // what is left of the frame
	opsBuf, dataBuf []byte
	packed          []byte
	unpacker        *zstd.Decoder // nil until something is compressed
}

// errEnd: there are no more operations.
var errEnd = errors.New("end")

func (o *opReader) next() (Op, error) {
	if len(o.ops) == 0 {
		if len(o.data) > 0 {
			return Op{}, fmt.Errorf("%d bytes of data that no operation asks for: %w", len(o.data), ErrMalformed)
		}
		if err := o.frame(); err != nil {
			return Op{}, err
		}
	}
	head, err := o.varint()
	if err != nil {
		return Op{}, err
	}
	length := int64(head >> 1)
	switch {
	case length == 0:
		return Op{}, fmt.Errorf("an operation of no bytes: %w", ErrMalformed)
	case length > o.left:
		return Op{}, fmt.Errorf("%d bytes more, where %d are left: %w", length, o.left, ErrLength)
	case head&1 == 0:
		return o.copy(length)
	case length > int64(len(o.data)):
		return Op{}, fmt.Errorf("%d bytes of data, where %d are left: %w", length, len(o.data), ErrMalformed)
	}
	op := Op{Data: o.data[:length:length]}
	o.data = o.data[length:]
	o.left -= length
	return op, nil
}

// varint takes a number off the operations.
func (o *opReader) varint() (uint64, error) {
	n, k := binary.Uvarint(o.ops)
	if k <= 0 || k > 1 && o.ops[k-1] == 0 {
		return 0, fmt.Errorf("no number of 64 bits in its shortest form: %w", ErrMalformed)
	}
	o.ops = o.ops[k:]
	return n, nil
}

func (o *opReader) copy(length int64) (Op, error) {
	zigzag, err := o.varint()
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

// frame reads the next frame, or errEnd.
func (o *opReader) frame() error {
	ops, err := readVarint(o.r)
	switch {
	case err != nil:
		return err
	case ops == 0 && o.left == 0:
		return errEnd
	case ops == 0:
		return fmt.Errorf("the end, where %d bytes are left: %w", o.left, ErrMalformed)
	case ops > frameOps:
		return fmt.Errorf("a frame with %d bytes of operations: %w", ops, ErrMalformed)
	}
	data, err := readVarint(o.r)
	if err != nil {
		return err
	}
	if data > MaxData || int64(data) > o.left {
		return fmt.Errorf("a frame with %d bytes of data, where %d bytes are left: %w", data, o.left, ErrLength)
	}
	packed := uint64(0)
	if data > 0 {
		if packed, err = readVarint(o.r); err != nil {
			return err
		}
		if packed >= data {
			return fmt.Errorf("%d bytes of data compressed to %d: %w", data, packed, ErrMalformed)
		}
	}
	if o.opsBuf, err = readTable(o.r, o.opsBuf, int(ops)); err != nil {
		return err
	}
	if o.ops = o.opsBuf; packed > 0 {
		err = o.unpack(int(packed), int(data))
	} else {
		o.dataBuf, err = readTable(o.r, o.dataBuf, int(data))
	}
	o.data = o.dataBuf
	return err
}

// unpack reads n compressed bytes, which must make size.
func (o *opReader) unpack(n, size int) (err error) {
	if o.packed, err = readTable(o.r, o.packed, n); err != nil {
		return err
	}
	if o.unpacker == nil {
		o.unpacker, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxData), zstd.WithDecoderMaxWindow(MaxData), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
	}
	if cap(o.dataBuf) < size {
		o.dataBuf = make([]byte, size)
	}
	// What is decompressed beyond the capacity is refused.
	got, err := o.unpacker.DecodeAll(o.packed, o.dataBuf[:0:size])
	if err != nil {
		return fmt.Errorf("compressed data: %w: %w", err, ErrMalformed)
	}
	if len(got) != size {
		return fmt.Errorf("compressed data make %d bytes instead of %d: %w", len(got), size, ErrMalformed)
	}
	o.dataBuf = got
	return nil
}
