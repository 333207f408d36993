package raftlesson

import (
	"embed"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos/lesson"
)

//go:embed stories/*.story
var files embed.FS

// Stories returns the stories of Raft.
func Stories() ([]lesson.Story, error) { return lesson.Load(files) }

// Sent: a node has sent a message of Raft.
type Sent struct {
	From string `json:"from"`
	To   string `json:"to"`
	Term uint64 `json:"term"`
	Text string `json:"text"`
}

// Topic implements p2p.Event.
func (Sent) Topic() string { return "raft.message" }

// Became: a node has another role.
type Became struct {
	Node string `json:"node"`
	Role string `json:"role"` // "follower", "candidate", "leader"
	Term uint64 `json:"term"`
}

// Topic implements p2p.Event.
func (Became) Topic() string { return "raft.role" }

// Applied: a node has learned that an entry of the log is committed.
type Applied struct {
	Node  string `json:"node"`
	Index uint64 `json:"index"`
	Data  string `json:"data"`
}

// Topic implements p2p.Event.
func (Applied) Topic() string { return "raft.applied" }

// Play plays a story of nodes ("nodes: A B C"). A step's verb is one of: waits (for a
// leader, in vain: its election timeout), adds WORD (a client asks it to), beats (it sends
// heartbeats), fails, returns, cuts NODE, joins NODE. It returns what happened, as lines
// and as events. Time-outs are steps of the story, since the library's are random. Errors:
// lesson.ErrStory.
func Play(s lesson.Story) ([]lesson.Line, []p2p.Event, error) {
	p := &play{Stage: lesson.NewStage(), nodes: map[string]*node{}}
	if err := p.cast(s.Cast["nodes"]); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", lesson.ErrStory, err)
	}
	for _, step := range s.Steps {
		n := p.nodes[step.Who]
		if n == nil || !slices.Contains(verbs, step.What) {
			return nil, nil, fmt.Errorf("%w: %.60q at %v", lesson.ErrStory, step.Who+" "+step.What, step.At)
		}
		p.After(step.At, func() { p.step(n, step.What, strings.Join(step.With, " ")) })
	}
	p.Run(s.End)
	if p.err != nil {
		return nil, nil, fmt.Errorf("raftlesson: play %s: %w", s.Name, p.err)
	}
	return p.Lines(), p.events, nil
}

var verbs = []string{"waits", "adds", "beats", "fails", "returns", "cuts", "joins"}

type play struct {
	*lesson.Stage
	nodes  map[string]*node
	names  []string // the library's IDs are 1, 2, …
	events []p2p.Event
	err    error // the first one
}

type node struct {
	name    string
	id      uint64
	raft    *raft.RawNode
	disk    *raft.MemoryStorage
	applied uint64
	role    raft.StateType
	term    uint64
}

func (p *play) cast(names []string) error {
	p.names = names
	var voters []uint64
	for i := range names {
		voters = append(voters, uint64(i+1))
	}
	for i, name := range names {
		n := &node{name: name, id: uint64(i + 1), disk: raft.NewMemoryStorage(), role: raft.StateFollower}
		if err := n.disk.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			ConfState: &raftpb.ConfState{Voters: voters}, Index: new(uint64(1)), Term: new(uint64(1)),
		}}); err != nil {
			return err
		}
		n.applied = 1
		if err := n.switchOn(); err != nil {
			return err
		}
		p.nodes[name] = n
	}
	return nil
}

// switchOn makes a node out of what is on its disk.
func (n *node) switchOn() (err error) {
	const never = 1 << 20 // ticks: elections are steps of the story
	n.raft, err = raft.NewRawNode(&raft.Config{
		ID: n.id, ElectionTick: never, HeartbeatTick: 1, Storage: n.disk, Applied: n.applied,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 64,
		Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	n.role = raft.StateFollower
	return err
}

func (p *play) fail(err error) {
	if err != nil && p.err == nil {
		p.err = err
	}
}

func (p *play) step(n *node, verb, with string) {
	switch verb {
	case "fails":
		p.Say(n.name, "fails")
		p.Down(n.name, true)
		return
	case "returns":
		p.Say(n.name, "returns")
		p.Down(n.name, false)
		p.fail(n.switchOn())
	case "cuts", "joins":
		p.Say(n.name, map[string]string{"cuts": "loses the way to ", "joins": "has a way again to "}[verb]+with)
		p.Cut(n.name, with, verb == "cuts")
		return
	}
	if p.IsDown(n.name) {
		return
	}
	switch verb {
	case "waits":
		p.Say(n.name, "has heard of no leader for too long")
		p.fail(n.raft.Campaign())
	case "beats":
		n.raft.Tick()
	case "adds":
		p.Say(n.name, fmt.Sprintf("is asked by a client to add %q", with))
		if err := n.raft.Propose([]byte(with)); err != nil {
			p.Say(n.name, "cannot: "+err.Error())
		}
	}
	p.turn(n)
}

// turn does what a node wants done: first what must be on the disk, then the messages.
func (p *play) turn(n *node) {
	for n.raft.HasReady() {
		r := n.raft.Ready()
		if r.HardState != nil {
			n.term = r.HardState.GetTerm()
			p.fail(n.disk.SetHardState(r.HardState))
		}
		p.fail(n.disk.Append(r.Entries))
		if r.SoftState != nil {
			p.became(n, *r.SoftState)
		}
		for _, m := range r.Messages {
			p.send(n, m)
		}
		for _, e := range r.CommittedEntries {
			n.applied = e.GetIndex()
			if e.GetType() == raftpb.EntryNormal && len(e.Data) > 0 {
				p.Say(n.name, fmt.Sprintf("entry %d is committed: %q", e.GetIndex(), e.Data))
				p.events = append(p.events, Applied{n.name, e.GetIndex(), string(e.Data)})
			}
		}
		n.raft.Advance(r)
	}
}

func (p *play) became(n *node, s raft.SoftState) {
	role := map[raft.StateType]string{raft.StateFollower: "follower", raft.StateCandidate: "candidate", raft.StateLeader: "leader"}[s.RaftState]
	switch {
	case s.RaftState != n.role:
		p.Say(n.name, fmt.Sprintf("is %s in term %d", role, n.term))
		p.events = append(p.events, Became{n.name, role, n.term})
	case s.RaftState == raft.StateFollower && s.Lead != raft.None:
		p.Say(n.name, fmt.Sprintf("follows %s in term %d", p.names[s.Lead-1], n.term))
	}
	n.role = s.RaftState
}

func (p *play) send(from *node, m *raftpb.Message) {
	to := p.nodes[p.names[m.GetTo()-1]]
	text := describe(m)
	p.events = append(p.events, Sent{from.name, to.name, m.GetTerm(), text})
	p.Send(from.name, to.name, text, func() {
		p.fail(to.raft.Step(m))
		p.turn(to)
	})
}

// describe uses the paper's words.
func describe(m *raftpb.Message) string {
	switch m.GetType() {
	case raftpb.MsgVote:
		return fmt.Sprintf("RequestVote(term %d): my log ends with entry %d of term %d", m.GetTerm(), m.GetIndex(), m.GetLogTerm())
	case raftpb.MsgVoteResp:
		if m.GetReject() {
			return fmt.Sprintf("Vote(term %d): no", m.GetTerm())
		}
		return fmt.Sprintf("Vote(term %d): yes", m.GetTerm())
	case raftpb.MsgApp:
		entries := []string{}
		for _, e := range m.Entries {
			text := "nothing"
			if len(e.Data) > 0 {
				text = fmt.Sprintf("%q", e.Data)
			}
			entries = append(entries, fmt.Sprintf("%d: %s", e.GetIndex(), text))
		}
		if len(entries) == 0 {
			return fmt.Sprintf("AppendEntries(term %d): committed up to %d", m.GetTerm(), m.GetCommit())
		}
		return fmt.Sprintf("AppendEntries(term %d): after entry %d of term %d come %s; committed up to %d",
			m.GetTerm(), m.GetIndex(), m.GetLogTerm(), strings.Join(entries, ", "), m.GetCommit())
	case raftpb.MsgAppResp:
		if m.GetReject() {
			return fmt.Sprintf("Appended(term %d): no, go back to %d", m.GetTerm(), m.GetRejectHint())
		}
		return fmt.Sprintf("Appended(term %d): up to %d", m.GetTerm(), m.GetIndex())
	case raftpb.MsgHeartbeat:
		return fmt.Sprintf("Heartbeat(term %d): committed up to %d", m.GetTerm(), m.GetCommit())
	case raftpb.MsgHeartbeatResp:
		return fmt.Sprintf("Alive(term %d)", m.GetTerm())
	case raftpb.MsgProp:
		return fmt.Sprintf("Propose: %q, to the leader", m.Entries[0].Data)
	}
	return strings.TrimPrefix(m.GetType().String(), "Msg")
}
