package tracker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var names = map[p2p.ID]string{member(1): "ada", member(2): "ben", member(3): "chi", member(4): "dan", member(5): "eve"}

// TestTell: what a node has is known to all it is linked to in a moment, and what it has no more is
// not.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben := n.start(1, Options{}), n.start(2, Options{})
		lecture := seedOf(t, "lecture.txt", "all about trackers")
		id := lecture.ID()
		want := func(who *node, want string) {
			t.Helper()
			if got := who.sourcesOf(id, names); got != want {
				t.Errorf("%s knows %q, want %q", names[who.id], got, want)
			}
		}
		time.Sleep(time.Second)
		ada.Announce(Own{Seed: lecture, Have: Have{All: true}})
		time.Sleep(2 * debounce)
		want(ben, "ada all itself")
		if l, _ := ben.List(ListOptions{}); len(l) != 1 || l[0].Name != "lecture.txt" || l[0].Whole != 1 || l[0].Size != lecture.Size {
			t.Errorf("%+v", l)
		}
		if s, err := ben.Text(t.Context(), id); err != nil || s.Name != "lecture.txt" || s.List != lecture.List {
			t.Errorf("%+v, %v", s, err)
		}
		chi := n.start(3, Options{})
		time.Sleep(2 * debounce)
		want(chi, "ada all itself")
		ben.Announce(Own{Seed: lecture, Wants: true})
		time.Sleep(2 * debounce)
		want(chi, "ada all itself, ben nothing itself")
		time.Sleep(10 * time.Minute)
		want(chi, "ada all itself, ben nothing itself")
		ada.Withdraw(id)
		time.Sleep(2 * debounce)
		want(chi, "ben nothing itself")
		want(ben, "")
		n.crash(ben)
		time.Sleep(time.Millisecond)
		want(chi, "")
		if l, _ := chi.List(ListOptions{}); len(l) != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// TestNamedTracker: a tracker that a seed names is told without a link, and tells who asks it.
func TestNamedTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		hub, ada, ben := n.start(1, Options{}), n.start(2, Options{}), n.start(3, Options{})
		for _, pair := range [][2]p2p.ID{{hub.id, ada.id}, {hub.id, ben.id}, {ada.id, ben.id}} {
			n.link(pair[0], pair[1], false)
		}
		s := seedOf(t, "lecture.txt", "all about trackers")
		s.Trackers = []p2p.ID{hub.id, ada.id, member(77)} // itself, and one that is not there
		id := s.ID()
		ada.Announce(Own{Seed: s, Have: Have{All: true}})
		time.Sleep(2 * debounce)
		if got := hub.sourcesOf(id, names); got != "ben all itself" {
			t.Errorf("the tracker knows %q", got)
		}
		if peers, err := ben.Sources(t.Context(), id, 1); len(peers) != 0 || err != nil {
			t.Errorf("whom should it have asked? %v, %v", peers, err)
		}
		// A downloader has the link of the seed, and with it the tracker.
		fromLink := seed.Seed{Name: s.Name, Layout: s.Layout, Root: s.Root, Trackers: s.Trackers[:1]}
		ben.Announce(Own{Seed: fromLink, Wants: true})
		time.Sleep(askEvery)
		peers, err := ben.Sources(t.Context(), id, 1)
		if err != nil || len(peers) != 1 || peers[0].ID != ada.id || peers[0].Told != TellsTracker || peers[0].TTL > TTL {
			t.Errorf("%+v, %v", peers, err)
		}
		if i, of := ben.Slice(id); i != 0 || of != 1 {
			t.Errorf("part %d of %d", i, of)
		}
		text, err := ben.Text(t.Context(), id)
		if err != nil || text.List != s.List || len(text.Trackers) != 3 {
			t.Errorf("%+v, %v", text, err)
		}
		time.Sleep(3 * TTL) // it is told again and again
		if got := hub.sourcesOf(id, names); got != "ben all itself, chi nothing itself" {
			t.Errorf("the tracker knows %q", got)
		}
		n.crash(ada)
		time.Sleep(TTL)
		if got := hub.sourcesOf(id, names); got != "chi nothing itself" {
			t.Errorf("the tracker knows %q of one that has gone", got)
		}
	})
}

// TestTable: a source that nobody has told of is found in the table, for as long as it lives, and not any
// more when it was withdrawn.
func TestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		shared := newTable()
		ada := n.start(1, Options{Table: tableOf{shared, identityOf(1)}})
		ben := n.start(2, Options{Table: tableOf{shared, identityOf(2)}})
		n.link(ada.id, ben.id, false)
		s, more := seedOf(t, "lecture.txt", "all about trackers"), seedOf(t, "more.txt", "more")
		id := s.ID()
		shared.breaks(true)
		ada.Announce(Own{Seed: s, Have: Have{All: true}})
		ada.Announce(Own{Seed: more, Wants: true}) // who has nothing helps nobody
		time.Sleep(time.Minute)
		shared.breaks(false)
		time.Sleep(tableRetry)
		for range 20 { // for as long as it is there
			time.Sleep(time.Minute)
			peers, err := ben.Sources(t.Context(), id, 1)
			if err != nil || len(peers) != 1 || peers[0].Told != TellsTable || !peers[0].Have.All || peers[0].TTL > TTL {
				t.Fatalf("%+v, %v", peers, err)
			}
		}
		if puts := shared.breaks(false); puts < 4 || puts > 8 {
			t.Errorf("%d puts in twenty minutes", puts)
		}
		if text, err := ben.Text(t.Context(), id); err != nil || text.Name != s.Name {
			t.Errorf("%+v, %v", text, err)
		}
		// Others write in the names of one that has the seed, and of one that has not.
		for _, of := range []int{1, 4} {
			liar := tableOf{shared, identityOf(of + 5)}
			value, err := wire.Marshal(record{Gone: of == 1, Have: have{All: of == 4}})
			if err != nil {
				t.Fatal(err)
			}
			put := dht.Put{Address: dht.Address{Location: Location(id), Domain: p2p.Key(member(of)), Content: p2p.Key{1}}, Value: value, TTL: time.Hour}
			if _, _, err := liar.MultiPut(t.Context(), []dht.Put{put}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(TTL)
		if peers, err := ben.Sources(t.Context(), id, 5); err != nil || len(peers) != 1 || peers[0].ID != ada.id {
			t.Errorf("%+v, %v", peers, err)
		}
		ada.Withdraw(id)
		time.Sleep(askEvery)
		if peers, err := ben.Sources(t.Context(), id, 5); err != nil || len(peers) != 0 {
			t.Errorf("withdrawn, and yet %+v, %v", peers, err)
		}
		ada.Announce(Own{Seed: s, Have: Have{All: true}})
		time.Sleep(TTL)
		if peers, err := ben.Sources(t.Context(), id, 5); err != nil || len(peers) != 1 {
			t.Errorf("there again, and yet %+v, %v", peers, err)
		}
		if err := ada.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(askEvery)
		if peers, err := ben.Sources(t.Context(), id, 5); err != nil || len(peers) != 0 {
			t.Errorf("it has left, and yet %+v, %v", peers, err)
		}
	})
}

// TestRestart: a tracker that starts again answers as before, until what it was told ends.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		disk := &Memory{}
		hub, ada := n.start(1, Options{Store: disk}), n.start(2, Options{})
		s := big(t, "big.bin", 20)
		half := HaveOf(20, func(i int) bool { return i%2 == 0 })
		ada.Announce(Own{Seed: s, Have: half, Up: 5 << 20, Wants: true})
		time.Sleep(keepEvery + tick)
		n.crash(hub)
		n.mu.Lock()
		n.down[ada.id] = true // it is not there when the tracker comes back
		n.mu.Unlock()
		time.Sleep(10 * time.Second)
		hub = n.start(1, Options{Store: disk})
		peers := hub.known(s.ID())
		if len(peers) != 1 || peers[0].ID != ada.id || !peers[0].Have.Equal(half) || peers[0].Rate != 5<<20 || !peers[0].Wants || peers[0].TTL < time.Minute {
			t.Errorf("%+v", peers)
		}
		if text, err := hub.Text(t.Context(), s.ID()); err != nil || text.Name != "big.bin" || text.Size != s.Size {
			t.Errorf("%+v, %v", text, err)
		}
		time.Sleep(TTL)
		if peers := hub.known(s.ID()); len(peers) != 0 {
			t.Errorf("%+v hold for ever", peers)
		}
		time.Sleep(keepEvery + tick)
		if k, err := disk.Load(t.Context()); err != nil || len(k.Members)+len(k.Sources)+len(k.Texts) != 0 {
			t.Errorf("%+v is kept, %v", k, err)
		}
	})
}

// TestMany: thousands of seeds are told in parts of which each goes without a link, and that they hold,
// in a few bytes.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben := n.start(1, Options{}), n.start(2, Options{})
		layout, err := seed.LayoutOf(100 << 20)
		if err != nil {
			t.Fatal(err)
		}
		const many = 3000
		for i := range many {
			ada.Announce(Own{Seed: seed.Seed{Name: fmt.Sprintf("file %d.bin", i), Layout: layout, Root: chunk.Hash(number(i)), List: chunk.Hash(number(i + 1))}, Have: Have{All: true}})
		}
		time.Sleep(5 * time.Second)
		if s := ben.Status(); s.Seeds != many || s.Sources != many {
			t.Errorf("%+v", s)
		}
		n.mu.Lock()
		told := n.bytes
		n.mu.Unlock()
		if told > many*800 {
			t.Errorf("%d bytes for %d seeds", told, many)
		}
		time.Sleep(5 * time.Minute)
		n.mu.Lock()
		again := n.bytes - told
		n.mu.Unlock()
		if again > 2*20*60 {
			t.Errorf("%d bytes in five minutes to say that they hold", again)
		}
		if s := ben.Status(); s.Sources != many {
			t.Errorf("%+v", s)
		}
		page, next := ben.List(ListOptions{Query: "FILE", Limit: 2000})
		rest, end := ben.List(ListOptions{Query: "file", After: next, Limit: 2000})
		if len(page) != 2000 || len(rest) != 1000 || next == "" || end != "" || page[1999].Name >= rest[0].Name {
			t.Errorf("pages of %d and %d, %q", len(page), len(rest), end)
		}
	})
}

// TestHanging: who asks waits no longer than a few seconds for trackers that never answer, and does
// not ask them again at once.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada := n.start(1, Options{})
		s := seedOf(t, "lecture.txt", "all about trackers")
		s.Trackers = []p2p.ID{member(70), member(71), member(72)}
		ada.Announce(Own{Seed: s, Wants: true})
		time.Sleep(time.Second)
		began := time.Now()
		if peers, err := ada.Sources(t.Context(), s.ID(), 1); len(peers) != 0 || err != nil {
			t.Errorf("%+v, %v", peers, err)
		}
		if took := time.Since(began); took > askTimeout {
			t.Errorf("it took %v", took)
		}
		n.mu.Lock()
		calls := n.calls[member(70)]
		n.mu.Unlock()
		for range 10 { // at once
			if _, err := ada.Sources(t.Context(), s.ID(), 1); err != nil {
				t.Error(err)
			}
		}
		n.mu.Lock()
		if again := n.calls[member(70)] - calls; again > 1 {
			t.Errorf("%d more calls", again)
		}
		n.mu.Unlock()
		asked := 0
		for range 600 { // for ten minutes
			began := time.Now()
			if _, err := ada.Sources(t.Context(), s.ID(), 1); err != nil {
				t.Error(err)
			}
			if time.Since(began) > 0 {
				asked++
			}
			time.Sleep(time.Second)
		}
		if asked < 10 || asked > 20 {
			t.Errorf("asked %d times in ten minutes for what nobody has", asked)
		}
		if _, err := ada.Text(t.Context(), number(1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("of nothing: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(TTL)
		began = time.Now()
		if _, err := ada.Sources(ctx, s.ID(), 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestOldSeed: the text of an old seed is its identity, and long; it comes all the same.
func TestOldSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben := n.start(1, Options{}), n.start(2, Options{})
		text := "file_name: old.bin\nfile_len: 2000000\nbig_seed: " + strings.Repeat("ab", 16) + "\nchunk_len: 1000\n"
		for i := range 2000 {
			text += fmt.Sprintf("chunk%d_hash: %032x\n", i+1, i)
		}
		for _, in := range []string{text, "file_name: small.bin\nfile_len: 2\nbig_seed: " + strings.Repeat("cd", 16) + "\n"} {
			s, err := seed.Parse([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			ada.Announce(Own{Seed: s, Have: Have{All: true}})
			time.Sleep(2 * debounce)
			got, err := ben.Text(t.Context(), s.ID())
			if err != nil || got.ID() != s.ID() || got.Count() != s.Count() {
				t.Errorf("%d pieces, %v", got.Count(), err)
			}
			if l, _ := ben.List(ListOptions{Query: s.Name}); len(l) != 1 || l[0].Size != s.Size {
				t.Errorf("%+v", l)
			}
		}
	})
}

// TestOtherNetwork: what was known of another network is forgotten, and this node's seeds are told to the
// members of this one.
func TestOtherNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben := n.start(1, Options{}), n.start(2, Options{})
		one, two := seedOf(t, "one.txt", "one"), seedOf(t, "two.txt", "two")
		ada.Announce(Own{Seed: one, Have: Have{All: true}})
		ben.Announce(Own{Seed: two, Have: Have{All: true}})
		time.Sleep(time.Second)
		n.link(ada.id, ben.id, false)
		time.Sleep(time.Second)
		ada.Forget()
		if l, _ := ada.List(ListOptions{}); len(l) != 1 || l[0].Name != "one.txt" {
			t.Errorf("%+v", l)
		}
		chi := n.start(3, Options{})
		time.Sleep(time.Second)
		if got := chi.sourcesOf(one.ID(), names); got != "ada all itself" {
			t.Errorf("%q", got)
		}
		m := member(9)
		if _, err := chi.HandleCall(t.Context(), m, nil); err == nil {
			t.Error("an empty request")
		}
	})
}

// TestOthersAreRefused: only members tell, are told, and are believed to be sources.
func TestOthersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		only := func(id p2p.ID) bool { return id != member(3) }
		ada, ben := n.start(1, Options{Member: only}), n.start(2, Options{})
		chi := n.start(3, Options{})
		s := seedOf(t, "one.txt", "one")
		chi.Announce(Own{Seed: s, Have: Have{All: true}})
		time.Sleep(time.Second)
		if peers, err := ada.Sources(t.Context(), s.ID(), 5); err != nil || len(peers) != 0 {
			t.Errorf("%+v, %v", peers, err)
		}
		if got := ben.sourcesOf(s.ID(), names); got != "chi all itself" {
			t.Errorf("%q", got)
		}
		ada.Announce(Own{Seed: seedOf(t, "two.txt", "two"), Have: Have{All: true}})
		time.Sleep(time.Second)
		if l, _ := chi.List(ListOptions{}); len(l) != 1 {
			t.Errorf("%+v", l)
		}
	})
}

// TestSurvey: what members know of whom this node has no link to can be listed, and is marked.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben, chi := n.start(1, Options{}), n.start(2, Options{}), n.start(3, Options{})
		n.link(ada.id, chi.id, false)
		for i := range 250 {
			chi.Announce(Own{Seed: seedOf(t, fmt.Sprintf("%03d.txt", i), fmt.Sprint(i)), Have: Have{All: true}})
		}
		ben.Announce(Own{Seed: seedOf(t, "of ben.txt", "ben"), Have: Have{All: true}})
		time.Sleep(2 * time.Second)
		if l, _ := ada.List(ListOptions{}); len(l) != 1 {
			t.Errorf("%d listed", len(l))
		}
		all, more := ada.Survey(t.Context(), ListOptions{Limit: 1000})
		if len(all) != 251 || more {
			t.Fatalf("%d surveyed, more: %v", len(all), more)
		}
		if first, last := all[0], all[250]; first.Name != "000.txt" || !first.Hearsay || first.Whole != 1 || last.Name != "of ben.txt" || last.Hearsay {
			t.Errorf("%+v, %+v", first, last)
		}
		if some, more := ada.Survey(t.Context(), ListOptions{Query: ".TXT", Limit: 10}); len(some) != 10 || !more {
			t.Errorf("%d surveyed, more: %v", len(some), more)
		}
	})
}

// TestSilence: who has no seeds says nothing, and who has had some says so once.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t)
		defer n.end()
		ada, ben := n.start(1, Options{}), n.start(2, Options{})
		calls := func() int {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.calls[ada.id] + n.calls[ben.id]
		}
		time.Sleep(time.Hour)
		if got := calls(); got != 0 {
			t.Errorf("%d calls about nothing", got)
		}
		s := seedOf(t, "one.txt", "one")
		ada.Announce(Own{Seed: s, Have: Have{All: true}})
		time.Sleep(time.Second)
		ada.Withdraw(s.ID())
		time.Sleep(time.Hour)
		if got := calls(); got != 2 {
			t.Errorf("%d calls for one seed that came and went", got)
		}
		ada.Announce(Own{Seed: s, Have: Have{All: true}})
		time.Sleep(time.Second)
		if got := ben.sourcesOf(s.ID(), names); got != "ada all itself" {
			t.Errorf("%q", got)
		}
	})
}
