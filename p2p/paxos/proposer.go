package paxos

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Times of a proposer.
const (
	RoundTimeout = 2 * time.Second       // how long a round waits for a majority
	backoffFirst = 50 * time.Millisecond // at most so long after the first conflict, and twice that after each other one
	backoffMost  = time.Second
)

// follow is by how much a proposer follows the ballots of others in a round: by less than MaxJump, so
// that those who know smaller ones do not take it for a liar.
const follow = MaxJump / 4

// Proposer runs rounds for one register, one operation at a time, as a state machine:
// who holds it sends what it wants sent, tells it what comes back and when its timer has
// run out. Its methods must not be called at the same time.
type Proposer struct {
	self     p2p.ID
	register p2p.Key
	random   *rand.Rand
	run      uint64

	lives func(p2p.ID) byte // in which life each is who becomes an acceptor; nil: as now
	check Check             // of the votes of acceptors; nil: they have none

	config  Config // of the newest epoch that it knows to have been decided
	steps   []Step // to that, as far as it knows them
	counter uint64 // the largest of this epoch that it knows
	moved   bool   // a value has been chosen in this epoch, so that Joint need not be asked
	retired bool   // it has told those who leave
	lease   *lease // what the last round left behind, nil if nothing

	task  *task // the operation; nil between operations
	round round
}

// lease is the promise that came with the last accepts: a majority has accepted value
// and promised for ballot, which is all that a prepare would bring.
type lease struct {
	ballot Ballot
	last   Ballot // with which value was accepted
	value  Value
	votes  map[p2p.ID]Vote // that say so
}

// task is an operation.
type task struct {
	op       *Op
	change   Transform                      // nil: read, or replace the acceptors
	replace  func(Config) ([]p2p.ID, error) // nil: change or read
	sent     bool                           // an accept that has the change is on its way: it may be made at any time
	failures int                            // rounds that came to nothing
}

type phase uint8

const (
	idle phase = iota
	preparing
	accepting
	waiting // for the end of the back-off
)

// round is one attempt, with one ballot.
type round struct {
	phase   phase
	ballot  Ballot
	yes, no map[p2p.ID]bool // who has promised, or accepted; who never will
	votes   map[p2p.ID]Vote // of those who have, if they are signed
	best    Ballot          // the greatest with which one of those who promised had accepted,
	found   Value           // and what,
	digest  p2p.Key         // as the votes say;
	same    int             // how many acceptors of this epoch had accepted that
	value   Value           // proposed
	result  Result          // of the task, once value is chosen,
	err     error           // or the transform's error
}

// Result is what an operation found, or made.
type Result struct {
	Data    []byte
	Exists  bool
	Version uint64
	// Again: the change had been made by an earlier attempt; Data and Version are those of
	// now.
	Again  bool
	Ballot Ballot // with which the value was chosen
	Config Config // in which it was
}

// Send is a message to be sent.
type Send struct {
	To      p2p.ID
	Request Request
}

// Output is what is to be done next.
type Output struct {
	Send   []Send
	Timer  time.Duration // if not 0: forget the timer set before, and call Timeout after so long
	Events []p2p.Event
	Done   bool // the operation has ended, with Result or Err
	Result Result
	Err    error
}

// NewProposer returns a proposer of the node self, which begins with a configuration
// that it knows of the register: any that was decided once will do. The randomness is
// for back-offs, and must give no two proposers of a node the same first number.
func NewProposer(self p2p.ID, register p2p.Key, c Config, random *rand.Rand) *Proposer {
	return &Proposer{self: self, register: register, config: c, random: random, run: random.Uint64()}
}

// Config returns the newest configuration that the proposer knows.
func (p *Proposer) Config() Config { return p.config }

// Update begins a change. It brings op up to date.
func (p *Proposer) Update(op *Op, f Transform) Output {
	return p.begin(&task{op: op, change: f})
}

// Read begins the identity transform.
func (p *Proposer) Read() Output { return p.begin(&task{}) }

// Replace begins a change of the acceptors: f returns those that are wanted instead of
// the current ones. It may be called several times.
func (p *Proposer) Replace(f func(current Config) ([]p2p.ID, error)) Output {
	return p.begin(&task{replace: f})
}

func (p *Proposer) begin(t *task) Output {
	p.task = t
	var out Output
	p.start(&out)
	return out
}

// Abandon ends the operation without a result. sent reports whether a change may have
// been made, or may yet be.
func (p *Proposer) Abandon() (sent bool) {
	sent = p.task.sent
	p.task, p.round, p.lease = nil, round{}, nil
	return sent
}

// Timeout says that the timer has run out.
func (p *Proposer) Timeout() Output {
	var out Output
	switch p.round.phase {
	case waiting:
		p.start(&out)
	case preparing, accepting:
		p.backOff(&out)
	}
	return out
}

// Fail says that no answer of an acceptor to the round of a ballot will come.
func (p *Proposer) Fail(from p2p.ID, ballot Ballot) Output {
	var out Output
	if ballot == p.round.ballot && p.running() {
		p.refused(&out, from)
	}
	return out
}

// Receive takes an answer. What is malformed, late or comes twice changes nothing.
func (p *Proposer) Receive(from p2p.ID, r Reply) Output {
	var out Output
	asked := slices.Contains(p.config.Acceptors, from) || slices.Contains(p.config.Joint, from)
	if !p.running() || !asked || r.check(p.round.ballot) != nil || !p.attested(from, r) {
		return out
	}
	switch {
	case r.Kind == KindConflict:
		p.conflict(&out, from, r)
	case r.Kind == KindPromise && p.round.phase == preparing:
		p.promised(&out, from, r)
	case r.Kind == KindAccepted && p.round.phase == accepting:
		p.accepted(&out, from, r.Vote)
	}
	return out
}

// attested reports whether a promise, or that something was accepted, is signed as it is told.
func (p *Proposer) attested(from p2p.ID, r Reply) bool {
	v := r.Vote
	if p.check == nil || r.Kind == KindConflict {
		return true
	}
	accepted, value := r.Accepted, r.Value
	if r.Kind == KindAccepted {
		accepted, value = p.round.ballot, p.round.value
	}
	digest := p2p.Key{}
	if !accepted.IsZero() {
		digest = value.Head().digest()
	}
	return v.By == from && v.Life == p.config.Life(from) && v.Accepted == accepted && v.Value == digest &&
		(r.Kind == KindAccepted || v.Promised == p.round.ballot) &&
		len(v.Mark) <= maxMark && p.check(from, v.text(p.register, p.config), v.Mark)
}

func (p *Proposer) running() bool { return p.round.phase == preparing || p.round.phase == accepting }

// start begins a round: "the proposer generates a ballot number B and sends prepare
// messages containing that number to the acceptors".
func (p *Proposer) start(out *Output) {
	if l := p.lease; l != nil {
		p.lease = nil
		p.round = round{ballot: l.ballot, best: l.last, found: l.value, same: majority(len(p.config.Acceptors)), votes: l.votes}
		p.propose(out)
		return
	}
	p.counter++
	p.round = round{
		phase: preparing, ballot: Ballot{p.config.Epoch, p.counter, p.self, p.run},
		yes: map[p2p.ID]bool{}, no: map[p2p.ID]bool{}, votes: map[p2p.ID]Vote{},
	}
	to := p.config.Acceptors
	if !p.moved {
		to = p.config.everybody()
	}
	p.send(out, to, Request{Kind: KindPrepare})
	out.Timer = RoundTimeout
}

func (p *Proposer) send(out *Output, to []p2p.ID, m Request) {
	m.Register, m.Ballot, m.Config = p.register, p.round.ballot, p.config
	if !p.moved || m.Kind == KindRetire {
		m.Steps = p.steps
	}
	for _, id := range to {
		out.Send = append(out.Send, Send{id, m})
	}
}

// promised counts a promise: "waits for the F+1 confirmations".
func (p *Proposer) promised(out *Output, from p2p.ID, r Reply) {
	if p.round.yes[from] {
		return
	}
	p.round.yes[from], p.round.votes[from] = true, r.Vote
	// A liar may have had several values accepted with one ballot. Any will do, unless one is sealed.
	if p.round.best.Less(r.Accepted) || p.round.best == r.Accepted && r.Vote.Sealed {
		same := p.round.same
		if p.round.digest != r.Vote.Value || p.round.best != r.Accepted {
			same = 0
		}
		p.round.best, p.round.found, p.round.digest, p.round.same = r.Accepted, r.Value, r.Vote.Value, same
	}
	if p.round.best == r.Accepted && p.round.digest == r.Vote.Value && slices.Contains(p.config.Acceptors, from) {
		p.round.same++
	}
	if p.config.prepared(p.round.best, p.round.yes) {
		p.propose(out)
	} else {
		p.giveUp(out)
	}
}

// shown returns votes in the order of those who gave them.
func shown(votes map[p2p.ID]Vote) []Vote {
	return slices.SortedFunc(maps.Values(votes), func(a, b Vote) int { return a.By.Compare(b.By) })
}

// proof shows what is proposed to be a round's that found something.
func (p *Proposer) proof() Proof {
	r := &p.round
	if p.check == nil {
		return Proof{}
	}
	return Proof{Votes: shown(r.votes), Base: r.found.Head(), Recent: r.found.Recent}
}

// propose applies the task to what was found: "if they all contain the empty value, the
// proposer defines the current state as ∅, otherwise it picks the value of the tuple with
// the highest ballot number; applies f to the current state and sends the result, the new
// state, along with B to the acceptors as an accept message".
func (p *Proposer) propose(out *Output) {
	t, r := p.task, &p.round
	r.value, r.err, r.result = r.found, nil, Result{}
	if p.config.Epoch > 1 && r.best.Epoch < p.config.Epoch {
		// The first value of an epoch is the last one of the epoch before, which names this
		// one. If it is another one, somebody has lied or forgotten.
		if r.found.Next == nil || !r.found.Next.Equal(p.config) {
			p.fail(out, fmt.Errorf("%w: the value of epoch %d does not lead to %d", ErrConfig, r.best.Epoch, p.config.Epoch))
			return
		}
		r.value.Next = nil
	}
	if r.value.Next == nil { // the epoch is open
		p.apply(t, r)
	}
	next := r.ballot.next()
	p.counter = max(p.counter, next.Counter)
	proof := p.proof()
	r.phase, r.yes, r.no, r.votes = accepting, map[p2p.ID]bool{}, map[p2p.ID]bool{}, map[p2p.ID]Vote{}
	p.send(out, p.config.Acceptors, Request{Kind: KindAccept, Value: r.value, Next: next, Proof: proof})
	out.Timer = RoundTimeout
}

// apply computes what is proposed. If the transform fails, the value is proposed as it
// is: what an error says of the value is true only when that has been chosen.
func (p *Proposer) apply(t *task, r *round) {
	switch {
	case t.change != nil:
		var changed Value
		changed, r.result.Again, r.err = r.value.apply(t.op, t.change)
		if r.err == nil && !r.result.Again {
			t.sent = true
			if r.best.Epoch == p.config.Epoch && r.same >= majority(len(p.config.Acceptors)) {
				// What was found was chosen and has not got the change. So whatever is chosen from now
				// on descends from it, and has the change in a later version or not at all.
				t.op.From = changed.Version
			}
		}
		r.value = changed
	case t.replace != nil:
		var want []p2p.ID
		if want, r.err = t.replace(p.config); r.err != nil {
			return
		}
		var next Config
		if next, r.err = p.config.next(want, p.lives); r.err == nil && !sameSet(next) {
			r.value.Next, t.sent = &next, true
		}
	}
}

func sameSet(c Config) bool {
	return len(c.leaving()) == 0 && len(c.Acceptors) == len(c.Joint) && slices.Equal(c.Lives, c.JointLives)
}

// accepted counts: "waits for the F+1 confirmations, returns the new state to the
// client".
func (p *Proposer) accepted(out *Output, from p2p.ID, v Vote) {
	r := &p.round
	r.yes[from], r.votes[from] = true, v
	if within(p.config.Acceptors, r.yes) < majority(len(p.config.Acceptors)) {
		return
	}
	p.moved = true
	out.Events = append(out.Events, Chosen{Register: p.register, Ballot: r.ballot, Version: r.value.Version, Exists: r.value.Exists})
	if !p.retired && p.config.Epoch > 1 {
		p.retired = true
		p.send(out, p.config.leaving(), Request{Kind: KindRetire, Proof: Proof{Votes: shown(r.votes)}})
	}
	if r.value.Next != nil && p.check != nil && !v.Sealed {
		p.lend() // once more, to seal it
		p.start(out)
		return
	}
	if r.value.Next != nil { // the epoch is closed, by this task or another one
		p.adopt(out, *r.value.Next, Step{r.value.Head(), shown(r.votes)})
		p.start(out)
		return
	}
	p.lend()
	result := r.result
	result.Data, result.Exists, result.Version = bytes.Clone(r.value.Data), r.value.Exists, r.value.Version
	result.Ballot, result.Config = r.ballot, p.config
	p.finish(out, result, r.err)
}

// lend keeps the promises for the next ballot that came with the accepts, if they are those of
// a majority: an acceptor that was asked twice may have promised more since.
func (p *Proposer) lend() {
	r := &p.round
	l := lease{r.ballot.next(), r.ballot, r.value, maps.Clone(r.votes)}
	if p.check != nil {
		maps.DeleteFunc(l.votes, func(_ p2p.ID, v Vote) bool { return v.Promised != l.ballot })
		if len(l.votes) < majority(len(p.config.Acceptors)) {
			return
		}
	}
	p.lease = &l
}

func (p *Proposer) finish(out *Output, result Result, err error) {
	p.task, p.round = nil, round{}
	out.Done, out.Result, out.Err = true, result, err
}

// fail ends an operation because something is wrong with the register.
func (p *Proposer) fail(out *Output, err error) {
	if p.task.sent {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	p.finish(out, Result{}, err)
}

// adopt goes on in a newer epoch, to which steps lead.
func (p *Proposer) adopt(out *Output, c Config, steps ...Step) {
	if p.check != nil {
		p.steps = slices.Concat(p.steps, steps)
		p.steps = p.steps[max(0, len(p.steps)-MaxSteps):]
	}
	p.config, p.counter, p.moved, p.retired, p.lease = c, 0, false, false, nil
	out.Events = append(out.Events, Moved{Register: p.register, Config: c})
}

// conflict learns from a refusal: "fast-forwards its counter".
func (p *Proposer) conflict(out *Output, from p2p.ID, r Reply) {
	switch {
	case r.Config.Epoch > p.config.Epoch && r.Config.Epoch-p.config.Epoch > MaxJump:
		return // nobody has decided that
	case r.Config.Epoch > p.config.Epoch:
		to, steps := r.Config, r.Steps
		if p.check != nil {
			if to, steps = Walk(p.register, p.config, r.Steps, p.check); len(steps) == 0 {
				p.refused(out, from)
				return
			}
		}
		p.adopt(out, to, steps...)
		if r.Promised.Epoch == to.Epoch {
			p.counter = min(r.Promised.Counter, follow)
		}
		if p.task.failures++; p.task.failures == 1 {
			p.start(out)
		} else {
			p.backOff(out)
		}
		return
	case r.Config.Epoch == p.config.Epoch && !r.Config.Equal(p.config):
		p.fail(out, fmt.Errorf("%w: register %x, epoch %d", ErrConfig, p.register[:6], p.config.Epoch))
		return
	case r.Promised.Epoch == p.config.Epoch:
		p.counter = max(p.counter, min(r.Promised.Counter, p.counter+follow))
	}
	p.refused(out, from)
}

func (p *Proposer) refused(out *Output, from p2p.ID) {
	if !p.round.yes[from] {
		p.round.no[from] = true
	}
	p.giveUp(out)
}

// giveUp ends a round that cannot succeed any more. Those of the epoch before count
// only when it is known that they are needed: those who have retired refuse.
func (p *Proposer) giveUp(out *Output) {
	lost := func(set []p2p.ID) bool { return len(set)-within(set, p.round.no) < majority(len(set)) }
	carriers := p.config.carriers()
	lostJoint := len(carriers)-within(carriers, p.round.no) < majority(len(p.config.Joint))
	enough := within(p.config.Acceptors, p.round.yes) >= majority(len(p.config.Acceptors))
	if lost(p.config.Acceptors) || enough && !p.config.joined(p.round.best, p.round.yes) && lostJoint {
		p.backOff(out)
	}
}

// backOff waits for a random time before the next round, so that of several proposers
// one is alone for long enough. Others go on meanwhile, perhaps one round trip for each
// ballot. So that its own next ballot is not again below theirs, a proposer that has
// failed several times leaves some out.
func (p *Proposer) backOff(out *Output) {
	t := p.task
	most := min(backoffFirst<<min(t.failures, 10), backoffMost)
	p.counter += 1<<min(t.failures, 10) - 1
	t.failures++
	p.round = round{phase: waiting}
	out.Timer = 1 + time.Duration(p.random.Int64N(int64(most)))
}
