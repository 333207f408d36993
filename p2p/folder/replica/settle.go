package replica

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// writeJournal makes durable which steps are about to be done.
func (w *work) writeJournal(group []job) error {
	steps := 0
	for _, j := range group {
		if j.Step.Do != reconcile.DoNote {
			steps++
		}
	}
	if steps == 0 {
		return nil // rows alone are committed whole or not at all
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(group); err != nil {
		return err
	}
	return w.o.Store.Write(w.ctx, w.o.Folder, func(tx Writer) error { return tx.SetJournal(b.Bytes()) })
}

// settle finishes what the journal says was under way: of each step it is found
// out whether it was done, by inodes and names; what was half done is finished,
// and the rows of all that is done are committed.
func (c *Core) settle(ctx context.Context) error {
	c.contents.doubtAll()
	if len(c.unsynced) > 0 {
		err := apply.SyncDirs(c.o.FS, c.unsynced)
		if err := errors.Join(err, c.syncMoved(ctx, c.unsynced)); err != nil {
			return c.errorf("make names durable", err)
		}
		c.unsynced = nil
	}
	var b []byte
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) (err error) {
		b, err = r.Journal()
		return err
	})
	if err != nil {
		return c.errorf("read the journal", err)
	}
	if len(b) == 0 {
		c.torn = false
		return nil
	}
	var group []job
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&group); err != nil {
		return c.errorf("read the journal", err)
	}
	for i := range group {
		j := &group[i]
		j.moved = j.Step.Do == reconcile.DoMove && j.Step.Expect.Kind == reconcile.KindDir
		if j.Step.Do == reconcile.DoNote {
			continue // the planner notes it again
		}
		j.tried = true
		old, err := c.notMoved(group[:i], j)
		if err != nil {
			return c.errorf("settle "+j.Step.Path, err)
		}
		if old {
			continue
		}
		done, st, err := j.Op.Settle(c.o.FS)
		if err != nil {
			return c.errorf(fmt.Sprintf("settle %s %s", j.Step.Do, j.Step.Path), err)
		}
		j.done, j.stat = done, st
		if !done && j.Step.Do == reconcile.DoReplace {
			if err := c.presumeReplaced(j); err != nil {
				return c.errorf("settle "+j.Step.Path, err)
			}
		}
	}
	presume(group)
	w := &work{Core: c, ctx: ctx, scope: scope{}, failed: map[reconcile.EntryID]parking{}}
	if err := w.syncNames(group); err != nil {
		return c.errorf("make names durable", err)
	}
	var dirs []string
	for _, j := range group {
		dirs = append(dirs, parent(j.Op.Path), parent(j.Op.From))
	}
	if err := c.syncMoved(ctx, dirs); err != nil {
		return c.errorf("make names durable", err)
	}
	if err := w.finish(group); err != nil {
		return c.errorf("note what was installed", err)
	}
	c.torn = false
	c.all = true // what was not done is seen again
	return nil
}

// syncMoved syncs everything, where that can be done, if one of dirs is not the directory that was
// committed there: a person can have moved it since a sync of it failed, and another one into its
// place. It is not done for nothing: what a disk fails to sync it can forget.
func (c *Core) syncMoved(ctx context.Context, dirs []string) error {
	slices.Sort(dirs)
	moved := false
	err := c.o.Store.Read(ctx, c.o.Folder, func(r Reader) error {
		for _, dir := range slices.Compact(dirs) {
			row, known, err := r.Row(dir)
			if err != nil {
				return err
			}
			if !known || row.Kind != reconcile.KindDir || row.Inode == 0 {
				continue
			}
			if st, err := c.o.FS.Lstat(dir); err != nil || st.Inode != row.Inode {
				moved = true
			}
		}
		return nil
	})
	if err != nil || !moved {
		return err
	}
	if err := c.o.FS.SyncAll(); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// notMoved reports whether what is where j was to make a directory is another one, which an
// earlier step was to move away, and has not.
func (c *Core) notMoved(earlier []job, j *job) (bool, error) {
	if j.Step.Do != reconcile.DoMkdir {
		return false, nil
	}
	i := slices.IndexFunc(earlier, func(k job) bool {
		return k.Step.Do == reconcile.DoMove && k.Step.From == j.Step.Path && !k.done
	})
	if i < 0 {
		return false, nil
	}
	st, err := c.o.FS.Lstat(j.Step.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, apply.ErrInTheWay) {
		return false, nil
	}
	return err == nil && st.Inode != 0 && st.Inode == earlier[i].Step.Expect.Inode, err
}

// presumeReplaced takes a replacement for done if what was replaced is in the trash, and
// something is where it was: a person has changed the new content since. Otherwise that
// change would supersede the old content, which the person has not seen there any more.
func (c *Core) presumeReplaced(j *job) error {
	for _, want := range []struct {
		path  string
		there bool
	}{{j.Op.Trash, true}, {j.Op.Path, true}, {j.Op.Temp, false}} {
		_, err := c.o.FS.Lstat(want.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, apply.ErrInTheWay) {
			return err
		}
		if (err == nil) != want.there {
			return nil
		}
	}
	it := j.Step.Row.Item
	j.done = true
	j.stat = apply.Stat{Kind: it.Kind, Size: it.Size, Modified: it.Modified, Mode: it.Mode, Inode: j.Op.TempInode}
	return nil
}

// presume takes moves for done that must have been, because a later step of the journal
// has put something where they were from. A person has changed what was moved since:
// that is found by comparing with what it was.
func presume(group []job) {
	for i := range group {
		j := &group[i]
		if j.done || j.Step.Do != reconcile.DoMove {
			continue
		}
		later := func(k job) bool { return k.done && k.Step.Do != reconcile.DoNote && k.Step.Path == j.Step.From }
		if !slices.ContainsFunc(group[i+1:], later) {
			continue
		}
		it := j.Step.Expect
		j.done = true
		j.stat = apply.Stat{Kind: it.Kind, Size: it.Size, Modified: it.Modified, Mode: it.Mode, Inode: it.Inode}
	}
}
