package delta

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The encodings begin with eight bytes that say what follows. The last is the
// version.
const (
	signatureMagic = "shoalsg2"
	deltaMagic     = "shoaldl2"
)

// WriteTo writes the signature:
//
//	"shoalsg2", block length, file size (varints), seed (8 bytes),
//	for each block weak sum (5 bytes) and strong sum (8 bytes),
//	BLAKE3 of the file (32 bytes)
//
// Numbers of fixed length have their lowest byte first.
func (s *Signature) WriteTo(w io.Writer) (int64, error) {
	head := []byte(signatureMagic)
	head = binary.AppendUvarint(head, uint64(s.block))
	head = binary.AppendUvarint(head, uint64(s.size))
	head = binary.LittleEndian.AppendUint64(head, s.seed)
	written := int64(0)
	for _, part := range [][]byte{head, s.table, s.sum[:]} {
		n, err := w.Write(part)
		written += int64(n)
		if err != nil {
			return written, fmt.Errorf("delta: write signature: %w", err)
		}
	}
	return written, nil
}

// ReadSignature reads what WriteTo wrote. It allocates at most four times as many
// bytes as arrive, and 16 KiB. Of a *bufio.Reader only the signature is consumed,
// of any other reader perhaps more.
func ReadSignature(r io.Reader) (*Signature, error) {
	b := buffered(r)
	s, err := readSignature(b)
	if err != nil {
		return nil, fmt.Errorf("delta: read signature: %w", err)
	}
	return s, nil
}

func readSignature(b *bufio.Reader) (*Signature, error) {
	if err := readMagic(b, signatureMagic); err != nil {
		return nil, err
	}
	block, err := readVarint(b)
	if err != nil {
		return nil, fmt.Errorf("block length: %w", err)
	}
	if block == 0 || block > MaxBlock {
		return nil, fmt.Errorf("blocks of %d bytes: %w", block, ErrMalformed)
	}
	size, err := readVarint(b)
	if err != nil {
		return nil, fmt.Errorf("file size: %w", err)
	}
	if size > block*MaxBlocks { // at most 2^42
		return nil, fmt.Errorf("%d bytes in blocks of %d: %w", size, block, ErrTooLarge)
	}
	var seed [8]byte
	if err := readFull(b, seed[:]); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	s := &Signature{block: int(block), size: int64(size), seed: binary.LittleEndian.Uint64(seed[:])}
	if s.table, err = readTable(b, nil, int((size+block-1)/block)*recordSize); err != nil {
		return nil, fmt.Errorf("blocks: %w", err)
	}
	if err := readFull(b, s.sum[:]); err != nil {
		return nil, fmt.Errorf("sum: %w", err)
	}
	return s, nil
}

// tableStep is the room for blocks before any has arrived.
const tableStep = 8 << 10

// readTable reads size bytes into buf, or into a longer one, and returns them. Room
// is made for at most as much again as has arrived, so that an announced size costs
// nothing.
func readTable(b *bufio.Reader, buf []byte, size int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < size {
		if len(buf) == cap(buf) {
			larger := make([]byte, len(buf), min(size, max(tableStep, 2*len(buf))))
			copy(larger, buf)
			buf = larger
		}
		part := buf[len(buf):min(size, cap(buf))]
		if err := readFull(b, part); err != nil {
			return buf, err
		}
		buf = buf[:len(buf)+len(part)]
	}
	return buf, nil
}

// buffered returns r with a small buffer, or r itself if it has one.
func buffered(r io.Reader) *bufio.Reader {
	if b, ok := r.(*bufio.Reader); ok {
		return b
	}
	return bufio.NewReaderSize(r, 4<<10)
}

// MagicSize is how many bytes IsSignature and IsDelta look at.
const MagicSize = len(signatureMagic)

// IsSignature reports whether a file that begins so is a signature, whole or not.
func IsSignature(begin []byte) bool { return bytes.HasPrefix(begin, []byte(signatureMagic)) }

// IsDelta is the same for a delta.
func IsDelta(begin []byte) bool { return bytes.HasPrefix(begin, []byte(deltaMagic)) }

func readMagic(b *bufio.Reader, magic string) error {
	var got [len(signatureMagic)]byte
	if err := readFull(b, got[:]); err != nil {
		return err
	}
	if string(got[:]) != magic {
		return fmt.Errorf("it begins with %q, not %q: %w", got[:], magic, ErrMalformed)
	}
	return nil
}

// readFull fills p. An end before that is ErrMalformed; errors of the reader stay
// what they are.
func readFull(b *bufio.Reader, p []byte) error {
	_, err := io.ReadFull(b, p)
	return cutShort(err)
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("cut short: %w", ErrMalformed)
	}
	return err
}

// readVarint reads a number in its shortest form.
func readVarint(b *bufio.Reader) (uint64, error) {
	n := uint64(0)
	for shift := 0; ; shift += 7 {
		c, err := b.ReadByte()
		if err != nil {
			return 0, cutShort(err)
		}
		if shift == 63 && c > 1 {
			return 0, fmt.Errorf("a number of more than 64 bits: %w", ErrMalformed)
		}
		if c == 0 && shift > 0 {
			return 0, fmt.Errorf("a number not in its shortest form: %w", ErrMalformed)
		}
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n, nil
		}
	}
}
