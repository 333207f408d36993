package dht

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ctLeaves and ctRoots are the test vectors of Certificate Transparency, whose tree it
// is (RFC 6962 and 9162): the leaves, and the root over the first n of them.
var ctLeaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}

var ctRoots = []string{
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

func TestTreeKnownAnswers(t *testing.T) {
	var leaves [][sha256.Size]byte
	for i, text := range ctLeaves {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leafHash(b))
		root, paths := tree(leaves)
		if got := hex.EncodeToString(root[:]); got != ctRoots[i] {
			t.Errorf("%d leaves: root %s, want %s", i+1, got, ctRoots[i])
		}
		for j, path := range paths {
			got, ok := Proof{Index: uint32(j), Count: uint32(i + 1), Path: path}.root(leaves[j])
			if !ok || got != root {
				t.Errorf("leaf %d of %d leads to %x, %v", j, i+1, got, ok)
			}
		}
	}
	// By hand, from section 2.1.5 of RFC 9162: of seven leaves, d0 goes by b, h, l; d3 by
	// c, g, l; d4 by f, j, k; d6 by i, k.
	a := make([][sha256.Size]byte, 7)
	copy(a, leaves[:7])
	g, h, i := nodeHash(a[0], a[1]), nodeHash(a[2], a[3]), nodeHash(a[4], a[5])
	k, l := nodeHash(g, h), nodeHash(i, a[6])
	_, paths := tree(a)
	for leaf, want := range map[int][][sha256.Size]byte{0: {a[1], h, l}, 3: {a[2], g, l}, 4: {a[5], a[6], k}, 6: {i, k}} {
		var all []byte
		for _, step := range want {
			all = append(all, step[:]...)
		}
		if !bytes.Equal(paths[leaf], all) {
			t.Errorf("the path of leaf %d is %x, want %x", leaf, paths[leaf], all)
		}
	}
}

// batch returns n signed records that differ, with everything a header can say.
func batch(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		text := fmt.Sprint("value ", i)
		a := at(KeyOf("d"), text)
		a.Version = NewVersion(5, []byte(text))
		records[i] = Record{
			Header: Header{
				Address: a, Based: []Version{NewVersion(3, nil), NewVersion(4, nil)}, TTL: 9, Seq: uint64(i) + 1,
				Prepared: true, Protect: ProtectDomain, Owner: person(2).PublicKey(),
			},
			Value: []byte(text),
		}
	}
	Sign(person(1), testNetwork, records)
	return records
}

// TestSign: every record of a batch of any size can be checked alone, with its value
// and without it.
func TestSign(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 8, 1000, MaxBatch, MaxBatch + 3} {
		c := Checker{Network: testNetwork}
		for i, r := range batch(n) {
			if err := c.Check(r); err != nil {
				t.Fatalf("record %d of %d: %v", i, n, err)
			}
			if err := c.Check(headerOf(r)); err != nil {
				t.Fatalf("header %d of %d: %v", i, n, err)
			}
		}
	}
	Sign(person(1), testNetwork, nil)
}

// TestEveryBit: a record in which any bit is wrong, as it is sent, is refused, unless it
// still is the same record.
func TestEveryBit(t *testing.T) {
	for _, n := range []int{1, 7} {
		records := batch(n)
		c := Checker{Network: testNetwork}
		good := records[n-1]
		b, err := wire.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range 8 * len(b) {
			bad := bytes.Clone(b)
			bad[i/8] ^= 1 << (i % 8)
			var r Record
			if err := wire.Unmarshal(bad, &r); err != nil {
				refused++
				continue
			}
			if err := c.Check(r); err != nil {
				refused++
				continue
			}
			if r.IsHeader() { // the key of the value has become an unknown one
				r.Value = good.Value
			}
			if !reflect.DeepEqual(r, good) {
				t.Fatalf("bit %d of %d wrong, and accepted", i, 8*len(b))
			}
		}
		if refused < 8*len(b)*9/10 {
			t.Errorf("%d of %d wrong bits are refused", refused, 8*len(b))
		}
	}
}

// TestWrongFields: the same field by field.
func TestWrongFields(t *testing.T) {
	for name, change := range map[string]func(r *Record){
		"location":      func(r *Record) { r.Location[31] ^= 1 },
		"domain":        func(r *Record) { r.Domain[0] ^= 1 },
		"content":       func(r *Record) { r.Content[0] ^= 1 },
		"version":       func(r *Record) { r.Version[19] ^= 1 },
		"kind":          func(r *Record) { r.Kind = KindTombstone },
		"sum":           func(r *Record) { r.Value = nil; r.Sum[0] ^= 1 },
		"size":          func(r *Record) { r.Value = nil; r.Size++ },
		"value":         func(r *Record) { r.Value = []byte("another") },
		"bit of value":  func(r *Record) { r.Value = bytes.Clone(r.Value); r.Value[0] ^= 1 },
		"value too":     func(r *Record) { r.Value = []byte("another"); r.Sum, r.Size = SumOf(r.Value), 7 },
		"based":         func(r *Record) { r.Based = r.Based[1:] },
		"ttl":           func(r *Record) { r.TTL++ },
		"no ttl":        func(r *Record) { r.Prepared, r.TTL = false, 0 },
		"seq":           func(r *Record) { r.Seq++ },
		"prepared":      func(r *Record) { r.Prepared = false },
		"protect":       func(r *Record) { r.Protect = ProtectEntry },
		"owner":         func(r *Record) { r.Owner = nil },
		"author":        func(r *Record) { r.Author = person(3).PublicKey() },
		"no author":     func(r *Record) { r.Author = nil },
		"index":         func(r *Record) { r.Proof.Index ^= 1 },
		"index outside": func(r *Record) { r.Proof.Index = r.Proof.Count },
		"count":         func(r *Record) { r.Proof.Count++ },
		"count 0":       func(r *Record) { r.Proof.Count = 0 },
		"a huge count":  func(r *Record) { r.Proof.Count = 1<<32 - 1 },
		"path":          func(r *Record) { r.Proof.Path = append(make([]byte, 32), r.Proof.Path[32:]...) },
		"path shorter":  func(r *Record) { r.Proof.Path = r.Proof.Path[:32] },
		"path longer":   func(r *Record) { r.Proof.Path = append(r.Proof.Path[:64:64], make([]byte, 32)...) },
		"path's bytes":  func(r *Record) { r.Proof.Path = append(r.Proof.Path[:31:31], r.Proof.Path[32:]...) },
		"signature":     func(r *Record) { r.Proof.Sig = make([]byte, 64) },
		"no signature":  func(r *Record) { r.Proof.Sig = nil },
		"another's":     func(r *Record) { r.Proof = signedBy(person(3), *r).Proof },
	} {
		records := batch(3)
		r := records[0]
		change(&r)
		c := Checker{Network: testNetwork}
		for range 2 { // what is remembered of the first time does not help
			if err := c.Check(r); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Check(records[1]); err != nil {
			t.Errorf("after a wrong %s, a right record: %v", name, err)
		}
	}
	other := Checker{Network: p2p.ID{8}}
	if err := other.Check(batch(1)[0]); !errors.Is(err, ErrSignature) {
		t.Errorf("in another network: %v", err)
	}
}

// FuzzRecord decodes anything as a record and checks it, and lets it into a cell if it
// is one.
func FuzzRecord(f *testing.F) {
	for _, r := range append(batch(3), signedBy(person(1), tombstone(at(noDomain, "k"), 1)), headerOf(batch(1)[0])) {
		b, err := wire.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if err := wire.Unmarshal(b, &r); err != nil {
			return
		}
		c := Checker{Network: testNetwork}
		if err := c.Check(r); err != nil {
			if !errors.Is(err, ErrSignature) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v", err)
			}
		}
		// Whoever signs it: a header that is in order survives its encoding and a cell.
		if r.check() != nil {
			return
		}
		again, err := wire.Marshal(r.Header)
		if err != nil {
			t.Fatal(err)
		}
		var h Header
		if err := wire.Unmarshal(again, &h); err != nil || h.hash() != r.hash() {
			t.Fatalf("a header changes by being sent: %v", err)
		}
		p := newReplica(Rules{})
		p.cell(r.Name()).Put(Write{Record: r}, Rules{}, p.now)
		p.hold(t)
	})
}

// BenchmarkSign and BenchmarkCheck are of 1000 records each; ns/record is what counts.
func BenchmarkSign(b *testing.B) {
	records := batch(1000)
	b.ReportAllocs()
	for b.Loop() {
		Sign(person1, testNetwork, records)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}

func BenchmarkCheck(b *testing.B) {
	records := batch(1000)
	b.ReportAllocs()
	for b.Loop() {
		c := Checker{Network: testNetwork}
		for _, r := range records {
			if err := c.Check(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}
