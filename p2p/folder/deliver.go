package folder

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxBatch is how many changes are told and saved at once.
	maxBatch = 256
	// heldBatch is how many bytes of small files wait for the sink.
	heldBatch = 8 << 20
	// batchWait is how long a change waits for others.
	batchWait = 100 * time.Millisecond
)

// errSink marks that the sink failed, not the disk.
var errSink = errors.New("what uses the files failed")

// delivery takes changes from a scan, tells the sink, and remembers what the
// sink has accepted: in this order, so that nothing is remembered untold.
type delivery struct {
	folder  *Folder
	tree    *tree
	store   Index
	sink    Sink
	present func() error // the folder is there, and this one
	applied func(totals) // after each batch

	updates    []Update
	drop       []string
	put        []Row
	held       int
	pending    totals
	sum        totals
	unverified bool // there are ends in the batch
}

// totals are what a batch, or a scan, has changed.
type totals struct {
	files, bytes     int64 // in the folder: more, or less
	changed, removed int   // told
}

func (t *totals) add(o totals) {
	t.files += o.files
	t.bytes += o.bytes
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
			if !more {
				return d.flush(ctx)
			}
			if d.size() == 0 {
				timer.Reset(batchWait)
			}
			d.add(c)
			if d.size() >= maxBatch || d.held >= heldBatch {
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

func (d *delivery) size() int { return len(d.drop) + len(d.put) }

func (d *delivery) add(c change) {
	if c.old != nil && c.old.Kind == KindFile {
		d.pending.files--
		d.pending.bytes -= c.old.Size
	}
	u := Update{Folder: d.folder, Entry: c.row.Entry, Gone: c.gone, Ignored: c.left}
	if c.gone {
		d.drop = append(d.drop, c.row.Path)
		d.unverified = true
		d.pending.removed++
	} else {
		d.put = append(d.put, c.row)
		if c.row.Kind == KindFile {
			d.pending.files++
			d.pending.bytes += c.row.Size
			u.Open = c.file.opener(d.tree)
		}
	}
	if c.silent {
		return
	}
	if !c.gone {
		d.pending.changed++
		d.held += len(c.file.data)
	}
	d.updates = append(d.updates, u)
}

// flush tells and remembers what has gathered.
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
	if len(d.updates) > 0 {
		if err := d.sink.Put(ctx, d.updates); err != nil {
			return fmt.Errorf("%w: %w", errSink, err)
		}
	}
	if err := d.store.Apply(ctx, d.folder.ID, d.drop, d.put); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	d.sum.add(d.pending)
	d.applied(d.pending)
	d.updates, d.drop, d.put = nil, nil, nil
	d.held, d.pending, d.unverified = 0, totals{}, false
	return nil
}
