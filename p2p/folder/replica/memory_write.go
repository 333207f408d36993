package replica

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// memoryWriter changes a folderState and remembers how to undo it.
type memoryWriter struct {
	*folderState
	memory *Memory
	undo   []func()
	failed error // the first thing that could not be done
}

func (w *memoryWriter) rollBack() {
	for _, f := range slices.Backward(w.undo) {
		f()
	}
}

func (w *memoryWriter) later(undo func()) { w.undo = append(w.undo, undo) }

// fail remembers err, so that the write as a whole fails.
func (w *memoryWriter) fail(err error) error {
	w.failed = cmp.Or(w.failed, err)
	return err
}

// undoSet sets *p, undoably.
func undoSet[T any](w *memoryWriter, p *T, v T) {
	old := *p
	w.later(func() { *p = old })
	*p = v
}

// undoPut sets m[k], undoably.
func undoPut[K comparable, V any](w *memoryWriter, m map[K]V, k K, v V) {
	undoEntryOf(w, m, k)
	m[k] = v
}

// undoDelete deletes m[k], undoably.
func undoDelete[K comparable, V any](w *memoryWriter, m map[K]V, k K) {
	undoEntryOf(w, m, k)
	delete(m, k)
}

// undoEntryOf lets the write put m[k] back as it is.
func undoEntryOf[K comparable, V any](w *memoryWriter, m map[K]V, k K) {
	old, had := m[k]
	if had {
		w.later(func() { m[k] = old })
	} else {
		w.later(func() { delete(m, k) })
	}
}

// SetState implements Writer.
func (w *memoryWriter) SetState(s State) error {
	s.Seq = w.state.Seq
	undoSet(w, &w.state, s)
	return nil
}

// PutEntry implements Writer.
func (w *memoryWriter) PutEntry(e reconcile.Entry, pending bool, need int64) error {
	if e.ID.IsZero() {
		return w.fail(errors.New("replica: put entry: it has no ID"))
	}
	old, had := w.entries[e.ID]
	if had {
		undoDelete(w, w.bySeq, old.Seq)
		w.displace(old.Entry)
	}
	state := w.state
	state.Seq++
	undoSet(w, &w.state, state)
	undoSet(w, &w.order, append(w.order, state.Seq))
	undoPut(w, w.bySeq, state.Seq, e.ID)
	w.store(Stored{Seq: state.Seq, Entry: e, Pending: pending, Need: need}.own())
	for _, p := range e.Places {
		w.place(p.Spot, e.ID)
	}
	w.compact()
	return nil
}

// compact drops numbers that no entry has any more, once they are the most.
func (w *memoryWriter) compact() {
	if len(w.order) < 64 || len(w.order) < 2*len(w.bySeq) {
		return
	}
	undoSet(w, &w.order, slices.Sorted(maps.Keys(w.bySeq)))
}

// store replaces what is stored of an entry, and counts.
func (w *memoryWriter) store(s Stored) {
	if !s.Pending {
		s.Need = 0
	}
	pending, need := w.pending, w.need
	if old := w.entries[s.Entry.ID]; old.Pending {
		pending, need = pending-1, need-old.Need
	}
	if s.Pending {
		pending, need = pending+1, need+s.Need
	}
	undoSet(w, &w.pending, pending)
	undoSet(w, &w.need, need)
	undoPut(w, w.entries, s.Entry.ID, s)
}

func (w *memoryWriter) displace(e reconcile.Entry) {
	for _, p := range e.Places {
		ids := w.places[p.Parent][p.Name]
		if len(ids) > 1 {
			undoDelete(w, ids, e.ID)
			continue
		}
		if _, there := ids[e.ID]; there {
			undoDelete(w, w.places[p.Parent], p.Name)
		}
	}
}

func (w *memoryWriter) place(s reconcile.Spot, id reconcile.EntryID) {
	names := w.places[s.Parent]
	if names == nil {
		names = map[string]idSet{}
		undoPut(w, w.places, s.Parent, names)
	}
	if names[s.Name] == nil {
		undoPut(w, names, s.Name, idSet{})
	}
	undoPut(w, names[s.Name], id, struct{}{})
}

// SetPending implements Writer.
func (w *memoryWriter) SetPending(id reconcile.EntryID, pending bool, need int64) error {
	s, ok := w.entries[id]
	if !ok {
		return nil
	}
	s.Pending, s.Need = pending, need
	w.store(s)
	return nil
}

// SetCursor implements Writer.
func (w *memoryWriter) SetCursor(c Cursor) error {
	undoPut(w, w.cursors, c.Member, c)
	return nil
}

// SetClaim implements Writer. An older claim than the one that is there changes
// nothing.
func (w *memoryWriter) SetClaim(c Claim) error {
	n := memoryActor{c.Dot.Member, c.Dot.Incarnation}
	if w.claims[n].Dot.Counter > c.Dot.Counter {
		return nil
	}
	c.Sig = bytes.Clone(c.Sig)
	undoPut(w, w.claims, n, c)
	return nil
}

// SetJournal implements Writer.
func (w *memoryWriter) SetJournal(b []byte) error {
	if len(b) == 0 {
		b = nil
	}
	undoSet(w, &w.journal, bytes.Clone(b))
	return nil
}

// Discard implements Writer.
func (w *memoryWriter) Discard(d Discarded) (int64, error) {
	undoSet(w, &w.memory.discarded, w.memory.discarded+1)
	d.N, d.Time = w.memory.discarded, milliseconds(d.Time)
	undoSet(w, &w.discarded, append(w.discarded, d))
	return d.N, nil
}

// Forgo implements Writer.
func (w *memoryWriter) Forgo(ns []int64) error {
	gone := make(map[int64]bool, len(ns))
	for _, n := range ns {
		gone[n] = true
	}
	left := make([]Discarded, 0, len(w.discarded))
	for _, d := range w.discarded {
		if !gone[d.N] {
			left = append(left, d)
		}
	}
	undoSet(w, &w.discarded, left)
	return nil
}

// SetConflicts implements Writer.
func (w *memoryWriter) SetConflicts(gone []string, added []reconcile.Conflict) error {
	for _, path := range gone {
		undoDelete(w, w.conflicts, path)
	}
	for _, c := range added {
		c.Others = slices.Clone(c.Others)
		all := append(slices.Clone(w.conflicts[c.Path]), c)
		slices.SortFunc(all, compareConflicts)
		all = slices.CompactFunc(all, func(a, b reconcile.Conflict) bool { return compareConflicts(a, b) == 0 })
		undoPut(w, w.conflicts, c.Path, all)
	}
	return nil
}

// compareConflicts orders conflicts at one path.
func compareConflicts(a, b reconcile.Conflict) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Others, b.Others))
}

// SetHold implements Writer.
func (w *memoryWriter) SetHold(h Hold) error {
	h.Since, h.Decided, h.Released = milliseconds(h.Since), milliseconds(h.Decided), slices.Clone(h.Released)
	undoPut(w, w.holds, h.Member, h)
	return nil
}

// milliseconds returns t as the contract keeps it.
func milliseconds(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
