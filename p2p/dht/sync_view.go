package dht

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/route"
)

// syncView is the view of who asks: both must sort locations alike.
type syncView struct {
	Roster   []byte `cbor:"1,keyasint"` // digest of the members
	Alive    []byte `cbor:"2,keyasint"` // a bit for each, in the order of IDs
	Replicas int    `cbor:"3,keyasint"`
	Nearest  bool   `cbor:"4,keyasint,omitempty"` // RootNearest
	// Of a large network instead of Roster and Alive: who is there around what is compared, and
	// which parts of the key space that is.
	Near   []byte `cbor:"5,keyasint,omitempty"` // IDs
	Within []byte `cbor:"6,keyasint,omitempty"` // of each part the key, then the number of its bits in 2 bytes
	Bits   int    `cbor:"7,keyasint,omitempty"` // who shares so many with a location keeps it,
	Wide   []byte `cbor:"8,keyasint,omitempty"` // of these locations,
	Each   bool   `cbor:"9,keyasint,omitempty"` // or of all
}

// Bounds of a view of a large network.
const (
	maxNear   = 1024
	maxWithin = 32
	maxWide   = 128
	keyed     = len(p2p.Key{}) + 2 // bytes of a key with a number
)

// syncView packs a view.
func (t *Table) syncView(v view) *syncView {
	if v.parts != nil {
		return t.nearSync(v)
	}
	ids := memberIDs(v.members)
	s := &syncView{Roster: rosterDigest(ids), Alive: make([]byte, (len(ids)+7)/8), Replicas: t.Replicas(), Nearest: t.o.Root == RootNearest}
	for i, id := range ids {
		if v.alive[id] {
			s.Alive[i/8] |= 1 << (i % 8)
		}
	}
	return s
}

// nearSync packs a view of a large network.
func (t *Table) nearSync(v view) *syncView {
	s := &syncView{Replicas: t.Replicas(), Nearest: t.o.Root == RootNearest, Bits: v.bits, Each: v.each}
	for _, m := range v.members {
		if v.alive[m.ID] && len(s.Near) < maxNear*len(m.ID) {
			s.Near = append(s.Near, m.ID[:]...)
		}
	}
	for _, p := range v.parts[:min(len(v.parts), maxWithin)] {
		s.Within = binary.BigEndian.AppendUint16(append(s.Within, p.Key[:]...), uint16(p.Bits))
	}
	for _, l := range slices.SortedFunc(maps.Keys(v.wide), p2p.Key.Compare) {
		if len(s.Wide) < maxWide*len(l) {
			s.Wide = append(s.Wide, l[:]...)
		}
	}
	return s
}

// unpack returns the view of another member; ok is false where it knows other members.
func (t *Table) unpack(s syncView) (v view, ok bool) {
	if len(s.Within) > 0 {
		return t.nearUnpack(s)
	}
	self, members := t.self, t.o.Members()
	ids := memberIDs(members)
	if !bytes.Equal(s.Roster, rosterDigest(ids)) || len(s.Alive) != (len(ids)+7)/8 {
		return v, false
	}
	v = view{self: self, members: members, alive: map[p2p.ID]bool{}}
	for i, id := range ids {
		if s.Alive[i/8]>>(i%8)&1 == 1 {
			v.alive[id] = true
		}
	}
	return v, true
}

// nearUnpack returns the view of another member of a large network.
func (t *Table) nearUnpack(s syncView) (v view, ok bool) {
	v = view{self: t.self, alive: map[p2p.ID]bool{}, parts: []route.Part{}, wide: map[p2p.Key]bool{}, bits: s.Bits, each: s.Each}
	for id := range slices.Chunk(s.Near, len(p2p.ID{})) {
		m, known := t.o.Member(p2p.ID(id))
		if !known {
			return v, false
		}
		v.members, v.alive[m.ID] = append(v.members, m), true
	}
	for p := range slices.Chunk(s.Within, keyed) {
		v.parts = append(v.parts, route.Part{Key: p2p.Key(p[:keyed-2]), Bits: int(binary.BigEndian.Uint16(p[keyed-2:]))})
	}
	for l := range slices.Chunk(s.Wide, len(p2p.Key{})) {
		v.wide[p2p.Key(l)] = true
	}
	return v, true
}

// check reports what is wrong with a view.
func (s syncView) check() error {
	switch {
	case s.Replicas < 1 || s.Replicas > MaxReplicas:
		return fmt.Errorf("dht: compare %d replicas: %w", s.Replicas, ErrMalformed)
	case len(s.Near)%len(p2p.ID{}) != 0 || len(s.Within)%keyed != 0 || len(s.Wide)%len(p2p.Key{}) != 0:
		return fmt.Errorf("dht: compare a view of %d, %d and %d bytes: %w", len(s.Near), len(s.Within), len(s.Wide), ErrMalformed)
	case len(s.Near) > maxNear*len(p2p.ID{}) || len(s.Within) > maxWithin*keyed || len(s.Wide) > maxWide*len(p2p.Key{}):
		return fmt.Errorf("dht: compare a view of %d, %d and %d bytes: %w", len(s.Near), len(s.Within), len(s.Wide), p2p.ErrTooLarge)
	}
	return nil
}

func memberIDs(members []Member) []p2p.ID {
	ids := make([]p2p.ID, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	slices.SortFunc(ids, p2p.ID.Compare)
	return ids
}

// rosterDigest names a set of members.
func rosterDigest(ids []p2p.ID) []byte {
	h := sha256.New()
	for _, id := range ids {
		h.Write(id[:])
	}
	return h.Sum(nil)[:8]
}

// sumsCache remembers what was computed for the requests of a peer: one comparison asks
// several times.
type sumsCache struct {
	mu     sync.Mutex // guards the following
	key    [sha256.Size]byte
	change uint64
	sums   []LocationSum
}

// sharedWith returns the locations that this node and a peer should both keep, by the peer's
// view.
func (t *Table) sharedWith(ctx context.Context, peer p2p.ID, s syncView, v view) ([]LocationSum, error) {
	b := append(append(peer[:len(peer):len(peer)], s.Alive...), s.Roster...)
	for _, part := range [][]byte{s.Near, s.Within, s.Wide} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	b = append(b, byte(s.Replicas), byte(s.Bits), 0)
	if s.Nearest {
		b[len(b)-1] |= 1
	}
	if s.Each {
		b[len(b)-1] |= 2
	}
	key := sha256.Sum256(binary.BigEndian.AppendUint32(b, uint32(len(s.Alive))))
	return t.repair.shared.get(ctx, t, key, func(sum LocationSum) bool {
		replicas := v.replicas(sum.Location, v.want(sum.Location, s.Replicas))
		mine := slices.IndexFunc(replicas, func(m Member) bool { return m.ID == t.self })
		theirs := slices.IndexFunc(replicas, func(m Member) bool { return m.ID == peer })
		return mine >= 0 && theirs >= 0 && (!s.Nearest || mine == 0 || theirs == 0)
	})
}

// get returns the sums that keep wants, which is what key stands for.
func (c *sumsCache) get(ctx context.Context, t *Table, key [sha256.Size]byte, keep func(LocationSum) bool) ([]LocationSum, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change := t.changes.Load()
	if c.key == key && c.change == change && c.sums != nil {
		return c.sums, nil
	}
	out := []LocationSum{}
	for sum, err := range t.o.Store.Sums(ctx, t.now()) {
		if err != nil {
			return nil, fmt.Errorf("dht: sums: %w", err)
		}
		if keep(sum) {
			out = append(out, sum)
		}
	}
	c.key, c.change, c.sums = key, change, out
	return out, nil
}

// forget frees what nobody may ask for again.
func (c *sumsCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sums = nil
}
