package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// seedStore implements swarm.Store in state.db: nobody else knows what this node shares, and where.
type seedStore struct{ state *DB }

// Seeds returns the seeds of the node.
func (s *Store) Seeds() swarm.Store { return seedStore{s.state} }

// Rows implements swarm.Store.
func (s seedStore) Rows(ctx context.Context) ([]swarm.Row, error) {
	var all []swarm.Row
	err := eachRow(ctx, s.state, func(rows *sql.Rows) error {
		var r swarm.Row
		var id []byte
		var added, ended int64
		var also string
		err := rows.Scan(&id, &r.Text, &r.Dir, &r.Name, &r.Own, &r.Whole, &r.Paused, &r.Reading, &r.Settling, &r.Error, &r.Size, &r.Modified, &r.Via, &also,
			&added, &ended, &r.Wire, &r.Reused, &r.Wasted, &r.Sent, &r.Resumed)
		r.ID, r.Added = seed.ID(id), time.UnixMilli(added)
		if ended != 0 {
			r.Ended = time.UnixMilli(ended)
		}
		if err == nil && also != "[]" {
			err = json.Unmarshal([]byte(also), &r.Also)
		}
		all = append(all, r)
		return err
	}, `
		SELECT seed.id, text, dir, name, own, whole, paused, reading, settling, error, size, modified, via, also, added, ended,
			coalesce(wire, 0), coalesce(reused, 0), coalesce(wasted, 0), coalesce(sent, 0), coalesce(resumed, 0)
		FROM seed LEFT JOIN seed_progress ON seed_progress.id = seed.id
		ORDER BY n`)
	if err != nil {
		return nil, fmt.Errorf("store: seeds: %w", err)
	}
	return all, nil
}

// Save implements swarm.Store.
func (s seedStore) Save(ctx context.Context, r swarm.Row) error {
	ended := int64(0)
	if !r.Ended.IsZero() {
		ended = r.Ended.UnixMilli()
	}
	also, err := json.Marshal(append([]string{}, r.Also...))
	if err != nil {
		return fmt.Errorf("store: keep seed %s: %w", r.ID.Short(), err)
	}
	err = s.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO seed (id, n, text, dir, name, own, whole, paused, reading, settling, error, size, modified, added, ended, via, also)
			VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM seed), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
			ON CONFLICT (id) DO UPDATE SET text = ?2, dir = ?3, name = ?4, own = ?5, whole = ?6, paused = ?7, reading = ?8,
				settling = ?9, error = ?10, size = ?11, modified = ?12, added = ?13, ended = ?14, via = ?15, also = ?16`,
			r.ID[:], r.Text, r.Dir, r.Name, r.Own, r.Whole, r.Paused, r.Reading, r.Settling, r.Error, r.Size, r.Modified, r.Added.UnixMilli(), ended, r.Via, string(also))
		return err
	})
	if err != nil {
		return fmt.Errorf("store: keep seed %s: %w", r.ID.Short(), err)
	}
	return nil
}

// Progress implements swarm.Store.
func (s seedStore) Progress(ctx context.Context, id seed.ID, have []byte, c swarm.Counts) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO seed_progress (id, have, wire, reused, wasted, sent, resumed)
			SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM seed WHERE id = ?1`,
			id[:], notNull(have), c.Wire, c.Reused, c.Wasted, c.Sent, c.Resumed)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: keep how far seed %s is: %w", id.Short(), err)
	}
	return nil
}

// Have implements swarm.Store.
func (s seedStore) Have(ctx context.Context, id seed.ID) ([]byte, error) {
	return s.blob(ctx, id, `SELECT have FROM seed_progress WHERE id = ?`)
}

// Values implements swarm.Store.
func (s seedStore) Values(ctx context.Context, id seed.ID) ([]byte, error) {
	return s.blob(ctx, id, `SELECT pieces FROM seed_made WHERE id = ?`)
}

// Manifest implements swarm.Store.
func (s seedStore) Manifest(ctx context.Context, id seed.ID) ([]byte, error) {
	return s.blob(ctx, id, `SELECT manifest FROM seed_made WHERE id = ?`)
}

// blob returns one value; nil: there is none.
func (s seedStore) blob(ctx context.Context, id seed.ID, query string) ([]byte, error) {
	var b []byte
	err := eachRow(ctx, s.state, func(rows *sql.Rows) error { return rows.Scan(&b) }, query, id[:])
	if err != nil {
		return nil, fmt.Errorf("store: seed %s: %w", id.Short(), err)
	}
	return b, nil
}

// Describe implements swarm.Store.
func (s seedStore) Describe(ctx context.Context, id seed.ID, values, manifest []byte) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO seed_made (id, pieces, manifest) SELECT id, ?2, ?3 FROM seed WHERE id = ?1
			ON CONFLICT (id) DO UPDATE SET pieces = coalesce(?2, pieces), manifest = coalesce(?3, manifest)`, id[:], values, manifest)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: keep what seed %s is made of: %w", id.Short(), err)
	}
	return nil
}

// Forget implements swarm.Store.
func (s seedStore) Forget(ctx context.Context, id seed.ID) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"seed", "seed_progress", "seed_made"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE id = ?`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: forget seed %s: %w", id.Short(), err)
	}
	return nil
}
