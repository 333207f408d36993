package route

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestTableOldest(t *testing.T) {
	self := Member{ID: p2p.ID{1}}
	table := NewTable(self, KeepOldest)
	// All have no bit in common with self, and are far: one bucket, and the siblings.
	far := func(i int) Member { return Member{ID: p2p.ID{2, byte(i)}, Position: p2p.Key{0x80, byte(i)}} }
	for i := range 20 {
		table.Insert(far(40 - i))
	}
	for i := range Siblings { // nearer than all of those
		table.Insert(Member{ID: p2p.ID{3, byte(i)}, Position: p2p.Key{0, 1, byte(i + 1)}})
	}
	added, doubt := table.Insert(far(50))
	if added || doubt.ID != far(40).ID {
		t.Errorf("a newcomer at a full bucket: %t, in doubt is %v", added, doubt.ID)
	}
	if added, _ = table.Insert(far(40)); !added { // it is alive
		t.Error("who is known is not known")
	}
	if _, doubt = table.Insert(far(50)); doubt.ID != far(39).ID {
		t.Errorf("in doubt is %v, who was not seen for longest is %v", doubt.ID, far(39).ID)
	}
	table.Remove(far(39).ID)
	if added, _ = table.Insert(far(50)); !added {
		t.Error("there is room, and nobody gets it")
	}
	if added, _ := table.Insert(self); added {
		t.Error("a node is in its own table")
	}
}

// Whatever happens to a table, no bucket has more than K, its siblings are the nearest of
// all that it knows, and Closest is right about those.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom([]Rule{KeepOldest, KeepNearest}).Draw(t, "rule")
		self := Member{ID: p2p.ID{0xff}, Position: p2p.Key{rapid.Byte().Draw(t, "self")}}
		table := NewTable(self, rule)
		known := map[p2p.ID]Member{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			id := rapid.IntRange(1, 60).Draw(t, "who")
			m := crowd(id, 5)[id-1]
			if rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				table.Remove(m.ID)
				delete(known, m.ID)
				continue
			}
			if added, doubt := table.Insert(m); added {
				known[m.ID] = m
			} else if (rule == KeepOldest) == doubt.ID.IsZero() {
				t.Fatalf("not added, in doubt %v", doubt.ID)
			}
		}
		for i, b := range table.buckets {
			if len(b) > K {
				t.Fatalf("bucket %d has %d", i, len(b))
			}
			for _, m := range b {
				if m.Position.CommonPrefixLen(self.Position) != i {
					t.Fatal("in the wrong bucket")
				}
			}
		}
		all := table.Members()
		for _, m := range all {
			if _, ok := known[m.ID]; !ok {
				t.Fatalf("%v was removed", m.ID)
			}
		}
		same := func(a, b Member) bool { return a.ID == b.ID }
		if want := byDistance(all, self.Position); !slices.EqualFunc(table.Siblings(), want[:min(len(want), Siblings)], same) {
			t.Fatalf("siblings %v", table.Siblings())
		}
		key := p2p.Key{rapid.Byte().Draw(t, "key")}
		if want := byDistance(all, key); !slices.EqualFunc(table.Closest(key, 5), want[:min(len(want), 5)], same) {
			t.Fatal("Closest is wrong")
		}
	})
}

// Of those who cannot choose their positions the nearest are kept.
func TestTableNearest(t *testing.T) {
	members := crowd(2000, 7)
	table := NewTable(members[0], KeepNearest)
	for _, m := range members[1:] {
		table.Insert(m)
	}
	want := byDistance(members[1:], members[0].Position)
	for i := range 8 {
		var bucket []Member
		for _, m := range want {
			if m.Position.CommonPrefixLen(members[0].Position) == i {
				bucket = append(bucket, m)
			}
		}
		for _, m := range bucket[:min(len(bucket), K)] {
			if at(table.buckets[i], m.ID) < 0 {
				t.Errorf("bucket %d does not have one of the nearest", i)
			}
		}
	}
}
