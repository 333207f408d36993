package replica

import (
	"context"
	"errors"
	"slices"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// simLink takes the entries of one node to another, in order. It can break at any
// moment: what was under way is lost, and the cursor says from where to go on.
type simLink struct {
	from, to *simNode
	up       bool
	sent     uint64
	queue    []simBatch
}

type simBatch struct {
	Batch
	due int64
}

func (w *simWorld) link(from, to *simNode) *simLink {
	i := slices.IndexFunc(w.links, func(l *simLink) bool { return l.from == from && l.to == to })
	return w.links[i]
}

// unlink breaks all links of a node.
func (w *simWorld) unlink(n *simNode) {
	for _, l := range w.links {
		if l.from == n || l.to == n {
			l.cut()
		}
	}
}

func (l *simLink) cut() { l.up, l.queue = false, nil }

// connect makes a link again.
func (l *simLink) connect() {
	if l.up || l.from.core == nil || l.to.core == nil || l.from.w.parted(l.from, l.to) {
		return
	}
	l.up, l.sent = true, 0
	if c := l.to.core.Cursor(l.from.id); c.Incarnation == l.from.core.Incarnation() {
		l.sent = c.Seq
	}
}

// send puts the next entries on their way.
func (l *simLink) send(most int) (sent bool) {
	w := l.from.w
	if !l.up {
		return false
	}
	var b Batch
	err := l.from.store.Read(context.Background(), simFolder, func(r Reader) error {
		all, err := r.Since(l.sent, most)
		for _, s := range all {
			b.Entries = append(b.Entries, s.Entry)
			b.Upto = s.Seq
		}
		if err != nil {
			return err
		}
		b.Claims, err = r.Claims()
		return err
	})
	if err != nil {
		w.fail("%s: read: %v", l.from.name, err)
	}
	if len(b.Entries) == 0 {
		return false
	}
	b.Incarnation = l.from.core.Incarnation()
	l.sent = b.Upto
	l.queue = append(l.queue, simBatch{b, w.now + int64(w.roll(1500))*1e6})
	return true
}

// deliver hands over what is due; all: what is under way.
func (l *simLink) deliver(all bool) (any bool) {
	for l.up && len(l.queue) > 0 && (all || l.queue[0].due <= l.from.w.now) && l.to.core.Settled() {
		if !l.merge(l.queue[0].Batch) {
			return true
		}
		l.queue = l.queue[1:]
		any = true
	}
	return any
}

func (l *simLink) merge(b Batch) bool {
	to := l.to
	var refused []Refusal
	var err error
	if !to.running(func() { refused, err = to.core.Merge(context.Background(), l.from.id, b) }) {
		to.crash()
		return false
	}
	switch {
	case errors.Is(err, ErrNotSettled):
		return false
	case err != nil:
		to.forgive("merge", err)
		l.cut()
		return false
	case len(refused) > 0 && !l.from.reader: // who may only read is not believed news of others
		to.w.fail("%s: refuses what %s sends: %v", to.name, l.from.name, refused)
	}
	to.w.note("%s: gets %d entries of %s, up to %d", to.name, len(b.Entries), l.from.name, b.Upto)
	return true
}

// ack tells a node that another has all that it has sent on its disk.
func (l *simLink) ack() {
	if !l.up || l.to.core.torn || !l.to.core.Settled() {
		return
	}
	if l.to.pending() {
		return
	}
	l.to.checkDone()
	var err error
	from, seq := l.from, l.to.core.Cursor(l.from.id).Seq
	if !from.running(func() { err = from.core.Acked(context.Background(), l.to.id, seq) }) {
		from.crash()
	} else if err != nil {
		from.forgive("ack", err)
	}
}

// pending reports whether something is not done yet.
func (n *simNode) pending() bool {
	pending := 1
	err := n.store.Read(context.Background(), simFolder, func(r Reader) (err error) {
		pending, _, err = r.Needs()
		return err
	})
	if err != nil {
		n.w.fail("%s: read: %v", n.name, err)
	}
	return pending > 0
}

// halfway reports whether a content is in something that a node has between two names:
// others get it when it has its name.
func (w *simWorld) halfway(h reconcile.Hash) (is bool) {
	for _, m := range w.nodes {
		m.mem.Walk(func(path string, st apply.Stat, b []byte) {
			is = is || below(path, reconcile.Aside) && st.Kind == reconcile.KindFile && w.hash(string(b)) == h
		})
	}
	return is
}

// find looks for a content on the disks of all, the own one too, as steps that copy
// want: in what people see, and in the trash.
func (w *simWorld) find(n *simNode, h reconcile.Hash, certain bool) (content, from string, ok bool) {
	for _, m := range w.nodes {
		if m != n && !certain && (m.core == nil || w.parted(n, m)) {
			continue
		}
		m.mem.Walk(func(path string, st apply.Stat, b []byte) {
			shared := !below(path, apply.Private) || below(path, apply.TrashDir)
			if !ok && shared && st.Kind == reconcile.KindFile && w.hash(string(b)) == h {
				content, from, ok = string(b), m.name, true
			}
		})
	}
	if !ok {
		content, ok = w.archive[h]
		from = "somebody"
	}
	return content, from, ok
}
