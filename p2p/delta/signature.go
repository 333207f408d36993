package delta

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

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
	// length of the blocks and how the work is divided. Zero: unknown.
	Size int64
	// Edits is the number of places in which the file is expected to have been
	// changed. It only decides about the length of the blocks. Zero: unknown, 13.
	Edits int
	// Block is the length of a block in bytes, from 1 to MaxBlock. Zero: the one that
	// costs the fewest bytes for Size and Edits.
	Block int
	// Seed is of the strong sum. It should be another one for each transfer, so
	// that blocks made to collide under one seed differ under the next. Zero: a
	// random one.
	Seed uint64
	// Bare leaves out the sum of the whole: Sum is zero. For parts of a file, or
	// where the caller knows the old file's sum from elsewhere.
	Bare bool
	// Workers is the number of goroutines that sum blocks. Zero: one for each
	// processor. A file whose Size is unknown or below 2 MiB is signed by the
	// caller's goroutine alone, and so is any with one worker. With more, they take
	// turns to read the file and to sum the whole.
	Workers int
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
	whole := blake3.New()
	if !o.Bare {
		r = io.TeeReader(r, whole)
	}
	if err := s.sign(r, o); err != nil {
		return nil, fmt.Errorf("delta: sign: after %d bytes: %w", s.size, err)
	}
	if !o.Bare {
		whole.Sum(s.sum[:0])
	}
	return s, nil
}

// part is some blocks of the file that is signed.
type part struct {
	buf  []byte
	sums []byte // records
}

// reserveBlocks bounds the blocks for which room is made before they have been read.
const reserveBlocks = 1 << 24

// sign appends the blocks of the file, from its parts, on several goroutines if
// it is long.
func (s *Signature) sign(r io.Reader, o SignOptions) error {
	// Room for all of it at once: a table that grows leaves its former selves behind. Where the
	// size is wrong, it grows.
	if blocks := min((o.Size+int64(s.block)-1)/int64(s.block), reserveBlocks); blocks > 0 {
		s.table = make([]byte, 0, blocks*recordSize)
	}
	end := false
	fill := func(p *part) (more bool, err error) {
		p.buf = p.buf[:cap(p.buf)]
		n, err := readPieces(r, p.buf)
		p.buf = p.buf[:n]
		end = errors.Is(err, io.EOF)
		if end {
			err = nil
		}
		return !end, err
	}
	sum := func(_ int, p *part) { s.sumBlocks(p) }
	add := func(p *part) error {
		if s.Blocks()+len(p.sums)/recordSize > MaxBlocks {
			return fmt.Errorf("more than %d blocks of %d bytes: %w", MaxBlocks, s.block, ErrTooLarge)
		}
		s.table = append(s.table, p.sums...)
		s.size += int64(len(p.buf))
		return nil
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	length := s.partLength(leastWindow, o.Size)
	if o.Size < 2*sharedWindow {
		workers = 1
	}
	if workers > 1 {
		length = s.partLength(sharedWindow, o.Size)
		workers = min(workers, windowMemory/length-1)
	}
	if workers > 1 {
		parts := make([]*part, workers+1)
		for i := range parts {
			parts[i] = &part{buf: make([]byte, length)}
		}
		return inOrder(parts, workers, fill, sum, add)
	}
	p := &part{buf: make([]byte, length)}
	for !end {
		if _, err := fill(p); err != nil {
			return err
		}
		s.sumBlocks(p)
		if err := add(p); err != nil {
			return err
		}
	}
	return nil
}

// partLength returns a multiple of the block's length of at least n bytes, or of
// what a short file needs.
func (s *Signature) partLength(n int, size int64) int {
	if size > 0 {
		n = int(min(int64(n), size+1)) // one more, to see the end
	}
	return roundUp(n, s.block)
}

func (s *Signature) sumBlocks(p *part) {
	strong := xxhash.New()
	p.sums = p.sums[:0]
	for b := p.buf; len(b) > 0; {
		k := min(s.block, len(b))
		p.sums = appendRecord(p.sums, weakOf(polynomial(b[:k])), strongSum(strong, s.seed, b[:k]))
		b = b[k:]
	}
}

func newSignature(o SignOptions) (*Signature, error) {
	s := &Signature{block: o.Block, seed: o.Seed}
	if o.Block < 0 || o.Block > MaxBlock {
		return nil, fmt.Errorf("delta: sign: blocks of %d bytes: %w", o.Block, ErrTooLarge)
	}
	if s.block == 0 {
		s.block = chooseBlock(o.Size, o.Edits)
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

// usualEdits makes the block as long as the square root of the file.
const usualEdits = recordSize

// chooseBlock returns a power of two. A transfer with edits in c places takes
//
//	13·size/b bytes of signature + c·b bytes of blocks that are not whole any more
//
// and the edits themselves. The sum is least at b = √(13·size/c), and the power of
// two next to that costs at most 6 % more. Ten times as many or as few edits than
// expected cost 1.8 times what the best b would. A power of two lets equal pages
// of images and databases fall on blocks. Where copies are extended byte by byte
// (DiffOptions.Base) the second term vanishes.
func chooseBlock(size int64, edits int) int {
	if size <= 0 {
		return unknownBlock
	}
	if edits <= 0 {
		edits = usualEdits
	}
	square := recordSize * float64(size) / float64(edits)
	b := 1 << max(0, min(62, int(math.Round(math.Log2(square)/2))))
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

func appendRecord(table []byte, weak, strong uint64) []byte {
	var r [16]byte
	binary.LittleEndian.PutUint64(r[:], weak)
	binary.LittleEndian.PutUint64(r[weakSize:], strong)
	return append(table, r[:recordSize]...)
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
