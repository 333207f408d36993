package delta

// index finds blocks by their sums. It takes 8 to 16 bytes for each block, the
// filter mostly 4 to 60, and at least 10 KiB.
type index struct {
	filter
	sig   *Signature
	slots []slot // open addressing, linear probing, at most half full
	shift uint
	twins bool // some blocks are equal
}

// A slot is 9 bits of a block's weak sum above its number + 1, or 0 for none.
type slot uint32

const (
	numberBits = 23 // enough for MaxBlocks
	tagBits    = 32 - numberBits
)

func newSlot(weak uint64, block int) slot {
	return slot(weak&(1<<tagBits-1))<<numberBits | slot(block+1)
}

// has reports whether the slot has the tag of the weak sum.
func (s slot) has(weak uint64) bool { return uint64(s>>numberBits) == weak&(1<<tagBits-1) }

func (s slot) block() int { return int(s&(1<<numberBits-1)) - 1 }

// How many slots are looked at for a sum, and how many blocks with the same weak
// but different strong sums are kept. What a signature has beyond that is not
// found at arbitrary offsets, so that the sums of a peer who aims all blocks at
// one place cost time only within these bounds. With honest sums the first bound
// leaves out fewer than one block in 10,000, and the second none.
const (
	maxProbes     = 24
	maxCandidates = 8
)

func newIndex(sig *Signature) *index {
	n := sig.full()
	x := &index{filter: newFilter(n, sig.block), sig: sig, shift: 62}
	size := 4
	for size < 2*n {
		size, x.shift = size*2, x.shift-1
	}
	x.slots = make([]slot, size)
	for i := range n {
		x.insert(i)
	}
	x.seal()
	return x
}

// place returns where the search for a weak sum begins.
func (x *index) place(weak uint64) int { return int(weak * 0xff51afd7ed558ccd >> x.shift) }

// insert adds block i, unless a block before it has the same content: the first
// of a run of equal blocks is the one whose successors are equal too.
func (x *index) insert(i int) {
	weak, strong := x.sig.Sums(i)
	at, same := x.place(weak), 0
	for range maxProbes {
		s := x.slots[at]
		if s == 0 {
			x.slots[at] = newSlot(weak, i)
			x.add(spread(weak))
			return
		}
		if s.has(weak) {
			w, st := x.sig.Sums(s.block())
			if w == weak && st == strong {
				x.twins = true
				return
			}
			if w == weak {
				if same++; same == maxCandidates {
					return
				}
			}
		}
		at = (at + 1) & (len(x.slots) - 1)
	}
}

// candidates appends to into the blocks that have the weak sum.
func (x *index) candidates(into []int, weak uint64) []int {
	at := x.place(weak)
	for range maxProbes {
		s := x.slots[at]
		if s == 0 {
			break
		}
		if s.has(weak) && x.sig.weak(s.block()) == weak {
			into = append(into, s.block())
		}
		at = (at + 1) & (len(x.slots) - 1)
	}
	return into
}

// first returns the block that stands for all that are equal to block i, or -1.
func (x *index) first(i int) int {
	weak, strong := x.sig.Sums(i)
	var found [maxCandidates]int
	for _, k := range x.candidates(found[:0], weak) {
		if x.sig.strong(k) == strong {
			return k
		}
	}
	return -1
}
