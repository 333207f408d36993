package tracker

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// What is told when. That a seed is there, gone, whole or wanted is told after a moment in which more
// may come; how far a download is only now and then: who is connected knows it anyway.
const (
	debounce      = 100 * time.Millisecond
	progressEvery = 10 * time.Second
	retryFirst    = time.Second
	retryLongest  = Every
)

// own is a seed of this node as it is told.
type own struct {
	Own
	text    []byte // without the list of pieces; nil: too long to be told
	version uint64 // of the last change
	// Of the last change of what the seed is, and of one that is told at once.
	described, loud uint64
}

// stage is what is told at once when it changes: whether there is nothing yet, a part, or all, and
// whether the rest is wanted.
func (o *own) stage() [3]bool { return [3]bool{o.Have.All, o.Have.Count > 0, o.Wants} }

// target is a member that is told of this node's seeds.
type target struct {
	id      p2p.ID
	all     bool // of all seeds; else of those that name it as their tracker
	link    p2p.Link
	told    map[seed.ID]uint64 // versions that it knows, and
	sum     uint64             // their sum
	again   bool               // it is to be told everything
	renew   time.Time          // when it is told that all of it still holds
	moved   time.Time          // when it was told of progress
	retry   time.Time          // nothing is said before
	failed  int                // times in a row
	telling bool               // a call is on its way
	// looked is up to which change of this node's seeds at was worked out.
	looked uint64
	at     time.Time
	idle   bool // there is no seed that it is told of, or could remember
}

// message is an update for a target, and what it will know then.
type message struct {
	update update
	told   map[seed.ID]uint64
	sum    uint64
}

// knows makes a version of a seed what the target will know; 0: it has no such seed.
func (m *message) knows(id seed.ID, version uint64) {
	if old, was := m.told[id]; was {
		m.sum ^= mix(id, old)
		delete(m.told, id)
	}
	if version > 0 {
		m.sum ^= mix(id, version)
		m.told[id] = version
	}
}

// concerns reports whether a target is told of a seed.
func (t *target) concerns(o *own) bool { return t.all || slices.Contains(o.Seed.Trackers, t.id) }

// due says when there is something to say to a target; now or earlier: there is already. edits counts
// the changes of this node's seeds.
func (t *target) due(now time.Time, all map[seed.ID]*own, edits uint64) time.Time {
	switch {
	case t.telling:
		return now.Add(Every)
	case t.retry.After(now):
		return t.retry
	case t.looked != edits:
		t.looked, t.at = edits, t.news(now, all)
	}
	switch {
	case t.idle:
		return t.at // it knows of nothing, and there is nothing
	case t.again:
		return now
	case t.renew.Before(t.at):
		return t.renew
	}
	return t.at
}

// news says when there is something to say that a target does not know.
func (t *target) news(now time.Time, all map[seed.ID]*own) time.Time {
	at := now.Add(365 * 24 * time.Hour)
	n := 0
	for id, o := range all {
		if !t.concerns(o) {
			continue
		}
		n++
		known, is := t.told[id]
		switch {
		case !is || known < o.loud:
			t.idle = false
			return now
		case known < o.version:
			at = t.moved.Add(progressEvery)
		}
	}
	t.idle = n == 0 && len(t.told) == 0
	if n < len(t.told) {
		return now // something is gone
	}
	return at
}

// messages returns what is to be said to a target: what it does not know, or all of it, in parts of
// which each goes without a link, too.
func (t *target) messages(all map[seed.ID]*own) []message {
	known, sum := t.told, t.sum
	if t.again {
		known, sum = nil, 0
	}
	var ids, gone []seed.ID
	for id, o := range all {
		if t.concerns(o) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b seed.ID) int { // what is newest is in the first part
		if d := int64(all[b].loud - all[a].loud); d != 0 {
			return sign(d)
		}
		return compareSeeds(a, b)
	})
	ids = ids[:min(len(ids), MaxSeeds)]
	next := make(map[seed.ID]uint64, len(ids))
	for _, id := range ids {
		next[id] = all[id].version
	}
	for id := range known {
		if _, is := next[id]; !is {
			gone = append(gone, id)
		}
	}
	slices.SortFunc(gone, compareSeeds)

	var out []message
	m := message{update: update{First: t.again}, told: clone(known), sum: sum}
	size := 0
	flush := func() {
		m.update.More = true
		out = append(out, m)
		m, size = message{told: clone(m.told), sum: m.sum}, 0
	}
	for _, id := range gone {
		if size += len(id) + 4; size > maxUpdate-200 {
			flush()
		}
		m.update.Gone = append(m.update.Gone, id)
		m.knows(id, 0)
	}
	for _, id := range ids {
		o, was := all[id], known[id]
		if was == o.version {
			continue
		}
		a := o.announcement(was < o.described)
		n := len(a.Text) + len(a.Name) + 8*len(a.Have.Runs) + 100
		if size += n; size > maxUpdate-200 && len(m.update.Has)+len(m.update.Gone) > 0 {
			flush()
			size = n
		}
		m.update.Has = append(m.update.Has, a)
		m.knows(id, o.version)
	}
	m.update.Sum, m.update.Count = m.sum, uint32(len(m.told))
	return append(out, m)
}

func sign(d int64) int {
	if d < 0 {
		return -1
	}
	return 1
}

func clone(m map[seed.ID]uint64) map[seed.ID]uint64 {
	out := make(map[seed.ID]uint64, len(m))
	for id, v := range m {
		out[id] = v
	}
	return out
}

// announcement is what is said of a seed; whole with what the seed is.
func (o *own) announcement(whole bool) announcement {
	a := announcement{ID: o.Seed.ID(), Version: o.version, Have: o.Have.pack(), Up: kib(o.Up), Down: kib(o.Down), Wants: o.Wants}
	switch {
	case !whole:
	case o.text != nil:
		a.Text = o.text
	default:
		a.Name, a.Size = o.Seed.Name, o.Seed.Size
	}
	return a
}

// kib is a rate as it is told.
func kib(rate int64) uint32 { return uint32(min(max(rate, 0)>>10, 1<<31)) }

// pack returns a message as it is sent.
func (m *message) pack(epoch, seq uint64) ([]byte, error) {
	m.update.Epoch, m.update.Seq = epoch, seq
	return wire.Marshal(request{Update: &m.update})
}
