package replica

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// The brake: who deletes or replaces more than this many files and more than this part
// of all within this time has to wait for a person here. A file that is replaced again
// and again, as by a program that saves every few seconds, is one.
const (
	brakeFiles  = 50
	brakePart   = 4 // a quarter
	brakeWithin = 10 * time.Minute
)

// brake counts what each member has deleted and replaced here, and holds those who
// do too much.
type brake struct {
	done  map[p2p.ID]map[victim]time.Time // when it was deleted or replaced last
	adds  map[p2p.ID][]braking
	fresh map[reconcile.EntryID]time.Time
	// unknown counts what was taken away without its being known what it was.
	unknown int
	holds   map[p2p.ID]Hold
}

// victim is a file that was deleted or replaced.
type victim struct {
	entry reconcile.EntryID
	path  string // of an earlier run, instead of entry
	nth   int    // only where neither is known: each is another one
}

type braking struct {
	at    time.Time
	files int
}

func newBrake() brake {
	return brake{done: map[p2p.ID]map[victim]time.Time{}, adds: map[p2p.ID][]braking{}, fresh: map[reconcile.EntryID]time.Time{}, holds: map[p2p.ID]Hold{}}
}

// load takes what is stored. What was counted in earlier runs is known by the trash: a
// restart gives nobody another chance. There a file is known by its path.
func (b *brake) load(r Reader, now time.Time) error {
	holds, err := r.Holds()
	if err != nil {
		return err
	}
	for _, h := range holds {
		b.holds[h.Member] = h
	}
	for before := int64(0); ; {
		page, err := r.Discarded(before, discardedPage)
		if err != nil {
			return err
		}
		for _, d := range page {
			before = d.N
			if now.Sub(d.Time) > brakeWithin {
				return nil
			}
			v := victim{path: d.Path}
			if _, later := b.done[d.Member][v]; d.Counts && !later && d.Time.After(b.holds[d.Member].Decided) {
				b.note(v, d.Member, d.Time)
			}
		}
		if len(page) < discardedPage {
			return nil
		}
	}
}

// discardedPage is how much of the trash is read at once.
const discardedPage = 1000

// destroys reports whether a step takes away a content.
func destroys(s reconcile.Step) bool {
	return s.Do == reconcile.DoReplace || s.Do == reconcile.DoTrash && s.Expect.Kind == reconcile.KindFile
}

// stops reports whether a step has to wait.
func (b *brake) stops(s reconcile.Step, by p2p.ID, dot reconcile.Dot) bool {
	h, ok := b.holds[by]
	return ok && !h.Since.IsZero() && destroys(s) && !h.Released.Has(dot)
}

// victimOf returns what is taken away with the file of a row.
func victimOf(row reconcile.Row) victim {
	if len(row.Refs) == 0 {
		return victim{}
	}
	return victim{entry: row.Refs[0].ID}
}

// trail is where what is at a path was before the steps of a plan that come first.
type trail []Move

// victim returns what the next step takes away, if it does, and goes on.
func (t *trail) victim(s reconcile.Step, rows map[string]reconcile.Row) (row reconcile.Row) {
	switch {
	case s.Do == reconcile.DoMove:
		*t = append(*t, Move{From: s.From, To: s.Path})
	case destroys(s):
		p := s.Path
		for _, m := range slices.Backward(*t) {
			if below(p, m.To) {
				p = m.From + p[len(m.To):]
			}
		}
		row = rows[p]
	}
	return row
}

// count notes that a step was done.
func (b *brake) count(s reconcile.Step, v victim, by p2p.ID, now time.Time) {
	if destroys(s) {
		delete(b.done[by], victim{path: s.Path})
		b.note(v, by, now)
	}
}

func (b *brake) note(v victim, by p2p.ID, at time.Time) {
	if by.IsZero() {
		return
	}
	if b.done[by] == nil {
		b.done[by] = map[victim]time.Time{}
	}
	if v.entry.IsZero() && v.path == "" {
		b.unknown++
		v.nth = b.unknown
	}
	b.done[by][v] = at
}

// forget forgets what does not count any more: there are no more than are let through.
func (b *brake) forget(now time.Time) {
	for _, done := range b.done {
		maps.DeleteFunc(done, func(_ victim, at time.Time) bool { return now.Sub(at) > brakeWithin })
	}
}

// counted reports whether a file, which is at a path, counts already.
func (b *brake) counted(v victim, path string, by p2p.ID, now time.Time) bool {
	at, ok := b.done[by][victim{path: path}]
	if !v.entry.IsZero() && !ok {
		at, ok = b.done[by][v]
	}
	return ok && now.Sub(at) <= brakeWithin
}

// bring notes that a file has come.
func (b *brake) bring(s reconcile.Step, by p2p.ID, now time.Time) {
	if s.Do != reconcile.DoFetch && s.Do != reconcile.DoCopy || by.IsZero() {
		return
	}
	list := slices.DeleteFunc(b.adds[by], func(x braking) bool { return now.Sub(x.at) > brakeWithin })
	if n := len(list); n > 0 && now.Sub(list[n-1].at) < time.Second {
		list[n-1].files++
	} else {
		list = append(list, braking{at: now, files: 1})
	}
	b.adds[by] = list
	if len(b.fresh) >= maxFresh {
		maps.DeleteFunc(b.fresh, func(_ reconcile.EntryID, at time.Time) bool { return now.Sub(at) > brakeWithin })
	}
	if len(s.Row.Refs) > 0 && s.Row.Refs[0].ID.Member == by && len(b.fresh) < maxFresh {
		b.fresh[s.Row.Refs[0].ID] = now
	}
}

// maxFresh is how many files are remembered as new.
const maxFresh = 1 << 17

// young reports whether a step replaces only what the same member has brought a
// moment ago and nobody has changed since: who has just put files into a folder goes on
// working on them. Deletions always count.
func (b *brake) young(s reconcile.Step, row reconcile.Row, by p2p.ID, now time.Time) bool {
	if s.Do != reconcile.DoReplace || len(row.Refs) == 0 || row.Refs[0].ID.Member != by {
		return false
	}
	for _, v := range row.Refs[0].Contents {
		if slices.ContainsFunc(v, func(d reconcile.Dot) bool { return d.Member != by }) {
			return false
		}
	}
	at, ok := b.fresh[row.Refs[0].ID]
	return ok && now.Sub(at) <= brakeWithin
}

// added is how many files of a member have come of late.
func (b *brake) added(by p2p.ID, now time.Time) (files int) {
	for _, x := range b.adds[by] {
		if now.Sub(x.at) <= brakeWithin {
			files += x.files
		}
	}
	return files
}

// recent is how many files a member has deleted and replaced of late.
func (b *brake) recent(by p2p.ID, now time.Time) (files int) {
	for _, at := range b.done[by] {
		if now.Sub(at) <= brakeWithin {
			files++
		}
	}
	return files
}

// brakes decides, before anything is done, whom the brake stops.
func (w *work) brakes() {
	count := map[p2p.ID]int{}
	now := w.o.Now()
	var t trail
	for _, s := range w.plan.Steps {
		row := t.victim(s, w.rows)
		by := w.responsible(s)
		if w.brake.counted(victimOf(row), s.Path, by, now) {
			continue
		}
		if destroys(s) && !w.brake.young(s, row, by, now) && !w.own(w.dotOf(s)) && !by.IsZero() && !w.brake.holds[by].Released.Has(w.dotOf(s)) {
			count[by]++
		}
	}
	if len(count) == 0 {
		return
	}
	w.brake.forget(now)
	files, err := w.countFiles()
	if err != nil {
		files = 0 // the brake is the stronger for it
	}
	for by, n := range count {
		h := w.brake.holds[by]
		// Nobody makes room for deletions by adding files first.
		limit := max(w.o.BrakeFiles, (files-w.brake.added(by, now))/brakePart)
		recent := w.brake.recent(by, now)
		if !h.Since.IsZero() || n+recent <= limit {
			continue
		}
		h.Member, h.Since, h.Done, h.Limit = by, now.Truncate(time.Millisecond), recent, limit
		if w.setHold(h) == nil {
			continue
		}
		w.brake.holds[by] = h // held all the same, as long as this run lasts
	}
}

func (w *work) countFiles() (files int, err error) {
	err = w.o.Store.Read(w.ctx, w.o.Folder, func(r Reader) error {
		files, err = r.CountRows()
		return err
	})
	return files, err
}

func (w *work) setHold(h Hold) error {
	err := w.o.Store.Write(w.ctx, w.o.Folder, func(tx Writer) error { return tx.SetHold(h) })
	if err == nil {
		w.brake.holds[h.Member] = h
	}
	return err
}

// lift ends the holds of members of whom nothing waits any more, because somebody else
// has decided, or they have taken it back. It is called when all that is pending was
// planned. What they have done still counts: nobody gets another chance by that.
func (c *Core) lift(ctx context.Context) error {
	for _, h := range c.Holds() {
		waits := false
		for _, p := range c.parked {
			waits = waits || p.held == h.Member
		}
		if waits {
			continue
		}
		if err := c.endHold(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// endHold lets a member change the folder again.
func (c *Core) endHold(ctx context.Context, h Hold) error {
	h.Since, h.Done, h.Limit = time.Time{}, 0, 0
	if err := c.o.Store.Write(ctx, c.o.Folder, func(w Writer) error { return w.SetHold(h) }); err != nil {
		return err
	}
	c.brake.holds[h.Member] = h
	return nil
}

// own reports whether an event is of this node in this incarnation: what it has done
// itself needs no word. Nobody else can make these up; see vouched.
func (c *Core) own(d reconcile.Dot) bool {
	return d.Member == c.author.Member && d.Incarnation == c.author.Incarnation
}

// responsible returns whose change a step carries out; zero if nobody's.
func (w *work) responsible(s reconcile.Step) p2p.ID { return w.dotOf(s).Member }

// dotOf returns the event that a step carries out.
func (w *work) dotOf(s reconcile.Step) reconcile.Dot {
	if s.Do != reconcile.DoTrash {
		return s.Row.Dot
	}
	// Its deletion; or what superseded it, if it was a losing version; or else it is
	// one with something that is shown elsewhere.
	var deleted, over, any reconcile.Dot
	later := func(d *reconcile.Dot, e reconcile.Dot) {
		if d.IsZero() || d.Compare(e) < 0 {
			*d = e
		}
	}
	for _, ref := range w.rows[s.Path].Refs {
		for _, c := range slices.Concat(w.global[ref.ID].Contents, w.global[ref.Of].Contents) {
			later(&any, c.Dot)
			if c.Deleted {
				later(&deleted, c.Dot)
			}
			if len(ref.Contents) > 0 && !slices.ContainsFunc(ref.Contents, func(v reconcile.Vector) bool { return v.Compare(c.Vector) != reconcile.Before }) {
				later(&over, c.Dot)
			}
		}
	}
	switch {
	case !deleted.IsZero():
		return deleted
	case !over.IsZero():
		return over
	case !any.IsZero():
		return any
	}
	return reconcile.Dot{Member: w.o.Self}
}

// Holds returns whom the brake stops, by member.
func (c *Core) Holds() []Hold {
	var out []Hold
	for _, h := range c.brake.holds {
		if !h.Since.IsZero() {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Hold) int { return cmp.Compare(a.Member.String(), b.Member.String()) })
	return out
}
