package store

import (
	"strconv"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Unset implements replica.Writer.
func (w *replicaWriter) Unset(paths []string) error {
	for _, p := range paths {
		if err := w.unset(p); err != nil {
			return w.done(err, "unset row %.300q", p)
		}
	}
	return nil
}

// unset deletes the row of a path, and all below it, if there is one.
func (w *replicaWriter) unset(path string) error {
	above, name, err := replica.SplitRow(path)
	if err != nil {
		return err
	}
	up, found, err := w.dir(above)
	if !found || err != nil {
		return err
	}
	n, found, err := w.dir(path)
	if err != nil {
		return err
	}
	if found {
		if err := w.empty(n); err != nil {
			return err
		}
	}
	var file bool
	if _, err := w.one(`DELETE FROM replica_row WHERE dir = ? AND name = ? RETURNING file`, []any{up, name}, &file); err != nil {
		return err
	}
	if file {
		w.countFiles(-1)
	}
	return nil
}

// gone is all directories below ?, and it.
const gone = `WITH RECURSIVE gone(n) AS (VALUES (?) UNION SELECT d.n FROM gone CROSS JOIN replica_dir d ON d.up = gone.n) `

// empty deletes all below directory n, and its number.
func (w *replicaWriter) empty(n int64) error {
	var files int
	_, err := w.one(gone+`SELECT coalesce(sum(file), 0) FROM replica_row WHERE dir IN (SELECT n FROM gone)`, []any{n}, &files)
	if err != nil {
		return err
	}
	for _, query := range [...]string{
		gone + `DELETE FROM replica_row WHERE dir IN (SELECT n FROM gone)`,
		gone + `DELETE FROM replica_dir WHERE n IN (SELECT n FROM gone)`,
	} {
		if _, err := w.exec(query, n); err != nil {
			return err
		}
	}
	w.countFiles(-files)
	w.forgetPaths()
	return nil
}

// forgetPaths is for when directories have moved or gone.
func (w *replicaWriter) forgetPaths() {
	clear(w.dirs)
	clear(w.paths)
}

// UnsetAll implements replica.Writer.
func (w *replicaWriter) UnsetAll() error {
	for _, query := range [...]string{
		`DELETE FROM replica_row WHERE dir IN (SELECT n FROM replica_dir WHERE replica = ?)`,
		`DELETE FROM replica_dir WHERE replica = ? AND up <> 0`,
	} {
		if _, err := w.exec(query, w.n); err != nil {
			return w.done(err, "unset all rows")
		}
	}
	w.countFiles(-w.files)
	w.forgetPaths()
	return nil
}

// MoveRows implements replica.Writer. All that moves is taken out of the tree, by
// paths of before, and put in again from the top down, by paths of after. What is in
// a directory names it by its number and is not touched.
func (w *replicaWriter) MoveRows(moves []replica.Move) error {
	order, err := replica.OrderMoves(moves)
	if err != nil {
		return w.done(err, "move rows")
	}
	out, err := w.takeOut(moves)
	if err != nil {
		return w.done(err, "move rows")
	}
	w.forgetPaths()
	for _, i := range order {
		if err := w.putIn(i, moves[i].To, out[i]); err != nil {
			return w.done(err, "move rows of %.300q to %.300q", moves[i].From, moves[i].To)
		}
	}
	return nil
}

// rowKey is the primary key of replica_row. Outside the tree, during a move, dir is
// 0 and name a number.
type rowKey struct {
	dir  int64
	name string
}

// takeOut takes what is at the From of moves out of the tree, and reports what was
// there. All keys are found before any is changed: one can be below another.
func (w *replicaWriter) takeOut(moves []replica.Move) ([]bool, error) {
	keys := make([]rowKey, len(moves))
	for i, m := range moves {
		above, name, err := replica.SplitRow(m.From)
		if err != nil {
			return nil, err
		}
		n, found, err := w.dir(above)
		if err != nil {
			return nil, err
		}
		if found {
			keys[i] = rowKey{n, name}
		}
	}
	out := make([]bool, len(moves))
	for i, from := range keys {
		if from.dir == 0 {
			continue
		}
		var err error
		if out[i], err = w.rename(from, rowKey{0, strconv.Itoa(i)}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rename gives a row, and the directory that it stands for, another key. It reports
// whether there was one.
func (w *replicaWriter) rename(from, to rowKey) (bool, error) {
	n, err := w.exec(`UPDATE replica_row SET dir = ?, name = ? WHERE dir = ? AND name = ?`, to.dir, to.name, from.dir, from.name)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = w.exec(`UPDATE replica_dir SET up = ?, name = ? WHERE up = ? AND name = ? AND replica = ?`,
		to.dir, to.name, from.dir, from.name, w.n)
	return true, err
}

// putIn gives what was taken out as number i the path to, and deletes what is in the
// way. If nothing was taken out, it does only the latter.
func (w *replicaWriter) putIn(i int, to string, out bool) error {
	if err := w.unset(to); err != nil || !out {
		return err
	}
	above, name, err := replica.SplitRow(to)
	if err != nil {
		return err
	}
	dir, err := w.number(above)
	if err != nil {
		return err
	}
	_, err = w.rename(rowKey{0, strconv.Itoa(i)}, rowKey{dir, name})
	return err
}
