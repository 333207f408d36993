package dht

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Two replicas compare what both should keep without naming it all: the locations are the
// leaves of a tree of 16 children a node, by the digits of their keys; of each node that
// differs, the sums of its children are compared; where few locations are left they are
// listed; and of the locations that differ, the records. What travels grows with the
// differences and not with what there is.

// Limits of one message.
const (
	fanOut        = 16
	maxParts      = 128  // nodes of the tree
	maxListed     = 512  // locations
	maxHashes     = 4096 // records
	listAt        = 48   // with so few locations at both ends they are listed
	hashSize      = 8
	maxPrefix     = 2 * len(p2p.Key{})
	compareRounds = 256     // messages of one comparison, at most
	maxPending    = 1 << 16 // nodes of the tree that wait to be compared
)

// compareTimeout is how long a comparison may take: others wait for their turn.
const compareTimeout = 5 * time.Minute

type syncRequest struct {
	View    *syncView `cbor:"1,keyasint,omitempty"`
	Parts   []part    `cbor:"2,keyasint,omitempty"`
	Lists   []list    `cbor:"3,keyasint,omitempty"`
	Records []located `cbor:"4,keyasint,omitempty"`
	Wants   []want    `cbor:"5,keyasint,omitempty"`
	Offers  []Address `cbor:"6,keyasint,omitempty"` // of large records that follow: what are they to be made from?
}

// part is a node of the tree.
type part struct {
	Prefix []byte `cbor:"1,keyasint,omitempty"` // hexadecimal digits, one in a byte
	Sums   []byte `cbor:"2,keyasint"`           // of its 16 children
}

// list is all that is below a node, or, where Only is set, some locations.
type list struct {
	Prefix    []byte `cbor:"1,keyasint,omitempty"`
	Only      bool   `cbor:"2,keyasint,omitempty"`
	Locations []byte `cbor:"3,keyasint,omitempty"` // of each the key, then the sum; in order
}

// located is what there is of a location, from one content key to another, both included.
type located struct {
	Location p2p.Key `cbor:"1,keyasint"`
	From     p2p.Key `cbor:"2,keyasint"`
	To       p2p.Key `cbor:"3,keyasint"`
	Hashes   []byte  `cbor:"4,keyasint,omitempty"` // the first 8 bytes of each header's hash
}

type syncAnswer struct {
	Stale   bool            `cbor:"1,keyasint,omitempty"` // the members differ: compare later
	Parts   []partAnswer    `cbor:"2,keyasint,omitempty"`
	Lists   []listAnswer    `cbor:"3,keyasint,omitempty"`
	Records []locatedAnswer `cbor:"4,keyasint,omitempty"`
	Wanted  int             `cbor:"5,keyasint,omitempty"` // so many copies follow of what is wanted
	Offered []blocks        `cbor:"6,keyasint,omitempty"`
}

type partAnswer struct {
	Mask   uint16   `cbor:"1,keyasint,omitempty"` // children that differ
	Counts []uint32 `cbor:"2,keyasint,omitempty"` // locations that the answering node has in each of them
}

type listAnswer struct {
	Differ []byte `cbor:"1,keyasint,omitempty"` // keys of locations
}

// locatedAnswer says which of the hashes are missing; so many copies follow of records that
// were not among them; large ones without their values.
type locatedAnswer struct {
	Missing []uint32 `cbor:"1,keyasint,omitempty"`
	Copies  int      `cbor:"2,keyasint,omitempty"`
	More    bool     `cbor:"3,keyasint,omitempty"` // there are more copies
}

// under returns the part of sums, which are in order, whose keys begin with the digits.
func under(sums []LocationSum, prefix []byte) []LocationSum {
	var low, high p2p.Key
	for i := range high {
		high[i] = 255
	}
	for i, d := range prefix {
		shift := 4 * (1 - i%2)
		low[i/2] |= d << shift
		high[i/2] &^= 15 << shift
		high[i/2] |= d << shift
	}
	from, _ := slices.BinarySearchFunc(sums, low, func(s LocationSum, k p2p.Key) int { return s.Location.Compare(k) })
	to, found := slices.BinarySearchFunc(sums, high, func(s LocationSum, k p2p.Key) int { return s.Location.Compare(k) })
	if found {
		to++
	}
	return sums[from:to]
}

// children returns the sums of the 16 children of a node, one after the other.
func children(sums []LocationSum, prefix []byte) []byte {
	out := make([]byte, fanOut*len(Sum{}))
	for _, s := range under(sums, prefix) {
		child := int(s.Location[len(prefix)/2] >> (4 * (1 - len(prefix)%2)) & 15)
		for i, b := range s.Sum {
			out[child*len(Sum{})+i] ^= b
		}
	}
	return out
}

// packSums writes locations for a list.
func packSums(sums []LocationSum) []byte {
	var b []byte
	for _, s := range sums {
		b = append(append(b, s.Location[:]...), s.Sum[:]...)
	}
	return b
}

// comparison is one side's part of comparing.
type comparison struct {
	t        *Table
	op       *operation
	peer     p2p.ID
	view     *syncView
	messages int
	sent     int
	received int
}

// compare brings this node and a peer in line over the locations that both should keep.
func (t *Table) compare(ctx context.Context, v view, peer p2p.ID, shared []LocationSum) error {
	c := &comparison{t: t, op: t.begin("repair"), peer: peer, view: t.syncView(v)}
	ctx, cancel := context.WithTimeoutCause(ctx, compareTimeout, errRest)
	defer cancel()
	err := c.locations(ctx, shared)
	c.report()
	if c.sent+c.received > 0 && (errors.Is(err, errRest) || errors.Is(context.Cause(ctx), errRest)) {
		return errRest
	}
	t.suspect(peer, err)
	return err
}

// errRest: a comparison has got somewhere, and had to end before all was compared.
var errRest = errors.New("the rest comes later")

// report tells of differences that were found.
func (c *comparison) report() {
	if c.sent == 0 && c.received == 0 {
		return
	}
	trace := c.op.end()
	c.t.o.Publish.Emit(Repaired{With: c.peer, Sent: c.sent, Received: c.received, Messages: trace.Messages, Bytes: trace.Bytes})
}

// giveAll compares some locations with a peer that should keep them, brings it in line, and
// returns those of which it has now all that is here.
func (t *Table) giveAll(ctx context.Context, peer p2p.ID, sums []LocationSum) (same []p2p.Key, err error) {
	c := &comparison{t: t, op: t.begin("hand_over"), peer: peer}
	defer c.report()
	for some := range slices.Chunk(sums, maxListed) {
		a, _, err := c.ask(ctx, syncRequest{Lists: []list{{Only: true, Locations: packSums(some)}}})
		if err != nil {
			return same, err
		}
		differ, err := a.differing(0)
		if err != nil {
			return same, err
		}
		for _, s := range some {
			if _, ok := slices.BinarySearchFunc(differ, s.Location, p2p.Key.Compare); !ok {
				same = append(same, s.Location)
			}
		}
		for _, location := range differ {
			whole, err := c.location(ctx, location)
			if err != nil {
				return same, err
			}
			if whole {
				same = append(same, location)
			}
		}
	}
	return same, nil
}

// ask sends one request, and returns the answer with the copies that follow.
func (c *comparison) ask(ctx context.Context, r syncRequest) (a syncAnswer, copies []copied, err error) {
	if c.messages++; c.messages > compareRounds {
		return a, nil, fmt.Errorf("dht: compare with %s: more than %d messages: %w", c.peer.Short(), compareRounds, errRest)
	}
	r.View = c.view
	long := c.t.limit(c.peer) > maxCall && len(r.Records)+len(r.Wants) > 0
	req, err := beginRequest(c.t.room(c.peer, long))
	if err == nil {
		req, err = appendItem(req, r)
	}
	if err != nil {
		return a, nil, err
	}
	err = c.op.ask(ctx, request{round: c.messages, to: c.peer, proto: ProtoSync, items: len(r.Parts) + len(r.Lists) + len(r.Records) + len(r.Wants) + len(r.Offers), message: req, long: long}, func(resp []byte) (string, error) {
		items := newItemReader(resp)
		if err := items.read(&a); err != nil {
			return "", err
		}
		for items.more() {
			var one copied
			if err := items.read(&one); err != nil {
				return "", err
			}
			copies = append(copies, one)
		}
		return a.check(r, copies)
	})
	return a, copies, err
}

// errRoster: two members know of different members; they will soon know of the same ones.
var errRoster = errors.New("the other side knows other members")

// check reports whether a is an answer to r, in words.
func (a syncAnswer) check(r syncRequest, copies []copied) (string, error) {
	if a.Stale {
		return "", errRoster
	}
	if len(a.Parts) != len(r.Parts) || len(a.Lists) != len(r.Lists) || len(a.Records) != len(r.Records) || len(a.Offered) != len(r.Offers) {
		return "", fmt.Errorf("dht: an answer to something else: %w", ErrMalformed)
	}
	differ, announced := 0, 0
	for _, p := range a.Parts {
		if bits.OnesCount16(p.Mask) != len(p.Counts) {
			return "", fmt.Errorf("dht: %d counts of %d children: %w", len(p.Counts), bits.OnesCount16(p.Mask), ErrMalformed)
		}
		differ += len(p.Counts)
	}
	for i := range a.Lists {
		keys, err := a.differing(i)
		if err != nil {
			return "", err
		}
		differ += len(keys)
		if n := len(r.Lists[i].Locations) / listEntry; len(keys) > max(maxListed, n) {
			return "", fmt.Errorf("dht: %d locations of a list differ: %w", len(keys), ErrMalformed)
		}
	}
	for i, l := range a.Records {
		for _, m := range l.Missing {
			if int(m) >= len(r.Records[i].Hashes)/hashSize {
				return "", fmt.Errorf("dht: record %d of %d is missing: %w", m, len(r.Records[i].Hashes)/hashSize, ErrMalformed)
			}
		}
		if l.Copies < 0 {
			return "", fmt.Errorf("dht: %d copies: %w", l.Copies, ErrMalformed)
		}
		differ += len(l.Missing)
		announced += l.Copies
	}
	if announced += a.Wanted; a.Wanted < 0 || a.Wanted > len(r.Wants) || announced != len(copies) {
		return "", fmt.Errorf("dht: %d copies, %d were announced: %w", len(copies), announced, ErrMalformed)
	}
	for _, one := range copies {
		if !slices.ContainsFunc(r.Records, func(l located) bool { return l.spans(one.Record.Address) }) &&
			!slices.ContainsFunc(r.Wants, func(w want) bool { return w.Address == one.Record.Address }) {
			return "", fmt.Errorf("dht: a copy that nobody asked for: %w", ErrMalformed)
		}
	}
	return fmt.Sprintf("%d differ, %d copies", differ, len(copies)), nil
}

// spans reports whether an address is one of those that l is about.
func (l located) spans(a Address) bool {
	return a.Location == l.Location && l.From.Compare(a.Content) <= 0 && a.Content.Compare(l.To) <= 0
}

// listEntry is how many bytes a location has in a list.
const listEntry = len(p2p.Key{}) + len(Sum{})

// differing returns the locations of a list that differ, in order.
func (a syncAnswer) differing(i int) ([]p2p.Key, error) {
	b := a.Lists[i].Differ
	if len(b)%len(p2p.Key{}) != 0 {
		return nil, fmt.Errorf("dht: %d bytes of locations: %w", len(b), ErrMalformed)
	}
	var out []p2p.Key
	for k := range slices.Chunk(b, len(p2p.Key{})) {
		out = append(out, p2p.Key(k))
	}
	if !slices.IsSortedFunc(out, p2p.Key.Compare) {
		return nil, fmt.Errorf("dht: locations that are not in order: %w", ErrMalformed)
	}
	return out, nil
}

// locations finds the locations that differ, and brings them in line as it finds them: with
// many differences one comparison does not see all of the tree, and has to get somewhere all
// the same. It goes down before it goes on, so that few nodes wait.
func (c *comparison) locations(ctx context.Context, mine []LocationSum) error {
	prefixes := [][]byte{nil}
	var lists []list
	for len(prefixes) > 0 {
		n := min(len(prefixes), maxParts)
		some := prefixes[len(prefixes)-n:]
		parts := make([]part, n)
		for i, prefix := range some {
			parts[i] = part{Prefix: prefix, Sums: children(mine, prefix)}
		}
		a, _, err := c.ask(ctx, syncRequest{Parts: parts})
		if err != nil {
			return err
		}
		prefixes = prefixes[:len(prefixes)-n]
		for i, p := range parts {
			next := a.Parts[i].Counts
			for d := range fanOut {
				if a.Parts[i].Mask>>d&1 == 0 {
					continue
				}
				theirs := next[0]
				next = next[1:]
				prefix := append(slices.Clone(p.Prefix), byte(d))
				ours := under(mine, prefix)
				if uint64(len(ours))+uint64(theirs) <= listAt || len(prefix) == maxPrefix {
					lists = append(lists, list{Prefix: prefix, Locations: packSums(ours)})
				} else {
					prefixes = append(prefixes, prefix)
				}
			}
		}
		if len(prefixes) > maxPending {
			return fmt.Errorf("dht: compare: a tree of more than %d nodes: %w", maxPending, p2p.ErrTooLarge)
		}
		if len(lists) >= maxParts {
			if err := c.listed(ctx, lists); err != nil {
				return err
			}
			lists = nil
		}
	}
	return c.listed(ctx, lists)
}

// listed brings in line the locations of lists that differ.
func (c *comparison) listed(ctx context.Context, lists []list) error {
	for len(lists) > 0 {
		n, locations := 0, 0
		for n < len(lists) && n < maxParts && locations < maxListed {
			locations += len(lists[n].Locations) / listEntry
			n++
		}
		a, _, err := c.ask(ctx, syncRequest{Lists: lists[:n]})
		if err != nil {
			return err
		}
		var differ []p2p.Key
		for i := range n {
			keys, err := a.differing(i)
			if err != nil {
				return err
			}
			differ = append(differ, keys...)
		}
		if err := c.records(ctx, differ); err != nil {
			return err
		}
		lists = lists[n:]
	}
	return nil
}

// records brings locations in line, many in one message where they are small.
func (c *comparison) records(ctx context.Context, locations []p2p.Key) error {
	for len(locations) > 0 {
		var batch []stretch
		n, hashes := 0, 0
		for n < len(locations) && n < maxParts && hashes < maxHashes/2 {
			all, err := c.stretches(ctx, locations[n])
			if err != nil {
				return err
			}
			if len(all) > 1 || len(all[0].held)+hashes > maxHashes {
				break
			}
			batch = append(batch, all[0])
			hashes += len(all[0].held)
			n++
		}
		if n == 0 {
			if _, err := c.location(ctx, locations[0]); err != nil {
				return err
			}
			n = 1
		} else if _, err := c.exchange(ctx, batch); err != nil {
			return err
		}
		locations = locations[n:]
	}
	return nil
}

// location brings one location in line, and reports whether the peer has all now that was
// here.
func (c *comparison) location(ctx context.Context, location p2p.Key) (whole bool, err error) {
	all, err := c.stretches(ctx, location)
	if err != nil {
		return false, err
	}
	whole = true
	for _, s := range all {
		ok, err := c.exchange(ctx, []stretch{s})
		if err != nil {
			return false, err
		}
		whole = whole && ok
	}
	return whole, nil
}

// stretch is what this node has of a location from one content key to another.
type stretch struct {
	located
	held []Held
}

// stretches cuts a location into pieces of at most maxHashes records.
func (c *comparison) stretches(ctx context.Context, location p2p.Key) ([]stretch, error) {
	var all []Held
	for h, err := range c.t.o.Store.Read(ctx, everything(location)) {
		if err != nil {
			return nil, fmt.Errorf("dht: read %x: %w", location[:4], err)
		}
		if h.live(c.t.now()) {
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, func(a, b Held) int { return a.Content.Compare(b.Content) })
	out := []stretch{{located: located{Location: location}}}
	for i, h := range all {
		last := &out[len(out)-1]
		if len(last.held) >= maxHashes-fanOut*MaxVersions && all[i-1].Content != h.Content {
			last.To = all[i-1].Content
			out = append(out, stretch{located: located{Location: location, From: after(last.To)}})
			last = &out[len(out)-1]
		}
		hash := h.hash()
		last.Hashes = append(last.Hashes, hash[:hashSize]...)
		last.held = append(last.held, h)
	}
	for i := range out[len(out)-1].To {
		out[len(out)-1].To[i] = 255
	}
	return out, nil
}

// everything asks for all that there is at a location.
func everything(location p2p.Key) Query {
	return Query{Location: location, Domains: true, Versions: true, Tombstones: true}
}

// after returns the key behind k.
func after(k p2p.Key) p2p.Key {
	for i := len(k) - 1; i >= 0; i-- {
		if k[i]++; k[i] != 0 {
			break
		}
	}
	return k
}

// exchange brings stretches in line, and reports whether the peer has now all that was here,
// or something newer. That it does must not depend on whether this node takes the newer ones:
// it does not where it is too far away to keep them.
func (c *comparison) exchange(ctx context.Context, batch []stretch) (whole bool, err error) {
	for {
		r := syncRequest{Records: make([]located, len(batch))}
		for i := range batch {
			r.Records[i] = batch[i].located
		}
		a, copies, err := c.ask(ctx, r)
		if err != nil {
			return false, err
		}
		var bare []copied
		theirs := map[Address]Header{} // what the peer has where this node has something else
		for _, one := range copies {
			theirs[one.Record.Address] = one.Record.Header
			if one.Record.IsHeader() && !newerThan(batch, one.Record.Header) {
				bare = append(bare, one)
			}
		}
		kept, err := c.take(ctx, slices.DeleteFunc(copies, func(one copied) bool { return one.Record.IsHeader() }))
		if err != nil {
			return false, err
		}
		fetched, err := c.fetch(ctx, bare)
		if err != nil {
			return false, err
		}
		kept += fetched
		var writes []Write
		now, more := c.t.now(), false
		for i, l := range a.Records {
			for _, m := range l.Missing {
				h := batch[i].held[m]
				if their, is := theirs[h.Address]; is && their.Newer(h.Header) {
					continue // it needs not have what is here
				}
				writes = append(writes, Write{Record: h.Record, Repair: true, Left: h.Left(now), Quorum: c.t.votes(h.Header)})
			}
			more = more || l.More
		}
		pushed, err := c.push(ctx, writes)
		c.sent += pushed.stored
		if err != nil {
			return false, err
		}
		if !more || kept == 0 {
			return pushed.stored+pushed.superseded == len(writes), nil
		}
		for i := range batch {
			again, err := c.stretches(ctx, batch[i].Location)
			if err != nil {
				return false, err
			}
			if len(again) > 1 {
				return false, nil // it has grown: the next comparison goes on
			}
			batch[i] = again[0]
		}
	}
}

// newerThan reports whether what is here holds where a peer's record is too.
func newerThan(batch []stretch, theirs Header) bool {
	for _, s := range batch {
		if s.Location != theirs.Location {
			continue
		}
		return slices.ContainsFunc(s.held, func(h Held) bool { return h.Address == theirs.Address && h.Newer(theirs) })
	}
	return false
}

// push sends copies to the peer, of large ones the difference to what it has, where it has
// something.
func (c *comparison) push(ctx context.Context, writes []Write) (pushed, error) {
	whole, err := c.shrink(ctx, writes)
	if err != nil {
		return pushed{}, err
	}
	p, err := c.t.push(ctx, c.op, c.messages+1, c.peer, writes)
	if err != nil || len(whole) == 0 {
		return p, err
	}
	var again []Write
	for i, r := range p.results {
		if w, is := whole[i]; is && (r.Status == StatusNotFound || r.Status == StatusMalformed) {
			again = append(again, w)
		}
	}
	if len(again) == 0 {
		return p, nil
	}
	more, err := c.t.push(ctx, c.op, c.messages+1, c.peer, again)
	p.stored += more.stored
	p.superseded += more.superseded
	return p, err
}

// take keeps the copies of a peer, and returns how many it has stored.
func (c *comparison) take(ctx context.Context, copies []copied) (int, error) {
	if len(copies) == 0 {
		return 0, nil
	}
	writes := make([]Write, len(copies))
	for i, one := range copies {
		writes[i] = Write{Record: one.Record, Repair: true, Left: one.Left, Base: one.Base, Delta: one.Delta, Quorum: one.Quorum}
	}
	results, err := c.t.keep(ctx, c.peer, writes)
	if err != nil {
		return 0, err
	}
	kept := 0
	for _, r := range results {
		if r.Status.Stored() {
			kept++
		}
	}
	c.received += kept
	return kept, nil
}
