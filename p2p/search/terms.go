package search

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
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
const termsVersion = 2

// errTerms: packed words that cannot be read.
var errTerms = errors.New("packed words damaged or of another version")

// lengths are what is packed beside the words of a document.
type lengths struct {
	text  uint64 // bytes of the text
	words uint64 // of the text
	name  uint64 // words of the name
	title uint64 // words of the title
}

// tally counts the words of one document after the other. Words it has seen
// before cost no allocation.
type tally struct {
	scanner scanner
	numbers map[string]int
	words   []string // by number
	heads   []uint64 // by number: the first bytes, for sorting
	codes   []uint32 // by number; 0: not in this document
	seen    []int    // numbers of this document
	out     []byte
	sheaf   sheaf // what has been packed, by the same numbers

	// The words of the text in its order: their numbers and positions. Positions
	// of one number only grow.
	stream   []uint32
	at       []uint32
	position int      // of what comes next
	sorted   []uint32 // at, by number in the order of seen
	ends     []uint32 // by number: behind its part of sorted
}

// fieldGap keeps phrases from reaching from the text into a field, or from one
// field into the next.
const fieldGap = 1

// pack returns the words of d, for unpack, and puts them into the sheaf, where the
// caller ends the document. The result is valid until the next call.
//
// The format: version, the lengths, the number of words, and each word in the
// order of the alphabet as the number of bytes it shares with the word before,
// the rest with its length, its code, and its places in the text as appendPlace writes
// them. All other numbers are unsigned varints.
func (t *tally) pack(d *Document) ([]byte, lengths) {
	if t.numbers == nil {
		t.numbers = make(map[string]int)
	}
	name, title, directory := d.places()
	l := lengths{text: uint64(len(d.Text))}
	l.name = t.count(name, inName)
	l.title = t.count(title, inTitle)
	t.count(directory, inPath)
	l.words = t.count(d.Text, inText)
	for _, key := range slices.Sorted(maps.Keys(d.Fields)) {
		if v := d.Fields[key]; !v.IsNumber {
			t.count(key, inText)
			l.words += t.count(v.Text, inText)
		}
	}
	slices.SortFunc(t.seen, func(a, b int) int {
		if t.heads[a] != t.heads[b] {
			return cmp.Compare(t.heads[a], t.heads[b])
		}
		return strings.Compare(t.words[a], t.words[b])
	})
	t.sort()
	t.out = append(t.out[:0], termsVersion)
	for _, n := range []uint64{l.text, l.words, l.name, l.title, uint64(len(t.seen))} {
		t.out = binary.AppendUvarint(t.out, n)
	}
	before := ""
	for _, number := range t.seen {
		w := t.words[number]
		n := shared(before, w)
		t.out = binary.AppendUvarint(t.out, uint64(n))
		t.out = binary.AppendUvarint(t.out, uint64(len(w)-n))
		t.out = append(t.out, w[n:]...)
		code, end := t.codes[number], t.ends[number]
		t.out = binary.AppendUvarint(t.out, uint64(code))
		from, next := len(t.out), uint32(0)
		for _, at := range t.sorted[end-code/inText : end] {
			t.out = appendPlace(t.out, at-next)
			next = at + 1
		}
		t.sheaf.put(number, code, t.out[from:])
		before, t.codes[number] = w, 0
	}
	t.sheaf.words = t.words
	t.seen, t.stream, t.at, t.position = t.seen[:0], t.stream[:0], t.at[:0], 0
	return t.out, l
}

// sort sets sorted and ends.
func (t *tally) sort() {
	t.ends = slices.Grow(t.ends[:0], len(t.words))[:len(t.words)]
	from := uint32(0)
	for _, number := range t.seen {
		t.ends[number] = from
		from += t.codes[number] / inText
	}
	t.sorted = slices.Grow(t.sorted[:0], len(t.at))[:len(t.at)]
	for i, number := range t.stream {
		t.sorted[t.ends[number]] = t.at[i]
		t.ends[number]++
	}
}

// count adds the words of text at a place and returns their number.
func (t *tally) count(text string, place uint32) uint64 {
	var n uint64
	t.scanner.text, t.scanner.position = text, 0
	if place == inText {
		t.scanner.position = t.position
	}
	t.scanner.scan(func(w token) bool {
		if !w.whole {
			n++
		}
		number, ok := t.numbers[string(w.term)]
		if !ok {
			number = len(t.words)
			word := string(w.term)
			t.words, t.heads, t.codes = append(t.words, word), append(t.heads, head(word)), append(t.codes, 0)
			t.numbers[word] = number
		}
		if t.codes[number] == 0 {
			t.seen = append(t.seen, number)
		}
		if place == inText {
			t.codes[number] += inText
			t.stream, t.at = append(t.stream, uint32(number)), append(t.at, uint32(w.position))
		} else {
			t.codes[number] |= place
		}
		return true
	})
	if place == inText {
		t.position = t.scanner.position + fieldGap
	}
	return n
}

// head returns the first bytes of a word as a number: words are in the order of their
// heads if these differ.
func head(word string) uint64 {
	var b [8]byte
	copy(b[:], word)
	return binary.BigEndian.Uint64(b[:])
}

// places returns what the words of d's name, title and directories are taken
// from. A title that only repeats the name is none.
func (d *Document) places() (name, title, directory string) {
	if d.Path == "" {
		return d.Title, "", ""
	}
	i := strings.LastIndexByte(d.Path, '/')
	name, directory = d.Path[i+1:], d.Path[:max(i, 0)]
	if d.Title != name {
		title = d.Title
	}
	return name, title, directory
}

// shared returns the number of bytes with which both begin.
func shared(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// maxTermBytes bounds a word: a code point has at most 4 bytes.
const maxTermBytes = 4 * MaxToken

// unpack calls each with every word of packed, its code and its places, in the
// order of the alphabet; the word and the places are valid until each returns.
// With an error, each may have been called for some.
func unpack(packed []byte, each func(word []byte, code uint32, places []byte)) (lengths, error) {
	if len(packed) == 0 || packed[0] != termsVersion {
		return lengths{}, errTerms
	}
	r := reader{rest: packed[1:]}
	l := lengths{text: r.uvarint(), words: r.uvarint(), name: r.uvarint(), title: r.uvarint()}
	count := r.uvarint()
	word := make([]byte, 0, maxTermBytes)
	for range count {
		keep, more := r.uvarint(), r.uvarint()
		if r.bad || keep > uint64(len(word)) || more > uint64(len(r.rest)) || keep+more > maxTermBytes || keep+more == 0 {
			return l, errTerms
		}
		word = append(word[:keep], r.rest[:more]...)
		r.rest = r.rest[more:]
		code := r.uvarint()
		if r.bad || code == 0 || code > 1<<31 {
			return l, errTerms
		}
		places := r.places(code / inText)
		if r.bad {
			return l, errTerms
		}
		each(word, uint32(code), places)
	}
	if r.bad || len(r.rest) != 0 {
		return l, errTerms
	}
	return l, nil
}

// reader reads varints; after the first failure everything is 0 and bad.
type reader struct {
	rest []byte
	bad  bool
}

// places returns the bytes of n places.
func (r *reader) places(n uint64) []byte {
	all, length := r.rest, 0
	for ; n > 0; n-- {
		size := placeSize(all[length:])
		if size == 0 {
			r.bad, r.rest = true, nil
			return nil
		}
		length += size
	}
	r.rest = all[length:]
	return all[:length]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
