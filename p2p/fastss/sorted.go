package fastss

import (
	"iter"
	"slices"
	"sort"
)

// blockSize bounds what an insertion has to move.
const blockSize = 512

// blocks holds the numbers of all words in the order of the alphabet, in blocks
// of at most blockSize, none of them empty. The words are the vocabulary's.
type blocks struct{ list [][]uint32 }

// find returns where word is, or where it would be inserted.
func (s *blocks) find(v *Vocabulary, word string) (block, place int) {
	// The last block that does not begin behind word.
	block = max(0, sort.Search(len(s.list), func(i int) bool { return v.entries[s.list[i][0]].word > word })-1)
	if block < len(s.list) {
		b := s.list[block]
		place = sort.Search(len(b), func(i int) bool { return v.entries[b[i]].word >= word })
	}
	return block, place
}

func (s *blocks) insert(v *Vocabulary, number uint32) {
	block, place := s.find(v, v.entries[number].word)
	if block == len(s.list) {
		s.list = append(s.list, nil)
	}
	b := slices.Insert(s.list[block], place, number)
	s.list[block] = b
	if len(b) > blockSize {
		half := slices.Clone(b[blockSize/2:])
		s.list[block] = slices.Clip(b[:blockSize/2])
		s.list = slices.Insert(s.list, block+1, half)
	}
}

func (s *blocks) remove(v *Vocabulary, number uint32) {
	block, place := s.find(v, v.entries[number].word)
	s.list[block] = slices.Delete(s.list[block], place, place+1)
	if len(s.list[block]) == 0 {
		s.list = slices.Delete(s.list, block, block+1)
	}
}

// from yields the numbers of the words that are not before word.
func (s *blocks) from(v *Vocabulary, word string) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		block, place := s.find(v, word)
		for ; block < len(s.list); block, place = block+1, 0 {
			for _, number := range s.list[block][place:] {
				if !yield(number) {
					return
				}
			}
		}
	}
}
