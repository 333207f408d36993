package search

import (
	"encoding/binary"
	"math"
)

// list holds the postings of one word: for each document, in the order of the
// slots, where it is and the places of the word in its text.
//
// Memory is what an index costs, so the usual is one byte: a posting begins with the
// distance from the slot before in six bits and how often the word is in the text,
// if it is nowhere else, in two. Where a distance does not fit, the bits are all set
// and the rest follows as a varint; where the word is elsewhere, too, or more than three
// times in the text, they are 0 and the code follows as a varint. Behind it come the
// places as appendPlace writes them, and before more than three of them how many bytes
// they have.
type list struct {
	next uint32 // slot after the last
	data []byte
}

// Limits of what a posting's first byte holds.
const (
	farSlot = 1<<6 - 1
	oftenIn = 1<<2 - 1
)

func (l *list) add(slot, code uint32, places []byte) {
	var b [1 + 3*binary.MaxVarintLen32]byte
	n, skip := 1, slot-l.next
	b[0] = byte(min(skip, farSlot)) << 2
	if skip >= farSlot {
		n += binary.PutUvarint(b[n:], uint64(skip-farSlot))
	}
	if code%inText == 0 && code/inText <= oftenIn {
		b[0] |= byte(code / inText)
	} else {
		n += binary.PutUvarint(b[n:], uint64(code))
	}
	if code/inText > oftenIn {
		n += binary.PutUvarint(b[n:], uint64(len(places)))
	}
	l.grow(n + len(places))
	l.data = append(append(l.data, b[:n]...), places...)
	l.next = slot + 1
}

// grow makes room for so many bytes more.
func (l *list) grow(more int) {
	if cap(l.data)-len(l.data) < more {
		// Most words are rare: grow by little, not by half the list.
		grown := make([]byte, len(l.data), len(l.data)+len(l.data)/16+more)
		copy(grown, l.data)
		l.data = grown
	}
}

// trim gives back the room that nothing is in.
func (l *list) trim() {
	if cap(l.data) > len(l.data) {
		l.data = append(make([]byte, 0, len(l.data)), l.data...)
	}
}

// cursor walks a list.
type cursor struct {
	rest       []byte
	next       uint32
	slot, code uint32
	places     []byte
}

func (l *list) walk() cursor { return cursor{rest: l.data} }

// advance moves to the next posting and reports whether there is one.
func (c *cursor) advance() bool {
	if len(c.rest) == 0 {
		return false
	}
	first := c.rest[0]
	c.rest = c.rest[1:]
	skip := uint32(first >> 2)
	if skip == farSlot {
		skip += c.varint()
	}
	c.slot = c.next + skip
	c.next = c.slot + 1
	if c.code = uint32(first&oftenIn) * inText; c.code == 0 {
		c.code = c.varint()
	}
	often, n := c.code/inText, 0
	if often > oftenIn {
		n = int(c.varint())
	} else {
		for ; often > 0; often-- {
			n += placeSize(c.rest[n:])
		}
	}
	c.places, c.rest = c.rest[:n], c.rest[n:]
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

// A place in a text is written as its distance from the place before: in one byte below
// nearPlace, in two below farPlace, else as a byte of all ones and a varint.
const (
	nearPlace = 192
	farPlace  = nearPlace + (255-nearPlace)<<8
)

func appendPlace(b []byte, skip uint32) []byte {
	switch {
	case skip < nearPlace:
		return append(b, byte(skip))
	case skip < farPlace:
		skip -= nearPlace
		return append(b, byte(nearPlace+skip>>8), byte(skip))
	}
	return binary.AppendUvarint(append(b, 255), uint64(skip-farPlace))
}

// placeSize returns the number of bytes of the place that b begins with; 0 if it is not
// whole, or none.
func placeSize(b []byte) int {
	switch {
	case len(b) > 0 && b[0] < nearPlace:
		return 1
	case len(b) > 1 && b[0] < 255:
		return 2
	case len(b) > 1:
		if v, n := binary.Uvarint(b[1:]); n > 0 && v <= math.MaxUint32-farPlace {
			return 1 + n
		}
	}
	return 0
}

// places reads where a word is in a text, one place after the other.
type places struct {
	rest []byte
	next uint32
}

// advance returns the next place.
func (p *places) advance() (place uint32, ok bool) {
	if len(p.rest) == 0 {
		return 0, false
	}
	skip, n := uint32(p.rest[0]), 1
	switch {
	case skip < nearPlace:
	case skip < 255:
		skip, n = nearPlace+(skip-nearPlace)<<8+uint32(p.rest[1]), 2
	default:
		v, size := binary.Uvarint(p.rest[1:])
		skip, n = farPlace+uint32(v), 1+size
	}
	p.rest = p.rest[n:]
	place = p.next + skip
	p.next = place + 1
	return place, true
}

// renumber returns the list without the slots that to maps to gone, the others
// under their new numbers, which must be in the same order.
func (l *list) renumber(to []uint32, gone uint32) list {
	fresh := list{data: make([]byte, 0, len(l.data))}
	for c := l.walk(); c.advance(); {
		if slot := to[c.slot]; slot != gone {
			fresh.add(slot, c.code, c.places)
		}
	}
	return fresh
}
