package search

import (
	"context"
	"encoding/binary"
	"fmt"
)

// maxStored is the number of words that a store can tell apart by numbers. A document with more
// words has them with itself.
const maxStored = 1 << 28

// numbering says under which number the store keeps a word, so that documents need not
// repeat it.
//
// Why a number never means another word than the one it was written for: the words that get
// a number are kept in the transaction of the first documents that use it. A number is
// given anew only when no document in the store uses it: when the last one that the index has counted has
// gone from the store, or when none of all that were loaded has it. After a failed write
// that is not known, since what failed may have happened; no number is let go of from
// then on, and those that were in it are not used again. Where two packs of words in the store have the same number, the later
// one counts.
type numbering struct {
	stored []uint32 // by the word's number in the index: the number in the store, plus one; 0: none
	words  []uint32 // by the number in the store: that in the index, plus one; 0: no word
	free   []uint32 // numbers in the store below len(words) that may be given anew
	unsure bool     // whether a document that is not known may use a number
}

// find returns the number in the index of a word of the store.
func (n *numbering) find(stored uint32) (number uint32, ok bool) {
	if int(stored) >= len(n.words) || n.words[stored] == 0 {
		return 0, false
	}
	return n.words[stored] - 1, true
}

// of returns the number in the store, plus one, of a word in the index; 0 if it has none.
func (n *numbering) of(number uint32) uint32 {
	if int(number) >= len(n.stored) {
		return 0
	}
	return n.stored[number]
}

// next returns a number that no document uses.
func (n *numbering) next() (stored uint32, ok bool) {
	if last := len(n.free) - 1; last >= 0 {
		stored, n.free = n.free[last], n.free[:last]
		return stored, true
	}
	if len(n.words) >= maxStored {
		return 0, false
	}
	n.words = append(n.words, 0)
	return uint32(len(n.words) - 1), true
}

// link notes that a word of the index has a number in the store.
func (n *numbering) link(number, stored uint32) {
	for int(number) >= len(n.stored) {
		n.stored = append(n.stored, 0)
	}
	n.stored[number], n.words[stored] = stored+1, number+1
}

// release forgets a word that no document has any more.
func (n *numbering) release(number uint32) {
	stored := n.of(number)
	if stored == 0 {
		return
	}
	n.stored[number], n.words[stored-1] = 0, 0
	if !n.unsure {
		n.free = append(n.free, stored-1)
	}
}

// wordPack makes a pack of words for the store: each as the distance of its number from the one before,
// its length, and its bytes. Numbers may be in any order.
type wordPack struct {
	data []byte
	next uint32
}

func (p *wordPack) add(stored uint32, word string) {
	p.data = binary.AppendVarint(p.data, int64(stored)-int64(p.next))
	p.data = binary.AppendUvarint(p.data, uint64(len(word)))
	p.data = append(p.data, word...)
	p.next = stored + 1
}

// unpackWords calls each with the words of a pack, of which those before the first damage are
// read. A word is valid until each returns.
func unpackWords(pack []byte, each func(stored uint32, word []byte)) {
	r := reader{rest: pack}
	next := int64(0)
	for len(r.rest) > 0 {
		skip, n := binary.Varint(r.rest)
		if n <= 0 {
			return
		}
		r.rest = r.rest[n:]
		word := r.word()
		stored := next + skip
		if r.bad || stored < 0 || stored >= maxStored {
			return
		}
		each(uint32(stored), word)
		next = stored + 1
	}
}

// wordsPerPack is the number of words of a pack that is not of one batch.
const wordsPerPack = 4096

// storedWords are the words that a store has, by its numbers.
type storedWords struct {
	words []string // empty: none
	all   int      // in all packs
}

func (w *storedWords) read(ctx context.Context, s Store) error {
	err := s.Words(ctx, func(pack []byte) error {
		unpackWords(pack, func(stored uint32, word []byte) {
			for int(stored) >= len(w.words) {
				w.words = append(w.words, "")
			}
			w.words[stored] = string(word)
			w.all++
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("search: load words: %w", err)
	}
	return nil
}

// sweep begins to give anew the numbers of words that no document has, once all were loaded, and
// takes those words from the store if they are the most.
func (n *numbering) sweep(ctx context.Context, s Store, w *storedWords) error {
	used := 0
	for _, word := range n.words {
		if word != 0 {
			used++
		}
	}
	if n.unsure {
		return nil
	}
	for stored := len(n.words) - 1; stored >= 0; stored-- { // the smallest are given first
		if n.words[stored] == 0 {
			n.free = append(n.free, uint32(stored))
		}
	}
	if w.all <= 2*used+wordsPerPack {
		return nil
	}
	var packs [][]byte
	var p wordPack
	count := 0
	for stored, word := range w.words {
		if n.words[stored] == 0 {
			continue
		}
		if p.add(uint32(stored), word); count%wordsPerPack == wordsPerPack-1 {
			packs, p = append(packs, p.data), wordPack{}
		}
		count++
	}
	if len(p.data) > 0 {
		packs = append(packs, p.data)
	}
	if err := s.SetWords(ctx, packs); err != nil {
		return fmt.Errorf("search: forget words that no document has: %w", err)
	}
	return nil
}
