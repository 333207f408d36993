// Package dhttest has the suite that every dht.Store passes.
package dhttest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// TestStore checks that what open returns is a dht.Store. Each call of open returns an
// empty one.
func TestStore(t *testing.T, open func(t *testing.T) dht.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, dht.Store)
	}{
		{"Change", testChange},
		{"ChangeFails", testChangeFails},
		{"ChangesAtOnce", testChangesAtOnce},
		{"Claims", testClaims},
		{"ClaimsRecounted", testClaimsRecounted},
		{"Read", testRead},
		{"ReadStops", testReadStops},
		{"ReadIsASnapshot", testReadIsASnapshot},
		{"Sums", testSums},
		{"Expire", testExpire},
		{"Drop", testDrop},
		{"NextSeq", testNextSeq},
		{"EndedContext", testEndedContext},
		{"LikeOracle", testLikeOracle},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// equal are the options under which records are the same: whether nothing is nil or empty
// does not matter.
var equal = cmpopts.EquateEmpty()

// key returns a key whose first byte decides the order.
func key(n int) p2p.Key { return p2p.Key{byte(n), 7} }

func nameAt(location, domain, content int) dht.Name {
	return dht.Name{Location: key(location), Domain: key(domain), Content: key(content)}
}

// author returns a public key. Stores do not check signatures.
func author(n int) ed25519.PublicKey { return slices.Repeat([]byte{byte(n)}, ed25519.PublicKeySize) }

// Record returns a record of a name with a proof as long as one of a batch of 1024 has.
func Record(name dht.Name, version dht.Version, author ed25519.PublicKey, seq uint64, value []byte) dht.Record {
	r := dht.Record{
		Header: dht.Header{Address: name.At(version), Sum: dht.SumOf(value), Size: uint32(len(value)), Seq: seq, Author: author},
		Value:  value,
		Proof:  dht.Proof{Sig: slices.Repeat([]byte{byte(seq)}, ed25519.SignatureSize), Index: uint32(seq % 1024), Count: 1024},
	}
	for i := range 10 {
		r.Proof.Path = append(r.Proof.Path, slices.Repeat([]byte{byte(i)}, 32)...)
	}
	return r
}

// Put sets the record of each name that records are at, in one Change.
func Put(ctx context.Context, s dht.Store, records ...dht.Held) error {
	slices.SortFunc(records, func(a, b dht.Held) int { return a.Compare(b.Address) })
	var names []dht.Name
	for _, r := range records {
		names = append(names, r.Name())
	}
	names = slices.Compact(names)
	return s.Change(ctx, names, func(cells []*dht.Cell) error {
		for _, r := range records {
			i, _ := slices.BinarySearchFunc(names, r.Name(), dht.Name.Compare)
			c := cells[i]
			at, found := slices.BinarySearchFunc(c.Records, r.Version, func(h dht.Held, v dht.Version) int { return h.Version.Compare(v) })
			if found {
				c.Records[at] = r
			} else {
				c.Records = slices.Insert(c.Records, at, r)
			}
		}
		return nil
	})
}

func put(t *testing.T, s dht.Store, records ...dht.Held) {
	t.Helper()
	if err := Put(t.Context(), s, records...); err != nil {
		t.Fatal(err)
	}
}

// cells returns what s has under names.
func cells(t fataler, s dht.Store, names ...dht.Name) (got []*dht.Cell) {
	t.Helper()
	if err := s.Change(t.Context(), names, func(cells []*dht.Cell) error { got = cells; return nil }); err != nil {
		t.Fatalf("%v", err)
	}
	return got
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Context() context.Context
	Fatalf(format string, args ...any)
}

func read(t fataler, s dht.Store, q dht.Query) (all []dht.Held) {
	t.Helper()
	for h, err := range s.Read(t.Context(), q) {
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, h)
	}
	return all
}

func sums(t fataler, s dht.Store, now int64) (all []dht.LocationSum) {
	t.Helper()
	for l, err := range s.Sums(t.Context(), now) {
		if err != nil {
			t.Fatalf("sums: %v", err)
		}
		all = append(all, l)
	}
	return all
}

func usage(t fataler, s dht.Store, author ed25519.PublicKey) dht.Usage {
	t.Helper()
	u, err := s.Usage(t.Context(), p2p.IDOf(author))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

func testChange(t *testing.T, s dht.Store) {
	name := nameAt(1, 0, 1)
	v1, v2 := dht.NewVersion(1, []byte("one")), dht.NewVersion(2, []byte("two"))
	first := dht.Held{Record: Record(name, v1, author(1), 5, []byte("one")), Expires: 100}
	second := dht.Held{Record: Record(name, v2, author(1), 6, []byte("two"))}
	second.Based, second.TTL, second.Protect, second.Owner = []dht.Version{v1}, 9, dht.ProtectEntry, author(2)
	gone := dht.Held{Record: Record(name, dht.NewVersion(3, nil), author(2), 6, nil)}
	gone.Kind = dht.KindTombstone
	secret := dht.Held{Record: Record(name, dht.NewVersion(4, []byte("x")), author(2), 1<<64-1, []byte("x"))}
	secret.Prepared, secret.Seq = true, 1<<64-1
	put(t, s, first, second, gone, secret)
	want := []dht.Held{first, second, gone, secret}
	if diff := cmp.Diff(want, cells(t, s, name)[0].Records, equal); diff != "" {
		t.Errorf("after it was put (-want +got):\n%s", diff)
	}
	// What decide gets is its own, and counts only when it returns.
	if err := s.Change(t.Context(), []dht.Name{name}, func(cells []*dht.Cell) error {
		c := cells[0]
		c.Records[0].Expires = 200
		c.Records = slices.Delete(c.Records, 1, 3)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	first.Expires = 200
	if diff := cmp.Diff([]dht.Held{first, secret}, cells(t, s, name)[0].Records, equal); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}
	if got, err := s.Total(t.Context()); err != nil || got != (dht.Usage{Records: 2, Bytes: 4}) {
		t.Errorf("all have %+v, %v", got, err)
	}
	if got, want := usage(t, s, author(1)), (dht.Usage{Records: 1, Bytes: 3}); got != want {
		t.Errorf("usage %v, want %v", got, want)
	}
	if err := s.Change(t.Context(), nil, func(cells []*dht.Cell) error { return nil }); err != nil {
		t.Errorf("change of nothing: %v", err)
	}
}

func testChangeFails(t *testing.T, s dht.Store) {
	one, two := nameAt(1, 0, 1), nameAt(1, 0, 2)
	kept := dht.Held{Record: Record(one, dht.Version{}, author(1), 1, []byte("kept")), Expires: 50}
	put(t, s, kept)
	before := sums(t, s, 0)
	own := errors.New("own")
	for what, decide := range map[string]func(c []*dht.Cell) error{
		"an error": func(c []*dht.Cell) error {
			c[0].Records[0].Expires = 60
			c[0].Domain.Owner, c[1].Entry.Owner = author(1), author(1)
			c[1].Records = append(c[1].Records, dht.Held{Record: Record(two, dht.Version{}, author(1), 1, nil)})
			return own
		},
		"a record of another name": func(c []*dht.Cell) error {
			c[0].Records[0].Expires = 60
			c[1].Records = c[0].Records
			return nil
		},
		"versions out of order": func(c []*dht.Cell) error {
			c[0].Records = nil
			for n := range 2 {
				c[1].Records = append(c[1].Records, dht.Held{Record: Record(two, dht.NewVersion(uint64(2-n), nil), author(1), 1, nil)})
			}
			return nil
		},
	} {
		err := s.Change(t.Context(), []dht.Name{one, two}, decide)
		if err == nil || what == "an error" && err != own {
			t.Errorf("%s: %v", what, err)
		}
		got := cells(t, s, one, two)
		if diff := cmp.Diff([]dht.Held{kept}, got[0].Records, equal); diff != "" {
			t.Errorf("%s: changed (-want +got):\n%s", what, diff)
		}
		if len(got[1].Records) > 0 || !got[1].Entry.IsZero() || !got[0].Domain.IsZero() {
			t.Errorf("%s: %v was made", what, got[1])
		}
		if diff := cmp.Diff(before, sums(t, s, 0)); diff != "" {
			t.Errorf("%s: sums (-want +got):\n%s", what, diff)
		}
	}
	for _, names := range [][]dht.Name{{two, one}, {one, one}} {
		if err := s.Change(t.Context(), names, func([]*dht.Cell) error { t.Error("called"); return nil }); err == nil {
			t.Errorf("names out of order are taken")
		}
	}
}

// testChangesAtOnce lets many count up one number: none may see what another is about
// to change.
func testChangesAtOnce(t *testing.T, s dht.Store) {
	name := nameAt(1, 0, 1)
	const writers, each = 8, 10
	failed := make(chan error)
	for w := range writers {
		go func() {
			failed <- func() error {
				own := nameAt(2+w, 0, 1)
				for n := range each {
					err := s.Change(t.Context(), []dht.Name{name, own}, func(cells []*dht.Cell) error {
						for _, c := range cells {
							seq := uint64(1)
							if len(c.Records) > 0 {
								seq = c.Records[0].Seq + 1
							}
							c.Records = []dht.Held{{Record: Record(c.Name, dht.Version{}, author(1), seq, nil)}}
						}
						if n%3 == 2 {
							return errUndone
						}
						return nil
					})
					if err != nil && !errors.Is(err, errUndone) {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	const succeed = each - each/3
	if got := read(t, s, dht.Query{Location: name.Location, Domain: name.Domain}); len(got) != 1 || got[0].Seq != writers*succeed {
		t.Errorf("%d writers added 1 %d times each: %v", writers, succeed, got)
	}
	for w := range writers {
		if got := read(t, s, dht.Query{Location: key(2 + w), Domain: name.Domain}); len(got) != 1 || got[0].Seq != succeed {
			t.Errorf("writer %d added 1 %d times: %v", w, succeed, got)
		}
	}
	if got, want := usage(t, s, author(1)), (dht.Usage{Records: writers + 1}); got != want {
		t.Errorf("usage %v, want %v", got, want)
	}
}

var errUndone = errors.New("undone")

func testClaims(t *testing.T, s dht.Store) {
	names := []dht.Name{nameAt(1, 1, 1), nameAt(1, 1, 2), nameAt(1, 2, 1), nameAt(2, 1, 1)}
	if err := s.Change(t.Context(), names, func(c []*dht.Cell) error {
		if c[0].Domain != c[1].Domain || c[1].Domain == c[2].Domain || c[0].Domain == c[3].Domain {
			t.Error("claims on domains are not shared by the cells of the domain, and only by those")
		}
		*c[0].Domain = dht.Claim{Owner: author(1), Expires: 30}
		c[1].Entry = dht.Claim{Owner: author(2)}
		c[2].Entry = dht.Claim{Owner: author(3), Expires: 20}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect := func(when string, domain, second, third dht.Claim) {
		t.Helper()
		c := cells(t, s, names...)
		got := []dht.Claim{*c[0].Domain, *c[1].Domain, *c[2].Domain, *c[3].Domain, c[0].Entry, c[1].Entry, c[2].Entry, c[3].Entry}
		if diff := cmp.Diff([]dht.Claim{domain, domain, {}, {}, {}, second, third, {}}, got, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	d, e, f := dht.Claim{Owner: author(1), Expires: 30}, dht.Claim{Owner: author(2)}, dht.Claim{Owner: author(3), Expires: 20}
	expect("claims", d, e, f)
	for _, step := range []struct{ now, next int64 }{{19, 20}, {20, 30}, {29, 30}, {30, 0}} {
		if n, next, err := s.Expire(t.Context(), step.now, 10); n != 0 || next != step.next || err != nil {
			t.Errorf("expire at %d: %d, next %d, %v", step.now, n, next, err)
		}
		switch step.now {
		case 20:
			f = dht.Claim{}
		case 30:
			d = dht.Claim{}
		}
		expect(fmt.Sprint("at ", step.now), d, e, f)
	}
	if got := sums(t, s, 0); len(got) != 0 {
		t.Errorf("a location without records has a sum: %v", got)
	}
	if err := s.Change(t.Context(), names[1:2], func(c []*dht.Cell) error {
		c[0].Entry, *c[0].Domain = dht.Claim{}, dht.Claim{Owner: author(1)}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect("given up", dht.Claim{Owner: author(1)}, dht.Claim{}, dht.Claim{})
}

// testClaimsRecounted: a claim on a domain ends with the last record that claims it, in
// whichever cell that is, and the master's number is kept.
func testClaimsRecounted(t *testing.T, s dht.Store) {
	names := []dht.Name{nameAt(1, 1, 1), nameAt(1, 1, 2), nameAt(1, 1, 3)}
	claiming := func(n int, expires int64) dht.Held {
		r := Record(names[n], dht.Version{}, author(1), uint64(n+1), []byte("x"))
		r.Protect = dht.ProtectDomain
		return dht.Held{Record: r, Expires: expires}
	}
	change := func(name int, f func(c *dht.Cell)) dht.Claim {
		t.Helper()
		if err := s.Change(t.Context(), names[name:name+1], func(c []*dht.Cell) error { f(c[0]); return nil }); err != nil {
			t.Fatal(err)
		}
		return *cells(t, s, names[0])[0].Domain
	}
	got := change(0, func(c *dht.Cell) {
		c.Records = []dht.Held{claiming(0, 30)}
		*c.Domain = dht.Claim{Owner: author(1), Expires: 30, Master: 1 << 63}
	})
	if want := (dht.Claim{Owner: author(1), Expires: 30, Master: 1 << 63}); !got.Equal(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	change(1, func(c *dht.Cell) { c.Records = []dht.Held{claiming(1, 50)} })
	got = change(2, func(c *dht.Cell) { c.Domain.Stale = true })
	if want := (dht.Claim{Owner: author(1), Expires: 50, Master: 1 << 63}); !got.Equal(want) || got.Stale {
		t.Errorf("recounted: %+v, want %+v", got, want)
	}
	got = change(1, func(c *dht.Cell) { c.Records, c.Domain.Stale = nil, true })
	if got.Expires != 30 || got.Stale {
		t.Errorf("the last record is gone: %+v", got)
	}
	if got = change(0, func(c *dht.Cell) { c.Records, c.Domain.Stale = nil, true }); !got.IsZero() {
		t.Errorf("no record claims it: %+v", got)
	}
}

func testRead(t *testing.T, s dht.Store) {
	var all []dht.Held
	add := func(location, domain, content, version int) dht.Held {
		n := len(all)
		h := dht.Held{Record: Record(nameAt(location, domain, content), dht.Version{7: byte(version)}, author(1), uint64(n+1), []byte{byte(n)})}
		h.Domain[1], h.Content[1] = 0, 0 // key 0 is the zero key
		if domain == 9 {
			h.Domain = p2p.Key(slices.Repeat([]byte{0xff}, 32))
		}
		all = append(all, h)
		return h
	}
	for _, domain := range []int{0, 1, 9} {
		for content := range 4 {
			add(1, domain, content, 0)
		}
	}
	for version := 1; version < 5; version++ {
		add(1, 2, 1, version)
	}
	all[13].Kind, all[13].Size, all[13].Value = dht.KindTombstone, 0, nil
	all[14].Prepared = true
	add(0, 0, 0, 0)
	add(2, 0, 0, 0)
	put(t, s, slices.Clone(all)...)
	content := func(n int) p2p.Key { return p2p.Key{byte(n)} }
	to := content(2)
	last := p2p.Key(slices.Repeat([]byte{0xff}, 32))
	for name, test := range map[string]struct {
		query dht.Query
		want  []int
	}{
		"zero domain":         {dht.Query{}, []int{0, 1, 2, 3}},
		"descending":          {dht.Query{Descending: true}, []int{3, 2, 1, 0}},
		"last domain":         {dht.Query{Domain: last, Descending: true}, []int{11, 10, 9, 8}},
		"from":                {dht.Query{From: content(2)}, []int{2, 3}},
		"from between":        {dht.Query{From: p2p.Key{1, 1}}, []int{2, 3}},
		"to":                  {dht.Query{To: &to}, []int{0, 1, 2}},
		"from to":             {dht.Query{From: content(1), To: &to, Descending: true}, []int{2, 1}},
		"from behind to":      {dht.Query{From: content(3), To: &to}, nil},
		"to the last":         {dht.Query{To: &last}, []int{0, 1, 2, 3}},
		"contents":            {dht.Query{Contents: []p2p.Key{content(1), content(1), content(3), content(4)}}, []int{1, 3}},
		"contents descending": {dht.Query{Contents: []p2p.Key{content(1), content(1), content(3), content(4)}, Descending: true}, []int{3, 1}},
		"limit is not ours":   {dht.Query{Limit: 1}, []int{0, 1, 2, 3}},
		"versions":            {dht.Query{Domain: content(2), Versions: true}, []int{12, 15}},
		"heads are not ours":  {dht.Query{Domain: content(2)}, []int{12, 15}},
		"tombstones":          {dht.Query{Domain: content(2), Tombstones: true}, []int{12, 13, 15}},
		"prepared":            {dht.Query{Domain: content(2), Prepared: true}, []int{12, 14, 15}},
		"all of a name":       {dht.Query{Domain: content(2), Prepared: true, Tombstones: true, Descending: true}, []int{15, 14, 13, 12}},
		"versions from":       {dht.Query{Domain: content(2), VersionFrom: dht.Version{7: 2}, Tombstones: true}, []int{13, 15}},
		"versions to":         {dht.Query{Domain: content(2), VersionTo: dht.Version{7: 3}, Prepared: true}, []int{12, 14}},
		"domains":             {dht.Query{Domains: true, Domain: content(5)}, []int{0, 1, 2, 3, 4, 5, 6, 7, 12, 15, 8, 9, 10, 11}},
		"domains descending":  {dht.Query{Domains: true, Descending: true}, []int{11, 10, 9, 8, 15, 12, 7, 6, 5, 4, 3, 2, 1, 0}},
		"domains from to":     {dht.Query{Domains: true, From: content(1), To: &to}, []int{1, 2, 5, 6, 12, 15, 9, 10}},
		"domains contents":    {dht.Query{Domains: true, Contents: []p2p.Key{content(0), content(3)}}, []int{0, 3, 4, 7, 8, 11}},
		"no such domain":      {dht.Query{Domain: content(6)}, nil},
		"bare":                {dht.Query{From: content(3), Bare: true}, []int{3}},
	} {
		test.query.Location = key(1)
		var want []dht.Held
		for _, i := range test.want {
			h := all[i]
			if test.query.Bare {
				h.Value = nil
			}
			want = append(want, h)
		}
		got := read(t, s, test.query)
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if test.query.Bare && !got[0].IsHeader() {
			t.Errorf("%s: with its value", name)
		}
	}
	if got := read(t, s, dht.Query{Location: key(3)}); got != nil {
		t.Errorf("no such location: %v", got)
	}
}

// testReadStops checks that a reader that has enough leaves nothing behind that would
// stop others.
func testReadStops(t *testing.T, s dht.Store) {
	name := nameAt(1, 0, 1)
	for n := range 3 {
		put(t, s, dht.Held{Record: Record(name, dht.NewVersion(uint64(n), nil), author(1), uint64(n+1), nil), Expires: int64(n + 1)},
			dht.Held{Record: Record(nameAt(2+n, 0, 1), dht.Version{}, author(1), 1, nil)})
		for range 8 {
			for _, err := range s.Read(t.Context(), dht.Query{Location: name.Location, Domain: name.Domain}) {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			for _, err := range s.Sums(t.Context(), 1) {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}
}

// testReadIsASnapshot reads while another moves two records to and fro, and writes other
// things.
func testReadIsASnapshot(t *testing.T, s dht.Store) {
	const changes = 200
	names := []dht.Name{nameAt(1, 0, 1), nameAt(1, 0, 2), nameAt(1, 0, 3), nameAt(1, 0, 4), nameAt(2, 0, 0)}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for n := range changes {
			names[4] = nameAt(2, n%100, n%7)
			err := s.Change(t.Context(), names, func(cells []*dht.Cell) error {
				for i, c := range cells {
					c.Records = nil
					if i == 4 || i%2 == n/3%2 {
						c.Records = []dht.Held{{Record: Record(c.Name, dht.Version{}, author(1), uint64(n+1), nil)}}
					}
				}
				return nil
			})
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	var q dht.Query
	for n, last := 0, uint64(0); last < changes; n++ {
		select {
		case err := <-failed:
			if err != nil {
				t.Fatal(err)
			}
		default:
		}
		q = dht.Query{Location: key(1), Domain: key(0), Descending: n%3 == 0}
		if n%2 == 0 {
			for _, name := range names[:4] {
				q.Contents = append(q.Contents, name.Content)
			}
		}
		got := read(t, s, q)
		if len(got) == 0 && last == 0 {
			continue // not yet
		}
		if len(got) != 2 || got[0].Seq != got[1].Seq || got[0].Seq < last {
			t.Fatalf("after %d: %v", last, got)
		}
		last = got[0].Seq
	}
}

func testSums(t *testing.T, s dht.Store) {
	var records []dht.Held
	want := map[p2p.Key]dht.LocationSum{}
	for location := range 20 {
		for content := range location%3 + 1 {
			h := dht.Held{Record: Record(nameAt(location, content, content), dht.Version{}, author(1), uint64(location+1), nil)}
			records = append(records, h)
			l := want[key(location)]
			l.Location = key(location)
			l.Records++
			l.Sum.Add(h.Header)
			want[key(location)] = l
		}
	}
	records[5].Expires = 10
	put(t, s, slices.Clone(records)...)
	check := func(when string, now int64) {
		t.Helper()
		got := sums(t, s, now)
		if !slices.IsSortedFunc(got, func(a, b dht.LocationSum) int { return a.Location.Compare(b.Location) }) {
			t.Errorf("%s: not in order", when)
		}
		have := map[p2p.Key]dht.LocationSum{}
		for _, l := range got {
			have[l.Location] = l
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("all", 9)
	changed := records[7]
	l := want[changed.Location]
	l.Sum.Add(changed.Header)
	changed.Seq++
	l.Sum.Add(changed.Header)
	want[changed.Location] = l
	put(t, s, changed)
	check("one changed", 9)
	end := records[5]
	l = want[end.Location]
	l.Sum.Add(end.Header)
	l.Records--
	want[end.Location] = l
	check("one expired", 10)
	for range 2 {
		if _, _, err := s.Expire(t.Context(), 10, 100); err != nil {
			t.Fatal(err)
		}
		check("one deleted", 0)
	}
}

func testExpire(t *testing.T, s dht.Store) {
	const n = 50
	for i := range n {
		put(t, s, dht.Held{Record: Record(nameAt(i%7, 0, i), dht.Version{}, author(1), 1, []byte("12")), Expires: int64(i + 1)})
	}
	put(t, s, dht.Held{Record: Record(nameAt(8, 0, 1), dht.Version{}, author(1), 1, []byte("1"))})
	for _, step := range []struct {
		now     int64
		limit   int
		deleted int
		next    int64
	}{
		{0, 10, 0, 1},
		{1, 10, 1, 2},
		{20, 5, 5, 7},
		{20, 100, 14, 21},
		{20, 100, 0, 21},
		{1000, 30, 30, 0},
		{1000, 30, 0, 0},
	} {
		deleted, next, err := s.Expire(t.Context(), step.now, step.limit)
		if deleted != step.deleted || next != step.next || err != nil {
			t.Errorf("expire %d at %d: %d deleted, next %d, %v; want %d, next %d", step.limit, step.now, deleted, next, err, step.deleted, step.next)
		}
	}
	if got, want := usage(t, s, author(1)), (dht.Usage{Records: 1, Bytes: 1}); got != want {
		t.Errorf("usage %v, want %v", got, want)
	}
	if got := sums(t, s, 0); len(got) != 1 || got[0].Location != key(8) {
		t.Errorf("left: %v", got)
	}
}

func testDrop(t *testing.T, s dht.Store) {
	for location := range 4 {
		for content := range 3 {
			h := dht.Held{Record: Record(nameAt(location, content, content), dht.Version{}, author(location%2), 1, []byte("123")), Expires: int64(location)}
			if err := s.Change(t.Context(), []dht.Name{h.Name()}, func(c []*dht.Cell) error {
				*c[0].Domain = dht.Claim{Owner: author(1), Expires: int64(location)}
				c[0].Entry = dht.Claim{Owner: author(1), Expires: int64(location)}
				c[0].Records = []dht.Held{h}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Drop(t.Context(), []p2p.Key{key(3), key(1), key(9), key(1)}); err != nil {
		t.Fatal(err)
	}
	for location := range 4 {
		c := cells(t, s, nameAt(location, 1, 1))[0]
		if gone := location%2 == 1; len(c.Records) == 0 != gone || c.Domain.IsZero() != gone || c.Entry.IsZero() != gone {
			t.Errorf("location %d: %v", location, c)
		}
		if got := read(t, s, dht.Query{Location: key(location), Domains: true}); len(got) != 3*((location+1)%2) {
			t.Errorf("location %d: %d records", location, len(got))
		}
	}
	if got := usage(t, s, author(1)); got != (dht.Usage{}) {
		t.Errorf("usage of who has nothing: %v", got)
	}
	if got, want := usage(t, s, author(0)), (dht.Usage{Records: 6, Bytes: 18}); got != want {
		t.Errorf("usage %v, want %v", got, want)
	}
	if got := sums(t, s, 0); len(got) != 2 {
		t.Errorf("sums: %v", got)
	}
	if n, next, err := s.Expire(t.Context(), 10, 10); n != 3 || next != 0 || err != nil { // those at 0 never do
		t.Errorf("expire: %d, next %d, %v", n, next, err)
	}
	if c := cells(t, s, nameAt(0, 1, 1))[0]; len(c.Records) != 1 || c.Domain.IsZero() || c.Entry.IsZero() {
		t.Errorf("what never expires: %v", c)
	}
}

func testNextSeq(t *testing.T, s dht.Store) {
	var free uint64
	for _, step := range []struct {
		atLeast uint64
		n       int
	}{{0, 1}, {0, 1}, {0, 10}, {0, 1}, {1000, 3}, {0, 1}, {1 << 40, 5000}, {5, 1}} {
		first, err := s.NextSeq(t.Context(), step.atLeast, step.n)
		if err != nil || first < free || first < step.atLeast || first == 0 {
			t.Fatalf("%d from %d: %d (%v), but all below %d are taken", step.n, step.atLeast, first, err, free)
		}
		free = first + uint64(step.n)
	}
	if first, err := s.NextSeq(t.Context(), 0, 0); err == nil {
		t.Errorf("none, from %d", first)
	}
	if first, err := s.NextSeq(t.Context(), 1<<64-10, 20); err == nil {
		t.Errorf("more than there are, from %d", first)
	}
	if first, err := s.NextSeq(t.Context(), 0, 1); err != nil || first < free {
		t.Errorf("after those that failed: %d, %v", first, err)
	}
}

func testEndedContext(t *testing.T, s dht.Store) {
	put(t, s, dht.Held{Record: Record(nameAt(1, 0, 1), dht.Version{}, author(1), 1, nil), Expires: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Change(ctx, []dht.Name{nameAt(1, 0, 1)}, func([]*dht.Cell) error { t.Error("decide was called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Change: %v", err)
	}
	for _, err := range s.Read(ctx, dht.Query{Location: key(1), Domains: true}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Read: %v", err)
		}
	}
	for _, err := range s.Sums(ctx, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Sums: %v", err)
		}
	}
	if _, _, err := s.Expire(ctx, 10, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Expire: %v", err)
	}
	if err := s.Drop(ctx, []p2p.Key{key(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("Drop: %v", err)
	}
	if got := read(t, s, dht.Query{Location: key(1), Domains: true}); len(got) != 1 {
		t.Errorf("%d records are left, want 1", len(got))
	}
}

// testLikeOracle does the same to s and to an oracle that keeps everything in a list.
func testLikeOracle(t *testing.T, s dht.Store) {
	rapid.Check(t, func(t *rapid.T) {
		o := &oracle{entries: map[dht.Name]dht.Claim{}, domains: map[dht.Name]dht.Claim{}}
		var locations []p2p.Key
		for n := range keys {
			locations = append(locations, key(n))
		}
		if err := s.Drop(t.Context(), locations); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) { o.change(t, s) },
			"read":   func(t *rapid.T) { o.read(t, s) },
			"expire": func(t *rapid.T) { o.expire(t, s) },
			"drop":   func(t *rapid.T) { o.drop(t, s) },
			"sums":   func(t *rapid.T) { o.sums(t, s) },
			"usage":  func(t *rapid.T) { o.usage(t, s) },
		})
		o.sums(t, s)
		o.usage(t, s)
	})
}
