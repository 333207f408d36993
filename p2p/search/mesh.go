package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// DefaultTimeout is how long a Mesh waits for members.
const DefaultTimeout = 2 * time.Second

// Mesh asks this node and all members at the same time. Questions that are still
// on their way when an answer is returned are cancelled.
type Mesh struct {
	Index   *Index
	Self    Member
	Caller  p2p.Caller       // may be nil when nobody else is asked
	Timeout time.Duration    // 0: DefaultTimeout
	Now     func() time.Time // nil: time.Now
	// Elsewhere is what is known of the words of those who are asked; nil: nothing.
	Elsewhere Elsewhere
}

// reply is what one node said, with what the merge needs beside the Part.
type reply struct {
	part Part
	response
	bytes int
}

// Ask asks this node and, unless the scope is local, members. Parts go to each,
// which may be nil, one after the other as nodes answer; each is called on Ask's
// goroutine. A member that does not answer in time makes the answer partial.
// When ctx ends, Ask returns its error.
//
// Members that cannot have anything, by the query's conditions on nodes, are not asked.
//
// Errors: ErrEmpty, ErrTooLong, ErrCursor, *query.Error, *FilterError.
func (m *Mesh) Ask(ctx context.Context, q Query, members []Member, each func(Part)) (Answer, error) {
	now := m.Now
	if now == nil {
		now = time.Now
	}
	start := now()
	q, questions, err := q.normal()
	if err != nil {
		return Answer{}, err
	}
	var from *place
	if q.Cursor != "" {
		p, err := parsePlace(q.Cursor, q)
		if err != nil {
			return Answer{}, err
		}
		from = &p
	}
	if q.Scope == ScopeLocal {
		members = nil
	}
	switch {
	case from != nil:
		q.rarity = from.rarity // or the pages would not be of one order
	case len(members) > 0:
		if q.rarity, err = m.weigh(q, questions); err != nil {
			return Answer{}, err
		}
	}
	nodes, requests := m.nodes(members), []request(nil)
	nodes = slices.DeleteFunc(nodes, func(n Member) bool {
		r, hopeful := q.request(from, n, questions)
		if hopeful = hopeful || n.ID == m.Self.ID; hopeful {
			requests = append(requests, r)
		}
		return !hopeful
	})
	replies := make([]reply, 0, len(nodes))
	var trace []p2p.Event
	for _, n := range nodes[1:] {
		trace = append(trace, Asked{Node: n.ID, Name: n.Name})
	}
	m.ask(ctx, nodes, requests, func(i int, r reply) {
		r.part.Node, r.part.Name, r.part.Local = nodes[i].ID, nodes[i].Name, i == 0
		r.part.Took = now().Sub(start)
		r = r.finish()
		replies = append(replies, r)
		r.part.Corrections = m.doubtful(r.part.Corrections)
		trace = append(trace, r.events()...)
		if each != nil && ctx.Err() == nil {
			each(r.part)
		}
	})
	if err := ctx.Err(); err != nil {
		return Answer{}, fmt.Errorf("search: %.40q: %w", q.Text, err)
	}
	a := merge(q, replies)
	a.NodesAsked = len(nodes)
	a.Took = now().Sub(start)
	if q.Explain {
		a.Trace = append(trace, Merged{Parts: a.NodesAnswered, Total: a.Total, Hits: len(a.Hits), Missing: a.Missing})
	}
	return a, nil
}

// nodes returns this node and then the others by ID, each once.
func (m *Mesh) nodes(members []Member) []Member {
	others := slices.Clone(members)
	slices.SortFunc(others, func(a, b Member) int { return a.ID.Compare(b.ID) })
	others = slices.CompactFunc(others, func(a, b Member) bool { return a.ID == b.ID })
	others = slices.DeleteFunc(others, func(n Member) bool { return n.ID == m.Self.ID })
	return append([]Member{m.Self}, others...)
}

// errTimeout is what is said of a member that took too long.
var errTimeout = errors.New("no answer")

// ask asks each node its request and calls heard exactly once for each: as their
// replies come, and when the time is over for the rest with a failure.
func (m *Mesh) ask(ctx context.Context, nodes []Member, requests []request, heard func(i int, r reply)) {
	timeout := m.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type numbered struct {
		i int
		reply
	}
	out := make(chan numbered, len(nodes)) // room for all, so that late ones find their end
	for i, n := range nodes {
		go func() {
			if i == 0 {
				out <- numbered{i, m.askSelf(ctx, requests[i])}
			} else {
				out <- numbered{i, m.askMember(ctx, n, requests[i])}
			}
		}()
	}
	heardOf := make([]bool, len(nodes))
	for range nodes {
		select {
		case r := <-out:
			heardOf[r.i] = true
			heard(r.i, r.reply)
		case <-ctx.Done():
			for i, done := range heardOf {
				if !done {
					heard(i, reply{part: Part{Err: fmt.Errorf("search: ask %s: %w within %v", nodes[i].ID.Short(), errTimeout, timeout)}})
				}
			}
			return
		}
	}
}

func (m *Mesh) askSelf(ctx context.Context, q request) reply {
	r, err := m.Index.evaluate(ctx, q)
	return reply{response: r, part: Part{Err: err}}
}

func (m *Mesh) askMember(ctx context.Context, n Member, q request) reply {
	fail := func(err error) reply {
		return reply{part: Part{Err: fmt.Errorf("search: ask %s: %w", n.ID.Short(), err)}}
	}
	if m.Caller == nil {
		return fail(p2p.ErrUnreachable)
	}
	b, err := wire.Marshal(q)
	if err != nil {
		return fail(err)
	}
	answer, err := m.Caller.Call(ctx, n.ID, Proto, b)
	if errors.Is(err, p2p.ErrClosed) && ctx.Err() == nil {
		// The link has gone, perhaps for a newer one. A question changes nothing, so it may be put twice.
		answer, err = m.Caller.Call(ctx, n.ID, Proto, b)
	}
	if err != nil {
		return fail(err)
	}
	r, err := decodeResponse(answer, q)
	if err != nil {
		return fail(err)
	}
	asked := wordsOf(q.Text)
	r.Words = slices.DeleteFunc(r.Words, func(a assumption) bool { return !a.plausible(asked) })
	return reply{response: r, bytes: len(answer)}
}

// finish fills in the part from the response.
func (r reply) finish() reply {
	if r.part.Err != nil {
		r.response = response{}
	}
	p := &r.part
	node := Member{ID: p.Node, Name: p.Name}
	p.Hits = make([]Hit, len(r.response.Hits))
	for i := range p.Hits {
		p.Hits[i] = r.response.Hits[i].hit(node, p.Local)
	}
	p.Total, p.Missing, p.Truncated = r.Total, r.response.Missing, r.Cut || r.Shortened
	p.Corrections = []Correction{}
	for _, w := range r.Words {
		if w.To != "" {
			p.Corrections = append(p.Corrections, Correction{From: w.From, To: w.To, Distance: w.Distance})
		}
	}
	return r
}

// events tells how a node came to its reply.
func (r *reply) events() []p2p.Event {
	var told []p2p.Event
	for i := range r.Expanded {
		told = append(told, r.Expanded[i].event(r.part.Node))
	}
	if r.part.Err == nil && r.Documents > 0 {
		told = append(told, Scored{Node: r.part.Node, Documents: r.Documents, Matched: r.Total, Missing: r.part.Missing})
	}
	e := Answered{
		Node: r.part.Node, Name: r.part.Name, Hits: len(r.part.Hits), Total: r.part.Total,
		Bytes: r.bytes, MS: milliseconds(r.part.Took),
	}
	if r.part.Err != nil {
		e.Error = r.part.Err.Error()
	}
	return append(told, e)
}
