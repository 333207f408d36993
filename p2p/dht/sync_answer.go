package dht

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// handleSync is the other side of a comparison. It remembers nothing between two requests.
func (t *Table) handleSync(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	offered, requests, err := readRequest[syncRequest](req)
	if err == nil && len(requests) != 1 {
		err = fmt.Errorf("dht: %d requests in a message: %w", len(requests), ErrMalformed)
	}
	if err == nil {
		err = requests[0].check()
	}
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	r := requests[0]
	a, copies, err := t.answerSync(ctx, from, r, offered)
	if err != nil {
		return nil, err
	}
	head, err := appendItem(nil, a)
	return append(head, copies...), err
}

// check reports what is wrong with a request.
func (r syncRequest) check() error {
	if len(r.Parts) > maxParts || len(r.Lists) > maxParts || len(r.Records) > maxParts || len(r.Wants) > maxDeltas || len(r.Offers) > maxDeltas {
		return fmt.Errorf("dht: compare %d parts, %d lists, %d locations: %w", len(r.Parts), len(r.Lists), len(r.Records), p2p.ErrTooLarge)
	}
	if r.View == nil && (len(r.Parts) > 0 || slices.ContainsFunc(r.Lists, func(l list) bool { return !l.Only })) {
		return fmt.Errorf("dht: compare without a view: %w", ErrMalformed)
	}
	if r.View != nil {
		if err := r.View.check(); err != nil {
			return err
		}
	}
	for _, p := range r.Parts {
		if len(p.Prefix) >= maxPrefix || len(p.Sums) != fanOut*len(Sum{}) || !digits(p.Prefix) {
			return fmt.Errorf("dht: compare a part of %d digits with %d bytes: %w", len(p.Prefix), len(p.Sums), ErrMalformed)
		}
	}
	for _, l := range r.Lists {
		if len(l.Prefix) > maxPrefix || len(l.Locations)%listEntry != 0 || !digits(l.Prefix) {
			return fmt.Errorf("dht: compare a list of %d digits with %d bytes: %w", len(l.Prefix), len(l.Locations), ErrMalformed)
		}
	}
	only, listed, hashes := 0, 0, 0
	for _, l := range r.Lists {
		listed += len(l.Locations) / listEntry
		if l.Only {
			only++
		}
	}
	for i, l := range r.Records {
		hashes += len(l.Hashes) / hashSize
		if len(l.Hashes)%hashSize != 0 {
			return fmt.Errorf("dht: compare %d bytes of hashes: %w", len(l.Hashes), ErrMalformed)
		}
		if i > 0 && slices.ContainsFunc(r.Records[:i], func(o located) bool { return o.Location == l.Location }) {
			return fmt.Errorf("dht: compare a location twice: %w", ErrMalformed)
		}
	}
	if only > 1 || listed > 2*maxListed+listAt || hashes > 32*maxHashes {
		return fmt.Errorf("dht: compare %d lists of locations, %d locations, %d records: %w", only, listed, hashes, p2p.ErrTooLarge)
	}
	return nil
}

func digits(prefix []byte) bool {
	return !slices.ContainsFunc(prefix, func(d byte) bool { return d >= fanOut })
}

func (t *Table) answerSync(ctx context.Context, from p2p.ID, r syncRequest, offered room) (a syncAnswer, copies []byte, err error) {
	var mine []LocationSum
	if r.View != nil {
		v, ok := t.unpack(*r.View)
		if !ok {
			a.Stale = true
			return a, nil, nil
		}
		t.observer.hear(from, r.View.Replicas, t.o.Now())
		if len(r.Parts)+len(r.Lists) > 0 {
			if mine, err = t.sharedWith(ctx, from, *r.View, v); err != nil {
				return a, nil, err
			}
		}
	}
	for _, p := range r.Parts {
		a.Parts = append(a.Parts, p.answer(mine))
	}
	for _, l := range r.Lists {
		b, err := t.answerList(ctx, l, mine)
		if err != nil {
			return a, nil, err
		}
		a.Lists = append(a.Lists, b)
	}
	for _, l := range r.Records {
		var b locatedAnswer
		if b, copies, err = t.answerRecords(ctx, l, copies, offered.bytes()-answerRoom); err != nil {
			return a, nil, err
		}
		a.Records = append(a.Records, b)
	}
	for _, o := range r.Offers {
		b, err := t.blocksFor(ctx, o)
		if err != nil {
			return a, nil, err
		}
		a.Offered = append(a.Offered, b)
	}
	if len(r.Wants) > 0 {
		// All of the room is for them.
		a.Wanted, copies, err = t.answerWants(ctx, r.Wants, copies, offered)
	}
	return a, copies, err
}

// answerRoom is kept for what stands before the copies.
const answerRoom = 24 << 10

// answer compares a node of the tree.
func (p part) answer(mine []LocationSum) partAnswer {
	var a partAnswer
	ours := children(mine, p.Prefix)
	for d := range fanOut {
		at := d * len(Sum{})
		if bytes.Equal(ours[at:at+len(Sum{})], p.Sums[at:at+len(Sum{})]) {
			continue
		}
		a.Mask |= 1 << d
		a.Counts = append(a.Counts, uint32(len(under(mine, append(slices.Clone(p.Prefix), byte(d))))))
	}
	return a
}

// answerList names the locations of a list that differ, and those that are missing in it.
func (t *Table) answerList(ctx context.Context, l list, mine []LocationSum) (listAnswer, error) {
	theirs := map[p2p.Key]Sum{}
	for b := range slices.Chunk(l.Locations, len(p2p.Key{})+len(Sum{})) {
		theirs[p2p.Key(b[:len(p2p.Key{})])] = Sum(b[len(p2p.Key{}):])
	}
	ours := under(mine, l.Prefix)
	if l.Only {
		t.repair.offered.note(slices.Collect(maps.Keys(theirs)), time.Now())
		all, err := t.repair.all.get(ctx, t, [sha256.Size]byte{}, func(LocationSum) bool { return true })
		if err != nil {
			return listAnswer{}, err
		}
		ours = nil
		for location := range theirs {
			at, found := slices.BinarySearchFunc(all, location, func(s LocationSum, k p2p.Key) int { return s.Location.Compare(k) })
			if found {
				ours = append(ours, all[at])
			}
		}
	}
	var differ []p2p.Key
	for _, s := range ours {
		if sum, ok := theirs[s.Location]; !ok || sum != s.Sum {
			differ = append(differ, s.Location)
		}
		delete(theirs, s.Location)
	}
	for location := range theirs {
		differ = append(differ, location)
	}
	slices.SortFunc(differ, p2p.Key.Compare)
	var a listAnswer
	for _, k := range differ[:min(len(differ), maxListed)] {
		a.Differ = append(a.Differ, k[:]...)
	}
	return a, nil
}

// answerRecords compares the records of a location, and appends those that the other side
// lacks to copies, as long as there is room.
func (t *Table) answerRecords(ctx context.Context, l located, copies []byte, room int) (locatedAnswer, []byte, error) {
	theirs := map[[hashSize]byte]uint32{}
	for i := range len(l.Hashes) / hashSize {
		theirs[[hashSize]byte(l.Hashes[i*hashSize:])] = uint32(i)
	}
	var a locatedAnswer
	q, now := everything(l.Location), t.now()
	q.From, q.To = l.From, &l.To
	for h, err := range t.o.Store.Read(ctx, q) {
		if err != nil {
			return a, copies, fmt.Errorf("dht: read: %w", err)
		}
		if !h.live(now) {
			continue
		}
		hash := h.hash()
		key := [hashSize]byte(hash[:])
		if _, has := theirs[key]; has {
			delete(theirs, key)
			continue
		}
		if a.More {
			continue
		}
		c := copied{Record: h.Record, Left: h.Left(now)}
		if h.large() {
			c.Record.Value = nil
		} else {
			c.Quorum = t.votes(h.Header)
		}
		next, err := appendItem(copies, c)
		if err != nil {
			return a, copies, err
		}
		if len(next) > room {
			a.More = true
			continue
		}
		copies = next
		a.Copies++
	}
	for _, i := range theirs {
		a.Missing = append(a.Missing, i)
	}
	slices.Sort(a.Missing)
	return a, copies, nil
}
