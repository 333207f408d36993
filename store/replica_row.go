package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// dir returns the number of a directory, if it has one: else it is not there, or has
// never had anything in it.
func (r *replicaReader) dir(path string) (n int64, found bool, err error) {
	switch path {
	case "":
		return r.top, r.n != 0, nil
	case reconcile.Aside:
		return r.aside, r.n != 0, nil
	}
	if n, found = r.dirs[path]; found {
		return n, true, nil
	}
	above, name, err := replica.SplitRow(path)
	if err != nil {
		return 0, false, nil // nothing is there
	}
	up, found, err := r.dir(above)
	if !found || err != nil {
		return 0, false, err
	}
	found, err = r.one(`SELECT n FROM replica_dir WHERE up = ? AND name = ? AND replica = ?`, []any{up, name, r.n}, &n)
	if found {
		r.dirs[path], r.paths[n] = n, path
	}
	return n, found, err
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// climb is the inverse of dir.
func (r *replicaReader) climb(n int64) (string, error) {
	switch n {
	case r.top:
		return "", nil
	case r.aside:
		return reconcile.Aside, nil
	}
	if path, ok := r.paths[n]; ok {
		return path, nil
	}
	var up int64
	var name string
	found, err := r.one(`SELECT up, name FROM replica_dir WHERE n = ? AND replica = ?`, []any{n, r.n}, &up, &name)
	if err == nil && !found {
		err = fmt.Errorf("store: there is no directory %d in replica %d", n, r.n)
	}
	if err != nil {
		return "", err
	}
	above, err := r.climb(up)
	if err != nil {
		return "", err
	}
	path := joinPath(above, name)
	r.dirs[path], r.paths[n] = n, path
	return path, nil
}

// packedRow is a row of replica_row.
type packedRow struct {
	name           string
	actor, counter sql.NullInt64
	data           []byte
}

func (r *replicaReader) unpackRow(x packedRow) (reconcile.Row, error) {
	var id reconcile.EntryID
	if x.actor.Valid {
		var err error
		if id, err = r.id(x.actor.Int64, x.counter.Int64); err != nil {
			return reconcile.Row{}, err
		}
	}
	return replica.UnpackRow(r, id, x.data)
}

// Row implements replica.Reader.
func (r *replicaReader) Row(path string) (reconcile.Row, bool, error) {
	above, name, err := replica.SplitRow(path)
	if err != nil {
		return reconcile.Row{}, false, nil // nothing is there
	}
	dir, found, err := r.dir(above)
	if !found || err != nil {
		return reconcile.Row{}, false, err
	}
	var x packedRow
	found, err = r.one(`SELECT actor, counter, data FROM replica_row WHERE dir = ? AND name = ?`, []any{dir, name}, &x.actor, &x.counter, &x.data)
	if !found || err != nil {
		return reconcile.Row{}, false, err
	}
	row, err := r.unpackRow(x)
	return row, err == nil, err
}

// RowsIn implements replica.Reader.
func (r *replicaReader) RowsIn(dir string, limit int) ([]reconcile.Placed, error) {
	n, found, err := r.dir(dir)
	if !found || err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = -1
	}
	var packed []packedRow
	err = r.each(`SELECT name, actor, counter, data FROM replica_row WHERE dir = ? ORDER BY name LIMIT ?`, []any{n, limit},
		func(scan func(...any) error) error {
			var x packedRow
			if err := scan(&x.name, &x.actor, &x.counter, &x.data); err != nil {
				return err
			}
			packed = append(packed, x)
			return nil
		})
	if err != nil {
		return nil, err
	}
	var out []reconcile.Placed
	for _, x := range packed {
		row, err := r.unpackRow(x)
		if err != nil {
			return nil, err
		}
		out = append(out, reconcile.Placed{Path: joinPath(dir, x.name), Row: row})
	}
	return out, nil
}

// RowsOf implements replica.Reader.
func (r *replicaReader) RowsOf(id reconcile.EntryID) ([]string, error) {
	if id.IsZero() {
		return nil, nil
	}
	actor, found, err := r.actor(reconcile.Dot(id))
	if !found || err != nil {
		return nil, err
	}
	type key struct {
		dir  int64
		name string
	}
	var keys []key
	err = r.each(`
		SELECT dir, name FROM replica_row WHERE actor = ?1 AND counter = ?2
		UNION ALL
		SELECT dir, name FROM replica_ref WHERE actor = ?1 AND counter = ?2`, []any{actor, int64(id.Counter)},
		func(scan func(...any) error) error {
			var k key
			if err := scan(&k.dir, &k.name); err != nil {
				return err
			}
			keys = append(keys, k)
			return nil
		})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range keys {
		dir, err := r.climb(k.dir)
		if err != nil {
			return nil, err
		}
		out = append(out, joinPath(dir, k.name))
	}
	slices.Sort(out)
	return out, nil
}

// CountRows implements replica.Reader.
func (r *replicaReader) CountRows() (files int, err error) { return r.files, nil }

// insertDir makes a number for a directory.
func (w *replicaWriter) insertDir(up int64, name string) (n int64, err error) {
	_, err = w.one(`INSERT INTO replica_dir (replica, up, name) VALUES (?, ?, ?) RETURNING n`, []any{w.n, up, name}, &n)
	return n, err
}

// errNoDirectory is why a row has no place.
var errNoDirectory = errors.New("its directory has no row")

// number returns the number of a directory that has a row; it has one from now on.
func (w *replicaWriter) number(path string) (int64, error) {
	n, found, err := w.dir(path)
	if found || err != nil {
		return n, err
	}
	above, name, err := replica.SplitRow(path)
	if err != nil {
		return 0, errNoDirectory
	}
	up, err := w.number(above)
	if err != nil {
		return 0, err
	}
	found, err = w.one(`SELECT 1 FROM replica_row WHERE dir = ? AND name = ?`, []any{up, name}, new(int64))
	if err == nil && !found {
		err = errNoDirectory
	}
	if err != nil {
		return 0, err
	}
	n, err = w.insertDir(up, name)
	if err == nil {
		w.dirs[path], w.paths[n] = n, path
	}
	return n, err
}

// Set implements replica.Writer.
func (w *replicaWriter) Set(rows []reconcile.Placed) error {
	for i := range rows {
		if err := w.setRow(&rows[i]); err != nil {
			return w.done(err, "set row %.300q", rows[i].Path)
		}
	}
	return nil
}

func (w *replicaWriter) setRow(p *reconcile.Placed) error {
	above, name, err := replica.SplitRow(p.Path)
	if err != nil {
		return err
	}
	dir, err := w.number(above)
	if err != nil {
		return err
	}
	data, err := replica.PackRow(w, p.Row)
	if err != nil {
		return err
	}
	var actor, counter sql.NullInt64
	if len(p.Row.Refs) > 0 && !p.Row.Refs[0].ID.IsZero() {
		first := p.Row.Refs[0].ID
		if actor.Int64, err = w.actorOf(reconcile.Dot(first)); err != nil {
			return err
		}
		actor.Valid, counter = true, sql.NullInt64{Int64: int64(first.Counter), Valid: true}
	}
	file := p.Row.Kind == reconcile.KindFile
	// Most rows are new: one statement tells and does it.
	added, err := w.exec(`
		INSERT INTO replica_row (dir, name, actor, counter, file, data) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, dir, name, actor, counter, file, data)
	if err != nil {
		return err
	}
	if added == 0 {
		if err := w.replaceRow(dir, name, actor, counter, file, data); err != nil {
			return err
		}
	}
	if file {
		w.countFiles(1)
	}
	return w.name(dir, name, p.Row)
}

// replaceRow changes a row that is there.
func (w *replicaWriter) replaceRow(dir int64, name string, actor, counter sql.NullInt64, file bool, data []byte) error {
	var was bool
	if _, err := w.one(`SELECT file FROM replica_row WHERE dir = ? AND name = ?`, []any{dir, name}, &was); err != nil {
		return err
	}
	if was {
		w.countFiles(-1)
	}
	if _, err := w.exec(`DELETE FROM replica_ref WHERE dir = ? AND name = ?`, dir, name); err != nil {
		return err
	}
	_, err := w.exec(`UPDATE replica_row SET actor = ?, counter = ?, file = ?, data = ? WHERE dir = ? AND name = ?`,
		actor, counter, file, data, dir, name)
	return err
}

// name enters the entries, but the first, that a row names.
func (w *replicaWriter) name(dir int64, name string, row reconcile.Row) error {
	for _, id := range replica.Named(row) {
		if id == row.Refs[0].ID {
			continue
		}
		actor, err := w.actorOf(reconcile.Dot(id))
		if err != nil {
			return err
		}
		_, err = w.exec(`INSERT INTO replica_ref (actor, counter, dir, name) VALUES (?, ?, ?, ?)`, actor, int64(id.Counter), dir, name)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *replicaWriter) countFiles(n int) {
	w.files += n
	w.changed = w.changed || n != 0
}
