package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// fresh are the rows of dht_cell that are not written yet. Locations come in no order, so
// that each would change a page of its own, of a table with many pages; written when
// there are many, they share pages, and the pages are written once. What the records
// themselves say is in dht_record, durable, before anybody learns that they are stored:
// if the program is killed, dht_cell is made from that again, see rebuild.
//
// What readers find follows from this: a row of dht_cell, here or in the table, whose
// record is gone, or not yet there in what a reader sees of the database, leads
// nowhere. So rows are added here before their records are committed and removed
// afterwards, when readers begin again who may have looked for them (see read), and the
// number of a record is never used again (see dhtStore.last).
type fresh struct {
	mu        sync.RWMutex
	locations map[p2p.Key]*dhtLocation // never changed, only replaced
	gone      int                      // how often rows have gone from here
}

// dhtLocation is the row of a location, and those rows of its records that are not in
// the table.
type dhtLocation struct {
	records, claims int64
	sum             dht.Sum
	cells           []freshCell // in order; never changed, only replaced
	added           []freshCell // not in cells yet
	// Since a writer has loaded it:
	changed, removed bool // removed: there were more cells
}

// freshCell is a row of dht_cell.
type freshCell struct {
	at []byte
	n  int64
}

func compareCells(a, b freshCell) int { return bytes.Compare(a.at, b.at) }

// at returns a location.
func (f *fresh) at(location p2p.Key) (l dhtLocation, there bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	p, there := f.locations[location]
	if there {
		l = *p
	}
	return l, there
}

// span returns the cells between two packed addresses.
func (l *dhtLocation) span(from, to []byte) []freshCell {
	compare := func(c freshCell, at []byte) int { return bytes.Compare(c.at, at) }
	i, _ := slices.BinarySearchFunc(l.cells, from, compare)
	n, _ := slices.BinarySearchFunc(l.cells[i:], to, compare)
	return l.cells[i : i+n]
}

// settle makes what is added a part of the cells.
func (l *dhtLocation) settle() {
	if len(l.added) > 0 {
		l.cells, l.added = merge(l.cells, l.added), nil
	}
}

// merge returns the cells that are in a or b, which are in order.
func merge(a, b []freshCell) []freshCell {
	if len(a) == 0 {
		return b
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, compareCells)
	return slices.CompactFunc(all, func(a, b freshCell) bool { return bytes.Equal(a.at, b.at) })
}

// remove takes a cell out, and reports whether it was there.
func (l *dhtLocation) remove(at []byte) bool {
	l.settle()
	i, found := slices.BinarySearchFunc(l.cells, at, func(c freshCell, at []byte) int { return bytes.Compare(c.at, at) })
	if found {
		l.cells, l.removed = slices.Concat(l.cells[:i], l.cells[i+1:]), true
	}
	return found
}

// maxFresh is how many rows, of locations and of records, wait to be written. With more
// of them they share more pages, but they take memory, 100 bytes each, and the change that
// makes them too many waits until all are written.
const maxFresh = 65536

// publish shows readers the rows that w has added, before it is committed, and returns what
// is to be called afterwards.
func (f *fresh) publish(w *dhtWriter) (done func(committed bool)) {
	before := make(map[p2p.Key]*dhtLocation, len(w.locations))
	removed := false
	f.mu.Lock()
	defer f.mu.Unlock()
	for at, l := range w.locations {
		if !l.changed {
			continue
		}
		old := f.locations[at]
		before[at] = old
		shown := l
		if l.removed && old != nil {
			removed = true
			union := *l
			union.cells = merge(old.cells, l.cells)
			shown = &union
		}
		f.locations[at] = shown
	}
	return func(committed bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if committed && w.wroteAll {
			f.gone++
			clear(f.locations)
			return
		}
		if removed {
			f.gone++
		}
		for at, old := range before {
			switch {
			case committed:
				f.locations[at] = w.locations[at]
			case old == nil:
				delete(f.locations, at)
			default:
				f.locations[at] = old
			}
		}
	}
}

// errAgain: rows have gone while a reader looked.
var errAgain = errors.New("again")

// read calls fn with a snapshot of the database, and look with what is fresh once the
// snapshot is made: it has all rows that were added by what the snapshot sees. If rows
// have gone from there since before the snapshot, it begins again.
func (s *dhtStore) read(ctx context.Context, look func(locations map[p2p.Key]*dhtLocation), fn func(q Queryer) error) error {
	for {
		err := s.db.Read(ctx, func(q Queryer) error {
			s.fresh.mu.RLock()
			gone := s.fresh.gone
			s.fresh.mu.RUnlock()
			// A snapshot begins with the first query, not with the transaction.
			var complete bool
			if err := q.QueryRowContext(context.WithoutCancel(ctx), `SELECT complete FROM dht_index`).Scan(&complete); err != nil {
				return err
			}
			s.fresh.mu.RLock()
			look(s.fresh.locations)
			again := gone != s.fresh.gone
			s.fresh.mu.RUnlock()
			if again {
				return errAgain
			}
			return fn(q)
		})
		if err != errAgain {
			return err
		}
	}
}

// writeFresh writes all that is fresh, and what w has changed, to the table.
func (w *dhtWriter) writeFresh() error {
	all := maps.Clone(w.store.fresh.locations) // which only who has the turn changes
	for at, l := range w.locations {
		if l.changed {
			all[at] = l
		}
	}
	var put, cut, cells []any
	for _, at := range slices.SortedFunc(maps.Keys(all), p2p.Key.Compare) {
		l := all[at]
		if l.records == 0 && l.claims == 0 {
			cut = append(cut, at[:])
		} else {
			put = append(put, at[:], l.records, l.claims, l.sum[:])
		}
		for _, c := range l.cells {
			cells = append(cells, c.at, c.n)
		}
	}
	for _, at := range w.store.stale {
		cut = append(cut, at)
	}
	for _, at := range w.stale {
		cut = append(cut, at)
	}
	w.wroteAll = true
	return errors.Join(
		w.s.cutCells.exec(w.ctx, w.tx, cut),
		w.s.putLocations.exec(w.ctx, w.tx, put),
		w.s.putCells.exec(w.ctx, w.tx, cells))
}

// open makes the store ready: it makes dht_cell again if it is not complete.
func (s *dhtStore) open(ctx context.Context) error {
	err := s.db.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&s.complete) }, `SELECT complete FROM dht_index`)
	if err != nil {
		return err
	}
	if !s.complete {
		if err := s.rebuild(ctx); err != nil {
			return err
		}
	}
	return s.db.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&s.last) }, `SELECT coalesce(max(n), 0) FROM dht_record`)
}

// rebuild makes dht_cell from the records and the claims, in transactions of maxFresh.
// If it is interrupted the next start does it.
func (s *dhtStore) rebuild(ctx context.Context) error {
	err := s.write(ctx, func(w *dhtWriter) error {
		w.partial = true
		_, err := w.tx.ExecContext(w.ctx, `DELETE FROM dht_cell`)
		return err
	})
	if err != nil {
		return err
	}
	for more, from := true, int64(0); more; {
		err := s.write(ctx, func(w *dhtWriter) error {
			w.partial = true
			var found []dht.Header
			var rows []int64
			err := w.each(func(r *sql.Rows) error {
				var h dht.Header
				var encoded sql.RawBytes
				if err := r.Scan(&from, &encoded); err != nil {
					return err
				}
				if err := wire.Unmarshal(encoded, &h); err != nil {
					return err
				}
				found, rows = append(found, h), append(rows, from)
				return nil
			}, `SELECT n, header FROM dht_record WHERE n > ? ORDER BY n LIMIT ?`, from, maxFresh)
			if err != nil {
				return err
			}
			more = len(found) == maxFresh
			if err := w.loadLocations(locationsOf(found)); err != nil {
				return err
			}
			for i := range found {
				h := &found[i]
				l := w.locations[h.Location]
				name := h.Name()
				l.added = append(l.added, freshCell{packAddress(packName(&name), &h.Version), rows[i]})
				l.records++
				l.sum.Add(*h)
				l.changed = true
			}
			for _, l := range w.locations {
				slices.SortFunc(l.added, compareCells)
				l.settle()
			}
			return w.writeFresh()
		})
		if err != nil {
			return err
		}
	}
	for more, from := true, []byte{}; more; {
		err := s.write(ctx, func(w *dhtWriter) error {
			w.partial = true
			var locations []p2p.Key
			err := w.each(func(r *sql.Rows) error {
				from = nil
				err := r.Scan(&from)
				locations = append(locations, locationOf(from))
				return err
			}, `SELECT at FROM dht_claim WHERE at > ? ORDER BY at LIMIT ?`, from, maxFresh)
			if err != nil {
				return err
			}
			if err := w.loadLocations(locations); err != nil {
				return err
			}
			for _, at := range locations {
				w.locations[at].claims++
				w.locations[at].changed = true
			}
			more = len(locations) == maxFresh
			return w.writeFresh()
		})
		if err != nil {
			return err
		}
	}
	return s.close(ctx)
}

// close writes what is fresh.
func (s *dhtStore) close(ctx context.Context) error {
	return s.write(ctx, func(w *dhtWriter) error {
		if s.complete {
			return nil
		}
		return w.writeFresh()
	})
}
