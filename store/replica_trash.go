package store

import (
	"cmp"
	"math"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// trashColumns are those that discarded reads.
const trashColumns = `n, path, kind, hash, size, mode, modified, deleted, member, time, counts, name`

// Discarded implements replica.Reader.
func (r *replicaReader) Discarded(before int64, limit int) ([]replica.Discarded, error) {
	return r.discarded(`
		SELECT `+trashColumns+` FROM replica_trash INDEXED BY replica_trash_replica
		WHERE replica = ? AND n < ? ORDER BY n DESC LIMIT ?`, r.n, cmp.Or(before, math.MaxInt64), max(limit, 0))
}

// DiscardedAs implements replica.Reader.
func (r *replicaReader) DiscardedAs(h reconcile.Hash) ([]replica.Discarded, error) {
	if h == (reconcile.Hash{}) {
		return nil, nil
	}
	return r.discarded(`
		SELECT `+trashColumns+` FROM replica_trash INDEXED BY replica_trash_hash
		WHERE replica = ? AND hash = ? AND name <> '' AND hash IS NOT NULL ORDER BY n DESC`, r.n, h[:])
}

func (r *replicaReader) discarded(query string, args ...any) ([]replica.Discarded, error) {
	var all []replica.Discarded
	err := r.each(query, args, func(scan func(...any) error) error {
		var d replica.Discarded
		var hash, member []byte
		var at int64
		if err := scan(&d.N, &d.Path, &d.Kind, &hash, &d.Size, &d.Mode, &d.Modified, &d.Deleted, &member, &at, &d.Counts, &d.Name); err != nil {
			return err
		}
		copy(d.Hash[:], hash)
		copy(d.Member[:], member)
		d.Time = time.UnixMilli(at).UTC()
		all = append(all, d)
		return nil
	})
	return all, err
}

// Discard implements replica.Writer.
func (w *replicaWriter) Discard(d replica.Discarded) (n int64, err error) {
	var hash []byte
	if d.Hash != (reconcile.Hash{}) {
		hash = d.Hash[:]
	}
	_, err = w.one(`
		INSERT INTO replica_trash (replica, path, kind, hash, size, mode, modified, deleted, member, time, counts, name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n`,
		[]any{w.n, d.Path, string(d.Kind), hash, d.Size, d.Mode, d.Modified, d.Deleted, d.Member[:], d.Time.UnixMilli(), d.Counts, d.Name}, &n)
	return n, w.done(err, "discard %.300q", d.Path)
}

// Forgo implements replica.Writer.
func (w *replicaWriter) Forgo(ns []int64) error {
	for _, n := range ns {
		if _, err := w.exec(`DELETE FROM replica_trash WHERE n = ? AND replica = ?`, n, w.n); err != nil {
			return w.done(err, "forgo %d", n)
		}
	}
	return nil
}
