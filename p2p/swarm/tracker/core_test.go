package tracker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// sender is a member that says what it has, as an honest one does.
type sender struct {
	t      target
	own    map[seed.ID]*own
	seq    uint64
	number uint64
}

func newSender() *sender {
	return &sender{t: target{all: true, again: true}, own: map[seed.ID]*own{}}
}

func (s *sender) has(of seed.Seed, h Have, wants bool) {
	s.number++
	o := &own{Own: Own{Seed: of, Have: h, Wants: wants}, text: announced(of), version: s.number, loud: s.number, described: s.number}
	if old := s.own[of.ID()]; old != nil {
		o.described = old.described
	}
	s.own[of.ID()] = o
}

// tell brings a tracker up to date, and fails if the two do not know the same then.
func (s *sender) tell(t testing.TB, c *core, now time.Time, from p2p.ID) {
	t.Helper()
	for range 2 {
		var answer updated
		for _, m := range s.t.messages(s.own) {
			s.seq++
			m.update.Epoch, m.update.Seq = 1, s.seq
			var err error
			if answer, _, err = c.update(now, from, &m.update); err != nil {
				t.Fatal(err)
			}
			s.t.told, s.t.sum = m.told, m.sum
		}
		s.t.again = answer.Again
		if !answer.Again {
			return
		}
	}
	t.Error("the tracker does not know the same after everything was said")
}

// who returns the sources of a seed, in words.
func who(c *core, now time.Time, id seed.ID) string {
	var out []string
	for _, p := range c.peers(now, id, p2p.ID{}, func(p2p.ID) bool { return true }, rand.New(rand.NewPCG(1, 1))) {
		if p.Missed {
			continue
		}
		what := "all"
		if !p.Have.All {
			what = fmt.Sprint(p.Have.Count)
		}
		out = append(out, fmt.Sprintf("%s %s %s", names[p.ID], what, p.Told))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestTTL: what was said holds for 90 seconds and no longer, unless it is said again, in a few bytes.
func TestTTL(t *testing.T) {
	c, ada := newCore(member(9)), newSender()
	one := seedOf(t, "one.txt", "one")
	ada.has(one, Have{All: true}, false)
	now := start
	ada.tell(t, c, now, member(1))
	for range 10 {
		now = now.Add(TTL - time.Millisecond)
		c.expire(now)
		if got := who(c, now, one.ID()); got != "ada all itself" {
			t.Fatalf("%q", got)
		}
		m := ada.t.messages(ada.own)
		if b, err := m[0].pack(1<<63, 1<<20); err != nil || len(b) > 50 {
			t.Errorf("%d bytes to say that it still holds, %v", len(b), err)
		}
		ada.tell(t, c, now, member(1))
	}
	now = now.Add(TTL)
	if got := who(c, now, one.ID()); got != "" {
		t.Errorf("%q holds on", got)
	}
	if ids := c.expire(now); len(ids) != 1 || len(c.seeds) != 0 || len(c.accounts) != 0 || c.count != 0 || c.bytes != 0 {
		t.Errorf("%v have ended; %d seeds, %d members, %d sources, %d bytes are left", ids, len(c.seeds), len(c.accounts), c.count, c.bytes)
	}
}

// TestSaidAgain: a tracker that lost what it knew, and one that missed a message, are told everything.
func TestSaidAgain(t *testing.T) {
	c, ada := newCore(member(9)), newSender()
	one, two := seedOf(t, "one.txt", "one"), seedOf(t, "two.txt", "two")
	ada.has(one, Have{All: true}, false)
	ada.has(two, Have{All: true}, false)
	ada.tell(t, c, start, member(1))
	c.clear()
	ada.tell(t, c, start, member(1))
	if who(c, start, one.ID()) != "ada all itself" || who(c, start, two.ID()) != "ada all itself" {
		t.Error("it was not told everything")
	}
	delete(ada.own, two.ID())
	ada.t.messages(ada.own) // which never arrives
	ada.t.told = map[seed.ID]uint64{one.ID(): 1}
	ada.t.sum = mix(one.ID(), 1)
	ada.tell(t, c, start, member(1))
	if got := who(c, start, two.ID()); got != "" {
		t.Errorf("%q was not forgotten", got)
	}
}

// TestOvertaken: messages that come late, or twice, or are of another run, change nothing for long.
func TestOvertaken(t *testing.T) {
	c := newCore(member(9))
	one := seedOf(t, "one.txt", "one")
	say := func(epoch, seq uint64, gone bool) updated {
		u := &update{Epoch: epoch, Seq: seq, First: true, Count: 1, Sum: mix(one.ID(), seq)}
		if gone {
			u.Count, u.Sum = 0, 0
		} else {
			u.Has = []announcement{{ID: one.ID(), Version: seq, Have: have{All: true}, Text: announced(one)}}
		}
		a, _, err := c.update(start, member(1), u)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	say(1, 2, true)
	say(1, 1, false)
	if got := who(c, start, one.ID()); got != "" {
		t.Errorf("%q by an older message", got)
	}
	say(2, 1, false)
	if got := who(c, start, one.ID()); got != "ada all itself" {
		t.Errorf("%q in another run", got)
	}
	say(2, 1, true)
	if got := who(c, start, one.ID()); got != "ada all itself" {
		t.Errorf("%q after the same number again", got)
	}
}

// TestHearsay: what another says of a source ends soon, gives way to what it says itself, and is not
// believed of one that has just said the contrary.
func TestHearsay(t *testing.T) {
	c, ada := newCore(member(9)), newSender()
	one := seedOf(t, "one.txt", "one")
	id := one.ID()
	hear := func(now time.Time, of int, left time.Duration) {
		c.hear(now, id, TellsTracker, []heard{{id: member(of), have: Have{All: true}, left: left}})
	}
	hear(start, 2, 40*time.Second)
	hear(start, 3, 1000*time.Hour)
	hear(start, 9, time.Minute) // of itself
	if got := who(c, start, id); got != "ben all tracker, chi all tracker" {
		t.Errorf("%q", got)
	}
	if got := who(c, start.Add(40*time.Second), id); got != "chi all tracker" {
		t.Errorf("%q: longer than the source has said", got)
	}
	if got := who(c, start.Add(TTL), id); got != "" {
		t.Errorf("%q: for ever", got)
	}
	ada.has(one, Have{Count: 0}, true)
	ada.tell(t, c, start, member(1))
	hear(start, 1, time.Minute)
	if got := who(c, start, id); got != "ada 0 itself, ben all tracker, chi all tracker" {
		t.Errorf("%q: the source itself is believed", got)
	}
	delete(ada.own, id)
	ada.tell(t, c, start, member(1))
	hear(start.Add(time.Second), 1, time.Minute)
	if got := who(c, start.Add(time.Second), id); got != "ben all tracker, chi all tracker" {
		t.Errorf("%q: ada has said that it is gone", got)
	}
	c.expire(start.Add(TTL + time.Second))
	hear(start.Add(TTL+time.Second), 1, time.Minute)
	if got := who(c, start.Add(TTL+time.Second), id); got != "ada all tracker" {
		t.Errorf("%q: that was long ago", got)
	}
	if a := c.query(start.Add(TTL+time.Second), member(4), query{ID: id, Want: 9}, func(p2p.ID) bool { return true }, rand.New(rand.NewPCG(1, 1))); len(a.Peers) != 0 {
		t.Error("hearsay is passed on")
	}
	c.miss(start.Add(TTL+time.Second), id, member(1))
	hear(start.Add(TTL+2*time.Second), 1, time.Minute)
	if got := who(c, start.Add(TTL+2*time.Second), id); got != "" {
		t.Errorf("%q: it was not there", got)
	}
}

// TestMissed: a lie costs one question, and the next one a longer time after it.
func TestMissed(t *testing.T) {
	c, ada := newCore(member(9)), newSender()
	one := seedOf(t, "one.txt", "one")
	ada.has(one, Have{All: true}, false)
	ada.tell(t, c, start, member(1))
	now, asked := start, 0
	for now.Before(start.Add(time.Hour)) {
		if who(c, now, one.ID()) != "" {
			asked++
			c.miss(now, one.ID(), member(1))
		}
		ada.has(one, Have{All: true}, false) // it says so again and again
		ada.tell(t, c, now, member(1))
		now = now.Add(time.Second)
		c.expire(now)
	}
	if asked < 5 || asked > 20 {
		t.Errorf("it was asked %d times in an hour", asked)
	}
}

// TestTexts: who lies about a seed's length does not hide what others say of it.
func TestTexts(t *testing.T) {
	c := newCore(member(9))
	one := seedOf(t, "one.txt", "one")
	lie := one
	layout, err := seed.LayoutOf(1 << 40)
	if err != nil {
		t.Fatal(err)
	}
	lie.Layout, lie.Pieces, lie.List, lie.Name = layout, nil, chunk.Hash{1}, "lie.txt"
	for i, s := range []seed.Seed{lie, one, one} {
		from := newSender()
		from.has(s, Have{All: true}, false)
		from.tell(t, c, start, member(i+1))
	}
	first := func() seed.Seed { return c.seeds[one.ID()].candidates()[0].seed }
	if got := first(); got.Name != "one.txt" || got.Size != one.Size {
		t.Errorf("of two against one: %q, %d bytes", got.Name, got.Size)
	}
	c.unlinked(start, member(3))
	if got := first(); got.Name != "lie.txt" {
		t.Errorf("of equals, the first: %q", got.Name)
	}
	c.refute(start, one.ID(), lie)
	if got := first(); got.Name != "one.txt" {
		t.Errorf("after it was found out: %q", got.Name)
	}
	if got := who(c, start, one.ID()); got != "ben all itself" {
		t.Errorf("%q: who told the lie is left alone", got)
	}
	wrong := announcement{ID: one.ID(), Version: 1, Have: have{All: true}, Text: announced(seedOf(t, "two.txt", "two"))}
	if _, _, err := c.update(start, member(4), &update{Epoch: 1, Seq: 1, Has: []announcement{wrong}}); err != nil {
		t.Fatal(err)
	}
	if got := who(c, start, one.ID()); got != "ben all itself" {
		t.Errorf("%q: the text of another seed", got)
	}
}

// TestRank: who has all of it before who has a part, then the faster, then the linked; and equal ones
// so that those who ask at the same time do not all ask the same.
func TestRank(t *testing.T) {
	c := newCore(member(0))
	many := big(t, "big.bin", 32)
	id := many.ID()
	say := func(i int, h Have, up int64) {
		s := newSender()
		s.has(many, h, false)
		s.own[id].Up = up
		s.tell(t, c, start, member(i))
	}
	say(1, Have{Count: 3, Runs: []Run{{0, 3}}}, 100<<20)
	say(2, Have{All: true}, 1<<20)
	say(3, Have{All: true}, 8<<20)
	say(4, Have{}, 1<<30)
	say(5, Have{All: true}, 1<<20)
	order := func(seed uint64) string {
		var out []string
		for _, p := range c.peers(start, id, member(0), func(id p2p.ID) bool { return id == member(5) }, rand.New(rand.NewPCG(seed, 1))) {
			out = append(out, names[p.ID])
		}
		return strings.Join(out, " ")
	}
	if got := order(1); got != "chi eve ben ada dan" {
		t.Errorf("%s", got)
	}
	for i := 10; i < 40; i++ {
		say(i, Have{All: true}, 8<<20)
	}
	first := map[p2p.ID]int{}
	random := rand.New(rand.NewPCG(2, 2))
	for range 3100 {
		first[c.peers(start, id, member(0), func(p2p.ID) bool { return true }, random)[0].ID]++
	}
	for id, n := range first {
		if n < 50 || n > 170 {
			t.Errorf("%s is first %d times, want about 100", names[id], n)
		}
	}
	if len(first) != 31 {
		t.Errorf("%d of 31 equal ones are ever first", len(first))
	}
}

// TestSlice: those who download a seed at the same time get different numbers, and agree on how many
// they are.
func TestSlice(t *testing.T) {
	many := big(t, "big.bin", 32)
	id := many.ID()
	c := newCore(member(99))
	for i := range 10 {
		s := newSender()
		s.has(many, Have{All: i == 0}, i > 0)
		s.tell(t, c, start, member(i))
	}
	paused := newSender() // it has a part, and does not go on
	paused.has(many, Have{Count: 1}, false)
	paused.tell(t, c, start, member(50))
	seen := map[int]bool{}
	for i := 1; i < 10; i++ {
		k, n := c.slice(start, id, member(i))
		if n != 9 || seen[k] || k < 0 || k >= 9 {
			t.Errorf("member %d is number %d of %d", i, k, n)
		}
		seen[k] = true
	}
	if _, n := c.slice(start, id, member(77)); n != 10 {
		t.Errorf("who is new is one of %d", n)
	}
	if k, n := c.slice(start, seedOf(t, "x", "x").ID(), member(1)); k != 0 || n != 1 {
		t.Errorf("alone: %d of %d", k, n)
	}
}

// TestBounds: nobody can make a tracker keep more than it has room for, whatever he says.
func TestBounds(t *testing.T) {
	c := newCore(member(9))
	now := start
	from := func(id p2p.ID, has []announcement) {
		u := &update{Epoch: 1, Seq: uint64(now.UnixNano()), Has: has}
		if _, _, err := c.update(now, id, u); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Microsecond)
	}
	say := func(i int, has []announcement) { from(member(i), has) }
	id := number
	for part := range 3 * MaxSeeds / 100 { // seeds of one member
		var has []announcement
		for i := range 100 {
			has = append(has, announcement{ID: id(100*part + i), Version: 1, Name: "x", Size: 1 << 40, Have: have{Count: MaxPieces}})
		}
		say(1, has)
	}
	if n := len(c.accounts[member(1)].seeds); n != MaxSeeds || len(c.seeds) != MaxSeeds {
		t.Errorf("%d seeds of one member, %d altogether", n, len(c.seeds))
	}
	for i := range 2 * maxSources { // sources of one seed
		from(p2p.ID(number(10+i)), []announcement{{ID: id(0), Version: 1, Have: have{All: true}}})
	}
	if n := len(c.seeds[id(0)].sources); n != maxSources {
		t.Errorf("%d sources of one seed", n)
	}
	var hearsay []heard
	for i := range 2 * maxSources {
		hearsay = append(hearsay, heard{id: p2p.ID(number(1e6 + i)), left: time.Hour})
	}
	c.hear(now, id(1), TellsTable, hearsay)
	if n := len(c.seeds[id(1)].sources); n != maxSources {
		t.Errorf("%d sources of one seed by hearsay", n)
	}
	say(7, []announcement{{ID: id(1), Version: 1, Have: have{All: true}}})
	if s := c.seeds[id(1)].sources[member(7)]; s == nil {
		t.Error("hearsay is in the way of what a source says itself")
	}
	for _, bad := range []have{
		{All: true, Count: 1},
		{Count: MaxPieces + 1},
		{Count: 1, Runs: []uint32{0, 2}},
		{Count: 9, Runs: []uint32{1}},
		{Count: 5, Runs: []uint32{0, 1, 0, 1}},
		{Count: 5, Runs: []uint32{0, 0}},
		{Count: 1, Runs: []uint32{1 << 31, 1}},
		{Count: 100, Runs: make([]uint32, 2*MaxRuns+2)},
		{Count: 2, Runs: []uint32{MaxPieces - 1, 2}},
	} {
		say(8, []announcement{{ID: id(50), Version: 1, Have: bad}})
		if c.seeds[id(50)].sources[member(8)] != nil {
			t.Errorf("%+v is believed", bad)
		}
	}
	few := seedOf(t, "one.txt", "one")
	say(8, []announcement{{ID: few.ID(), Version: 1, Text: announced(few), Have: have{Count: 2}}})
	if c.seeds[few.ID()] != nil {
		t.Error("two pieces of one")
	}
	c.expire(now.Add(time.Hour))
	if c.count != 0 || len(c.seeds) != 0 || len(c.accounts) != 0 || c.bytes != 0 || len(c.meters) != 0 {
		t.Errorf("%d sources, %d seeds, %d members, %d bytes, %d meters are left", c.count, len(c.seeds), len(c.accounts), c.bytes, len(c.meters))
	}
}

// TestNames: what others call their seeds can be shown.
func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"lecture.mp4": "lecture.mp4", "a\x1b[31mb\n": "a[31mb", "invoice\u202efdp.exe": "invoicefdp.exe", "b\xff\xfe": "b", "a\u200bb": "ab",
		strings.Repeat("ü", 300): strings.Repeat("ü", 127),
	} {
		if got := CleanName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestHaveOf: a summary says what there is, or the longest of it.
func TestHaveOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "n")
		bits := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "bits")
		h := HaveOf(n, func(i int) bool { return bits[i] })
		back, err := h.pack().unpack()
		if err != nil || !back.Equal(h) {
			t.Fatalf("%+v came back as %+v, %v", h, back, err)
		}
		count, told := 0, 0
		for i, is := range bits {
			if is {
				count++
			}
			if h.Has(i) {
				told++
				if !is {
					t.Fatalf("%d is not there", i)
				}
			}
		}
		switch {
		case h.All != (count == n), !h.All && h.Count != count:
			t.Fatalf("%+v of %d", h, count)
		case len(h.Runs) < MaxRuns && told != count:
			t.Fatalf("%d of %d pieces are told in %d runs", told, count, len(h.Runs))
		}
	})
}

// TestSameKnowledge: whatever changes and whichever messages are lost, after a message that arrives the
// tracker knows what the sender has.
func TestSameKnowledge(t *testing.T) {
	var all []seed.Seed
	for i := range 6 {
		all = append(all, seedOf(t, fmt.Sprintf("%d.txt", i), fmt.Sprint("content ", i)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		c, s := newCore(member(9)), newSender()
		now := start
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now = now.Add(time.Second)
			one := all[rapid.IntRange(0, len(all)-1).Draw(rt, "seed")]
			switch rapid.SampledFrom([]string{"has", "wants", "gone", "lost", "tell", "forget", "unlink", "restart"}).Draw(rt, "what") {
			case "has":
				s.has(one, Have{All: true}, false)
			case "wants":
				s.has(one, Have{}, true)
			case "gone":
				delete(s.own, one.ID())
			case "lost": // the answer: the sender does not know that it has arrived
				m := s.t.messages(s.own)[0]
				s.seq++
				m.update.Epoch, m.update.Seq = 1, s.seq
				if _, _, err := c.update(now, member(1), &m.update); err != nil {
					rt.Fatal(err)
				}
			case "tell":
				s.tell(t, c, now, member(1))
			case "forget":
				c.clear()
			case "unlink":
				c.unlinked(now, member(1))
			case "restart":
				kept := keepAll(rt, c)
				c = newCore(member(9))
				c.restore(now, kept)
			}
		}
		s.tell(t, c, now, member(1))
		for _, one := range all {
			want := ""
			if o := s.own[one.ID()]; o != nil {
				want = map[bool]string{true: "ada all itself", false: "ada 0 itself"}[o.Have.All]
			}
			if got := who(c, now, one.ID()); got != want {
				rt.Fatalf("%s: %q, want %q", one.Name, got, want)
			}
		}
		if sum := c.accounts[member(1)].sum; sum != s.t.sum {
			rt.Fatalf("sums %x and %x", sum, s.t.sum)
		}
	})
}

// keepAll returns what a store has in which all was kept.
func keepAll(t interface{ Fatal(...any) }, c *core) Kept {
	for id, e := range c.seeds {
		c.dirty.text(id)
		for of := range e.sources {
			c.dirty.source(id, of)
		}
	}
	for id := range c.accounts {
		c.dirty.member(id)
	}
	change, err := c.change()
	if err != nil {
		t.Fatal(err)
	}
	k := Kept{Members: change.Members, Sources: change.Sources}
	for _, texts := range change.Texts {
		k.Texts = append(k.Texts, texts...)
	}
	return k
}

// FuzzUpdate: whatever a member sends is taken or refused, and bounded.
func FuzzUpdate(f *testing.F) {
	one := seedOf(f, "one.txt", "one")
	for _, u := range []update{
		{Epoch: 1, Seq: 1, First: true, Has: []announcement{{ID: one.ID(), Version: 1, Text: announced(one), Have: have{All: true}}}},
		{Epoch: 1, Seq: 2, Gone: []seed.ID{one.ID()}},
		{Epoch: 1, Seq: 3, End: true},
		{Epoch: 1, Seq: 4, More: true, Has: []announcement{{ID: seed.ID{1}, Name: "x", Size: -1, Have: have{Count: 7, Runs: []uint32{1, 2, 3, 4}}}}},
	} {
		b, err := wire.Marshal(request{Update: &u})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := New(t.Context(), Options{ID: member(9)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			resp, err := s.HandleCall(t.Context(), member(1), b)
			if err == nil && len(resp) > 64<<10 {
				t.Fatalf("an answer of %d bytes", len(resp))
			}
		}
		if _, err := s.core.change(); err != nil {
			t.Fatal(err)
		}
		s.core.expire(start.Add(1e6 * time.Hour))
		if n := len(s.core.seeds); n != 0 {
			t.Fatalf("%d seeds never end", n)
		}
	})
}

// TestTooManyCalls: ten thousand announcements a second of one member are refused without a look at
// most of them, and nobody else notices.
func TestTooManyCalls(t *testing.T) {
	now := start
	s, err := New(t.Context(), Options{ID: member(9), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	served, refused := 0, 0
	for i := range 10_000 {
		now = now.Add(100 * time.Microsecond)
		u := update{Epoch: 1, Seq: uint64(i + 1), Has: []announcement{{ID: number(i), Version: uint64(i), Have: have{All: true}, Name: "x", Size: 1 << 40}}}
		req, err := wire.Marshal(request{Update: &u})
		if err != nil {
			t.Fatal(err)
		}
		var coded *p2p.CallError
		switch _, err = s.HandleCall(t.Context(), member(1), req); {
		case err == nil:
			served++
		case errors.As(err, &coded) && coded.Code == codeBusy:
			refused++
		default:
			t.Fatal(err)
		}
	}
	if most := callsBurst + callsRate; served > most+1 || served+refused != 10_000 {
		t.Errorf("%d of 10000 in a second were served, %d refused", served, refused)
	}
	if len(s.core.seeds) > served {
		t.Errorf("%d seeds of %d messages", len(s.core.seeds), served)
	}
	taken := 0
	for i := range 100 { // of another one, who says much with each message
		u := update{Epoch: 1, Seq: uint64(i + 1)}
		for k := range 500 {
			u.Has = append(u.Has, announcement{ID: number(k), Version: uint64(i), Have: have{All: true}})
		}
		req, err := wire.Marshal(request{Update: &u})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.HandleCall(t.Context(), member(3), req); err == nil {
			taken += 500
		}
	}
	if taken > entriesBurst {
		t.Errorf("%d announcements at once are taken", taken)
	}
	req, err := wire.Marshal(request{Query: &query{ID: number(0), Want: 5}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.HandleCall(t.Context(), member(2), req); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}
