package route

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of what a relay keeps of its clients, and an asker of what relays have told.
const (
	maxStandIns = 64          // as many as relay.DefaultTotal: a client each
	giveEvery   = time.Second // at most so often a client gives a snapshot: each costs a signature
	maxHeld     = 256         // about 1 MiB
)

// standIns are the snapshots that a relay's clients have given it. It decides without clocks and
// networks, and is for one goroutine.
type standIns map[p2p.ID]*standIn

type standIn struct {
	raw   []byte // nil: its node has withdrawn it, and what it sent before may still be on its way
	s     Snapshot
	at    time.Time // when it came
	asked uint64    // how often its node was answered for
}

// take takes a snapshot in that its node has sent, and returns the number of the one that is
// kept now. client says whether this node relays for it. The error is a *p2p.CallError.
func (ss standIns) take(owner Member, network p2p.ID, raw []byte, client bool, now time.Time) (uint64, error) {
	if !client {
		return 0, &p2p.CallError{Code: codeNoClient, Message: "this node does not relay for the one that sends it"}
	}
	s, err := openSnapshot(raw, owner.Key, network, now)
	if err != nil {
		return 0, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	was := ss[owner.ID]
	switch {
	case was != nil && s.Number <= was.s.Number:
		return was.s.Number, nil // the node sees that its own is older
	case len(s.Known) == 0:
		if was != nil || ss.room(now) {
			ss[owner.ID] = &standIn{s: s, at: now}
		}
		return s.Number, nil
	case was.kept() && now.Sub(was.at) < giveEvery:
		return 0, &p2p.CallError{Code: codeTooSoon, Message: "it has just sent one"}
	case was == nil && !ss.room(now):
		return 0, &p2p.CallError{Code: codeBusy, Message: "too many snapshots are kept"}
	}
	next := &standIn{raw: raw, s: s, at: now}
	if was != nil {
		next.asked = was.asked
	}
	ss[owner.ID] = next
	return s.Number, nil
}

// kept reports whether there is a snapshot to answer from.
func (in *standIn) kept() bool { return in != nil && in.raw != nil }

// room forgets what is too old, and what was withdrawn if it must, and reports whether there is room
// for one more.
func (ss standIns) room(now time.Time) bool {
	for id, in := range ss {
		if now.Sub(in.at) > SnapshotAge {
			delete(ss, id)
		}
	}
	for id, in := range ss {
		if len(ss) >= maxStandIns && !in.kept() {
			delete(ss, id)
		}
	}
	return len(ss) < maxStandIns
}

// answer decides what is said for a node. client says whether this node relays for it, and gone
// for how long there has been no link to it. The error is a *p2p.CallError: then the node
// itself is to be asked.
func (ss standIns) answer(q standInRequest, client bool, gone time.Duration, now time.Time) (standInResponse, error) {
	in := ss[q.For]
	switch {
	case !in.kept():
		return standInResponse{}, &p2p.CallError{Code: codeNoStand, Message: "there is no snapshot of it"}
	case !client:
		delete(ss, q.For)
		return standInResponse{}, &p2p.CallError{Code: codeNoClient, Message: "this node does not relay for it any more"}
	case now.Sub(in.at) > SnapshotAge:
		delete(ss, q.For)
		return standInResponse{}, &p2p.CallError{Code: codeNoStand, Message: "the snapshot of it is too old"}
	case gone > SnapshotGone:
		return standInResponse{}, &p2p.CallError{Code: codeUnreachable, Message: "it has been gone for too long"}
	}
	in.asked++
	a := standInResponse{Number: in.s.Number, Age: uint64(now.Sub(in.at) / time.Millisecond)}
	if gone > 0 {
		a.Gone = uint64(max(gone/time.Millisecond, 1))
	}
	if !q.Ping && q.Have != in.s.Number {
		a.Snapshot = in.raw
	}
	return a, nil
}

// held are the newest snapshots of others that this node has been told of, by their nodes.
// It is for one goroutine.
type held map[p2p.ID]Snapshot

// accept checks what a relay has answered for a member, and returns the snapshot that is
// meant. The error is a *p2p.CallError made here, or that of openSnapshot.
func (h held) accept(owner Member, network p2p.ID, a standInResponse, now time.Time) (Snapshot, error) {
	if err := a.fresh(); err != nil {
		return Snapshot{}, err
	}
	was, known := h[owner.ID]
	s := was
	switch {
	case known && a.Number < was.Number:
		return Snapshot{}, &p2p.CallError{Code: codeSeen, Message: "a newer snapshot is known"}
	case len(a.Snapshot) == 0 && (!known || a.Number != was.Number || !plausible(was.Number, now)):
		return Snapshot{}, &p2p.CallError{Code: codeMalformed, Message: "no snapshot of this day"}
	case len(a.Snapshot) > 0:
		var err error
		if s, err = openSnapshot(a.Snapshot, owner.Key, network, now); err != nil {
			return Snapshot{}, err
		}
		if s.Number != a.Number || len(s.Known) == 0 {
			return Snapshot{}, &p2p.CallError{Code: codeMalformed, Message: "another snapshot than it says"}
		}
	}
	for id := range h {
		if len(h) < maxHeld || known {
			break
		}
		delete(h, id) // whichever: it costs its bytes once more
	}
	h[owner.ID] = s
	return s, nil
}

// fresh reports whether what a relay says is not too old.
func (a standInResponse) fresh() error {
	if a.Age > uint64(SnapshotAge/time.Millisecond) || a.Gone > uint64(SnapshotGone/time.Millisecond) {
		return &p2p.CallError{Code: codeNoStand, Message: "the snapshot is too old, or its node gone for too long"}
	}
	return nil
}

// by is the answer as it is shown.
func (a standInResponse) by(relay p2p.ID) StandIn {
	return StandIn{Relay: relay, Age: time.Duration(a.Age) * time.Millisecond, Gone: time.Duration(a.Gone) * time.Millisecond}
}

// reach is how this node reaches a member.
type reach int

const (
	unlinked reach = iota
	relayed        // over a link through a relay
	straight
)

// inPlaceOf returns which relays of a member are asked in its place, best first. Over a link that
// goes through no relay the member is asked itself; over another one, and if there is none,
// its relay is nearer. Who has a link to it need not look for the relay.
func inPlaceOf(member reach, relays []p2p.ID, to func(p2p.ID) reach) []p2p.ID {
	if member == straight {
		return nil
	}
	var out []p2p.ID
	for _, want := range []reach{straight, relayed, unlinked} {
		for _, id := range relays {
			if to(id) == want && (member == unlinked || want == straight) {
				out = append(out, id)
			}
		}
	}
	return out[:min(len(out), maxRelaysAsked)]
}

// maxRelaysAsked is how many relays of one member are asked: as many as one has in use.
const maxRelaysAsked = 2

// nearest returns who of a snapshot is nearest to a key, nearest first, and how many of it are
// no members: neither its owner nor those that skip names.
func nearest(s Snapshot, key p2p.Key, n int, member func(p2p.ID) (Member, bool), skip ...p2p.ID) (members []Member, strangers int) {
	for _, id := range s.Known {
		if m, ok := member(id); !ok {
			strangers++
		} else if !slices.Contains(skip, id) && at(members, id) < 0 {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return a.Position.Distance(key).Compare(b.Position.Distance(key)) })
	return members[:min(len(members), n)], strangers
}
