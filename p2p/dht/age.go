package dht

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ProtoAge is how acceptors of registers find out that their memory was put back to an earlier
// time, as a restored backup or a snapshot of a virtual machine does. A disk that has
// forgotten does not know it; but what it has promised somebody has heard. Each answer and
// each request says how old its sender's memory is, signed by it, and who hears it remembers
// the greatest age of each. It comes back with each request, and a node that starts asks
// all that it can reach before it answers anything.
const ProtoAge = "dht-age/1"

const (
	ageContext = "shoal acceptor age"
	// agesAsked is how many members are asked at once, the nearest ones.
	agesAsked = 64
	ageWait   = time.Second // how long each has to answer
	// settle is how long a node that had promised something before it started waits for
	// members that are not linked yet.
	settle = 3 * time.Second
	// agesEvery is how often what was seen is written down.
	agesEvery = 30 * time.Second
	maxAges   = 4096 // members of which the age is remembered
)

// Forgotten is the event that this node's memory as an acceptor was put back to an earlier
// time. In the registers of which it is one, others take its place, or it its own in a
// new life.
type Forgotten struct {
	Was  paxos.Age `json:"was"`  // how old it is
	Seen paxos.Age `json:"seen"` // and was
	By   p2p.ID    `json:"by"`   // who has seen that
	At   time.Time `json:"at"`
}

// Topic implements p2p.Event.
func (Forgotten) Topic() string { return "dht.forgotten" }

// ages are those that were seen.
type ages struct {
	began   time.Time
	serving sync.RWMutex  // held while this node answers; for writing while it begins a new life
	asking  chan struct{} // has room for the one who asks others

	mu        sync.Mutex // guards all following fields
	seen      map[p2p.ID]paxos.Attest
	news      map[p2p.ID]bool // seen, and not written down
	asked     map[p2p.ID]bool
	first     *paxos.Age   // with which this run has begun; nil: it is not known yet
	own       paxos.Attest // the last one that was signed
	network   p2p.ID       // for which
	forgotten *Forgotten
}

// ageText is what an acceptor signs.
func ageText(network p2p.ID, a paxos.Age) []byte {
	return binary.BigEndian.AppendUint64(append(network[:], a.Life), a.Changes)
}

// age returns how old this node is, signed.
func (r *Registers) age(ctx context.Context) (paxos.Attest, error) {
	age, err := r.o.Store.Age(ctx)
	if err != nil {
		return paxos.Attest{}, fmt.Errorf("dht: age of the store: %w", err)
	}
	network := r.o.Table.o.Network()
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	if r.ages.first == nil {
		r.ages.first = &age
	}
	if a := &r.ages.own; a.Age != age || r.ages.network != network || a.Sig == nil {
		*a = paxos.Attest{Age: age, Sig: r.o.Table.o.Identity.Sign(ageContext, ageText(network, age))}
		r.ages.network = network
	}
	return r.ages.own, nil
}

// saw notes the age of a member. Its signature is checked by the member itself, if it should
// forget.
func (r *Registers) saw(id p2p.ID, a paxos.Attest) {
	if id == r.self || len(a.Sig) > maxSig {
		return
	}
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	if _, known := r.ages.seen[id]; !known && len(r.ages.seen) >= maxAges || !r.ages.seen[id].Age.Behind(a.Age) {
		return
	}
	r.ages.seen[id], r.ages.news[id] = a, true
}

// maxSig bounds a signature.
const maxSig = 64

// seenOf returns the greatest age that was seen of a member.
func (r *Registers) seenOf(id p2p.ID) paxos.Attest {
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	return r.ages.seen[id]
}

// lifeOf returns in which life a member is, as far as is known.
func (r *Registers) lifeOf(id p2p.ID) byte {
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	if id == r.self {
		return r.ages.own.Age.Life
	}
	return r.ages.seen[id].Age.Life
}

// told looks at what somebody has seen of this node. If that is more than it knows, it has
// forgotten something, and begins a new life.
func (r *Registers) told(ctx context.Context, by p2p.ID, seen paxos.Attest) error {
	own, err := r.age(ctx)
	if err != nil || !own.Age.Behind(seen.Age) {
		return err
	}
	if !p2p.Verify(r.o.Table.o.Identity.PublicKey(), ageContext, ageText(r.o.Table.o.Network(), seen.Age), seen.Sig) {
		r.o.Logger.Warn("somebody pretends that this node has forgotten something", "from", r.o.Table.nameOf(by))
		return nil
	}
	r.ages.serving.Lock()
	defer r.ages.serving.Unlock()
	if _, err := r.o.Store.Renew(ctx, seen.Age); err != nil {
		return fmt.Errorf("dht: begin a new life as an acceptor: %w", err)
	}
	e := Forgotten{Was: own.Age, Seen: seen.Age, By: by, At: r.o.Table.o.Now()}
	r.ages.mu.Lock()
	r.ages.forgotten = &e
	clear(r.ages.asked) // all are to hear of the new life
	r.ages.mu.Unlock()
	r.o.Logger.Error("the state of this node was put back to an earlier time: it keeps registers only where it is made an acceptor anew",
		"knows_changes", own.Age.Changes, "had_changes", seen.Age.Changes, "says", r.o.Table.nameOf(by))
	r.tell(e)
	_, err = r.age(ctx)
	return err
}

// Memory says what became of this node's memory as an acceptor: how old it is, in which life,
// and what was found out in this run of the program, if anything.
func (r *Registers) Memory(ctx context.Context) (paxos.Age, *Forgotten, error) {
	own, err := r.age(ctx)
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	return own.Age, r.ages.forgotten, err
}

type ageMessage struct {
	Own  paxos.Attest `cbor:"1,keyasint"`
	Seen paxos.Attest `cbor:"2,keyasint"` // of an answer: of the one who asks
}

// handleAge says how old the one who asks was seen.
func (r *Registers) handleAge(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	var m ageMessage
	if err := wire.Unmarshal(req, &m); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	seen := r.seenOf(from)
	r.saw(from, m.Own)
	own, err := r.age(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(ageMessage{Own: own, Seen: seen})
}

// errSettling: the node has just started.
var errSettling = errors.New("the node has just started, and asks the others first")

// remind asks those who can be asked, and were not yet, how old they have seen this node. It
// fails while more of them may come who know.
func (r *Registers) remind(ctx context.Context) error {
	select {
	case r.ages.asking <- struct{}{}:
		defer func() { <-r.ages.asking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	v := r.o.Table.view()
	near := v.replicas(p2p.Key(r.self), agesAsked)
	r.ages.mu.Lock()
	ask := map[p2p.ID]struct{}{}
	for _, m := range near {
		if m.ID != r.self && !r.ages.asked[m.ID] {
			ask[m.ID] = struct{}{}
		}
	}
	r.ages.mu.Unlock()
	own, err := r.age(ctx)
	if err != nil {
		return err
	}
	if len(ask) > 0 {
		if err := r.askAges(ctx, own, ask); err != nil {
			return err
		}
	}
	r.ages.mu.Lock()
	promised := r.ages.first.Changes > 0
	r.ages.mu.Unlock()
	if promised && len(v.alive) < len(v.members) && r.o.Table.o.Now().Sub(r.ages.began) < settle {
		return errSettling
	}
	return nil
}

// askAges asks some members.
func (r *Registers) askAges(ctx context.Context, own paxos.Attest, ask map[p2p.ID]struct{}) error {
	req, err := wire.Marshal(ageMessage{Own: own})
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, ageWait)
	defer cancel()
	var mu sync.Mutex // guards heard
	heard := map[p2p.ID]ageMessage{}
	each(ask, func(to p2p.ID, _ struct{}) {
		var a ageMessage
		resp, err := r.o.Caller.Call(asking, to, ProtoAge, req)
		if err == nil {
			err = wire.Unmarshal(resp, &a)
		}
		if err != nil {
			r.o.Logger.Debug("a member does not say how old it has seen this node", "member", r.o.Table.nameOf(to), "error", err)
		}
		mu.Lock()
		defer mu.Unlock()
		heard[to] = a
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	r.ages.mu.Lock()
	for to := range heard {
		r.ages.asked[to] = true // who does not answer says it with its next request
	}
	r.ages.mu.Unlock()
	for to, a := range heard {
		r.saw(to, a.Own)
		if err := r.told(ctx, to, a.Seen); err != nil {
			return err
		}
	}
	return nil
}

// again lets those be asked again who have gone: they may come back with another disk, and
// so may their links with this node's former run.
func (r *Registers) again() {
	v := r.o.Table.view()
	r.ages.mu.Lock()
	defer r.ages.mu.Unlock()
	maps.DeleteFunc(r.ages.asked, func(id p2p.ID, _ bool) bool { return !v.alive[id] })
}

// loadAges reads what was seen in earlier runs.
func (r *Registers) loadAges(ctx context.Context) error {
	seen, err := r.o.Store.Remembered(ctx)
	if err != nil {
		return fmt.Errorf("dht: ages of others: %w", err)
	}
	for _, id := range slices.SortedFunc(maps.Keys(seen), p2p.ID.Compare) {
		r.saw(id, seen[id])
	}
	return nil
}

// writeAges writes down what was seen.
func (r *Registers) writeAges(ctx context.Context) error {
	r.ages.mu.Lock()
	news := map[p2p.ID]paxos.Attest{}
	for id := range r.ages.news {
		news[id] = r.ages.seen[id]
	}
	clear(r.ages.news)
	r.ages.mu.Unlock()
	if len(news) == 0 {
		return nil
	}
	if err := r.o.Store.Remember(ctx, news); err != nil {
		return fmt.Errorf("dht: ages of others: %w", err)
	}
	return nil
}
