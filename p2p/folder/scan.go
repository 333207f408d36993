package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// chunk is how many files of one directory a worker reads in one go.
const chunk = 32

// hint says where to look: whether what is at path has changed, which is dir
// itself or a name in it.
type hint struct {
	dir  string
	path string
	deep bool // all below dir too
}

// scan is one comparison of a folder, or parts of it, with the index.
type scan struct {
	folder  *Folder
	tree    *tree
	store   Index
	watch   watches
	full    bool            // the whole folder; racy files are read again
	look    map[string]bool // without full: paths that are read again if they are racy
	workers int
	now     func() time.Time

	out   chan change // to the one who delivers
	queue queue
	seen  sync.Map // directories that were visited
	skips *skips

	files atomic.Int64 // looked at
	bytes atomic.Int64 // of these
	read  atomic.Int64 // bytes
}

// change is a difference between disk and index.
type change struct {
	row    Row
	old    *Row // what the index has of the path
	gone   bool
	silent bool // nothing that the sink should know
	left   bool // gone, because it is ignored
	file   content
}

// task is a directory to compare or, with files, some of its files to read.
type task struct {
	dir   string
	deep  bool
	rules *Ignore // of the directory above dir; with files, of dir. Nil: not known
	files []candidate
}

// candidate is a file that has to be read.
type candidate struct {
	name string
	old  *Row
}

// walk compares and sends every change to s.out, which it closes at the end.
func (s *scan) walk(ctx context.Context, hints []hint) error {
	defer close(s.out)
	for _, h := range outermost(hints) {
		s.queue.push(task{dir: h.dir, deep: h.deep})
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.queue.stop)
	defer stop()
	for range s.workers {
		g.Go(func() error {
			for t := range s.queue.all() {
				err := s.do(ctx, t)
				s.queue.done()
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// outermost sorts hints so that a directory comes before those in it, one each,
// and leaves out what a deep one covers.
func outermost(hints []hint) []hint {
	slices.SortFunc(hints, func(a, b hint) int {
		if c := strings.Compare(a.dir, b.dir); c != 0 || a.deep == b.deep {
			return c
		}
		if a.deep {
			return -1
		}
		return 1
	})
	var kept []hint
	for _, h := range hints {
		covered := slices.ContainsFunc(kept, func(k hint) bool {
			return k.dir == h.dir || k.deep && (k.dir == "" || strings.HasPrefix(h.dir, k.dir+"/"))
		})
		if !covered {
			kept = append(kept, h)
		}
	}
	return kept
}

func (s *scan) do(ctx context.Context, t task) error {
	if t.files != nil {
		return s.readFiles(ctx, t)
	}
	if _, again := s.seen.LoadOrStore(t.dir, true); again {
		return nil
	}
	err := s.visit(ctx, t)
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case t.dir == "" || errors.Is(err, errStore):
		return err // without the root nothing can be said
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errKind) || errors.Is(err, errLink) || errors.Is(err, errSwapped):
		// It has gone since somebody named it: the directory above knows.
		if t.rules == nil {
			s.queue.push(task{dir: parent(t.dir)})
		}
		return nil
	}
	s.skips.add(t.dir, reasonOf(err))
	return nil
}

// errStore marks that the index failed, not the disk.
var errStore = errors.New("index")

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errLink):
		return ReasonLink
	case errors.Is(err, errSpecial):
		return ReasonSpecial
	case errors.Is(err, errMount):
		return ReasonMount
	case errors.Is(err, ErrChanged), errors.Is(err, errSwapped):
		return ReasonChanging
	}
	return ReasonUnreadable
}

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
	known, err := s.store.Children(ctx, s.folder.ID, t.dir)
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
		delete(v.known, name)
		return v.dir(ctx, path, st, old)
	case info.Mode().IsRegular():
		v.scan.files.Add(1)
		v.scan.bytes.Add(info.Size())
		return v.file(ctx, name, path, st, old)
	case info.Mode()&fs.ModeSymlink != 0:
		v.skips.add(path, ReasonLink)
	default:
		v.skips.add(path, ReasonSpecial)
	}
	return nil // what it was before is gone
}

// leftOut reports whether path is not shared, if its directory is.
func leftOut(g *Ignore, path string, dir bool) bool {
	return base(path) == IgnoreFile || g.Match(path, dir)
}

// file compares a file that is there.
func (v *visit) file(ctx context.Context, name, path string, st stat, old *Row) error {
	delete(v.known, name)
	if old != nil && old.Kind == KindDir {
		if err := v.drop(ctx, old, false); err != nil {
			return err
		}
		old = nil
	}
	if old != nil && old.same(st) && !((v.full || v.scan.look[path]) && old.racy()) {
		return nil
	}
	v.files = append(v.files, candidate{name: name, old: old})
	return nil
}

// dir compares a directory that is there, apart from what is in it.
func (v *visit) dir(ctx context.Context, path string, st stat, old *Row) error {
	if st.device != v.tree.stat.device {
		v.skips.add(path, ReasonMount) // what was known below stays known
		return nil
	}
	if old != nil && old.Kind == KindFile {
		if err := v.send(ctx, change{row: *old, old: old, gone: true}); err != nil {
			return err
		}
		old = nil
	}
	row := st.row(path, Hash{}, time.Time{})
	if old == nil || old.Mode != row.Mode || old.Inode != row.Inode || !old.Modified.Equal(row.Modified) {
		silent := old != nil && old.Mode == row.Mode
		if err := v.send(ctx, change{row: row, old: old, silent: silent}); err != nil {
			return err
		}
	}
	// Another directory of the same name may have anything in it.
	deep := v.task.deep || old == nil || old.Inode != row.Inode
	if deep {
		v.queue.push(task{dir: path, deep: true, rules: v.rules})
	}
	return nil
}

// finish concludes what is gone and has the files read.
func (v *visit) finish(ctx context.Context) error {
	for _, old := range v.left {
		if err := v.drop(ctx, old, true); err != nil {
			return err
		}
	}
	for _, old := range v.known {
		if err := v.drop(ctx, old, false); err != nil {
			return err
		}
	}
	for files := range slices.Chunk(v.files, chunk) {
		v.queue.push(task{dir: v.task.dir, rules: v.rules, files: files})
	}
	return nil
}

// drop tells that old is gone, with all that was in it.
func (v *visit) drop(ctx context.Context, old *Row, left bool) error {
	if old.Kind == KindDir {
		v.watch.remove(old.Path)
		for after := ""; ; {
			rows, err := v.store.Under(ctx, v.folder.ID, old.Path+"/", after, maxBatch)
			if err != nil {
				return fmt.Errorf("%w: %w", errStore, err)
			}
			for i := range rows {
				if rows[i].Kind == KindDir {
					v.watch.remove(rows[i].Path)
				}
				if err := v.send(ctx, change{row: rows[i], old: &rows[i], gone: true, left: left}); err != nil {
					return err
				}
			}
			if len(rows) < maxBatch {
				break
			}
			after = rows[len(rows)-1].Path
		}
	}
	return v.send(ctx, change{row: *old, old: old, gone: true, left: left})
}

func (s *scan) send(ctx context.Context, c change) error {
	select {
	case s.out <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readFiles reads files that are new or may have changed.
func (s *scan) readFiles(ctx context.Context, t task) error {
	at, err := s.tree.dir(t.dir)
	if err != nil {
		return nil // gone meanwhile: the next look at the directory above tells
	}
	defer at.Close() // nothing was written
	for _, f := range t.files {
		path := join(t.dir, f.name)
		c, err := readStable(ctx, at, f.name, path, s.now, &s.read)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			s.skips.add(path, reasonOf(err))
			continue
		}
		if err := s.send(ctx, change{row: c.row, old: f.old, silent: told(f.old, &c.row), file: c}); err != nil {
			return err
		}
	}
	return nil
}

// told reports whether the sink knows the entry of now already.
func told(old, now *Row) bool {
	return old != nil && old.Kind == now.Kind && old.Size == now.Size && old.Hash == now.Hash &&
		old.Mode == now.Mode && old.Modified.Equal(now.Modified)
}
