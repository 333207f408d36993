package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// work is one turn's plan and how far it has come.
type work struct {
	*Core
	ctx context.Context
	scope
	plan reconcile.Plan
	turn Turn

	rows    map[string]reconcile.Row      // by the paths of the disk, when the plan is committed
	global  reconcile.Global              // with the plan's entries
	about   []reconcile.EntryID           // what the steps are about
	failed  map[reconcile.EntryID]parking // what was not done
	needs   map[reconcile.EntryID]int64   // see need
	orphans []reconcile.EntryID           // whose rows went with that of a directory
	adopted map[reconcile.EntryID]bool    // orphans that are pending
	noted   map[reconcile.EntryID]bool    // of which a row has yet to say what has been seen
	blocks  []string                      // paths of steps that were not done
	claimed map[reconcile.Hash]bool       // temporary files that a step has taken
}

// index finds out what the plan's steps are about.
func (w *work) index() {
	w.claimed, w.noted = map[reconcile.Hash]bool{}, map[reconcile.EntryID]bool{}
	w.rows = maps.Clone(map[string]reconcile.Row(w.base))
	for _, p := range w.plan.Unset {
		delete(w.rows, p)
	}
	for _, s := range w.plan.Set {
		w.rows[s.Path] = s.Row
	}
	w.global = w.scope.global
	for _, e := range w.plan.Entries {
		w.global[e.ID] = e
	}
	seen := map[reconcile.EntryID]bool{}
	for _, s := range w.plan.Steps {
		if s.Do == reconcile.DoNote {
			for _, id := range w.ids(s) {
				w.noted[id] = true
			}
			continue
		}
		for _, id := range w.ids(s) {
			if !seen[id] {
				seen[id] = true
				w.about = append(w.about, id)
			}
		}
	}
}

// ids returns the entries that a step is about.
func (w *work) ids(s reconcile.Step) []reconcile.EntryID {
	var ids []reconcile.EntryID
	add := func(refs []reconcile.Ref) {
		for _, ref := range refs {
			ids = append(ids, ref.ID)
			if !ref.Of.IsZero() {
				ids = append(ids, ref.Of)
			}
		}
	}
	add(s.Row.Refs)
	switch s.Do {
	case reconcile.DoTrash, reconcile.DoReplace:
		add(w.rows[s.Path].Refs)
	case reconcile.DoMove:
		add(w.rows[s.From].Refs) // what is dead may serve for something else
	}
	return ids
}

// commit makes durable what a person here has done, and which rows there are now.
// What the steps are about is pending from then on, so that a crash does not leave it
// undone.
func (w *work) commit(s seeds) error {
	if len(w.plan.Entries)+len(w.plan.Unset)+len(w.plan.Set)+len(w.about)+len(w.plan.Conflicts) == 0 && !w.hasConflicts() {
		return nil
	}
	if err := w.reserve(w.plan.Author.Counter); err != nil {
		return fmt.Errorf("reserve event numbers: %w", err)
	}
	moves := w.movedHere()
	state := w.state
	state.Counter = w.plan.Author.Counter
	err := w.o.Store.Write(w.ctx, w.o.Folder, func(tx Writer) error {
		for _, e := range w.plan.Entries {
			if err := tx.PutEntry(e, w.noted[e.ID], 0); err != nil {
				return err
			}
		}
		for _, id := range w.about {
			if err := tx.SetPending(id, true, w.need(id)); err != nil {
				return err
			}
		}
		return errors.Join(w.setState(tx, state), w.setRows(tx, moves), w.mourn(tx), w.setConflicts(tx))
	})
	if err != nil {
		return err
	}
	w.state, w.author = state, w.plan.Author
	w.adopt()
	gone, put := w.conflictChanges()
	for _, p := range gone {
		delete(w.conflicts, p)
	}
	for _, c := range put {
		w.conflicts[c.Path] = append(w.conflicts[c.Path], c)
	}
	return nil
}

// movedHere returns the directories that a person has moved.
func (w *work) movedHere() []Move {
	var moves []Move
	for _, c := range w.plan.Changes {
		if c.Kind == reconcile.ChangeMove && w.base[c.From].Kind == reconcile.KindDir {
			moves = append(moves, Move{From: c.From, To: c.Path})
		}
	}
	return moves
}

// setRows replaces the rows. The moves bring along the rows that are not in the
// scope, and with them those that are: all of the scope are set then, at the end.
//
// What is moved waits aside until the directory that it comes into has its row: that
// may be a new one, at the very path that it leaves.
func (w *work) setRows(tx Writer, moves []Move) error {
	if len(moves) == 0 {
		if err := w.unset(tx, w.plan.Unset, func(p string) string { return p }); err != nil {
			return err
		}
		return tx.Set(w.plan.Set)
	}
	away := make([]Move, len(moves))
	for i, m := range moves {
		away[i] = Move{From: m.From, To: fmt.Sprintf("%s/moving %d", reconcile.Aside, i)}
	}
	final, now := gatherer{move: translate(moves)}, gatherer{move: translate(away)}
	var unset []string
	for p := range w.base {
		_, kept := w.rows[final.now(p)]
		moved := slices.ContainsFunc(moves, func(m Move) bool { return m.From == p })
		if !kept && !moved {
			unset = append(unset, now.now(p))
		}
	}
	slices.Sort(unset)
	if err := tx.MoveRows(away); err != nil {
		return err
	}
	if err := w.unset(tx, unset, now.now); err != nil {
		return err
	}
	return w.placeRows(tx, away, moves)
}

// unset deletes rows. at says where the rows of the scope are by now.
func (w *work) unset(tx Writer, paths []string, at func(string) string) error {
	inScope := map[string]bool{}
	for p := range w.base {
		inScope[at(p)] = true
	}
	for _, p := range paths {
		if err := w.orphan(tx, p, inScope); err != nil {
			return err
		}
	}
	return tx.Unset(paths)
}

// orphan has planned again what is committed below a directory whose row goes, and
// was not part of the plan: it is not known here what has become of it, and what
// nobody has deleted comes back.
func (w *work) orphan(tx Writer, dir string, except map[string]bool) error {
	rows, err := tx.RowsIn(dir, 0)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !except[row.Path] {
			for _, ref := range row.Row.Refs {
				id := ref.ID
				if !ref.Of.IsZero() {
					id = ref.Of
				}
				if err := tx.SetPending(id, true, row.Row.Size); err != nil {
					return err
				}
				w.orphans = append(w.orphans, id)
			}
		}
		if row.Row.Kind == reconcile.KindDir {
			if err := w.orphan(tx, row.Path, except); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt has orphans tried, once it is durable that they are pending.
func (w *work) adopt() {
	if w.adopted == nil {
		w.adopted = map[reconcile.EntryID]bool{}
	}
	for _, id := range w.orphans {
		w.again[id] = true
		w.adopted[id] = true
	}
	w.orphans = nil
}

// placeRows sets the rows, and brings what waits aside to its place, from the top
// down.
func (w *work) placeRows(tx Writer, away, moves []Move) error {
	depth := func(p string) int { return strings.Count(p, "/") }
	in := make([]Move, len(moves))
	for i, m := range moves {
		in[i] = Move{From: away[i].To, To: m.To}
	}
	slices.SortStableFunc(in, func(a, b Move) int { return cmp.Compare(depth(a.To), depth(b.To)) })
	rows := make([]reconcile.Placed, 0, len(w.rows))
	for p, row := range w.rows {
		rows = append(rows, reconcile.Placed{Path: p, Row: row})
	}
	slices.SortFunc(rows, func(a, b reconcile.Placed) int {
		return cmp.Or(cmp.Compare(depth(a.Path), depth(b.Path)), strings.Compare(a.Path, b.Path))
	})
	for len(in)+len(rows) > 0 {
		if len(in) > 0 && (len(rows) == 0 || depth(in[0].To) <= depth(rows[0].Path)) {
			if err := tx.MoveRows(in[:1]); err != nil {
				return err
			}
			in = in[1:]
			continue
		}
		n := 1
		for n < len(rows) && (len(in) == 0 || depth(rows[n].Path) < depth(in[0].To)) {
			n++
		}
		if err := tx.Set(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// mourn remembers what a person here has replaced or deleted: the bytes are not on
// this disk any more, but others have them.
func (w *work) mourn(tx Writer) error {
	now := w.o.Now()
	for _, c := range w.plan.Changes {
		row, ok := w.base[c.Path]
		if c.Kind == reconcile.ChangeEdit && !ok {
			continue // edited and moved at once: the name of before has gone, the entry has not
		}
		replaced := c.Kind == reconcile.ChangeEdit && ok && w.disk[c.Path].Hash != row.Hash
		if row.Kind != reconcile.KindFile || c.Kind != reconcile.ChangeDelete && !replaced {
			continue
		}
		if _, err := tx.Discard(discarded(c.Path, row.Item, w.o.Self, now, c.Kind == reconcile.ChangeDelete, "")); err != nil {
			return err
		}
	}
	return nil
}

func discarded(path string, item reconcile.Item, by p2p.ID, now time.Time, deleted bool, name string) Discarded {
	return Discarded{
		Path: path, Kind: item.Kind, Hash: item.Hash, Size: item.Size, Mode: uint32(item.Mode.Perm()), Modified: item.Modified,
		Deleted: deleted, Member: by, Time: now.Truncate(time.Millisecond), Name: name,
	}
}

// need is how many bytes have to come for an entry.
func (w *work) need(id reconcile.EntryID) int64 {
	if w.needs == nil {
		w.needs = map[reconcile.EntryID]int64{}
		for _, s := range w.plan.Steps {
			if (s.Do == reconcile.DoFetch || s.Do == reconcile.DoReplace) && len(s.Row.Refs) > 0 {
				w.needs[s.Row.Refs[0].ID] = s.Row.Size
			}
		}
	}
	return w.needs[id]
}

// conclude clears what is not pending any more, and parks what could not be done.
func (w *work) conclude(s seeds) error {
	done := map[reconcile.EntryID]bool{}
	for _, id := range w.about {
		done[id] = true
	}
	for _, id := range s.entries {
		done[id] = true
	}
	for _, e := range w.plan.Entries {
		if w.noted[e.ID] {
			done[e.ID] = true
		}
	}
	for id := range w.adopted {
		delete(done, id)
	}
	for id := range done {
		delete(w.parked, id)
	}
	w.refused()
	var missing []reconcile.EntryID
	for id, why := range w.failed {
		if !done[id] && !w.pending[id] {
			if _, there := w.disk[why.path]; there || why.path == "" {
				delete(w.parked, id)
				continue // it is as it should be, or is not known
			}
			missing = append(missing, id)
		}
		delete(done, id)
		if why.hash == (reconcile.Hash{}) {
			w.tries[id] = w.tries[id].failed(why.hash)
			why.tries = w.tries[id].count
		}
		w.parked[id] = why
		if why.hash != (reconcile.Hash{}) {
			w.waiting[why.hash] = append(w.waiting[why.hash], id)
		}
	}
	for id := range done {
		delete(w.tries, id)
	}
	if len(done)+len(missing) == 0 {
		return nil
	}
	err := w.o.Store.Write(w.ctx, w.o.Folder, func(tx Writer) error {
		for id := range done {
			if err := tx.SetPending(id, false, 0); err != nil {
				return err
			}
		}
		for _, id := range missing {
			if err := tx.SetPending(id, true, w.need(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return w.errorf("note what is done", err)
	}
	return nil
}

// refused notes what the plan has no steps for, because of something on this disk
// or because a directory is not known yet: it is not done.
func (w *work) refused() {
	if len(w.plan.Problems) == 0 {
		return
	}
	view := w.global.View()
	park := func(id reconcile.EntryID, p, why string) {
		if _, ok := w.failed[id]; !ok {
			w.failed[id] = parking{path: p, why: why, since: w.o.Now()}
		}
	}
	for _, x := range w.plan.Problems {
		for id, p := range view.Where {
			if below(p, x.Path) {
				park(id, p, x.Why)
			}
		}
		for _, ref := range w.rows[x.Path].Refs {
			park(ref.ID, x.Path, x.Why)
		}
	}
	for _, id := range view.Waiting {
		park(id, "", "waits for its directory")
	}
}

// setConflicts replaces the conflicts at the paths of the scope.
func (w *work) setConflicts(tx Writer) error {
	gone, put := w.conflictChanges()
	if len(gone)+len(put) == 0 {
		return nil
	}
	return tx.SetConflicts(gone, put)
}

func (w *work) hasConflicts() bool {
	gone, put := w.conflictChanges()
	return len(gone)+len(put) > 0
}

// conflictChanges compares the conflicts in the scope with those that were known.
func (w *work) conflictChanges() (gone []string, put []reconcile.Conflict) {
	now := map[string][]reconcile.Conflict{}
	for _, c := range w.plan.Conflicts {
		now[c.Path] = append(now[c.Path], c)
	}
	for p := range w.conflicts {
		if w.looked[p] && len(now[p]) == 0 {
			gone = append(gone, p)
		}
	}
	slices.Sort(gone)
	for _, p := range slices.Sorted(maps.Keys(now)) {
		same := slices.EqualFunc(now[p], w.conflicts[p], func(a, b reconcile.Conflict) bool {
			return a.Kind == b.Kind && slices.Equal(a.Others, b.Others)
		})
		if !same {
			gone = append(gone, p)
			put = append(put, now[p]...)
		}
	}
	return gone, put
}
