package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// trackerStore implements tracker.Store in index.db: it is hearsay, and soon over.
type trackerStore struct{ index *DB }

// Tracker returns what members have said of their seeds.
func (s *Store) Tracker() tracker.Store { return trackerStore{s.index} }

// Load implements tracker.Store.
func (s trackerStore) Load(ctx context.Context) (k tracker.Kept, err error) {
	err = eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var id []byte
		var epoch, seq, ends int64
		if err := rows.Scan(&id, &epoch, &seq, &ends); err != nil {
			return err
		}
		k.Members = append(k.Members, tracker.KeptMember{ID: p2p.ID(id), Epoch: uint64(epoch), Seq: uint64(seq), Ends: time.UnixMilli(ends)})
		return nil
	}, `SELECT id, epoch, seq, ends FROM tracker_member`)
	if err != nil {
		return k, fmt.Errorf("store: members that have told of seeds: %w", err)
	}
	err = eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var id, member, state []byte
		if err := rows.Scan(&id, &member, &state); err != nil {
			return err
		}
		k.Sources = append(k.Sources, tracker.KeptSource{Seed: seed.ID(id), Member: p2p.ID(member), State: state})
		return nil
	}, `SELECT seed, member, state FROM tracker_source`)
	if err != nil {
		return k, fmt.Errorf("store: sources of seeds: %w", err)
	}
	err = eachRow(ctx, s.index, func(rows *sql.Rows) error {
		var id, state []byte
		if err := rows.Scan(&id, &state); err != nil {
			return err
		}
		k.Texts = append(k.Texts, tracker.KeptText{Seed: seed.ID(id), State: state})
		return nil
	}, `SELECT seed, state FROM tracker_text ORDER BY seed, n`)
	if err != nil {
		return k, fmt.Errorf("store: texts of seeds: %w", err)
	}
	return k, nil
}

// Apply implements tracker.Store.
func (s trackerStore) Apply(ctx context.Context, c tracker.Change) error {
	var todo []statement
	if c.Clear {
		todo = append(todo, statement{`DELETE FROM tracker_member`, nil}, statement{`DELETE FROM tracker_source`, nil}, statement{`DELETE FROM tracker_text`, nil})
	}
	for _, id := range c.GoneMembers {
		todo = append(todo, statement{`DELETE FROM tracker_member WHERE id = ?`, []any{id[:]}})
	}
	for _, m := range c.Members {
		todo = append(todo, statement{`INSERT OR REPLACE INTO tracker_member (id, epoch, seq, ends) VALUES (?, ?, ?, ?)`, []any{m.ID[:], int64(m.Epoch), int64(m.Seq), m.Ends.UnixMilli()}})
	}
	for _, k := range c.GoneSources {
		todo = append(todo, statement{`DELETE FROM tracker_source WHERE seed = ? AND member = ?`, []any{k.Seed[:], k.Member[:]}})
	}
	for _, k := range c.Sources {
		todo = append(todo, statement{`INSERT OR REPLACE INTO tracker_source (seed, member, state) VALUES (?, ?, ?)`, []any{k.Seed[:], k.Member[:], k.State}})
	}
	for id, texts := range c.Texts {
		todo = append(todo, statement{`DELETE FROM tracker_text WHERE seed = ?`, []any{id[:]}})
		for n, t := range texts {
			todo = append(todo, statement{`INSERT INTO tracker_text (seed, n, state) VALUES (?, ?, ?)`, []any{id[:], n, t.State}})
		}
	}
	err := s.index.Write(ctx, func(tx *sql.Tx) error {
		for _, st := range todo {
			if _, err := tx.ExecContext(ctx, st.text, st.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: keep what members have told of seeds: %w", err)
	}
	return nil
}

type statement struct {
	text string
	args []any
}
