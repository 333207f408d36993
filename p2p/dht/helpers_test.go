package dht

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

var testNetwork = p2p.ID{7}

// person returns the identity of somebody, the same for the same number.
func person(n byte) p2p.Identity {
	id, err := p2p.IdentityFromSeed(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return id
}

// masterKey returns the key that somebody is master of.
func masterKey(who p2p.Identity) p2p.Key { return KeyOfOwner(who.PublicKey()) }

// signedBy signs one record.
func signedBy(who p2p.Identity, r Record) Record {
	batch := []Record{r}
	Sign(who, testNetwork, batch)
	return batch[0]
}

// headerOf takes the value away.
func headerOf(r Record) Record {
	r.Value = nil
	return r
}

// replica is a store of cells as simple as can be. It checks what holds at all times.
type replica struct {
	rules   Rules
	now     int64
	cells   map[Name]*Cell
	domains map[[2]p2p.Key]*Claim
	check   Checker
}

func newReplica(rules Rules) *replica {
	return &replica{rules: rules, cells: map[Name]*Cell{}, domains: map[[2]p2p.Key]*Claim{}, check: Checker{Network: testNetwork}, now: 1000}
}

func (p *replica) cell(n Name) *Cell {
	if p.cells[n] == nil {
		d := [2]p2p.Key{n.Location, n.Domain}
		if p.domains[d] == nil {
			p.domains[d] = &Claim{}
		}
		p.cells[n] = &Cell{Name: n, Domain: p.domains[d]}
	}
	return p.cells[n]
}

// write does what a store and a node do with a write.
func (p *replica) write(t fataler, w Write) (Status, uint64) {
	t.Helper()
	if err := p.check.Check(w.Record); err != nil {
		t.Fatalf("%v", err)
	}
	c := p.cell(w.Record.Name())
	before := slices.Clone(c.Records)
	status, seq := c.Put(w, p.rules, p.now)
	if !status.Stored() {
		before = slices.DeleteFunc(before, func(h Held) bool { return !h.live(p.now) })
		if !slices.EqualFunc(before, c.Records, func(a, b Held) bool { return a.same(b.Header) && a.Expires == b.Expires }) {
			t.Fatalf("%s, and the cell has changed", status)
		}
	}
	if c.Domain.Stale {
		c.Domain.Recount(ProtectDomain, p.records(c.Name.Location, c.Name.Domain))
	}
	p.hold(t)
	return status, seq
}

func (p *replica) records(location, domain p2p.Key) func(yield func(Held) bool) {
	return func(yield func(Held) bool) {
		for n, c := range p.cells {
			if n.Location != location || n.Domain != domain {
				continue
			}
			for _, h := range c.Records {
				if !yield(h) {
					return
				}
			}
		}
	}
}

// hold checks what never may be otherwise.
func (p *replica) hold(t fataler) {
	t.Helper()
	for n, c := range p.cells {
		values, tombstones := 0, 0
		for i, h := range c.Records {
			if h.Name() != n {
				t.Fatalf("a record of another name")
			}
			if i > 0 && c.Records[i-1].Version.Compare(h.Version) >= 0 {
				t.Fatalf("records %d and %d: two at one address, or out of order", i-1, i)
			}
			if h.IsHeader() {
				t.Fatalf("record %d has lost its value", i)
			}
			if h.Kind == KindValue {
				values++
			} else {
				tombstones++
			}
		}
		if values > MaxVersions || tombstones > MaxVersions+1 {
			t.Fatalf("%d values and %d tombstones in a cell", values, tombstones)
		}
		stands(t, "entry", c.Entry, ProtectEntry, slices.Values(c.Records), p.now)
	}
	for d, k := range p.domains {
		stands(t, "domain", *k, ProtectDomain, p.records(d[0], d[1]), p.now)
	}
}

// stands checks that a claim that stands stands on a record, and ends with the last.
func stands(t fataler, what string, k Claim, p Protect, records func(func(Held) bool), now int64) {
	t.Helper()
	if k.IsZero() || !k.live(now) {
		return
	}
	var ends []int64
	for h := range records {
		if h.live(now) && h.Claims(p, k.Owner) {
			ends = append(ends, h.Expires)
		}
	}
	if len(ends) == 0 {
		t.Fatalf("a claim on the %s without a record", what)
	}
	last := slices.Max(ends)
	if slices.Contains(ends, 0) {
		last = 0
	}
	if k.Expires != last {
		t.Fatalf("the claim on the %s ends at %d, its last record at %d", what, k.Expires, last)
	}
}

// want writes, and says what should come of it.
func (p *replica) want(t *testing.T, what string, w Write, want Status) uint64 {
	t.Helper()
	status, seq := p.write(t, w)
	if status != want {
		t.Fatalf("%s: %s, want %s", what, status, want)
	}
	return seq
}

// values returns what a query finds, as text: all locations, in the order of addresses.
func (p *replica) values(q Query) string {
	var texts []string
	names := slices.SortedFunc(maps.Keys(p.cells), Name.Compare)
	for _, n := range names {
		for _, h := range p.cells[n].Select(q, p.now) {
			if h.Kind == KindTombstone {
				texts = append(texts, "-")
				continue
			}
			texts = append(texts, string(h.Value))
		}
	}
	return strings.Join(texts, " ")
}

func (p *replica) wantValues(t *testing.T, q Query, want string) {
	t.Helper()
	if got := p.values(q); got != want {
		t.Fatalf("a query finds %q, want %q", got, want)
	}
}

// headers returns all that is served, for comparisons of replicas.
func (p *replica) headers() []Header {
	var out []Header
	for _, c := range p.cells {
		for _, h := range c.Select(Query{Versions: true, Tombstones: true, Prepared: true}, p.now) {
			out = append(out, h.Header)
		}
	}
	slices.SortFunc(out, func(a, b Header) int {
		return cmp.Or(a.Compare(b.Address), cmp.Compare(a.Seq, b.Seq))
	})
	return out
}

// fataler is testing.TB and *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// at returns an address in the location "l".
func at(domain p2p.Key, content string) Address {
	return Address{Location: KeyOf("l"), Domain: domain, Content: KeyOf(content)}
}

// value returns an unsigned record.
func value(a Address, text string, seq uint64) Record {
	return Record{Header: Header{Address: a, Seq: seq}, Value: []byte(text)}
}

// tombstone returns an unsigned removal.
func tombstone(a Address, seq uint64) Record {
	return Record{Header: Header{Address: a, Kind: KindTombstone, Seq: seq}}
}

// protect adds claims.
func protect(r Record, p Protect) Record {
	r.Protect = p
	return r
}

// ttl adds a time to live in seconds.
func ttl(r Record, seconds uint32) Record {
	r.TTL = seconds
	return r
}
