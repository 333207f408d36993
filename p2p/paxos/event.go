package paxos

import "github.com/shoal-p2p/shoal/p2p"

// Prepared: a proposer has sent a prepare.
type Prepared struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	To       p2p.ID  `json:"to"`
}

// Topic implements p2p.Event.
func (Prepared) Topic() string { return "paxos.prepare" }

// Promised: an acceptor has promised to accept nothing below the ballot, and said what
// it has accepted.
type Promised struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	From     p2p.ID  `json:"from"`
	Accepted Ballot  `json:"accepted"`
}

// Topic implements p2p.Event.
func (Promised) Topic() string { return "paxos.promise" }

// Proposed: a proposer has sent an accept.
type Proposed struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	To       p2p.ID  `json:"to"`
	Version  uint64  `json:"version"`
}

// Topic implements p2p.Event.
func (Proposed) Topic() string { return "paxos.accept" }

// Accepted: an acceptor has accepted what was proposed.
type Accepted struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	From     p2p.ID  `json:"from"`
}

// Topic implements p2p.Event.
func (Accepted) Topic() string { return "paxos.accepted" }

// Conflicted: an acceptor has refused, because of a greater ballot or a newer epoch.
type Conflicted struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	From     p2p.ID  `json:"from"`
	Promised Ballot  `json:"promised"`
	Epoch    uint64  `json:"epoch"`
}

// Topic implements p2p.Event.
func (Conflicted) Topic() string { return "paxos.conflict" }

// Chosen: a majority has accepted a value, and the proposer has learned of it.
type Chosen struct {
	Register p2p.Key `json:"register"`
	Ballot   Ballot  `json:"ballot"`
	Version  uint64  `json:"version"`
	Exists   bool    `json:"exists"`
}

// Topic implements p2p.Event.
func (Chosen) Topic() string { return "paxos.chosen" }

// Moved: a proposer goes on with the acceptors of a newer epoch.
type Moved struct {
	Register p2p.Key `json:"register"`
	Config   Config  `json:"config"`
}

// Topic implements p2p.Event.
func (Moved) Topic() string { return "paxos.epoch" }

// Event returns what is told when a message is sent; nil for those that retire.
func (s Send) Event() p2p.Event {
	m := s.Request
	switch m.Kind {
	case KindPrepare:
		return Prepared{m.Register, m.Ballot, s.To}
	case KindAccept:
		return Proposed{m.Register, m.Ballot, s.To, m.Value.Version}
	}
	return nil
}

// Event returns what is told when an answer of an acceptor comes.
func (r Reply) Event(register p2p.Key, from p2p.ID) p2p.Event {
	switch r.Kind {
	case KindPromise:
		return Promised{register, r.Ballot, from, r.Accepted}
	case KindAccepted:
		return Accepted{register, r.Ballot, from}
	case KindConflict:
		return Conflicted{register, r.Ballot, from, r.Promised, r.Config.Epoch}
	}
	return nil
}
