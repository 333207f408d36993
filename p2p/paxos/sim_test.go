package paxos

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/shoal-p2p/shoal/p2p"
)

// sim is a world of nodes, people and bad luck, in virtual time and in one goroutine:
// what happens depends on the seed only.
type sim struct {
	settings
	random *rand.Rand
	now    time.Duration
	queue  queue
	seq    int
	nodes  []*simNode
	people []*person
	cut    map[[2]*simNode]bool // from, to
	calm   bool                 // the bad luck is over
	// decided is what the directory has told anybody of a register.
	decided map[p2p.Key]Config
	liars   []*simNode

	history []porcupine.Operation
	log     []string
	wrong   []string
	counts  counts
}

type settings struct {
	seed      uint64
	nodes     int // of which the first `anchors` keep the directory at first
	people    int
	ops       int           // of each person
	chaos     time.Duration // how long there is bad luck
	loss      float64
	double    float64 // messages that come twice
	late      float64 // messages that come minutes late
	storm     bool    // messages take up to half a second, and people do not rest
	crashes   bool
	cuts      bool
	churn     time.Duration // a node goes for ever, and another one comes, every so often
	replace   bool          // acceptors are replaced
	views     bool          // people see different members, each their own
	noDir     bool          // and trust in what they see
	appending bool          // people do nothing but append
	founder   bool          // the first node alone keeps the directory, gives it to others, and goes for ever
	crowd     int           // other registers that people have come before with
	rollbacks bool          // the disk of one node is put back to an earlier time, again and again
	lies      time.Duration // one node lies about majorities, so often on the average
}

const anchors = 5

type counts struct{ messages, rounds, chosen, moved, crashes, unknown, again, ops, lies, refused, unshown, doubled int }

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now + d, s.seq, do})
}

func (s *sim) chance(p float64) bool { return p > 0 && s.random.Float64() < p }

// between returns a random duration.
func (s *sim) between(a, b time.Duration) time.Duration {
	return a + time.Duration(s.random.Int64N(int64(b-a)))
}

func (s *sim) logf(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%9.3fs ", s.now.Seconds())+fmt.Sprintf(format, args...))
}

// simNode is a computer with a disk, on which the last changes arrive late.
type simNode struct {
	s      *sim
	id     p2p.ID
	name   int
	up     bool
	gone   bool // for ever
	run    int  // how often it was switched on
	speed  float64
	memory map[p2p.Key]State
	disk   map[p2p.Key]State
	synced time.Duration // when all that was written so far is on the disk

	age     Age // of memory
	diskAge Age
	seen    map[*simNode]Age // of others
	deaf    bool             // it answers nothing before it has asked all others how old they have seen it
}

func (s *sim) addNode() *simNode {
	n := &simNode{s: s, name: len(s.nodes), up: true, disk: map[p2p.Key]State{}, memory: map[p2p.Key]State{}, seen: map[*simNode]Age{}}
	n.id[0], n.id[1], n.id[31] = byte(s.random.Uint32()), byte(s.random.Uint32()), byte(n.name+1)
	n.speed = []float64{1, 1, 0.5, 1.7}[s.random.IntN(4)]
	s.nodes = append(s.nodes, n)
	return n
}

func (s *sim) node(id p2p.ID) *simNode {
	return s.nodes[slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.id == id })]
}

func (n *simNode) crash() {
	n.up = false
	n.run++
	n.memory = nil
	n.s.counts.crashes++
	n.s.logf("node %d crashes", n.name)
}

func (n *simNode) restart() {
	if n.up || n.gone {
		return
	}
	n.up = true
	n.run++
	n.memory, n.age = maps.Clone(n.disk), n.diskAge
	n.synced = n.s.now
	n.s.logf("node %d is back", n.name)
}

// send carries something from one node to another, or does not.
func (s *sim) send(from, to *simNode, deliver func()) {
	s.counts.messages++
	copies := 1
	if !s.calm && s.chance(s.double) {
		copies = 2
	}
	for range copies {
		if !s.calm && s.chance(s.loss) || s.cut[[2]*simNode{from, to}] {
			continue
		}
		delay := s.between(time.Millisecond, 40*time.Millisecond)
		if s.storm && !s.calm {
			delay = s.between(time.Millisecond, 500*time.Millisecond)
		}
		if !s.calm && s.chance(s.late) {
			delay = s.between(time.Second, 3*time.Minute)
		}
		s.after(delay, func() {
			if to.up {
				deliver()
			}
		})
	}
}

// told: somebody has seen a node of this age.
func (n *simNode) told(seen Age) {
	if n.age.Behind(seen) {
		n.s.logf("node %d is %+v, and was seen %+v", n.name, n.age, seen)
		n.age = n.age.Renewed(seen)
		n.diskAge = n.age
	}
}

// saw notes the age of another node.
func (n *simNode) saw(other *simNode, age Age) {
	if n.seen[other].Behind(age) {
		n.seen[other] = age
	}
}

// rollBack puts the disk of a node to what it was a while ago, and starts it again. Its links
// end with it: nobody hears what it has said before any more.
func (n *simNode) rollBack() {
	if n.s.calm {
		return
	}
	n.s.after(n.s.between(5*time.Second, 30*time.Second), n.rollBack)
	if !n.up {
		return
	}
	disk, age, seen := maps.Clone(n.disk), n.diskAge, maps.Clone(n.seen)
	n.s.after(n.s.between(10*time.Millisecond, 4*time.Second), func() {
		if !n.up || n.s.calm {
			return
		}
		n.crash()
		n.disk, n.diskAge, n.seen = disk, age, seen
		n.s.after(n.s.between(time.Millisecond, 2*time.Second), func() {
			n.restart()
			n.ask()
		})
	})
}

// ask asks all others how old they have seen this node.
func (n *simNode) ask() {
	n.deaf = true
	left := len(n.s.nodes) - 1
	for _, other := range n.s.nodes {
		if other == n {
			continue
		}
		n.s.after(n.s.between(time.Millisecond, 40*time.Millisecond), func() {
			seen := other.seen[n]
			n.s.after(n.s.between(time.Millisecond, 40*time.Millisecond), func() {
				n.told(seen)
				if left--; left == 0 {
					n.deaf = false
				}
			})
		})
	}
}

// answer lets a node answer, once what it says is on its disk.
func (n *simNode) answer(m Request, reply func(Reply, Age)) {
	if n.deaf || !n.age.Serves(n.id, m.Config) {
		return
	}
	if err := m.proven(mac(n.id).Check); err != nil {
		n.s.refused(m, err)
		return
	}
	before := n.memory[m.Register]
	if before.IsZero() && !n.s.noDir {
		before.Config = n.s.decided[m.Register] // as the directory says
	}
	if before.Lacks(m) {
		m.Steps = n.missed(m, before)
	}
	state, r, err := before.Answer(n.id, m, mac(n.id).Check)
	if err != nil {
		if errors.Is(err, ErrNoQuorum) {
			n.s.counts.unshown++
			n.s.logf("node %d is not shown: %v; has %d, shown %d", n.name, err, len(before.Steps), len(m.Steps))
		}
		return
	}
	switch r.Kind {
	case KindConflict:
		r.Steps = stepsAfter(state.Steps, m.Config.Epoch, MaxSteps)
	case KindPromise, KindAccepted:
		r.Vote = state.vote(n.id, n.age.Life).signed(m.Register, state.Config, mac(n.id))
	}
	if !state.equal(before) {
		n.age.Changes++
	}
	n.memory[m.Register] = state
	n.synced = max(n.synced, n.s.now+n.s.between(100*time.Microsecond, 15*time.Millisecond))
	run, age := n.run, n.age
	n.s.after(n.synced-n.s.now, func() {
		if n.run == run {
			n.disk[m.Register] = state
			if n.diskAge.Behind(age) {
				n.diskAge = age
			}
			reply(r, age)
		}
	})
}

// missed asks others for the steps to a request's epoch.
func (n *simNode) missed(m Request, s State) []Step {
	return Missed(m, s, mac(n.id).Check, func(id p2p.ID, after uint64) []Step {
		other := n.s.node(id)
		if !other.up || n.s.cut[[2]*simNode{n, other}] || n.s.cut[[2]*simNode{other, n}] {
			return nil
		}
		return stepsAfter(other.memory[m.Register].Steps, after, MaxSteps)
	})
}

// refused notes that somebody was not believed who does not lie.
func (s *sim) refused(m Request, err error) {
	if !errors.Is(err, ErrNoQuorum) {
		return
	}
	s.counts.refused++
	if !slices.ContainsFunc(s.liars, func(n *simNode) bool { return n.id == m.Ballot.Proposer }) {
		s.wrong = append(s.wrong, fmt.Sprintf("an honest node was refused: %v", err))
	}
}

// session is a proposer on a node.
type session struct {
	n        *simNode
	run      int
	register p2p.Key
	p        *Proposer
	timer    int
	done     func(Output)
}

func (n *simNode) session(register p2p.Key, c Config) *session {
	p := NewProposer(n.id, register, c, n.s.random)
	p.lives, p.check = n.lives, mac(n.id).Check
	return &session{n: n, run: n.run, register: register, p: p}
}

// lives says in which life somebody is, as far as a node has seen.
func (n *simNode) lives(id p2p.ID) byte {
	if id == n.id {
		return n.age.Life
	}
	return n.seen[n.s.node(id)].Life
}

// alive reports whether the session has not ended with a crash of its node.
func (x *session) alive() bool { return x != nil && x.n.run == x.run }

// begin starts an operation. done gets its last output, or if it takes longer than
// patience, one with the error ErrUnknown, or errNothing if nothing can have been changed.
func (x *session) begin(patience time.Duration, start func(p *Proposer) Output, done func(Output)) {
	ended := false
	x.done = func(o Output) { ended = true; x.timer++; done(o) }
	x.n.s.after(patience, func() {
		if ended || !x.alive() {
			return
		}
		err := errNothing
		if x.p.Abandon() {
			err = ErrUnknown
		}
		x.done(Output{Done: true, Err: err})
	})
	x.out(start(x.p))
}

var errNothing = errors.New("nothing was changed")

func (x *session) out(o Output) {
	s := x.n.s
	for _, e := range o.Events {
		switch e := e.(type) {
		case Chosen:
			s.counts.chosen++
		case Moved:
			s.counts.moved++
			s.logf("node %d goes on in epoch %d: %s", x.n.name, e.Config.Epoch, s.names(e.Config.Acceptors))
		}
	}
	for _, m := range o.Send {
		// What a node tells others of its age is true of what it asks them: it asks itself first.
		if s.rollbacks && m.To == x.n.id {
			x.n.answer(m.Request, func(r Reply, _ Age) {
				if x.alive() {
					x.out(x.p.Receive(x.n.id, r))
				}
			})
		}
	}
	for i, m := range o.Send {
		if i == 0 && m.Request.Kind == KindPrepare {
			s.counts.rounds++
		}
		to := s.node(m.To)
		deliver := func() {
			s.send(x.n, to, func() {
				to.saw(x.n, x.n.diskAge)
				to.told(x.n.seen[to])
				run := to.run
				to.answer(m.Request, func(r Reply, age Age) {
					s.send(to, x.n, func() {
						if x.alive() && (!s.rollbacks || to.run == run) {
							x.n.saw(to, age)
							x.out(x.p.Receive(to.id, r))
						}
					})
				})
			})
		}
		if !s.rollbacks {
			deliver()
			continue
		}
		if to == x.n { // first, see below
			continue
		}
		s.after(max(0, x.n.synced-s.now), func() {
			if x.alive() {
				deliver()
			}
		})
	}
	if o.Timer > 0 {
		x.timer++
		timer := x.timer
		s.after(time.Duration(float64(o.Timer)*x.n.speed), func() {
			if x.alive() && x.timer == timer {
				x.out(x.p.Timeout())
			}
		})
	}
	if o.Done {
		x.done(o)
	}
}

func (s *sim) names(ids []p2p.ID) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, " %d", s.node(id).name)
	}
	return strings.TrimSpace(b.String())
}

// theRegister is the one that everybody changes.
var theRegister = p2p.Key{1}

func (s *sim) anchorConfig() Config {
	var ids []p2p.ID
	for _, n := range s.nodes[:anchors] {
		ids = append(ids, n.id)
	}
	c, _ := NewConfig(ids)
	return c
}

// view returns what somebody takes for the nearest nodes: everybody the same, or each a
// few of his own.
func (s *sim) view() []p2p.ID {
	if s.views {
		return s.some(1+2*s.random.IntN(3), func(n *simNode) bool { return !n.gone && !(s.founder && n.name == 0) })
	}
	return s.anchorConfig().Acceptors[:3]
}

// some returns the IDs of n nodes that are fit, or all that are.
func (s *sim) some(n int, fit func(*simNode) bool) []p2p.ID {
	var ids []p2p.ID
	for _, i := range s.random.Perm(len(s.nodes)) {
		if fit(s.nodes[i]) && len(ids) < n {
			ids = append(ids, s.nodes[i].id)
		}
	}
	return ids
}

// network is the one that everybody is in.
var network = p2p.ID{9}

// root is where the directory begins for somebody on a node: with what all know, or what
// others say that can be asked, who may be a few only.
func (s *sim) root() Place {
	c := s.anchorConfig()
	if s.founder {
		c, _ = NewConfig([]p2p.ID{s.nodes[0].id})
	}
	at := Root(network, c)
	s.told(at.Key, c)
	for _, id := range s.some(max(3, len(s.nodes)*3/4), func(n *simNode) bool { return n.up }) {
		if heard := s.node(id).memory[at.Key].Config; heard.Epoch > at.Config.Epoch {
			at.Config = heard
		}
	}
	return at
}

// locate finds the configuration of theRegister for somebody on a node.
func (s *sim) locate(n *simNode, view []p2p.ID, found func(Config)) {
	initial, err := newConfig(view, n.lives)
	if err != nil {
		panic(err)
	}
	if s.noDir {
		found(initial)
		return
	}
	s.enter(n, s.root(), theRegister, initial, found)
}

// enter goes from page to page until one has the register.
func (s *sim) enter(n *simNode, at Place, register p2p.Key, initial Config, found func(Config)) {
	s.write(n, at, Enter(register, initial), func(p Page) {
		c, next, here, err := p.Find(at, register)
		switch {
		case err != nil:
			s.wrong = append(s.wrong, err.Error())
		case here:
			s.told(register, c)
			found(c)
		default:
			s.told(next.Key, next.Config)
			s.enter(n, next, register, initial, found)
		}
	})
}

// told notes what the directory says of a register, which who becomes its acceptor asks for.
func (s *sim) told(register p2p.Key, c Config) {
	if s.decided[register].Epoch < c.Epoch {
		s.decided[register] = c
	}
}

// note writes down that theRegister has others.
func (s *sim) note(n *simNode, at Place, c Config) {
	s.write(n, at, Advance(at, theRegister, c), func(Page) {})
	s.write(n, at, Enter(theRegister, c), func(p Page) { // to follow: it is there
		if _, next, here, err := p.Find(at, theRegister); err == nil && !here {
			s.note(n, next, c)
		}
	})
}

// write changes a page; done is not called if that fails.
func (s *sim) write(n *simNode, at Place, f Transform, done func(Page)) {
	op := s.newOp()
	n.session(at.Key, at.Config).begin(time.Minute,
		func(p *Proposer) Output { return p.Update(&op, f) },
		func(o Output) {
			var p Page
			if (o.Err == nil || errors.Is(o.Err, errKept)) && p.Decode(o.Result.Data) == nil {
				done(p)
			}
		})
}

// found lets the first node, which has founded the network, give the directory to others, and
// then go for ever.
func (s *sim) found() {
	n := s.nodes[0]
	if n.gone {
		return
	}
	retry := func() { s.after(2*time.Second, s.found) }
	if !n.up {
		retry()
		return
	}
	keepers := append(s.some(4, func(m *simNode) bool { return m.up && m != n }), n.id)
	at := s.root()
	n.session(at.Key, at.Config).begin(20*time.Second, func(p *Proposer) Output {
		return p.Replace(func(c Config) ([]p2p.ID, error) {
			if c.Epoch > 1 {
				return c.Acceptors, nil
			}
			return keepers, nil
		})
	}, func(o Output) {
		if o.Err != nil {
			retry()
			return
		}
		n.gone = true
		s.logf("node %d has given the directory to%s, and goes for ever", n.name, " "+s.names(o.Result.Config.Acceptors))
		n.crash()
	})
}

func (s *sim) newOp() Op {
	var op Op
	for i := range op.ID {
		op.ID[i] = byte(s.random.Uint32())
	}
	return op
}

// person wants one thing after the other, on one node.
type person struct {
	s       *sim
	name    int
	n       *simNode
	x       *session
	view    []p2p.ID
	left    int
	seen    simState // the value seen last
	version uint64   // and its version
	busy    bool
}

// simIn is what is wanted, simOut what came of it.
type simIn struct {
	kind string // "append", "read", "cas", "delete"
	word string
	old  simState
}

type simOut struct {
	unknown, again, differs bool
	state                   simState
	last                    string // the value in the end, if nothing but appends was done
}

type simState struct {
	exists bool
	data   string
}

func (o simOut) String() string {
	switch {
	case o.unknown:
		return "unknown"
	case o.again:
		return "made before"
	case o.differs:
		return "refused: " + o.state.String()
	}
	return o.state.String()
}

func (v simState) String() string {
	if !v.exists {
		return "nothing"
	}
	return "…" + v.data[max(0, len(v.data)-60):]
}

func (p *person) next() {
	if p.left == 0 {
		p.busy = false
		return
	}
	p.busy = true
	p.left--
	p.s.counts.ops++
	in := simIn{kind: "append", word: fmt.Sprintf("%d.%d,", p.name, p.left)}
	if !p.s.appending {
		in.kind = []string{"append", "append", "append", "read", "read", "cas", "cas", "delete"}[p.s.random.IntN(8)]
		in.old = p.seen
	}
	w := &wish{p: p, in: in, op: p.s.newOp(), called: p.s.now}
	if p.s.chance(0.5) { // so that it can be tried again after a restart
		w.op.From, w.kept = p.version+1, true
	}
	w.try()
}

// wish is one thing that a person wants, tried until it is known what came of it.
type wish struct {
	p      *person
	in     simIn
	op     Op
	kept   bool // with op.From, on a disk
	called time.Duration
	sent   bool // at least one attempt may have been made
	tries  int
}

var errDiffers = errors.New("the value is another one")

func (w *wish) transform(seen *simState) Transform {
	return func(old []byte, exists bool) ([]byte, error) {
		*seen = simState{exists, string(old)}
		switch w.in.kind {
		case "append":
			return append(old, w.in.word...), nil
		case "delete":
			return nil, nil
		}
		if *seen != w.in.old {
			return nil, errDiffers
		}
		return []byte(w.in.word), nil
	}
}

func (w *wish) try() {
	p, s := w.p, w.p.s
	if !p.n.up {
		if p.n.gone { // to another computer
			p.n = s.node(s.some(1, func(n *simNode) bool { return n.up })[0])
		}
		s.after(time.Second, w.try)
		return
	}
	if !p.x.alive() {
		run, n := p.n.run, p.n
		located := false
		s.locate(n, p.view, func(c Config) {
			if n.run == run && !located {
				located, p.x = true, n.session(theRegister, c)
				w.try()
			}
		})
		s.after(61*time.Second, func() {
			if !located {
				located = true
				w.try()
			}
		})
		return
	}
	w.tries++
	var seen simState
	x, run, ended := p.x, p.n.run, false
	before := w.op
	s.watch(p.n, run, func() bool { return ended }, func() { // a crash
		w.sent = true
		if w.kept {
			w.op = before
			w.again()
		} else {
			w.end(simOut{unknown: true})
		}
	})
	x.begin(s.between(5*time.Second, 40*time.Second), func(pr *Proposer) Output {
		if w.in.kind == "read" {
			return pr.Read()
		}
		return pr.Update(&w.op, w.transform(&seen))
	}, func(o Output) {
		ended = true
		r := o.Result
		switch {
		case o.Err == nil && r.Again:
			s.counts.again++
			w.end(simOut{again: true, state: simState{r.Exists, string(r.Data)}})
		case o.Err == nil:
			p.version = r.Version
			w.end(simOut{state: simState{r.Exists, string(r.Data)}})
		case errors.Is(o.Err, errDiffers):
			w.end(simOut{differs: true, state: seen})
		case errors.Is(o.Err, ErrForgotten):
			w.sent = true
			w.end(simOut{unknown: true})
		case errors.Is(o.Err, ErrConfig):
			s.wrong = append(s.wrong, o.Err.Error())
			w.end(simOut{unknown: true})
		default:
			w.sent = w.sent || errors.Is(o.Err, ErrUnknown)
			w.again()
		}
	})
}

// watch calls back when a node's run ends before something is done.
func (s *sim) watch(n *simNode, run int, done func() bool, crashed func()) {
	var look func()
	look = func() {
		switch {
		case done():
		case n.run != run:
			crashed()
		default:
			s.after(500*time.Millisecond, look)
		}
	}
	s.after(500*time.Millisecond, look)
}

// again tries once more, unless the person has lost interest.
func (w *wish) again() {
	if w.in.kind != "append" && w.tries > 2 || w.p.s.chance(0.05) && !w.p.s.calm {
		w.end(simOut{unknown: true})
		return
	}
	w.p.x = nil // perhaps all acceptors that it knew are gone
	w.p.s.after(w.p.s.between(0, 3*time.Second), w.try)
}

func (w *wish) end(out simOut) {
	p, s := w.p, w.p.s
	if !out.unknown {
		p.seen = out.state
	} else {
		s.counts.unknown++
	}
	s.logf("person %d on node %d: %s %s: %v", p.name, p.n.name, w.in.kind, w.in.word, out)
	// What was never sent was not made, and a read that came to nothing says nothing.
	if !out.unknown || w.sent && w.in.kind != "read" {
		o := porcupine.Operation{ClientId: p.name, Input: w.in, Call: int64(w.called), Output: out, Return: int64(s.now)}
		if out.unknown {
			o.Return = int64(1 << 62)
		}
		s.history = append(s.history, o)
	}
	rest := 4 * time.Second
	if s.storm {
		rest = 50 * time.Millisecond
	}
	s.after(s.between(0, rest), p.next)
}

// operator replaces the acceptors by others, now and then.
func (s *sim) operator() {
	if s.calm {
		return
	}
	s.after(s.between(5*time.Second, 40*time.Second), s.operator)
	alive := func(n *simNode) bool { return n.up }
	on := s.some(1, alive)
	if len(on) == 0 {
		return
	}
	n := s.node(on[0])
	s.locate(n, s.view(), func(c Config) {
		x := n.session(theRegister, c)
		x.begin(30*time.Second, func(p *Proposer) Output {
			return p.Replace(func(c Config) ([]p2p.ID, error) { return s.renewed(c), nil })
		}, func(o Output) {
			if o.Err == nil && o.Result.Config.Epoch > 1 && !s.noDir {
				s.note(n, s.root(), o.Result.Config)
			}
		})
	})
}

// renewed returns acceptors of which one or more are others, none is gone, and all new
// ones are there.
func (s *sim) renewed(c Config) []p2p.ID {
	var keep []p2p.ID
	for _, id := range c.Acceptors {
		if !s.node(id).gone {
			keep = append(keep, id)
		}
	}
	want := 1 + s.random.IntN(5)
	if s.rollbacks {
		want = 3 + s.random.IntN(3)
	}
	if s.churn > 0 {
		want = 5
		if len(keep) == 5 && s.chance(0.5) {
			return keep
		}
	}
	if s.chance(0.2) {
		keep = nil // all at once
	}
	keep = keep[:min(len(keep), max(0, want-1))]
	return append(keep, s.some(want-len(keep), func(n *simNode) bool { return n.up && !slices.Contains(keep, n.id) && !(s.founder && n.name == 0) })...)
}

// nemesis brings bad luck.
func (s *sim) nemesis() {
	if s.calm {
		return
	}
	off, kind := 20*time.Second, s.random.IntN(4)
	if s.storm {
		off, kind = 200*time.Millisecond, 0
		s.after(s.between(50*time.Millisecond, time.Second), s.nemesis)
	} else {
		s.after(s.between(500*time.Millisecond, 8*time.Second), s.nemesis)
	}
	n, m := s.nodes[s.random.IntN(len(s.nodes))], s.nodes[s.random.IntN(len(s.nodes))]
	switch kind {
	case 0:
		if s.crashes && n.up {
			n.crash()
			s.after(s.between(time.Millisecond, off), n.restart)
		}
	case 1, 2:
		if s.cuts && n != m {
			s.cut[[2]*simNode{n, m}] = true
			s.after(s.between(time.Second, 40*time.Second), func() { delete(s.cut, [2]*simNode{n, m}) })
		}
	case 3: // one node apart from all
		if s.cuts && s.chance(0.3) {
			for _, m := range s.nodes {
				s.cut[[2]*simNode{n, m}] = true
				s.after(s.between(5*time.Second, 30*time.Second), func() { delete(s.cut, [2]*simNode{n, m}) })
			}
		}
	}
}

// turnover takes a node away for ever, if the register survives that, and adds another.
func (s *sim) turnover() {
	if s.calm {
		return
	}
	s.after(s.churn, s.turnover)
	s.addNode()
	for _, i := range s.random.Perm(len(s.nodes)) {
		n := s.nodes[i]
		if i >= anchors && !n.gone && s.canLose(n) {
			n.gone = true
			s.logf("node %d goes for ever", n.name)
			if n.up {
				n.crash()
			}
			return
		}
	}
}

// canLose reports whether all configurations that can matter keep a majority.
func (s *sim) canLose(lost *simNode) bool {
	registers := map[p2p.Key]uint64{} // and their newest epochs
	for _, n := range s.nodes {
		for key, st := range n.disk {
			registers[key] = max(registers[key], st.Config.Epoch)
		}
	}
	fits := func(set []p2p.ID) bool {
		there := 0
		for _, id := range set {
			if n := s.node(id); n != lost && !n.gone {
				there++
			}
		}
		return len(set) == 0 || there >= majority(len(set))
	}
	for _, n := range s.nodes {
		for key, newest := range registers {
			for _, st := range []State{n.disk[key], n.memory[key]} {
				c := st.Config
				if c.Epoch+1 >= newest && !(fits(c.Acceptors) && fits(c.Joint)) {
					return false
				}
				if next := st.Value.Next; next != nil && next.Epoch >= newest && !(fits(next.Acceptors) && fits(next.Joint)) {
					return false
				}
			}
			// The directory may still lead to older ones: one of those must be left.
			var p Page
			if v := n.disk[key].Value; key == theRegister || !v.Exists || p.Decode(v.Data) != nil {
				continue
			}
			for _, e := range p.Entries {
				if e.Register == theRegister && !fits(e.Config.Acceptors) {
					return false
				}
			}
			for _, c := range p.Children {
				if !fits(c.Acceptors) {
					return false
				}
			}
		}
	}
	return true
}

// run lets the world go on until everybody has what he wanted, or should have.
func (s *sim) run() {
	s.random = rand.New(rand.NewPCG(s.seed, 1))
	s.cut, s.decided = map[[2]*simNode]bool{}, map[p2p.Key]Config{}
	for range s.settings.nodes {
		s.addNode()
	}
	for i := range s.settings.people {
		n := s.nodes[s.random.IntN(len(s.nodes))]
		p := &person{s: s, name: i, n: n, view: s.view(), left: s.ops, busy: true}
		s.people = append(s.people, p)
		s.after(s.between(0, 2*time.Second), p.next)
	}
	for i := range s.crowd {
		s.after(s.between(0, 2*time.Second), func() {
			n := s.nodes[s.random.IntN(len(s.nodes))]
			initial, err := NewConfig(s.view())
			if err == nil && n.up {
				s.enter(n, s.root(), p2p.Key{2, byte(i)}, initial, func(Config) {})
			}
		})
	}
	if s.founder {
		s.after(s.between(0, 3*time.Second), s.found)
	}
	if s.rollbacks {
		s.after(time.Second, s.nodes[s.seed%3].rollBack)
	}
	s.after(time.Second, s.nemesis)
	if s.lies > 0 {
		s.liars = s.nodes[len(s.nodes)-1:]
		s.after(time.Second, s.liars[0].lie)
	}
	if s.replace {
		s.after(time.Second, s.operator)
	}
	if s.churn > 0 {
		s.after(s.churn, s.turnover)
	}
	s.after(s.chaos, func() {
		s.calm = true
		s.logf("the bad luck is over")
		clear(s.cut)
		for _, n := range s.nodes {
			n.restart()
		}
	})
	end := s.chaos + 6*time.Minute
	for len(s.queue) > 0 && s.now < end {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
		if s.calm && !slices.ContainsFunc(s.people, func(p *person) bool { return p.busy }) {
			break
		}
	}
	for _, p := range s.people {
		if p.busy {
			s.wrong = append(s.wrong, fmt.Sprintf("person %d still waits, %v after the end of the bad luck", p.name, s.now-s.chaos))
		}
	}
	s.last(end + 10*time.Minute)
}

// last reads the value, as somebody who comes anew.
func (s *sim) last(end time.Duration) {
	n, done := s.node(s.some(1, func(n *simNode) bool { return n.up })[0]), false
	called := s.now
	s.locate(n, s.view(), func(c Config) {
		n.session(theRegister, c).begin(10*time.Minute, (*Proposer).Read, func(o Output) {
			done = true
			if o.Err != nil {
				s.wrong = append(s.wrong, fmt.Sprintf("the last read: %v", o.Err))
				return
			}
			out := simOut{state: simState{o.Result.Exists, string(o.Result.Data)}}
			s.logf("the last read: %v", out)
			s.history = append(s.history, porcupine.Operation{ClientId: len(s.people), Input: simIn{kind: "read"}, Call: int64(called), Output: out, Return: int64(s.now)})
		})
	})
	for len(s.queue) > 0 && s.now < end && !done {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	if !done {
		s.wrong = append(s.wrong, "the last read never came back")
	}
}
