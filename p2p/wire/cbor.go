package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of what Unmarshal accepts.
const (
	// MaxMessage is how many bytes one encoded value has: 64 KiB that somebody wants to have
	// carried, and what travels around them, such as signatures, votes and the envelope of a
	// forwarded call.
	MaxMessage  = 80 << 10
	MaxDepth    = 16    // nested arrays, maps and tags
	MaxElements = 65536 // of one array
	MaxPairs    = 4096  // of one map
)

// ErrMalformed: bytes that are no encoding of what they were read as.
var ErrMalformed = errors.New("malformed")

// The modes are immutable and safe for use by several goroutines. Their options
// are constants, so that an error here is a mistake in this file.
var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxPairs,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorNone, // unknown keys come from newer versions
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("wire: cbor options: " + err.Error())
	}
	return v
}

// Marshal encodes v as CBOR (RFC 8949, core deterministic encoding of section
// 4.2.1): equal values give equal bytes, so that what is signed can be encoded
// again. Structs use integer keys: `cbor:"1,keyasint"`. An encoding longer than
// MaxMessage gives p2p.ErrTooLarge.
func Marshal(v any) ([]byte, error) {
	b, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wire: encode %T: %w", v, err)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("wire: encode %T: %d bytes, at most %d: %w", v, len(b), MaxMessage, p2p.ErrTooLarge)
	}
	return b, nil
}

// Unmarshal decodes exactly one CBOR value of at most MaxMessage bytes into v.
// Duplicate keys, items of indefinite length, bytes after the value, and more
// depth, elements or pairs than the limits are refused; keys that v does not
// know are skipped. A byte string decoded into a Go array is cut or padded with
// zeros, so a decoder of such fields that guards a signature must compare the
// bytes with the encoding of what it got.
//
// Errors: p2p.ErrTooLarge, ErrMalformed.
func Unmarshal(data []byte, v any) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("wire: decode %T: %d bytes, at most %d: %w", v, len(data), MaxMessage, p2p.ErrTooLarge)
	}
	if err := decoder.Unmarshal(data, v); err != nil {
		// The cause may be io.EOF, which must not look like the end of a stream.
		return fmt.Errorf("wire: decode %T: %w: %v", v, ErrMalformed, err)
	}
	return nil
}

// WriteMsg writes v for ReadMsg: its length as a varint, then its encoding, in
// one Write.
func WriteMsg(w io.Writer, v any) error {
	b, err := Marshal(v)
	if err != nil {
		return err
	}
	msg := append(AppendVarint(make([]byte, 0, MaxVarintLen+len(b)), uint64(len(b))), b...)
	if _, err := w.Write(msg); err != nil {
		return fmt.Errorf("wire: write %T: %w", v, err)
	}
	return nil
}

// ReadMsg reads one value that WriteMsg wrote, and not a byte more: r can be read
// on. At the end of the input, before the first byte, the error is io.EOF itself;
// within a message it is io.ErrUnexpectedEOF, wrapped. Memory grows with what has
// arrived, not with what the length announces.
func ReadMsg(r io.Reader, v any) error {
	n, err := readLength(r)
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("wire: read %T: length: %w", v, err)
	}
	var b bytes.Buffer
	got, err := b.ReadFrom(io.LimitReader(r, int64(n)))
	if err == nil && got < int64(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("wire: read %T: %d of %d bytes: %w", v, got, n, err)
	}
	return Unmarshal(b.Bytes(), v)
}

// readLength reads byte by byte so that nothing behind the length is consumed.
// A bufio.Reader, which is an io.ByteReader, makes that cheap.
func readLength(r io.Reader) (uint64, error) {
	br, ok := r.(io.ByteReader)
	if !ok {
		br = byteReader{r}
	}
	var enc [MaxVarintLen]byte
	for i := range enc {
		c, err := br.ReadByte()
		if err == io.EOF && i > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		enc[i] = c
		if c >= 0x80 {
			continue
		}
		n, _, err := ReadVarint(enc[:i+1])
		if err == nil && n > MaxMessage {
			err = fmt.Errorf("%d bytes, at most %d: %w", n, MaxMessage, p2p.ErrTooLarge)
		}
		return n, err
	}
	return 0, fmt.Errorf("varint of more than %d bytes: %w", MaxVarintLen, ErrMalformed)
}

// byteReader reads single bytes from a reader that cannot.
type byteReader struct{ r io.Reader }

func (b byteReader) ReadByte() (byte, error) {
	var c [1]byte
	_, err := io.ReadFull(b.r, c[:])
	return c[0], err
}
