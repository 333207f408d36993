package dht

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Put is something that is to be in the table.
type Put struct {
	Address
	Value []byte
	// TTL is how long it may be served; 0: until it is removed. It is rounded up to
	// seconds.
	TTL     time.Duration
	Absent  bool              // only if there is nothing at the address
	Protect Protect           // what is claimed with it
	Owner   ed25519.PublicKey // whom the claims are to belong to; empty: this node

	// Of versions (vDHT):
	Based    []Version // those that it replaces
	Prepared bool      // nobody is to see it yet
	Fork     bool      // another version may replace the same ones

	// Renew changes a record that is there without sending its value again: Header is its
	// header, of which everything but what is said above stays.
	Renew *Header

	tombstone bool
	seq       uint64  // at least
	exactly   uint64  // the sequence number to have; 0: any
	quorum    *Quorum // of who has prepared what this confirms
}

// Replica is what one member says of one record.
type Replica struct {
	ID     p2p.ID `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"` // why it could not be asked
}

// PutResult is what became of one put.
type PutResult struct {
	Header   Header    // as it was signed last
	Status   Status    // what the majority of replicas say; see Stored
	Replicas []Replica // nearest first, those that could not be asked among them
	Copies   int       // replicas that have it now

	record Record // as it was signed last
	quorum Quorum // of those who have prepared a version
}

// Stored reports whether the majority of the replicas has the record, so that everybody
// who asks a majority finds it.
func (r PutResult) Stored() bool { return r.Status.Stored() }

// putRounds is how often a put is tried: at the nearest, then with a larger sequence
// number, or at those that are next when some could not be asked.
const putRounds = 4

// MultiPut puts all at once: each member that is to keep some of them gets one
// message in each round. The results are in the order of puts; a put that was refused is
// no error. Errors: ErrNoReplica, and those of the own store.
func (t *Table) MultiPut(ctx context.Context, puts []Put) ([]PutResult, Trace, error) {
	return t.put(ctx, "put", puts)
}

// Put puts one record.
func (t *Table) Put(ctx context.Context, p Put) (PutResult, Trace, error) {
	results, trace, err := t.MultiPut(ctx, []Put{p})
	if err != nil {
		return PutResult{}, trace, err
	}
	return results[0], trace, nil
}

// Add puts a value into the set at a name's location and domain: its content key is the
// SHA-256 of the value, so that adding it again changes nothing.
func (t *Table) Add(ctx context.Context, location, domain p2p.Key, value []byte, ttl time.Duration) (PutResult, Trace, error) {
	return t.Put(ctx, Put{Address: Address{Location: location, Domain: domain, Content: SumOf(value)}, Value: value, TTL: ttl})
}

// putting is a put on its way.
type putting struct {
	put      Put
	write    Write
	asked    map[p2p.ID]*Replica
	order    []p2p.ID         // of those that were asked, nearest first
	votes    map[p2p.ID]*Vote // in their last answers
	stale    uint64           // the largest sequence number that a replica has
	clock    uint64           // of replicas to which the sequence number was from the future
	latest   uint64           // what they would take; 0: not known
	resign   bool             // it is to be signed before it is sent
	again    bool             // it was signed, and no replica has it so
	replicas int              // that are wanted
}

func (t *Table) put(ctx context.Context, name string, puts []Put) ([]PutResult, Trace, error) {
	op := t.begin(name)
	all := make([]*putting, len(puts))
	for i, p := range puts {
		all[i] = &putting{put: p, asked: map[p2p.ID]*Replica{}, votes: map[p2p.ID]*Vote{}, resign: true}
	}
	want := t.Replicas()
	locations := make([]p2p.Key, len(puts))
	for i, p := range puts {
		locations[i] = p.Location
	}
	v, err := t.around(ctx, op, locations, want)
	if err != nil {
		return nil, op.end(), fmt.Errorf("dht: %s: %w", name, err)
	}
	names := v.names()
	for round := 1; round <= putRounds; round++ {
		if err := t.sign(ctx, all); err != nil {
			return nil, op.end(), err
		}
		batches := map[p2p.ID][]*putting{}
		for _, p := range all {
			for _, m := range p.next(v, want, names) {
				batches[m.ID] = append(batches[m.ID], p)
			}
		}
		if len(batches) == 0 {
			break
		}
		t.send(ctx, op, round, batches)
		if ctx.Err() != nil {
			break
		}
	}
	out, trace := make([]PutResult, len(all)), op.end()
	for i, p := range all {
		out[i] = p.result()
	}
	if err := ctx.Err(); err != nil {
		return out, trace, fmt.Errorf("dht: %s: %w", name, err)
	}
	return out, trace, nil
}

// sign signs what is to be signed, or signed again, in one batch.
func (t *Table) sign(ctx context.Context, all []*putting) error {
	for _, p := range all {
		// The clock of this node is ahead, or once was. Replicas say what would do; where a
		// majority has it already, it would only be stale.
		if p.clock > 0 && !p.stored() {
			p.resign = true
		} else {
			p.clock = 0
		}
	}
	var again []*putting
	least := uint64(t.o.Now().UnixMicro())
	for _, p := range all {
		if p.resign {
			again = append(again, p)
			least = max(least, p.stale+1, p.put.seq)
			if p.put.Renew != nil {
				least = max(least, p.put.Renew.Seq+1)
			}
		}
	}
	if len(again) == 0 {
		return nil
	}
	first, err := t.o.Store.NextSeq(ctx, least, len(again))
	if err != nil {
		return fmt.Errorf("dht: sequence numbers: %w", err)
	}
	records := make([]Record, len(again))
	for i, p := range again {
		seq := first + uint64(i)
		if p.clock > 0 {
			seq = max(p.clock, p.stale+1, p.put.seq)
		}
		if p.put.exactly > 0 {
			seq = p.put.exactly
		}
		records[i] = p.put.record(seq)
	}
	Sign(t.o.Identity, t.o.Network(), records)
	for i, p := range again {
		p.write = Write{Record: records[i], Absent: p.put.Absent, Fork: p.put.Fork, Quorum: p.put.quorum}
		p.resign, p.again, p.clock = false, true, 0
	}
	return nil
}

// record returns the unsigned record of a put.
func (p Put) record(seq uint64) Record {
	h := Header{Address: p.Address, Based: p.Based}
	var value []byte
	switch {
	case p.Renew != nil:
		h = *p.Renew
	case p.tombstone:
		h.Kind = KindTombstone
	default:
		value = p.Value
	}
	h.TTL = uint32(min((p.TTL+time.Second-1)/time.Second, MaxTTL/time.Second))
	h.Seq, h.Prepared, h.Protect, h.Owner = seq, p.Prepared, p.Protect, p.Owner
	return Record{Header: h, Value: value}
}

// next returns whom to ask in the next round: the nearest ones when it was signed, first or
// again; one more for each that could not be asked.
func (p *putting) next(v view, want int, names map[p2p.ID]string) []Member {
	want = v.want(p.put.Location, want)
	candidates := v.replicas(p.put.Location, want+putRounds)
	p.replicas = min(want, max(len(candidates), 1))
	var out []Member
	useful := 0
	for _, m := range candidates {
		if useful == want {
			break
		}
		r := p.asked[m.ID]
		if r != nil && (r.Status == StatusFailed || r.Status == StatusNotResponsible) {
			continue
		}
		if r == nil {
			p.asked[m.ID] = &Replica{ID: m.ID, Name: names[m.ID]}
			p.order = append(p.order, m.ID)
		}
		if r == nil || p.again {
			out = append(out, m)
		}
		useful++
	}
	p.again = false
	return out
}

// retries reports whether a put is to be signed again with a larger sequence number since a
// replica has something newer: a record, or the tombstone of one, which only stands in the
// way of what was written before it. The clock of who has removed it may be ahead.
func (p *putting) retries(s Status) bool {
	if p.put.exactly > 0 {
		return false
	}
	switch s {
	case StatusStale:
		return !p.put.Absent
	case StatusExpired:
		return true // this node's clock is far behind
	case StatusDeleted:
		return p.put.Renew == nil && !p.put.tombstone
	}
	return false
}

// stored reports whether the majority has it.
func (p *putting) stored() bool {
	n := 0
	for _, r := range p.asked {
		if r.Status.Stored() {
			n++
		}
	}
	return 2*n > p.replicas
}

// send sends a round of batches.
func (t *Table) send(ctx context.Context, op *operation, round int, batches map[p2p.ID][]*putting) {
	type heard struct {
		to  p2p.ID
		of  *putting
		res result
		err error
	}
	answers := make(chan heard, 64)
	go func() {
		defer close(answers)
		each(batches, func(to p2p.ID, batch []*putting) {
			for _, some := range split(batch, t.limit(to)) {
				results, err := t.sendTo(ctx, op, round, to, some)
				for i, p := range some {
					h := heard{to: to, of: p, err: err}
					if err == nil {
						h.res = results[i]
					}
					answers <- h
				}
			}
		})
	}()
	for h := range answers {
		p := h.of
		r := p.asked[h.to]
		r.Status, r.Error = h.res.Status, ""
		if h.err != nil {
			r.Status, r.Error = StatusFailed, h.err.Error()
		}
		p.votes[h.to] = h.res.Vote
		if r.Status == StatusFuture {
			p.clock = max(p.clock, h.res.Seq)
			p.latest = max(p.latest, beyond(h.res.Seq))
		}
		if p.retries(r.Status) && (p.latest == 0 || h.res.Seq <= p.latest) {
			p.stale, p.resign = max(p.stale, h.res.Seq), true
		}
	}
}

// sendTo sends writes to one member in one message.
func (t *Table) sendTo(ctx context.Context, op *operation, round int, to p2p.ID, some []*putting) ([]result, error) {
	var req []byte
	for _, p := range some {
		var err error
		if req, err = appendItem(req, p.write); err != nil {
			return nil, fmt.Errorf("dht: put: %w", err)
		}
	}
	var results []result
	err := op.ask(ctx, request{round: round, to: to, proto: ProtoPut, items: len(some), message: req}, func(resp []byte) (string, error) {
		var err error
		if results, err = readItems[result](resp); err != nil {
			return "", err
		}
		if len(results) != len(some) {
			return "", fmt.Errorf("dht: %d results of %d writes: %w", len(results), len(some), ErrMalformed)
		}
		count := map[Status]int{}
		for i, r := range results {
			if err := t.checkVote(to, some[i].write.Record.Header, r); err != nil {
				return "", err
			}
			count[r.Status]++
		}
		return outcome(count), nil
	})
	t.suspect(to, err)
	return results, err
}

// limit returns up to how many bytes a message to a member is filled.
func (t *Table) limit(to p2p.ID) int {
	if to == t.self {
		return MaxItems << 16
	}
	if limit := t.o.Caller.Limit(to); limit > maxAlone {
		return limit
	}
	return maxCall
}

// split cuts a batch into messages of at most limit bytes.
func split(batch []*putting, limit int) [][]*putting {
	var out [][]*putting
	size := 0
	for _, p := range batch {
		n := writeSize(p.write)
		if len(out) == 0 || size+n > limit || len(out[len(out)-1]) == MaxItems {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], p)
		size += n
	}
	return out
}

// writeSize bounds the encoding of a write.
func writeSize(w Write) int {
	r := w.Record
	votes := 0
	if w.Quorum != nil {
		votes = len(w.Quorum.Votes)
	}
	return 320 + voteSize*votes + len(r.Value) + len(w.Base) + len(w.Delta) + len(r.Owner) + (len(Version{})+2)*len(r.Based) + len(r.Proof.Path)
}

// result says what the replicas agree upon: what a majority of those that are wanted has
// stored, or else the refusal that most have named.
func (p *putting) result() PutResult {
	r := PutResult{Header: p.write.Record.Header, record: p.write.Record, quorum: p.quorum()}
	distance := func(id p2p.ID) int { return slices.Index(p.order, id) }
	count := map[Status]int{}
	for _, replica := range p.asked {
		r.Replicas = append(r.Replicas, *replica)
		count[replica.Status]++
		if replica.Status.Stored() {
			r.Copies++
		}
	}
	slices.SortFunc(r.Replicas, func(a, b Replica) int { return cmp.Compare(distance(a.ID), distance(b.ID)) })
	r.Status = StatusFailed
	stored := 2*r.Copies > p.replicas
	most := 0
	for s := range statuses {
		if s.Stored() == stored && count[s] > most && (s != StatusFailed || !stored) {
			r.Status, most = s, count[s]
		}
	}
	return r
}

// quorum returns the votes of the nearest who have prepared it as it was signed last.
func (p *putting) quorum() Quorum {
	h := p.write.Record.Header
	if !h.Prepared {
		return Quorum{}
	}
	q := Quorum{Seq: h.Seq}
	for _, id := range p.order {
		if v := p.votes[id]; v != nil && p.asked[id].Status.Stored() && len(q.Votes) < maxVotes {
			q.Votes = append(q.Votes, *v)
		}
	}
	return q
}

// names returns the names of members, for people.
func (v view) names() map[p2p.ID]string {
	out := map[p2p.ID]string{}
	for _, m := range v.members {
		out[m.ID] = m.Name
	}
	return out
}
