package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxRegisters bounds the registers of which this node is an acceptor: each has up to
// about ten kilobytes, and two for each time that its acceptors were replaced, for ever.
const maxRegisters = 100_000

// registerStore keeps what this node has promised in state.db.
type registerStore struct {
	db *DB

	mu  sync.Mutex // guards age
	age *paxos.Age // as it is in the database; nil: it has not been read
}

// Registers returns the store of this node as an acceptor of registers.
func (s *Store) Registers() paxos.Store { return s.registers }

// Age implements paxos.Store.
func (s *registerStore) Age(ctx context.Context) (paxos.Age, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.age != nil {
		return *s.age, ctx.Err()
	}
	var age paxos.Age
	err := s.db.Read(ctx, func(q Queryer) (err error) {
		age, err = readAge(ctx, q)
		return err
	})
	if err != nil {
		return age, fmt.Errorf("store: %w", err)
	}
	s.age = &age
	return age, nil
}

// grown notes an age that is in the database now.
func (s *registerStore) grown(age paxos.Age) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.age == nil || s.age.Behind(age) {
		s.age = &age
	}
}

func readAge(ctx context.Context, q Queryer) (age paxos.Age, err error) {
	var changes int64
	err = q.QueryRowContext(ctx, `SELECT life, changes FROM acceptor`).Scan(&age.Life, &changes)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return age, fmt.Errorf("read the age of the registers: %w", err)
	}
	age.Changes = uint64(changes)
	return age, nil
}

func writeAge(ctx context.Context, tx *sql.Tx, age paxos.Age) error {
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO acceptor (id, life, changes) VALUES (1, ?, ?)`, age.Life, int64(age.Changes)); err != nil {
		return fmt.Errorf("write the age of the registers: %w", err)
	}
	return nil
}

// Renew implements paxos.Store.
func (s *registerStore) Renew(ctx context.Context, seen paxos.Age) (paxos.Age, error) {
	var age paxos.Age
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if age, err = readAge(ctx, tx); err != nil || !age.Behind(seen) {
			return err
		}
		age = age.Renewed(seen)
		return writeAge(ctx, tx, age)
	})
	if err != nil {
		return age, fmt.Errorf("store: begin a new life: %w", err)
	}
	s.grown(age)
	return age, nil
}

// Remember implements paxos.Store.
func (s *registerStore) Remember(ctx context.Context, seen map[p2p.ID]paxos.Attest) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for id, a := range seen {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO acceptor_seen (member, life, changes, sig) VALUES (?, ?, ?, ?)`,
				id[:], a.Age.Life, int64(a.Age.Changes), a.Sig)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: remember the ages of %d acceptors: %w", len(seen), err)
	}
	return nil
}

// Remembered implements paxos.Store.
func (s *registerStore) Remembered(ctx context.Context) (map[p2p.ID]paxos.Attest, error) {
	seen := map[p2p.ID]paxos.Attest{}
	err := s.db.query(ctx, func(rows *sql.Rows) error {
		var id, sig []byte
		var life byte
		var changes int64
		if err := rows.Scan(&id, &life, &changes, &sig); err != nil {
			return err
		}
		seen[p2p.ID(id)] = paxos.Attest{Age: paxos.Age{Life: life, Changes: uint64(changes)}, Sig: sig}
		return nil
	}, `SELECT member, life, changes, sig FROM acceptor_seen`)
	if err != nil {
		return nil, fmt.Errorf("store: remembered ages of acceptors: %w", err)
	}
	return seen, nil
}

// registerState is a paxos.State as it is kept. Its steps have a table of their own.
type registerState struct {
	Config   paxos.Config `cbor:"1,keyasint"`
	Promised paxos.Ballot `cbor:"2,keyasint"`
	Accepted paxos.Ballot `cbor:"3,keyasint"`
	Value    paxos.Value  `cbor:"4,keyasint"`
	Retired  bool         `cbor:"5,keyasint,omitempty"`
	Sealed   bool         `cbor:"6,keyasint,omitempty"`
}

// Change implements paxos.Store.
func (s *registerStore) Change(ctx context.Context, registers []p2p.Key, decide func([]paxos.State) error) error {
	var refused error // of decide: it is returned as it is
	var age paxos.Age
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
		added, changed := 0, false
		for i, key := range registers {
			written, err := writeRegister(ctx, tx, key, before[i], states[i])
			if err != nil {
				return err
			}
			changed = changed || written
			if written && before[i] == nil {
				added++
			}
		}
		if changed {
			var err error
			if age, err = readAge(ctx, tx); err != nil {
				return err
			}
			age.Changes++
			if err := writeAge(ctx, tx, age); err != nil {
				return err
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
		s.grown(age)
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
	s = paxos.State{Config: kept.Config, Promised: kept.Promised, Accepted: kept.Accepted, Value: kept.Value, Retired: kept.Retired, Sealed: kept.Sealed}
	return raw, s, nil
}

// writeRegister writes a state unless it is as it was, and reports whether it has.
func writeRegister(ctx context.Context, tx *sql.Tx, key p2p.Key, before []byte, s paxos.State) (bool, error) {
	if s.IsZero() {
		return false, nil
	}
	raw, err := wire.Marshal(registerState{s.Config, s.Promised, s.Accepted, s.Value, s.Retired, s.Sealed})
	if err == nil && string(raw) == string(before) {
		return false, nil
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO register (key, state) VALUES (?, ?)`, key[:], raw)
	}
	if err == nil {
		err = writeSteps(ctx, tx, key, s.Steps)
	}
	if err != nil {
		return false, fmt.Errorf("write register %x: %w", key[:6], err)
	}
	return true, nil
}

// writeSteps adds to the steps of a register, of which the last ones are kept.
func writeSteps(ctx context.Context, tx *sql.Tx, key p2p.Key, steps []paxos.Step) error {
	for _, step := range steps {
		raw, err := wire.Marshal(step)
		if err != nil {
			return err
		}
		epoch := int64(step.Last.Next.Epoch)
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO register_step (key, epoch, step) VALUES (?, ?, ?)`, key[:], epoch, raw); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM register_step WHERE key = ? AND epoch <= ?`, key[:], epoch-paxos.KeepSteps); err != nil {
			return err
		}
	}
	return nil
}

// Steps implements paxos.Store.
func (s *registerStore) Steps(ctx context.Context, register p2p.Key, after uint64, most int) ([]paxos.Step, error) {
	var steps []paxos.Step
	err := s.db.query(ctx, func(rows *sql.Rows) error {
		var raw []byte
		var step paxos.Step
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		if err := wire.Unmarshal(raw, &step); err != nil {
			return err
		}
		steps = append(steps, step)
		return nil
	}, `SELECT step FROM register_step WHERE key = ? AND epoch > ? ORDER BY epoch LIMIT ?`, register[:], int64(min(after, math.MaxInt64)), most)
	if err != nil {
		return nil, fmt.Errorf("store: steps of register %x after epoch %d: %w", register[:6], after, err)
	}
	return steps, nil
}
