package dhttest

import (
	"errors"
	"slices"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// oracle knows what a store must have, by the plainest means.
type oracle struct {
	records []dht.Held
	entries map[dht.Name]dht.Claim
	domains map[dht.Name]dht.Claim // names without content
}

// What is drawn: few of each, so that they meet.
const (
	keys    = 4
	authors = 3
	times   = 12
)

func drawKey(t *rapid.T, what string) p2p.Key {
	switch n := rapid.IntRange(-1, keys-1).Draw(t, what); n {
	case -1:
		return p2p.Key{}
	default:
		return key(n)
	}
}

func drawName(t *rapid.T) dht.Name {
	return dht.Name{Location: key(rapid.IntRange(0, keys-1).Draw(t, "location")), Domain: drawKey(t, "domain"), Content: drawKey(t, "content")}
}

func drawVersion(t *rapid.T, what string) dht.Version {
	return dht.Version{7: byte(rapid.IntRange(0, 4).Draw(t, what)), 19: byte(rapid.IntRange(0, 1).Draw(t, what+" of two"))}
}

func drawHeld(t *rapid.T, name dht.Name) dht.Held {
	n := rapid.IntRange(0, 40).Draw(t, "size")
	h := dht.Held{
		Record:  Record(name, drawVersion(t, "version"), author(rapid.IntRange(0, authors-1).Draw(t, "author")), rapid.Uint64Range(1, 3).Draw(t, "seq"), make([]byte, n)),
		Expires: rapid.Int64Range(0, times).Draw(t, "expires"),
	}
	h.TTL = uint32(h.Expires)
	h.Proof.Path = h.Proof.Path[:32*rapid.IntRange(0, 10).Draw(t, "path")]
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		h.Kind, h.Size, h.Value = dht.KindTombstone, 0, nil
	case 1:
		h.Prepared = true
	case 2:
		h.Protect, h.Owner = dht.ProtectEntry, author(authors)
	case 3:
		h.Based = []dht.Version{{}, {1}}
	}
	return h
}

func drawClaim(t *rapid.T) dht.Claim {
	if rapid.IntRange(0, 2).Draw(t, "claimed") == 0 {
		return dht.Claim{}
	}
	return dht.Claim{Owner: author(rapid.IntRange(0, authors-1).Draw(t, "owner")), Expires: rapid.Int64Range(0, times).Draw(t, "claim expires")}
}

func domainOf(n dht.Name) dht.Name { return dht.Name{Location: n.Location, Domain: n.Domain} }

// of returns what is under name, in order.
func (o *oracle) of(name dht.Name) (all []dht.Held) {
	for _, h := range o.records {
		if h.Name() == name {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b dht.Held) int { return a.Version.Compare(b.Version) })
	return all
}

func (o *oracle) change(t *rapid.T, s dht.Store) {
	names := make([]dht.Name, rapid.IntRange(1, 6).Draw(t, "names"))
	for i := range names {
		names[i] = drawName(t)
	}
	slices.SortFunc(names, dht.Name.Compare)
	names = slices.Compact(names)
	fails := rapid.IntRange(0, 9).Draw(t, "fails") == 0
	own := errors.New("own")
	err := s.Change(t.Context(), names, func(cells []*dht.Cell) error {
		if len(cells) != len(names) {
			t.Fatalf("%d cells for %d names", len(cells), len(names))
		}
		for i, c := range cells {
			name := names[i]
			want := dht.Cell{Name: name, Entry: o.entries[name], Records: o.of(name)}
			domain := o.domains[domainOf(name)]
			want.Domain = &domain
			if diff := cmp.Diff(&want, c, equal); diff != "" {
				t.Fatalf("cell (-want +got):\n%s", diff)
			}
		}
		for i, c := range cells {
			for range rapid.IntRange(0, 2).Draw(t, "deletions") {
				if len(c.Records) > 0 {
					at := rapid.IntRange(0, len(c.Records)-1).Draw(t, "deleted")
					c.Records = slices.Delete(c.Records, at, at+1)
				}
			}
			if len(c.Records) > 0 && rapid.Bool().Draw(t, "renewed") {
				c.Records[0].Expires = rapid.Int64Range(0, times).Draw(t, "renewed until")
			}
			for range rapid.IntRange(0, 3).Draw(t, "records") {
				h := drawHeld(t, names[i])
				c.Records = append(slices.DeleteFunc(c.Records, func(o dht.Held) bool { return o.Version == h.Version }), h)
			}
			slices.SortFunc(c.Records, func(a, b dht.Held) int { return a.Version.Compare(b.Version) })
			c.Entry = drawClaim(t)
		}
		// The claims on domains are decided after all, and are still those that are shared.
		last := map[dht.Name]dht.Claim{}
		for i, c := range cells {
			d, there := last[domainOf(names[i])]
			if !there {
				d = drawClaim(t)
				*c.Domain = d
			}
			last[domainOf(names[i])] = d
			if diff := cmp.Diff(d, *c.Domain, equal); diff != "" {
				t.Fatalf("claim on a domain is not shared (-want +got):\n%s", diff)
			}
		}
		if fails {
			return own
		}
		for i, c := range cells {
			o.records = slices.DeleteFunc(o.records, func(h dht.Held) bool { return h.Name() == names[i] })
			o.records = append(o.records, c.Records...)
			o.entries[names[i]] = c.Entry
			o.domains[domainOf(names[i])] = *c.Domain
		}
		return nil
	})
	if fails != (err == own) || !fails && err != nil {
		t.Fatalf("change: %v", err)
	}
}

func drawQuery(t *rapid.T) dht.Query {
	q := dht.Query{
		Location: key(rapid.IntRange(0, keys-1).Draw(t, "location")),
		Domain:   drawKey(t, "domain"),
	}
	for _, b := range []*bool{&q.Domains, &q.Versions, &q.Descending, &q.Bare, &q.Tombstones, &q.Prepared} {
		*b = rapid.Bool().Draw(t, "option")
	}
	switch rapid.IntRange(0, 2).Draw(t, "contents") {
	case 0:
		q.From = drawKey(t, "from")
		if rapid.Bool().Draw(t, "bounded") {
			to := drawKey(t, "to")
			q.To = &to
		}
	case 1:
		for range rapid.IntRange(1, 3).Draw(t, "contents") {
			q.Contents = append(q.Contents, drawKey(t, "content"))
		}
		slices.SortFunc(q.Contents, p2p.Key.Compare)
	}
	if rapid.IntRange(0, 2).Draw(t, "version range") == 0 {
		q.VersionFrom, q.VersionTo = drawVersion(t, "version from"), drawVersion(t, "version to")
	}
	return q
}

func (o *oracle) read(t *rapid.T, s dht.Store) {
	q := drawQuery(t)
	var want []dht.Held
	for _, h := range o.records {
		if h.Location != q.Location || !q.Domains && h.Domain != q.Domain ||
			h.Kind == dht.KindTombstone && !q.Tombstones || h.Prepared && !q.Prepared ||
			h.Version.Compare(q.VersionFrom) < 0 || !q.VersionTo.IsZero() && h.Version.Compare(q.VersionTo) > 0 {
			continue
		}
		if len(q.Contents) > 0 {
			if !slices.Contains(q.Contents, h.Content) {
				continue
			}
		} else if h.Content.Compare(q.From) < 0 || q.To != nil && h.Content.Compare(*q.To) > 0 {
			continue
		}
		if q.Bare {
			h.Value = nil
		}
		want = append(want, h)
	}
	slices.SortFunc(want, func(a, b dht.Held) int { return a.Compare(b.Address) })
	if q.Descending {
		slices.Reverse(want)
	}
	if diff := cmp.Diff(want, read(t, s, q), equal); diff != "" {
		t.Fatalf("read %+v (-want +got):\n%s", q, diff)
	}
}

func (o *oracle) expire(t *rapid.T, s dht.Store) {
	now, limit := rapid.Int64Range(0, times).Draw(t, "now"), rapid.IntRange(1, 4).Draw(t, "limit")
	ended := func(expires int64) bool { return expires > 0 && expires <= now }
	var all int
	var next int64
	for _, h := range o.records {
		if ended(h.Expires) {
			all++
		} else if h.Expires > 0 && (next == 0 || h.Expires < next) {
			next = h.Expires
		}
	}
	for _, claims := range []map[dht.Name]dht.Claim{o.entries, o.domains} {
		for _, c := range claims {
			if !ended(c.Expires) && c.Expires > 0 && (next == 0 || c.Expires < next) {
				next = c.Expires
			}
		}
	}
	calls := 0
	for done := 0; ; {
		n, then, err := s.Expire(t.Context(), now, limit)
		if err != nil {
			t.Fatalf("expire: %v", err)
		}
		done += n
		if n > limit || done > all {
			t.Fatalf("expired %d, %d of %d with limit %d", n, done, all, limit)
		}
		if ended(then) {
			if calls++; calls > len(o.records)+len(o.entries)+len(o.domains) {
				t.Fatalf("expired %d of %d, but something at %d is left after %d calls", done, all, then, calls)
			}
			continue
		}
		if done != all || then != next {
			t.Fatalf("expired %d, next %d; want %d, next %d", done, then, all, next)
		}
		break
	}
	o.records = slices.DeleteFunc(o.records, func(h dht.Held) bool { return ended(h.Expires) })
	for _, claims := range []map[dht.Name]dht.Claim{o.entries, o.domains} {
		for name, c := range claims {
			if ended(c.Expires) {
				delete(claims, name)
			}
		}
	}
}

func (o *oracle) drop(t *rapid.T, s dht.Store) {
	gone := []p2p.Key{key(rapid.IntRange(0, keys).Draw(t, "location"))}
	if err := s.Drop(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	o.records = slices.DeleteFunc(o.records, func(h dht.Held) bool { return h.Location == gone[0] })
	for _, claims := range []map[dht.Name]dht.Claim{o.entries, o.domains} {
		for name := range claims {
			if name.Location == gone[0] {
				delete(claims, name)
			}
		}
	}
}

func (o *oracle) sums(t *rapid.T, s dht.Store) {
	now := rapid.Int64Range(0, times).Draw(t, "now")
	var want []dht.LocationSum
	for n := range keys {
		l := dht.LocationSum{Location: key(n)}
		for _, h := range o.records {
			if h.Location == l.Location && (h.Expires == 0 || h.Expires > now) {
				l.Sum.Add(h.Header)
				l.Records++
			}
		}
		if l.Records > 0 {
			want = append(want, l)
		}
	}
	if diff := cmp.Diff(want, sums(t, s, now), equal); diff != "" {
		t.Fatalf("sums at %d (-want +got):\n%s", now, diff)
	}
}

func (o *oracle) usage(t *rapid.T, s dht.Store) {
	for n := range authors {
		var want dht.Usage
		for _, h := range o.records {
			if slices.Equal(h.Author, author(n)) {
				want.Records++
				want.Bytes += int64(h.Size)
			}
		}
		if got := usage(t, s, author(n)); got != want {
			t.Fatalf("usage of %d: %v, want %v", n, got, want)
		}
	}
}
