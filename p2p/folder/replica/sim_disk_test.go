package replica

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// simDisk is what a scan knows: it changes only when the scan looks, it looks late,
// and it reads a file only if its stat is not as it was. After a crash it can be as it
// was some time before: it is kept in a database that does not wait for the disk.
type simDisk struct {
	n       *simNode
	rows    map[string]Seen
	durable map[string]Seen
	hints   []string
}

func newSimDisk(n *simNode) *simDisk {
	return &simDisk{n: n, rows: map[string]Seen{}, durable: map[string]Seen{}}
}

func (d *simDisk) Row(_ context.Context, path string) (Seen, bool, error) {
	s, ok := d.rows[path]
	return s, ok, nil
}

func (d *simDisk) Children(_ context.Context, dir string) ([]Seen, error) {
	var out []Seen
	for p, s := range d.rows {
		if parent(p) == dir {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Seen) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (d *simDisk) Observe(_ context.Context, path string, _ Seen) (Seen, Observed, error) {
	st, err := d.n.mem.Lstat(path)
	if err != nil {
		return Seen{}, Absent, nil //nolint:nilerr // what has no directory is not there
	}
	row, known := d.rows[path]
	if !known || st.Kind == reconcile.KindOther || !sameStat(row, st) {
		if st.Kind != reconcile.KindOther {
			d.Hint(path)
		}
		return Seen{Path: path}, Other, nil
	}
	return row, Current, nil
}

// sameStat reports whether a row describes what has the state st.
func sameStat(row Seen, st apply.Stat) bool {
	if row.Kind != st.Kind || row.Inode != st.Inode || row.Mode != st.Mode {
		return false
	}
	return st.Kind == reconcile.KindDir || row.Size == st.Size && row.Modified == st.Modified && row.Changed == st.Changed
}

func (d *simDisk) Record(_ context.Context, drop []string, moved []Move, put []Seen) error {
	for _, p := range drop {
		d.drop(p)
	}
	for _, m := range moved {
		d.move(m)
	}
	for _, s := range put {
		if s.Kind == reconcile.KindFile && s.Hash == (reconcile.Hash{}) {
			d.n.w.fail("%s: a row without a hash is recorded for %s", d.n.name, s.Path)
		}
		d.rows[s.Path] = s
	}
	return nil
}

func (d *simDisk) drop(p string) {
	for q := range d.rows {
		if below(q, p) {
			delete(d.rows, q)
		}
	}
}

func (d *simDisk) move(m Move) {
	moved := map[string]Seen{}
	for q, s := range d.rows {
		if below(q, m.From) {
			s.Path = m.To + q[len(m.From):]
			moved[s.Path] = s
			delete(d.rows, q)
		}
	}
	maps.Copy(d.rows, moved)
}

func (d *simDisk) ByHash(_ context.Context, h reconcile.Hash) (string, bool, error) {
	for _, p := range slices.Sorted(maps.Keys(d.rows)) {
		if d.rows[p].Kind == reconcile.KindFile && d.rows[p].Hash == h {
			return p, true, nil
		}
	}
	return "", false, nil
}

func (d *simDisk) ByInode(_ context.Context, inode uint64) (string, bool, error) {
	for _, p := range slices.Sorted(maps.Keys(d.rows)) {
		if d.rows[p].Kind == reconcile.KindDir && d.rows[p].Inode == inode {
			return p, true, nil
		}
	}
	return "", false, nil
}

func (d *simDisk) Hint(paths ...string) { d.hints = append(d.hints, paths...) }

// scan looks at what the first some hints name; some < 0: at everything.
func (d *simDisk) scan(some int) (paths []string, moved []Move) {
	now := d.look()
	if some < 0 {
		d.hints = nil
		return d.take(now, func(string) bool { return true })
	}
	slices.Sort(d.hints)
	d.hints = slices.Compact(d.hints)
	some = min(some, len(d.hints))
	hints := d.hints[:some]
	d.hints = d.hints[some:]
	return d.take(now, func(p string) bool {
		return slices.ContainsFunc(hints, func(h string) bool { return below(p, h) || below(h, p) })
	})
}

// look finds out what is on the disk, and reads what has another stat than its row.
func (d *simDisk) look() map[string]Seen {
	now := map[string]Seen{}
	d.n.mem.Walk(func(path string, st apply.Stat, content []byte) {
		if applytest.Hidden(path) || st.Kind == reconcile.KindOther {
			return
		}
		row, known := d.rows[path]
		if known && sameStat(row, st) {
			now[path] = row
			return
		}
		now[path] = d.n.w.seen(path, st, content)
	})
	return now
}

// seen describes a file by its bytes.
func (w *simWorld) seen(path string, st apply.Stat, content []byte) Seen {
	s := Seen{Path: path, Item: reconcile.Item{Kind: st.Kind, Mode: st.Mode, Inode: st.Inode}, Changed: st.Changed}
	if st.Kind == reconcile.KindFile {
		s.Size, s.Modified, s.Hash = st.Size, st.Modified, w.hash(string(content))
	}
	return s
}

// take makes rows of what was looked at.
func (d *simDisk) take(now map[string]Seen, at func(string) bool) (paths []string, moved []Move) {
	moved = d.moves(now, at)
	for _, m := range moved {
		d.move(m)
	}
	for _, p := range slices.Sorted(maps.Keys(d.rows)) {
		was, known := d.rows[p]
		is, there := now[p]
		if known && at(p) && (!there || was.Kind != is.Kind) {
			for q := range d.rows {
				if below(q, p) {
					delete(d.rows, q)
					paths = append(paths, q)
				}
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(now)) {
		s := now[p]
		up, known := d.rows[parent(p)]
		if parent(p) != "" && (!known || up.Kind != reconcile.KindDir) && !at(parent(p)) {
			continue
		}
		if old := d.rows[p]; at(p) && old != s {
			if old.Item != s.Item {
				paths = append(paths, p)
			}
			d.rows[p] = s
		}
	}
	slices.Sort(paths)
	return paths, moved
}

// moves finds directories that have another path now: the same inode, nothing of
// it at the old path, and something of what was in it in the new one.
func (d *simDisk) moves(now map[string]Seen, at func(string) bool) (moved []Move) {
	byInode := map[uint64]string{}
	for p, s := range d.rows {
		if s.Kind == reconcile.KindDir {
			byInode[s.Inode] = p
		}
	}
	for _, q := range slices.Sorted(maps.Keys(now)) {
		s := now[q]
		if s.Kind != reconcile.KindDir || !at(q) || d.rows[q].Inode == s.Inode && d.rows[q].Kind == s.Kind {
			continue
		}
		p, known := byInode[s.Inode]
		if !known || p == q || !at(p) || below(p, q) || now[p].Inode == s.Inode || !d.akin(p, q, now) {
			continue
		}
		inMoved := slices.ContainsFunc(moved, func(m Move) bool { return below(p, m.From) || below(q, m.To) })
		if inMoved || d.rows[q].Kind != "" {
			continue // found one by one
		}
		moved = append(moved, Move{From: p, To: q})
	}
	return moved
}

func (d *simDisk) akin(p, q string, now map[string]Seen) bool {
	empty := true
	for child := range d.rows {
		if parent(child) != p {
			continue
		}
		empty = false
		if _, ok := now[q+"/"+lastName(child)]; ok {
			return true
		}
	}
	return empty
}

// current reports whether the rows say what is on the disk.
func (d *simDisk) current() bool {
	n, same := 0, true
	d.n.mem.Walk(func(path string, st apply.Stat, _ []byte) {
		if applytest.Hidden(path) {
			return
		}
		n++
		row, ok := d.rows[path]
		same = same && ok && sameStat(row, st)
	})
	return same && n == len(d.rows)
}
