package search

import (
	"encoding/binary"
	"errors"
)

// Where a word occurs in a document, the most telling place first. A posting's
// code is these bits and above them how often the word occurs in the text.
const (
	inName  = 1 << 0 // the file's name, or the title of what is no file
	inTitle = 1 << 1
	inPath  = 1 << 2 // the directories
	inText  = 1 << 3 // counts from here
)

// termsVersion is the first byte of the packed words. It changes when tokens or
// the format do, and then documents are read again from their texts.
const termsVersion = 3

// What the second byte of the packed words says.
const (
	// termsOwn: the words are listed with the document, and are numbered in the order of that
	// list. Otherwise numbers are those under which the store keeps words (numbering).
	termsOwn = 1 << iota
	// termsPressed: all that follows is compressed.
	termsPressed
)

// errTerms: packed words that cannot be read.
var errTerms = errors.New("packed words damaged or of another version")

// lengths are what is packed beside the words of a document.
type lengths struct {
	text  uint64 // bytes of the text
	words uint64 // of the text
	name  uint64 // words of the name
	title uint64 // words of the title
}

// The numbers of the words of a text follow each other as the words do, and so where a word is
// need not be said: that takes a third of the room of lists of places. A number takes one byte
// if it is one of the first, as those of the most frequent words are since they were seen first,
// and two below farNumber. The other first bytes say what is no number:
// wholeOf+n that the next word is the n words before it written as one, and gap that the next
// place is skipped.
const (
	nearNumber = 184
	nextNumber = 240
	fullNumber = 247 // a varint follows
	wholeOf    = 246 // at least 248, since a whole has two parts or more
	gap        = 255

	midNumber = nearNumber + (nextNumber-nearNumber)<<8
	farNumber = midNumber + (fullNumber-nextNumber)<<16
)

func appendNumber(b []byte, n uint32) []byte {
	switch {
	case n < nearNumber:
		return append(b, byte(n))
	case n < midNumber:
		n -= nearNumber
		return append(b, byte(nearNumber+n>>8), byte(n))
	case n < farNumber:
		n -= midNumber
		return append(b, byte(nextNumber+n>>16), byte(n>>8), byte(n))
	}
	return binary.AppendUvarint(append(b, fullNumber), uint64(n-farNumber))
}

// appendTerms appends the words of the document that t has read last, which it has in its sheaf
// the store's numbers of, or with own the words themselves.
//
// The format: version, flags, the lengths; if it has its own words, how many, and each with
// its length; the words of the name, the title and the directories, each as how many and their
// numbers; those of the text, as how many and then as said above. What is no number of a word is
// an unsigned varint.
func (t *tally) appendTerms(b []byte, l lengths, own bool) []byte {
	flags := byte(0)
	if own {
		flags = termsOwn
	}
	b = append(b, termsVersion, flags)
	for _, n := range []uint64{l.text, l.words, l.name, l.title} {
		b = binary.AppendUvarint(b, n)
	}
	stored := func(number uint32) uint32 { return t.sheaf.entries[number].stored - 1 }
	if own {
		b = binary.AppendUvarint(b, uint64(len(t.seen)))
		place := make(map[uint32]uint32, len(t.seen))
		for i, number := range t.seen {
			b = binary.AppendUvarint(b, uint64(len(t.words[number])))
			b = append(b, t.words[number]...)
			place[uint32(number)] = uint32(i)
		}
		stored = func(number uint32) uint32 { return place[number] }
	}
	for _, list := range t.beside {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, number := range list {
			b = appendNumber(b, stored(number))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(t.stream)))
	next := uint32(0)
	for i, number := range t.stream {
		at := t.at[i]
		for ; next < at; next++ {
			b = append(b, gap)
		}
		if at < next {
			b = append(b, byte(wholeOf+next-at))
		} else {
			next++
		}
		b = appendNumber(b, stored(number))
	}
	return b
}

// maxTermBytes bounds a word: a code point has at most 4 bytes.
const maxTermBytes = 4 * MaxToken

// packedTerms reads packed words.
type packedTerms struct {
	lengths
	own  bool
	list []byte // with own: the words
	rest []byte // their numbers
}

// openTerms reads how packed words begin. What is returned is valid as long as packed is.
func openTerms(packed []byte, c *codec) (packedTerms, error) {
	if len(packed) < 2 || packed[0] != termsVersion || packed[1]&^(termsOwn|termsPressed) != 0 {
		return packedTerms{}, errTerms
	}
	t := packedTerms{own: packed[1]&termsOwn != 0}
	r := reader{rest: packed[2:]}
	if packed[1]&termsPressed != 0 {
		all, err := c.expand(r.rest)
		if err != nil {
			return packedTerms{}, errors.Join(errTerms, err)
		}
		r.rest = []byte(all)
	}
	t.lengths = lengths{text: r.uvarint(), words: r.uvarint(), name: r.uvarint(), title: r.uvarint()}
	if t.own {
		t.list = r.rest
		for range r.uvarint() {
			if r.word(); r.bad {
				return packedTerms{}, errTerms
			}
		}
		t.list = t.list[:len(t.list)-len(r.rest)]
	}
	if t.rest = r.rest; r.bad {
		return packedTerms{}, errTerms
	}
	return t, nil
}

// words calls each with the words of a document that has its own, each once, in the order of
// their numbers; a word is valid until each returns.
func (t *packedTerms) words(each func(word []byte)) {
	if !t.own {
		return
	}
	r := reader{rest: t.list}
	for range r.uvarint() {
		each(r.word())
	}
}

// each calls f with every word, as often as it occurs: its number, one of the places that
// codes are made of, and for inText the position. With an error, f may have been called for some.
func (t *packedTerms) each(f func(number, place, position uint32)) error {
	r := reader{rest: t.rest}
	for _, place := range [...]uint32{inName, inTitle, inPath} {
		for range r.uvarint() {
			number := r.number()
			if r.bad {
				return errTerms
			}
			f(number, place, 0)
		}
	}
	words, next := r.uvarint(), uint32(0)
	for len(r.rest) > 0 && !r.bad {
		switch first := r.rest[0]; {
		case first == gap:
			r.rest = r.rest[1:]
			next++
		case first > fullNumber:
			r.rest = r.rest[1:]
			back := uint32(first) - wholeOf
			number := r.number()
			if back > next || r.bad {
				return errTerms
			}
			f(number, inText, next-back)
			words--
		default:
			if number := r.number(); !r.bad {
				f(number, inText, next)
			}
			next++
			words--
		}
	}
	if r.bad || words != 0 {
		return errTerms
	}
	return nil
}

// reader reads numbers; after the first failure everything is 0 and bad.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.rest = true, nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// word reads a word with its length.
func (r *reader) word() []byte {
	n := r.uvarint()
	if n == 0 || n > maxTermBytes || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	word := r.rest[:n]
	r.rest = r.rest[n:]
	return word
}

// number reads what appendNumber has written.
func (r *reader) number() uint32 {
	b := r.rest
	switch {
	case len(b) > 0 && b[0] < nearNumber:
		r.rest = b[1:]
		return uint32(b[0])
	case len(b) > 1 && b[0] < nextNumber:
		r.rest = b[2:]
		return nearNumber + uint32(b[0]-nearNumber)<<8 + uint32(b[1])
	case len(b) > 2 && b[0] < fullNumber:
		r.rest = b[3:]
		return midNumber + uint32(b[0]-nextNumber)<<16 + uint32(b[1])<<8 + uint32(b[2])
	case len(b) > 1 && b[0] == fullNumber:
		r.rest = b[1:]
		if v := r.uvarint(); v < maxStored {
			return farNumber + uint32(v)
		}
	}
	r.fail()
	return 0
}
