package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync"

	"github.com/shoal-p2p/shoal/p2p/dht"
)

// sequence gives out numbers that grow, also from one run of the program to the next.
type sequence struct {
	db *DB

	mu    sync.Mutex
	free  uint64 // the least that is; 0: not known
	bound uint64 // all below may be given out without writing
}

// reserveAtOnce is how many numbers are written down as used at a time. What is left
// of them when the program ends is never used.
const reserveAtOnce = 1 << 16

// next returns the first of n numbers, that is at least atLeast.
func (s *sequence) next(ctx context.Context, atLeast uint64, n int) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 {
		free := int64(1)
		err := s.db.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&free) }, `SELECT next FROM sequence`)
		if err != nil {
			return 0, fmt.Errorf("store: sequence numbers: %w", err)
		}
		s.free = uint64(free)
		s.bound = s.free
	}
	first, free, err := dht.Reserve(s.free, atLeast, n)
	if err != nil {
		return 0, err
	}
	if free > s.bound {
		bound := free + min(reserveAtOnce, math.MaxUint64-free)
		err := s.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO sequence (id, next) VALUES (1, ?)`, int64(bound))
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("store: reserve sequence numbers to %d: %w", bound, err)
		}
		s.bound = bound
	}
	s.free = free
	return first, nil
}
