package lexicon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/search"
)

const (
	// chunkWords is the number of words of a chunk on average; longestChunk bounds it.
	chunkWords   = 128
	longestChunk = 4 * chunkWords
	// maxWordBytes bounds a word: it has at most search.MaxToken code points.
	maxWordBytes = 4 * search.MaxToken
	// maxChunkBytes bounds an encoded chunk of real words: longer ones end earlier.
	maxChunkBytes = 8 << 10
	// maxClass is the class of the most frequent words.
	maxClass = 20
)

// chunkID names a chunk by its content.
type chunkID [16]byte

func idOf(chunk []byte) chunkID {
	sum := sha256.Sum256(chunk)
	return chunkID(sum[:])
}

// classOf returns the class of a number of documents: its logarithm to the base of 2.
func classOf(documents int) uint8 {
	return uint8(min(max(bits.Len(uint(max(documents, 1)))-1, 0), maxClass))
}

// documentsOf returns a number of documents in the middle of a class.
func documentsOf(class uint8) int {
	if class == 0 {
		return 1
	}
	return 3 << (class - 1)
}

// cutter makes chunks of words that come in the order of the alphabet. Whether a chunk ends
// with a word depends on the word alone, unless the chunk would get too long.
//
// A chunk is for each word the number of bytes that it shares with the one before, the number
// of bytes of the rest, the rest, and the class.
type cutter struct {
	done   func(first string, chunk []byte) // the chunk is valid until it returns
	chunk  []byte
	first  string
	before string
	words  int
}

func (c *cutter) add(word string, class uint8) {
	shared := 0
	if c.words == 0 {
		c.first = word
	} else {
		for shared < min(len(word), len(c.before)) && word[shared] == c.before[shared] {
			shared++
		}
	}
	c.chunk = binary.AppendUvarint(c.chunk, uint64(shared))
	c.chunk = binary.AppendUvarint(c.chunk, uint64(len(word)-shared))
	c.chunk = append(append(c.chunk, word[shared:]...), class)
	c.before = word
	if c.words++; isEnd(word) || c.words == longestChunk || len(c.chunk) > maxChunkBytes-maxWordBytes-8 {
		c.end()
	}
}

// end ends the chunk that was begun, if one was.
func (c *cutter) end() {
	if c.words > 0 {
		c.done(c.first, c.chunk)
	}
	c.chunk, c.words, c.before = c.chunk[:0], 0, ""
}

// isEnd reports whether a chunk ends with a word.
func isEnd(word string) bool { return mixed(word)>>32%chunkWords == 0 }

// eighth puts words into one of eight heaps, whatever chunks they are in.
func eighth(word string) uint8 { return uint8(mixed(word) & 7) }

// mixed is a hash of a word that is the same on every node.
func mixed(word string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(word)) // never fails
	// The upper bits of FNV of short words are much alike (fmix64 of MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// errChunk: bytes that are no chunk.
var errChunk = errors.New("lexicon: not a chunk of words")

// entry is a word of a chunk.
type entry struct {
	word  []byte // valid until the next one
	class uint8
}

// read calls each with the words of a chunk. With an error, each may have been called for some.
func read(chunk []byte, each func(entry)) error {
	var word, before []byte
	if len(chunk) == 0 || len(chunk) > maxChunkBytes {
		return fmt.Errorf("%w: %d bytes", errChunk, len(chunk))
	}
	for words := 0; len(chunk) > 0; words++ {
		shared, n := binary.Uvarint(chunk)
		if n <= 0 || shared > uint64(len(word)) {
			return fmt.Errorf("%w: word %d", errChunk, words)
		}
		chunk = chunk[n:]
		rest, n := binary.Uvarint(chunk)
		if n <= 0 || rest > maxWordBytes || uint64(len(chunk)-n) < rest+1 || words == longestChunk {
			return fmt.Errorf("%w: word %d", errChunk, words)
		}
		before = append(before[:0], word...)
		word = append(word[:shared], chunk[n:n+int(rest)]...)
		class := chunk[n+int(rest)]
		chunk = chunk[n+int(rest)+1:]
		if class > maxClass || words > 0 && bytes.Compare(before, word) >= 0 || !isWord(word) {
			return fmt.Errorf("%w: word %d: %.40q", errChunk, words, word)
		}
		each(entry{word, class})
	}
	return nil
}

// isWord reports whether something can be a word of an index: it is as search.Fold leaves it.
func isWord(b []byte) bool {
	if len(b) == 0 || len(b) > maxWordBytes {
		return false
	}
	plain := len(b) <= search.MaxToken
	for _, c := range b {
		plain = plain && ('a' <= c && c <= 'z' || '0' <= c && c <= '9')
	}
	return plain || utf8.Valid(b) && search.Fold(string(b)) == string(b)
}
