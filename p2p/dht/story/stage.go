package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
)

// settings can be changed only while there is nobody.
func (w *world) empty() error {
	if len(w.nodes) > 0 {
		return errors.New("it has to come before the first node")
	}
	return nil
}

func (w *world) doNetwork(_ context.Context, a *args) (err error) {
	closed, err := a.one("open", "closed")
	w.open = !closed
	return errors.Join(err, w.empty())
}

func (w *world) doRoot(_ context.Context, a *args) error {
	every, err := a.one("zero", "every")
	w.root = map[bool]dht.Root{false: dht.RootNearest, true: dht.RootEvery}[every]
	return errors.Join(err, w.empty())
}

func (w *world) doSeed(_ context.Context, a *args) error {
	n, err := a.number("a number", 0, 1<<30)
	w.seed = uint64(n)
	return err
}

func (w *world) doReplicas(_ context.Context, a *args) error {
	n, err := a.number("a number", 1, dht.MaxReplicas)
	if err != nil {
		return err
	}
	w.replicas = n
	for _, n := range w.nodes {
		n.table.SetReplicas(w.replicas)
	}
	return nil
}

func (w *world) doRules(_ context.Context, a *args) error {
	entry, err := a.one("domain", "entry")
	if err != nil {
		return err
	}
	none, err := a.one("all", "none")
	if err != nil {
		return err
	}
	first, err := a.one("master", "first")
	if err != nil {
		return err
	}
	if entry {
		w.rules.EntryNone, w.rules.EntryNoMaster = none, first
	} else {
		w.rules.DomainNone, w.rules.DomainNoMaster = none, first
	}
	for _, n := range w.nodes {
		n.table.SetRules(w.rules)
	}
	return nil
}

func (w *world) doNodes(_ context.Context, a *args) error {
	n, err := a.number("a number", 1, MaxNodes)
	if err != nil {
		return err
	}
	var new []string
	for i := 0; len(new) < n; i++ {
		name := names[i%len(names)]
		if i >= len(names) {
			name = fmt.Sprint(name, 1+i/len(names))
		}
		if slices.ContainsFunc(w.nodes, func(o *node) bool { return o.name == name }) {
			continue
		}
		id, err := identity(name, 0)
		if err != nil {
			return err
		}
		if err := w.come(name, id, w.place(id)); err != nil {
			return err
		}
		new = append(new, name)
	}
	w.say("%s: %s", map[bool]string{true: "an open network", false: "a closed network"}[w.open], strings.Join(new, ", "))
	return nil
}

func (w *world) doNode(_ context.Context, a *args) error {
	name, err := a.next("a name")
	if err != nil {
		return err
	}
	id, err := identity(name, 0)
	if err != nil {
		return err
	}
	position := w.place(id)
	if a.is("position") {
		if position, err = a.position(); err != nil {
			return err
		}
	}
	return w.come(name, id, position)
}

// position reads a place: a number, or the free one that is nearest to a key.
func (a *args) position() (p2p.Key, error) {
	if !a.is("beside") {
		word, err := a.next("a number of a place")
		if err != nil {
			return p2p.Key{}, err
		}
		return placeAt(strings.TrimPrefix(word, "#"))
	}
	key, _, err := a.key()
	if err != nil {
		return key, err
	}
	for d := byte(1); ; d++ {
		near := key
		near[len(near)-1] ^= d
		if !slices.ContainsFunc(a.w.nodes, func(n *node) bool { return n.member.Position == near }) {
			return near, nil
		}
	}
}

func (w *world) doCrash(_ context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	n.stop()
	return nil
}

func (w *world) doReturn(_ context.Context, a *args) error {
	n, err := a.anybody()
	switch {
	case err != nil:
		return err
	case n.up:
		return fmt.Errorf("%s is running", n.name)
	}
	return n.start()
}

// doLeave hands over what a node keeps, and takes it away.
func (w *world) doLeave(ctx context.Context, a *args) error {
	n, err := a.node()
	if err != nil {
		return err
	}
	return w.moves(ctx, func() error {
		if err := n.table.Leave(ctx); err != nil {
			return err
		}
		n.stop()
		return nil
	})
}

// doRepair lets nodes compare what they keep, one after the other.
func (w *world) doRepair(ctx context.Context, a *args) error {
	which := w.nodes
	if len(a.words) > 0 {
		n, err := a.node()
		if err != nil {
			return err
		}
		which = []*node{n}
	}
	return w.moves(ctx, func() error {
		for _, n := range which {
			if n.up {
				if err := n.table.Repair(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// moves does something that moves copies, and shows who has more, or less, of them after
// it. The messages are not shown: several are compared at the same time.
func (w *world) moves(ctx context.Context, do func() error) error {
	type have struct {
		records int
		sum     dht.Sum // of all of them
	}
	kept := func() (map[*node]have, error) {
		out := map[*node]have{}
		for _, n := range w.nodes {
			if !n.up {
				continue
			}
			var h have
			for l, err := range n.store.Sums(ctx, w.time().UnixMilli()) {
				if err != nil {
					return nil, err
				}
				h.records += l.Records
				for i := range h.sum {
					h.sum[i] ^= l.Sum[i]
				}
			}
			out[n] = h
		}
		return out, nil
	}
	before, err := kept()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := kept()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.messages = nil
	w.mu.Unlock()
	same := true
	for _, n := range w.nodes {
		if !n.up || before[n] == after[n] {
			continue
		}
		same = false
		text := fmt.Sprintf("keeps %s, had %d", many(after[n].records, "record"), before[n].records)
		if before[n].records == after[n].records {
			text = "is brought up to date"
		}
		w.add(Line{Kind: KindEvent, From: n.name, Text: text})
	}
	if same {
		w.say("nothing has to be moved")
	}
	return nil
}

func (w *world) doWait(_ context.Context, a *args) error {
	d, err := a.duration()
	if err != nil {
		return err
	}
	w.pass(d)
	return nil
}

// doCut is cut and mend.
func (w *world) doCut(_ context.Context, a *args) error {
	one, err := a.anybody()
	if err != nil {
		return err
	}
	other, err := a.anybody()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.cuts[pair(one.member.ID, other.member.ID)] = a.verb == "cut"
	w.mu.Unlock()
	if a.verb == "cut" {
		w.unlink(one, other)
	}
	return nil
}

func (w *world) doLinks(context.Context, *args) error {
	w.say("%s %s up; %d opened so far", many(w.countLinks(), "link"), map[bool]string{true: "is", false: "are"}[w.countLinks() == 1], w.opened)
	return nil
}

// doSend sends a message from one node to another, past the table.
func (w *world) doSend(ctx context.Context, a *args) error {
	from, err := a.node()
	if err != nil {
		return err
	}
	to, err := a.anybody()
	if err != nil {
		return err
	}
	text, err := a.value()
	if err != nil {
		return err
	}
	before := w.opened
	answer, err := from.messages.Send(ctx, to.member.ID, "", []byte(text), direct10s)
	if w.opened > before {
		w.add(Line{Kind: KindEvent, From: from.name, Text: fmt.Sprintf("opens a link to %s", to.name)})
	}
	w.add(Line{Kind: KindMessage, Round: 1, From: from.name, To: to.name, Text: fmt.Sprintf("%q", text)})
	if err != nil {
		if !errors.Is(err, p2p.ErrUnreachable) {
			return err
		}
		w.last = outcome{status: "unreachable"}
		w.say("%s cannot be reached", to.name)
		return nil
	}
	w.last = outcome{status: "answered", values: []string{string(answer.Data)}}
	w.add(Line{Kind: KindMessage, Round: 2, From: to.name, To: from.name, Text: fmt.Sprintf("%q", answer.Data)})
	return nil
}
