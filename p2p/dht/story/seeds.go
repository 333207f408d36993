package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// newTracker makes what a node knows of seeds. What it was told outlives a crash. It tells those that
// a seed names as its trackers, and the table; what is told over links is left out, so that a story
// shows one way at a time.
func (n *node) newTracker() (*tracker.Service, error) {
	return tracker.New(context.Background(), tracker.Options{
		ID: n.member.ID, Caller: told{n}, Table: n.table, Store: n.told, Now: n.w.time,
	})
}

// told asks trackers, and notes each message so that it is shown.
type told struct{ n *node }

// Call implements tracker.Caller.
func (c told) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	resp, err := caller(c).Call(ctx, to, proto, req)
	s := dht.Step{Operation: tracker.Verb(req), Round: 1, From: c.n.member.ID, To: to, Proto: proto, Out: len(req), In: len(resp), Outcome: "ok"}
	var refused *p2p.CallError
	switch {
	case errors.As(err, &refused):
		s.Outcome = refused.Code
	case err != nil:
		s.Failed = true
	}
	c.n.w.publish(s)
	if err != nil {
		return nil, err
	}
	c.n.w.mu.Lock()
	other := c.n.w.byID(to)
	c.n.w.mu.Unlock()
	return resp, other.tracker.Keep(ctx)
}

// fileSize is that of the files of stories: four pieces.
const fileSize = 64 << 10

// file takes the name of a file and returns its seed: its content is its name, again and again.
func (a *args) file(ctx context.Context) (seed.Seed, error) {
	name, err := a.value()
	if err != nil {
		return seed.Seed{}, err
	}
	if name == "" {
		return seed.Seed{}, errors.New("a file without a name")
	}
	content := strings.Repeat(name, fileSize/len(name)+1)[:fileSize]
	s, err := seed.Make(ctx, strings.NewReader(content), fileSize, name, nil)
	if err != nil {
		return s, err
	}
	return s, seed.CheckName(name)
}

// doShare has a node say that it has a file, or wants it.
func (w *world) doShare(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	s, err := a.file(ctx)
	if err != nil {
		return err
	}
	o := tracker.Own{Have: tracker.Have{All: true}}
	switch {
	case a.is("part"):
		o.Have, o.Wants = tracker.HaveOf(s.Count(), func(i int) bool { return i == 0 }), true
	case a.is("wanted"):
		o.Have, o.Wants = tracker.Have{}, true
	}
	if a.is("tracker") {
		for len(a.words) > 0 {
			at, err := a.anybody()
			if err != nil {
				return err
			}
			s.Trackers = append(s.Trackers, at.member.ID)
		}
	}
	if len(s.Trackers) > seed.MaxTrackers {
		return fmt.Errorf("more than %d trackers", seed.MaxTrackers)
	}
	o.Seed = s
	n.tracker.Announce(o)
	return w.step(ctx, n)
}

// step lets a node say what it has to say.
func (w *world) step(ctx context.Context, n *node) error {
	err := n.tracker.Step(ctx)
	w.mu.Lock()
	said := 0
	for _, m := range w.messages {
		if m.Proto == tracker.Proto && m.Operation == "update" && !m.Failed {
			said++
		}
	}
	w.mu.Unlock()
	w.flush()
	w.last = outcome{status: "told", trace: dht.Trace{Messages: said}}
	if said == 0 {
		w.last.status = "silent"
	}
	w.say("%s: %s of this node, told to %s", n.name, many(n.tracker.Status().Own, "seed"), many(said, "tracker"))
	return err
}

func (w *world) doUpdate(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	return w.step(ctx, n)
}

func (w *world) doWithdraw(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	s, err := a.file(ctx)
	if err != nil {
		return err
	}
	n.tracker.Withdraw(s.ID())
	return w.step(ctx, n)
}

// fewSources is for how many a query asks.
const fewSources = 10

func (w *world) doQuery(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	s, err := a.file(ctx)
	if err != nil {
		return err
	}
	peers, err := n.tracker.Sources(ctx, s.ID(), fewSources)
	w.flush()
	if err != nil {
		return err
	}
	peers = slices.DeleteFunc(peers, func(p tracker.Peer) bool { return p.Missed })
	w.last = outcome{status: "nobody"}
	var text []string
	for _, p := range peers {
		w.last.values = append(w.last.values, w.nameOf(p.ID))
	}
	slices.SortFunc(peers, func(a, b tracker.Peer) int { return strings.Compare(w.nameOf(a.ID), w.nameOf(b.ID)) })
	slices.Sort(w.last.values)
	for _, p := range peers {
		has := "has all of it"
		if !p.Have.All {
			has = fmt.Sprintf("has %d of %s", p.Have.Count, many(s.Count(), "piece"))
		}
		w.last.status = string(p.Told)
		text = append(text, fmt.Sprintf("%s %s (told by %s, for %.0f s)", w.nameOf(p.ID), has, tells(p.Told), p.TTL.Seconds()))
	}
	if text == nil {
		text = []string{"nobody is known to have it"}
	}
	w.say("%s: %s", n.name, strings.Join(text, "; "))
	return nil
}

// tells says who has said something, for people.
func tells(t tracker.Told) string {
	switch t {
	case tracker.TellsTracker:
		return "a tracker"
	case tracker.TellsTable:
		return "the table"
	}
	return "it itself"
}

func (w *world) doGetSeed(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	s, err := a.file(ctx)
	if err != nil {
		return err
	}
	got, err := n.tracker.Text(ctx, s.ID())
	w.flush()
	switch {
	case errors.Is(err, tracker.ErrNotFound):
		w.last = outcome{status: "not_found"}
		w.say("%s: nobody is known to have it", n.name)
		return nil
	case err != nil:
		return err
	}
	w.last = outcome{status: "found", values: []string{got.Name}}
	w.say("%s: %s, %s, %s", n.name, short(got.Name), many(int(got.Size), "byte"), many(got.Count(), "piece"))
	return nil
}
