package delta

import (
	"bytes"
	"errors"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// hostile is a pair of a signature and a file that are there to cost time.
type hostile struct {
	name   string
	sig    *Signature
	target []byte
}

// forge makes a signature from sums that no file has.
func forge(block int, sums [][2]uint64) *Signature {
	s := &Signature{block: block, size: int64(block) * int64(len(sums)), seed: 1}
	for _, x := range sums {
		s.table = appendRecord(s.table, x[0], x[1])
	}
	return s
}

func hostileCases() []hostile {
	const blocks, block = 40_000, 700
	zeros := make([]byte, 2<<20)
	equal := bytes.Repeat([]byte{'a'}, blocks*block)
	// Almost: equal blocks, in a file that has none of them but their weak sum.
	almost := bytes.Repeat([]byte{'a'}, 1<<20)
	for i := 350; i < len(almost); i += 699 {
		almost[i] = 'b'
	}
	sig := func(p []byte, block int) *Signature {
		s, err := Sign(bytes.NewReader(p), SignOptions{Block: block, Seed: 1})
		if err != nil {
			panic(err) // reading from memory
		}
		return s
	}
	sameWeak := make([][2]uint64, blocks)
	for i := range sameWeak {
		sameWeak[i] = [2]uint64{weakOf(start), uint64(i)} // of zeros
	}
	// Every weak sum of a file of noise, at all offsets, with wrong strong sums.
	secret := noise(3, 256<<10)
	const long = 64 << 10
	var everywhere [][2]uint64
	gone, h := departures(long), polynomial(secret[:long])
	for i := long; i < len(secret); i++ {
		everywhere = append(everywhere, [2]uint64{weakOf(h), 1})
		h = h*m + uint64(secret[i]) - gone[secret[i-long]]
	}
	return []hostile{
		{"40000 equal blocks, equal file", sig(equal, block), equal},
		{"40000 equal blocks, almost equal file", sig(equal, block), almost},
		{"one weak sum, many strong ones", forge(block, sameWeak), zeros},
		{"one weak sum, long blocks", forge(MaxBlock, sameWeak), zeros},
		{"all weak sums of the file", forge(long, everywhere), secret},
		{"blocks of one byte", sig(noise(4, 1<<16), 1), noise(5, 1<<18)},
		{"blocks of one byte, as expected", sig(zeros, 1), zeros},
	}
}

// TestHostile: whatever the sums, the work is bounded by the length of the file,
// and what comes out has that length.
func TestHostile(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	for _, tc := range hostileCases() {
		for workers := range 3 {
			s := newSearch(tc.sig, bytes.NewReader(tc.target), workers+1, -1)
			size, ops := int64(0), 0
			j := &joiner{yield: func(o Op) error {
				ops++
				size += o.Size()
				return nil
			}}
			if err := errors.Join(s.run(j.join), j.sendCopy()); err != nil {
				t.Fatal(err)
			}
			if size != int64(len(tc.target)) {
				t.Errorf("%s: the operations make %d bytes of %d", tc.name, size, len(tc.target))
			}
			most := mostWork(int64(len(tc.target)), tc.sig)
			if s.work > most {
				t.Errorf("%s: the work is %d, %.1f for each byte", tc.name, s.work, float64(s.work)/float64(len(tc.target)))
			}
		}
	}
}

// TestClogged: a peer's sums that the first table of the filter lets pass and the second stops
// are paid for like all others that are looked up; those of honest blocks need not be, however
// many there are.
func TestClogged(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	const block = 4 << 10
	for _, blocks := range []int{682, 10_922, 1 << 17, 1 << 19} {
		places := bits.Len(uint(blocks)) // at most so many bits of a sum are its place
		forged, honest := make([][2]uint64, blocks), make([][2]uint64, blocks)
		random := rand.New(rand.NewPCG(1, uint64(blocks)))
		for i := range forged {
			at := uint64(i) << (64 - places)
			// Of the sums with that place and all lower bits, the one that is first in the second table.
			best := ^uint64(0)
			for other := range uint64(1) << (weakHigh - places) {
				h := at | other<<(64-weakHigh) | 0xffff
				if best == ^uint64(0) || second(h) < second(best) {
					best = h
				}
			}
			forged[i], honest[i] = [2]uint64{weakOf(best), 1}, [2]uint64{weakOf(random.Uint64()), 1}
		}
		p := noise(7, 256<<10+block)
		if f := scanOnce(newIndex(forge(block, forged)), p, alone); f.budget > 0 {
			t.Errorf("%d forged blocks: %d of the budget is left", blocks, f.budget)
		}
		if f := scanOnce(newIndex(forge(block, honest)), p, alone); f.budget < allowance*256<<10*9/10 {
			t.Errorf("%d honest blocks: only %d of the budget is left", blocks, f.budget)
		}
	}
}

// second is the order of places in the second table.
func second(h uint64) uint64 { return (h>>(64-weakHigh) | h<<(64-weakLow)) * 0xff51afd7ed558ccd }

// mostWork is the bound for a file of so many bytes: the budget of all windows, a
// step and three reads of each byte (of a match: one that was expected in vain,
// the polynomial and the strong sum).
func mostWork(size int64, sig *Signature) int64 {
	return (allowance+4)*(size+sharedWindow+2*int64(sig.block)) + 4*int64(sig.block)
}

// TestIndexKeepsHonestBlocks: the caps are for forged sums.
func TestIndexKeepsHonestBlocks(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	const n = 1 << 17
	p := noise(6, 16*n)
	sig, err := Sign(bytes.NewReader(p), SignOptions{Block: 16, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	x := newIndex(sig)
	missing, known := 0, 0
	for i := range n {
		if found := x.candidates(nil, sig.weak(i)); len(found) != 1 || found[0] != i {
			missing++
		}
	}
	if missing > n/10_000 {
		t.Errorf("%d of %d blocks are not found", missing, n)
	}
	// What the filter lets through although no block has it.
	for i := range n {
		if x.has(xxhash.Sum64(p[16*i : 16*i+16])) {
			known++
		}
	}
	if known > n/50 {
		t.Errorf("%d of %d other sums pass the filter", known, n)
	}
}
