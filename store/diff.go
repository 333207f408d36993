package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder"
)

// Apply implements folder.Index.
func (f folderStore) Apply(ctx context.Context, id string, d folder.Diff) (folder.Delta, error) {
	var delta folder.Delta
	err := f.index.Write(ctx, func(tx *sql.Tx) error {
		a, err := newApplication(ctx, tx, id)
		if err != nil {
			return err
		}
		before, err := a.count(d)
		if err != nil {
			return err
		}
		if err := errors.Join(a.all(d), a.close()); err != nil {
			return err
		}
		after, err := a.count(d)
		delta = folder.Delta{Files: after.Files - before.Files, Bytes: after.Bytes - before.Bytes}
		return err
	})
	if err != nil {
		return folder.Delta{}, fmt.Errorf("store: change %d and drop %d files of folder %.30q: %w", len(d.Put)+len(d.Same), len(d.Drop)+len(d.Left), id, err)
	}
	return delta, nil
}

// application is one folder.Diff on its way into the index.
type application struct {
	ctx    context.Context
	tx     *sql.Tx
	n, rev int64     // of the folder
	drop   *sql.Stmt // prepared at its first use
	put    *sql.Stmt // as well
}

func newApplication(ctx context.Context, tx *sql.Tx, id string) (*application, error) {
	ctx = context.WithoutCancel(ctx) // see DB.Write
	a := &application{ctx: ctx, tx: tx}
	// The folder has its number from its first use on.
	err := tx.QueryRowContext(ctx, `
		INSERT INTO file_folder (id, rev) VALUES (?, 1)
		ON CONFLICT (id) DO UPDATE SET rev = rev + 1 RETURNING n, rev`, id).Scan(&a.n, &a.rev)
	return a, err
}

func (a *application) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{a.drop, a.put} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

func (a *application) all(d folder.Diff) error {
	if err := a.dropAll(d.Drop, 0); err != nil {
		return err
	}
	if err := a.dropAll(d.Left, wasIgnored); err != nil {
		return err
	}
	if err := a.moveAll(d.Moved); err != nil {
		return err
	}
	if err := a.putAll(d.Put, false); err != nil {
		return err
	}
	if err := a.putAll(d.Same, true); err != nil {
		return err
	}
	for _, m := range d.Made {
		if err := saveManifest(a.ctx, a.tx, m, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// prepare prepares a statement at its first use.
func (a *application) prepare(s **sql.Stmt, query string) (err error) {
	if *s == nil {
		*s, err = a.tx.PrepareContext(a.ctx, query)
	}
	return err
}

// count returns how many files are at the paths that d is about, or, because a moved
// directory has any number of them, in the whole folder, and the sum of their sizes.
func (a *application) count(d folder.Diff) (c folder.Delta, err error) {
	if len(d.Moved) > 0 {
		err = a.tx.QueryRowContext(a.ctx, `
			SELECT count(*), coalesce(sum(size), 0) FROM file WHERE folder = ? AND kind = 1`, a.n).Scan(&c.Files, &c.Bytes)
		return c, err
	}
	paths := slices.Concat(d.Drop, d.Left)
	for _, rows := range [][]folder.Row{d.Put, d.Same} {
		for i := range rows {
			paths = append(paths, rows[i].Path)
		}
	}
	list, err := json.Marshal(paths)
	if err != nil {
		return c, err
	}
	err = a.tx.QueryRowContext(a.ctx, `
		SELECT count(*), coalesce(sum(size), 0) FROM file
		WHERE folder = ? AND kind = 1 AND path IN (SELECT value FROM json_each(?))`, a.n, string(list)).Scan(&c.Files, &c.Bytes)
	return c, err
}

func (a *application) dropAll(paths []string, why int) error {
	if len(paths) == 0 {
		return nil
	}
	err := a.prepare(&a.drop, `
		UPDATE file SET kind = 0, told = 0, was = (was | kind) & 3 | ?, rev = ? WHERE folder = ? AND path = ? AND kind > 0`)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if _, err := a.drop.ExecContext(a.ctx, why, a.rev, a.n, p); err != nil {
			return err
		}
	}
	return nil
}

// onConflict keeps of a row that is replaced what search may know of it.
const onConflict = `
	ON CONFLICT (folder, path) DO UPDATE SET
		kind = excluded.kind, size = excluded.size, modified = excluded.modified, mode = excluded.mode, hash = excluded.hash,
		inode = excluded.inode, changed = excluded.changed, checked = excluded.checked, rev = excluded.rev,
		told = excluded.told AND file.told AND file.kind = excluded.kind, was = (file.was | file.kind) & 3`

func (a *application) putAll(rows []folder.Row, told bool) error {
	if len(rows) == 0 {
		return nil
	}
	err := a.prepare(&a.put, `
		INSERT INTO file (folder, dir, told, was, rev, `+fileColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`+onConflict)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		kind, hash := kindDir, []byte(nil)
		if r.Kind == folder.KindFile {
			kind, hash = kindFile, r.Hash[:]
		}
		was := 0
		if told {
			was = kind
		}
		_, err := a.put.ExecContext(a.ctx, a.n, dirOf(r.Path), told, was, a.rev,
			r.Path, kind, r.Size, r.Modified.UnixNano(), int64(r.Mode), hash, int64(r.Inode), r.Changed, r.Checked)
		if err != nil {
			return err
		}
	}
	return nil
}

func dirOf(path string) string {
	if end := strings.LastIndexByte(path, '/'); end >= 0 {
		return path[:end]
	}
	return ""
}

// below is what is at a path, the parameter after the folder's number, or under it:
// '0' is the byte after '/'. The range is one that the primary key gives.
const below = `folder = ?1 AND kind > 0 AND path >= ?2 AND path < ?2 || '0' AND (path = ?2 OR path >= ?2 || '/')`

// moveAll gives directories other paths. All rows are taken out before the first is
// put in, so that it does not matter how the paths lie to each other.
func (a *application) moveAll(moves []folder.Move) error {
	if len(moves) == 0 {
		return nil
	}
	_, err := a.tx.ExecContext(a.ctx, `
		CREATE TEMP TABLE IF NOT EXISTS file_moving (
			path TEXT NOT NULL PRIMARY KEY, dir TEXT NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL,
			modified INTEGER NOT NULL, mode INTEGER NOT NULL, hash BLOB, inode INTEGER NOT NULL, changed INTEGER NOT NULL,
			checked INTEGER NOT NULL
		) STRICT, WITHOUT ROWID`)
	if err != nil {
		return err
	}
	// What is in another moved directory goes first, so that it is not taken along.
	deepest := slices.SortedFunc(slices.Values(moves), func(x, y folder.Move) int { return strings.Compare(y.From, x.From) })
	for _, m := range deepest {
		if err := a.takeOut(m); err != nil {
			return err
		}
	}
	for _, m := range moves {
		if err := a.bury(m.To); err != nil {
			return err
		}
	}
	_, err = a.tx.ExecContext(a.ctx, `
		INSERT INTO file (folder, dir, told, was, rev, `+fileColumns+`)
		SELECT ?, dir, 0, 0, ?, `+fileColumns+` FROM temp.file_moving WHERE true`+onConflict, a.n, a.rev)
	if err != nil {
		return err
	}
	_, err = a.tx.ExecContext(a.ctx, `DELETE FROM temp.file_moving`)
	return err
}

// takeOut copies what is in m.From, under its new path, and drops it.
func (a *application) takeOut(m folder.Move) error {
	_, err := a.tx.ExecContext(a.ctx, `
		INSERT INTO temp.file_moving (dir, `+fileColumns+`)
		SELECT CASE path WHEN ?2 THEN ?4 ELSE ?3 || substr(dir, length(?2) + 1) END,
			?3 || substr(path, length(?2) + 1), kind, size, modified, mode, hash, inode, changed, checked
		FROM file WHERE `+below, a.n, m.From, m.To, dirOf(m.To))
	if err != nil {
		return err
	}
	return a.bury(m.From)
}

// bury drops what is at a path and under it.
func (a *application) bury(path string) error {
	_, err := a.tx.ExecContext(a.ctx, `
		UPDATE file SET kind = 0, told = 0, was = (was | kind) & 3, rev = ?3 WHERE `+below, a.n, path, a.rev)
	return err
}
