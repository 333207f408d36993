package folder

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoal-p2p/shoal/p2p/chunk"
)

const (
	// filesAtOnce is how many files of one directory a worker reads in one go at most.
	filesAtOnce = 32
	// bytesAtOnce is how many bytes these have together, unless it is one file: large files
	// are read by several workers at once.
	bytesAtOnce = 8 << 20
)

// hint says where to look: whether what is at path has changed, which is dir
// itself or a name in it.
type hint struct {
	dir  string
	path string
	deep bool // all below dir too
}

// scan is one comparison of a folder, or parts of it, with the index.
type scan struct {
	folder  string
	tree    *tree
	store   Index
	watch   watches
	full    bool            // the whole folder; racy files are read again
	look    map[string]bool // without full: paths that are read again if they are racy
	workers int
	now     func() time.Time
	own     func(path string, st stat) bool // it is what Record has told of
	more    func() []hint                   // that have come meanwhile
	renamed bool                            // files may be known under other paths

	out   chan change // to the one who delivers
	queue queue
	seen  sync.Map // directories that were visited
	skips *skips
	loose loose
	late  []hint // of more, for another scan

	// missed is what was not there when it was to be looked at. If the index still has its directory
	// when the scan has ended, that may have been away for a moment only, and another scan looks:
	// the events of its coming back name it, but nothing in it, and what is in it and below is still
	// watched, so that nobody would enter it.
	missed   []hint
	missedMu sync.Mutex // guards missed

	// sure: nothing was known, or all has been visited and nothing is missing, so that
	// what is new was not moved from elsewhere.
	sure atomic.Bool

	lent  atomic.Int64 // directories that were waited for in vain; see visit.returned
	files atomic.Int64 // looked at
	bytes atomic.Int64 // of these
	read  atomic.Int64 // bytes
}

// change is a difference between disk and index, or, with moves, directories that
// have other paths.
type change struct {
	row    Row
	old    *Row // what the index has of the path
	gone   bool
	silent bool            // nothing that the sink should know
	left   bool            // gone, because it is ignored
	made   *chunk.Manifest // of the row's content; nil: of one that has none
	moves  []Move
	// done is closed when the moves, and what was sent before, are in the index; without
	// moves what was sent of paths in the directories in below. With it there is no row.
	done  chan<- struct{}
	below []string
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
	name   string
	size   int64 // as it was met
	old    *Row
	expect Hash // of the content, probably; zero: unknown
}

// walk compares and sends every change to s.out, which it closes at the end.
//
// What is missing at one path may have been moved to another, so nothing is
// concluded from a missing directory, and no file is read that may be known under
// another path, until everything has been visited.
func (s *scan) walk(ctx context.Context, hints []hint) error {
	defer close(s.out)
	for _, h := range outermost(hints) {
		s.queue.push(task{dir: h.dir, deep: h.deep})
	}
	for again := true; again; {
		if err := s.work(ctx); err != nil {
			return err
		}
		moved, err := s.settle(ctx)
		if err != nil {
			return err
		}
		again = s.catchUp() || moved
	}
	if s.renamed {
		s.sure.Store(len(s.loose.dirs)+len(s.loose.gone) == 0)
	}
	if err := s.rename(ctx); err != nil {
		return err
	}
	if err := s.work(ctx); err != nil {
		return err
	}
	return s.vanish(ctx)
}

// work does all tasks that there are and that these make.
func (s *scan) work(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.queue.stop)
	defer stop()
	// The context of the group ends with the work, which must not stop the queue.
	g, ctx := errgroup.WithContext(ctx)
	for range s.workers {
		g.Go(func() error {
			for t := range s.queue.all() {
				err := s.do(ctx, t)
				s.queue.done()
				if err != nil {
					s.queue.stop()
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
	if _, done := s.seen.Load(t.dir); done {
		return nil
	}
	err := s.visit(ctx, t)
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case t.dir == "" || errors.Is(err, errStore):
		return err // without the root nothing can be said
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errKind) || errors.Is(err, errLink) || errors.Is(err, errSwapped) || errors.Is(err, errOther):
		// It has gone since somebody named it: the directory above knows, or it comes back.
		s.missing(hint{dir: t.dir, path: t.dir, deep: t.deep})
		if t.rules == nil {
			s.queue.push(task{dir: parent(t.dir)})
		}
		return nil
	}
	s.skips.add(t.dir, reasonOf(err))
	return nil
}

// errOther: the directory at a path is not the one that was known there.
var errOther = errors.New("another directory")

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

func (s *scan) send(ctx context.Context, c change) error {
	select {
	case s.out <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scan) missing(hints ...hint) {
	s.missedMu.Lock()
	defer s.missedMu.Unlock()
	s.missed = append(s.missed, hints...)
}

// back returns what was missed in directories that the index has. It is called when all is in it
// that the scan has found.
func (s *scan) back(ctx context.Context) (hints []hint, err error) {
	for _, h := range s.missed {
		row, err := s.store.Row(ctx, s.folder, h.dir)
		switch {
		case h.dir == "" || err == nil && row.Kind == KindDir:
			hints = append(hints, h)
		case err != nil && !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return hints, nil
}

// readFiles reads files that are new or may have changed.
func (s *scan) readFiles(ctx context.Context, t task) error {
	at, err := s.tree.dir(t.dir)
	if err != nil {
		for _, f := range t.files {
			s.missing(hint{dir: t.dir, path: join(t.dir, f.name)})
		}
		return nil
	}
	defer at.Close() // nothing was written
	for _, f := range t.files {
		path := join(t.dir, f.name)
		row, made, err := readStable(ctx, at, f, path, s.now, &s.read)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			s.missing(hint{dir: t.dir, path: path})
			continue
		}
		if err != nil {
			s.skips.add(path, reasonOf(err))
			continue
		}
		if err := s.send(ctx, change{row: row, old: f.old, silent: told(f.old, &row), made: made}); err != nil {
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
