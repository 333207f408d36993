package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
	"unicode/utf8"
)

// visit compares one directory. On error nothing has been concluded from what is
// missing in it.
func (s *scan) visit(ctx context.Context, t task) error {
	rules := t.rules
	if rules == nil {
		above, ignored, err := s.tree.rules(parent(t.dir))
		if err != nil || ignored || t.dir != "" && leftOut(above, t.dir, true) {
			return err
		}
		rules = above
	}
	at, err := s.tree.dir(t.dir)
	if err != nil {
		return err
	}
	defer at.Close() // nothing was written
	info, err := at.Stat(".")
	if err != nil {
		return err
	}
	if t.rules == nil && t.dir != "" {
		if err := s.same(ctx, t.dir, statOf(info)); err != nil {
			return err
		}
	}
	if _, again := s.seen.LoadOrStore(t.dir, true); again {
		return nil
	}
	if !s.full {
		s.skips.forget(t.dir)
	}
	// Watched first, listed then: nothing happens unnoticed in between.
	s.watch.add(t.dir, statOf(info).inode, s.full)
	if t.rules != nil || t.dir != "" {
		if rules, err = rules.enter(at, t.dir); err != nil {
			return err
		}
	}
	names, err := list(at)
	if err != nil {
		return err
	}
	if holdsNode(func(name string) bool { _, found := slices.BinarySearch(names, name); return found }) {
		s.skips.add(t.dir, ReasonNode)
		names = nil // whatever was known of it is gone
	}
	known, err := s.store.Children(ctx, s.folder, t.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	v := visit{scan: s, task: t, at: at, rules: rules, known: make(map[string]*Row, len(known))}
	for i := range known {
		v.known[base(known[i].Path)] = &known[i]
	}
	for _, name := range names {
		if err := v.look(ctx, name); err != nil {
			return err
		}
	}
	return v.finish(ctx)
}

// same reports, as errOther, that dir is not the directory that is known there: then
// what is known of its content may be that of one that was moved.
func (s *scan) same(ctx context.Context, dir string, st stat) error {
	row, err := s.store.Row(ctx, s.folder, dir)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: %w", errStore, err)
	case err != nil || row.Kind != KindDir || row.Inode != st.inode:
		return errOther
	}
	return nil
}

// list returns the names in a directory, or none if not all could be read.
func list(at *os.Root) ([]string, error) {
	d, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close() // nothing was written
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// visit is the comparison of one directory.
type visit struct {
	*scan
	task  task
	at    *os.Root
	rules *Ignore         // in the directory
	known map[string]*Row // by name; what was met is taken out
	left  []*Row          // met, but ignored
	files []candidate
	fresh []fresh
}

// look compares one name.
func (v *visit) look(ctx context.Context, name string) error {
	path := join(v.task.dir, name)
	switch {
	case isReserved(name):
		return nil
	case !utf8.ValidString(name):
		v.skips.add(path, ReasonName)
		return nil
	case CheckPath(path) != nil:
		v.skips.add(path, ReasonLong)
		return nil
	}
	info, err := v.at.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone between listing and here
	}
	old := v.known[name]
	if err != nil {
		delete(v.known, name)
		v.skips.add(path, ReasonUnreadable)
		return nil
	}
	if leftOut(v.rules, path, info.IsDir()) {
		if old != nil {
			delete(v.known, name)
			v.left = append(v.left, old)
		}
		return nil
	}
	switch st := statOf(info); {
	case info.IsDir():
		if old != nil && old.Kind == KindDir && lent(old.Mode.Perm(), st.mode.Perm()) {
			st = v.returned(ctx, name, st, old)
		}
		return v.dir(ctx, name, path, st, old)
	case info.Mode().IsRegular():
		v.scan.files.Add(1)
		v.scan.bytes.Add(info.Size())
		v.file(name, path, st, old)
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		v.skips.add(path, ReasonLink)
	default:
		v.skips.add(path, ReasonSpecial)
	}
	return nil // what it was before is gone
}

// lent reports whether a directory of mode was may have the mode is only because
// somebody who may not change names in it does just that; package apply does.
func lent(was, is fs.FileMode) bool { return was != is && was|0o300 == is }

// returned looks again at a directory whose mode may be another one only for the moment
// in which something in it is installed.
func (v *visit) returned(ctx context.Context, name string, st stat, old *Row) stat {
	for range 5 {
		if v.lent.Load() > maxLent {
			break // somebody changes modes
		}
		quiet(ctx, 10*time.Millisecond)
		info, err := v.at.Lstat(name)
		if err != nil || !info.IsDir() {
			break
		}
		if now := statOf(info); now.inode == st.inode && now.mode.Perm() == old.Mode.Perm() {
			return now
		}
	}
	v.lent.Add(1)
	return st
}

// maxLent is after how many directories, whose modes stay as they are, no other is
// waited for.
const maxLent = 16

// leftOut reports whether path is not shared, if its directory is.
func leftOut(g *Ignore, path string, dir bool) bool {
	return base(path) == IgnoreFile || g.Match(path, dir)
}

// file compares a file that is there.
func (v *visit) file(name, path string, st stat, old *Row) {
	delete(v.known, name)
	if old != nil && old.Kind == KindDir {
		v.loose.dir(lost{row: old, replaced: true})
		old = nil
	}
	if old != nil && old.same(st) {
		again := v.full || v.scan.look[path]
		if !again || !old.racy() || !v.full && v.own(path, st) {
			return
		}
	}
	if v.renamed && (old == nil || old.Inode != st.inode) {
		if old != nil {
			v.loose.file(old)
		}
		v.fresh = append(v.fresh, fresh{candidate: candidate{name: name, size: st.size, old: old}, path: path, stat: st})
		return
	}
	v.files = append(v.files, candidate{name: name, size: st.size, old: old})
}

// dir compares a directory that is there, apart from what is in it.
func (v *visit) dir(ctx context.Context, name, path string, st stat, old *Row) error {
	delete(v.known, name)
	if st.device != v.tree.stat.device {
		v.skips.add(path, ReasonMount) // what was known below stays known
		return nil
	}
	if old != nil && old.Kind == KindFile {
		v.loose.file(old)
		old = nil
	}
	a := arrival{path: path, stat: st, rules: v.rules}
	if old == nil || old.Inode != st.inode {
		// It may be one that was elsewhere, and what was here may be elsewhere now.
		_, known, err := v.elsewhere(ctx, a)
		if err != nil {
			return err
		}
		if known || old != nil {
			v.loose.arrive(a)
			return nil
		}
	}
	return v.enter(ctx, a, old, v.task.deep)
}

// enter compares a directory with its row, and has what is in it compared if that may
// be different.
func (s *scan) enter(ctx context.Context, a arrival, old *Row, deep bool) error {
	row := a.stat.row(a.path, Hash{}, time.Time{})
	if old == nil || old.Mode != row.Mode || old.Inode != row.Inode || !old.Modified.Equal(row.Modified) {
		silent := old != nil && old.Mode == row.Mode
		if err := s.send(ctx, change{row: row, old: old, silent: silent}); err != nil {
			return err
		}
	}
	// Another directory of the same name may have anything in it. One that is not
	// watched was made, or moved, by somebody who has recorded it.
	if deep || old == nil || old.Inode != row.Inode || !s.watch.has(a.path, row.Inode) {
		s.queue.push(task{dir: a.path, deep: deep || old == nil || old.Inode != row.Inode, rules: a.rules})
	}
	return nil
}

// finish concludes what is gone and has the files read.
func (v *visit) finish(ctx context.Context) error {
	for _, old := range v.left {
		if err := v.miss(ctx, old, true); err != nil {
			return err
		}
	}
	for _, old := range v.known {
		if err := v.miss(ctx, old, false); err != nil {
			return err
		}
	}
	v.loose.read(v.task.dir, v.fresh)
	v.push(v.task.dir, v.files)
	return nil
}

// push has files of a directory read.
func (s *scan) push(dir string, files []candidate) {
	for len(files) > 0 {
		n := shareOf(files)
		s.queue.push(task{dir: dir, files: files[:n:n]})
		files = files[n:]
	}
}

// shareOf returns how many of the first files one worker reads in one go.
func shareOf(files []candidate) (n int) {
	var bytes int64
	for n < min(len(files), filesAtOnce) && (n == 0 || bytes+files[n].size <= bytesAtOnce) {
		bytes += files[n].size
		n++
	}
	return n
}

// miss notes that old is not there, or ignored.
func (v *visit) miss(ctx context.Context, old *Row, left bool) error {
	if old.Kind == KindDir {
		v.loose.dir(lost{row: old, left: left})
		return nil
	}
	if !left {
		v.loose.file(old)
	}
	return v.send(ctx, change{row: *old, old: old, gone: true, left: left})
}

// drop tells that all below a directory is gone.
func (s *scan) drop(ctx context.Context, dir string, left bool) error {
	s.watch.remove(dir)
	for after := ""; ; {
		rows, err := s.store.Under(ctx, s.folder, dir+"/", after, maxBatch)
		if err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
		for i := range rows {
			if rows[i].Kind == KindDir {
				s.watch.remove(rows[i].Path)
			}
			if err := s.send(ctx, change{row: rows[i], old: &rows[i], gone: true, left: left}); err != nil {
				return err
			}
		}
		if len(rows) < maxBatch {
			return nil
		}
		after = rows[len(rows)-1].Path
	}
}
