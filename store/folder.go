package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// folderStore keeps the registry of folders in state.db and what is in them in
// index.db.
type folderStore struct{ state, index *DB }

// Folder returns the store of shared folders.
func (s *Store) Folder() folder.Store { return folderStore{s.state, s.index} }

// Folders implements folder.Registry.
func (f folderStore) Folders(ctx context.Context) ([]folder.Record, error) {
	var all []folder.Record
	err := f.state.Read(ctx, func(q Queryer) error {
		rows, err := q.QueryContext(ctx, `
			SELECT id, label, path, access, created, paused, marked, inode
			FROM folder ORDER BY created, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r folder.Record
			var created, inode int64
			if err := rows.Scan(&r.ID, &r.Label, &r.Path, &r.Access, &created, &r.Paused, &r.Marked, &inode); err != nil {
				return err
			}
			r.Created, r.Inode = time.UnixMilli(created).UTC(), uint64(inode)
			all = append(all, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: folders: %w", err)
	}
	return all, nil
}

// SaveFolder implements folder.Registry.
func (f folderStore) SaveFolder(ctx context.Context, r folder.Record) error {
	err := f.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO folder (id, label, path, access, created, paused, marked, inode)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET
				label = excluded.label, path = excluded.path, access = excluded.access, created = excluded.created,
				paused = excluded.paused, marked = excluded.marked, inode = excluded.inode`,
			r.ID, r.Label, r.Path, r.Access, r.Created.UnixMilli(), r.Paused, r.Marked, int64(r.Inode))
		return err
	})
	if err != nil {
		return fmt.Errorf("store: save folder %s: %w", r.ID, err)
	}
	return nil
}

// deleteAtOnce is how many rows of a folder one transaction deletes, so that
// others can write in between.
const deleteAtOnce = 10_000

// DeleteFolder implements folder.Registry. The record goes last: after a crash
// before that, the folder is there and is scanned again.
func (f folderStore) DeleteFolder(ctx context.Context, id string) error {
	for more := true; more; {
		err := f.index.Write(ctx, func(tx *sql.Tx) error {
			deleted, err := tx.ExecContext(ctx, `
				DELETE FROM file WHERE (folder, path) IN (
					SELECT folder, path FROM file
					WHERE folder = (SELECT n FROM file_folder WHERE id = ?) LIMIT ?)`, id, deleteAtOnce)
			if err != nil {
				return err
			}
			n, err := deleted.RowsAffected()
			if more = n == deleteAtOnce; more || err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM file_folder WHERE id = ?`, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("store: delete files of folder %s: %w", id, err)
		}
	}
	err := f.state.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM folder WHERE id = ?`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: delete folder %s: %w", id, err)
	}
	return nil
}

// fileColumns are those that scanFile reads.
const fileColumns = `path, kind, size, modified, mode, hash, inode, changed, checked`

// The kinds in column kind.
const (
	kindFile = 1
	kindDir  = 2
)

// Children implements folder.Index.
func (f folderStore) Children(ctx context.Context, id, dir string) ([]folder.Row, error) {
	return f.files(ctx, id, `
		SELECT `+fileColumns+` FROM file
		WHERE folder = (SELECT n FROM file_folder WHERE id = ?) AND dir = ? ORDER BY path`, id, dir)
}

// Under implements folder.Index.
func (f folderStore) Under(ctx context.Context, id, prefix, after string, limit int) ([]folder.Row, error) {
	// No byte of UTF-8 is 0xff: what starts with prefix is between it and that.
	return f.files(ctx, id, `
		SELECT `+fileColumns+` FROM file
		WHERE folder = (SELECT n FROM file_folder WHERE id = ?)
			AND path >= ? AND path < ? AND path > ? ORDER BY path LIMIT ?`,
		id, prefix, prefix+"\xff", after, limit)
}

// Row implements folder.Index.
func (f folderStore) Row(ctx context.Context, id, path string) (folder.Row, error) {
	rows, err := f.files(ctx, id, `
		SELECT `+fileColumns+` FROM file
		WHERE folder = (SELECT n FROM file_folder WHERE id = ?) AND path = ?`, id, path)
	if err != nil {
		return folder.Row{}, err
	}
	if len(rows) == 0 {
		return folder.Row{}, fmt.Errorf("store: file %.100q in folder %.30q: %w", path, id, folder.ErrNotFound)
	}
	return rows[0], nil
}

func (f folderStore) files(ctx context.Context, id, query string, args ...any) ([]folder.Row, error) {
	var files []folder.Row
	err := f.index.Read(ctx, func(q Queryer) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanFile(rows)
			if err != nil {
				return err
			}
			files = append(files, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: files of folder %.30q: %w", id, err)
	}
	return files, nil
}

func scanFile(rows *sql.Rows) (folder.Row, error) {
	var r folder.Row
	var kind, modified, mode, inode int64
	var hash sql.RawBytes
	if err := rows.Scan(&r.Path, &kind, &r.Size, &modified, &mode, &hash, &inode, &r.Changed, &r.Checked); err != nil {
		return r, err
	}
	r.Kind = folder.KindFile
	if kind == kindDir {
		r.Kind = folder.KindDir
	}
	r.Modified, r.Mode, r.Inode = time.Unix(0, modified).UTC(), fs.FileMode(mode), uint64(inode)
	copy(r.Hash[:], hash)
	return r, nil
}

// Apply implements folder.Index.
func (f folderStore) Apply(ctx context.Context, id string, drop []string, put []folder.Row) error {
	err := f.index.Write(ctx, func(tx *sql.Tx) error {
		n, err := folderNumber(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := dropFiles(ctx, tx, n, drop); err != nil {
			return err
		}
		return putFiles(ctx, tx, n, put)
	})
	if err != nil {
		return fmt.Errorf("store: %d and %d files of folder %.30q: %w", len(drop), len(put), id, err)
	}
	return nil
}

// folderNumber returns the number of a folder, which it has from its first use on.
func folderNumber(ctx context.Context, tx *sql.Tx, id string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT n FROM file_folder WHERE id = ?`, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, `INSERT INTO file_folder (id) VALUES (?) RETURNING n`, id).Scan(&n)
	}
	return n, err
}

func dropFiles(ctx context.Context, tx *sql.Tx, n int64, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	del, err := tx.PrepareContext(ctx, `DELETE FROM file WHERE folder = ? AND path = ?`)
	if err != nil {
		return err
	}
	defer del.Close()
	for _, p := range paths {
		if _, err := del.ExecContext(ctx, n, p); err != nil {
			return err
		}
	}
	return nil
}

func putFiles(ctx context.Context, tx *sql.Tx, n int64, rows []folder.Row) error {
	if len(rows) == 0 {
		return nil
	}
	put, err := tx.PrepareContext(ctx, `
		INSERT OR REPLACE INTO file (folder, dir, `+fileColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer put.Close()
	for i := range rows {
		r := &rows[i]
		dir := ""
		if end := strings.LastIndexByte(r.Path, '/'); end >= 0 {
			dir = r.Path[:end]
		}
		kind, hash := kindDir, []byte(nil)
		if r.Kind == folder.KindFile {
			kind, hash = kindFile, r.Hash[:]
		}
		_, err := put.ExecContext(ctx, n, dir, r.Path, kind, r.Size, r.Modified.UnixNano(), int64(r.Mode), hash, int64(r.Inode), r.Changed, r.Checked)
		if err != nil {
			return err
		}
	}
	return nil
}

// Count implements folder.Index.
func (f folderStore) Count(ctx context.Context, id string) (files int, bytes int64, err error) {
	err = f.index.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, `
			SELECT count(*), coalesce(sum(size), 0) FROM file
			WHERE folder = (SELECT n FROM file_folder WHERE id = ?) AND kind = ?`, id, kindFile).Scan(&files, &bytes)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("store: count files of folder %.30q: %w", id, err)
	}
	return files, bytes, nil
}
