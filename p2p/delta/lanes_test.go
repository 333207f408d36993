package delta

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// found is what a scanner has after a window.
type found struct {
	matches []match
	next    int
	budget  int64
}

// scanOnce scans p as a whole file. With idle it begins as if nothing had been found
// for so long.
func scanOnce(x *index, p []byte, idle int) found {
	s := newScanner(x)
	s.idle, s.next = idle, x.sig.Blocks()
	s.scan(p, 0, len(p), true)
	return found{s.matches, s.next, s.budget}
}

const (
	alone   = math.MinInt / 2
	inLanes = lanes * laneLen
)

// sameInLanes fails unless lanes find what one sum finds, for the same budget.
func sameInLanes(t interface {
	Helper()
	Fatalf(string, ...any)
}, sig *Signature, p []byte,
) found {
	t.Helper()
	x := newIndex(sig)
	one, four := scanOnce(x, p, alone), scanOnce(x, p, inLanes)
	if !slices.Equal(one.matches, four.matches) || one.next != four.next || one.budget != four.budget {
		t.Fatalf("blocks of %d: one sum finds %v and has %d left for %d, lanes %v, %d, %d",
			sig.Block(), one.matches, one.budget, one.next, four.matches, four.budget, four.next)
	}
	return four
}

// TestLanes: blocks are found where they are, whatever lanes they are in, and what is
// found does not depend on how it was looked for.
func TestLanes(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	fill := noise(1, lanes*laneLen+200<<10)
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SampledFrom([]int{1, 2, 16, 100, 512, 4096, 6 << 10, longestAhead, longestAhead + 1}).Draw(t, "block")
		old := noise(2, 4*longestAhead+5)
		if rapid.Bool().Draw(t, "runs") {
			clear(old[len(old)/2:])
		}
		p := bytes.Clone(fill[:rapid.IntRange(lanes*laneLen, len(fill)).Draw(t, "length")])
		for range rapid.IntRange(0, 8).Draw(t, "pieces") {
			at := rapid.IntRange(0, len(p)-1).Draw(t, "at")
			if rapid.Bool().Draw(t, "border") { // of lanes
				at = min(at/laneLen*laneLen+rapid.IntRange(0, 2).Draw(t, "beside"), len(p)-1)
			}
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				copy(p[at:], old[rapid.IntRange(0, len(old)-1).Draw(t, "from"):])
			case 1:
				copy(p[at:], old[:min(len(old), rapid.IntRange(1, 3*block).Draw(t, "n"))])
			case 2:
				clear(p[at:min(len(p), at+rapid.IntRange(1, 60_000).Draw(t, "zeros"))])
			}
		}
		sig, err := Sign(bytes.NewReader(old), SignOptions{Block: block, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		sameInLanes(t, sig, p)
	})
}

// TestEachLane: a block at each place that matters, and no budget wasted.
func TestEachLane(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	const block = 700
	old := noise(3, block)
	sig, err := Sign(bytes.NewReader(old), SignOptions{Block: block, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{
		1, 2, 3, 4, 5, laneLen - 1, laneLen, laneLen + 1, 2*laneLen - 1, 2 * laneLen, 3*laneLen + 1,
		4*laneLen - 1, 4 * laneLen, 4*laneLen + 1, 4*laneLen + block,
	} {
		p := noise(4, lanes*laneLen+3*block)
		copy(p[at:], old)
		f := sameInLanes(t, sig, p)
		if want := []match{{at, 0, block}}; !slices.Equal(f.matches, want) {
			t.Errorf("%v, want %v", f.matches, want)
		}
	}
}

// TestLanesHostile: sums that are wrong on purpose cost the same, also where they use
// up the budget.
func TestLanesHostile(t *testing.T) {
	if underRace {
		t.Skip("one goroutine that computes much")
	}
	for _, tc := range hostileCases() {
		sameInLanes(t, tc.sig, tc.target[:min(len(tc.target), 1<<20)])
	}
	const block = 4 << 10
	p := noise(3, 256<<10)
	run := bytes.Clone(p) // zeros in the third lane that look like a block
	clear(run[2*laneLen+500 : 2*laneLen+500+block+2000])
	sameInLanes(t, forge(block, [][2]uint64{{weakOf(start), 1}}), run)
	for _, from := range []int{1, laneLen / 2, laneLen + 10, 3 * laneLen} {
		for _, step := range []int{1, 17, 40} {
			var sums [][2]uint64
			gone, h := departures(block), polynomial(p[:block])
			for i := block; i < len(p); i++ {
				if at := i - block; at >= from && at%step == 0 {
					sums = append(sums, [2]uint64{weakOf(h), 1})
				}
				h = h*m + uint64(p[i]) - gone[p[i-block]]
			}
			f := sameInLanes(t, forge(block, sums), p)
			if f.budget > allowance*int64(len(p))/2 {
				t.Errorf("%d left: the sums are not looked up", f.budget)
			}
		}
	}
}

// FuzzLanes is TestLanes with what the fuzzer thinks of: each byte of edits is put
// at the place that the two after it say.
func FuzzLanes(f *testing.F) {
	if underRace {
		f.Skip("one goroutine that computes much")
	}
	f.Add([]byte("some blocks"), []byte{0, 1, 2, 200, 5, 255}, uint8(4))
	f.Add(make([]byte, 40), []byte{1, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, old, edits []byte, block uint8) {
		if block == 0 || len(old) == 0 {
			return
		}
		sig, err := Sign(bytes.NewReader(old), SignOptions{Block: int(block), Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := bytes.Repeat([]byte("abc"), (lanes*laneLen+1000)/3)
		for ; len(edits) >= 3; edits = edits[3:] {
			at := (int(edits[1])<<8 | int(edits[2])) * 3 % len(p)
			if edits[0]%2 == 0 {
				copy(p[at:], old)
			} else {
				p[at] = edits[0]
			}
		}
		sameInLanes(t, sig, p)
	})
}
