package search

import "encoding/binary"

// list holds the postings of one word: for each document, in the order of the
// slots, the distance from the slot before, the code and, if the word is in the
// text, its places there as tally packs them; before several places, how many bytes
// they have. All are varints, so a posting mostly has three or four bytes.
type list struct {
	next uint32 // slot after the last
	data []byte
}

func (l *list) add(slot, code uint32, places []byte) {
	var b [3 * binary.MaxVarintLen32]byte
	n := binary.PutUvarint(b[:], uint64(slot-l.next))
	n += binary.PutUvarint(b[n:], uint64(code))
	if code/inText > 1 {
		n += binary.PutUvarint(b[n:], uint64(len(places)))
	}
	if more := n + len(places); cap(l.data)-len(l.data) < more {
		// Most words are rare: grow by an eighth, not by half the list.
		grown := make([]byte, len(l.data), len(l.data)+len(l.data)/8+more)
		copy(grown, l.data)
		l.data = grown
	}
	l.data = append(append(l.data, b[:n]...), places...)
	l.next = slot + 1
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
	skip := c.varint()
	c.slot = c.next + skip
	c.next = c.slot + 1
	c.code = c.varint()
	n := 0
	switch c.code / inText {
	case 0:
	case 1:
		for c.rest[n] >= 0x80 {
			n++
		}
		n++
	default:
		n = int(c.varint())
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
	skip, n := binary.Uvarint(p.rest)
	p.rest = p.rest[n:]
	place = p.next + uint32(skip)
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
