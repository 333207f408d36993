package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// runFiles prove that the folder and the database have seen the same runs. They are
// written in turn, so that one is whole whatever happens to the other.
var runFiles = [2]string{apply.Private + "/run-0", apply.Private + "/run-1"}

// Open begins a run: it settles what a crash has left behind, and finds out whether
// the database is the one that was used last in this folder. If it is not (it is new, or
// was restored from a copy) the replica gets a new incarnation, so that no number of
// an event that was forgotten is used again, and no row is left, so that nothing
// is taken for deleted that is only unknown.
func (c *Core) Open(ctx context.Context) error {
	if err := apply.Prepare(c.o.FS); err != nil {
		return c.errorf("prepare", err)
	}
	fold, err := apply.Fold(c.o.FS)
	if err != nil {
		return c.errorf("prepare", err)
	}
	c.fold = fold
	c.Use(c.o.FS)
	found, err := c.readRun()
	if err != nil {
		return c.errorf("find out about the last run", err)
	}
	err = c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		if c.state, err = r.State(); err != nil {
			return err
		}
		all, err := r.Conflicts()
		if err != nil {
			return err
		}
		for _, x := range all {
			c.conflicts[x.Path] = append(c.conflicts[x.Path], x)
		}
		cursors, err := r.Cursors()
		if err != nil {
			return err
		}
		for _, x := range cursors {
			c.cursors[x.Member] = x
		}
		claims, err := r.Claims()
		if err != nil {
			return err
		}
		for _, x := range claims {
			c.claims[nodeOf(x.Dot)] = x.Dot.Counter
		}
		if c.entries, err = r.CountEntries(); err != nil {
			return err
		}
		return c.brake.load(r, c.o.Now())
	})
	if err != nil {
		return c.errorf("read the state", err)
	}
	same := c.state.Incarnation != 0 && found.Serial > 0 && (found.Nonce == c.state.Nonce || found.Nonce == c.state.Before)
	next := c.state
	if same {
		next.Counter = max(next.Counter, found.Reserved)
	} else {
		next.Incarnation, next.Counter = c.o.Random()|1, 0
	}
	next.Before = found.Nonce
	binary.LittleEndian.PutUint64(next.Nonce[:8], c.o.Random())
	binary.LittleEndian.PutUint64(next.Nonce[8:], c.o.Random())
	err = c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error {
		if !same {
			if err := errors.Join(w.UnsetAll(), w.SetJournal(nil), allPending(w)); err != nil {
				return err
			}
		}
		return errors.Join(w.SetState(next), c.signAgain(w, next))
	})
	if err != nil {
		return c.errorf("begin a run", err)
	}
	c.state, c.run = next, found
	c.author = reconcile.Author{Member: c.o.Self, Incarnation: next.Incarnation, Counter: next.Counter}
	// The database first: a crash here leaves the nonce of before, which it knows too.
	if err := c.writeRun(next.Counter); err != nil {
		return c.errorf("write down that a run begins", err)
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if !same {
		if err := c.recover(ctx); err != nil {
			return err
		}
	}
	c.all = true
	return c.contents.open(c.o.FS)
}

// allPending makes all entries pending, for it is not known what of them is on the
// disk.
func allPending(w Writer) error {
	var seq uint64
	for {
		page, err := w.Since(seq, turnEntries)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := w.SetPending(s.Entry.ID, true, sizeOf(s.Entry)); err != nil {
				return err
			}
			seq = s.Seq
		}
	}
}

// run is what is in the folder: the nonce, and up to which number events may have
// been made in this incarnation. The number is what tells a database that was copied
// and restored during one run: it goes on with numbers that were not used before.
type run struct {
	Serial   uint64 // of the writing; the larger one is valid
	Reserved uint64
	Nonce    [16]byte
}

func (c *Core) readRun() (r run, err error) {
	for _, path := range runFiles {
		x, err := c.readRunFile(path)
		if err != nil {
			return r, err
		}
		if x.Serial > r.Serial {
			r = x
		}
	}
	return r, nil
}

func (c *Core) readRunFile(path string) (r run, err error) {
	f, err := c.o.FS.Open(path)
	if errors.Is(err, errNotExist) {
		return run{}, nil
	}
	if err != nil {
		return run{}, err
	}
	defer f.Close() // nothing was written
	err = binary.Read(io.NewSectionReader(f, 0, int64(binary.Size(r))), binary.LittleEndian, &r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return run{}, nil // cut off by a crash
	}
	return r, err
}

// writeRun makes durable that events up to a number may be made.
func (c *Core) writeRun(reserved uint64) error {
	r := run{Serial: c.run.Serial + 1, Reserved: reserved, Nonce: c.state.Nonce}
	b, err := binary.Append(nil, binary.LittleEndian, r)
	if err != nil {
		return err
	}
	path := runFiles[r.Serial%2]
	f, err := c.o.FS.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		// What was not written may look as if it had been, for ever.
		return errors.Join(err, c.o.FS.Remove(path))
	}
	if err := c.o.FS.SyncDir(apply.Private); err != nil {
		return err
	}
	c.run = r
	return nil
}

// reserveEvents is how many numbers of events are reserved at once, hence how many
// can be left out when a run begins.
const reserveEvents = 4096

// reserve sees to it that events up to a number can be made.
func (c *Core) reserve(counter uint64) error {
	if counter <= c.run.Reserved {
		return nil
	}
	return c.writeRun(counter + reserveEvents)
}

// signAgain signs the claims of this node once more: they hold in one network, and this
// may be another one than before.
func (c *Core) signAgain(w Writer, s State) error {
	if c.o.Sign == nil {
		return nil
	}
	own := map[node]uint64{{c.o.Self, s.Incarnation}: s.Counter}
	for n, counter := range c.claims {
		if n.member == c.o.Self {
			own[n] = max(own[n], counter)
		}
	}
	for n, counter := range own {
		d := reconcile.Dot{Member: n.member, Incarnation: n.incarnation, Counter: counter}
		if counter == 0 {
			continue
		}
		if err := w.SetClaim(Claim{Dot: d, Sig: c.o.Sign(d)}); err != nil {
			return err
		}
	}
	return nil
}

// setState makes the counter of the author durable, with a claim to it.
func (c *Core) setState(w Writer, s State) error {
	if err := w.SetState(s); err != nil || c.o.Sign == nil || s.Counter == c.state.Counter {
		return err
	}
	d := reconcile.Dot{Member: c.o.Self, Incarnation: s.Incarnation, Counter: s.Counter}
	return w.SetClaim(Claim{Dot: d, Sig: c.o.Sign(d)})
}
