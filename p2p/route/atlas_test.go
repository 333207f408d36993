package route

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
)

// What one lookup has found answers for other keys as if each had been looked up, while members
// come and go.
func TestAtlas(t *testing.T) {
	members := crowd(700, 3)
	rapid.Check(t, func(t *rapid.T) {
		there := slices.Clone(members[:600])
		var a Atlas
		start := time.Unix(1000, 0)
		for range rapid.IntRange(1, 20).Draw(t, "lookups") {
			key := crowd(1, rapid.IntRange(1, 1<<20).Draw(t, "key"))[0].Position
			found := NewSpace(there).Closest(key, 16)
			a.Add(Finding{Key: key, Members: found, Bits: whole(key, found, 16, false)}, start)
		}
		for i := range rapid.IntRange(0, 60).Draw(t, "changes") {
			if i%2 == 0 {
				there = append(there, members[600+i/2])
				a.Insert(members[600+i/2])
			} else {
				j := rapid.IntRange(0, len(there)-1).Draw(t, "goes")
				a.Remove(there[j].ID)
				there = slices.Delete(there, j, j+1)
			}
		}
		space := NewSpace(there)
		for i := range 50 {
			key := crowd(1, 7000+i)[0].Position
			part, known, ok := a.At(key, 3, start)
			if !ok {
				continue
			}
			if !part.Has(key) {
				t.Fatalf("the part of %d bits does not have the key", part.Bits)
			}
			got := NewSpace(known).Closest(key, 3)
			for j, m := range space.Closest(key, 3) {
				if got[j].ID != m.ID {
					t.Fatalf("the %d. nearest is somebody else", j+1)
				}
			}
		}
		if _, _, ok := a.At(p2p.Key{}, 3, start.Add(1)); ok {
			t.Fatal("what is too old is believed")
		}
		a.Forget(start.Add(1))
		if len(a.sheets) != 0 {
			t.Fatal("what is too old is not forgotten")
		}
	})
}

// A lookup that found fewer than it wanted has found all, unless somebody did not answer: then
// it answers for its own key only.
func TestAtlasSmall(t *testing.T) {
	members := crowd(3, 1)
	key, other := p2p.Key{1}, p2p.Key{200}
	for _, failed := range []bool{false, true} {
		var a Atlas
		a.Add(Finding{Key: key, Members: NewSpace(members).Closest(key, 16), Bits: whole(key, members, 16, failed)}, time.Unix(1, 0))
		if _, _, ok := a.At(key, 16, time.Time{}); !ok {
			t.Error("it does not answer for the key itself")
		}
		if _, _, ok := a.At(other, 2, time.Time{}); ok == failed {
			t.Errorf("some failed: %v; it answers for other keys: %v", failed, ok)
		}
		a.Remove(members[0].ID)
		if _, _, ok := a.At(key, 3, time.Time{}); failed && ok {
			t.Error("one has gone, and others may be there")
		}
	}
}

// Contacts know those who are linked, who asks, and who answers; a survey finds who is
// nearest to many keys with few lookups; and who is gone is forgotten.
func TestContacts(t *testing.T) {
	w := newTown(t, 64)
	contacts := make([]*Contacts, len(w.homes))
	changed := make([]atomic.Int64, len(w.homes)) // several lookups may tell at the same time
	for i, h := range w.homes {
		contacts[i] = NewContacts(ContactsOptions{Router: h.Router, Large: func() bool { return true }, Changed: func() { changed[i].Add(1) }})
		h.o.Nearest, h.o.Heard = contacts[i].Closest, contacts[i].Heard
		// To the nearest on both sides, and to one in each other eighth.
		for _, j := range []int{i + 1, i + 2, (i + 8) % 64, (i + 16) % 64, (i + 32) % 64} {
			if j < len(w.homes) {
				w.link(h, w.homes[j])
			}
		}
	}
	var keys []p2p.Key
	for i := range 256 {
		keys = append(keys, p2p.Key{byte(i / 4), byte(i)})
	}
	asked := 0
	one := make(chan int, 1)
	one <- 0
	left, err := contacts[5].Survey(t.Context(), keys, SurveyOptions{N: 3, Since: time.Now().Add(-Fresh), Lookups: 100}, func(Asked) {
		n := <-one
		one <- n + 1
	})
	asked = <-one
	if err != nil || left > 0 {
		t.Fatalf("%d keys are left: %v", left, err)
	}
	if asked > 400 {
		t.Errorf("%d questions for %d keys and %d members", asked, len(keys), len(w.homes))
	}
	others := make([]Member, 0, len(w.homes))
	for i, h := range w.homes {
		if i != 5 {
			others = append(others, w.all[h.self])
		}
	}
	for _, key := range keys {
		_, known, ok := contacts[5].At(key, 3, time.Now().Add(-Fresh))
		got := NewSpace(known).Closest(key, 3)
		for i, m := range NewSpace(others).Closest(key, 3) {
			if !ok || got[i].ID != m.ID {
				t.Fatalf("key %d: the %d. nearest is not known", key[0], i+1)
			}
		}
	}
	if left, err := contacts[5].Survey(t.Context(), []p2p.Key{{3, 99}, {9, 99}}, SurveyOptions{N: 60, Since: time.Now().Add(-Fresh)}, nil); left != 2 || err != nil {
		t.Errorf("without lookups: %d keys are left: %v", left, err)
	}
	// Those who were asked know who asked.
	if known := contacts[6].Siblings(); !slices.ContainsFunc(known, func(m Member) bool { return m.ID == w.homes[5].self }) {
		t.Error("who asks is not known")
	}
	gone := w.homes[4].self
	before := changed[5].Load()
	contacts[5].Failed(gone)
	if at(contacts[5].Siblings(), gone) >= 0 || at(contacts[5].Closest(p2p.Key{4}, 3), gone) >= 0 || changed[5].Load() == before {
		t.Error("who is gone is still known")
	}
	w.revoke(w.homes[6])
	if at(contacts[5].Members(), w.homes[6].self) >= 0 {
		t.Error("who was revoked is still known")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := contacts[5].Survey(ctx, []p2p.Key{{77, 1}}, SurveyOptions{N: 20, Lookups: 1}, nil); err == nil {
		t.Error("given up without an error")
	}
}

// In a small network the contacts are those who are linked, of each bucket as many as it holds.
func TestContactsSmall(t *testing.T) {
	w := newTown(t, 4)
	w.road(0, 1)
	w.road(0, 3)
	c := NewContacts(ContactsOptions{Router: w.homes[0].Router, Large: func() bool { return false }})
	c.Heard(w.all[w.homes[2].self])
	if got := c.Members(); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if n, known := c.Size(); n != 3 || !known {
		t.Errorf("%v members, known: %v", n, known)
	}
	// 1 shares seven bits with 0, and 3 shares six.
	b := c.Buckets()
	if len(b) != 8 || len(b[7]) != 1 || len(b[6]) != 1 || b[6][0].ID != w.homes[3].self {
		t.Errorf("%v", b)
	}
	delete(w.homes[0].links, w.homes[3].self)
	c.Look()
	if got := c.Members(); len(got) != 1 {
		t.Errorf("a link has ended: %v", got)
	}
}

// Nobody is not there by a strange chance.
func TestChanceOfNobody(t *testing.T) {
	if got := Chance(1000, p2p.Key{}, nil); got != 1 {
		t.Errorf("%v", got)
	}
}
