package exchange

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
)

// quietLink is a link of which nothing is known but whose it is.
type quietLink struct{ linkOf }

func (quietLink) Stats() p2p.Stats { return p2p.Stats{} }

func (quietLink) Path() p2p.Path { return p2p.Path{} }

// Each chunk is in one portion, however often it is said that it is missing, portions are about
// equal, and they are brought in the order of the file, whoever brings them.
func TestPortions(t *testing.T) {
	t.Parallel()
	u, _ := taking(noise(41, 8<<20) + strings.Repeat("\x00", 2<<20))
	all := []assemble.Run{{First: 0, N: u.m.Len()}}
	u.addRuns(all)
	u.addRuns(all)
	next := 0
	for i, some := range u.portions.cut {
		size := 0
		for _, r := range some {
			if r.First != next {
				t.Fatalf("portion %d begins with chunk %d, not %d", i, r.First, next)
			}
			next = r.First + r.N
			size += int(u.extent(r).Length)
		}
		if many := len(some) > 1 || some[0].N > 1; many && size > 2*portionBytes {
			t.Errorf("portion %d has %d bytes", i, size)
		}
	}
	if next != u.m.Len() {
		t.Fatalf("the portions end with chunk %d of %d", next, u.m.Len())
	}

	// Two members take turns; one leaves, and what it had is asked of the other.
	a, b := u.portions.join(quietLink{linkOf{id: p2p.ID{1}}}, 2), u.portions.join(quietLink{linkOf{id: p2p.ID{2}}}, 2)
	u.decide()
	lost := u.portions.take(u, a)
	if lost == nil || lost.runs[0].First != 0 {
		t.Fatalf("the first portion is not asked for first: %+v", lost)
	}
	if e := u.portions.take(u, b); e == nil || e.runs[0].First <= lost.runs[0].First {
		t.Fatalf("the second member is asked for %+v", e)
	} else {
		u.deliver(b, e)
	}
	u.portions.leave(a)
	for range 4 * len(u.portions.cut) {
		u.decide()
		if e := u.portions.take(u, b); e != nil {
			u.deliver(b, e)
		}
	}
	if u.left > 0 || !u.portions.picker.Done() {
		t.Errorf("%d chunks are missing, after one of two members has left", u.left)
	}
}

// deliver has all chunks of an errand come.
func (u *update) deliver(s *sender, e *errand) {
	for _, r := range e.runs {
		for i := r.First; i < r.First+r.N; i++ {
			u.got(i)
			u.portions.took(s, e, i, u.m.Chunk(i).Length, true)
		}
	}
}

// Portions that are split up have one missing chunk each, all together have all of them once, and what
// somebody is asked for stays as it is.
func TestSplitUp(t *testing.T) {
	t.Parallel()
	u, _ := taking(noise(42, 8<<20))
	n := u.m.Len()
	u.addRuns([]assemble.Run{{First: 0, N: n}})
	s := u.portions.joinPart(u, quietLink{linkOf{id: p2p.ID{1}}}, 2)
	for i := range n {
		if i%3 == 0 {
			u.got(i) // otherwise
		}
	}
	u.portions.gain(u, s, []assemble.Run{{First: 0, N: n / 4}})
	u.decide()
	asked := map[int]int{} // pieces to the lengths of their portions
	for piece := range s.asked {
		asked[piece] = len(u.portions.cut[u.portions.of[piece]])
	}
	if len(asked) == 0 {
		t.Fatal("nothing is asked for")
	}
	u.portions.splitUp(u)
	in := make([]int, n)
	for piece, at := range u.portions.of {
		chunks := 0
		for _, r := range u.portions.cut[at] {
			chunks += r.N
			for i := r.First; i < r.First+r.N; i++ {
				in[i]++
				if u.portions.pieces[i] != piece {
					t.Errorf("chunk %d is in piece %d and said to be in %d", i, piece, u.portions.pieces[i])
				}
			}
		}
		if was, some := asked[piece]; some && len(u.portions.cut[at]) != was {
			t.Errorf("piece %d is another one than was asked for", piece)
		} else if !some && chunks > 1 {
			t.Errorf("piece %d has %d chunks", piece, chunks)
		}
	}
	for i, times := range in {
		if times > 1 || times == 0 && !u.have[i] {
			t.Errorf("chunk %d is in %d portions", i, times)
		}
	}
	if len(u.portions.of) > n || u.portions.split {
		t.Errorf("%d pieces of %d chunks; it is said that all are split: %v", len(u.portions.of), n, u.portions.split)
	}
	u.portions.gain(u, s, []assemble.Run{{First: n / 4, N: n - n/4}})
	for range 8 * n {
		u.portions.splitUp(u)
		u.decide()
		if e := u.portions.take(u, s); e != nil {
			u.deliver(s, e)
		}
	}
	if u.left > 0 || !u.portions.picker.Done() {
		t.Errorf("%d chunks are missing in the end", u.left)
	}
}

// A stream is kept for the next request, but not where many contents come at once, in this folder or in
// all: others wait for it.
func TestLineIsKept(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		here  int
		all   int64
		keeps bool
	}{{1, 1, true}, {largeAtOnce, manyAtOnce / 2, true}, {largeAtOnce + 1, largeAtOnce + 1, false}, {1, manyAtOnce/2 + 1, false}} {
		f := idle(0, 0)
		f.larges = row.here
		f.r.s.larges.Store(row.all)
		ended := false
		n := &line{u: &update{f: f}, on: &asked{end: func() { ended = true }}}
		if n.came(); ended == row.keeps || (n.on != nil) != row.keeps {
			t.Errorf("with %d contents here and %d in all it is kept: %v", row.here, row.all, !ended)
		}
	}
}
