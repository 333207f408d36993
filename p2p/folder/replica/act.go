package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// Limits of one group commit.
const (
	groupSteps = 1024
	groupBytes = 256 << 20
)

// job is a step that is under way.
type job struct {
	Step  reconcile.Step
	Op    apply.Op
	By    p2p.ID // whose change it is
	Dot   reconcile.Dot
	Young bool              // see brake.young
	Entry reconcile.EntryID // whose file it takes away, if it does
	stat  apply.Stat
	done  bool
	tried bool // what was taken back has changed names too
	moved bool // a directory
}

// act does the steps of the plan, in groups: what takes long, waiting for the
// disk, is done once for all of a group.
func (w *work) act() error {
	w.brakes()
	var group []job
	var bytes int64
	var t trail
	for _, s := range w.plan.Steps {
		j, ok, err := w.prepare(s, t.victim(s, w.rows))
		if err != nil {
			return errors.Join(err, w.run(group))
		}
		if !ok {
			continue
		}
		if len(group) >= groupSteps || bytes >= groupBytes || takesBrought(group, s) {
			if err := w.run(group); err != nil {
				return err
			}
			group, bytes = nil, 0
		}
		group = append(group, j)
		bytes += s.Row.Size
	}
	return w.run(group)
}

// takesBrought reports whether a step takes away what one of the group brings, or
// changes it. In one group it could not be found out, after a crash, whether the
// former was done.
func takesBrought(group []job, s reconcile.Step) bool {
	at := s.Path
	switch s.Do {
	case reconcile.DoMove:
		at = s.From
	case reconcile.DoTrash, reconcile.DoReplace, reconcile.DoMeta:
	default:
		return false
	}
	return slices.ContainsFunc(group, func(j job) bool {
		return j.Step.Do != reconcile.DoNote && j.Step.Do != reconcile.DoTrash && below(at, j.Step.Path)
	})
}

// prepare makes a job of a step, where row is that of what it takes away; ok is false if it
// cannot be done now.
func (w *work) prepare(s reconcile.Step, row reconcile.Row) (j job, ok bool, err error) {
	by := w.responsible(s)
	if w.brake.stops(s, by, w.dotOf(s)) {
		w.fail(s, parking{held: by, path: s.Path, why: "waits for a person's word"})
		w.block(s)
		return j, false, nil
	}
	j = job{Step: s, By: by, Dot: w.dotOf(s), Young: w.brake.young(s, row, by, w.o.Now()), Entry: victimOf(row).entry, Op: apply.Op{
		Do: s.Do, Path: s.Path, From: s.From, Mode: s.Row.Mode, Modified: s.Row.Modified, Want: w.expect(s),
	}}
	if j.Op.Kept = s.Kept; s.Kept != "" {
		j.Op.As = apply.Expect{Item: s.As}
	}
	switch s.Do {
	case reconcile.DoTrash:
		if s.Expect.Kind == reconcile.KindFile {
			j.Op.Trash = w.trashName(s.Path)
		}
	case reconcile.DoReplace:
		j.Op.Trash = w.trashName(s.Path)
	case reconcile.DoMove:
		j.moved = s.Expect.Kind == reconcile.KindDir
	}
	if s.Do == reconcile.DoFetch || s.Do == reconcile.DoCopy || s.Do == reconcile.DoReplace {
		return w.provide(j)
	}
	return j, true, nil
}

// provide gives a job the temporary file with its content, if that is here.
func (w *work) provide(j job) (job, bool, error) {
	s := j.Step
	temp, ok, err := w.contents.take(w.o.FS, s.Row.Item, w.claimed, w.o.Random)
	if err != nil && !hinders(err) {
		w.fail(s, parking{path: s.Path, why: err.Error()})
		w.block(s)
		w.problems[s.Path] = "it cannot be made here as it is: " + err.Error()
		return j, false, nil
	}
	if err != nil {
		return j, false, w.errorf("make a temporary file for "+s.Path, err)
	}
	if !ok {
		want := Want{
			Hash: s.Row.Hash, Size: s.Row.Size, Path: s.Path, Mode: s.Row.Mode, Modified: s.Row.Modified, Made: s.Row.Made.Member,
		}
		if s.Do == reconcile.DoReplace {
			want.Old, want.OldSize = s.Path, s.Expect.Size
		}
		if w.contents.want(want) {
			w.turn.Wants = append(w.turn.Wants, want)
		}
		w.fail(s, parking{hash: s.Row.Hash, path: s.Path})
		return j, false, nil
	}
	j.Op.Temp, j.Op.TempInode = temp.path, temp.stat.Inode
	j.Op.Mode, j.Op.Modified = temp.stat.Mode, temp.stat.Modified // as the disk keeps them
	return j, true, nil
}

// expect is what must be there for a step. The change time is known of what has not
// been touched by an earlier step.
func (w *work) expect(s reconcile.Step) apply.Expect {
	at := s.Path
	if s.Do == reconcile.DoMove || s.Do == reconcile.DoCopy {
		at = s.From
	}
	e := apply.Expect{Item: s.Expect}
	if w.disk[at] == s.Expect {
		e.Changed = w.changed[at]
	}
	return e
}

func (w *work) trashName(path string) string {
	return apply.TrashName(w.o.Now(), w.o.Random(), lastName(path))
}

// fail notes that what a step is about is not done. Of several reasons a person's word
// comes first, for that ends it, and then a content that has to come.
func (w *work) fail(s reconcile.Step, why parking) {
	why.since, why.content = w.o.Now(), s.Row.Hash
	for _, id := range w.ids(s) {
		old := w.failed[id]
		if !why.held.IsZero() || old.held.IsZero() && old.hash == (reconcile.Hash{}) {
			w.failed[id] = why
		}
	}
}

// run does a group of jobs: contents durable, journal, names, names durable, rows.
func (w *work) run(group []job) error {
	if len(group) == 0 {
		return nil
	}
	if err := w.syncTemps(group); err != nil {
		err = errors.Join(err, w.throwAway(group))
		if errors.Is(err, fs.ErrNotExist) {
			w.contents.doubtAll() // somebody has tidied up
		} else {
			err = errors.Join(err, w.contents.distrust(w.o.FS))
		}
		return w.errorf("make contents durable", err)
	}
	fault.Point("replica.temps-synced")
	if err := w.writeJournal(group); err != nil {
		return w.errorf("write the journal", err)
	}
	fault.Point("replica.journal-written")
	for i := range group {
		j := &group[i]
		if w.blocked(j.Step) {
			w.fail(j.Step, parking{path: j.Step.Path, why: "waits for another step"})
			w.block(j.Step)
			continue
		}
		j.tried = true
		st, err := j.Op.Run(w.o.FS)
		if err == nil {
			j.stat, j.done = st, true
			continue
		}
		if j.Op.Temp != "" {
			w.contents.doubt(j.Step.Row.Hash)
		}
		if err := w.failure(j.Step, err); err != nil {
			return err // the journal finds out what has come of it
		}
	}
	fault.Point("replica.steps-done")
	if err := w.syncNames(group); err != nil {
		w.torn = true
		return w.errorf("make names durable", err)
	}
	fault.Point("replica.names-synced")
	if err := w.finish(group); err != nil {
		w.torn = true
		return w.errorf("note what was installed", err)
	}
	fault.Point("replica.rows-committed")
	return nil
}

// block keeps later steps of the plan from the paths of a step that was not done. They
// were planned for what it would have left there: a row of theirs would take the
// place of the row of what is there still, or was deleted by a person just now.
func (w *work) block(s reconcile.Step) {
	w.blocks = append(w.blocks, s.Path)
	if s.From != "" && s.Do == reconcile.DoMove {
		w.blocks = append(w.blocks, s.From)
	}
	if s.Kept != "" { // it is not what is here now, too
		w.blocks = append(w.blocks, s.Kept)
	}
}

func (w *work) blocked(s reconcile.Step) bool {
	return slices.ContainsFunc(w.blocks, func(p string) bool {
		return below(s.Path, p) || below(p, s.Path) || s.From != "" && (below(s.From, p) || below(p, s.From))
	})
}

// hinders reports whether an error is of the disk, so that nothing else will succeed
// either.
func hinders(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// failure sorts out why a step did not succeed: what is in its way is a matter of the
// step, which has not been done. After anything else it is not known what has been
// done.
func (w *work) failure(s reconcile.Step, err error) error {
	w.fail(s, parking{path: s.Path, why: err.Error()})
	w.block(s)
	problem := func(why string) error {
		w.turn.Problems = append(w.turn.Problems, reconcile.Problem{Path: s.Path, Why: why})
		w.problems[s.Path] = why
		return nil
	}
	switch {
	case errors.Is(err, apply.ErrUnexpected), errors.Is(err, fs.ErrNotExist):
		w.o.Disk.Hint(hints(s)...)
		return nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, apply.ErrInTheWay), errors.Is(err, syscall.ENOTEMPTY):
		w.o.Disk.Hint(hints(s)...)
		return problem(obstacle(s, err))
	case errors.Is(err, fs.ErrPermission), s.Do != reconcile.DoReplace && errors.Is(err, syscall.EBUSY):
		return problem("this program may not change it here: " + err.Error())
	}
	w.torn = true
	return w.errorf(fmt.Sprintf("%s %s", s.Do, s.Path), err)
}

func obstacle(s reconcile.Step, err error) string {
	if errors.Is(err, syscall.ENOTEMPTY) {
		return "not removed: something in it is not shared"
	}
	return "something that is not shared is in the way"
}

func hints(s reconcile.Step) []string {
	return slices.DeleteFunc([]string{s.Path, s.From, s.Kept}, func(p string) bool { return p == "" })
}

// syncTemps makes the contents of a group durable.
func (w *work) syncTemps(group []job) error {
	var temps []string
	for _, j := range group {
		if j.Op.Temp != "" {
			temps = append(temps, j.Op.Temp)
		}
	}
	return w.makeDurable(temps)
}

// throwAway removes the temporary files of a group that could not be made durable: what
// was not written may look as if it had been, for ever. Their contents have to come
// once more.
func (w *work) throwAway(group []job) (err error) {
	for _, j := range group {
		if j.Op.Temp == "" {
			continue
		}
		if e := w.o.FS.Remove(j.Op.Temp); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			continue
		}
		w.contents.used(j.Step.Row.Hash, j.Op.Temp)
	}
	return err
}

const syncEach = 32

func (c *Core) makeDurable(paths []string) error {
	fsys := c.o.FS
	if len(paths) > c.o.SyncEach {
		if err := fsys.SyncAll(); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	err := apply.SyncFiles(fsys, paths)
	if errors.Is(err, fs.ErrPermission) { // one has a mode with which nobody can open it
		if e := fsys.SyncAll(); !errors.Is(e, errors.ErrUnsupported) {
			return e
		}
	}
	return err
}

// syncNames makes durable the names in all directories in which a group has changed
// any.
func (w *work) syncNames(group []job) error {
	var dirs []string
	meta := false
	for _, j := range group {
		if !j.tried || j.Step.Do == reconcile.DoNote {
			continue
		}
		if j.stat.Kind == reconcile.KindDir {
			dirs = append(dirs, j.Op.Path) // its mode
		}
		if j.Step.Do == reconcile.DoMeta {
			meta = meta || j.stat.Kind == reconcile.KindFile
			continue
		}
		if j.moved && j.done { // with what was changed in it before
			for i, dir := range dirs {
				if below(dir, j.Step.From) {
					dirs[i] = j.Step.Path + dir[len(j.Step.From):]
				}
			}
		}
		for _, p := range []string{j.Op.Path, j.Op.From, j.Op.Trash, j.Op.Temp} {
			if p != "" {
				dirs = append(dirs, parent(p))
			}
		}
	}
	// A directory that was made by one job can be gone by another.
	slices.Sort(dirs)
	names := slices.DeleteFunc(slices.Compact(dirs), func(dir string) bool {
		st, err := w.o.FS.Lstat(dir)
		return err != nil || st.Kind != reconcile.KindDir
	})
	if meta {
		// A mode or time that was forgotten would look like a person's.
		if err := w.o.FS.SyncAll(); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return apply.SyncDirs(w.o.FS, names)
}

// finish commits the rows of what was done, and tells the scan.
func (w *work) finish(group []job) error {
	var drop []string
	var moved []Move
	var put []Seen
	err := w.o.Store.Write(w.ctx, w.o.Folder, func(tx Writer) error {
		drop, moved, put = nil, nil, nil
		w.orphans = nil
		for i := range group {
			j := &group[i]
			if !j.done {
				continue
			}
			if err := w.commitRow(tx, j); err != nil {
				return err
			}
			switch j.Step.Do {
			case reconcile.DoNote:
				continue
			case reconcile.DoTrash:
				drop = append(drop, j.Step.Path)
				continue
			case reconcile.DoMove:
				if j.moved {
					moved = append(moved, Move{From: j.Step.From, To: j.Step.Path})
				} else {
					drop = append(drop, j.Step.From)
				}
			}
			put = append(put, Seen{Path: j.Step.Path, Item: j.item(), Changed: j.stat.Changed})
		}
		return tx.SetJournal(nil)
	})
	if err != nil {
		return err
	}
	w.adopt()
	for i := range group {
		j := &group[i]
		if !j.done || j.Step.Do == reconcile.DoNote {
			continue
		}
		if j.Op.Temp != "" {
			w.contents.used(j.Step.Row.Hash, j.Op.Temp)
		}
		if w.counts(j) {
			w.brake.count(j.Step, victim{entry: j.Entry}, j.By, w.o.Now())
		}
		w.brake.bring(j.Step, j.By, w.o.Now())
		delete(w.problems, j.Step.Path)
		w.turn.Installed = append(w.turn.Installed, Installed{
			Do: j.Step.Do, Path: j.Step.Path, From: j.Step.From, Size: j.Step.Row.Size, Hash: j.Step.Row.Hash, Member: j.By,
		})
	}
	return w.record(group, drop, moved, put)
}

// counts reports whether what a job takes away counts for the brake.
func (w *work) counts(j *job) bool {
	return destroys(j.Step) && !j.By.IsZero() && !j.Young && !w.own(j.Dot) && !w.brake.holds[j.By].Released.Has(j.Dot)
}

// record tells the scan what was done, in the order in which it was done where that
// matters: what was moved is looked up by where it was.
func (w *work) record(group []job, drop []string, moved []Move, put []Seen) error {
	if len(moved) == 0 {
		put = latest(put)
		drop = slices.DeleteFunc(drop, func(p string) bool {
			return slices.ContainsFunc(put, func(s Seen) bool { return s.Path == p })
		})
		if len(drop)+len(put) == 0 {
			return nil
		}
		return w.o.Disk.Record(w.ctx, drop, nil, put)
	}
	for i := range group {
		j := &group[i]
		if !j.done || j.Step.Do == reconcile.DoNote {
			continue
		}
		var d []string
		var m []Move
		p := []Seen{{Path: j.Step.Path, Item: j.item(), Changed: j.stat.Changed}}
		switch {
		case j.Step.Do == reconcile.DoTrash:
			d, p = []string{j.Step.Path}, nil
		case j.moved:
			m = []Move{{From: j.Step.From, To: j.Step.Path}}
		case j.Step.Do == reconcile.DoMove:
			d = []string{j.Step.From}
		}
		if err := w.o.Disk.Record(w.ctx, d, m, p); err != nil {
			return err
		}
	}
	return nil
}

// latest keeps the last of what is said of each path, and leaves out what is
// between two names, which no scan sees.
func latest(put []Seen) []Seen {
	last := map[string]int{}
	for i, s := range put {
		last[s.Path] = i
	}
	var out []Seen
	for i, s := range put {
		if last[s.Path] == i && !below(s.Path, reconcile.Aside) {
			out = append(out, s)
		}
	}
	return out
}

// item describes what is at the job's path now.
func (j *job) item() reconcile.Item {
	it := reconcile.Item{Kind: j.stat.Kind, Mode: j.stat.Mode, Inode: j.stat.Inode}
	if it.Kind == reconcile.KindFile {
		it.Size, it.Modified, it.Hash = j.stat.Size, j.stat.Modified, j.Step.Row.Hash
		if j.Step.Do == reconcile.DoMove || j.Step.Do == reconcile.DoMeta {
			it.Hash = j.Step.Expect.Hash
		}
	} else if j.moved {
		// Of a directory only the inode was compared: a mode that a person has set
		// meanwhile is found by comparing with what it was.
		it.Mode = j.Step.Expect.Mode
	}
	return it
}

// commitRow makes the rows say what a job has done.
func (w *work) commitRow(tx Writer, j *job) error {
	s := j.Step
	if j.Op.Trash != "" {
		d := discarded(s.Path, s.Expect, j.By, w.o.Now(), s.Do == reconcile.DoTrash, lastName(j.Op.Trash))
		d.Counts = w.counts(j)
		if _, err := tx.Discard(d); err != nil {
			return err
		}
	}
	switch {
	case s.Do == reconcile.DoTrash:
		// An empty directory can have rows of what a person has removed meanwhile.
		if s.Expect.Kind == reconcile.KindDir {
			if err := w.orphan(tx, s.Path, nil); err != nil {
				return err
			}
		}
		return tx.Unset([]string{s.Path})
	case j.moved:
		if err := w.orphan(tx, s.Path, nil); err != nil {
			return err
		}
		if err := tx.MoveRows([]Move{{From: s.From, To: s.Path}}); err != nil {
			return err
		}
	case s.Do == reconcile.DoMove:
		if err := tx.Unset([]string{s.From}); err != nil {
			return err
		}
	}
	row := s.Row
	if s.Do != reconcile.DoNote {
		row.Item = j.item()
	}
	if row.Kind == reconcile.KindDir && (s.Do == reconcile.DoNote || s.Do == reconcile.DoMeta) {
		// Where one of several directories goes elsewhere, or cannot yet, what is in it does not
		// go with it.
		old, _, err := tx.Row(s.Path)
		if err != nil {
			return err
		}
		if lost(old.Refs, row.Refs) {
			if err := w.orphan(tx, s.Path, nil); err != nil {
				return err
			}
		}
	}
	return tx.Set([]reconcile.Placed{{Path: s.Path, Row: row}})
}

// lost reports whether an entry of old is not one of now.
func lost(old, now []reconcile.Ref) bool {
	return slices.ContainsFunc(old, func(ref reconcile.Ref) bool {
		return !slices.ContainsFunc(now, func(other reconcile.Ref) bool { return other.ID == ref.ID })
	})
}
