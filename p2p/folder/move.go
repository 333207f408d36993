package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// loose is what a scan has met, or missed, and cannot conclude from until it has
// visited everything else. The zero value works.
type loose struct {
	mu       sync.Mutex // guards all following fields
	dirs     []lost
	arrivals []arrival
	gone     map[uint64][]*Row // files that are not at their paths any more, by inode
	files    []unread
}

// lost is a directory that was known and is not there.
type lost struct {
	row      *Row
	left     bool // it is there, but ignored
	replaced bool // by a file
}

// arrival is a directory at a path at which it was not known.
type arrival struct {
	path  string
	stat  stat
	rules *Ignore // of the directory above
}

// fresh is a file that was not known at its path.
type fresh struct {
	candidate
	path string
	stat stat
}

// unread are fresh files of one directory.
type unread struct {
	dir   string
	files []fresh
}

func (l *loose) dir(d lost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirs = append(l.dirs, d)
}

func (l *loose) arrive(a arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals = append(l.arrivals, a)
}

func (l *loose) file(r *Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone == nil {
		l.gone = make(map[uint64][]*Row)
	}
	l.gone[r.Inode] = append(l.gone[r.Inode], r)
}

func (l *loose) read(dir string, files []fresh) {
	if len(files) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = append(l.files, unread{dir, files})
}

// elsewhere returns the row of the directory that has arrived, if it is known under
// another path.
func (s *scan) elsewhere(ctx context.Context, a arrival) (row Row, known bool, err error) {
	if a.stat.inode == 0 {
		return Row{}, false, nil
	}
	row, err = s.store.DirByInode(ctx, s.folder, a.stat.inode)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && row.Path == a.path:
		return Row{}, false, nil
	case err != nil:
		return Row{}, false, fmt.Errorf("%w: %w", errStore, err)
	}
	return row, true, nil
}

// settle finds out which of the directories that have arrived were moved, has the
// index follow them, and has what is in all of them compared. It reports whether
// there were any. No task runs meanwhile.
func (s *scan) settle(ctx context.Context) (any bool, err error) {
	arrivals := s.loose.arrivals
	s.loose.arrivals = nil
	slices.SortFunc(arrivals, func(a, b arrival) int { return strings.Compare(a.path, b.path) })
	var moves []Move
	for _, a := range arrivals {
		from, moved, err := s.origin(ctx, a)
		if err != nil {
			return false, err
		}
		if moved {
			moves = append(moves, Move{from, a.path})
		}
	}
	if err := s.move(ctx, moves); err != nil {
		return false, err
	}
	for _, m := range moves {
		if next, is := s.successor(m.From); is {
			arrivals = append(arrivals, next)
		}
	}
	for _, a := range arrivals {
		var old *Row
		row, err := s.store.Row(ctx, s.folder, a.path)
		switch {
		case err == nil && row.Kind == KindDir:
			old = &row
		case err != nil && !errors.Is(err, ErrNotFound):
			return false, fmt.Errorf("%w: %w", errStore, err)
		}
		if err := s.enter(ctx, a, old, true); err != nil {
			return false, err
		}
	}
	return len(arrivals) > 0, nil
}

// successor returns the directory that is now where another one was moved from. What was
// saved of it, and of what is in it, has gone along with the move, so that all of it is
// looked at again.
//
// No task runs meanwhile. What cannot be looked into is left to the scan that follows.
func (s *scan) successor(path string) (a arrival, is bool) {
	rules, ignored, err := s.tree.rules(parent(path))
	if err != nil || ignored {
		return a, false
	}
	at, err := s.tree.dir(parent(path))
	if err != nil {
		return a, false
	}
	defer at.Close() // nothing was written
	info, err := at.Lstat(base(path))
	if err != nil || !info.IsDir() || leftOut(rules, path, true) {
		return a, false
	}
	st := statOf(info)
	if st.device != s.tree.stat.device {
		return a, false
	}
	s.seen.Range(func(dir, _ any) bool {
		if within(dir.(string), path) {
			s.seen.Delete(dir)
		}
		return true
	})
	s.loose.files = slices.DeleteFunc(s.loose.files, func(u unread) bool { return within(u.dir, path) })
	return arrival{path: path, stat: st, rules: rules}, true
}

// origin returns where a directory that has arrived was before.
//
// An inode number may be used again, so one of the names that are known in it must
// be in it still, and it must not be where it was. That it is taken for another then
// does no harm: what is in it is compared in any case.
func (s *scan) origin(ctx context.Context, a arrival) (from string, moved bool, err error) {
	row, known, err := s.elsewhere(ctx, a)
	if err != nil || !known || !s.vacated(row) {
		return "", false, err
	}
	children, err := s.store.Children(ctx, s.folder, row.Path)
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", errStore, err)
	}
	at, err := s.tree.dir(a.path)
	if err != nil {
		return "", false, nil // gone meanwhile, or not readable
	}
	defer at.Close() // nothing was written
	for _, c := range children {
		if _, err := at.Lstat(base(c.Path)); err == nil {
			return row.Path, true, nil
		}
	}
	return row.Path, len(children) == 0, nil
}

// vacated reports whether the directory of row is certainly not at its path any more.
func (s *scan) vacated(row Row) bool {
	at, err := s.tree.dir(parent(row.Path))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errKind) || errors.Is(err, errLink)
	}
	defer at.Close() // nothing was written
	info, err := at.Lstat(base(row.Path))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !info.IsDir() || statOf(info).inode != row.Inode
}

// move has the index follow moved directories, and returns when it has.
func (s *scan) move(ctx context.Context, moves []Move) error {
	if len(moves) == 0 {
		return nil
	}
	return s.deliver(ctx, change{moves: moves})
}

// deliver sends c, and returns when it was done; see change.done.
func (s *scan) deliver(ctx context.Context, c change) error {
	done := make(chan struct{})
	c.done = done
	if err := s.send(ctx, c); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp takes hints that have come meanwhile if something is missing that they may
// be about: the other end of a rename. It reports whether there is more to visit.
// No task runs meanwhile.
func (s *scan) catchUp() (more bool) {
	if s.full || len(s.loose.dirs)+len(s.loose.gone) == 0 {
		return false
	}
	for _, h := range s.more() {
		if _, done := s.seen.Load(h.dir); done {
			s.late = append(s.late, h)
			continue
		}
		s.look[h.path] = true
		s.queue.push(task{dir: h.dir, deep: h.deep})
		more = true
	}
	return more
}

// rename concludes which of the fresh files are known, because they were renamed, and
// has the others read. No task runs meanwhile.
func (s *scan) rename(ctx context.Context) error {
	for _, u := range s.loose.files {
		var files []candidate
		for _, f := range u.files {
			old := s.loose.before(f.stat)
			if old == nil {
				f.expect = s.loose.likely(f.stat)
				files = append(files, f.candidate)
				continue
			}
			row := f.stat.row(f.path, old.Hash, s.now())
			// Whoever changes the content now changes the time of modification, which is
			// an old one. That the change time is new comes from the renaming, and is no
			// reason to read the file again.
			row.Checked = max(row.Checked, row.Changed+int64(racyWithin))
			if err := s.send(ctx, change{row: row, old: f.old, silent: told(f.old, &row)}); err != nil {
				return err
			}
		}
		s.push(u.dir, files)
	}
	s.loose.files = nil
	return nil
}

// before returns the row of the file in state st under the path that it had, if it is
// certain enough that the content is the same.
func (l *loose) before(st stat) *Row {
	if st.inode == 0 {
		return nil
	}
	for _, r := range l.gone[st.inode] {
		if r.Hash != (Hash{}) && r.Size == st.size && nanoseconds(r.Modified) == st.modified && !r.racy() {
			return r
		}
	}
	return nil
}

// likely returns the hash of the file that had the inode and size before, under another path.
func (l *loose) likely(st stat) (h Hash) {
	for _, r := range l.gone[st.inode] {
		if r.Size == st.size {
			h = r.Hash
		}
	}
	return h
}

// vanish concludes which directories are gone: those that were missed and not moved.
//
// In a directory that was visited and has gone since, something may just have been found:
// it is in the index before all that is there goes.
func (s *scan) vanish(ctx context.Context) error {
	if len(s.loose.dirs) == 0 {
		return nil
	}
	below := make([]string, len(s.loose.dirs))
	for i, d := range s.loose.dirs {
		below[i] = d.row.Path
	}
	if err := s.deliver(ctx, change{below: below}); err != nil {
		return err
	}
	slices.SortFunc(s.loose.dirs, func(a, b lost) int { return cmp.Compare(b.row.Path, a.row.Path) })
	for _, d := range s.loose.dirs {
		if err := s.drop(ctx, d.row.Path, d.left); err != nil {
			return err
		}
		if d.replaced {
			continue
		}
		row, err := s.store.Row(ctx, s.folder, d.row.Path)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && (row.Kind != KindDir || row.Inode != d.row.Inode):
			continue // moved
		case err != nil:
			return fmt.Errorf("%w: %w", errStore, err)
		}
		if err := s.send(ctx, change{row: row, old: &row, gone: true, left: d.left}); err != nil {
			return err
		}
	}
	return nil
}
