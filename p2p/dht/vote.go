package dht

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// A replica believes that a majority has prepared a version only where it sees their votes.
//
// Not all that makes a version visible says so. A put of a version that nobody has prepared, one
// that says Fork, and a copy that somebody else brings than its author claim no majority: forks are
// found, or kept, and seen. But where the author of a version has prepared it at a replica, all that
// it brings in its place confirms it, whatever it says of itself, unless it says Fork: that needs the
// votes. Others bring copies of what was confirmed to them.
//
// A replica votes for a version only if it holds no other one that replaces the same. A vote is for
// one sequence number, and proves nothing of a version that was prepared under a larger one. Sequence
// numbers are times, at most a day off (maxSkew), so that no votes count that are older than two days:
// with those that are not, a replica that has heard of nothing since can be misled, for nobody takes
// his vote back. Who is to vote, and how many votes are enough, each replica decides by whom it sees
// itself, so that it does not help to pretend that there are few. Replicas that lie too can vote for
// two versions. What comes of all that is a fork, and is seen.

// ErrNoQuorum: replicas do not see that a majority has prepared the version.
var ErrNoQuorum = errors.New("no majority is seen to have prepared it")

// versionContext says what the vote of a replica is about.
const versionContext = "shoal version vote"

// Bounds of votes.
const (
	maxVotes  = MaxReplicas
	maxProofs = 64 // of one message are looked at
	voteSize  = 110
	// maxConfirmed is of how many versions a node keeps the votes that it has got for them.
	maxConfirmed = 256
)

// Vote is the word of a replica that it has prepared a version. It tells itself whose it is.
type Vote struct {
	Key ed25519.PublicKey `cbor:"1,keyasint"`
	Sig []byte            `cbor:"2,keyasint"`
}

// Quorum is the votes of those who have prepared a version under one sequence number.
type Quorum struct {
	Seq   uint64 `cbor:"1,keyasint"`
	Votes []Vote `cbor:"2,keyasint"`
}

// voteText is what a replica signs: what there is of a header when it is prepared and when it is
// confirmed.
func voteText(network, voter p2p.ID, h Header, seq uint64) []byte {
	h.Seq, h.Prepared, h.TTL, h.Protect, h.Owner = seq, true, 0, 0, nil
	return slices.Concat(network[:], voter[:], h.encode())
}

// newVote votes for a version.
func newVote(voter p2p.Identity, network p2p.ID, h Header) Vote {
	return Vote{Key: voter.PublicKey(), Sig: voter.Sign(versionContext, voteText(network, voter.ID(), h, h.Seq))}
}

// of reports whether the vote is that of its voter for the version that h prepares or confirms.
func (v Vote) of(network p2p.ID, h Header, seq uint64) bool {
	return p2p.Verify(v.Key, versionContext, voteText(network, p2p.IDOf(v.Key), h, seq), v.Sig)
}

// checkVote reports what is wrong with the answer of a replica that says that it has prepared a
// version.
func (t *Table) checkVote(by p2p.ID, h Header, r result) error {
	switch {
	case !h.Prepared || !r.Status.Stored():
		return nil
	case r.Vote == nil || p2p.IDOf(r.Vote.Key) != by || !r.Vote.of(t.o.Network(), h, h.Seq):
		return fmt.Errorf("dht: vote for version %s: %w", h.Version, ErrSignature)
	}
	return nil
}

// quorums checks what proves that versions were prepared by a majority. It is for one message.
type quorums struct {
	t    *Table
	view view
	seen int
}

// proved returns up to which sequence number a majority of those who are to keep a version has
// prepared it, as this node sees it; 0: none. forged is true where somebody is said to have voted who
// has not.
func (c *quorums) proved(h Header, q *Quorum) (seq uint64, forged bool) {
	if c.seen++; c.seen > maxProofs || len(q.Votes) > maxVotes {
		return 0, false
	}
	n := c.t.Replicas()
	majority := len(c.view.replicas(h.Location, c.view.want(h.Location, n)))/2 + 1
	votes := c.eligible(h.Location, q.Votes, n)
	if len(votes) < majority {
		return 0, false
	}
	network := c.t.o.Network()
	for _, v := range votes[:majority] {
		if !v.of(network, h, q.Seq) {
			return 0, true
		}
	}
	return q.Seq, false
}

// eligible returns the votes of different members that are near enough to a location.
func (c *quorums) eligible(location p2p.Key, votes []Vote, n int) (out []Vote) {
	var voters []p2p.ID
	for _, v := range votes {
		id := p2p.IDOf(v.Key)
		if !slices.Contains(voters, id) && c.t.mayKeep(c.view, id, location, n) {
			voters, out = append(voters, id), append(out, v)
		}
	}
	return out
}

// unproved reports whether a write would make a version visible that its author has prepared here,
// and nobody knows that a majority has done so. old is what is at its address.
func (w Write) unproved(old Held, found bool) bool {
	r := w.Record
	return found && old.Kind == KindValue && old.Prepared && r.Kind == KindValue && !r.Prepared && !w.Fork &&
		(!w.Repair || w.own) && bytes.Equal(old.Author, r.Author) && w.proved < old.Seq
}

// confirmed are the votes for versions that this node has confirmed, as long as replicas may hold
// them as prepared: copies that it brings them are of its own versions.
type confirmed struct {
	mu sync.Mutex // guards of
	of map[Address]votes
}

type votes struct {
	quorum *Quorum
	until  time.Time
}

// note keeps votes.
func (c *confirmed) note(a Address, q *Quorum, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, v := range c.of {
		if now.After(v.until) {
			delete(c.of, a)
		}
	}
	if len(c.of) >= maxConfirmed {
		return
	}
	if c.of == nil {
		c.of = map[Address]votes{}
	}
	c.of[a] = votes{q, now.Add(prepareTTL)}
}

// votes returns those for a version of this node that others may hold as prepared, nil: there are none.
func (t *Table) votes(h Header) *Quorum {
	t.confirmed.mu.Lock()
	defer t.confirmed.mu.Unlock()
	v := t.confirmed.of[h.Address]
	if h.Prepared || p2p.IDOf(h.Author) != t.self || t.o.Now().After(v.until) {
		return nil
	}
	return v.quorum
}
