package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// SnapshotProtocol is the call by which a node gives its relay a snapshot, and StandInProtocol
// the one by which a relay is asked for a node.
const (
	SnapshotProtocol = "snapshot/1"
	StandInProtocol  = "standin/1"
)

// standInTimeout is how long relays have to answer for a member before it is asked itself.
const standInTimeout = time.Second

// handleSnapshot answers SnapshotProtocol.
func (r *Router) handleSnapshot(_ context.Context, from p2p.ID, b []byte) ([]byte, error) {
	var q giveRequest
	if err := wire.Unmarshal(b, &q); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	owner, ok := r.o.Member(from)
	_, client := r.client(from)
	network := r.o.Network()
	r.stand.Lock()
	defer r.stand.Unlock()
	r.settleIn(network)
	number, err := r.standIns.take(owner, network, q.Snapshot, ok && client, time.Now())
	if err != nil {
		return nil, err
	}
	return wire.Marshal(giveResponse{number})
}

// handleStandIn answers StandInProtocol.
func (r *Router) handleStandIn(_ context.Context, _ p2p.ID, b []byte) ([]byte, error) {
	var q standInRequest
	if err := wire.Unmarshal(b, &q); err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	_, member := r.o.Member(q.For)
	gone, client := r.client(q.For)
	r.stand.Lock()
	r.settleIn(r.o.Network())
	a, err := r.standIns.answer(q, member && client, gone, time.Now())
	r.stand.Unlock()
	if err != nil {
		return nil, err
	}
	return wire.Marshal(a)
}

// client is Options.Client.
func (r *Router) client(id p2p.ID) (gone time.Duration, ok bool) {
	if r.o.Client == nil {
		return 0, false
	}
	return r.o.Client(id)
}

// settleIn forgets the snapshots of another network. The caller holds r.stand.
func (r *Router) settleIn(network p2p.ID) {
	if r.snapshotsOf != network {
		r.snapshotsOf, r.standIns, r.held = network, standIns{}, held{}
	}
}

// Kept is a snapshot that this node answers from.
type Kept struct {
	At    time.Time // when it came
	Known int       // members in it
	Asked uint64    // how often its node was answered for
}

// StandsIn returns for whom this node answers as their relay.
func (r *Router) StandsIn() map[p2p.ID]Kept {
	clients := map[p2p.ID]time.Duration{}
	r.stand.Lock()
	r.settleIn(r.o.Network())
	for id, in := range r.standIns {
		if in.kept() {
			clients[id] = 0
		}
	}
	r.stand.Unlock()
	for id := range clients { // without the lock: they are others' functions
		if gone, ok := r.client(id); !ok || gone > SnapshotGone {
			delete(clients, id)
		}
	}
	now := time.Now()
	r.stand.Lock()
	defer r.stand.Unlock()
	out := map[p2p.ID]Kept{}
	for id, in := range r.standIns {
		if _, ok := clients[id]; ok && in.kept() && now.Sub(in.at) <= SnapshotAge {
			out[id] = Kept{At: in.at, Known: len(in.s.Known), Asked: in.asked}
		}
	}
	return out
}

// reach says how this node reaches a member.
func (r *Router) reach(id p2p.ID) reach {
	l, err := r.o.Link(id)
	switch {
	case err != nil:
		return unlinked
	case l.Path().Kind == p2p.PathRelayed:
		return relayed
	}
	return straight
}

// errAlone: no relay is asked in place of a member.
var errAlone = errors.New("no relay stands in for it")

// inPlace asks the relays of a member for it, one after the other, if that is shorter than to
// ask it. Ping asks only whether it is there.
func (r *Router) inPlace(ctx context.Context, m Member, ping bool) (s Snapshot, by StandIn, way Way, size int, err error) {
	if r.o.Relays == nil {
		return s, by, way, 0, errAlone
	}
	relays := slices.DeleteFunc(slices.Clone(r.o.Relays(m.ID)), func(id p2p.ID) bool { return id == r.self || id == m.ID })
	if len(relays) == 0 {
		return s, by, way, 0, errAlone
	}
	ctx, cancel := context.WithTimeout(ctx, standInTimeout)
	defer cancel()
	err = errAlone
	for _, relay := range inPlaceOf(r.reach(m.ID), relays, r.reach) {
		if s, by, way, size, err = r.askRelay(ctx, m, relay, ping); err == nil || ctx.Err() != nil {
			break
		}
	}
	return s, by, way, size, err
}

// askRelay asks one relay of a member.
func (r *Router) askRelay(ctx context.Context, m Member, relay p2p.ID, ping bool) (s Snapshot, by StandIn, way Way, size int, err error) {
	network := r.o.Network()
	r.stand.Lock()
	r.settleIn(network)
	req, err := wire.Marshal(standInRequest{For: m.ID, Have: r.held[m.ID].Number, Ping: ping})
	r.stand.Unlock()
	if err != nil {
		return s, by, way, 0, err
	}
	b, way, err := r.Ask(ctx, relay, StandInProtocol, req)
	if err != nil {
		return s, by, way, 0, err
	}
	var a standInResponse
	if err = wire.Unmarshal(b, &a); err == nil && ping {
		err = a.fresh()
	} else if err == nil {
		r.stand.Lock()
		if r.snapshotsOf == network {
			s, err = r.held.accept(m, network, a, time.Now())
		} else {
			err = fmt.Errorf("route: this node is in another network now: %w", p2p.ErrUnreachable)
		}
		r.stand.Unlock()
	}
	if err != nil {
		r.o.Logger.Debug("a relay's answer for its client is not believed", "relay", relay.Short(), "client", m.ID.Short(), "error", err)
		return s, by, way, len(b), err
	}
	return s, a.by(relay), way, len(b), nil
}

// Ping asks whether a member is there: its relay, if that is shorter, or itself. The error is that
// of Call.
func (r *Router) Ping(ctx context.Context, m Member) error {
	if _, by, _, _, err := r.inPlace(ctx, m, true); err == nil && by.Gone == 0 {
		return nil
	}
	req, err := wire.Marshal(findRequest{Count: 1}) // what it answers does not matter
	if err != nil {
		return err
	}
	_, err = r.Call(ctx, m.ID, FindProtocol, req)
	return err
}

// Given is what a relay has of this node.
type Given struct {
	At    time.Time // when it got the last snapshot
	Known int       // members in it
}

// giving is what Contacts know of the snapshots that this node gives.
type giving struct {
	number uint64 // of the last one
	relays map[p2p.ID]given
	ended  bool // withdrawn: this node goes, and gives no more
}

type given struct {
	Given
	ids []p2p.ID
}

// Given returns the relays that have a snapshot of this node.
func (c *Contacts) Given() map[p2p.ID]Given {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[p2p.ID]Given{}
	for id, g := range c.giving.relays {
		if time.Since(g.At) <= SnapshotAge {
			out[id] = g.Given
		}
	}
	return out
}

// Shelter tells that this node's relays have changed. It does not wait.
func (c *Contacts) Shelter() {
	select {
	case c.sheltered <- struct{}{}:
	default:
	}
}

// known is what a snapshot says now.
func (c *Contacts) known() []p2p.ID {
	members := c.Members()
	ids := make([]p2p.ID, 0, min(len(members), MaxKnown))
	for _, m := range members[:min(len(members), MaxKnown)] {
		ids = append(ids, m.ID)
	}
	slices.SortFunc(ids, p2p.ID.Compare) // the table's order changes with whom it has heard last
	return ids
}

// give gives those relays a snapshot that have none, an old one, or one that says something else.
func (c *Contacts) give(ctx context.Context) {
	if c.o.Relays == nil {
		return
	}
	relays, ids := c.o.Relays(), c.known()
	now := time.Now()
	var due []p2p.ID
	c.mu.Lock()
	for id := range c.giving.relays {
		if !slices.Contains(relays, id) {
			delete(c.giving.relays, id)
		}
	}
	for _, id := range relays {
		g, has := c.giving.relays[id]
		if len(ids) > 0 && (!has || now.Sub(g.At) >= SnapshotEvery || !slices.Equal(g.ids, ids)) {
			due = append(due, id)
		}
	}
	c.mu.Unlock()
	c.giveTo(ctx, due, ids)
}

// Withdraw takes back what relays have of this node: it goes, and gives no snapshots any more. One
// that is on its way has a smaller number, so it is worth nothing when it arrives later.
func (c *Contacts) Withdraw(ctx context.Context) {
	var relays []p2p.ID
	if c.o.Relays != nil {
		relays = slices.Clone(c.o.Relays())
	}
	c.mu.Lock()
	c.giving.ended = true
	for id := range c.giving.relays {
		if !slices.Contains(relays, id) {
			relays = append(relays, id)
		}
	}
	c.mu.Unlock()
	c.giveTo(ctx, relays, nil)
}

// giveTo gives some relays a snapshot.
func (c *Contacts) giveTo(ctx context.Context, relays, ids []p2p.ID) {
	if len(relays) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	for _, relay := range relays {
		running.Go(func() {
			err := c.giveOne(ctx, relay, ids)
			if err != nil && ctx.Err() == nil {
				c.o.Logger.Debug("a relay has not taken a snapshot", "relay", relay.Short(), "error", err)
			}
		})
	}
}

// giveOne gives one relay a snapshot: twice, if it has one with a larger number, because this
// node's clock was put back.
func (c *Contacts) giveOne(ctx context.Context, relay p2p.ID, ids []p2p.ID) error {
	for again := false; ; again = true {
		c.mu.Lock()
		if c.giving.ended && len(ids) > 0 {
			c.mu.Unlock()
			return nil
		}
		c.giving.number = max(c.giving.number+1, uint64(max(time.Now().UnixMicro(), 1)))
		number := c.giving.number
		c.mu.Unlock()
		raw, err := Snapshot{Number: number, Known: ids}.seal(c.r.o.Identity, c.r.o.Network())
		if err != nil {
			return err
		}
		req, err := wire.Marshal(giveRequest{raw})
		if err != nil {
			return err
		}
		b, err := c.r.Call(ctx, relay, SnapshotProtocol, req)
		if err != nil {
			return err
		}
		var a giveResponse
		if err := wire.Unmarshal(b, &a); err != nil {
			return err
		}
		c.mu.Lock()
		switch {
		case a.Number > number && plausible(a.Number, time.Now()):
			c.giving.number = max(c.giving.number, a.Number)
		case a.Number == number && len(ids) > 0:
			if c.giving.relays == nil {
				c.giving.relays = map[p2p.ID]given{}
			}
			c.giving.relays[relay] = given{Given{time.Now(), len(ids)}, ids}
		case a.Number == number:
			delete(c.giving.relays, relay)
		}
		c.mu.Unlock()
		if a.Number == number {
			return nil
		}
		if again {
			return fmt.Errorf("route: it has a snapshot with the number %d", a.Number)
		}
	}
}
