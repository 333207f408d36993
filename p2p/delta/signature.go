package delta

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/blake3"
)

// Limits of a signature. A file of more than 4 TiB cannot be signed.
const (
	MaxBlock  = 1 << 20 // the longest block, in bytes
	MaxBlocks = 1 << 22 // the most blocks
)

// What Sign chooses between when the caller does not choose.
const (
	leastBlock   = 512
	usualBlock   = 128 << 10 // longer only where MaxBlocks asks for it
	unknownBlock = 8 << 10   // for a file of unknown length
)

// A Sum is the BLAKE3-256 of a whole file.
type Sum [32]byte

// String returns the sum as hexadecimal digits.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	// ErrMalformed: the bytes are not what this package writes.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a limit of this package is exceeded.
	ErrTooLarge = errors.New("too large")
)

// SignOptions are the choices of whoever signs.
type SignOptions struct {
	// Size is the expected length of the file in bytes. It only decides about the
	// length of the blocks. Zero: unknown.
	Size int64
	// Block is the length of a block in bytes, from 1 to MaxBlock. Zero: about the
	// square root of Size, which balances the length of the signature against that
	// of what is sent around each edit.
	Block int
	// Seed is of the strong sum. It should be another one for each transfer, so
	// that blocks made to collide under one seed differ under the next. Zero: a
	// random one.
	Seed uint64
	// Bare leaves out the sum of the whole: Sum is zero. For parts of a file, or
	// where the caller knows the old file's sum from elsewhere.
	Bare bool
}

// A Signature tells of each block of a file what is needed to recognise it. It
// takes 13 bytes for a block, in memory as on the wire.
type Signature struct {
	block int
	size  int64
	seed  uint64
	sum   Sum
	table []byte // recordSize bytes for each block
}

// A record is the weak sum (5 bytes) and the strong sum (8 bytes), lowest byte
// first.
const (
	weakSize   = weakBits / 8
	recordSize = weakSize + 8
)

// Sign reads a file to its end and returns its signature. Every block has the
// same length but the last, which may be shorter.
func Sign(r io.Reader, o SignOptions) (*Signature, error) {
	s, err := newSignature(o)
	if err != nil {
		return nil, err
	}
	var whole *blake3.Hasher
	if !o.Bare {
		whole = blake3.New()
	}
	strong := xxhash.New()
	buf := make([]byte, max(1, MaxData/s.block)*s.block)
	for {
		n, err := io.ReadFull(r, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return nil, fmt.Errorf("delta: sign: after %d bytes: %w", s.size, err)
		}
		if whole != nil {
			whole.Write(buf[:n])
		}
		for p := buf[:n]; len(p) > 0; {
			if s.Blocks() == MaxBlocks {
				return nil, fmt.Errorf("delta: sign: more than %d blocks of %d bytes: %w", MaxBlocks, s.block, ErrTooLarge)
			}
			k := min(s.block, len(p))
			s.append(weakOf(polynomial(p[:k])), strongSum(strong, s.seed, p[:k]))
			s.size += int64(k)
			p = p[k:]
		}
		if end {
			if whole != nil {
				whole.Sum(s.sum[:0])
			}
			return s, nil
		}
	}
}

func newSignature(o SignOptions) (*Signature, error) {
	s := &Signature{block: o.Block, seed: o.Seed}
	if o.Block < 0 || o.Block > MaxBlock {
		return nil, fmt.Errorf("delta: sign: blocks of %d bytes: %w", o.Block, ErrTooLarge)
	}
	if s.block == 0 {
		s.block = chooseBlock(o.Size)
	}
	for s.seed == 0 {
		var b [8]byte
		rand.Read(b[:])
		s.seed = binary.LittleEndian.Uint64(b[:])
	}
	return s, nil
}

// NewSignature makes a bare signature of what Block, Size, Seed and Table return,
// after another message brought it. It keeps table. What does not belong together
// is ErrMalformed, what no signature may be ErrTooLarge.
func NewSignature(block int, size int64, seed uint64, table []byte) (*Signature, error) {
	if block < 1 || size < 0 {
		return nil, fmt.Errorf("delta: signature of %d bytes in blocks of %d: %w", size, block, ErrMalformed)
	}
	if block > MaxBlock || size > int64(block)*MaxBlocks {
		return nil, fmt.Errorf("delta: signature of %d bytes in blocks of %d: %w", size, block, ErrTooLarge)
	}
	blocks := (size + int64(block) - 1) / int64(block)
	if int64(len(table)) != blocks*recordSize {
		return nil, fmt.Errorf("delta: signature of %d blocks: %d bytes of sums instead of %d: %w",
			blocks, len(table), blocks*recordSize, ErrMalformed)
	}
	return &Signature{block: block, size: size, seed: seed, table: table}, nil
}

// chooseBlock returns the power of two at or below the square root of size. With
// edits in k places a transfer takes 13·size/b bytes of signature and about k·b/2
// bytes around the edits; this b is the best for 26 edits, and for 10 times as
// many or as few it costs less than twice the best. A power of two lets equal
// pages of images and databases fall on blocks.
func chooseBlock(size int64) int {
	if size <= 0 {
		return unknownBlock
	}
	b := 1 << ((bits.Len64(uint64(size)) - 1) / 2)
	b = min(max(b, leastBlock), usualBlock)
	for b < MaxBlock && int64(b)*MaxBlocks < size {
		b *= 2
	}
	return b
}

func strongSum(d *xxhash.Digest, seed uint64, p []byte) uint64 {
	d.ResetWithSeed(seed)
	d.Write(p)
	return d.Sum64()
}

func (s *Signature) append(weak, strong uint64) {
	var r [16]byte
	binary.LittleEndian.PutUint64(r[:], weak)
	binary.LittleEndian.PutUint64(r[weakSize:], strong)
	s.table = append(s.table, r[:recordSize]...)
}

// Block returns the length of all blocks but the last, in bytes.
func (s *Signature) Block() int { return s.block }

// Blocks returns the number of blocks.
func (s *Signature) Blocks() int { return len(s.table) / recordSize }

// Size returns the length of the signed file in bytes.
func (s *Signature) Size() int64 { return s.size }

// Seed returns the seed of the strong sums.
func (s *Signature) Seed() uint64 { return s.seed }

// Table returns the sums of all blocks, as NewSignature takes them: for each the
// weak sum (5 bytes) and the strong sum (8 bytes), lowest byte first. It belongs to
// the signature.
func (s *Signature) Table() []byte { return s.table }

// Sum returns the BLAKE3 of the signed file, or zeros if it was signed Bare.
func (s *Signature) Sum() Sum { return s.sum }

// Sums returns the weak sum (40 bits) and the strong sum of block i.
func (s *Signature) Sums(i int) (weak, strong uint64) { return s.weak(i), s.strong(i) }

func (s *Signature) weak(i int) uint64 {
	return binary.LittleEndian.Uint64(s.table[i*recordSize:]) & (1<<weakBits - 1)
}

func (s *Signature) strong(i int) uint64 {
	return binary.LittleEndian.Uint64(s.table[i*recordSize+weakSize:])
}

// full returns the number of blocks of full length, tail the length of the last
// block if it is shorter, otherwise 0.
func (s *Signature) full() int { return int(s.size / int64(s.block)) }
func (s *Signature) tail() int { return int(s.size % int64(s.block)) }
