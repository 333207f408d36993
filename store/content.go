package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
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

// saveManifest saves a manifest that is not known yet.
func saveManifest(ctx context.Context, tx *sql.Tx, m *chunk.Manifest, now time.Time) error {
	blob, err := m.AppendBinary(nil)
	if err != nil {
		return err
	}
	root := m.Root()
	var n int64
	err = tx.QueryRowContext(ctx, `
		INSERT INTO content (hash, saved, manifest) VALUES (?, ?, ?)
		ON CONFLICT (hash) DO NOTHING RETURNING n`, root[:], now.Unix(), blob).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return eachChunk(ctx, tx, m, `INSERT INTO content_chunk (key, content, offset) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`, n)
}

// eachChunk runs a statement with the key (?1) and the offset (?3) of each chunk of content
// n (?2).
func eachChunk(ctx context.Context, tx *sql.Tx, m *chunk.Manifest, statement string, n int64) error {
	s, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range m.Len() {
		c := m.Chunk(i)
		if _, err := s.ExecContext(ctx, chunkKey(c.Hash), n, c.Offset); err != nil {
			return err
		}
	}
	return nil
}

func chunkKey(h chunk.Hash) int64 { return int64(binary.LittleEndian.Uint64(h[:])) }

// Locate implements folder.Index.
func (f folderStore) Locate(ctx context.Context, id string, chunks []chunk.Hash) ([]folder.Located, error) {
	found := make([]folder.Located, len(chunks))
	err := f.index.Read(ctx, func(q Queryer) error {
		for i, h := range chunks {
			var hash []byte
			// In this order: by itself SQLite would begin with all files of the folder.
			err := q.QueryRowContext(ctx, `
				SELECT file.path, content.hash, content_chunk.offset
				FROM content_chunk
				CROSS JOIN content ON content.n = content_chunk.content
				CROSS JOIN file INDEXED BY file_hash ON file.folder = (SELECT n FROM file_folder WHERE id = ?) AND file.hash = content.hash AND file.kind = 1
				WHERE content_chunk.key = ? LIMIT 1`, id, chunkKey(h)).Scan(&found[i].Path, &hash, &found[i].Offset)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			copy(found[i].Hash[:], hash)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: look for %d chunks in folder %.30q: %w", len(chunks), id, err)
	}
	return found, nil
}

// sweepAtOnce is how many manifests are forgotten in one transaction.
const sweepAtOnce = 16

// Sweep implements folder.Index.
func (f folderStore) Sweep(ctx context.Context, before time.Time) error {
	for {
		n, err := f.sweep(ctx, before)
		if err != nil {
			return fmt.Errorf("store: forget manifests: %w", err)
		}
		if n < sweepAtOnce {
			return nil
		}
	}
}

func (f folderStore) sweep(ctx context.Context, before time.Time) (n int, err error) {
	err = f.index.Write(ctx, func(tx *sql.Tx) error {
		ctx := context.WithoutCancel(ctx)
		rows, err := tx.QueryContext(ctx, `
			SELECT n, manifest FROM content WHERE saved < ? AND NOT EXISTS (
				SELECT 1 FROM file_folder CROSS JOIN file INDEXED BY file_hash
				ON file.folder = file_folder.n AND file.hash = content.hash AND file.kind = 1)
			LIMIT ?`, before.Unix(), sweepAtOnce)
		if err != nil {
			return err
		}
		gone := map[int64][]byte{}
		for rows.Next() {
			var id int64
			var blob []byte
			if err := rows.Scan(&id, &blob); err != nil {
				return errors.Join(err, rows.Close())
			}
			gone[id] = blob
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		n = len(gone)
		for id, blob := range gone {
			m, err := chunk.Parse(blob)
			if err != nil {
				return err
			}
			if err := eachChunk(ctx, tx, m, `DELETE FROM content_chunk WHERE key = ?1 AND content = ?2 AND ?3 IS NOT NULL`, id); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM content WHERE n = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
