package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Cursors implements replica.Reader.
func (r *replicaReader) Cursors() ([]replica.Cursor, error) {
	var all []replica.Cursor
	err := r.each(`
		SELECT member, incarnation, seq, applied, of_incarnation FROM replica_cursor
		WHERE replica = ? ORDER BY member`, []any{r.n}, func(scan func(...any) error) error {
		var c replica.Cursor
		var member []byte
		var incarnation, seq, applied, of int64
		if err := scan(&member, &incarnation, &seq, &applied, &of); err != nil {
			return err
		}
		copy(c.Member[:], member)
		c.Incarnation, c.Seq, c.Applied, c.Of = uint64(incarnation), uint64(seq), uint64(applied), uint64(of)
		all = append(all, c)
		return nil
	})
	return all, err
}

// SetCursor implements replica.Writer.
func (w *replicaWriter) SetCursor(c replica.Cursor) error {
	_, err := w.exec(`
		INSERT OR REPLACE INTO replica_cursor (replica, member, incarnation, seq, applied, of_incarnation)
		VALUES (?, ?, ?, ?, ?, ?)`, w.n, c.Member[:], int64(c.Incarnation), int64(c.Seq), int64(c.Applied), int64(c.Of))
	return w.done(err, "set cursor of member %s", c.Member.Short())
}

// Claims implements replica.Reader.
func (r *replicaReader) Claims() ([]replica.Claim, error) {
	var all []replica.Claim
	err := r.each(`
		SELECT a.member, a.incarnation, c.counter, c.sig
		FROM replica_actor a JOIN replica_claim c ON c.actor = a.n
		WHERE a.replica = ?`, []any{r.n}, func(scan func(...any) error) error {
		var c replica.Claim
		var member []byte
		var incarnation, counter int64
		if err := scan(&member, &incarnation, &counter, &c.Sig); err != nil {
			return err
		}
		copy(c.Dot.Member[:], member)
		c.Dot.Incarnation, c.Dot.Counter = uint64(incarnation), uint64(counter)
		all = append(all, c)
		return nil
	})
	slices.SortFunc(all, func(a, b replica.Claim) int { return a.Dot.Compare(b.Dot) })
	return all, err
}

// SetClaim implements replica.Writer. An older claim than the one that is there
// changes nothing.
func (w *replicaWriter) SetClaim(c replica.Claim) error {
	n, err := w.actorOf(c.Dot)
	if err == nil {
		_, err = w.exec(`
			INSERT INTO replica_claim (actor, counter, sig) VALUES (?, ?, ?)
			ON CONFLICT (actor) DO UPDATE SET counter = excluded.counter, sig = excluded.sig
			WHERE excluded.counter >= counter`, n, int64(c.Dot.Counter), notNull(c.Sig))
	}
	return w.done(err, "set claim of member %s", c.Dot.Member.Short())
}

// Journal implements replica.Reader.
func (r *replicaReader) Journal() ([]byte, error) {
	var b []byte
	_, err := r.one(`SELECT data FROM replica_journal WHERE replica = ?`, []any{r.n}, &b)
	return b, err
}

// SetJournal implements replica.Writer.
func (w *replicaWriter) SetJournal(b []byte) error {
	if len(b) == 0 {
		_, err := w.exec(`DELETE FROM replica_journal WHERE replica = ?`, w.n)
		return w.done(err, "delete journal")
	}
	_, err := w.exec(`INSERT OR REPLACE INTO replica_journal (replica, data) VALUES (?, ?)`, w.n, b)
	return w.done(err, "set journal of %d bytes", len(b))
}

// Holds implements replica.Reader.
func (r *replicaReader) Holds() ([]replica.Hold, error) {
	var all []replica.Hold
	var released [][]byte
	err := r.each(`SELECT member, since, done, limit_, decided, released FROM replica_hold WHERE replica = ? ORDER BY member`, []any{r.n},
		func(scan func(...any) error) error {
			var h replica.Hold
			var member, packed []byte
			var since, decided int64
			if err := scan(&member, &since, &h.Done, &h.Limit, &decided, &packed); err != nil {
				return err
			}
			copy(h.Member[:], member)
			h.Since = time.UnixMilli(since).UTC()
			h.Decided = time.UnixMilli(decided).UTC()
			all, released = append(all, h), append(released, packed)
			return nil
		})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Released, err = replica.UnpackVector(r, released[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// SetHold implements replica.Writer.
func (w *replicaWriter) SetHold(h replica.Hold) error {
	released, err := replica.PackVector(w, h.Released)
	if err == nil {
		_, err = w.exec(`INSERT OR REPLACE INTO replica_hold (replica, member, since, done, limit_, decided, released) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			w.n, h.Member[:], h.Since.UnixMilli(), h.Done, h.Limit, h.Decided.UnixMilli(), released)
	}
	return w.done(err, "set hold of member %s", h.Member.Short())
}

// Conflicts implements replica.Reader.
func (r *replicaReader) Conflicts() ([]reconcile.Conflict, error) {
	var all []reconcile.Conflict
	err := r.each(`SELECT path, kind, others FROM replica_conflict WHERE replica = ? `, []any{r.n},
		func(scan func(...any) error) error {
			var c reconcile.Conflict
			var others []byte
			if err := scan(&c.Path, &c.Kind, &others); err != nil {
				return err
			}
			if err := json.Unmarshal(others, &c.Others); err != nil {
				return fmt.Errorf("conflict at %.300q: %w", c.Path, err)
			}
			all = append(all, c)
			return nil
		})
	slices.SortFunc(all, func(a, b reconcile.Conflict) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Others, b.Others))
	})
	return all, err
}

// SetConflicts implements replica.Writer.
func (w *replicaWriter) SetConflicts(remove []string, put []reconcile.Conflict) error {
	for _, p := range remove {
		if _, err := w.exec(`DELETE FROM replica_conflict WHERE replica = ? AND path = ?`, w.n, p); err != nil {
			return w.done(err, "delete conflicts at %.300q", p)
		}
	}
	for _, c := range put {
		others, err := json.Marshal(append([]string{}, c.Others...))
		if err == nil {
			_, err = w.exec(`INSERT OR IGNORE INTO replica_conflict (replica, path, kind, others) VALUES (?, ?, ?, ?)`,
				w.n, c.Path, string(c.Kind), string(others))
		}
		if err != nil {
			return w.done(err, "set conflict at %.300q", c.Path)
		}
	}
	return nil
}
