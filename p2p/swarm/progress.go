package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

const (
	// keepEvery is how often it is kept what is there, keepBytes after how many bytes at the latest.
	keepEvery = 2 * time.Second
	keepBytes = 64 << 20
)

// prepare opens the place of the file, and ends what a crash has left half done.
func (d *download) prepare(r *Row) error {
	var err error
	if r.Dir == d.s.o.Dir || r.Own {
		if err := makeDir(r.Dir, 0o755); err != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
	}
	if d.root, err = os.OpenRoot(r.Dir); err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if r.Settling == "" || !d.known() {
		return nil
	}
	is, err := installed(d.root, d.id, r.Settling, d.seed.Size)
	if err != nil || !is {
		return err
	}
	// It has had a name since before the crash: somebody may have changed it.
	f, st, err := place{r.Dir, r.Settling}.open()
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	if err := d.seed.VerifyFile(d.ctx, f, nil); errors.Is(err, seed.ErrMismatch) {
		return nil // it is a person's now, and the seed comes anew
	} else if err != nil {
		return err
	}
	return d.settle(r, r.Settling, nil, st)
}

// open opens the file in which the seed grows, and finds out what is there already.
func (d *download) open() error {
	noted, err := d.s.o.Store.Have(d.ctx, d.id)
	if err != nil {
		return err
	}
	have, err := picker.ParseBitmap(noted, d.seed.Count())
	if err != nil {
		have = picker.NewBitmap(d.seed.Count()) // of another form
	}
	f, err := openPart(d.root, d.id, d.seed.Size, func() error {
		if have.Count() == 0 {
			return nil
		}
		// The file was deleted meanwhile.
		have = picker.NewBitmap(d.seed.Count())
		return d.s.o.Store.Progress(d.ctx, d.id, have.Bytes(), d.counts)
	})
	if err != nil {
		return fmt.Errorf("swarm: open what is there of %s: %w", d.seed.Name, err)
	}
	used, usedErr := diskUsed(f)
	if usedErr != nil {
		used = d.bytesOf(have)
	}
	free, err := diskFree(f)
	if err == nil && free < d.seed.Size-used {
		err = fmt.Errorf("%w: it has room for %d bytes more, and %d are missing", ErrFull, free, d.seed.Size-used)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	c := newPartial(d.seed, f, have)
	if err := d.regain(c); err != nil {
		return errors.Join(err, f.Close())
	}
	d.mu.Lock()
	d.from = make([]uint16, d.seed.Count())
	d.counts.Resumed = d.bytesOf(c.have)
	d.lacking = ""
	d.mu.Unlock()
	d.picker = picker.New(picker.Options{
		Pieces: d.seed.Count(), PieceLen: d.seed.PieceLen, Size: d.seed.Size, Have: c.have, Seed: rand.Uint64(), Idle: d.idle.Load(),
	})
	d.c.Store(c)
	d.s.mu.Lock()
	e := d.s.entries[d.id]
	kept := e != nil && e.d == d
	if kept {
		e.c, e.seed = c, d.seed
		d.s.announce(e)
	}
	d.s.mu.Unlock()
	if !kept {
		return ErrForgotten
	}
	for _, src := range d.sources {
		d.join(src)
	}
	d.reuse()
	return nil
}

// bytesOf returns how many bytes some pieces have.
func (d *download) bytesOf(have *picker.Bitmap) (n int64) {
	for first, count := range have.Runs() {
		last, length := d.seed.Extent(first + count - 1)
		from, _ := d.seed.Extent(first)
		n += last + int64(length) - from
	}
	return n
}

// maxRegain is how many bytes are read to find pieces that were written and not noted.
const maxRegain = 1 << 30

// regain finds pieces that were written before a crash and not noted.
func (d *download) regain(c *content) error {
	buf := make([]byte, d.seed.PieceLen)
	read := int64(0)
	for at := int64(0); at < d.seed.Size && read < maxRegain; {
		first, end, err := seekData(c.file, at, d.seed.Size)
		if err != nil {
			return nil // this disk does not tell
		}
		for i := int(first / int64(d.seed.PieceLen)); i < d.seed.Count(); i++ {
			offset, n := d.seed.Extent(i)
			if offset >= end {
				break
			}
			if c.have.Has(i) {
				continue
			}
			if err := context.Cause(d.ctx); err != nil {
				return err
			}
			if _, err := c.file.ReadAt(buf[:n], offset); err != nil {
				return err
			}
			if read += int64(n); d.seed.Verify(i, buf[:n]) {
				c.have.Set(i)
				c.count++
			}
		}
		at = max(end, at+1)
	}
	return nil
}

// keep makes durable what is there, from time to time.
func (d *download) keep(c *content) {
	if d.saving || d.fresh == 0 || d.s.now().Sub(d.keptAt) < keepEvery && d.fresh < keepBytes {
		return
	}
	d.saving, d.fresh, d.keptAt = true, 0, d.s.now()
	d.saves.Add(1)
	d.s.work.Go(func() {
		err := d.save(c)
		d.saves.Done()
		d.post(event{kind: evSaved, err: err})
	})
}

// save makes durable what is there: first the pieces, then that they are.
func (d *download) save(c *content) error {
	have, _ := c.held()
	d.mu.Lock()
	counts := d.counts
	d.mu.Unlock()
	c.mu.Lock()
	f := c.file
	c.mu.Unlock()
	if f == nil {
		return nil // the download has ended meanwhile, and has kept it
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("swarm: %s: %w", d.seed.Name, err)
	}
	return d.s.o.Store.Progress(context.WithoutCancel(d.ctx), d.id, have.Bytes(), counts)
}

// finish gives a file that is whole its name.
func (d *download) finish(r *Row) error {
	for d.saving {
		select {
		case e := <-d.events:
			if e.kind == evSaved || e.kind == evDisk {
				d.saving = false
				if e.err != nil {
					return e.err
				}
			}
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
		}
	}
	c := d.c.Load()
	if d.seed.Legacy != nil {
		// Only the whole says that the pieces belong to it.
		if err := d.seed.VerifyFile(d.ctx, io.NewSectionReader(c.file, 0, d.seed.Size), nil); err != nil {
			return err
		}
	}
	if err := d.save(c); err != nil {
		return err
	}
	// As it is now it was verified; once it has a name somebody may change it.
	st, err := c.file.Stat()
	if err != nil {
		return err
	}
	name, err := install(d.root, d.id, c.file, d.seed.Name, func(name string) error {
		r.Settling = name
		return d.saveRow(r)
	})
	if err != nil {
		return err
	}
	return d.settle(r, name, c, st)
}

// saveRow makes durable what has become of the file, beside what a person has decided meanwhile. It is not stopped
// half way: what is named and not noted would come a second time.
func (d *download) saveRow(r *Row) error {
	d.s.rows.Lock()
	defer d.s.rows.Unlock()
	d.s.mu.Lock()
	e := d.s.entries[d.id]
	kept := e != nil && e.d == d
	if kept {
		r.Paused, r.Reading, r.Also = e.row.Paused && !r.Whole, e.row.Reading, e.row.Also
	}
	d.s.mu.Unlock()
	if !kept {
		return ErrForgotten
	}
	return d.s.o.Store.Save(context.WithoutCancel(d.ctx), *r)
}

// settle notes that the file is there and whole, and how it was when that was verified.
func (d *download) settle(r *Row, name string, c *content, st fs.FileInfo) error {
	at := place{r.Dir, name}
	r.Name, r.Whole, r.Settling, r.Error, r.Via, r.Ended = name, true, "", "", "", d.s.now()
	r.Size, r.Modified = st.Size(), st.ModTime().UnixNano()
	d.mu.Lock()
	r.Counts = d.counts
	d.mu.Unlock()
	if err := d.saveRow(r); err != nil {
		return err
	}
	if c == nil {
		c = newWhole(d.seed, at)
		c.state, c.count = fileState{st.Size(), st.ModTime()}, d.seed.Count()
		c.sound.SetRange(0, d.seed.Count()-1)
		d.c.Store(c)
		d.s.mu.Lock()
		if e := d.s.entries[d.id]; e != nil && e.d == d {
			e.c = c
		}
		d.s.mu.Unlock()
		return nil
	}
	c.complete(at, fileState{st.Size(), st.ModTime()})
	return nil
}
