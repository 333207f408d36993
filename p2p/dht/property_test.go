package dht

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"pgregory.net/rapid"
)

// people who write in the property tests; the first is master of the domain.
var people = []p2p.Identity{person(1), person(2), person(3)}

// drawRecord draws a record of few addresses, so that they meet.
func drawRecord(t *rapid.T, who p2p.Identity, claims []Protect) Record {
	domain := rapid.SampledFrom([]p2p.Key{noDomain, masterKey(people[0])}).Draw(t, "domain")
	a := at(domain, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "content"))
	text := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")
	r := value(a, text, rapid.Uint64Range(1, 5).Draw(t, "seq"))
	if n := rapid.Uint64Range(0, 3).Draw(t, "version"); n > 0 {
		r.Version = NewVersion(n, []byte(text))
		if n > 1 {
			r.Based = []Version{NewVersion(n-1, []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "based")))}
		}
	}
	r.TTL = rapid.SampledFrom([]uint32{0, 1, 3}).Draw(t, "ttl")
	r.Protect = rapid.SampledFrom(claims).Draw(t, "protect")
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		r.Kind, r.Value, r.Based = KindTombstone, nil, nil
	case 1:
		r.Prepared = r.TTL > 0 && !r.Version.IsZero()
	}
	if r.Protect != 0 && rapid.IntRange(0, 3).Draw(t, "for whom") == 0 {
		r.Owner = rapid.SampledFrom(people).Draw(t, "owner").PublicKey()
	}
	return signedBy(who, r)
}

// allClaims is everything that can be claimed.
var allClaims = []Protect{0, 0, ProtectDomain, ProtectEntry, ProtectDomain | ProtectEntry}

// TestAnything: whatever comes, in any order and at any time, one address has one
// record, what has expired is not served, a claim stands on a live record and ends with
// the last (replica.hold), what an owner owns changes by its own writes only, or
// its master's, and what is prepared is seen when a majority is known to have done so, or a fork is wanted.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newReplica(Rules{
			DomainNone: rapid.Bool().Draw(t, "none"), DomainNoMaster: rapid.Bool().Draw(t, "no master"),
			EntryNone: rapid.Bool().Draw(t, "entry none"), EntryNoMaster: rapid.Bool().Draw(t, "entry no master"),
		})
		var sent []Record
		for range rapid.IntRange(1, 40).Draw(t, "writes") {
			p.now += rapid.Int64Range(0, 800).Draw(t, "time")
			r := drawRecord(t, rapid.SampledFrom(people).Draw(t, "author"), allClaims)
			if len(sent) > 0 && rapid.IntRange(0, 3).Draw(t, "replay") == 0 {
				r = rapid.SampledFrom(sent).Draw(t, "old")
			}
			if last := len(sent) - 1; last >= 0 && sent[last].Prepared && rapid.Bool().Draw(t, "confirm") {
				r = sent[last]
				r.Prepared, r.Seq = false, r.Seq+1
				r = signedBy(people[slices.IndexFunc(people, func(p p2p.Identity) bool { return bytes.Equal(p.PublicKey(), r.Author) })], r)
			}
			sent = append(sent, r)
			if r.Size > 0 && rapid.IntRange(0, 3).Draw(t, "header") == 0 {
				r = headerOf(r)
			}
			w := Write{
				Record: r, Absent: rapid.IntRange(0, 5).Draw(t, "absent") == 0, Repair: rapid.Bool().Draw(t, "repair"),
				Fork: rapid.Bool().Draw(t, "fork"), Left: rapid.Uint64Range(0, 4000).Draw(t, "left"),
				own: rapid.Bool().Draw(t, "own"), proved: rapid.Uint64Range(0, 20).Draw(t, "proved"),
			}
			c := p.cell(r.Name())
			var old Held
			if i, found := c.find(r.Version); found && c.Records[i].live(p.now) {
				old = c.Records[i]
			}
			domain, entry, before := *c.Domain, c.Entry, p.headers()
			status, _ := p.write(t, w)
			changed := !reflect.DeepEqual(before, p.headers())
			if changed && !status.Stored() {
				t.Fatalf("%s, and something has changed", status)
			}
			if changed && old.Prepared && r.Kind == KindValue && !r.Prepared && bytes.Equal(old.Author, r.Author) &&
				!w.Fork && (w.own || !w.Repair) && w.proved < old.Seq {
				t.Fatalf("%s: what was prepared can be seen, and nobody knows of a majority", status)
			}
			key := KeyOfOwner(r.Author)
			stranger := func(k Claim, claims, master bool) bool {
				return !k.IsZero() && k.live(p.now) && !k.Owner.Equal(r.Author) && !(claims && master)
			}
			if changed && (stranger(domain, r.Protect&ProtectDomain != 0, key == r.Domain && !p.rules.DomainNoMaster) ||
				stranger(entry, r.Protect&ProtectEntry != 0, key == r.Content && !p.rules.EntryNoMaster)) {
				t.Fatalf("%s: a stranger has changed what somebody owns", status)
			}
			for _, h := range c.Select(Query{Versions: true, Tombstones: true, Prepared: true}, p.now) {
				if h.Expires != 0 && h.Expires <= p.now {
					t.Fatalf("expired and served")
				}
			}
			if heads, all := c.Select(Query{}, p.now), c.Select(Query{Versions: true}, p.now); (len(heads) == 0) != (len(all) == 0) {
				t.Fatalf("%d heads of %d versions", len(heads), len(all))
			}
		}
	})
}

// TestOrder: replicas that have got the same copies, each in its own order and some of
// them twice, serve the same, where Put says that they do.
func TestOrder(t *testing.T) {
	type scenario struct {
		name string
		// first are there before all others; rest come in any order.
		draw func(t *rapid.T) (first, rest []Record)
		only func(Header) bool // what has to be the same; nil: all
	}
	several := func(t *rapid.T, label string, one func() Record) (out []Record) {
		for range rapid.IntRange(0, 12).Draw(t, label) {
			out = append(out, one())
		}
		return out
	}
	domain := masterKey(people[0])
	// The owner's claims, on both domains and both names in them, which nothing replaces.
	claims := func(owner p2p.Identity) (out []Record) {
		for _, d := range []p2p.Key{noDomain, domain} {
			out = append(out, signedBy(owner, protect(value(at(d, "claim"), "claim", 1<<40), ProtectDomain)))
		}
		return out
	}
	for _, s := range []scenario{
		{"nobody claims anything", func(t *rapid.T) (first, rest []Record) {
			return nil, several(t, "writes", func() Record {
				return drawRecord(t, rapid.SampledFrom(people).Draw(t, "author"), []Protect{0})
			})
		}, nil},
		{"an owner and strangers after the claim", func(t *rapid.T) (first, rest []Record) {
			owner := people[1]
			return claims(owner), several(t, "writes", func() Record {
				if who := rapid.SampledFrom(people[1:]).Draw(t, "author"); who.ID() != owner.ID() {
					return drawRecord(t, who, allClaims)
				}
				r := drawRecord(t, owner, allClaims)
				r.Owner = nil
				return signedBy(owner, r)
			})
		}, nil},
		{"the master, and strangers at any time", func(t *rapid.T) (first, rest []Record) {
			return nil, several(t, "writes", func() Record {
				who := rapid.SampledFrom(people).Draw(t, "author")
				r := drawRecord(t, who, []Protect{0, ProtectDomain})
				r.Domain = domain
				if who.ID() == people[0].ID() {
					r.Protect, r.Owner, r.TTL, r.Prepared = ProtectDomain, nil, 0, false
				}
				return signedBy(who, r)
			})
		}, func(h Header) bool { return masterKey(people[0]) == KeyOfOwner(h.Author) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				first, rest := s.draw(t)
				var want []Header
				for i := range 3 {
					p := newReplica(Rules{})
					order := slices.Clone(rest)
					if i > 0 && len(rest) > 0 {
						order = append(rapid.Permutation(rest).Draw(t, "order"), several(t, "twice", func() Record {
							return rapid.SampledFrom(rest).Draw(t, "again")
						})...)
					}
					for _, r := range slices.Concat(first, order) {
						p.write(t, Write{Record: r, Repair: true})
					}
					got := p.headers()
					if s.only != nil {
						got = slices.DeleteFunc(got, func(h Header) bool { return !s.only(h) })
					}
					if i == 0 {
						want = got
					} else if !reflect.DeepEqual(got, want) {
						t.Fatalf("one replica serves %d records, another %d, or others", len(want), len(got))
					}
				}
			})
		})
	}
}
