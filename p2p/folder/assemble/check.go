package assemble

import (
	"io"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

// Checker takes the bytes of some extents of the new version, one after the other, and
// writes each chunk that is wholly among them if it is what the manifest says. What is only
// a part of a chunk is passed over.
type Checker struct {
	// OK is called for each chunk that was written, with its bytes, which are its own only until
	// it returns. Bad is called for each that is another one. Nil: nobody is.
	OK  func(i int, b []byte)
	Bad func(i int)

	m     *chunk.Manifest
	w     io.WriterAt
	parts []Extent
	at    int64 // in the new version
	left  int64 // of parts[0]
	next  int   // the chunk that at is in
	buf   []byte
}

// NewChecker returns a Checker for the parts of a new version, which it writes to w.
func NewChecker(m *chunk.Manifest, w io.WriterAt, parts []Extent) *Checker {
	c := &Checker{m: m, w: w, parts: parts}
	c.enter()
	return c
}

// enter goes to the next part that is not empty.
func (c *Checker) enter() {
	for len(c.parts) > 0 && c.left == 0 {
		c.at, c.left = c.parts[0].Offset, c.parts[0].Length
		c.parts = c.parts[1:]
		c.buf = c.buf[:0]
		if c.left > 0 {
			c.next = c.m.Find(c.at)
		}
	}
}

// Write implements io.Writer. Errors are those of the writer, and io.ErrShortWrite after the
// end of the parts.
func (c *Checker) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if c.left == 0 {
			return n, io.ErrShortWrite
		}
		k, err := c.take(p[:min(int64(len(p)), c.left)])
		n, p = n+k, p[k:]
		if err != nil {
			return n, err
		}
		c.enter()
	}
	return n, nil
}

// take takes bytes up to the end of the chunk that they are in.
func (c *Checker) take(p []byte) (int, error) {
	ch := c.m.Chunk(c.next)
	end := ch.Offset + int64(ch.Length)
	p = p[:min(int64(len(p)), end-c.at)]
	begun := int64(len(c.buf)) == c.at-ch.Offset // from its begin on
	whole := begun && len(c.buf) == 0 && len(p) == ch.Length
	if begun && !whole {
		c.buf = append(c.buf, p...)
	}
	c.at += int64(len(p))
	c.left -= int64(len(p))
	if c.at < end {
		return len(p), nil
	}
	b := c.buf
	if whole {
		b = p
	}
	i := c.next
	c.next++
	defer func() { c.buf = c.buf[:0] }()
	if !begun {
		return len(p), nil
	}
	if chunk.Hash(blake3.Sum256(b)) != ch.Hash {
		if c.Bad != nil {
			c.Bad(i)
		}
		return len(p), nil
	}
	if _, err := c.w.WriteAt(b, ch.Offset); err != nil {
		return len(p), err
	}
	if c.OK != nil {
		c.OK(i, b)
	}
	return len(p), nil
}
