package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// MaxChunks is the most chunks that a manifest has.
const MaxChunks = 1 << 22

// Errors that callers tell apart. What is returned wraps them and says more.
var (
	// ErrMalformed: the bytes are not what this package writes.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a limit of this package is exceeded.
	ErrTooLarge = errors.New("too large")
	// ErrMismatch: the result is not what its hash says.
	ErrMismatch = errors.New("mismatch")
)

// A Chunk is a part of a file.
type Chunk struct {
	Offset int64 // in the file
	Length int   // in bytes
	Hash   Hash  // BLAKE3-256 of its bytes
}

// A Manifest describes a file. It does not change, and takes 40 bytes for each
// chunk and 32 for each piece.
type Manifest struct {
	size   int64
	root   Hash
	ends   []int64 // where each chunk ends in the file
	hashes []Hash  // of each chunk
	pieces []Hash
}

// Size returns the length of the file in bytes.
func (m *Manifest) Size() int64 { return m.size }

// Root returns the BLAKE3-256 of the file.
func (m *Manifest) Root() Hash { return m.root }

// Len returns the number of chunks. It is 0 where the file is empty, or would have
// more than MaxChunks.
func (m *Manifest) Len() int { return len(m.ends) }

// Chunk returns chunk i.
func (m *Manifest) Chunk(i int) Chunk {
	at := m.offset(i)
	return Chunk{Offset: at, Length: int(m.ends[i] - at), Hash: m.hashes[i]}
}

func (m *Manifest) offset(i int) int64 {
	if i == 0 {
		return 0
	}
	return m.ends[i-1]
}

// Find returns the chunk that holds the byte at offset, or -1 where none does.
func (m *Manifest) Find(offset int64) int {
	i := sort.Search(len(m.ends), func(i int) bool { return m.ends[i] > offset })
	if offset < 0 || i == len(m.ends) {
		return -1
	}
	return i
}

// Pieces returns the values of the pieces, from which [RootOf] makes the root. It
// is nil where the manifest came without. The caller must not change them.
func (m *Manifest) Pieces() []Hash { return m.pieces }

// WithoutPieces returns the manifest without its pieces, which whoever verifies by
// chunks does not need. One piece stays: it is the root.
func (m *Manifest) WithoutPieces() *Manifest {
	w := *m
	if len(w.pieces) > 1 {
		w.pieces = nil
	}
	return &w
}

// WithPieces returns the manifest with these pieces. ErrMismatch: they are those of another
// file.
func (m *Manifest) WithPieces(pieces []Hash) (*Manifest, error) {
	root, err := RootOf(m.size, pieces)
	if err == nil && root != m.root {
		err = ErrMismatch
	}
	if err != nil {
		return nil, fmt.Errorf("chunk: pieces of %v: %w", m.root, err)
	}
	w := *m
	w.pieces = slices.Clone(pieces)
	return &w, nil
}

// Equal reports whether two manifests say the same.
func (m *Manifest) Equal(o *Manifest) bool {
	return m.size == o.size && m.root == o.root && slices.Equal(m.ends, o.ends) &&
		slices.Equal(m.hashes, o.hashes) && slices.Equal(m.pieces, o.pieces)
}

// The encodings begin with eight bytes that say what follows. The last is Format.
const (
	manifestMagic   = "shoalmf1"
	outlineMagic    = "shoalmo1"
	differenceMagic = "shoalmd1"
)

// What is left out of a manifest.
const (
	noChunks = 1 << iota
	noPieces
)

// entrySize is the length of a packed chunk: its length (3 bytes, lowest first)
// and its hash.
const entrySize = 3 + len(Hash{})

// AppendBinary appends the manifest to b:
//
//	"shoalmf1", what is left out (1 byte: 1 chunks, 2 pieces),
//	file size (varint), root (32 bytes),
//	number of chunks (varint), if there is more than one
//	for each its length (3 bytes, lowest first) and hash (32 bytes),
//	the values of the pieces (32 bytes each), if there is more than one
//
// A chunk or piece that is alone is the whole file, and has its hash. The error is
// always nil.
func (m *Manifest) AppendBinary(b []byte) ([]byte, error) {
	return m.append(b), nil
}

func (m *Manifest) append(b []byte) []byte {
	b = slices.Grow(b, 64+len(m.ends)*entrySize+len(m.pieces)*len(Hash{}))
	b = append(b, manifestMagic...)
	b = m.appendHead(b)
	if m.leftOut()&noChunks == 0 {
		b = binary.AppendUvarint(b, uint64(len(m.ends)))
		if len(m.ends) > 1 {
			b = m.appendEntries(b, 0, len(m.ends))
		}
	}
	return m.appendPieces(b)
}

// appendHead appends what is left out, the size and the root.
func (m *Manifest) appendHead(b []byte) []byte {
	b = append(b, m.leftOut())
	b = binary.AppendUvarint(b, uint64(m.size))
	return append(b, m.root[:]...)
}

func (m *Manifest) leftOut() (flags byte) {
	if len(m.ends) == 0 && m.size > 0 {
		flags |= noChunks
	}
	if len(m.pieces) == 0 && m.size > PieceSize {
		flags |= noPieces
	}
	return flags
}

func (m *Manifest) appendEntries(b []byte, first, end int) []byte {
	for i := first; i < end; i++ {
		n := m.ends[i] - m.offset(i)
		b = append(b, byte(n), byte(n>>8), byte(n>>16))
		b = append(b, m.hashes[i][:]...)
	}
	return b
}

func (m *Manifest) appendPieces(b []byte) []byte {
	if len(m.pieces) > 1 {
		for i := range m.pieces {
			b = append(b, m.pieces[i][:]...)
		}
	}
	return b
}

// Parse reads what AppendBinary wrote, and nothing else. The lengths of the chunks
// are right in a manifest that it returns, and the pieces make up the root. That
// the hashes belong to the root is the word of whoever made the manifest. Parse
// allocates at most twice as many bytes as b has.
func Parse(b []byte) (*Manifest, error) {
	m, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("chunk: parse a manifest: %w", err)
	}
	return m, nil
}

func parse(b []byte) (*Manifest, error) {
	d := decoder{rest: b}
	if err := d.magic(manifestMagic); err != nil {
		return nil, err
	}
	m, flags, err := d.head()
	if err != nil {
		return nil, err
	}
	if flags&noChunks == 0 {
		if err := d.chunks(m); err != nil {
			return nil, err
		}
	}
	if err := d.pieces(m, flags); err != nil {
		return nil, err
	}
	return m, d.end()
}

// A decoder takes what was encoded from the front of rest.
type decoder struct{ rest []byte }

var errShort = fmt.Errorf("cut short: %w", ErrMalformed)

func (d *decoder) magic(magic string) error {
	got, err := d.bytes(len(magic))
	if err != nil {
		return err
	}
	if string(got) != magic {
		return fmt.Errorf("it begins with %q, not %q: %w", got, magic, ErrMalformed)
	}
	return nil
}

func (d *decoder) end() error {
	if len(d.rest) > 0 {
		return fmt.Errorf("%d bytes follow after the end: %w", len(d.rest), ErrMalformed)
	}
	return nil
}

// bytes returns the next n bytes; they are not copied.
func (d *decoder) bytes(n int) ([]byte, error) {
	if n > len(d.rest) {
		return nil, errShort
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

// number reads a varint in its shortest form, up to most.
func (d *decoder) number(most uint64) (uint64, error) {
	x, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		return 0, errShort
	case n < 0:
		return 0, fmt.Errorf("a number of more than 64 bits: %w", ErrMalformed)
	case n > 1 && d.rest[n-1] == 0:
		return 0, fmt.Errorf("a number not in its shortest form: %w", ErrMalformed)
	case x > most:
		return 0, fmt.Errorf("%d, at most %d: %w", x, most, ErrTooLarge)
	}
	d.rest = d.rest[n:]
	return x, nil
}

func (d *decoder) hash() (h Hash, err error) {
	b, err := d.bytes(len(h))
	copy(h[:], b)
	return h, err
}

// head reads what appendHead wrote.
func (d *decoder) head() (*Manifest, byte, error) {
	f, err := d.bytes(1)
	if err != nil {
		return nil, 0, err
	}
	flags := f[0]
	size, err := d.number(MaxSize)
	if err != nil {
		return nil, 0, fmt.Errorf("file size: %w", err)
	}
	switch {
	case flags&^(noChunks|noPieces) != 0,
		// So many chunks have at least so many bytes.
		flags&noChunks != 0 && size <= MaxChunks*Least,
		flags&noPieces != 0 && size <= PieceSize:
		return nil, 0, fmt.Errorf("a file of %d bytes without %#x: %w", size, flags, ErrMalformed)
	}
	root, err := d.hash()
	return &Manifest{size: int64(size), root: root}, flags, err
}

// chunks reads the chunks of m.
func (d *decoder) chunks(m *Manifest) error {
	n, err := d.number(MaxChunks)
	if err != nil {
		return fmt.Errorf("number of chunks: %w", err)
	}
	switch {
	case n == 0:
	case n == 1:
		if err := m.add(m.size, m.root); err != nil {
			return err
		}
	default:
		b, err := d.bytes(int(n) * entrySize)
		if err != nil {
			return fmt.Errorf("%d chunks: %w", n, err)
		}
		m.ends, m.hashes = make([]int64, 0, n), make([]Hash, 0, n)
		if err := m.addEntries(b); err != nil {
			return err
		}
	}
	return m.checkEnd()
}

// addEntries adds packed chunks.
func (m *Manifest) addEntries(b []byte) error {
	for ; len(b) > 0; b = b[entrySize:] {
		n := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		if err := m.add(n, Hash(b[3:entrySize])); err != nil {
			return err
		}
	}
	return nil
}

// add adds a chunk of n bytes. Nothing may follow a short one.
func (m *Manifest) add(n int64, h Hash) error {
	at := m.offset(len(m.ends))
	if n < 1 || n > Longest || n > m.size-at || n < Least && n != m.size-at {
		return fmt.Errorf("a chunk of %d bytes at %d of %d: %w", n, at, m.size, ErrMalformed)
	}
	if len(m.ends) == MaxChunks {
		return fmt.Errorf("more than %d chunks: %w", MaxChunks, ErrTooLarge)
	}
	m.ends, m.hashes = append(m.ends, at+n), append(m.hashes, h)
	return nil
}

// checkEnd tells whether the chunks make up the file.
func (m *Manifest) checkEnd() error {
	if at := m.offset(len(m.ends)); at != m.size {
		return fmt.Errorf("chunks of %d bytes make up a file of %d: %w", at, m.size, ErrMalformed)
	}
	if len(m.hashes) == 1 && m.hashes[0] != m.root {
		return fmt.Errorf("the only chunk has another hash than the file: %w", ErrMalformed)
	}
	return nil
}

// pieces reads the pieces of m, which must make up the root.
func (d *decoder) pieces(m *Manifest, flags byte) error {
	n := pieceCount(m.size)
	switch {
	case n == 1:
		m.pieces = []Hash{m.root}
		return nil
	case flags&noPieces != 0:
		return nil
	}
	b, err := d.bytes(n * len(Hash{}))
	if err != nil {
		return fmt.Errorf("%d pieces: %w", n, err)
	}
	m.pieces = make([]Hash, n)
	for i := range m.pieces {
		m.pieces[i] = Hash(b[i*len(Hash{}):][:len(Hash{})])
	}
	if join(m.pieces, true) != m.root {
		return fmt.Errorf("the pieces do not make up the root: %w", ErrMismatch)
	}
	return nil
}
