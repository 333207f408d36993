package replica

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// rowTree is the rows of a folder as a tree, so that a directory moves with all
// that is in it.
type rowTree struct {
	top, aside *rowNode
	of         map[reconcile.EntryID]map[*rowNode]struct{} // by what refs name
	files      int
}

// rowNode is a row.
type rowNode struct {
	up   *rowNode // nil: a top
	name string
	row  reconcile.Row
	kids map[string]*rowNode
}

func newRowTree() *rowTree {
	return &rowTree{
		top: &rowNode{kids: map[string]*rowNode{}}, aside: &rowNode{kids: map[string]*rowNode{}},
		of: map[reconcile.EntryID]map[*rowNode]struct{}{},
	}
}

func (t *rowTree) clone() *rowTree {
	out := newRowTree()
	out.files = t.files
	out.top.kids, out.aside.kids = out.copyKids(out.top, t.top.kids), out.copyKids(out.aside, t.aside.kids)
	return out
}

// copyKids returns a copy of kids below up, and enters it in t.of.
func (t *rowTree) copyKids(up *rowNode, kids map[string]*rowNode) map[string]*rowNode {
	if kids == nil {
		return nil
	}
	out := make(map[string]*rowNode, len(kids))
	for name, n := range kids {
		c := &rowNode{up: up, name: name, row: n.row}
		c.kids = t.copyKids(c, n.kids)
		out[name] = c
		for _, id := range Named(n.row) {
			if t.of[id] == nil {
				t.of[id] = map[*rowNode]struct{}{}
			}
			t.of[id][c] = struct{}{}
		}
	}
	return out
}

// find returns what is at a path, the two tops included, or nil.
func (t *rowTree) find(path string) *rowNode {
	n, rest := t.top, path
	if path == reconcile.Aside {
		return t.aside
	}
	if below, ok := strings.CutPrefix(path, reconcile.Aside+"/"); ok {
		n, rest = t.aside, below
	}
	if rest == "" {
		return n
	}
	for name := range strings.SplitSeq(rest, "/") {
		if n = n.kids[name]; n == nil {
			return nil
		}
	}
	return n
}

// path returns where n is.
func (t *rowTree) path(n *rowNode) string {
	var names []string
	for ; n.up != nil; n = n.up {
		names = append(names, n.name)
	}
	if n == t.aside {
		names = append(names, reconcile.Aside)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// ownRow returns r with slices of its own. Vectors are never changed.
func ownRow(r reconcile.Row) reconcile.Row {
	r.Refs = slices.Clone(r.Refs)
	for i := range r.Refs {
		r.Refs[i].Contents = slices.Clone(r.Refs[i].Contents)
	}
	return r
}

// Row implements Reader.
func (f *folderState) Row(path string) (reconcile.Row, bool, error) {
	n := f.rows.find(path)
	if n == nil || n.up == nil {
		return reconcile.Row{}, false, nil
	}
	return ownRow(n.row), true, nil
}

// RowsIn implements Reader.
func (f *folderState) RowsIn(dir string, limit int) ([]reconcile.Placed, error) {
	n := f.rows.find(dir)
	if n == nil {
		return nil, nil
	}
	names := slices.Sorted(maps.Keys(n.kids))
	if limit > 0 {
		names = names[:min(limit, len(names))]
	}
	var out []reconcile.Placed
	for _, name := range names {
		path := name
		if dir != "" {
			path = dir + "/" + name
		}
		out = append(out, reconcile.Placed{Path: path, Row: ownRow(n.kids[name].row)})
	}
	return out, nil
}

// RowsOf implements Reader.
func (f *folderState) RowsOf(id reconcile.EntryID) ([]string, error) {
	var out []string
	for n := range f.rows.of[id] {
		out = append(out, f.rows.path(n))
	}
	slices.Sort(out)
	return out, nil
}

// CountRows implements Reader.
func (f *folderState) CountRows() (files int, err error) { return f.rows.files, nil }

// Set implements Writer.
func (w *memoryWriter) Set(rows []reconcile.Placed) error {
	for _, r := range rows {
		if err := w.setRow(r); err != nil {
			return w.fail(fmt.Errorf("replica: set row: %w", err))
		}
	}
	return nil
}

func (w *memoryWriter) setRow(r reconcile.Placed) error {
	dir, name, err := SplitRow(r.Path)
	if err != nil {
		return err
	}
	up := w.rows.find(dir)
	if up == nil {
		return fmt.Errorf("%.300q: its directory has no row", r.Path)
	}
	n := up.kids[name]
	if n == nil {
		n = &rowNode{}
		w.attach(n, up, name)
	} else {
		w.unlist(n)
	}
	undoSet(w, &n.row, ownRow(r.Row))
	w.list(n)
	return nil
}

// list enters n in what is counted and found by its row.
func (w *memoryWriter) list(n *rowNode) {
	for _, id := range Named(n.row) {
		if w.rows.of[id] == nil {
			undoPut(w, w.rows.of, id, map[*rowNode]struct{}{})
		}
		undoPut(w, w.rows.of[id], n, struct{}{})
	}
	if n.row.Kind == reconcile.KindFile {
		undoSet(w, &w.rows.files, w.rows.files+1)
	}
}

// unlist is the inverse of list.
func (w *memoryWriter) unlist(n *rowNode) {
	for _, id := range Named(n.row) {
		if len(w.rows.of[id]) > 1 {
			undoDelete(w, w.rows.of[id], n)
		} else {
			undoDelete(w, w.rows.of, id)
		}
	}
	if n.row.Kind == reconcile.KindFile {
		undoSet(w, &w.rows.files, w.rows.files-1)
	}
}

func (w *memoryWriter) attach(n, up *rowNode, name string) {
	if up.kids == nil {
		undoSet(w, &up.kids, map[string]*rowNode{})
	}
	undoPut(w, up.kids, name, n)
	undoSet(w, &n.up, up)
	undoSet(w, &n.name, name)
}

func (w *memoryWriter) detach(n *rowNode) { undoDelete(w, n.up.kids, n.name) }

// fell deletes n and all below.
func (w *memoryWriter) fell(n *rowNode) {
	w.detach(n)
	w.unlistAll(n)
}

func (w *memoryWriter) unlistAll(n *rowNode) {
	w.unlist(n)
	for _, kid := range n.kids {
		w.unlistAll(kid)
	}
}

// Unset implements Writer.
func (w *memoryWriter) Unset(paths []string) error {
	for _, p := range paths {
		if _, _, err := SplitRow(p); err != nil {
			return w.fail(fmt.Errorf("replica: unset row: %w", err))
		}
		if n := w.rows.find(p); n != nil {
			w.fell(n)
		}
	}
	return nil
}

// UnsetAll implements Writer.
func (w *memoryWriter) UnsetAll() error {
	undoSet(w, &w.rows, newRowTree())
	return nil
}

// MoveRows implements Writer.
func (w *memoryWriter) MoveRows(moves []Move) error {
	order, err := OrderMoves(moves)
	if err != nil {
		return w.fail(err)
	}
	moved := make([]*rowNode, len(moves))
	for i, m := range moves {
		moved[i] = w.rows.find(m.From)
	}
	for _, n := range moved {
		if n != nil {
			w.detach(n)
		}
	}
	for _, i := range order {
		if old := w.rows.find(moves[i].To); old != nil {
			w.fell(old)
		}
		if moved[i] == nil {
			continue
		}
		dir, name, _ := SplitRow(moves[i].To) // OrderMoves has checked it
		up := w.rows.find(dir)
		if up == nil {
			return w.fail(fmt.Errorf("replica: move rows of %.300q to %.300q: its directory has no row", moves[i].From, moves[i].To))
		}
		w.attach(moved[i], up, name)
	}
	return nil
}
