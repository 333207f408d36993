package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// maxPatience is how long the sink waits for a scan or synchronisation in one go.
const maxPatience = 5 * time.Second

// errDeferred marks that some of what the sink was told could not be read as it was
// when it was hashed, so that it has to be told again.
var errDeferred = errors.New("files are changing")

// teller tells the sink what is in the index of one share and was not told yet. It
// belongs to one goroutine. Neither a scan nor a synchronisation waits for it.
type teller struct {
	*share
	failures int
}

// tell tells the sink until ctx ends.
func (sh *share) tell(ctx context.Context) {
	t := &teller{share: sh}
	for ctx.Err() == nil {
		err := t.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		t.conclude(ctx, err)
	}
}

// conclude records how a pass has ended, and returns when the next may begin.
func (t *teller) conclude(ctx context.Context, err error) {
	if err == nil {
		t.failures = 0
		t.clear()
		select {
		case <-ctx.Done():
		case <-t.outbox:
		}
		return
	}
	wait := min(t.service.options.Retry<<min(t.failures, 8), max(maxRetry, t.service.options.Retry))
	t.failures++
	var hurry <-chan struct{}
	switch {
	case errors.Is(err, errDeferred) || errors.Is(err, ErrChanged):
		t.clear()
		hurry = t.outbox // the scan that notices the change brings it again
	case errors.Is(err, ErrUnavailable):
		hurry = t.outbox // the folder itself says so
	default:
		if text := "Search is behind: " + err.Error(); t.fallsBehind(text) {
			t.service.log.Warn("folder: what uses the files failed", "folder", t.id, "path", t.path, "error", err)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-hurry:
	}
}

// clear ends the warning.
func (t *teller) clear() { t.set(func() { t.behind = "" }) }

// fallsBehind sets the warning, and reports whether it is a new one.
func (t *teller) fallsBehind(text string) bool {
	is := false
	t.set(func() { is, t.behind = t.behind != text, text })
	return is
}

// pass tells everything that is there to tell: ends first and from the last path to
// the first, so that what is in a directory goes before the directory, and nothing
// takes a place that is not free; then the rest from the first path to the last.
func (t *teller) pass(ctx context.Context) error {
	var begun uint64
	t.set(func() { begun = t.posted })
	deferred := false
	var gone, there string
	for {
		t.patience(ctx)
		us, err := t.service.store.Untold(ctx, t.id, true, gone, maxBatch)
		if err != nil {
			return err
		}
		ends := len(us)
		if ends < maxBatch {
			more, err := t.service.store.Untold(ctx, t.id, false, there, maxBatch-ends)
			if err != nil {
				return err
			}
			us = append(us, more...)
		}
		if us = fitting(us); len(us) == 0 {
			break
		}
		all, err := t.put(ctx, us)
		if err != nil {
			return err
		}
		deferred = deferred || !all
		for _, u := range us {
			if u.Kind == "" {
				gone = u.Path
			} else {
				there = u.Path
			}
		}
	}
	if deferred {
		return errDeferred
	}
	t.set(func() { t.passed = begun })
	return nil
}

// fitting returns the first of us that make no more than maxBatch updates.
func fitting(us []Untold) []Untold {
	n := 0
	for i, u := range us {
		n += len(u.Ended)
		if u.Kind != "" {
			n++
		}
		if n > maxBatch {
			return us[:i]
		}
	}
	return us
}

// patience waits while the folder is being synchronised, or what for is looked at, but
// not for ever.
func (t *teller) patience(ctx context.Context) {
	timer := time.NewTimer(maxPatience)
	defer timer.Stop()
	for {
		t.mu.Lock()
		busy, turned := t.busy || t.looks, t.turned
		t.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-turned:
		}
	}
}

// put tells us, and notes what the sink has taken: all of it or, where files were
// not as they had been, not these.
func (t *teller) put(ctx context.Context, us []Untold) (all bool, err error) {
	b := batch{folder: t.snapshot(), changed: make(map[string]bool)}
	for _, u := range us {
		if u.Kind != KindFile || b.tree != nil {
			continue
		}
		if b.tree, err = t.open(); err != nil {
			return false, err
		}
		defer b.tree.close() // nothing was written
	}
	err = t.service.sink.Put(ctx, b.updates(us))
	if e := b.leave(); err == nil {
		err = e
	}
	told := us[:0:0]
	for _, u := range us {
		if b.changed[u.Path] {
			t.hint(hint{dir: parent(u.Path), path: u.Path})
		} else {
			told = append(told, u)
		}
	}
	if err != nil {
		return false, err
	}
	if err := t.service.store.Told(ctx, t.id, told); err != nil {
		return false, fmt.Errorf("note what was told: %w", err)
	}
	// What is found by way of the sink is different now.
	_, nobody := t.service.sink.(discard)
	t.alter(func() {}, len(told) > 0 && !nobody)
	return len(told) == len(us), nil
}

// batch is what the sink is told at once.
type batch struct {
	folder Folder
	tree   *tree    // nil: there are no files to read
	at     *os.Root // of dir; nil: none is open
	dir    string

	mu      sync.Mutex // guards all following fields
	changed map[string]bool
}

func (b *batch) updates(us []Untold) []Update {
	var updates []Update
	for _, u := range us {
		for _, k := range u.Ended {
			e := u.Entry
			e.Kind = k
			updates = append(updates, Update{Folder: &b.folder, Entry: e, Gone: true, Ignored: u.Ignored})
		}
		switch u.Kind {
		case KindFile:
			updates = append(updates, Update{Folder: &b.folder, Entry: u.Entry, Open: func() (Content, error) { return b.open(u.Row) }})
		case KindDir:
			updates = append(updates, Update{Folder: &b.folder, Entry: u.Entry})
		}
	}
	return updates
}

// open is Update.Open.
func (b *batch) open(row Row) (Content, error) {
	at, err := b.enter(parent(row.Path))
	if err != nil {
		return nil, b.note(row.Path, fmt.Errorf("%w: %w", ErrChanged, err)) // it could be entered when it was hashed
	}
	r, err := openAs(at, row)
	if err != nil {
		return nil, b.note(row.Path, err)
	}
	return &noting{rangeReader: r, batch: b, path: row.Path}, nil
}

// enter opens a directory, and keeps the last one open: what is told is sorted.
func (b *batch) enter(dir string) (*os.Root, error) {
	if b.at != nil && b.dir == dir {
		return b.at, nil
	}
	if err := b.leave(); err != nil {
		return nil, err
	}
	at, err := b.tree.dir(dir)
	if err != nil {
		return nil, err
	}
	b.at, b.dir = at, dir
	return at, nil
}

func (b *batch) leave() error {
	if b.at == nil {
		return nil
	}
	at := b.at
	b.at = nil
	return at.Close()
}

// note remembers that the file at path is not what it was, if err says so.
func (b *batch) note(path string, err error) error {
	if errors.Is(err, ErrChanged) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed[path] = true
	}
	return err
}

// noting is a rangeReader that notes its errors.
type noting struct {
	*rangeReader
	batch *batch
	path  string
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.rangeReader.Read(p)
	return k, n.batch.note(n.path, err)
}

// ReadAt implements io.ReaderAt.
func (n *noting) ReadAt(p []byte, at int64) (int, error) {
	k, err := n.rangeReader.ReadAt(p, at)
	return k, n.batch.note(n.path, err)
}
