package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/bloom"
)

// handlePut decides about what a member wants to be kept here.
func (t *Table) handlePut(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	writes, err := readItems[Write](req)
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	results, err := t.keep(ctx, from, writes)
	if err != nil {
		return nil, err
	}
	var resp []byte
	for _, r := range results {
		if resp, err = appendItem(resp, r); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// keep stores what is signed, belongs here and is allowed; the result says of each write
// what became of it. What it says is stored is durable.
func (t *Table) keep(ctx context.Context, from p2p.ID, writes []Write) ([]result, error) {
	results := make([]result, len(writes))
	if err := t.expand(ctx, writes, results); err != nil {
		return nil, err
	}
	admitted, err := t.admit(ctx, from, writes, results)
	if err != nil {
		return nil, err
	}
	now, rules := t.now(), t.Rules()
	voted := make([]bool, len(writes))
	var names []Name
	for _, i := range admitted {
		names = append(names, writes[i].Record.Name())
	}
	slices.SortFunc(names, Name.Compare)
	names = slices.Compact(names)
	if len(names) > 0 {
		t.repair.keeping.RLock()
		err = t.o.Store.Change(ctx, names, func(cells []*Cell) error {
			for _, i := range admitted {
				at, _ := slices.BinarySearchFunc(cells, writes[i].Record.Name(), func(c *Cell, n Name) int { return c.Name.Compare(n) })
				if results[i].Status, results[i].Seq = cells[at].timely(writes[i].Record.Header, now); results[i].Status == StatusOK {
					cells[at].replace(writes[i].Record.Header, now)
					results[i].Status, results[i].Seq = cells[at].Put(writes[i], rules, now)
					voted[i] = cells[at].votes(writes[i], results[i].Status)
				}
			}
			return nil
		})
		t.repair.keeping.RUnlock()
	}
	t.changes.Add(1)
	if err != nil {
		return nil, fmt.Errorf("dht: keep %d records: %w", len(admitted), err)
	}
	for i, votes := range voted {
		if votes {
			v := newVote(t.o.Identity, t.o.Network(), writes[i].Record.Header)
			results[i].Vote = &v
		}
	}
	count := map[Status]int{}
	copies := false
	for i, r := range results {
		count[r.Status]++
		copies = copies || writes[i].Repair && r.Status == StatusOK
	}
	if copies && from != t.self && t.o.Root == RootNearest {
		t.Changed() // the others have it from the nearest one only, and that may be this node
	}
	if from != t.self {
		t.o.Publish.Emit(Stored{From: from, Records: len(writes), Outcome: outcome(count)})
	}
	t.refused(from, count)
	return results, nil
}

// refused logs what no honest member sends.
func (t *Table) refused(from p2p.ID, count map[Status]int) {
	for _, s := range []Status{StatusMalformed, StatusSignature, StatusProtected, StatusQuota, StatusNotResponsible, StatusFuture, StatusExpired, StatusNoQuorum} {
		if count[s] > 0 {
			t.o.Logger.Warn("records refused", "from", t.nameOf(from), "why", s.String(), "records", count[s])
		}
	}
}

func (t *Table) nameOf(id p2p.ID) string {
	if m, ok := t.o.Member(id); ok {
		return m.Name
	}
	return id.Short()
}

// admit returns the indices of the writes that may go on to their cells, and says of the
// others why not.
func (t *Table) admit(ctx context.Context, from p2p.ID, writes []Write, results []result) ([]int, error) {
	v, n := t.view(), t.Replicas()
	check, proofs := Checker{Network: t.o.Network()}, quorums{t: t, view: v}
	near := map[p2p.Key]bool{}
	members := map[p2p.ID]bool{}
	isMember := func(id p2p.ID) bool {
		is, known := members[id]
		if !known {
			_, is = t.o.Member(id)
			members[id] = is
		}
		return is
	}
	quota, err := t.quota(ctx)
	if err != nil {
		return nil, err
	}
	usage := map[p2p.ID]Usage{}
	strange, err := t.strangers.usage(ctx, from, t.o.Store)
	if err != nil {
		return nil, err
	}
	bad := 0
	var admitted []int
	for i, w := range writes {
		r := w.Record
		location := r.Location
		if _, known := near[location]; !known {
			near[location] = t.mayKeep(v, t.self, location, n)
		}
		author := p2p.IDOf(r.Author)
		u, known := usage[author]
		stranger := !isMember(author)
		if stranger {
			u = strange
		} else if !known {
			var err error
			if u, err = t.o.Store.Usage(ctx, author); err != nil {
				return nil, fmt.Errorf("dht: what %s has here: %w", author.Short(), err)
			}
		}
		if results[i].Status != StatusFailed {
			continue // it was a difference
		}
		if bad == maxBad { // nobody spends more time on who sends this
			results[i].Status = StatusSignature
			continue
		}
		err := check.Check(r)
		switch {
		case errors.Is(err, ErrSignature):
			results[i].Status = StatusSignature
			bad++
		case err != nil:
			results[i].Status = StatusMalformed
		case stranger && !w.Repair:
			results[i].Status = StatusSignature // it is nobody's who may write here
		case !near[location]:
			results[i].Status = StatusNotResponsible
		case !quota.fits(r.Header, u), stranger && from != t.self && !t.strangers.brings(from, author):
			results[i].Status = StatusQuota
		case !t.convinced(&proofs, from, &writes[i], &bad):
			results[i].Status = StatusNoQuorum
		default:
			u.Records++
			u.Bytes += int64(r.Size)
			admitted = append(admitted, i)
		}
		if stranger {
			strange = u
		} else {
			usage[author] = u
		}
	}
	return admitted, nil
}

// convinced finds out what is known of the majority that has prepared what a write confirms, and
// reports whether that is what the write says. Copies need no majority where nothing is prepared.
func (t *Table) convinced(c *quorums, from p2p.ID, w *Write, bad *int) bool {
	w.own = from == p2p.IDOf(w.Record.Author)
	if w.Quorum == nil {
		return true
	}
	var forged bool
	if w.proved, forged = c.proved(w.Record.Header, w.Quorum); forged {
		*bad++
	}
	return w.proved > 0 || w.Repair
}

// maxBad is how many wrong signatures of a message are looked at. No honest member sends one:
// a member checks what it keeps.
const maxBad = 16

// share is which part of what is left one author may have in an open network.
const share = 8

// quota returns what one author may have here now. In an open network it becomes less as the room
// does, a share of what is left (the dynamic thresholds of Choudhury and Hahne 1998): whoever
// is many authors never has all of it, and who has little can still write.
func (t *Table) quota(ctx context.Context) (Usage, error) {
	q := t.o.Quota
	if !t.o.Open() {
		return q, nil
	}
	all, err := t.o.Store.Total(ctx)
	if err != nil {
		return q, fmt.Errorf("dht: what all have here: %w", err)
	}
	q.Records = min(q.Records, max(t.o.Total.Records-all.Records, 0)/share)
	q.Bytes = min(q.Bytes, max(t.o.Total.Bytes-all.Bytes, 0)/share)
	return q, nil
}

// fits reports whether an author who has u here may have one record more of a quota. Who has as much
// as it may have can still remove as many records.
func (q Usage) fits(h Header, u Usage) bool {
	if h.Kind == KindTombstone {
		return u.Records < 2*q.Records
	}
	return u.Records < q.Records && u.Bytes+int64(h.Size) <= q.Bytes
}

// handleGet answers queries, as many of the first ones as an answer can carry.
func (t *Table) handleGet(ctx context.Context, _ p2p.ID, req []byte) ([]byte, error) {
	offered, queries, err := readRequest[Query](req)
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	var resp []byte
	looked := 0
	for i, q := range queries {
		if err := q.check(); err != nil {
			return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
		}
		if looked >= maxLooked {
			break // the rest is asked for again
		}
		room := offered.bytes() - len(resp)
		part, n, full, err := t.answer(ctx, q, room, offered.alone())
		if err != nil {
			return nil, err
		}
		if i > 0 && (full || len(part) > room) {
			break
		}
		resp, looked = append(resp, part...), looked+n
	}
	return resp, nil
}

// maxLooked is at how many records one message has a node look, and one query more: what is
// counted or filtered takes hardly any room in the answer.
const maxLooked = 1 << 16

// answer returns the items for one query, and how many records were looked at for it; full is
// true when they would need more room than there is, and are cut to it.
func (t *Table) answer(ctx context.Context, q Query, room, alone int) (items []byte, looked int, full bool, err error) {
	now := t.now()
	w := answerWriter{q: q, room: room, alone: alone, answer: answer{Status: StatusOK}}
	cell := Cell{Domain: &Claim{}}
	read := q
	read.Bare = q.Bare || q.Count || q.Summary > 0
	for h, err := range t.o.Store.Read(ctx, read) {
		if err != nil {
			return nil, looked, false, fmt.Errorf("dht: read: %w", err)
		}
		looked++
		if h.Name() != cell.Name {
			if err := w.take(&cell, now); err != nil {
				return nil, looked, false, err
			}
			if looked > maxLooked && (q.Count || q.Summary > 0 || len(q.Where) > 0) {
				w.answer.More = true // what passes may be far away
			}
			if w.answer.More {
				break
			}
			cell = Cell{Name: h.Name(), Domain: &Claim{}}
		}
		cell.Records = append(cell.Records, h)
	}
	if !w.answer.More {
		if err := w.take(&cell, now); err != nil {
			return nil, looked, false, err
		}
	}
	w.answer.Cut = w.full
	if q.Summary > 0 {
		w.answer.Summary = w.summary()
	}
	items, err = appendItem(nil, w.answer)
	return slices.Concat(items, w.copies, w.edges), looked, w.full, err
}

// answerWriter writes the answer to one query.
type answerWriter struct {
	q      Query
	room   int // bytes
	alone  int // and with one record only
	answer answer
	copies []byte
	edges  []byte
	full   bool // there was not enough room
	summed []p2p.Key
}

// maxEdges bounds the edges of one answer.
const maxEdges = MaxResults

// take adds what the query asks for of a cell, if all of it finds room, or as much of the
// first cell as does.
func (w *answerWriter) take(c *Cell, now int64) error {
	if !w.q.wants(c.Name.Content) {
		return nil
	}
	if w.q.Count || w.q.Summary > 0 {
		w.count(c.Name.Content, c.Select(w.q, now))
		return nil
	}
	var edges [][]byte
	if !w.q.Versions {
		for _, e := range c.behind(now) {
			b, err := appendItem(nil, e)
			if err != nil {
				return err
			}
			edges = append(edges, b)
		}
		if w.answer.Edges+len(edges) > maxEdges {
			w.answer.More = true
			return nil
		}
	}
	for _, h := range c.Select(w.q, now) {
		if w.answer.Records == w.q.limit() {
			w.answer.More = true
			return nil
		}
		r := copied{Record: h.Record, Left: h.Left(now)}
		if w.q.Bare {
			r.Record.Value = nil
		}
		next, err := appendItem(w.copies, r)
		if err != nil {
			return err
		}
		size := len(next) + len(w.edges) + itemRoom
		for _, e := range edges {
			size += len(e)
		}
		if w.answer.Records == 0 {
			// One record comes if it can, with as many edges as there is room for.
			for ; size > max(w.room, w.alone) && len(edges) > 0; edges = edges[1:] {
				size -= len(edges[0])
				w.full = true
			}
		}
		if size > w.room && (w.answer.Records > 0 || size > w.alone) {
			w.answer.More, w.full = true, true
			return nil
		}
		w.copies = next
		w.answer.Records++
		w.answer.Edges += len(edges)
		w.edges, edges = append(w.edges, slices.Concat(edges...)...), nil
	}
	return nil
}

// count counts values, up to the limit.
func (w *answerWriter) count(content p2p.Key, some []Held) {
	for _, h := range some {
		if h.Kind != KindValue {
			continue
		}
		if w.answer.Count == w.q.limit() {
			w.answer.More = true
			return
		}
		w.answer.Count++
		if w.q.Summary > 0 {
			w.summed = append(w.summed, content)
		}
	}
}

// summary returns the filter of what was counted.
func (w *answerWriter) summary() *bloom.Filter {
	f := bloom.New(len(w.summed), float64(w.q.Summary))
	for _, k := range w.summed {
		f.Add(k)
	}
	return &f
}

// itemRoom is kept for the item before the records.
const itemRoom = 64

// behind returns the headers of versions that readers could see, that replace others, and that
// are no heads: those come as records.
func (c *Cell) behind(now int64) []copied {
	var out []copied
	marks := c.replaced(now)
	for i, h := range c.Records {
		if marks[i] && h.live(now) && h.Kind == KindValue && !h.Prepared && len(h.Based) > 0 {
			h.Value = nil
			out = append(out, copied{Record: h.Record})
		}
	}
	return out
}
