package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
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

// readAtOnce is how many contents, or fresh records, are read at a time.
const readAtOnce = 64

// readContents reads listed contents.
func (s *dhtStore) readContents(ctx context.Context, q *dht.Query, each func(dht.Held) error) error {
	contents := slices.Compact(slices.Clone(q.Contents))
	if q.Descending {
		slices.Reverse(contents)
	}
	var fresh dhtLocation
	return s.readLocation(ctx, q, &fresh, func(r Queryer) error {
		ctx := context.WithoutCancel(ctx) // the transaction watches it already
		for some := range slices.Chunk(contents, readAtOnce) {
			names := make([][]dht.Held, len(some))
			var cells, rows []any
			for i, content := range some {
				from := packName(&dht.Name{Location: q.Location, Domain: q.Domain, Content: content})
				to := after(from)
				cells = append(cells, i, from, to)
				for _, c := range fresh.span(from, to) {
					rows = append(rows, i, c.n)
				}
			}
			load := func(rows *sql.Rows) error {
				i, _, h, err := scanHeld(rows)
				if err == nil {
					names[i] = append(names[i], h)
				}
				return err
			}
			inTable, notYet := s.statements.of(q)
			if err := errors.Join(inTable.query(ctx, r, cells, load), notYet.query(ctx, r, rows, load)); err != nil {
				return err
			}
			for _, name := range names {
				slices.SortStableFunc(name, func(a, b dht.Held) int { return a.Version.Compare(b.Version) })
				// A row that is written while we look is found twice.
				name = slices.CompactFunc(name, func(a, b dht.Held) bool { return a.Version == b.Version })
				if q.Descending {
					slices.Reverse(name)
				}
				for _, h := range name {
					if err := each(h); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// of returns the statements that read records, with their values or without.
func (s *dhtStatements) of(q *dht.Query) (inTable, notYet *wide) {
	if q.Bare {
		return &s.bare, &s.bareRows
	}
	return &s.cells, &s.rows
}

// readLocation calls fn with a snapshot, and fresh filled with what there is of the
// location of a query.
func (s *dhtStore) readLocation(ctx context.Context, q *dht.Query, fresh *dhtLocation, fn func(Queryer) error) error {
	return s.read(ctx, func(locations map[p2p.Key]*dhtLocation) {
		*fresh = dhtLocation{}
		if l := locations[q.Location]; l != nil {
			*fresh = *l
		}
	}, fn)
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
		if bytes.Compare(from, to) > 0 {
			return ctx.Err()
		}
	}
	value, order := "r.value", ""
	if q.Bare {
		value = "NULL"
	}
	if q.Descending {
		order = " DESC"
	}
	var fresh dhtLocation
	return s.readLocation(ctx, q, &fresh, func(r Queryer) error {
		ctx := context.WithoutCancel(ctx) // the transaction watches it already
		f := freshReader{ctx: ctx, s: s, r: r, q: q, cells: slices.Clone(fresh.span(from, to)), each: each}
		if q.Descending {
			slices.Reverse(f.cells)
		}
		rows, err := r.QueryContext(ctx, `SELECT c.at, r.expires, r.header, r.proof, `+value+` FROM dht_cell c CROSS JOIN dht_record r ON r.n = c.n
			WHERE c.at > ? AND c.at < ? ORDER BY c.at`+order, from, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at, header sql.RawBytes
			var expires int64
			var proof, value []byte
			if err := rows.Scan(&at, &expires, &header, &proof, &value); err != nil {
				return err
			}
			if err := f.before(at); err != nil {
				return err
			}
			if spans, err := spans(q, at); err != nil {
				return err
			} else if !spans {
				continue
			}
			h, err := unpackHeld(expires, header, proof, value)
			if err != nil {
				return err
			}
			if err := each(h); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return f.before(nil)
	})
}

// freshReader reads the records of fresh rows that are between those of the table.
type freshReader struct {
	ctx   context.Context
	s     *dhtStore
	r     Queryer
	q     *dht.Query
	cells []freshCell // in the order that the query wants
	each  func(dht.Held) error
}

// before reads those that come before an address (nil: all), and forgets what is at it.
func (f *freshReader) before(at []byte) error {
	n := 0
	for n < len(f.cells) {
		c := -1
		if at != nil {
			if c = bytes.Compare(f.cells[n].at, at); f.q.Descending {
				c = -c
			}
		}
		if c >= 0 {
			break
		}
		n++
	}
	some := f.cells[:n]
	f.cells = f.cells[n:]
	if len(f.cells) > 0 && bytes.Equal(f.cells[0].at, at) {
		f.cells = f.cells[1:]
	}
	for some := range slices.Chunk(some, readAtOnce) {
		found := make([]*dht.Held, len(some))
		var rows []any
		for i, c := range some {
			if spans, err := spans(f.q, c.at); err != nil {
				return err
			} else if spans {
				rows = append(rows, i, c.n)
			}
		}
		_, notYet := f.s.statements.of(f.q)
		err := notYet.query(f.ctx, f.r, rows, func(rows *sql.Rows) error {
			i, _, h, err := scanHeld(rows)
			if err == nil {
				found[i] = &h
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, h := range found {
			if h == nil {
				continue
			}
			if err := f.each(*h); err != nil {
				return err
			}
		}
	}
	return nil
}

// spans reports whether a query is for the content of a packed address.
func spans(q *dht.Query, at []byte) (bool, error) {
	if !q.Domains {
		return true, nil // the bounds are those of the query
	}
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
		fresh := map[p2p.Key]*dhtLocation{}
		err := s.read(ctx, func(locations map[p2p.Key]*dhtLocation) { fresh = maps.Clone(locations) }, func(r Queryer) error {
			expired, err := expiredSums(ctx, r, now)
			if err != nil {
				return err
			}
			each := func(l dht.LocationSum) error {
				if e, some := expired[l.Location]; some {
					l.Sum.Merge(e.Sum)
					l.Records -= e.Records
				}
				if l.Records > 0 && !yield(l, nil) {
					return errEnough
				}
				return nil
			}
			order := slices.SortedFunc(maps.Keys(fresh), p2p.Key.Compare)
			eachFresh := func() error {
				l := fresh[order[0]]
				err := each(dht.LocationSum{Location: order[0], Sum: l.sum, Records: int(l.records)})
				order = order[1:]
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
				for len(order) > 0 && order[0].Compare(l.Location) < 0 {
					if err := eachFresh(); err != nil {
						return err
					}
				}
				if fresh[l.Location] != nil {
					continue // it comes next
				}
				if err := each(l); err != nil {
					return err
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
			for len(order) > 0 {
				if err := eachFresh(); err != nil {
					return err
				}
			}
			return nil
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
