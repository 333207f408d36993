package dht

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
)

// syncView is the view of who asks: both must sort locations alike.
type syncView struct {
	Roster   []byte `cbor:"1,keyasint"` // digest of the members
	Alive    []byte `cbor:"2,keyasint"` // a bit for each, in the order of IDs
	Replicas int    `cbor:"3,keyasint"`
	Nearest  bool   `cbor:"4,keyasint,omitempty"` // RootNearest
}

// syncView packs a view.
func (t *Table) syncView(v view) *syncView {
	ids := memberIDs(v.members)
	s := &syncView{Roster: rosterDigest(ids), Alive: make([]byte, (len(ids)+7)/8), Replicas: t.Replicas(), Nearest: t.o.Root == RootNearest}
	for i, id := range ids {
		if v.alive[id] {
			s.Alive[i/8] |= 1 << (i % 8)
		}
	}
	return s
}

// unpack returns the view of another member; ok is false where it knows other members.
func (s syncView) unpack(self p2p.ID, members []Member) (v view, ok bool) {
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
	b = append(b, byte(s.Replicas), 0)
	if s.Nearest {
		b[len(b)-1] = 1
	}
	key := sha256.Sum256(binary.BigEndian.AppendUint32(b, uint32(len(s.Alive))))
	return t.repair.shared.get(ctx, t, key, func(sum LocationSum) bool {
		replicas := v.replicas(sum.Location, s.Replicas)
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
