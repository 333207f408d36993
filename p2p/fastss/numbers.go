package fastss

import "hash/maphash"

// numbers leads from words to their numbers: a hash table with open addressing that
// has no copy of the words. The zero value is empty.
type numbers struct {
	seed  maphash.Seed
	slots []slot // a power of two, at most three quarters full; nil when empty
	used  int
}

type slot struct {
	hash uint32 // of the word
	next uint32 // the word's number plus 1; 0: no word
}

const firstSlots = 8

// find returns the slot of word, or the free one for it. There is a free one.
func (t *numbers) find(v *Vocabulary, word string, hash uint32) int {
	mask := len(t.slots) - 1
	i := int(hash) & mask
	for {
		s := t.slots[i]
		if s.next == 0 || s.hash == hash && v.entries[s.next-1].word == word {
			return i
		}
		i = (i + 1) & mask
	}
}

func (t *numbers) hash(word string) uint32 { return uint32(maphash.String(t.seed, word)) }

func (t *numbers) get(v *Vocabulary, word string) (number uint32, ok bool) {
	if t.used == 0 {
		return 0, false
	}
	s := t.slots[t.find(v, word, t.hash(word))]
	return s.next - 1, s.next != 0
}

// put adds a word that is not there.
func (t *numbers) put(v *Vocabulary, word string, number uint32) {
	if t.slots == nil {
		t.seed, t.slots = maphash.MakeSeed(), make([]slot, firstSlots)
	}
	if t.used >= len(t.slots)/4*3 {
		t.resize(2 * len(t.slots))
	}
	hash := t.hash(word)
	t.slots[t.find(v, word, hash)] = slot{hash, number + 1}
	t.used++
}

func (t *numbers) resize(n int) {
	old := t.slots
	t.slots = make([]slot, n)
	for _, s := range old {
		if s.next == 0 {
			continue
		}
		i := int(s.hash) & (n - 1)
		for t.slots[i].next != 0 {
			i = (i + 1) & (n - 1)
		}
		t.slots[i] = s
	}
}

// remove takes out a word that is there, and moves those behind it that were put off
// by it, so that no search ends too early (Knuth 6.4, algorithm R).
func (t *numbers) remove(v *Vocabulary, word string) {
	mask := len(t.slots) - 1
	free := t.find(v, word, t.hash(word))
	for i := (free + 1) & mask; t.slots[i].next != 0; i = (i + 1) & mask {
		if home := int(t.slots[i].hash) & mask; (i-home)&mask >= (i-free)&mask {
			t.slots[free] = t.slots[i]
			free = i
		}
	}
	t.slots[free] = slot{}
	t.used--
	if len(t.slots) > firstSlots && t.used < len(t.slots)/8 {
		t.resize(len(t.slots) / 4)
	}
}
