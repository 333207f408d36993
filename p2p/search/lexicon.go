package search

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// lexicon numbers words, from 0. A document has hundreds that were there before, and most have at most
// eight bytes: of those nothing is looked at but one cell. The zero value is empty.
type lexicon struct {
	words []string // by number
	cells []cell64 // a power of two, at most half of them used

	// The seeds are random, so that nobody can choose words that are in each other's way.
	seed         maphash.Seed
	salt, factor uint64
}

// cell64 is a word that is numbered.
type cell64 struct {
	head   uint64 // its first eight bytes
	rest   uint32 // of longer ones a hash, and odd; otherwise 0
	number uint32 // plus one; 0: the cell is empty
}

const firstLexicon = 1024

// number returns the number of a word, which it gets if it has none.
func (l *lexicon) number(word []byte) uint32 {
	if l.cells == nil {
		*l = lexicon{cells: make([]cell64, firstLexicon), seed: maphash.MakeSeed(), salt: rand.Uint64(), factor: rand.Uint64() | 1}
	}
	head, rest, at := l.key(word)
	mask := uint64(len(l.cells) - 1)
	for at &= mask; ; at = (at + 1) & mask {
		c := &l.cells[at]
		if c.number == 0 {
			break
		}
		// Words have no NUL, so eight bytes or less are told apart by head.
		if c.head == head && c.rest == rest && (rest == 0 || l.words[c.number-1] == string(word)) {
			return c.number - 1
		}
	}
	l.words = append(l.words, string(word))
	l.cells[at] = cell64{head, rest, uint32(len(l.words))}
	if 2*len(l.words) > len(l.cells) {
		l.grow()
	}
	return uint32(len(l.words) - 1)
}

// key returns what a cell has of a word, and a hash, by which it is found.
func (l *lexicon) key(word []byte) (head uint64, rest uint32, hash uint64) {
	if len(word) > 8 {
		hash = maphash.Bytes(l.seed, word)
		return binary.LittleEndian.Uint64(word), uint32(hash>>32) | 1, hash
	}
	if len(word) == 8 {
		head = binary.LittleEndian.Uint64(word)
	} else {
		for i, b := range word {
			head |= uint64(b) << (8 * i)
		}
	}
	high, low := bits.Mul64(head^l.salt, l.factor)
	return head, 0, high ^ low
}

func (l *lexicon) grow() {
	l.cells = make([]cell64, 2*len(l.cells))
	mask := uint64(len(l.cells) - 1)
	for i, word := range l.words {
		head, rest, at := l.key([]byte(word))
		for at &= mask; l.cells[at].number != 0; {
			at = (at + 1) & mask
		}
		l.cells[at] = cell64{head, rest, uint32(i + 1)}
	}
}
