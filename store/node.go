package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/shoal-p2p/shoal/p2p"
)

// Identity returns the node's key pair, which is made on the first call ever and
// is durable before anybody learns it.
func (s *Store) Identity(ctx context.Context) (p2p.Identity, error) {
	var seed []byte
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT seed FROM node_identity`).Scan(&seed)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		seed = make([]byte, 32)
		if _, err := io.ReadFull(s.options.Rand, seed); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO node_identity (id, seed, created) VALUES (1, ?, ?)`, seed, s.options.Now().Unix())
		return err
	})
	if err != nil {
		return p2p.Identity{}, fmt.Errorf("store: identity: %w", err)
	}
	id, err := p2p.IdentityFromSeed(seed)
	if err != nil {
		return p2p.Identity{}, fmt.Errorf("store: identity in %s: %w", s.state.path, err)
	}
	return id, nil
}

// Setting returns what was last set under key; ok is false if nothing was.
func (s *Store) Setting(ctx context.Context, key string) (value string, ok bool, err error) {
	err = s.state.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, `SELECT value FROM node_setting WHERE key = ?`, key).Scan(&value)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("store: setting %s: %w", key, err)
	}
	return value, true, nil
}

// SetSetting remembers value under key, durably.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	err := s.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO node_setting (key, value) VALUES (?, ?)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: set setting %s: %w", key, err)
	}
	return nil
}
