package paxos

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/shoal-p2p/shoal/p2p"
)

// mac is a Signer for tests, in which nobody signs for somebody else.
type mac p2p.ID

func (m mac) Sign(text []byte) []byte { return macOf(p2p.ID(m), text) }

func (mac) Check(by p2p.ID, text, mark []byte) bool { return bytes.Equal(mark, macOf(by, text)) }

func macOf(by p2p.ID, text []byte) []byte {
	sum := sha256.Sum256(append(by[:], text...))
	return sum[:8]
}

// lie has a node send what no honest proposer sends: with a ballot of its own that is greater
// than all there are, and whatever votes it can get.
func (n *simNode) lie() {
	s := n.s
	if s.calm {
		return
	}
	s.after(s.between(s.lies/2, s.lies*3/2), n.lie)
	best := s.newest(theRegister)
	if !n.up || best.IsZero() {
		return
	}
	s.counts.lies++
	ballot := Ballot{Epoch: best.Config.Epoch, Counter: best.Promised.Counter + 1, Proposer: n.id, Run: s.random.Uint64()}
	config, junk := best.Config, Value{Exists: true, Data: []byte("junk,"), Version: 1, Recent: []OpID{{0xba, 0xd}}}
	if s.chance(0.3) { // an epoch that nobody has decided
		next, err := config.next(s.some(1+s.random.IntN(3), func(m *simNode) bool { return m.up }), nil)
		if err != nil {
			return
		}
		config, ballot = next, Ballot{Epoch: next.Epoch, Counter: 1, Proposer: n.id, Run: ballot.Run}
	}
	promises := Request{Kind: KindPrepare, Register: theRegister, Ballot: ballot, Config: config}
	var votes []Vote
	var found Reply
	prepare := s.chance(0.7) // else there are no votes
	for _, id := range config.everybody() {
		if prepare {
			n.tell(id, promises, func(r Reply) {
				if r.Kind == KindPromise {
					votes = append(votes, r.Vote)
					if len(votes) == 1 || found.Accepted.Less(r.Accepted) {
						found = r
					}
				}
			})
		}
	}
	s.after(100*time.Millisecond, func() {
		if !n.up {
			return
		}
		if len(votes) > 0 && config.Equal(best.Config) && s.counts.doubled < 3 && s.chance(0.3) {
			n.equivocate(promises, votes, found.Value)
			return
		}
		m := n.pretend(Request{Kind: KindAccept, Register: theRegister, Ballot: ballot, Config: config, Value: junk}, votes, best.Value)
		for _, id := range config.everybody() {
			n.tell(id, m, func(Reply) {})
		}
	})
}

// equivocate has several values accepted with one ballot, of which each follows from what was found.
// They are changes that were made or not.
func (n *simNode) equivocate(m Request, votes []Vote, found Value) {
	s := n.s
	s.counts.doubled++
	m.Kind, m.Proof = KindAccept, Proof{Votes: votes, Base: found.Head(), Recent: found.Recent}
	var values []Value
	for i := range 2 {
		word := fmt.Sprintf("%d.%d-%d,", len(s.people)+1, s.counts.doubled, i)
		v, _, err := found.apply(&Op{ID: s.newOp().ID}, appendWord(word))
		if err != nil || found.Next != nil {
			return
		}
		in := simIn{kind: "append", word: word}
		s.history = append(s.history, porcupine.Operation{
			ClientId: len(s.people) + 1 + s.counts.doubled, Input: in, Call: int64(s.now), Output: simOut{unknown: true}, Return: int64(1 << 62),
		})
		values = append(values, v)
	}
	if next, err := m.Config.next(s.some(1+s.random.IntN(5), func(m *simNode) bool { return m.up }), nil); err == nil && s.replace && s.chance(0.5) {
		values[1] = found
		values[1].Next = &next
	}
	for _, id := range m.Config.Acceptors {
		m.Value = values[s.random.IntN(2)]
		n.tell(id, m, func(Reply) {})
	}
}

// pretend makes of a request one that no honest proposer sends. found is what there is.
func (n *simNode) pretend(m Request, votes []Vote, found Value) Request {
	after := func(v Value, more uint64) { // what would follow from a value
		m.Proof.Base, m.Proof.Recent = v.Head(), v.Recent
		m.Value.Version, m.Value.Recent = v.Version+more, append(slices.Clone(kept(v.Recent)), OpID{0xba, 0xd})
	}
	after(found, 1)
	m.Proof.Votes = votes
	kinds, empty := 6, Value{}.Head().digest()
	if slices.ContainsFunc(votes, func(v Vote) bool { return !v.Accepted.IsZero() }) &&
		!slices.ContainsFunc(votes, func(v Vote) bool { return v.Value == empty }) {
		kinds = 7
	}
	switch n.s.random.IntN(kinds) {
	case 0:
		m.Proof.Votes = nil
	case 1: // few, each several times
		few := votes[:min(len(votes), majority(len(m.Config.Acceptors))-1)]
		m.Proof.Votes = slices.Concat(few, few)
	case 2: // few
		m.Proof.Votes = votes[:min(len(votes), majority(len(m.Config.Acceptors))-1)]
	case 3: // in which something else stands
		after(Value{}, 1)
		m.Proof.Votes = slices.Clone(votes)
		for i := range votes {
			m.Proof.Votes[i].Accepted, m.Proof.Votes[i].Value, m.Proof.Votes[i].Promised.Counter = Ballot{}, p2p.Key{}, m.Ballot.Counter
			m.Proof.Votes[i].Mark = append(slices.Clone(votes[i].Mark), 1)
		}
	case 4: // what was found is not what follows
		after(found, 2)
		m.Value.Recent = m.Value.Recent[max(0, len(m.Value.Recent)-int(min(m.Value.Version, Window))):]
		for len(m.Value.Recent) < int(min(m.Value.Version, Window)) {
			m.Value.Recent = append(m.Value.Recent, OpID{0xba})
		}
	case 6: // nothing was found
		after(Value{}, 1)
	case 5: // others have the value
		m.Kind = KindRetire
		m.Proof.Votes = votes[:min(len(votes), 1)]
	}
	return m
}

func (n *simNode) tell(to p2p.ID, m Request, reply func(Reply)) {
	other := n.s.node(to)
	n.s.send(n, other, func() {
		other.answer(m, func(r Reply, _ Age) { n.s.send(other, n, func() { reply(r) }) })
	})
}

// newest returns the state of the acceptor that has accepted last.
func (s *sim) newest(register p2p.Key) (best State) {
	for _, n := range s.nodes {
		if st := n.memory[register]; n.up && !st.Retired && (best.IsZero() || best.Promised.Less(st.Promised)) {
			best = st
		}
	}
	return best
}
