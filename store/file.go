package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// fileColumns are those that scanFile reads.
const fileColumns = `path, kind, size, modified, mode, hash, inode, changed, checked`

// The kinds in column kind, which are bits of column was too.
const (
	kindGone = 0
	kindFile = 1
	kindDir  = 2
	// wasIgnored is a bit of column was.
	wasIgnored = 4
)

// thisFolder is the number of the folder whose ID is the parameter.
const thisFolder = `folder = (SELECT n FROM file_folder WHERE id = ?)`

// Children implements folder.Index.
func (f folderStore) Children(ctx context.Context, id, dir string) ([]folder.Row, error) {
	// By itself SQLite would read the whole folder, because that is in this order.
	return f.files(ctx, id, `
		SELECT `+fileColumns+` FROM file INDEXED BY file_dir
		WHERE `+thisFolder+` AND dir = ? AND kind > 0 ORDER BY path`, id, dir)
}

// Under implements folder.Index.
func (f folderStore) Under(ctx context.Context, id, prefix, after string, limit int) ([]folder.Row, error) {
	// Of two lower bounds SQLite takes one, and skips up to the other row by row.
	from, first := `path > ?`, after
	if after < prefix {
		from, first = `path >= ?`, prefix
	}
	// No byte of UTF-8 is 0xff: what starts with a prefix is between it and that.
	return f.files(ctx, id, `
		SELECT `+fileColumns+` FROM file
		WHERE `+thisFolder+` AND `+from+` AND path < ? AND kind > 0 ORDER BY path LIMIT ?`,
		id, first, prefix+"\xff", limit)
}

// Row implements folder.Index.
func (f folderStore) Row(ctx context.Context, id, path string) (folder.Row, error) {
	return f.one(ctx, id, fmt.Sprintf("file %.100q", path), `
		SELECT `+fileColumns+` FROM file WHERE `+thisFolder+` AND path = ? AND kind > 0`, id, path)
}

// DirByInode implements folder.Index.
func (f folderStore) DirByInode(ctx context.Context, id string, inode uint64) (folder.Row, error) {
	return f.one(ctx, id, fmt.Sprintf("directory of inode %d", inode), `
		SELECT `+fileColumns+` FROM file INDEXED BY file_inode WHERE `+thisFolder+` AND inode = ? AND kind = 2 ORDER BY path LIMIT 1`, id, int64(inode))
}

// ByHash implements folder.Index.
func (f folderStore) ByHash(ctx context.Context, id string, h folder.Hash) (folder.Row, error) {
	return f.one(ctx, id, fmt.Sprintf("content %v", h), `
		SELECT `+fileColumns+` FROM file INDEXED BY file_hash WHERE `+thisFolder+` AND hash = ? AND kind = 1 ORDER BY path LIMIT 1`, id, h[:])
}

func (f folderStore) one(ctx context.Context, id, what, query string, args ...any) (folder.Row, error) {
	rows, err := f.files(ctx, id, query, args...)
	if err != nil {
		return folder.Row{}, err
	}
	if len(rows) == 0 {
		return folder.Row{}, fmt.Errorf("store: %s in folder %.30q: %w", what, id, folder.ErrNotFound)
	}
	return rows[0], nil
}

func (f folderStore) files(ctx context.Context, id, query string, args ...any) ([]folder.Row, error) {
	var files []folder.Row
	err := f.index.query(ctx, func(rows *sql.Rows) error {
		r, err := scanFile(rows)
		files = append(files, r)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("store: files of folder %.30q: %w", id, err)
	}
	return files, nil
}

// scanFile reads fileColumns, and what follows them into more.
func scanFile(rows *sql.Rows, more ...any) (folder.Row, error) {
	var r folder.Row
	var kind, modified, mode, inode int64
	var hash sql.RawBytes
	to := append([]any{&r.Path, &kind, &r.Size, &modified, &mode, &hash, &inode, &r.Changed, &r.Checked}, more...)
	if err := rows.Scan(to...); err != nil {
		return r, err
	}
	switch kind {
	case kindFile:
		r.Kind = folder.KindFile
	case kindDir:
		r.Kind = folder.KindDir
	}
	r.Modified, r.Mode, r.Inode = time.Unix(0, modified).UTC(), fs.FileMode(mode), uint64(inode)
	copy(r.Hash[:], hash)
	return r, nil
}

// Count implements folder.Index.
func (f folderStore) Count(ctx context.Context, id string) (files int, bytes int64, err error) {
	err = f.index.Read(ctx, func(q Queryer) error {
		return q.QueryRowContext(ctx, `
			SELECT count(*), coalesce(sum(size), 0) FROM file WHERE `+thisFolder+` AND kind = ?`, id, kindFile).Scan(&files, &bytes)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("store: count files of folder %.30q: %w", id, err)
	}
	return files, bytes, nil
}

// Untold implements folder.Index.
func (f folderStore) Untold(ctx context.Context, id string, gone bool, after string, limit int) ([]folder.Untold, error) {
	query := `SELECT ` + fileColumns + `, was, rev FROM file INDEXED BY file_untold WHERE ` + thisFolder + ` AND told = 0 AND `
	if gone {
		query += `(kind = 0) = 1 AND (?2 = '' OR path < ?2) ORDER BY path DESC LIMIT ?3`
	} else {
		query += `(kind = 0) = 0 AND path > ?2 ORDER BY path LIMIT ?3`
	}
	var us []folder.Untold
	err := f.index.Read(ctx, func(q Queryer) error {
		rows, err := q.QueryContext(ctx, query, id, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var was, rev int64
			r, err := scanFile(rows, &was, &rev)
			if err != nil {
				return err
			}
			us = append(us, untold(r, was, rev))
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store: what is to tell of folder %.30q: %w", id, err)
	}
	return us, nil
}

func untold(r folder.Row, was, rev int64) folder.Untold {
	u := folder.Untold{Row: r, Ignored: was&wasIgnored != 0, Rev: rev}
	if was&kindFile != 0 && r.Kind != folder.KindFile {
		u.Ended = append(u.Ended, folder.KindFile)
	}
	if was&kindDir != 0 && r.Kind != folder.KindDir {
		u.Ended = append(u.Ended, folder.KindDir)
	}
	return u
}

// Told implements folder.Index.
func (f folderStore) Told(ctx context.Context, id string, us []folder.Untold) error {
	err := f.index.Write(ctx, func(tx *sql.Tx) error {
		return each(context.WithoutCancel(ctx), tx, `UPDATE file SET told = 1, was = kind WHERE `+thisFolder+` AND path = ? AND rev = ? AND kind > 0`,
			`DELETE FROM file WHERE `+thisFolder+` AND path = ? AND rev = ? AND kind = 0`, id, us)
	})
	if err != nil {
		return fmt.Errorf("store: note %d files of folder %.30q as told: %w", len(us), id, err)
	}
	return nil
}

// each runs there for what is there, and gone for what is not.
func each(ctx context.Context, tx *sql.Tx, there, gone, id string, us []folder.Untold) error {
	live, err := tx.PrepareContext(ctx, there)
	if err != nil {
		return err
	}
	defer live.Close()
	ended, err := tx.PrepareContext(ctx, gone)
	if err != nil {
		return err
	}
	defer ended.Close()
	for _, u := range us {
		run := live
		if u.Kind == "" {
			run = ended
		}
		if _, err := run.ExecContext(ctx, id, u.Path, u.Rev); err != nil {
			return err
		}
	}
	return nil
}
