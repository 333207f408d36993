package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
)

// Manifest implements folder.Index.
func (f folderStore) Manifest(ctx context.Context, h folder.Hash) (*chunk.Manifest, error) {
	var blob []byte
	err := f.index.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, `SELECT manifest FROM content WHERE hash = ?`, h[:]).Scan(&blob)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("store: manifest of %v: %w", h, folder.ErrNotFound)
	}
	var m *chunk.Manifest
	if err == nil {
		m, err = chunk.Parse(blob)
	}
	if err != nil {
		return nil, fmt.Errorf("store: manifest of %v: %w", h, err)
	}
	return m, nil
}

// SaveManifests implements folder.Index.
func (f folderStore) SaveManifests(ctx context.Context, ms []*chunk.Manifest) error {
	err := f.index.Write(ctx, func(tx *sql.Tx) error {
		for _, m := range ms {
			if err := saveManifest(context.WithoutCancel(ctx), tx, m, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: save %d manifests: %w", len(ms), err)
	}
	return nil
}

// saveManifest saves a manifest; of one that is known, that it was of use.
func saveManifest(ctx context.Context, tx *sql.Tx, m *chunk.Manifest, now time.Time) error {
	root := m.Root()
	known, err := tx.ExecContext(ctx, `UPDATE content SET saved = ? WHERE hash = ?`, now.Unix(), root[:])
	if err != nil {
		return err
	}
	if n, err := known.RowsAffected(); err != nil || n > 0 {
		return err
	}
	blob, err := m.AppendBinary(nil)
	if err != nil {
		return err
	}
	var n int64
	err = tx.QueryRowContext(ctx, `INSERT INTO content (hash, saved, manifest) VALUES (?, ?, ?) RETURNING n`, root[:], now.Unix(), blob).Scan(&n)
	if err != nil {
		return err
	}
	s, err := tx.PrepareContext(ctx, `INSERT INTO content_sketch (key, content) VALUES (?, ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, h := range m.Sketch() {
		if _, err := s.ExecContext(ctx, chunkKey(h), n); err != nil {
			return err
		}
	}
	return nil
}

func chunkKey(h chunk.Hash) int64 { return int64(binary.LittleEndian.Uint64(h[:])) }

// sketchAtOnce is how many chunks are looked for in one transaction, and each of them in at
// most so many contents as sketchContents.
const (
	sketchAtOnce   = 1000
	sketchContents = 16
)

// Similar implements folder.Index.
func (f folderStore) Similar(ctx context.Context, id string, sketch []chunk.Hash, limit int) ([]folder.Similar, error) {
	votes := map[int64]int{}
	for part := range slices.Chunk(sketch, sketchAtOnce) {
		if err := f.index.Read(ctx, func(q Queryer) error { return vote(ctx, q, part, votes) }); err != nil {
			return nil, fmt.Errorf("store: look for %d chunks: %w", len(sketch), err)
		}
	}
	by := func(a, b int64) int { return cmp.Or(votes[b]-votes[a], cmp.Compare(a, b)) }
	var found []folder.Similar
	err := f.index.Read(ctx, func(q Queryer) error {
		for _, n := range slices.SortedFunc(maps.Keys(votes), by) {
			if len(found) == limit {
				return nil
			}
			// In this order: by itself SQLite would begin with all files of the folder.
			s := folder.Similar{Shared: votes[n]}
			var hash []byte
			err := q.QueryRowContext(ctx, `
				SELECT file.path, content.hash
				FROM content CROSS JOIN file INDEXED BY file_hash
				ON file.folder = (SELECT n FROM file_folder WHERE id = ?) AND file.hash = content.hash AND file.kind = 1
				WHERE content.n = ? LIMIT 1`, id, n).Scan(&s.Path, &hash)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			copy(s.Hash[:], hash)
			found = append(found, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: look for what has %d chunks in folder %.30q: %w", len(sketch), id, err)
	}
	return found, nil
}

// vote counts for each content how many of some chunks are in its sketch.
func vote(ctx context.Context, q Queryer, chunks []chunk.Hash, votes map[int64]int) error {
	for _, h := range chunks {
		rows, err := q.QueryContext(ctx, `SELECT content FROM content_sketch WHERE key = ? ORDER BY content DESC LIMIT ?`, chunkKey(h), sketchContents)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return errors.Join(err, rows.Close())
			}
			votes[n]++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// sweepAtOnce is how many contents are looked at in one transaction.
const sweepAtOnce = 500

// Sweep implements folder.Index.
func (f folderStore) Sweep(ctx context.Context, before time.Time) error {
	for last := int64(-1); ; {
		unused, next, err := f.unused(ctx, before, last)
		if err == nil && len(unused) > 0 {
			err = f.forget(ctx, before, unused)
		}
		if err != nil {
			return fmt.Errorf("store: forget manifests: %w", err)
		}
		if next == last {
			return nil
		}
		last = next
	}
}

// unused returns which of the contents after a number no file has, and up to which was
// looked.
func (f folderStore) unused(ctx context.Context, before time.Time, after int64) (unused []int64, upto int64, err error) {
	upto = after
	err = f.index.query(ctx, func(rows *sql.Rows) error {
		var used bool
		if err := rows.Scan(&upto, &used); err != nil {
			return err
		}
		if !used {
			unused = append(unused, upto)
		}
		return nil
	}, `
		SELECT n, EXISTS (
			SELECT 1 FROM file_folder CROSS JOIN file INDEXED BY file_hash
			ON file.folder = file_folder.n AND file.hash = content.hash AND file.kind = 1)
		FROM content WHERE n > ? AND saved < ? ORDER BY n LIMIT ?`, after, before.Unix(), sweepAtOnce)
	return unused, upto, err
}

// forget deletes contents, one in a transaction: a large one has many rows.
func (f folderStore) forget(ctx context.Context, before time.Time, contents []int64) error {
	for _, n := range contents {
		err := f.index.Write(ctx, func(tx *sql.Tx) error {
			ctx := context.WithoutCancel(ctx)
			_, err := tx.ExecContext(ctx, `DELETE FROM content_sketch WHERE content = (SELECT n FROM content WHERE n = ? AND saved < ?)`, n, before.Unix())
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM content WHERE n = ? AND saved < ?`, n, before.Unix())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
