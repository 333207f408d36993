package folder

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// maxBatch is how many changes are saved, or told, at once.
	maxBatch = 256
	// batchWait is how long a change waits for others.
	batchWait = 100 * time.Millisecond
)

// delivery takes changes from a scan and puts them into the index, in which they are
// what the sink has still to be told of.
type delivery struct {
	share   *share
	present func() error // the folder is there, and this one
	dirty   *dirty
	sure    func() bool // what is dirty can be told before the scan has ended
	tell    func(Dirty)

	diff       Diff
	named      map[string]bool // paths of the diff
	news       []string        // paths of the diff that are dirty
	nothing    bool            // there are rows in the diff that are not
	pending    totals
	sum        totals
	unverified bool // there are ends in the batch
}

// totals are how many entries a batch, or a scan, has changed.
type totals struct{ changed, removed int }

func (t *totals) add(o totals) {
	t.changed += o.changed
	t.removed += o.removed
}

// run delivers until changes is closed.
func (d *delivery) run(ctx context.Context, changes <-chan change) error {
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for {
		select {
		case c, more := <-changes:
			switch {
			case !more:
				return d.flush(ctx)
			case c.done != nil:
				if err := d.settle(ctx, c); err != nil {
					return err
				}
				continue
			case d.named[c.row.Path]: // the later counts
				if err := d.flush(ctx); err != nil {
					return err
				}
			}
			if d.size() == 0 {
				timer.Reset(batchWait)
			}
			d.add(c)
			if d.size() >= maxBatch {
				if err := d.flush(ctx); err != nil {
					return err
				}
			}
		case <-timer.C:
			if err := d.flush(ctx); err != nil {
				return err
			}
		}
	}
}

func (d *delivery) size() int {
	return len(d.diff.Drop) + len(d.diff.Left) + len(d.diff.Put) + len(d.diff.Same)
}

func (d *delivery) add(c change) {
	if d.named == nil {
		d.named = make(map[string]bool, maxBatch)
	}
	d.named[c.row.Path] = true
	switch {
	case c.gone && c.left:
		d.diff.Left = append(d.diff.Left, c.row.Path)
	case c.gone:
		d.diff.Drop = append(d.diff.Drop, c.row.Path)
	case c.silent:
		d.diff.Same = append(d.diff.Same, c.row)
	default:
		d.diff.Put = append(d.diff.Put, c.row)
	}
	if c.made != nil {
		d.diff.Made = append(d.diff.Made, c.made)
	}
	if c.gone {
		d.unverified = true
		d.pending.removed++
	} else if !c.silent {
		d.pending.changed++
	}
	if !c.silent || c.old.Inode != c.row.Inode {
		d.news = append(d.news, c.row.Path)
	} else if c.row.Kind == KindFile { // of a directory Observe compares no times
		d.nothing = true
	}
}

// flush saves what has gathered.
func (d *delivery) flush(ctx context.Context) error {
	if d.size() == 0 {
		return nil
	}
	// What is missing is gone only if the folder is not: its disk may have been
	// taken away while it was read.
	if d.unverified {
		if err := d.present(); err != nil {
			return err
		}
	}
	if _, err := d.share.found(ctx, d.diff, d.pending != totals{}); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	d.dirty.paths = append(d.dirty.paths, d.news...)
	d.dirty.nothing = d.dirty.nothing || d.nothing
	d.sum.add(d.pending)
	d.diff, d.news, d.nothing, d.pending, d.unverified = Diff{}, nil, false, totals{}, false
	clear(d.named)
	if d.sum.removed == 0 && d.sure() {
		if some, any := d.dirty.take(false); any {
			d.tell(some)
		}
	}
	return nil
}

// settle does what c asks for, and says so to the one who waits for that.
func (d *delivery) settle(ctx context.Context, c change) error {
	var err error
	switch {
	case len(c.moves) > 0:
		err = d.move(ctx, c.moves)
	case d.names(c.below):
		err = d.flush(ctx)
	}
	if err == nil {
		close(c.done)
	}
	return err
}

// names reports whether something in one of the directories waits to be saved.
func (d *delivery) names(dirs []string) bool {
	for p := range d.named {
		if slices.ContainsFunc(dirs, func(dir string) bool { return p != dir && within(p, dir) }) {
			return true
		}
	}
	return false
}

// move saves all that came before and then moved directories, and tells of them.
func (d *delivery) move(ctx context.Context, moves []Move) error {
	if err := d.flush(ctx); err != nil {
		return err
	}
	if err := d.present(); err != nil {
		return err
	}
	d.share.moving.Lock()
	defer d.share.moving.Unlock()
	moved, err := d.share.found(ctx, Diff{Moved: moves}, true)
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if len(moved) > 0 {
		d.tell(Dirty{Moved: moved})
	}
	return nil
}

// maxDirty is how many paths are named after a complete scan.
const maxDirty = 10_000

// dirty gathers what scans have found until it is told.
type dirty struct {
	paths []string
	// nothing: rows have changed that Dirty does not name. Who has looked when they did not
	// describe what was there waits for that.
	nothing bool
}

// take returns what has gathered, in which a complete scan may have the last part.
func (d *dirty) take(full bool) (all Dirty, any bool) {
	slices.Sort(d.paths)
	all = Dirty{Paths: slices.Compact(d.paths), All: full}
	if full && len(all.Paths) > maxDirty {
		all.Paths = nil
	}
	any = full || len(all.Paths) > 0 || d.nothing
	*d = dirty{}
	return all, any
}
