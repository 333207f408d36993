package lesson

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
)

// Play plays a story of acceptors, proposers and, if there is one, a learner. A step's
// verb is one of: adds WORD, reads, replaces ACCEPTORS (proposers); fails, returns, cuts
// NODE, joins NODE (anybody). It returns what happened, as lines and as events. Errors:
// ErrStory.
func Play(s Story) ([]Line, []p2p.Event, error) {
	p := &play{Stage: NewStage(), story: s, learned: map[paxos.Ballot]map[string]bool{}, nodes: map[string]*node{}}
	if err := p.cast(); err != nil {
		return nil, nil, err
	}
	for _, step := range s.Steps {
		do, err := p.step(step)
		if err != nil {
			return nil, nil, err
		}
		p.After(step.At, do)
	}
	p.Run(s.End)
	return p.Lines(), p.events, nil
}

type play struct {
	*Stage
	story   Story
	nodes   map[string]*node
	config  paxos.Config
	learner string
	learned map[paxos.Ballot]map[string]bool
	events  []p2p.Event
}

// node is an acceptor, with what is on its disk, or a proposer.
type node struct {
	name     string
	state    paxos.State
	proposer *paxos.Proposer // nil: it is an acceptor
	runs     uint64
	timer    int
	wants    []func() paxos.Output // one after the other
	busy     bool
}

func idOf(name string) p2p.ID {
	var id p2p.ID
	copy(id[:], name)
	return id
}

func nameOf(id p2p.ID) string { return strings.TrimRight(string(id[:]), "\x00") }

func ids(names []string) []p2p.ID {
	var out []p2p.ID
	for _, n := range names {
		out = append(out, idOf(n))
	}
	return out
}

func (p *play) cast() error {
	acceptors, proposers, learners := p.story.Cast["acceptors"], p.story.Cast["proposers"], p.story.Cast["learner"]
	begin := acceptors
	if b := p.story.Cast["begin"]; len(b) > 0 {
		begin = b
	}
	var err error
	if p.config, err = paxos.NewConfig(ids(begin)); err != nil {
		return fmt.Errorf("%w: %w", ErrStory, err)
	}
	for _, name := range slices.Concat(acceptors, proposers) {
		if p.nodes[name] != nil {
			return fmt.Errorf("%w: two are called %s", ErrStory, name)
		}
		p.nodes[name] = &node{name: name}
	}
	for _, name := range proposers {
		p.switchOn(p.nodes[name])
	}
	if len(learners) > 0 {
		p.learner = learners[0]
	}
	return nil
}

// switchOn makes a proposer, which remembers nothing.
func (p *play) switchOn(n *node) {
	n.runs++
	id := idOf(n.name)
	n.proposer = paxos.NewProposer(id, p2p.Key{}, p.config, rand.New(rand.NewPCG(uint64(id[0]), n.runs)))
	n.wants, n.busy = nil, false
	n.timer++
}

func (p *play) step(s Step) (func(), error) {
	n := p.nodes[s.Who]
	with := strings.Join(s.With, " ")
	bad := fmt.Errorf("%w: %.60q at %v", ErrStory, s.Who+" "+s.What+" "+with, s.At)
	if n == nil {
		return nil, bad
	}
	switch s.What {
	case "fails", "returns":
		return func() {
			p.Say(n.name, s.What)
			p.Down(n.name, s.What == "fails")
			if n.proposer != nil {
				p.switchOn(n)
			}
		}, nil
	case "cuts", "joins":
		if p.nodes[with] == nil {
			return nil, bad
		}
		return func() {
			p.Say(n.name, map[string]string{"cuts": "loses the way to ", "joins": "has a way again to "}[s.What]+with)
			p.Cut(n.name, with, s.What == "cuts")
		}, nil
	}
	if n.proposer == nil {
		return nil, bad
	}
	var want func() paxos.Output
	switch s.What {
	case "adds":
		op := paxos.Op{}
		copy(op.ID[:], s.Who+fmt.Sprint(s.At))
		want = func() paxos.Output {
			return n.proposer.Update(&op, func(old []byte, _ bool) ([]byte, error) {
				return []byte(strings.TrimSpace(string(old) + " " + with)), nil
			})
		}
	case "reads":
		want = func() paxos.Output { return n.proposer.Read() }
	case "replaces":
		if _, err := paxos.NewConfig(ids(s.With)); err != nil {
			return nil, fmt.Errorf("%w: %w", bad, err)
		}
		want = func() paxos.Output {
			return n.proposer.Replace(func(paxos.Config) ([]p2p.ID, error) { return ids(s.With), nil })
		}
	default:
		return nil, bad
	}
	return func() {
		if p.IsDown(n.name) {
			return
		}
		p.Say(n.name, strings.TrimSpace("wants: "+s.What+" "+with))
		n.wants = append(n.wants, want)
		p.next(n)
	}, nil
}

func (p *play) next(n *node) {
	if n.busy || len(n.wants) == 0 {
		return
	}
	want := n.wants[0]
	n.wants, n.busy = n.wants[1:], true
	p.carryOut(n, want())
}

// carryOut does what a proposer wants done.
func (p *play) carryOut(n *node, out paxos.Output) {
	for _, e := range out.Events {
		p.events = append(p.events, e)
		if moved, ok := e.(paxos.Moved); ok {
			p.Say(n.name, fmt.Sprintf("goes on in epoch %d, whose acceptors are %s", moved.Config.Epoch, list(moved.Config.Acceptors)))
		}
	}
	run := n.runs
	for _, send := range out.Send {
		if e := send.Event(); e != nil {
			p.events = append(p.events, e)
		}
		to := p.nodes[nameOf(send.To)]
		p.Send(n.name, to.name, request(send.Request), func() { p.answer(n, run, to, send.Request) })
	}
	if out.Timer > 0 {
		n.timer++
		timer := n.timer
		p.After(out.Timer, func() {
			if n.timer == timer && !p.IsDown(n.name) {
				p.carryOut(n, n.proposer.Timeout())
			}
		})
	}
	if out.Done {
		n.timer++
		n.busy = false
		text := "nothing is there"
		if out.Err != nil {
			text = out.Err.Error()
		} else if out.Result.Exists {
			text = fmt.Sprintf("chosen: %q, version %d", out.Result.Data, out.Result.Version)
		}
		p.Say(n.name, text)
		p.next(n)
	}
}

// answer lets an acceptor answer a request of a proposer, and tell the learner what it
// has accepted.
func (p *play) answer(n *node, run uint64, to *node, m paxos.Request) {
	state, r, err := to.state.Answer(idOf(to.name), m, nil)
	if err != nil {
		p.Say(to.name, err.Error())
		return
	}
	to.state = state
	text := reply(r, m)
	p.Send(to.name, n.name, text, func() {
		if n.runs != run {
			return
		}
		if e := r.Event(m.Register, idOf(to.name)); e != nil {
			p.events = append(p.events, e)
		}
		p.carryOut(n, n.proposer.Receive(idOf(to.name), r))
	})
	if p.learner != "" && m.Kind == paxos.KindAccept && r.Kind == paxos.KindAccepted {
		p.Send(to.name, p.learner, text, func() { p.learn(to.name, m) })
	}
}

// learn counts what acceptors have accepted.
func (p *play) learn(from string, m paxos.Request) {
	if p.learned[m.Ballot] == nil {
		p.learned[m.Ballot] = map[string]bool{}
	}
	got := p.learned[m.Ballot]
	got[from] = true
	if len(got) == len(m.Config.Acceptors)/2+1 {
		p.Say(p.learner, fmt.Sprintf("learns that %q is chosen: %d of %d have accepted %s", m.Value.Data, len(got), len(m.Config.Acceptors), ballot(m.Ballot)))
	}
}

func ballot(b paxos.Ballot) string {
	text := fmt.Sprintf("%d.%s", b.Counter, nameOf(b.Proposer))
	if b.Epoch > 1 {
		text = fmt.Sprintf("epoch %d, %s", b.Epoch, text)
	}
	return text
}

func request(m paxos.Request) string {
	switch m.Kind {
	case paxos.KindPrepare:
		return fmt.Sprintf("Prepare(%s)", ballot(m.Ballot))
	case paxos.KindRetire:
		return fmt.Sprintf("Retire(epoch %d)", m.Config.Epoch)
	}
	text := fmt.Sprintf("Accept!(%s, %q)", ballot(m.Ballot), m.Value.Data)
	if m.Value.Next != nil {
		text = fmt.Sprintf("Accept!(%s, %q, then %s)", ballot(m.Ballot), m.Value.Data, list(m.Value.Next.Acceptors))
	}
	return text
}

func reply(r paxos.Reply, m paxos.Request) string {
	switch {
	case m.Kind == paxos.KindRetire:
		return "Retired"
	case r.Kind == paxos.KindConflict && r.Config.Epoch > m.Config.Epoch:
		return fmt.Sprintf("Conflict(%s): there is epoch %d, of %s", ballot(r.Ballot), r.Config.Epoch, list(r.Config.Acceptors))
	case r.Kind == paxos.KindConflict:
		return fmt.Sprintf("Conflict(%s): it has promised %s", ballot(r.Ballot), ballot(r.Promised))
	case r.Kind == paxos.KindAccepted:
		return fmt.Sprintf("Accepted(%s)", ballot(r.Ballot))
	case r.Accepted.IsZero():
		return fmt.Sprintf("Promise(%s): nothing accepted", ballot(r.Ballot))
	}
	return fmt.Sprintf("Promise(%s): accepted %s, %q", ballot(r.Ballot), ballot(r.Accepted), r.Value.Data)
}

func list(set []p2p.ID) string {
	var names []string
	for _, id := range set {
		names = append(names, nameOf(id))
	}
	return strings.Join(names, " ")
}
