package dht

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Kept is what this node keeps, summed up.
type Kept struct {
	Locations int
	Records   int
	Bytes     int64 // of values
}

// Kept counts what this node keeps.
func (t *Table) Kept(ctx context.Context) (Kept, error) {
	var k Kept
	for sum, err := range t.o.Store.Sums(ctx, t.now()) {
		if err != nil {
			return k, fmt.Errorf("dht: sums: %w", err)
		}
		k.Locations++
		k.Records += sum.Records
	}
	for _, m := range t.o.Members() {
		u, err := t.o.Store.Usage(ctx, m.ID)
		if err != nil {
			return k, fmt.Errorf("dht: what %s has here: %w", m.Name, err)
		}
		k.Bytes += u.Bytes
	}
	return k, nil
}

// KeptRecord is a record that this node keeps.
type KeptRecord struct {
	Copy
	Rank  int  // this node is the so many nearest member that can be asked, from 1; 0: it is farther than MaxReplicas
	Keeps bool // it should keep the record
}

// Records returns up to limit records that this node keeps, in the order of addresses, from
// behind after on; more is true where there are others.
func (t *Table) Records(ctx context.Context, after Address, limit int) (records []KeptRecord, more bool, err error) {
	v, n, now := t.view(), t.Replicas(), t.now()
	for sum, err := range t.o.Store.Sums(ctx, now) {
		if err != nil {
			return nil, false, fmt.Errorf("dht: sums: %w", err)
		}
		if sum.Location.Compare(after.Location) < 0 {
			continue
		}
		rank := 1 + slices.IndexFunc(v.replicas(sum.Location, MaxReplicas), func(m Member) bool { return m.ID == t.self })
		for h, err := range t.o.Store.Read(ctx, everything(sum.Location)) {
			if err != nil {
				return nil, false, fmt.Errorf("dht: read: %w", err)
			}
			if !h.live(now) || h.Compare(after) <= 0 {
				continue
			}
			records = append(records, KeptRecord{Copy: Copy{Record: h.Record, Left: time.Duration(h.Left(now)) * time.Millisecond, Have: []p2p.ID{t.self}}, Rank: rank, Keeps: rank > 0 && rank <= n})
			if len(records) > limit {
				return records[:limit], true, nil
			}
		}
	}
	return records, false, nil
}

// Nearest returns the n members nearest to a key, nearest first, whether or not they can be
// asked.
func (t *Table) Nearest(key p2p.Key, n int) []Member {
	return nearest(t.o.Members(), key, n, nil)
}

// Alive reports whether a member can be asked, as far as is known.
func (t *Table) Alive(id p2p.ID) bool { return id == t.self || t.o.Alive(id) }
