package dht

import (
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// jury returns what checks votes in a network of three members.
func jury() quorums {
	var members []Member
	for i := range byte(3) {
		who := person(i)
		members = append(members, Member{ID: who.ID(), Position: sha256.Sum256([]byte{i}), PublicKey: who.PublicKey()})
	}
	t := New(Options{
		Identity: person(0), Network: func() p2p.ID { return testNetwork }, Members: func() []Member { return members },
		Alive: func(p2p.ID) bool { return true }, Store: NewMemory(),
	})
	return quorums{t: t, view: t.view()}
}

// votedBy returns a version that is confirmed, and the votes for it.
func votedBy(voters ...byte) Write {
	r := version(1, "value")
	q := Quorum{Seq: r.Seq}
	for _, n := range voters {
		q.Votes = append(q.Votes, newVote(person(n), testNetwork, signedBy(person(9), prepared(r)).Header))
	}
	r.Seq++
	return Write{Record: headerOf(signedBy(person(9), r)), Quorum: &q}
}

func version(number uint64, text string) Record {
	r := value(at(noDomain, "k"), text, 7)
	r.Version = NewVersion(number, r.Value)
	return r
}

// FuzzQuorum decodes anything as a write, and believes it only if a majority has voted for what is
// written.
func FuzzQuorum(f *testing.F) {
	for _, w := range []Write{votedBy(), votedBy(0), votedBy(0, 1), votedBy(1, 1), votedBy(1, 2, 0), votedBy(7, 8, 9), {Record: batch(1)[0]}} {
		b, err := wire.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var w Write
		if err := wire.Unmarshal(b, &w); err != nil || w.Quorum == nil {
			return
		}
		c := jury()
		seq, forged := c.proved(w.Record.Header, w.Quorum)
		if seq == 0 {
			return
		}
		var voters []p2p.ID
		for _, v := range w.Quorum.Votes {
			if id := p2p.IDOf(v.Key); v.of(testNetwork, w.Record.Header, seq) && !slices.Contains(voters, id) {
				voters = append(voters, id)
			}
		}
		if forged || seq != w.Quorum.Seq || len(voters) < 2 || len(w.Quorum.Votes) > maxVotes {
			t.Fatalf("believed with %d of 3 votes, of number %d", len(voters), seq)
		}
		again, err := wire.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		var same Write
		if err := wire.Unmarshal(again, &same); err != nil {
			t.Fatal(err)
		}
		if got, _ := c.proved(same.Record.Header, same.Quorum); got != seq {
			t.Fatalf("it changes by being sent: %d", got)
		}
	})
}

// BenchmarkVote is a vote, and BenchmarkQuorum how long a replica takes to believe two of three.
func BenchmarkVote(b *testing.B) {
	h := votedBy().Record.Header
	b.ReportAllocs()
	for b.Loop() {
		newVote(person1, testNetwork, h)
	}
}

func BenchmarkQuorum(b *testing.B) {
	w, c := votedBy(0, 1), jury()
	b.ReportAllocs()
	for b.Loop() {
		c.seen = 0
		if seq, _ := c.proved(w.Record.Header, w.Quorum); seq == 0 {
			b.Fatal("not believed")
		}
	}
}
