package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// errEnough ends a query whose reader has enough.
var errEnough = errors.New("enough")

// Read implements dht.Store.
func (s *dhtStore) Read(ctx context.Context, q dht.Query) iter.Seq2[dht.Held, error] {
	return func(yield func(dht.Held, error) bool) {
		each := func(h dht.Held) error {
			if q.Wants(&h.Header) && !yield(h, nil) {
				return errEnough
			}
			return nil
		}
		var err error
		if len(q.Contents) > 0 && !q.Domains {
			err = s.readContents(ctx, &q, each)
		} else {
			err = s.readRange(ctx, &q, each)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(dht.Held{}, fmt.Errorf("store: read location %x: %w", q.Location[:4], err))
		}
	}
}

// readContents reads listed contents.
func (s *dhtStore) readContents(ctx context.Context, q *dht.Query, each func(dht.Held) error) error {
	contents := slices.Compact(slices.Clone(q.Contents))
	if q.Descending {
		slices.Reverse(contents)
	}
	var args []any
	for i := range contents {
		at := packName(&dht.Name{Location: q.Location, Domain: q.Domain, Content: contents[i]})
		args = append(args, i, at, after(at))
	}
	statement := &s.statements.cells
	if q.Bare {
		statement = &s.statements.bare
	}
	return s.db.Read(ctx, func(r Queryer) error {
		var name []dht.Held // the records of one, which come with their versions ascending
		last := -1
		flush := func() error {
			if q.Descending {
				slices.Reverse(name)
			}
			for _, h := range name {
				if err := each(h); err != nil {
					return err
				}
			}
			name = name[:0]
			return nil
		}
		err := statement.query(context.WithoutCancel(ctx), r, args, func(rows *sql.Rows) error {
			i, _, h, err := scanHeld(rows)
			if err == nil && i != last {
				err = flush()
			}
			name, last = append(name, h), i
			return err
		})
		if err != nil {
			return err
		}
		return flush()
	})
}

// readRange reads the contents from the first to the last, of one domain or of all.
func (s *dhtStore) readRange(ctx context.Context, q *dht.Query, each func(dht.Held) error) error {
	from, to := q.Location[:], after(q.Location[:])
	if !q.Domains {
		from = packName(&dht.Name{Location: q.Location, Domain: q.Domain, Content: q.From})
		to = after(packDomain(&dht.Name{Location: q.Location, Domain: q.Domain}))
		if q.To != nil {
			to = after(packName(&dht.Name{Location: q.Location, Domain: q.Domain, Content: *q.To}))
		}
	}
	value, order := "r.value", ""
	if q.Bare {
		value = "NULL"
	}
	if q.Descending {
		order = " DESC"
	}
	return s.db.query(ctx, func(rows *sql.Rows) error {
		var at, header sql.RawBytes
		var expires int64
		var proof, value []byte
		if err := rows.Scan(&at, &expires, &header, &proof, &value); err != nil {
			return err
		}
		if q.Domains {
			if spans, err := spans(q, at); err != nil || !spans {
				return err
			}
		}
		h, err := unpackHeld(expires, header, proof, value)
		if err != nil {
			return err
		}
		return each(h)
	}, `SELECT c.at, r.expires, r.header, r.proof, `+value+` FROM dht_cell c CROSS JOIN dht_record r ON r.n = c.n
		WHERE c.at > ? AND c.at < ? ORDER BY c.at`+order, from, to)
}

// spans reports whether a query is for the content of a packed address.
func spans(q *dht.Query, at []byte) (bool, error) {
	content, err := contentOf(at)
	if err != nil {
		return false, err
	}
	if len(q.Contents) > 0 {
		_, found := slices.BinarySearchFunc(q.Contents, content, p2p.Key.Compare)
		return found, nil
	}
	return content.Compare(q.From) >= 0 && (q.To == nil || content.Compare(*q.To) <= 0), nil
}

// Sums implements dht.Store.
func (s *dhtStore) Sums(ctx context.Context, now int64) iter.Seq2[dht.LocationSum, error] {
	return func(yield func(dht.LocationSum, error) bool) {
		err := s.db.Read(ctx, func(r Queryer) error {
			expired, err := expiredSums(ctx, r, now)
			if err != nil {
				return err
			}
			rows, err := r.QueryContext(context.WithoutCancel(ctx), `SELECT at, n, sum FROM dht_cell WHERE sum IS NOT NULL AND n > 0 ORDER BY at`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var l dht.LocationSum
				var at, sum sql.RawBytes
				if err := rows.Scan(&at, &l.Records, &sum); err != nil {
					return err
				}
				copy(l.Location[:], at)
				copy(l.Sum[:], sum)
				if e, some := expired[l.Location]; some {
					l.Sum.Merge(e.Sum)
					l.Records -= e.Records
				}
				if l.Records > 0 && !yield(l, nil) {
					return errEnough
				}
			}
			return rows.Err()
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(dht.LocationSum{}, fmt.Errorf("store: sums of locations: %w", err))
		}
	}
}

// expiredSums returns the sums over what has expired by now and is still there.
func expiredSums(ctx context.Context, r Queryer, now int64) (map[p2p.Key]dht.LocationSum, error) {
	sums := map[p2p.Key]dht.LocationSum{}
	rows, err := r.QueryContext(context.WithoutCancel(ctx), `SELECT header FROM dht_record WHERE expires > 0 AND expires <= ?`, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var encoded sql.RawBytes
		if err := rows.Scan(&encoded); err != nil {
			return nil, err
		}
		var h dht.Header
		if err := wire.Unmarshal(encoded, &h); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		l := sums[h.Location]
		l.Sum.Merge(dht.SumOfHeader(encoded))
		l.Records++
		sums[h.Location] = l
	}
	return sums, rows.Err()
}
