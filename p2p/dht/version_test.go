package dht

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"pgregory.net/rapid"
)

// history writes versions of one name. Their numbers and predecessors are as in TomP2P's
// tests: "4a" has the number 4, the letter is part of the value.
type history struct {
	*replica
	name     Name
	versions map[string]Version
	seq      uint64
}

func newHistory() *history {
	return &history{replica: newReplica(Rules{}), name: at(noDomain, "k").Name(), versions: map[string]Version{}}
}

// version returns a version with the value text that replaces others.
func (tr *history) version(text string, based ...string) Record {
	var number uint64
	if _, err := fmt.Sscan(strings.TrimRight(text, "abc"), &number); err != nil {
		panic(err)
	}
	v := NewVersion(number, []byte(text))
	tr.versions[text] = v
	tr.seq++
	r := Record{Header: Header{Address: tr.name.At(v), Seq: tr.seq}, Value: []byte(text)}
	for _, b := range based {
		r.Based = append(r.Based, tr.versions[b])
	}
	slices.SortFunc(r.Based, Version.Compare)
	return r
}

func prepared(r Record) Record {
	r.Prepared, r.TTL = true, 10
	return r
}

// confirm confirms what a majority is known to have prepared.
func confirm(who p2p.Identity, r Record) Write {
	return Write{Record: headerOf(signedBy(who, r)), proved: r.Seq - 1}
}

// TestPrepareConfirm is V1: what is prepared cannot be seen, in no way, before it is
// confirmed; then it is there for as long as the confirmation says.
func TestPrepareConfirm(t *testing.T) {
	p1 := person(1)
	tr := newHistory()
	tr.want(t, "0", Write{Record: signedBy(p1, tr.version("0"))}, StatusOK)
	v1 := tr.version("1", "0")
	tr.want(t, "prepare", Write{Record: signedBy(p1, prepared(v1))}, StatusPrepared)
	for _, q := range []Query{{}, {Versions: true}, {Versions: true, Bare: true}, {VersionTo: v1.Version}} {
		got := tr.cell(tr.name).Select(q, tr.now)
		if len(got) != 1 || got[0].Version != tr.versions["0"] {
			t.Fatalf("%+v finds %d records", q, len(got))
		}
	}
	tr.want(t, "absent", Write{Record: signedBy(p1, tr.version("1", "0")), Absent: true}, StatusNotAbsent)
	v1.Seq = 10
	tr.want(t, "confirm, and nobody knows of a majority", Write{Record: headerOf(signedBy(p1, v1))}, StatusNoQuorum)
	tr.want(t, "put it", Write{Record: signedBy(p1, v1)}, StatusNoQuorum)
	tr.want(t, "bring a copy of it", Write{Record: signedBy(p1, v1), Repair: true, own: true}, StatusNoQuorum)
	tr.want(t, "confirm with the majority of an earlier try", Write{Record: headerOf(signedBy(p1, v1)), proved: 1}, StatusNoQuorum)
	tr.want(t, "confirm", confirm(p1, v1), StatusOK)
	tr.want(t, "confirm again", Write{Record: headerOf(signedBy(p1, v1))}, StatusUnchanged)
	tr.wantValues(t, Query{}, "1")
	v1.Seq = 11
	tr.want(t, "hide it again", Write{Record: signedBy(p1, prepared(v1))}, StatusFork)
	tr.now += 1 << 40
	tr.wantValues(t, Query{Versions: true}, "0 1")
}

// TestPrepared: while one prepares, no other does; whoever crashes is in nobody's way
// for more than the ten seconds; who gives up is in nobody's way at all.
func TestPrepared(t *testing.T) {
	p1, p2 := person(1), person(2)
	tr := newHistory()
	tr.want(t, "0", Write{Record: signedBy(p1, tr.version("0"))}, StatusOK)
	a, b := tr.version("1a", "0"), tr.version("1b", "0")
	tr.want(t, "prepare a", Write{Record: signedBy(p1, prepared(a))}, StatusPrepared)
	tr.want(t, "prepare b", Write{Record: signedBy(p2, prepared(b))}, StatusFork)
	tr.want(t, "prepare b, knowingly", Write{Record: signedBy(p2, prepared(b)), Fork: true}, StatusFork)
	tr.want(t, "put b", Write{Record: signedBy(p2, b)}, StatusFork)
	same := a
	same.Seq = 50
	tr.want(t, "prepare the same value", Write{Record: signedBy(p2, prepared(same))}, StatusFork)
	tr.want(t, "confirm another's", Write{Record: headerOf(signedBy(p2, same))}, StatusFork)

	tr.now += 9999
	tr.want(t, "prepare b, a moment too early", Write{Record: signedBy(p2, prepared(b))}, StatusFork)
	tr.now++ // p1 has crashed
	tr.want(t, "prepare b", Write{Record: signedBy(p2, prepared(b))}, StatusPrepared)
	a.Seq = 60
	tr.want(t, "confirm a, late", Write{Record: headerOf(signedBy(p1, a))}, StatusNotFound)
	tr.want(t, "put a, late", Write{Record: signedBy(p1, a)}, StatusFork)

	tr.want(t, "p2 gives up", Write{Record: signedBy(p2, tombstone(b.Address, 61))}, StatusOK)
	tr.want(t, "prepare a", Write{Record: signedBy(p1, prepared(a))}, StatusPrepared)
	a.Seq = 62
	tr.want(t, "confirm a", confirm(p1, a), StatusOK)
	tr.wantValues(t, Query{}, "1a")
}

// TestConfirmLooksAgain: what TomP2P left to do. Between prepare and confirm somebody has
// forked, or a copy has come: the confirmation is refused, and nothing is seen of it.
func TestConfirmLooksAgain(t *testing.T) {
	p1, p2 := person(1), person(2)
	for name, w := range map[string]Write{"a fork": {Fork: true}, "a copy": {Repair: true}} {
		tr := newHistory()
		tr.want(t, "0", Write{Record: signedBy(p1, tr.version("0"))}, StatusOK)
		a, b := tr.version("1a", "0"), tr.version("1b", "0")
		tr.want(t, "prepare a", Write{Record: signedBy(p1, prepared(a))}, StatusPrepared)
		w.Record = signedBy(p2, b)
		tr.want(t, name, w, StatusOK)
		a.Seq = 10
		tr.want(t, "confirm a", confirm(p1, a), StatusFork)
		tr.wantValues(t, Query{Versions: true}, "0 1b")
		tr.want(t, "confirm a, knowingly", Write{Record: headerOf(signedBy(p1, a)), Fork: true}, StatusOK)
		tr.wantValues(t, Query{}, strings.Join(tr.heads("1a", "1b"), " "))
	}

	// Copies of two prepared versions: one of them is confirmed, not both and not none.
	tr := newHistory()
	a, b := tr.version("1a"), tr.version("1b")
	tr.want(t, "copy of b", Write{Record: signedBy(p2, prepared(b)), Repair: true}, StatusPrepared)
	tr.want(t, "copy of a", Write{Record: signedBy(p1, prepared(a)), Repair: true}, StatusPrepared)
	a.Seq, b.Seq = 10, 11
	tr.want(t, "confirm b", confirm(p2, b), StatusFork)
	tr.want(t, "confirm a", confirm(p1, a), StatusOK)
	tr.want(t, "confirm b", confirm(p2, b), StatusFork)
}

// heads puts the texts of versions in the order of versions.
func (tr *history) heads(texts ...string) []string {
	slices.SortFunc(texts, func(a, b string) int { return tr.versions[a].Compare(tr.versions[b]) })
	return texts
}

// TestForks is V2 and V3 with one meaning for the status: what is called a fork is not
// stored; who wants it says so.
func TestForks(t *testing.T) {
	p1, p2 := person(1), person(2)
	tr := newHistory()
	tr.want(t, "0", Write{Record: signedBy(p1, tr.version("0"))}, StatusOK)
	one := tr.version("1", "0")
	tr.want(t, "1", Write{Record: signedBy(p1, one)}, StatusOK)
	two := signedBy(p2, tr.version("2", "0"))
	tr.want(t, "2 on 0", Write{Record: two}, StatusFork)
	tr.wantValues(t, Query{Versions: true}, "0 1")
	tr.want(t, "2 on 0, knowingly", Write{Record: two, Fork: true}, StatusOK)
	tr.wantValues(t, Query{}, "1 2")
	one.Seq = 20
	tr.want(t, "1 is renewed beside its rival", Write{Record: headerOf(signedBy(p1, one))}, StatusUnchanged)

	other := one // V3
	other.Seq, other.Based = 30, nil
	tr.want(t, "1 on something else", Write{Record: signedBy(p1, other)}, StatusFork)
	tr.want(t, "1 on something else, knowingly", Write{Record: signedBy(p1, other), Fork: true}, StatusFork)
	tr.wantValues(t, Query{}, "1 2")

	tr.want(t, "a record without versions", Write{Record: signedBy(p1, value(tr.name.At(Version{}), "", 1))}, StatusOK)
	tr.want(t, "and its removal", Write{Record: signedBy(p1, tombstone(tr.name.At(Version{}), 2))}, StatusOK)
	beside := newReplica(Rules{})
	beside.want(t, "a record without versions", Write{Record: signedBy(p1, value(tr.name.At(Version{}), "x", 1))}, StatusOK)
	beside.want(t, "a first version beside it", Write{Record: signedBy(p1, Record{Header: Header{Address: tr.name.At(one.Version), Seq: 1}, Value: []byte("1")})}, StatusOK)
	tr.want(t, "another first one", Write{Record: signedBy(p2, tr.version("0b"))}, StatusFork)
	tr.want(t, "a merge", Write{Record: signedBy(p2, tr.version("3", "1", "2"))}, StatusOK)
	tr.wantValues(t, Query{}, "3")
	tr.want(t, "on what is merged", Write{Record: signedBy(p2, tr.version("3b", "2"))}, StatusFork)
	tr.want(t, "a version whose predecessor is not here", Write{Record: signedBy(p2, Record{
		Header: Header{Address: tr.name.At(NewVersion(9, nil)), Seq: 1, Based: []Version{NewVersion(8, []byte("?"))}},
		Value:  []byte("9"),
	})}, StatusOK)
}

// TestHeads is V4 and V5.
func TestHeads(t *testing.T) {
	p1 := person(1)
	type v struct {
		text, based string
		fork        bool
	}
	for _, tt := range []struct {
		name     string
		versions []v
		heads    []string
	}{
		{"linear", []v{{"0", "", false}, {"1", "0", false}, {"2", "1", false}}, []string{"2"}},
		{"V4", []v{
			{"0", "", false},
			{"1", "0", false},
			{"2a", "1", false},
			{"3", "2a", false},
			{"4a", "3", false},
			{"5a", "4a", false},
			{"6", "5a", false},
			{"7a", "6", false},
			{"7b", "6", true},
			{"2b", "1", true},
			{"4b", "3", true},
			{"5b", "4b", false},
		}, []string{"2b", "5b", "7a", "7b"}},
		{"V5", []v{
			{"0", "", false},
			{"1", "0", false},
			{"2a", "1", false},
			{"3", "2a", false},
			{"4a", "3", false},
			{"5a", "4a", false},
			{"6a", "5a", false},
			{"7", "6a", false},
			{"2b", "1", true},
			{"4b", "3", true},
			{"5b", "4b", false},
			{"5c", "4b", true},
			{"6b", "5a", true},
		}, []string{"2b", "5b", "5c", "6b", "7"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newHistory()
			var all []Record
			for _, v := range tt.versions {
				r := signedBy(p1, tr.version(v.text, strings.Fields(v.based)...))
				all = append(all, r)
				if v.fork {
					tr.want(t, v.text, Write{Record: r}, StatusFork)
				}
				tr.want(t, v.text, Write{Record: r, Fork: v.fork}, StatusOK)
			}
			tr.wantValues(t, Query{}, strings.Join(tr.heads(tt.heads...), " "))
			if got := tr.cell(tr.name).Select(Query{Versions: true, Bare: true}, tr.now); len(got) != len(all) {
				t.Errorf("a digest of %d versions, want %d", len(got), len(all))
			}
			slices.Reverse(all) // a replica that gets copies, the last first
			copies := newReplica(Rules{})
			for _, r := range all {
				copies.want(t, "copy", Write{Record: r, Repair: true}, StatusOK)
			}
			copies.wantValues(t, Query{}, strings.Join(tr.heads(tt.heads...), " "))
		})
	}
}

// TestRemovedVersion is V7: a removed version takes nothing but a newer whole record,
// and what it replaced is a head again.
func TestRemovedVersion(t *testing.T) {
	p1 := person(1)
	tr := newHistory()
	tr.want(t, "0", Write{Record: signedBy(p1, tr.version("0"))}, StatusOK)
	one := tr.version("1", "0")
	tr.want(t, "1", Write{Record: signedBy(p1, one)}, StatusOK)
	tr.want(t, "remove", Write{Record: signedBy(p1, tombstone(one.Address, 10))}, StatusOK)
	tr.wantValues(t, Query{}, "0")
	if seq := tr.want(t, "put", Write{Record: signedBy(p1, one)}, StatusDeleted); seq != 10 {
		t.Errorf("number %d, want 10", seq)
	}
	tr.want(t, "prepare", Write{Record: signedBy(p1, prepared(one))}, StatusDeleted)
	tr.want(t, "copy", Write{Record: signedBy(p1, one), Repair: true}, StatusDeleted)
	one.Seq = 11
	tr.want(t, "confirm", Write{Record: headerOf(signedBy(p1, one))}, StatusDeleted)
	tr.want(t, "2 on 0", Write{Record: signedBy(p1, tr.version("2", "0"))}, StatusOK)
	tr.want(t, "1 again", Write{Record: signedBy(p1, one)}, StatusFork)
}

// TestAppends is V6: writers append to one value at three replicas, in any order of
// their steps; every append that is acknowledged is in the value once.
func TestAppends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := []*replica{newReplica(Rules{}), newReplica(Rules{}), newReplica(Rules{})}
		name := at(noDomain, "k").Name()
		first := signedBy(person(9), Record{Header: Header{Address: name.At(NewVersion(1, []byte("start -"))), Seq: 1}, Value: []byte("start -")})
		for _, p := range replicas {
			p.write(t, Write{Record: first})
		}
		heads := func(p *replica) []Held { return p.cell(name).Select(Query{}, p.now) }
		words := []string{" one", " two", " three"}
		writers := make([]*appender, len(words))
		for i, w := range words {
			writers[i] = &appender{who: person(byte(i + 1)), word: w, seq: 10}
		}
		// Each writer steps when it is its turn; at the end they go on one after the other.
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w := writers[rapid.IntRange(0, len(writers)-1).Draw(t, "writer")]
			w.step(t, name, replicas, heads)
		}
		for range 2 { // the second time nobody is in the way any more
			for _, w := range writers {
				for range 60 {
					w.step(t, name, replicas, heads)
				}
			}
		}
		for _, p := range replicas {
			got := heads(p)
			if len(got) != 1 {
				t.Fatalf("%d heads", len(got))
			}
			for _, w := range words {
				if n := strings.Count(string(got[0].Value), w); n != 1 {
					t.Fatalf("%q has %q %d times", got[0].Value, w, n)
				}
			}
		}
	})
}

// appender is a writer that reads, prepares at all replicas, and then confirms or gives
// up, one replica a step.
type appender struct {
	who   p2p.Identity
	word  string
	seq   uint64
	plan  []func() // what is left to do
	fresh Record
	votes []*replica
	done  bool
}

func (a *appender) step(t *rapid.T, name Name, replicas []*replica, heads func(*replica) []Held) {
	if len(a.plan) > 0 {
		do := a.plan[0]
		a.plan = a.plan[1:]
		do()
		return
	}
	if a.done {
		return
	}
	seen := heads(replicas[0])
	for _, p := range replicas[1:] {
		if h := heads(p); len(h) != 1 || len(seen) != 1 || h[0].Version != seen[0].Version {
			return // a delay, or a fork: look again later
		}
	}
	old := seen[0]
	text := append(slices.Clone(old.Value), a.word...)
	a.seq++
	a.votes = nil
	a.fresh = Record{
		Header: Header{Address: name.At(NewVersion(old.Version.Number()+1, text)), Seq: a.seq, Based: []Version{old.Version}},
		Value:  text,
	}
	for _, p := range replicas {
		a.plan = append(a.plan, func() {
			if status, _ := p.write(t, Write{Record: signedBy(a.who, prepared(a.fresh))}); status == StatusPrepared {
				a.votes = append(a.votes, p)
			}
		})
	}
	a.plan = append(a.plan, func() {
		a.seq++
		r := a.fresh
		r.Seq = a.seq
		a.done = len(a.votes) > len(replicas)/2
		for _, p := range replicas {
			a.plan = append(a.plan, func() {
				switch {
				case !a.done:
					p.write(t, Write{Record: signedBy(a.who, tombstone(r.Address, r.Seq))})
				case !slices.Contains(a.votes, p): // it did not vote for it, and gets a copy
					p.write(t, Write{Record: signedBy(a.who, r), Repair: true})
				default:
					if status, _ := p.write(t, confirm(a.who, r)); status != StatusOK {
						t.Fatalf("confirm: %s", status)
					}
				}
			})
		}
	})
}
