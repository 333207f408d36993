package dst_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dst"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/ranges/rangetest"
)

// lecture is the tree of the lecture: 8 keys, which are 1 to 8 there and 0 to 7 here, two of
// them in a leaf, and two entries in a segment.
var lecture = dst.Tree{KeyBits: 3, LeafBits: 1}

// name returns a segment as the lecture writes it.
func name(s ranges.Segment) string { return fmt.Sprintf("[%d..%d]", s.From(3)+1, s.To(3)+1) }

func names(all []ranges.Segment) string {
	var out []string
	for _, s := range all {
		out = append(out, name(s))
	}
	return strings.Join(out, " ")
}

// TestLecture is the lecture's example, call by call, and with the right answers: of its own
// program, "sys" (5) came for [6..6], and a third entry of a leaf was lost.
func TestLecture(t *testing.T) {
	network := rangetest.New(10, 1, time.Now)
	x := ranges.New(ranges.Options{Table: network, Name: "lecture", Scheme: lecture, Capacity: 2})
	calls := 0
	for _, e := range []struct {
		key      uint64
		value    string
		at, full string
	}{
		{1, "test", "[1..8] [1..4] [1..2]", ""},
		{2, "hallo", "[1..8] [1..4] [1..2]", ""},
		{3, "world", "[3..4]", "[1..8] [1..4]"},
		{5, "sys", "[5..8] [5..6]", "[1..8]"},
		{7, "communication", "[5..8] [7..8]", "[1..8]"},
	} {
		r, _, err := x.Insert(t.Context(), []ranges.Entry{{Key: e.key - 1, ID: e.value, Value: []byte(e.value)}})
		if err != nil || !r[0].Status.Stored() {
			t.Fatal(r, err)
		}
		if at, full := names(r[0].At), names(r[0].Full); at != e.at || full != e.full {
			t.Errorf("%s is at %s, not at %s; want %s, %s", e.value, at, full, e.at, e.full)
		}
		calls += len(r[0].At) + len(r[0].Full)
	}
	if calls != 15 {
		t.Errorf("%d calls, want 15", calls)
	}
	ask := func(from, to uint64) (string, ranges.Answer) {
		a, err := ranges.New(ranges.Options{Table: network, Name: "lecture", Scheme: lecture, Capacity: 2}).
			Query(t.Context(), ranges.Range{From: from - 1, To: to - 1})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range a.Entries {
			out = append(out, string(e.Value))
		}
		return strings.Join(out, " "), a
	}
	if got := names(lecture.Cover(0, 4)); got != "[1..4] [5..6]" {
		t.Errorf("[1..5] is covered by %s", got)
	}
	got, a := ask(1, 5)
	var asked []string
	for _, s := range a.Segments {
		asked = append(asked, name(s.Segment))
	}
	slices.Sort(asked)
	if want := "[1..2] [1..4] [3..4] [5..6]"; strings.Join(asked, " ") != want || a.Trace.Rounds != 2 {
		t.Errorf("asked %v in %d rounds, want %s in 2", asked, a.Trace.Rounds, want)
	}
	if got != "test hallo world sys" {
		t.Errorf("[1..5] has %s", got)
	}
	for _, q := range []struct {
		from, to uint64
		want     string
	}{{6, 6, ""}, {2, 7, "hallo world sys communication"}, {1, 8, "test hallo world sys communication"}, {3, 3, "world"}, {8, 8, ""}} {
		if got, _ := ask(q.from, q.to); got != q.want {
			t.Errorf("[%d..%d] has %q, want %q", q.from, q.to, got, q.want)
		}
	}
	// A third entry of a leaf, and a second one of a key.
	for _, v := range []string{"more", "and more"} {
		if _, _, err := x.Insert(t.Context(), []ranges.Entry{{Key: 0, ID: v, Value: []byte(v)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := ask(1, 1); len(strings.Fields(got)) != 4 {
		t.Errorf("key 1 has %q", got)
	}
}

// TestCover: the segments of a cover do not overlap, have all leaves of the range and no
// others, and no two of them are halves of one; there are at most two of each level.
func TestCover(t *testing.T) {
	for _, tree := range []dst.Tree{lecture, {KeyBits: 1}, {KeyBits: 64}, {KeyBits: 64, LeafBits: 44}, {KeyBits: 8, LeafBits: 8}} {
		last := ranges.Last(tree.KeyBits)
		for i := range 3000 {
			a, b := rand.Uint64()&last, rand.Uint64()&last
			if i%2 == 0 {
				a >>= rand.IntN(64)
				b = min(a+rand.Uint64()>>rand.IntN(64), last)
			}
			switch i {
			case 0:
				a, b = 0, last
			case 1:
				a, b = last, last
			}
			a, b = min(a, b), max(a, b)
			check(t, tree, a, b)
		}
	}
}

func check(t *testing.T, tree dst.Tree, a, b uint64) {
	t.Helper()
	cover := tree.Cover(a, b)
	levels := map[int]int{}
	next := a >> tree.LeafBits << tree.LeafBits
	for i, s := range cover {
		levels[s.Depth]++
		if s.From(tree.KeyBits) != next {
			t.Fatalf("%+v [%d..%d]: %v: segment %d does not begin where the last one ended", tree, a, b, cover, i)
		}
		if i > 0 && s.Depth > 0 && s.Depth == cover[i-1].Depth && s.Parent() == cover[i-1].Parent() {
			t.Fatalf("%+v [%d..%d]: %v: both halves of one", tree, a, b, cover)
		}
		if levels[s.Depth] > 2 {
			t.Fatalf("%+v [%d..%d]: %v: %d segments of depth %d", tree, a, b, cover, levels[s.Depth], s.Depth)
		}
		next = s.To(tree.KeyBits) + 1
	}
	end := b | (uint64(1)<<tree.LeafBits - 1)
	if tree.LeafBits == 64 {
		end = math.MaxUint64
	}
	if next-1 != end {
		t.Fatalf("%+v [%d..%d]: %v ends at %d", tree, a, b, cover, next-1)
	}
}
