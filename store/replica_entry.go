package store

import (
	"database/sql"
	"errors"
	"math"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Entry implements replica.Reader.
func (r *replicaReader) Entry(id reconcile.EntryID) (replica.Stored, bool, error) {
	n, found, err := r.actor(reconcile.Dot(id))
	if !found || err != nil {
		return replica.Stored{}, false, err
	}
	x := packedEntry{actor: n, counter: int64(id.Counter)}
	found, err = r.one(`SELECT seq, need, data FROM replica_entry WHERE actor = ? AND counter = ?`,
		[]any{x.actor, x.counter}, &x.seq, &x.need, &x.data)
	if !found || err != nil {
		return replica.Stored{}, false, err
	}
	s, err := r.unpack(x)
	return s, err == nil, err
}

// packedEntry is a row of replica_entry.
type packedEntry struct {
	actor, counter, seq int64
	need                sql.NullInt64
	data                []byte
}

func (r *replicaReader) unpack(x packedEntry) (replica.Stored, error) {
	id, err := r.id(x.actor, x.counter)
	if err != nil {
		return replica.Stored{}, err
	}
	e, err := replica.UnpackEntry(r, id, x.data)
	return replica.Stored{Seq: uint64(x.seq), Entry: e, Pending: x.need.Valid, Need: x.need.Int64}, err
}

// At implements replica.Reader.
func (r *replicaReader) At(spot reconcile.Spot) ([]reconcile.EntryID, error) {
	n, found, err := r.actor(reconcile.Dot(spot.Parent))
	if !found || err != nil {
		return nil, err
	}
	return r.ids(`SELECT actor, counter FROM replica_place WHERE parent_actor = ? AND parent_counter = ? AND name = ?`,
		n, int64(spot.Parent.Counter), spot.Name)
}

// In implements replica.Reader.
func (r *replicaReader) In(parent reconcile.EntryID) ([]reconcile.EntryID, error) {
	n, found, err := r.actor(reconcile.Dot(parent))
	if !found || err != nil {
		return nil, err
	}
	return r.ids(`SELECT DISTINCT actor, counter FROM replica_place WHERE parent_actor = ? AND parent_counter = ?`,
		n, int64(parent.Counter))
}

// ids returns the entries that a query names, sorted.
func (r *replicaReader) ids(query string, args ...any) ([]reconcile.EntryID, error) {
	type key struct{ actor, counter int64 }
	var keys []key
	err := r.each(query, args, func(scan func(...any) error) error {
		var k key
		if err := scan(&k.actor, &k.counter); err != nil {
			return err
		}
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var ids []reconcile.EntryID
	for _, k := range keys {
		id, err := r.id(k.actor, k.counter)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, reconcile.EntryID.Compare)
	return ids, nil
}

// Since implements replica.Reader.
func (r *replicaReader) Since(seq uint64, limit int) ([]replica.Stored, error) {
	return r.entries(`
		SELECT actor, counter, seq, need, data FROM replica_entry
		WHERE replica = ? AND seq > ? ORDER BY seq LIMIT ?`, seq, limit)
}

// Pending implements replica.Reader.
func (r *replicaReader) Pending(seq uint64, limit int) ([]replica.Stored, error) {
	return r.entries(`
		SELECT actor, counter, seq, need, data FROM replica_entry INDEXED BY replica_entry_pending
		WHERE replica = ? AND seq > ? AND need IS NOT NULL ORDER BY seq LIMIT ?`, seq, limit)
}

func (r *replicaReader) entries(query string, seq uint64, limit int) ([]replica.Stored, error) {
	if seq > math.MaxInt64 {
		return nil, nil // no number is greater
	}
	var packed []packedEntry
	err := r.each(query, []any{r.n, int64(seq), max(limit, 0)}, func(scan func(...any) error) error {
		var x packedEntry
		if err := scan(&x.actor, &x.counter, &x.seq, &x.need, &x.data); err != nil {
			return err
		}
		packed = append(packed, x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []replica.Stored
	for _, x := range packed {
		s, err := r.unpack(x)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Needs implements replica.Reader. The sum is a float in SQLite, because members
// can announce more than 2^63 bytes, and that would be an error.
func (r *replicaReader) Needs() (entries int, bytes int64, err error) {
	var sum float64
	_, err = r.one(`
		SELECT count(*), total(need) FROM replica_entry INDEXED BY replica_entry_pending
		WHERE replica = ? AND need IS NOT NULL`, []any{r.n}, &entries, &sum)
	if sum >= math.MaxInt64 {
		return entries, math.MaxInt64, err
	}
	return entries, int64(sum), err
}

// CountEntries implements replica.Reader.
func (r *replicaReader) CountEntries() (entries int, err error) {
	_, err = r.one(`SELECT count(*) FROM replica_entry INDEXED BY replica_entry_seq WHERE replica = ?`, []any{r.n}, &entries)
	return entries, err
}

// PutEntry implements replica.Writer.
func (w *replicaWriter) PutEntry(e reconcile.Entry, pending bool, need int64) error {
	return w.done(w.putEntry(e, sql.NullInt64{Int64: need, Valid: pending}), "put entry %v", e.ID)
}

func (w *replicaWriter) putEntry(e reconcile.Entry, need sql.NullInt64) error {
	if e.ID.IsZero() {
		return errors.New("it has no ID")
	}
	data, err := replica.PackEntry(w, e)
	if err != nil {
		return err
	}
	n, err := w.actorOf(reconcile.Dot(e.ID))
	if err != nil {
		return err
	}
	w.state.Seq++
	w.changed = true
	// Most entries are new: one statement tells and does it.
	added, err := w.exec(`
		INSERT INTO replica_entry (actor, counter, replica, seq, need, data) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (actor, counter) DO NOTHING`, n, int64(e.ID.Counter), w.n, int64(w.state.Seq), need, data)
	if err != nil {
		return err
	}
	var old []reconcile.Place
	if added == 0 {
		if old, err = w.replaceEntry(e.ID, need, data); err != nil {
			return err
		}
	}
	return w.place(n, e.ID, old, e.Places)
}

// replaceEntry changes an entry that is there, and returns its places of before.
func (w *replicaWriter) replaceEntry(id reconcile.EntryID, need sql.NullInt64, data []byte) ([]reconcile.Place, error) {
	old, _, err := w.Entry(id)
	if err != nil {
		return nil, err
	}
	n, err := w.actorOf(reconcile.Dot(id))
	if err != nil {
		return nil, err
	}
	_, err = w.exec(`UPDATE replica_entry SET seq = ?, need = ?, data = ? WHERE actor = ? AND counter = ?`,
		int64(w.state.Seq), need, data, n, int64(id.Counter))
	return old.Entry.Places, err
}

// place replaces the places of entry id, whose actor is n.
func (w *replicaWriter) place(n int64, id reconcile.EntryID, old, places []reconcile.Place) error {
	for _, p := range old {
		if !hasSpot(places, p.Spot) {
			err := w.placeEach(`
				DELETE FROM replica_place
				WHERE parent_actor = ? AND parent_counter = ? AND name = ? AND actor = ? AND counter = ?`, n, id, p.Spot)
			if err != nil {
				return err
			}
		}
	}
	for i, p := range places {
		if !hasSpot(old, p.Spot) && !hasSpot(places[:i], p.Spot) {
			err := w.placeEach(`
				INSERT INTO replica_place (parent_actor, parent_counter, name, actor, counter)
				VALUES (?, ?, ?, ?, ?)`, n, id, p.Spot)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *replicaWriter) placeEach(query string, n int64, id reconcile.EntryID, s reconcile.Spot) error {
	parent, err := w.actorOf(reconcile.Dot(s.Parent))
	if err != nil {
		return err
	}
	_, err = w.exec(query, parent, int64(s.Parent.Counter), s.Name, n, int64(id.Counter))
	return err
}

func hasSpot(places []reconcile.Place, s reconcile.Spot) bool {
	return slices.ContainsFunc(places, func(p reconcile.Place) bool { return p.Spot == s })
}

// SetPending implements replica.Writer.
func (w *replicaWriter) SetPending(id reconcile.EntryID, pending bool, need int64) error {
	n, found, err := w.actor(reconcile.Dot(id))
	if found && err == nil {
		_, err = w.exec(`UPDATE replica_entry SET need = ? WHERE actor = ? AND counter = ?`,
			sql.NullInt64{Int64: need, Valid: pending}, n, int64(id.Counter))
	}
	return w.done(err, "set entry %v pending", id)
}
