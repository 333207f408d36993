package delta

// filter says quickly of most sums that no block has them. A sum has one bit in
// each of two bitmaps. Up to 65,536 blocks the first is 1.6 % full and the second
// 3 %, so that of 2,000 offsets one is looked up in vain; both then fit in the
// cache of one core. They grow beyond that for very long files only.
type filter struct {
	first, second []uint64 // their lengths are powers of two
}

// Bits in a bitmap for each block, and the bounds between which the bitmap is
// kept however many blocks there are.
const (
	filterDense  = 64 // up to filterCache
	filterSparse = 16
	filterLeast  = 1 << 10
	filterCache1 = 1 << 22 // 512 KiB
	filterCache2 = 1 << 21
)

func newFilter(blocks int) *filter {
	bitmap := func(cache int) []uint64 {
		n := filterLeast
		for n < filterSparse*blocks || n < filterDense*blocks && n < cache {
			n *= 2
		}
		return make([]uint64, n/64)
	}
	return &filter{bitmap(filterCache1), bitmap(filterCache2)}
}

// Where a sum's bits are: the word is chosen by what is above wordShift, which is
// enough for MaxBlocks, and the bit within it by the lowest bits of the weak sum.
// In the second bitmap the same holds after the weak sum has been spread anew.
const wordShift = 44

// has reports whether h may be the sum of a block.
func (f *filter) has(h uint64) bool {
	return f.first[h>>wordShift&uint64(len(f.first)-1)]>>(h>>weakShift&63)&1 != 0 && f.confirms(h)
}

func (f *filter) confirms(h uint64) bool {
	g := remix(h)
	return f.second[g>>wordShift&uint64(len(f.second)-1)]>>(g>>weakShift&63)&1 != 0
}

func (f *filter) add(h uint64) {
	f.first[h>>wordShift&uint64(len(f.first)-1)] |= 1 << (h >> weakShift & 63)
	g := remix(h)
	f.second[g>>wordShift&uint64(len(f.second)-1)] |= 1 << (g >> weakShift & 63)
}

// remix spreads the weak sum within h anew; what is below it does not count.
func remix(h uint64) uint64 { return (h >> weakShift) * 0xd6e8feb86659fd93 }

// index finds blocks by their sums.
type index struct {
	*filter
	sig   *Signature
	slots []slot // open addressing, linear probing, at most half full
	shift uint
}

// slot is a block, or none where block is 0.
type slot struct {
	tag   uint32 // the lower bits of the weak sum
	block uint32 // its number + 1
}

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
	x := &index{filter: newFilter(n), sig: sig, shift: 62}
	size := 4
	for size < 2*n {
		size, x.shift = size*2, x.shift-1
	}
	x.slots = make([]slot, size)
	for i := range n {
		x.insert(i)
	}
	return x
}

// start returns where the search for a weak sum begins.
func (x *index) start(weak uint64) int { return int(weak * 0xff51afd7ed558ccd >> x.shift) }

// insert adds block i, unless a block before it has the same content: the first
// of a run of equal blocks is the one whose successors are equal too.
func (x *index) insert(i int) {
	weak, strong := x.sig.Sums(i)
	at, same := x.start(weak), 0
	for range maxProbes {
		s := &x.slots[at]
		if s.block == 0 {
			*s = slot{uint32(weak), uint32(i + 1)}
			x.add(weak << weakShift)
			return
		}
		if s.tag == uint32(weak) {
			w, st := x.sig.Sums(int(s.block - 1))
			if w == weak && st == strong {
				return
			}
			if same++; same == maxCandidates {
				return
			}
		}
		at = (at + 1) & (len(x.slots) - 1)
	}
}

// candidates appends to into the blocks that have the weak sum.
func (x *index) candidates(into []int, weak uint64) []int {
	at := x.start(weak)
	for range maxProbes {
		s := x.slots[at]
		if s.block == 0 {
			break
		}
		if s.tag == uint32(weak) && x.sig.weak(int(s.block-1)) == weak {
			into = append(into, int(s.block-1))
		}
		at = (at + 1) & (len(x.slots) - 1)
	}
	return into
}
