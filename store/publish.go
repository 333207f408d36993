package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/publish"
)

// publishedStore implements publish.Store in state.db.
type publishedStore struct{ state *DB }

// Published returns where this node's documents are published.
func (s *Store) Published() publish.Store { return publishedStore{s.state} }

// Load implements publish.Store.
func (s publishedStore) Load(ctx context.Context) ([]publish.Record, error) {
	var all []publish.Record
	err := eachRow(ctx, s.state, func(rows *sql.Rows) error {
		var r publish.Record
		var network []byte
		if err := rows.Scan(&r.Document, &network, &r.Entry); err != nil {
			return err
		}
		r.Network = p2p.ID(network) // the schema has its length
		all = append(all, r)
		return nil
	}, `SELECT document, network, entry FROM published ORDER BY document`)
	if err != nil {
		return nil, fmt.Errorf("store: load published documents: %w", err)
	}
	return all, nil
}

// Save implements publish.Store.
func (s publishedStore) Save(ctx context.Context, put []publish.Record, gone []string) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		for _, r := range put {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO published (document, network, entry) VALUES (?, ?, ?)`, r.Document, r.Network[:], r.Entry); err != nil {
				return err
			}
		}
		for _, id := range gone {
			if _, err := tx.ExecContext(ctx, `DELETE FROM published WHERE document = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: note %d published documents, forget %d: %w", len(put), len(gone), err)
	}
	return nil
}
