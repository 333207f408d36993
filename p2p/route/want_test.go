package route

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// crowd makes n members at positions that depend on nothing but the seed.
func crowd(n, seed int) []Member {
	members := make([]Member, n)
	for i := range members {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], uint64(seed))
		binary.BigEndian.PutUint64(b[8:], uint64(i))
		members[i].Position = sha256.Sum256(b[:])
		binary.BigEndian.PutUint32(members[i].ID[:], uint32(i+1))
	}
	return members
}

// byDistance is the oracle: sorted by brute force.
func byDistance(members []Member, key p2p.Key) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int {
		return cmp.Or(a.Position.Distance(key).Compare(b.Position.Distance(key)), a.ID.Compare(b.ID))
	})
}

func TestSpaceClosest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few bits in the front, so that prefixes are shared and positions coincide.
		members := make([]Member, rapid.IntRange(0, 40).Draw(t, "n"))
		for i := range members {
			members[i].ID = p2p.ID{byte(i + 1)}
			members[i].Position = p2p.Key{rapid.Byte().Draw(t, "front"), 31: rapid.Byte().Draw(t, "back")}
		}
		key := p2p.Key{rapid.Byte().Draw(t, "front of key"), 31: rapid.Byte().Draw(t, "back of key")}
		n := rapid.IntRange(0, 45).Draw(t, "count")
		want := byDistance(members, key)
		want = want[:min(n, len(want))]
		if got := NewSpace(members).Closest(key, n); !slices.EqualFunc(got, want, func(a, b Member) bool { return a.ID == b.ID }) {
			t.Fatalf("%d nearest: %v, want %v", n, got, want)
		}
	})
}

// In a small network everybody wants everybody. In a larger one there are not more than 64,
// among them those who are nearest.
func TestWant(t *testing.T) {
	for _, n := range []int{1, 2, MaxMesh, MaxMesh + 1, 64, 65, 66, 200, 1000, 5000} {
		members := crowd(n, 1)
		for _, m := range members[:min(n, 60)] {
			want := Want(m.ID, members, nil)
			if n <= MaxMesh && len(want) != n-1 || len(want) > max(MaxLinks, MaxMesh) {
				t.Fatalf("of %d members %d are wanted", n, len(want))
			}
			if slices.Contains(want, m.ID) || len(slices.Compact(slices.SortedFunc(slices.Values(want), p2p.ID.Compare))) != len(want) {
				t.Fatal("somebody wants itself, or somebody else twice")
			}
			for _, sibling := range byDistance(members, m.Position)[1:min(n, Siblings+1)] {
				if !slices.Contains(want, sibling.ID) {
					t.Fatalf("of %d members a sibling is not wanted", n)
				}
			}
		}
	}
	if got := Want(p2p.ID{9, 9, 9, 9}, crowd(100, 1), nil); got != nil {
		t.Errorf("who is no member wants %d", len(got))
	}
}

// Links that there are suffice, so that a join or a leave changes few.
func TestWantIsStable(t *testing.T) {
	members := crowd(1000, 1)
	byID := map[p2p.ID]Member{}
	for _, m := range members {
		byID[m.ID] = m
	}
	changed := 0
	for _, m := range members[:100] {
		var linked []Member
		for _, id := range Want(m.ID, members, nil) {
			linked = append(linked, byID[id])
		}
		now := Want(m.ID, append(slices.Clone(members), crowd(10, 2)...), linked)
		for _, l := range linked {
			if !slices.Contains(now, l.ID) {
				changed++
			}
		}
	}
	if changed > 200 { // of 6400; ten newcomers are siblings of a few
		t.Errorf("ten newcomers among 1000 changed %d of 6400 links", changed)
	}
}

// Greedy forwarding over the links that members want ends at the member nearest to the key,
// in few hops. The sizes that take long are in e2e/bench/route.
func TestGreedyForwarding(t *testing.T) {
	for n, most := range map[int]int{30: 1, 100: 2, 300: 3, 1000: 3} {
		members := crowd(n, 3)
		space := NewSpace(members)
		links := make([][]Member, n)
		at := func(id p2p.ID) int { return int(binary.BigEndian.Uint32(id[:]) - 1) }
		for i, m := range members {
			for _, id := range space.Want(m.ID, nil) {
				links[i] = append(links[i], members[at(id)])
			}
		}
		random := rand.New(rand.NewPCG(1, uint64(n)))
		var hops []int
		for range 2000 {
			key := crowd(1, random.Int())[0].Position
			target := space.Closest(key, 1)[0]
			here, h := random.IntN(n), 0
			for members[here].ID != target.ID {
				ahead := Ahead(members[here].Position, target.Position, slices.Clone(links[here]))
				if len(ahead) == 0 || h > MaxHops {
					t.Fatalf("n=%d: a dead end after %d hops", n, h)
				}
				here, h = at(ahead[0].ID), h+1
			}
			hops = append(hops, h)
		}
		slices.Sort(hops)
		if p95 := hops[len(hops)*95/100]; p95 > most {
			t.Errorf("n=%d: %d hops at the 95th percentile, want %d", n, p95, most)
		}
	}
}

func TestDigits(t *testing.T) {
	for n := MaxMesh + 1; n < 1<<22; n = n*5/4 + 1 {
		d := digits(n)
		total := 0
		for _, bits := range d {
			total += bits
		}
		if cost(d) > MaxLinks-Siblings || math.Exp2(float64(total)) < float64(n)/16 {
			t.Errorf("n=%d: digits %v take %d links and tell %d bits", n, d, cost(d), total)
		}
	}
}
