package dht

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

var noDomain p2p.Key

// TestPut has TomP2P's scenarios of put, add, get, remove and TTL as far as one replica
// is concerned: each step is a write and what comes of it, then what is served.
func TestPut(t *testing.T) {
	p1, p2 := person(1), person(2)
	k := at(noDomain, "k1")
	v := func(text string, seq uint64) Record { return signedBy(p1, value(k, text, seq)) }
	gone := func(seq uint64) Record { return signedBy(p1, tombstone(k, seq)) }
	type step struct {
		after  int64 // milliseconds since the step before
		write  Write
		want   Status
		seq    uint64
		served string
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"K1 overwrite", []step{
			{0, Write{Record: v("test1", 1)}, StatusOK, 0, "test1"},
			{0, Write{Record: v("test3", 2)}, StatusOK, 0, "test3"},
			{0, Write{Record: v("test3", 3)}, StatusUnchanged, 0, "test3"},
			{0, Write{Record: v("test3", 3)}, StatusUnchanged, 0, "test3"},
			{0, Write{Record: v("test1", 1)}, StatusStale, 3, "test3"},
			{0, Write{Record: signedBy(p2, value(k, "test4", 4))}, StatusOK, 0, "test4"},
		}},
		{"K2 put if absent", []step{
			{0, Write{Record: v("first", 1), Absent: true}, StatusOK, 0, "first"},
			{0, Write{Record: v("second", 2), Absent: true}, StatusNotAbsent, 1, "first"},
			{0, Write{Record: v("first", 1), Absent: true}, StatusUnchanged, 0, "first"}, // the answer was lost
			{0, Write{Record: gone(5)}, StatusOK, 0, ""},
			{0, Write{Record: v("third", 4), Absent: true}, StatusDeleted, 5, ""},
			{0, Write{Record: v("third", 6), Absent: true}, StatusOK, 0, "third"},
		}},
		{"K5 remove", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{0, Write{Record: gone(2)}, StatusOK, 0, ""},
			{0, Write{Record: gone(3)}, StatusUnchanged, 0, ""},
			{0, Write{Record: v("b", 4)}, StatusOK, 0, "b"},
		}},
		{"a removal comes before what it removes", []step{
			{0, Write{Record: gone(2)}, StatusOK, 0, ""},
			{0, Write{Record: v("a", 1)}, StatusDeleted, 2, ""},
			{0, Write{Record: v("a", 1), Repair: true}, StatusDeleted, 2, ""},
		}},
		{"K6 no TTL never ends", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{math.MaxInt64 / 2, Write{Record: v("a", 1)}, StatusUnchanged, 0, "a"},
		}},
		{"K6 a TTL ends to the millisecond", []step{
			{0, Write{Record: signedBy(p1, ttl(value(k, "a", 5), 1))}, StatusOK, 0, "a"},
			{999, Write{Record: v("b", 1)}, StatusStale, 5, "a"},
			{1, Write{Record: v("b", 1)}, StatusOK, 0, "b"}, // as if it had never been there
		}},
		{"K8 a header renews", []step{
			{0, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 1), 10)))}, StatusNotFound, 0, ""},
			{0, Write{Record: signedBy(p1, ttl(value(k, "a", 1), 1))}, StatusOK, 0, "a"},
			{900, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 2), 10)))}, StatusOK, 0, "a"},
			{9999, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 3), 10)))}, StatusUnchanged, 0, "a"},
			{9999, Write{Record: headerOf(signedBy(p1, ttl(value(k, "x", 4), 10)))}, StatusNotFound, 0, "a"},
			{0, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 2), 10)))}, StatusStale, 3, "a"},
			{1, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 4), 10)))}, StatusNotFound, 0, ""},
		}},
		{"K8 a header of what was removed", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{0, Write{Record: gone(2)}, StatusOK, 0, ""},
			{0, Write{Record: headerOf(v("a", 9))}, StatusDeleted, 2, ""},
		}},
		{"replay of a put after a newer one", []step{
			{0, Write{Record: v("old", 1)}, StatusOK, 0, "old"},
			{0, Write{Record: v("new", 2)}, StatusOK, 0, "new"},
			{0, Write{Record: v("old", 1), Repair: true, Fork: true, Left: 1 << 60}, StatusStale, 2, "new"},
		}},
		{"replay of a put after its removal, and of a removal", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{0, Write{Record: gone(2)}, StatusOK, 0, ""},
			{0, Write{Record: v("a", 1)}, StatusDeleted, 2, ""},
			{0, Write{Record: v("b", 3)}, StatusOK, 0, "b"},
			{0, Write{Record: gone(2)}, StatusStale, 3, "b"},
		}},
		{"a replay makes nothing live longer", []step{
			{0, Write{Record: signedBy(p1, ttl(value(k, "a", 1), 1))}, StatusOK, 0, "a"},
			{900, Write{Record: signedBy(p1, ttl(value(k, "a", 1), 1))}, StatusUnchanged, 0, "a"},
			{99, Write{Record: signedBy(p1, ttl(value(k, "a", 1), 1)), Repair: true}, StatusUnchanged, 0, "a"},
			{1, Write{Record: headerOf(signedBy(p1, ttl(value(k, "a", 1), 1)))}, StatusNotFound, 0, ""},
		}},
		{"a copy that pretends to be old ends nothing", []step{
			{0, Write{Record: signedBy(p1, ttl(value(k, "a", 2), 1))}, StatusOK, 0, "a"},
			{0, Write{Record: signedBy(p1, ttl(value(k, "a", 2), 1)), Repair: true, Left: 1}, StatusUnchanged, 0, "a"},
			{999, Write{Record: v("b", 1)}, StatusStale, 2, "a"},
		}},
		{"of two with one number all replicas keep the same", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{0, Write{Record: gone(1)}, StatusOK, 0, ""},
			{0, Write{Record: v("a", 1)}, StatusDeleted, 1, ""},
		}},
		{"an empty value is a value", []step{
			{0, Write{Record: v("a", 1)}, StatusOK, 0, "a"},
			{0, Write{Record: v("", 2)}, StatusOK, 0, ""},
			{0, Write{Record: v("", 3)}, StatusUnchanged, 0, ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newReplica(Rules{})
			for i, s := range tt.steps {
				p.now += s.after
				status, seq := p.write(t, s.write)
				if status != s.want || seq != s.seq {
					t.Fatalf("step %d: %s of %d, want %s of %d", i, status, seq, s.want, s.seq)
				}
				p.wantValues(t, Query{}, s.served)
			}
		})
	}
}

// TestWrongName: a cell takes no record of another name.
func TestWrongName(t *testing.T) {
	c := newReplica(Rules{}).cell(at(noDomain, "here").Name())
	if status, _ := c.Put(Write{Record: signedBy(person(1), value(at(noDomain, "there"), "a", 1))}, Rules{}, 1); status != StatusMalformed || len(c.Records) != 0 {
		t.Fatalf("%s, %d records", status, len(c.Records))
	}
}

// TestAddIsASet is K3: what is added twice, at the key that follows from the value, is
// there once, whoever adds it.
func TestAddIsASet(t *testing.T) {
	p := newReplica(Rules{})
	p.want(t, "first", Write{Record: signedBy(person(1), value(at(noDomain, "v"), "v", 1))}, StatusOK)
	p.want(t, "again", Write{Record: signedBy(person(1), value(at(noDomain, "v"), "v", 2))}, StatusUnchanged)
	p.want(t, "another's", Write{Record: signedBy(person(2), value(at(noDomain, "v"), "v", 7))}, StatusUnchanged)
	p.wantValues(t, Query{}, "v")
}

// TestSelect is K4 and K9: versions in both orders, ranges of them, digests.
func TestSelect(t *testing.T) {
	p := newReplica(Rules{})
	p1 := person(1)
	n := at(noDomain, "k").Name()
	version := func(i uint64, text string, based ...Version) Record {
		return Record{Header: Header{Address: n.At(NewVersion(i, []byte(text))), Seq: i + 1, Based: based}, Value: []byte(text)}
	}
	a := version(0, "a")
	b := version(1, "b", a.Version)
	c := version(2, "c", b.Version)
	d := version(3, "d", c.Version)
	e := version(4, "e", d.Version)
	e.Prepared, e.TTL = true, 10
	x := tombstone(n.At(NewVersion(5, []byte("x"))), 9)
	for _, r := range []Record{a, b, c, d, e, x} {
		if status, _ := p.write(t, Write{Record: signedBy(p1, r)}); !status.Stored() {
			t.Fatalf("%s: %s", r.Value, status)
		}
	}
	end := NewVersion(math.MaxUint64, nil)
	for _, tt := range []struct {
		name string
		q    Query
		want string
	}{
		{"heads", Query{}, "d"},
		{"heads and what is prepared", Query{Prepared: true}, "d e"},
		{"heads and what was removed", Query{Tombstones: true}, "d -"},
		{"all versions", Query{Versions: true}, "a b c d"},
		{"descending", Query{Versions: true, Descending: true}, "d c b a"},
		{"everything", Query{Versions: true, Tombstones: true, Prepared: true}, "a b c d e -"},
		{"from", Query{VersionFrom: c.Version}, "c d"},
		{"to", Query{VersionTo: b.Version}, "a b"},
		{"from to", Query{VersionFrom: b.Version, VersionTo: c.Version, Versions: true}, "b c"},
		{"nothing between", Query{VersionFrom: end, VersionTo: end}, ""},
	} {
		if got := p.values(tt.q); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	digest := p.cell(n).Select(Query{Versions: true, Bare: true}, p.now)
	if len(digest) != 4 {
		t.Fatalf("a digest of %d, want 4", len(digest))
	}
	for i, h := range digest {
		if h.Value != nil || h.Size != 1 || (len(h.Based) != 1) != (i == 0) {
			t.Errorf("digest %d: %d bytes, size %d, based on %v", i, len(h.Value), h.Size, h.Based)
		}
	}
	if got := p.values(Query{Versions: true}); got != "a b c d" {
		t.Errorf("after a digest the values are %q", got)
	}
}

// TestLeft is K7: the time that is left goes with a copy, and the copy ends with it.
func TestLeft(t *testing.T) {
	from, to := newReplica(Rules{}), newReplica(Rules{})
	n := at(noDomain, "k").Name()
	r := signedBy(person(1), ttl(value(n.At(Version{}), "test", 1), 4))
	from.want(t, "put", Write{Record: r}, StatusOK)
	from.now += 2000
	left := from.cell(n).Select(Query{}, from.now)[0].Left(from.now)
	if left != 2000 {
		t.Fatalf("%d ms left, want 2000", left)
	}
	to.now = 5_000_000 // another clock
	to.want(t, "copy", Write{Record: r, Repair: true, Left: left}, StatusOK)
	to.now += 1999
	to.wantValues(t, Query{}, "test")
	if left := to.cell(n).Select(Query{}, to.now)[0].Left(to.now); left != 1 {
		t.Fatalf("%d ms left, want 1", left)
	}
	to.now++
	to.wantValues(t, Query{}, "")

	to.want(t, "more than its TTL", Write{Record: r, Repair: true, Left: math.MaxUint64}, StatusOK)
	if left := to.cell(n).Select(Query{}, to.now)[0].Left(to.now); left != 4000 {
		t.Fatalf("%d ms left, want 4000", left)
	}
	to.want(t, "for ever", Write{Record: signedBy(person(1), value(n.At(Version{}), "test", 2)), Left: 1}, StatusOK)
	if left := to.cell(n).Select(Query{}, to.now)[0].Left(to.now); left != 0 {
		t.Fatalf("%d ms left, want 0", left)
	}
}

// TestMaxVersions is K11: of a long chain the newest stay, in whatever order they come,
// and what was dropped does not come back as a head; heads are never dropped for others.
func TestMaxVersions(t *testing.T) {
	p1 := person(1)
	n := at(noDomain, "k").Name()
	const more = 6
	var chain []Record
	var based []Version
	for i := range uint64(MaxVersions + more) {
		text := fmt.Sprint("v", i)
		r := Record{Header: Header{Address: n.At(NewVersion(i, []byte(text))), Seq: i + 1, Based: based}, Value: []byte(text)}
		based = []Version{r.Version}
		chain = append(chain, signedBy(p1, r))
	}
	newest := fmt.Sprint("v", MaxVersions+more-1)
	backwards := slices.Clone(chain)
	slices.Reverse(backwards)
	for name, order := range map[string][]Record{"forwards": chain, "backwards": backwards, "middle first": append(slices.Clone(chain[20:]), chain[:20]...)} {
		p := newReplica(Rules{})
		for _, r := range slices.Concat(order, order) {
			p.write(t, Write{Record: r, Repair: true})
		}
		all := strings.Fields(p.values(Query{Versions: true}))
		if len(all) != MaxVersions || all[0] != fmt.Sprint("v", more) {
			t.Errorf("%s: %d versions from %s", name, len(all), all[0])
		}
		if got := p.values(Query{}); got != newest {
			t.Errorf("%s: heads %s, want %s", name, got, newest)
		}
		p.want(t, "late", Write{Record: chain[0]}, StatusTooLarge)
		for _, r := range chain {
			p.write(t, Write{Record: signedBy(p1, tombstone(r.Address, 1000))})
		}
		p.wantValues(t, Query{Versions: true}, "")
	}
	p := newReplica(Rules{})
	for i := range MaxVersions + 1 {
		text := fmt.Sprint("h", i)
		r := Record{Header: Header{Address: n.At(NewVersion(1, []byte(text))), Seq: 1}, Value: []byte(text)}
		want := StatusOK
		if i == MaxVersions {
			want = StatusTooLarge
		}
		p.want(t, text, Write{Record: signedBy(p1, r), Fork: true}, want)
	}
	merge := Record{Header: Header{Address: n.At(NewVersion(2, nil)), Seq: 1}, Value: []byte("merge")}
	for _, h := range p.cell(n).Records[:MaxBased] {
		merge.Based = append(merge.Based, h.Version)
	}
	p.want(t, "a merge makes room for itself", Write{Record: signedBy(p1, merge), Fork: true}, StatusOK)
}

// TestRemovalsBound: removals of versions fill no disk, and that of the record without
// versions is not driven out by them.
func TestRemovalsBound(t *testing.T) {
	p := newReplica(Rules{})
	n := at(noDomain, "k").Name()
	p.want(t, "removal", Write{Record: signedBy(person(1), tombstone(n.At(Version{}), 5))}, StatusOK)
	for i := range uint64(3 * MaxVersions) {
		p.want(t, "removal", Write{Record: signedBy(person(1), tombstone(n.At(NewVersion(i, nil)), 5))}, StatusOK)
	}
	p.want(t, "an old copy", Write{Record: signedBy(person(1), value(n.At(Version{}), "a", 4))}, StatusDeleted)

	p = newReplica(Rules{}) // the one that comes is not the one that goes
	for i := uint64(3 * MaxVersions); i > 0; i-- {
		p.want(t, "removal", Write{Record: signedBy(person(1), tombstone(n.At(NewVersion(i, nil)), 5))}, StatusOK)
		p.want(t, "an old copy", Write{Record: signedBy(person(1), value(n.At(NewVersion(i, nil)), "", 4))}, StatusDeleted)
	}
}

// BenchmarkPut is a write to a cell of one record, and to one that is full.
func BenchmarkPut(b *testing.B) {
	for _, versions := range []int{1, MaxVersions} {
		b.Run(fmt.Sprint(versions), func(b *testing.B) {
			c := &Cell{Name: at(noDomain, "k").Name(), Domain: &Claim{}}
			var based []Version
			write := func(i uint64) {
				r := value(c.Name.At(NewVersion(i, nil)), "value", i+1)
				r.Based, r.Author = based, person1.PublicKey()
				if versions == 1 {
					r.Version, r.Based = Version{}, nil
				}
				if status, _ := c.Put(Write{Record: r}, Rules{}, 1); !status.Stored() {
					b.Fatal(status)
				}
				based = []Version{r.Version}
			}
			for i := range uint64(versions) {
				write(i)
			}
			b.ReportAllocs()
			i := uint64(versions)
			for b.Loop() {
				write(i)
				i++
			}
		})
	}
}

var person1 = person(1)
