package dht

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
	"pgregory.net/rapid"
)

// TestRecordChecks: what nobody can have meant, though it is signed.
func TestRecordChecks(t *testing.T) {
	v := func(n uint64) Version { return NewVersion(n, nil) }
	good := func() Record {
		a := at(noDomain, "k")
		a.Version = v(100)
		return Record{Header: Header{Address: a, Seq: 1}, Value: []byte("v")}
	}
	var many []Version
	for i := range uint64(MaxBased + 1) {
		many = append(many, v(i))
	}
	for _, tt := range []struct {
		name   string
		change func(r *Record)
		want   error
	}{
		{"nothing wrong", func(*Record) {}, nil},
		{"the most", func(r *Record) { r.Based = many[:MaxBased]; r.TTL = uint32(MaxTTL.Seconds()) }, nil},
		{"prepared", func(r *Record) { r.Prepared = true; r.TTL = 10 }, nil},
		{"without versions", func(r *Record) { r.Version = Version{} }, nil},
		{"no number", func(r *Record) { r.Seq = 0 }, ErrMalformed},
		{"too many replaced", func(r *Record) { r.Based = many }, ErrMalformed},
		{"out of order", func(r *Record) { r.Based = []Version{v(2), v(1)} }, ErrMalformed},
		{"twice", func(r *Record) { r.Based = []Version{v(1), v(1)} }, ErrMalformed},
		{"replaces itself", func(r *Record) { r.Based = []Version{v(100)} }, ErrMalformed},
		{"replaces a newer one", func(r *Record) { r.Based = []Version{v(101)} }, ErrMalformed},
		{"without versions, and replaces", func(r *Record) { r.Version = Version{}; r.Based = []Version{{}} }, ErrMalformed},
		{"lives too long", func(r *Record) { r.TTL = uint32(MaxTTL.Seconds()) + 1 }, ErrMalformed},
		{"prepared for ever", func(r *Record) { r.Prepared = true }, ErrMalformed},
		{"prepared for 11 seconds", func(r *Record) { r.Prepared = true; r.TTL = 11 }, ErrMalformed},
		{"prepared without a version", func(r *Record) { r.Prepared = true; r.TTL = 1; r.Version = Version{} }, ErrMalformed},
		{"another kind", func(r *Record) { r.Kind = KindTombstone + 1 }, ErrMalformed},
		{"a removal with a value", func(r *Record) { r.Kind = KindTombstone }, ErrMalformed},
		{"a removal that replaces", func(r *Record) { r.Kind, r.Value, r.Based = KindTombstone, nil, many[:1] }, ErrMalformed},
		{"a removal", func(r *Record) { r.Kind, r.Value = KindTombstone, nil }, nil},
		{"claims something else", func(r *Record) { r.Protect = 4 }, ErrMalformed},
		{"an owner of nothing", func(r *Record) { r.Owner = person(2).PublicKey() }, ErrMalformed},
		{"half an owner", func(r *Record) { r.Protect = ProtectEntry; r.Owner = person(2).PublicKey()[:16] }, ErrMalformed},
		{"too large", func(r *Record) { r.Value = make([]byte, MaxValue+1) }, p2p.ErrTooLarge},
	} {
		r := good()
		tt.change(&r)
		c := Checker{Network: testNetwork}
		if err := c.Check(signedBy(person(1), r)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestLargestRecord: the largest that the rules allow, in the largest batch, fits a
// message with what a write adds to it.
func TestLargestRecord(t *testing.T) {
	records := make([]Record, MaxBatch)
	for i := range records {
		r := Record{Header: Header{
			Address: at(KeyOf("d"), "k"), Seq: 1<<64 - 1, TTL: uint32(MaxTTL.Seconds()), Protect: ProtectDomain | ProtectEntry,
			Owner: person(2).PublicKey(),
		}}
		r.Version = NewVersion(1<<64-1, nil)
		for n := range uint64(MaxBased) {
			r.Based = append(r.Based, NewVersion(n, nil))
		}
		records[i] = r
	}
	records[0].Value = bytes.Repeat([]byte{1}, MaxValue)
	Sign(person(1), testNetwork, records)
	quorum := Quorum{Seq: 1<<64 - 1}
	for i := range byte(maxVotes) {
		quorum.Votes = append(quorum.Votes, newVote(person(i), testNetwork, records[0].Header))
	}
	b, err := wire.Marshal(Write{Record: records[0], Absent: true, Repair: true, Fork: true, Left: 1 << 63, Quorum: &quorum})
	if err != nil {
		t.Fatal(err)
	}
	var w Write
	if err := wire.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	c := Checker{Network: testNetwork}
	if err := c.Check(w.Record); err != nil || !w.Fork || !w.Absent || !w.Repair || w.Left != 1<<63 {
		t.Errorf("%v, %v", err, w)
	}
	if room := maxAlone - len(b); room < 1<<10 {
		t.Errorf("%d bytes of room in a message, want 1024 for what is around it", room)
	}
}

// TestNewer: of any records one is the newest, and it is the same for everybody.
func TestNewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hs []Header
		for range 3 {
			r := drawRecord(t, rapid.SampledFrom(people).Draw(t, "author"), allClaims)
			r.Address = at(noDomain, "k")
			hs = append(hs, r.Header)
		}
		newer := func(a, b Header) int {
			switch {
			case a.Newer(b) && b.Newer(a):
				t.Fatalf("both are newer")
			case a.Newer(b):
				return 1
			case b.Newer(a):
				return -1
			}
			if a.hash() != b.hash() {
				t.Fatalf("two that differ, and none is newer")
			}
			return 0
		}
		if newer(hs[0], hs[1]) > 0 && newer(hs[1], hs[2]) > 0 && newer(hs[0], hs[2]) <= 0 {
			t.Fatalf("a circle")
		}
		if newer(hs[0], hs[0]) != 0 {
			t.Fatalf("newer than itself")
		}
	})
}

// TestRemovalIsNewer: of one number, a removal holds, whatever the hashes.
func TestRemovalIsNewer(t *testing.T) {
	for n := range uint64(16) {
		put, removal := signedBy(person(1), value(at(noDomain, "k"), "a", n+1)), signedBy(person(1), tombstone(at(noDomain, "k"), n+1))
		if put.Newer(removal.Header) || !removal.Newer(put.Header) {
			t.Errorf("number %d: not removed", n+1)
		}
	}
}

func TestCompareAddresses(t *testing.T) {
	var all []Address
	for _, l := range []byte{0, 1} {
		for _, d := range []byte{0, 1} {
			for _, c := range []byte{0, 1} {
				for _, v := range []uint64{1, 2, 256} {
					all = append(all, Address{p2p.Key{l}, p2p.Key{d}, p2p.Key{c}, NewVersion(v, nil)})
				}
			}
		}
	}
	if !slices.IsSortedFunc(all, Address.Compare) {
		t.Errorf("addresses are not ordered by their parts")
	}
	for _, a := range all {
		if a.Name().At(a.Version) != a || a.Compare(a) != 0 {
			t.Errorf("%v is not its name and version", a)
		}
	}
}

func TestVersionText(t *testing.T) {
	v := NewVersion(3, []byte("abc"))
	const text = "3-ba7816bf8f01cfea414140de" // FIPS 180-2's example
	if v.String() != text || v.Number() != 3 {
		t.Errorf("%s, number %d, want %s", v, v.Number(), text)
	}
	var got Version
	if err := got.UnmarshalText([]byte(text)); err != nil || got != v {
		t.Errorf("%s: %v", got, err)
	}
	if b, err := (Version{}).MarshalText(); err != nil || string(b) != "0-000000000000000000000000" || !(Version{}).IsZero() {
		t.Errorf("the zero version is %s, %v", b, err)
	}
	for _, bad := range []string{"", "3", "-", "3-", "3-ba", text + "00", "03" + text[1:], "+" + text, "3-BA7816BF8F01CFEA414140DE", "-3" + text[1:], "18446744073709551616" + text[1:]} {
		if err := got.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a version", bad)
		}
	}
}

// TestKeys: SHA-256, known answers.
func TestKeys(t *testing.T) {
	if got := p2p.ID(KeyOf("abc")).String(); got != p2p.ID(SumOf([]byte("abc"))).String() {
		t.Error(got)
	}
	who := person(1)
	if masterKey(who) != p2p.Key(who.ID()) {
		t.Error("the master's key is not the node's ID")
	}
}
