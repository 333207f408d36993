package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxRegisters bounds the registers of which this node is an acceptor: each has up to
// about ten kilobytes, for ever.
const maxRegisters = 100_000

// registerStore keeps what this node has promised in state.db.
type registerStore struct{ db *DB }

// Registers returns the store of this node as an acceptor of registers.
func (s *Store) Registers() paxos.Store { return registerStore{s.state} }

// registerState is a paxos.State as it is kept.
type registerState struct {
	Config   paxos.Config `cbor:"1,keyasint"`
	Promised paxos.Ballot `cbor:"2,keyasint"`
	Accepted paxos.Ballot `cbor:"3,keyasint"`
	Value    paxos.Value  `cbor:"4,keyasint"`
	Retired  bool         `cbor:"5,keyasint,omitempty"`
}

// Change implements paxos.Store.
func (s registerStore) Change(ctx context.Context, registers []p2p.Key, decide func([]paxos.State) error) error {
	var refused error // of decide: it is returned as it is
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		before := make([][]byte, len(registers))
		states := make([]paxos.State, len(registers))
		for i, key := range registers {
			var err error
			if before[i], states[i], err = readRegister(ctx, tx, key); err != nil {
				return err
			}
		}
		if refused = decide(states); refused != nil {
			return refused
		}
		added := 0
		for i, key := range registers {
			after, err := writeRegister(ctx, tx, key, before[i], states[i])
			if err != nil {
				return err
			}
			if after && before[i] == nil {
				added++
			}
		}
		if added == 0 {
			return nil
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM register`).Scan(&n); err != nil {
			return err
		}
		if n > maxRegisters {
			return fmt.Errorf("%w: %d registers", paxos.ErrFull, maxRegisters)
		}
		return nil
	})
	switch {
	case err == nil:
		return nil
	case refused != nil:
		return refused
	}
	return fmt.Errorf("store: change %d registers: %w", len(registers), err)
}

func readRegister(ctx context.Context, tx *sql.Tx, key p2p.Key) (raw []byte, s paxos.State, err error) {
	err = tx.QueryRowContext(ctx, `SELECT state FROM register WHERE key = ?`, key[:]).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, s, nil
	}
	if err != nil {
		return nil, s, fmt.Errorf("read register %x: %w", key[:6], err)
	}
	var kept registerState
	if err := wire.Unmarshal(raw, &kept); err != nil {
		return nil, s, fmt.Errorf("read register %x: %w", key[:6], err)
	}
	return raw, paxos.State(kept), nil
}

// writeRegister writes a state unless it is as it was, and reports whether there is one.
func writeRegister(ctx context.Context, tx *sql.Tx, key p2p.Key, before []byte, s paxos.State) (bool, error) {
	if s.IsZero() {
		return false, nil
	}
	raw, err := wire.Marshal(registerState(s))
	if err == nil && string(raw) != string(before) {
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO register (key, state) VALUES (?, ?)`, key[:], raw)
	}
	if err != nil {
		return false, fmt.Errorf("write register %x: %w", key[:6], err)
	}
	return true, nil
}
