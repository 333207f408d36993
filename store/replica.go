package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// replicaStore keeps replicas of folders in state.db.
type replicaStore struct{ db *DB }

// Replica returns the store of what the members have done in shared folders.
func (s *Store) Replica() replica.Store { return replicaStore{s.state} }

// Read implements replica.Store.
func (s replicaStore) Read(ctx context.Context, folder string, fn func(replica.Reader) error) error {
	return s.db.Read(ctx, func(q Queryer) error {
		r := newReplicaReader(ctx, q)
		// A snapshot begins with the first query, not with the transaction.
		if _, err := r.load(folder); err != nil {
			return fmt.Errorf("store: read replica of folder %.30q: %w", folder, err)
		}
		return fn(r)
	})
}

// Write implements replica.Store. What cannot be done ends it, even if fn goes on
// and returns nil: half of it may have happened.
func (s replicaStore) Write(ctx context.Context, folder string, fn func(replica.Writer) error) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		w := &replicaWriter{replicaReader: newReplicaReader(ctx, tx), tx: tx}
		if err := w.begin(folder); err != nil {
			return fmt.Errorf("store: write replica of folder %.30q: %w", folder, err)
		}
		if err := fn(w); err != nil {
			return err
		}
		if err := cmp.Or(w.failed, w.end()); err != nil {
			return fmt.Errorf("store: write replica of folder %.30q: %w", folder, err)
		}
		return nil
	})
}

// Forget implements replica.Store. The replica is gone with the first transaction;
// what is left of it, also of one whose deletion was interrupted, goes in small
// ones, so that others can write in between.
func (s replicaStore) Forget(ctx context.Context, folder string) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE replica SET folder = NULL WHERE folder = ?`, folder)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: forget replica of folder %.30q: %w", folder, err)
	}
	const forgotten = `(SELECT n FROM replica WHERE folder IS NULL)`
	for _, query := range [...]string{
		`DELETE FROM replica_row WHERE (dir, name) IN (
			SELECT r.dir, r.name FROM replica_dir d CROSS JOIN replica_row r ON r.dir = d.n
			WHERE d.replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_dir WHERE n IN (SELECT n FROM replica_dir WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_place WHERE (parent_actor, parent_counter, name, actor, counter) IN (
			SELECT p.parent_actor, p.parent_counter, p.name, p.actor, p.counter
			FROM replica_actor a CROSS JOIN replica_place p ON p.parent_actor = a.n
			WHERE a.replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_entry WHERE (actor, counter) IN (
			SELECT actor, counter FROM replica_entry WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_trash WHERE n IN (SELECT n FROM replica_trash WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_claim WHERE actor IN (
			SELECT c.actor FROM replica_claim c JOIN replica_actor a ON a.n = c.actor WHERE a.replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_cursor WHERE (replica, member) IN (SELECT replica, member FROM replica_cursor WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_hold WHERE (replica, member) IN (SELECT replica, member FROM replica_hold WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_conflict WHERE (replica, path, kind, others) IN (
			SELECT replica, path, kind, others FROM replica_conflict WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica_journal WHERE replica IN (SELECT n FROM replica WHERE folder IS NULL LIMIT ?)`,
		`DELETE FROM replica_actor WHERE n IN (SELECT n FROM replica_actor WHERE replica IN ` + forgotten + ` LIMIT ?)`,
		`DELETE FROM replica WHERE n IN (SELECT n FROM replica WHERE folder IS NULL LIMIT ?)`,
	} {
		if err := s.deleteAll(ctx, query); err != nil {
			return fmt.Errorf("store: forget replica of folder %.30q: %w", folder, err)
		}
	}
	return nil
}

// deleteAll runs query, which deletes as many rows as it is told, until none is
// left.
func (s replicaStore) deleteAll(ctx context.Context, query string) error {
	for {
		var n int64
		err := s.db.Write(ctx, func(tx *sql.Tx) error {
			deleted, err := tx.ExecContext(ctx, query, deleteAtOnce)
			if err != nil {
				return err
			}
			n, err = deleted.RowsAffected()
			return err
		})
		if err != nil || n < deleteAtOnce {
			return err
		}
	}
}

// replicaReader reads in a transaction. What it learns of numbers it keeps.
type replicaReader struct {
	// caller is that of Read or Write. Queries run without it: each of them would
	// start a goroutine to watch it. The transaction watches it already.
	caller, ctx context.Context
	q           Queryer

	n          int64 // of the replica; 0: there is none
	top, aside int64
	state      replica.State
	files      int

	actors map[actor]int64
	pairs  map[int64]actor
	dirs   map[string]int64 // numbers by path
	paths  map[int64]string // the inverse
}

// actor is what has a number in replica_actor.
type actor struct {
	member      p2p.ID
	incarnation uint64
}

func newReplicaReader(ctx context.Context, q Queryer) *replicaReader {
	return &replicaReader{
		caller: ctx, ctx: context.WithoutCancel(ctx), q: q,
		actors: map[actor]int64{}, pairs: map[int64]actor{}, dirs: map[string]int64{}, paths: map[int64]string{},
	}
}

// load reads the replica's own row, if there is one.
func (r *replicaReader) load(folder string) (found bool, err error) {
	var incarnation, counter, seq int64
	var nonce, before []byte
	found, err = r.one(`
		SELECT n, top, aside, incarnation, counter, seq, nonce, before, files FROM replica WHERE folder = ?`,
		[]any{folder}, &r.n, &r.top, &r.aside, &incarnation, &counter, &seq, &nonce, &before, &r.files)
	if !found || err != nil {
		return false, err
	}
	r.state = replica.State{Incarnation: uint64(incarnation), Counter: uint64(counter), Seq: uint64(seq)}
	copy(r.state.Nonce[:], nonce)
	copy(r.state.Before[:], before)
	return true, nil
}

// one reads the only row of a query, if there is one.
func (r *replicaReader) one(query string, args []any, dest ...any) (found bool, err error) {
	err = r.q.QueryRowContext(r.ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, r.because(err)
}

// each calls fn for every row of a query. It must not query itself.
func (r *replicaReader) each(query string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := r.q.QueryContext(r.ctx, query, args...)
	if err != nil {
		return r.because(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return r.because(err)
		}
	}
	return r.because(rows.Err())
}

// because returns why err is, if a transaction says only that it is over.
func (r *replicaReader) because(err error) error {
	if errors.Is(err, sql.ErrTxDone) && r.caller.Err() != nil {
		return r.caller.Err()
	}
	return err
}

// actor returns the number of a dot's member and incarnation, if they have one.
func (r *replicaReader) actor(d reconcile.Dot) (n int64, found bool, err error) {
	a := actor{d.Member, d.Incarnation}
	if n, found = r.actors[a]; found {
		return n, true, nil
	}
	found, err = r.one(`SELECT n FROM replica_actor WHERE replica = ? AND member = ? AND incarnation = ?`,
		[]any{r.n, a.member[:], int64(a.incarnation)}, &n)
	if found {
		r.actors[a], r.pairs[n] = n, a
	}
	return n, found, err
}

// pair is the inverse of actor.
func (r *replicaReader) pair(n int64) (actor, error) {
	if a, ok := r.pairs[n]; ok {
		return a, nil
	}
	var member []byte
	var incarnation int64
	found, err := r.one(`SELECT member, incarnation FROM replica_actor WHERE n = ? AND replica = ?`, []any{n, r.n}, &member, &incarnation)
	if err != nil {
		return actor{}, err
	}
	if !found {
		return actor{}, fmt.Errorf("store: there is no actor %d in replica %d", n, r.n)
	}
	a := actor{incarnation: uint64(incarnation)}
	copy(a.member[:], member)
	r.actors[a], r.pairs[n] = n, a
	return a, nil
}

// id returns the entry that columns actor and counter name.
func (r *replicaReader) id(n, counter int64) (reconcile.EntryID, error) {
	a, err := r.pair(n)
	return reconcile.EntryID{Member: a.member, Incarnation: a.incarnation, Counter: uint64(counter)}, err
}

// Actor implements replica.Actors.
func (r *replicaReader) Actor(n int) (p2p.ID, uint64, error) {
	a, err := r.pair(int64(n))
	return a.member, a.incarnation, err
}

// Number implements replica.Actors for a reader, who packs nothing.
func (r *replicaReader) Number(member p2p.ID, incarnation uint64) (int, error) {
	n, found, err := r.actor(reconcile.Dot{Member: member, Incarnation: incarnation})
	if err == nil && !found {
		err = fmt.Errorf("store: member %s has no number in replica %d", member.Short(), r.n)
	}
	return int(n), err
}

// replicaWriter changes a replica in a transaction.
type replicaWriter struct {
	*replicaReader
	tx      *sql.Tx
	changed bool  // state or files
	failed  error // the first thing that could not be done
}

// begin loads the replica, or makes it.
func (w *replicaWriter) begin(folder string) error {
	found, err := w.load(folder)
	if found || err != nil {
		return err
	}
	_, err = w.one(`
		INSERT INTO replica (folder, top, aside, incarnation, counter, seq, nonce, before, files)
		VALUES (?, 0, 0, 0, 0, 0, zeroblob(16), zeroblob(16), 0) RETURNING n`, []any{folder}, &w.n)
	if err != nil {
		return err
	}
	for name, n := range map[string]*int64{"": &w.top, reconcile.Aside: &w.aside} {
		if *n, err = w.insertDir(0, name); err != nil {
			return err
		}
	}
	_, err = w.exec(`UPDATE replica SET top = ?, aside = ? WHERE n = ?`, w.top, w.aside, w.n)
	return err
}

// end writes what is kept in the replica's own row.
func (w *replicaWriter) end() error {
	if !w.changed {
		return nil
	}
	s := w.state
	_, err := w.exec(`UPDATE replica SET incarnation = ?, counter = ?, seq = ?, nonce = ?, before = ?, files = ? WHERE n = ?`,
		int64(s.Incarnation), int64(s.Counter), int64(s.Seq), s.Nonce[:], s.Before[:], w.files, w.n)
	return err
}

// exec changes rows and returns how many.
func (w *replicaWriter) exec(query string, args ...any) (int64, error) {
	done, err := w.tx.ExecContext(w.ctx, query, args...)
	if err != nil {
		return 0, w.because(err)
	}
	return done.RowsAffected()
}

// done returns what an operation returns: nil, or why what was attempted failed,
// and then the whole Write does.
func (w *replicaWriter) done(err error, attempt string, args ...any) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("store: %s: %w", fmt.Sprintf(attempt, args...), err)
	w.failed = cmp.Or(w.failed, err)
	return err
}

// actorOf returns the number of a dot's member and incarnation, which it has from
// now on.
func (w *replicaWriter) actorOf(d reconcile.Dot) (int64, error) {
	n, found, err := w.actor(d)
	if found || err != nil {
		return n, err
	}
	a := actor{d.Member, d.Incarnation}
	_, err = w.one(`INSERT INTO replica_actor (replica, member, incarnation) VALUES (?, ?, ?) RETURNING n`,
		[]any{w.n, a.member[:], int64(a.incarnation)}, &n)
	if err == nil {
		w.actors[a], w.pairs[n] = n, a
	}
	return n, err
}

// Number implements replica.Actors.
func (w *replicaWriter) Number(member p2p.ID, incarnation uint64) (int, error) {
	n, err := w.actorOf(reconcile.Dot{Member: member, Incarnation: incarnation})
	return int(n), err
}

// State implements replica.Reader.
func (r *replicaReader) State() (replica.State, error) { return r.state, nil }

// SetState implements replica.Writer.
func (w *replicaWriter) SetState(s replica.State) error {
	s.Seq = w.state.Seq
	w.state, w.changed = s, true
	return nil
}
