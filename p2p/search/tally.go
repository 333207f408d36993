package search

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// tally counts the words of one document after the other. Words it has seen
// before cost no allocation.
type tally struct {
	scanner scanner
	lexicon
	codes  []uint32    // by number; 0: not in this document
	seen   []int       // numbers of this document
	beside [3][]uint32 // those of the name, the title and the directories, in their order
	sheaf  sheaf       // of the documents that ended, by the same numbers

	// The words of the text in its order: their numbers and positions. Positions
	// of one number only grow.
	stream   []uint32
	at       []uint32
	position int      // of what comes next
	sorted   []uint32 // at, by number in the order of seen
	ends     []uint32 // by number: behind its part of sorted
	places   []byte
	packed   []byte
}

// fieldGap keeps phrases from reaching from the text into a field, or from one
// field into the next.
const fieldGap = 1

// read counts the words of a document, which then ends or is abandoned.
func (t *tally) read(d *Document) lengths {
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
	return l
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
		t.note(t.number(w.term), place, uint32(w.position))
		return true
	})
	if place == inText {
		t.position = t.scanner.position + fieldGap
	}
	return n
}

// note adds a word at a place, and for inText its position.
func (t *tally) note(number, place, position uint32) {
	for int(number) >= len(t.codes) {
		t.codes = append(t.codes, 0)
	}
	if t.codes[number] == 0 {
		t.seen = append(t.seen, int(number))
	}
	if place == inText {
		t.codes[number] += inText
		t.stream, t.at = append(t.stream, number), append(t.at, position)
		return
	}
	t.codes[number] |= place
	list := &t.beside[place>>1] // inName is 1, inTitle 2, inPath 4
	*list = append(*list, number)
}

// unpack reads the words of a document from its packed words, in place of read. They are
// numbered as t does or, if shared, as the store does, which has words for numbers
// where known says so. With an error the document is abandoned.
func (t *tally) unpack(packed *packedTerms, known func(number uint32) bool) error {
	var numbers []uint32
	packed.words(func(word []byte) { numbers = append(numbers, t.number(word)) })
	sound := packed.lengths.words <= math.MaxUint32 && packed.text <= math.MaxUint32
	err := packed.each(func(number, place, position uint32) {
		switch {
		case packed.own && int(number) < len(numbers):
			t.note(numbers[number], place, position)
		case !packed.own && known(number):
			t.note(number, place, position)
		default:
			sound = false
		}
	})
	if err == nil && !sound {
		err = errTerms
	}
	if err != nil {
		for _, number := range t.seen {
			t.codes[number] = 0
		}
		t.clear()
	}
	return err
}

// end puts the words of a document into the sheaf.
func (t *tally) end(r *Record, l lengths) {
	t.sort()
	for _, number := range t.seen {
		code, end := t.codes[number], t.ends[number]
		next := uint32(0)
		t.places = t.places[:0]
		for _, at := range t.sorted[end-code/inText : end] {
			t.places = appendPlace(t.places, at-next)
			next = at + 1
		}
		t.sheaf.put(number, code, t.places)
		t.codes[number] = 0
	}
	t.sheaf.end(r, l)
	t.clear()
}

func (t *tally) clear() {
	t.seen, t.stream, t.at, t.position = t.seen[:0], t.stream[:0], t.at[:0], 0
	for i := range t.beside {
		t.beside[i] = t.beside[i][:0]
	}
}

// sort sets sorted and ends.
func (t *tally) sort() {
	t.ends = slices.Grow(t.ends[:0], len(t.codes))[:len(t.codes)]
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
