package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What parent and child say to each other: a byte that says what it is, the
// length, and that many bytes.
const (
	sayHello = 'h' // child: what holds it, for people
	sayFile  = 'f' // parent: size, limit of the text, milliseconds of the processor, name
	sayRead  = 'r' // child: offset and length of what it wants to see
	sayData  = 'd' // parent: the bytes there
	sayEnd   = 'e' // parent: they cannot be read
	sayText  = 't' // child: reason, detail, type, title and text
)

const (
	maxName  = 64 << 10  // bytes of a file's name
	maxRead  = 128 << 10 // bytes that the child gets at once
	maxHello = 1 << 10
)

var errProtocol = errors.New("not what was expected")

// write writes a frame; the parts are its content.
func write(w io.Writer, what byte, parts ...[]byte) error {
	n := 5
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 5, n)
	b[0] = what
	binary.BigEndian.PutUint32(b[1:], uint32(n-5))
	for _, p := range parts {
		b = append(b, p...)
	}
	_, err := w.Write(b)
	return err
}

// read reads a frame whose content has at most n bytes, into buf if it fits.
func read(r io.Reader, n int, buf []byte) (what byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if uint64(size) > uint64(n) {
		return 0, nil, fmt.Errorf("%w: %d bytes", errProtocol, size)
	}
	if uint64(size) > uint64(cap(buf)) {
		buf = make([]byte, size)
	}
	content = buf[:size]
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, nil, err
	}
	return head[0], content, nil
}

func uint64Bytes(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// appendText encodes a Text.
func appendText(t Text) []byte {
	b := make([]byte, 0, len(t.Text)+len(t.Title)+512)
	for _, s := range []string{string(t.Reason), t.Detail, t.Type, t.Title, t.Text} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// parseText decodes a Text of at most limit bytes from a child, which may have
// been taken over by what it read.
func parseText(b []byte, limit int) (Text, error) {
	var field [5]string
	for i := range field {
		if len(b) < 4 {
			return Text{}, errProtocol
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return Text{}, errProtocol
		}
		field[i], b = string(b[:n]), b[n:]
	}
	t := Text{Reason: Reason(field[0]), Detail: oneLine(field[1], maxDetail), Type: field[2], Title: field[3], Text: field[4]}
	if len(b) > 0 || !reasons[t.Reason] || !types[t.Type] || len(t.Text) > limit || len(t.Title) > maxName {
		return Text{}, errProtocol
	}
	return t, nil
}
