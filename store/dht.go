package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// dhtStore implements dht.Store in dht.db, but for sequence numbers, which are in
// state.db: they must not be lost.
type dhtStore struct {
	db, state  *DB
	statements dhtStatements

	turn    chan struct{} // holds who commits
	mu      sync.Mutex    // guards waiting
	waiting []*dhtChange  // those that wait to be committed, in order

	// Only who has the turn uses these.
	complete bool     // dht_cell is
	last     int64    // the largest number that a row of dht_record ever had
	stale    [][]byte // rows of dht_cell whose records are gone
	rows     int      // of dht_cell that have changed since all were written
	maxFresh int

	fresh fresh
	seq   sequence
}

// dhtStatements are those over many rows.
type dhtStatements struct {
	locations, cells, bare, claims                wide
	rows, bareRows, headers                       wide
	putRecords, putCells, putLocations, putClaims wide
	cutRecords, cutCells, cutClaims               wide
	countAuthors, cutAuthors                      wide
}

// dhtChange is a call of Change.
type dhtChange struct {
	names  []dht.Name
	decide func([]*dht.Cell) error
	err    error         // once it is done
	done   chan struct{} // closed when it is committed, or has failed
}

// newDHTStore returns the store in db.
func newDHTStore(db, state *DB) *dhtStore {
	in := func(before string) wide { return newWide(before+" IN (", "?", ")") }
	cells := func(value string) wide {
		return newWide(`SELECT v.column1, c.n, r.expires, r.header, r.proof, `+value+` FROM (VALUES `, `(?, ?, ?)`,
			`) v CROSS JOIN dht_cell c ON c.at > v.column2 AND c.at < v.column3 CROSS JOIN dht_record r ON r.n = c.n`)
	}
	rows := func(value string) wide {
		return newWide(`SELECT v.column1, r.n, r.expires, r.header, r.proof, `+value+` FROM (VALUES `, `(?, ?)`,
			`) v CROSS JOIN dht_record r ON r.n = v.column2`)
	}
	return &dhtStore{
		db: db, state: state, turn: make(chan struct{}, 1),
		statements: dhtStatements{
			locations:    in(`SELECT at, n, claims, sum FROM dht_cell WHERE at`),
			cells:        cells("r.value"),
			bare:         cells("NULL"),
			rows:         rows("r.value"),
			bareRows:     rows("NULL"),
			headers:      in(`SELECT n, header FROM dht_record WHERE n`),
			claims:       in(`SELECT at, owner, expires, master FROM dht_claim WHERE at`),
			putRecords:   newWide(`INSERT OR REPLACE INTO dht_record (n, expires, header, proof, value) VALUES `, `(?, ?, ?, ?, ?)`, ``),
			putCells:     newWide(`INSERT OR REPLACE INTO dht_cell (at, n) VALUES `, `(?, ?)`, ``),
			putLocations: newWide(`INSERT OR REPLACE INTO dht_cell (at, n, claims, sum) VALUES `, `(?, ?, ?, ?)`, ``),
			putClaims:    newWide(`INSERT OR REPLACE INTO dht_claim (at, owner, expires, master) VALUES `, `(?, ?, ?, ?)`, ``),
			cutRecords:   in(`DELETE FROM dht_record WHERE n`),
			cutCells:     in(`DELETE FROM dht_cell WHERE at`),
			cutClaims:    in(`DELETE FROM dht_claim WHERE at`),
			countAuthors: newWide(`INSERT INTO dht_author (author, records, bytes) VALUES `, `(?, ?, ?)`,
				` ON CONFLICT (author) DO UPDATE SET records = records + excluded.records, bytes = bytes + excluded.bytes`),
			cutAuthors: newWide(`DELETE FROM dht_author WHERE records <= 0 AND author IN (`, "?", ")"),
		},
		maxFresh: maxFresh,
		fresh:    fresh{locations: map[p2p.Key]*dhtLocation{}},
		seq:      sequence{db: state},
	}
}

// maxGroup is how many names the changes have together, if there are several, that one
// transaction commits.
const maxGroup = 4096

// Change implements dht.Store. Changes that come while another one is written wait, and
// are then committed together: with a slow disk that is what decides.
func (s *dhtStore) Change(ctx context.Context, names []dht.Name, decide func([]*dht.Cell) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := dht.CheckNames(names); err != nil {
		return err
	}
	c := &dhtChange{names: names, decide: decide, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, c)
	s.mu.Unlock()
	for {
		select {
		case <-c.done:
			return c.err
		case s.turn <- struct{}{}:
			s.commit(ctx)
		case <-ctx.Done():
			if s.withdraw(c) {
				return ctx.Err()
			}
			<-c.done
			return c.err
		}
	}
}

// withdraw takes back a change that nobody has begun with.
func (s *dhtStore) withdraw(c *dhtChange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, c)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	return i >= 0
}

// take returns the next changes to commit.
func (s *dhtStore) take() []*dhtChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, names := 0, 0
	for n < len(s.waiting) && (n == 0 || names+len(s.waiting[n].names) <= maxGroup) {
		names += len(s.waiting[n].names)
		n++
	}
	group := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return group
}

// errUndone: what was to be committed with it has panicked.
var errUndone = errors.New("store: change cells: not committed")

// commit commits the changes that come next in one transaction, and gives the turn to the
// next. ctx is that of one of them, so it does not end the transaction.
func (s *dhtStore) commit(ctx context.Context) {
	group := s.take()
	err := errUndone
	defer func() {
		<-s.turn
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
			close(c.done)
		}
	}()
	if len(group) == 0 {
		return
	}
	err = s.writeInTurn(context.WithoutCancel(ctx), func(w *dhtWriter) error {
		for _, c := range group {
			if err := w.change(c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("store: change cells: %w", err)
	}
}

// write waits for the turn and calls fn in a transaction.
func (s *dhtStore) write(ctx context.Context, fn func(w *dhtWriter) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return s.writeInTurn(context.WithoutCancel(ctx), fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeInTurn calls fn in a transaction, for who has the turn. ctx must not end: whether it
// was committed would not be known.
func (s *dhtStore) writeInTurn(ctx context.Context, fn func(w *dhtWriter) error) error {
	var w *dhtWriter
	done := func(committed bool) {}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		w = &dhtWriter{
			ctx: ctx, tx: tx, store: s, s: &s.statements,
			locations: map[p2p.Key]*dhtLocation{}, authors: map[p2p.ID]*dht.Usage{},
		}
		err := fn(w)
		if err == nil {
			err = w.end()
		}
		if err == nil {
			done = s.fresh.publish(w)
		}
		return err
	})
	done(err == nil)
	switch {
	case err != nil:
		return err
	case w.wroteAll:
		s.rows, s.stale = 0, nil
	default:
		s.rows, s.stale = s.rows+w.rows, append(s.stale, w.stale...)
	}
	s.complete = w.complete()
	return nil
}

// dropAtOnce is how many records one transaction of Drop deletes.
const dropAtOnce = 4096

// Expire implements dht.Store.
func (s *dhtStore) Expire(ctx context.Context, now int64, limit int) (deleted int, next int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	err = s.write(ctx, func(w *dhtWriter) (err error) {
		rows, err := w.numbers(`SELECT n FROM dht_record WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT ?`, now, limit)
		if err != nil {
			return err
		}
		if deleted, err = w.cut(rows); err != nil {
			return err
		}
		if err := w.cutClaims(`SELECT at FROM dht_claim WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT ?`, now, limit); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
		var record, claim sql.NullInt64
		err = tx1(w, `SELECT min(expires) FROM dht_record WHERE expires > 0`, &record)
		if err == nil {
			err = tx1(w, `SELECT min(expires) FROM dht_claim WHERE expires > 0`, &claim)
		}
		if next = record.Int64; claim.Valid && (!record.Valid || claim.Int64 < next) {
			next = claim.Int64
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("store: expire records: %w", err)
	}
	return deleted, next, nil
}

// Drop implements dht.Store. A location with many records goes in several transactions,
// so that others can write in between.
func (s *dhtStore) Drop(ctx context.Context, locations []p2p.Key) error {
	for len(locations) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		done := 0
		err := s.write(ctx, func(w *dhtWriter) error {
			for left := dropAtOnce; done < len(locations); done++ {
				n, err := w.dropLocation(locations[done], left)
				if err != nil {
					return err
				}
				if left -= n; left == 0 {
					break
				}
			}
			return w.flush()
		})
		if err != nil {
			return fmt.Errorf("store: drop %d locations: %w", len(locations), err)
		}
		locations = locations[done:]
	}
	return nil
}

// Usage implements dht.Store.
func (s *dhtStore) Usage(ctx context.Context, author p2p.ID) (u dht.Usage, err error) {
	err = s.db.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&u.Records, &u.Bytes) },
		`SELECT records, bytes FROM dht_author WHERE author = ?`, author[:])
	if err != nil {
		return dht.Usage{}, fmt.Errorf("store: usage of %s: %w", author.Short(), err)
	}
	return u, nil
}

// Total implements dht.Store.
func (s *dhtStore) Total(ctx context.Context) (u dht.Usage, err error) {
	err = s.db.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&u.Records, &u.Bytes) },
		`SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM dht_author`)
	if err != nil {
		return dht.Usage{}, fmt.Errorf("store: usage of all: %w", err)
	}
	return u, nil
}

// NextSeq implements dht.Store.
func (s *dhtStore) NextSeq(ctx context.Context, atLeast uint64, n int) (uint64, error) {
	return s.seq.next(ctx, atLeast, n)
}
