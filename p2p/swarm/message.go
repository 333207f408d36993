package swarm

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Protocol is the name of the streams that carry pieces. Who wants them opens the
// stream and writes a hello; the other answers with a welcome. Then both send
// messages for as long as both like: a byte that says which, and varints.
const Protocol = "swarm/1"

// hello asks for a seed.
type hello struct {
	ID   seed.ID `cbor:"1,keyasint"`
	Size int64   `cbor:"2,keyasint"` // as the seed says, for a root belongs to one size
}

// welcome answers a hello.
type welcome struct {
	Code string `cbor:"1,keyasint,omitempty"` // empty: granted
}

// Codes of a welcome.
const (
	codeNotHere   = "not_here" // nothing of the seed, or not any more
	codeSoon      = "soon"     // a download of it has just begun
	codeSize      = "size"     // it is another seed that has this root
	codeBusy      = "busy"     // too many are served
	codeMalformed = "malformed"
)

// Messages of who wants pieces.
const (
	msgWant     = 1 // piece
	msgCancel   = 2 // piece
	msgValues   = 3 // the values of all pieces
	msgManifest = 4 // the manifest of the file
)

// Messages of who has them.
const (
	msgHave  = 16 // first, count: pieces that are there
	msgPiece = 17 // piece, and its bytes
	msgNot   = 18 // piece: it will not come
	msgBytes = 19 // length, and that many bytes: the answer to msgValues or msgManifest; 0: there is none
)

// maxWants is how many pieces who wants them waits for at once on a stream, at most; more may be refused.
const maxWants = 256

// maxManifest is how many bytes of a manifest are taken: about those of a file of 256 GiB.
const maxManifest = 128 << 20

// appendMessage appends a message and its numbers.
func appendMessage(b []byte, kind byte, numbers ...int) []byte {
	b = append(b, kind)
	for _, n := range numbers {
		b = wire.AppendVarint(b, uint64(n))
	}
	return b
}

// appendHave appends messages for the runs of pieces that are there.
func appendHave(b []byte, have *picker.Bitmap) []byte {
	for first, count := range have.Runs() {
		b = appendMessage(b, msgHave, first, count)
	}
	return b
}

// appendNew appends messages for pieces that have come, in any order and each once.
func appendNew(b []byte, pieces []int32) []byte {
	sorted := slices.Sorted(slices.Values(pieces))
	for i := 0; i < len(sorted); {
		n := 1
		for i+n < len(sorted) && int(sorted[i+n]) == int(sorted[i])+n {
			n++
		}
		b = appendMessage(b, msgHave, int(sorted[i]), n)
		i += n
	}
	return b
}

// readNumber reads a varint of a message that must be below a bound.
func readNumber(r *bufio.Reader, below int64) (int, error) {
	var n uint64
	for shift := 0; ; shift += 7 {
		c, err := r.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		if shift > 56 {
			return 0, fmt.Errorf("swarm: a number of more than 63 bits: %w", wire.ErrMalformed)
		}
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	if n >= uint64(below) {
		return 0, fmt.Errorf("swarm: %d where less than %d is possible: %w", n, below, wire.ErrMalformed)
	}
	return int(n), nil
}

// unexpected is an error of a read in the middle of something.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readBlob reads what msgBytes announces, at most as many bytes as that. What is allocated grows
// with what arrives. Nil: there is none.
func readBlob(r *bufio.Reader, most int64) ([]byte, error) {
	n, err := readNumber(r, most+1)
	if err != nil || n == 0 {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("swarm: %d of %d bytes: %w", len(b), n, err)
	}
	return b, nil
}

// violation is why a stream is broken off whose other side does not keep to the protocol.
func violation(format string, args ...any) error {
	return fmt.Errorf("swarm: %w: %s", p2p.ErrRefused, fmt.Sprintf(format, args...))
}
