package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
)

// passStore implements pass.Store in state.db.
type passStore struct{ state *DB }

// Passes returns the passes that the node has made for its seeds.
func (s *Store) Passes() pass.Store { return passStore{s.state} }

// Passes implements pass.Store.
func (s passStore) Passes(ctx context.Context) ([]pass.Row, error) {
	var all []pass.Row
	at := map[pass.ID]int{}
	err := s.state.Read(ctx, func(q Queryer) error {
		rows, err := collect(ctx, q, func(scan func(...any) error) (r pass.Row, err error) {
			var created, expires int64
			err = scan(bytesInto(r.ID[:]), bytesInto(r.Secret[:]), bytesInto(r.Seed[:]), bytesInto(r.Network[:]), &r.MaxUses, &created, &expires, &r.Ended)
			r.Created, r.Expires = time.Unix(created, 0).UTC(), time.Unix(expires, 0).UTC()
			return r, err
		}, `SELECT id, secret, seed, network, max_uses, created, expires, ended FROM seed_pass ORDER BY created, id`)
		if err != nil {
			return err
		}
		for i, r := range rows {
			at[r.ID] = i
		}
		all = rows
		_, err = collect(ctx, q, func(scan func(...any) error) (u pass.Use, err error) {
			var id pass.ID
			var came int64
			if err := scan(bytesInto(id[:]), bytesInto(u.Guest[:]), &came); err != nil {
				return u, err
			}
			u.At = time.Unix(came, 0).UTC()
			if i, ok := at[id]; ok {
				all[i].Uses = append(all[i].Uses, u)
			}
			return u, nil
		}, `SELECT pass, guest, at FROM seed_pass_use ORDER BY n`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: passes: %w", err)
	}
	return all, nil
}

// SavePass implements pass.Store.
func (s passStore) SavePass(ctx context.Context, r pass.Row) error {
	return s.write(ctx, "keep pass "+r.ID.String(), `
		INSERT INTO seed_pass (id, secret, seed, network, max_uses, created, expires, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (id) DO UPDATE SET secret = ?2, seed = ?3, network = ?4, max_uses = ?5, created = ?6, expires = ?7, ended = ?8`,
		r.ID[:], r.Secret[:], r.Seed[:], r.Network[:], r.MaxUses, r.Created.Unix(), r.Expires.Unix(), r.Ended)
}

// UsePass implements pass.Store.
func (s passStore) UsePass(ctx context.Context, id pass.ID, u pass.Use) error {
	return s.write(ctx, "keep who came by pass "+id.String(), `INSERT INTO seed_pass_use (pass, guest, at) VALUES (?, ?, ?)`, id[:], u.Guest[:], u.At.Unix())
}

// DropPasses implements pass.Store.
func (s passStore) DropPasses(ctx context.Context, ids []pass.ID) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM seed_pass WHERE id = ?`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: forget passes: %w", err)
	}
	return nil
}

func (s passStore) write(ctx context.Context, what, query string, args ...any) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	return nil
}
