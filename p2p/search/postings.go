package search

import "encoding/binary"

// list holds the postings of one word: for each document, in the order of the
// slots, the distance from the slot before and the code, as varints. A posting
// mostly has two bytes.
type list struct {
	next uint32 // slot after the last
	data []byte
}

func (l *list) add(slot, code uint32) {
	var b [2 * binary.MaxVarintLen32]byte
	n := binary.PutUvarint(b[:], uint64(slot-l.next))
	n += binary.PutUvarint(b[n:], uint64(code))
	if cap(l.data)-len(l.data) < n {
		// Most words are rare: grow by a quarter, not by half the list.
		grown := make([]byte, len(l.data), len(l.data)+len(l.data)/4+n)
		copy(grown, l.data)
		l.data = grown
	}
	l.data = append(l.data, b[:n]...)
	l.next = slot + 1
}

// cursor walks a list.
type cursor struct {
	rest       []byte
	next       uint32
	slot, code uint32
}

func (l *list) walk() cursor { return cursor{rest: l.data} }

// advance moves to the next posting and reports whether there is one.
func (c *cursor) advance() bool {
	if len(c.rest) == 0 {
		return false
	}
	skip := c.varint()
	c.slot = c.next + skip
	c.next = c.slot + 1
	c.code = c.varint()
	return true
}

func (c *cursor) varint() uint32 {
	if b := c.rest[0]; b < 0x80 {
		c.rest = c.rest[1:]
		return uint32(b)
	}
	v, n := binary.Uvarint(c.rest)
	c.rest = c.rest[n:]
	return uint32(v)
}

// renumber returns the list without the slots that to maps to gone, the others
// under their new numbers, which must be in the same order.
func (l *list) renumber(to []uint32, gone uint32) list {
	fresh := list{data: make([]byte, 0, len(l.data))}
	for c := l.walk(); c.advance(); {
		if slot := to[c.slot]; slot != gone {
			fresh.add(slot, c.code)
		}
	}
	return fresh
}
