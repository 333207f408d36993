package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/direct"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges/registry"
	"github.com/shoal-p2p/shoal/p2p/route"
)

// Steps of requests are told as long as there are few: a program that puts thousands of
// records would push everything else out of the log of events.
const (
	stepsPerSecond = 50
	stepsAtOnce    = 200
)

// publishSome publishes events of which there can be very many.
func (n *Node) publishSome(e p2p.Event) {
	if n.steps.Allow() {
		n.events.publish(e)
	}
}

// leaveTimeout is how long a node that is closed hands over what it keeps.
const leaveTimeout = 2 * time.Second

// newRoute makes what carries requests to members, also to those without a link.
func (n *Node) newRoute(identity p2p.Identity, publish p2p.Publish) *route.Router {
	return route.New(route.Options{
		Identity: identity, Network: func() p2p.ID { return n.members.Network().ID },
		Member: n.routed, Links: n.links.all, Link: n.links.to, Publish: publish, Logger: n.log,
		Prove: n.members.Prove, Present: n.present,
		Nearest: func(key p2p.Key, count int) []route.Member { return n.overlay.Closest(key, count) },
		Heard:   func(m route.Member) { n.overlay.Heard(m) },
		Relays:  n.relaysOf, Client: n.relaysFor,
	})
}

// newContacts makes what this node knows of a network that is too large to know all of it.
func (n *Node) newContacts() *route.Contacts {
	return route.NewContacts(route.ContactsOptions{
		Router: n.route, Large: func() bool { return n.table.Large() }, Open: n.isOpen,
		Changed: func() { n.table.Changed() }, Relays: n.ownRelays, Logger: n.log,
	})
}

// newTable makes this node's part of the distributed table.
func (n *Node) newTable(identity p2p.Identity, o Options, publish p2p.Publish) *dht.Table {
	return dht.New(dht.Options{
		Identity: identity, Network: func() p2p.ID { return n.members.Network().ID },
		Members: n.tableMembers, Member: n.tableMember, Size: n.members.Size, Roster: o.Roster, Wide: n.members.Wide, Contacts: n.overlay, Open: n.isOpen, Alive: n.suspects.alive, Caller: tableCaller{n.route, &n.suspects},
		Store: o.Store.DHT(), Replicas: o.Replicas, Auto: o.Auto, Publish: publish, Logger: n.log,
	})
}

// newRegisters makes this node's part of what all agree upon.
func (n *Node) newRegisters(o Options, publish p2p.Publish) *dht.Registers {
	return dht.NewRegisters(dht.RegistersOptions{
		Table: n.table, Caller: tableCaller{n.route, &n.suspects}, Store: o.Store.Registers(),
		Founder: n.members.Founder, Publish: publish, Logger: n.log,
	})
}

// Registers returns the values that all members agree upon. Like DHT's it is used within
// calls that Enter has let in.
func (n *Node) Registers() *dht.Registers { return n.registers }

// tableMembers returns those who keep records: all members.
func (n *Node) tableMembers() []dht.Member {
	if n.members.Self().Revoked {
		return nil
	}
	all := n.members.Members()
	out := make([]dht.Member, len(all))
	for i, m := range all {
		out[i] = keeper(m)
	}
	return out
}

// tableMember returns one of them.
func (n *Node) tableMember(id p2p.ID) (dht.Member, bool) {
	m, ok := n.Member(id)
	if !ok || n.members.Self().Revoked {
		return dht.Member{}, false
	}
	return keeper(m), true
}

func keeper(m member.Member) dht.Member {
	return dht.Member{ID: m.ID, Position: m.Key, PublicKey: m.Contact.PublicKey, Name: m.Name}
}

// DHT returns this node's part of the distributed table. It is used within calls that Enter
// has let in.
func (n *Node) DHT() *dht.Table { return n.table }

// Ranges returns the ordered indexes over the table. Like it they are used within calls that
// Enter has let in.
func (n *Node) Ranges() *registry.Registry { return n.ranges }

// Words returns the documents at their words in the table. Like it they are used within calls
// that Enter has let in.
func (n *Node) Words() *keyword.Index { return n.words }

// Published says how far this node's documents are at their words; on is false if they are
// not to be.
func (n *Node) Published() (status publish.Status, on bool) {
	if !n.publishes {
		return publish.Status{TTL: publish.DefaultTTL}, false
	}
	return n.publisher.Status(), true
}

// newPublisher makes what publishes documents, or takes away what an earlier run has published.
func (n *Node) newPublisher(o Options) *publish.Publisher {
	return publish.New(publish.Options{
		Index: n.index, Words: n.words, Node: n.id, Open: n.openToAll, Logger: n.log,
		Network: func() p2p.ID { return n.members.Network().ID }, Store: o.Store.Published(), Off: !o.Publish,
	})
}

// openToAll reports whether all members may read a folder that is kept here, those too who
// join later: they get a part of the table before anything could be taken out of it.
func (n *Node) openToAll(id string) bool {
	f, err := n.folders.Get(id)
	if err != nil || n.veiled.Load() {
		return false
	}
	creator, access, grants := n.shared(f).By(), f.Access, f.Grants
	for _, o := range n.members.Offers() {
		if o.Folder == id && o.By == creator {
			access, grants = o.Access, o.Grants
		}
	}
	return access != p2p.AccessNone && !slices.ContainsFunc(grants, func(g p2p.Grant) bool {
		return g.Access == p2p.AccessNone && g.Member != creator && g.Member != n.id
	})
}

// Direct returns what brings data to other members.
func (n *Node) Direct() *direct.Service { return n.direct }

// Enter lets a call in that uses what a method of n has returned, unless the node is
// closed; the call's context ends with the node, which waits for leave.
func (n *Node) Enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	return n.enter(ctx)
}

// handOver gives others what this node keeps, before it goes.
func (n *Node) handOver() {
	ctx, cancel := context.WithTimeout(n.ctx, leaveTimeout)
	defer cancel()
	n.overlay.Withdraw(ctx)
	if err := n.table.Leave(ctx); err != nil {
		n.log.Info("records not handed over", "error", err)
	}
}

// forgetTable deletes the records of a network that this node has left: they are signed for
// that one.
func (n *Node) forgetTable(ctx context.Context) error {
	n.ranges.Forget()
	n.words.Forget()
	n.tracker.Forget()
	if err := n.table.Clear(ctx); err != nil {
		return fmt.Errorf("node: records of the former network: %w", err)
	}
	return nil
}

// suspects knows which members can be asked. Those with a link can; in a network that is
// too large for links to everybody, so can others, unless a request has just failed.
type suspects struct {
	linked func(p2p.ID) bool
	sparse func() bool // not everybody is linked to everybody, or has met everybody
	mu     sync.Mutex  // guards silent
	silent map[p2p.ID]time.Time
}

// suspectFor is how long a member is not asked again that could not be reached.
const suspectFor = 30 * time.Second

func (s *suspects) alive(id p2p.ID) bool {
	if s.linked(id) {
		return true
	}
	if !s.sparse() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since, silent := s.silent[id]
	if silent && time.Since(since) > suspectFor {
		delete(s.silent, id)
		silent = false
	}
	return !silent
}

// heard notes whether a member could be reached.
func (s *suspects) heard(id p2p.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, p2p.ErrUnreachable) {
		if s.silent == nil {
			s.silent = map[p2p.ID]time.Time{}
		}
		s.silent[id] = time.Now()
	} else {
		delete(s.silent, id)
	}
}

// tableCaller asks members for the table, and remembers who could not be reached.
type tableCaller struct {
	route    *route.Router
	suspects *suspects
}

// Call implements dht.Caller.
func (c tableCaller) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	resp, err := c.route.Call(ctx, to, proto, req)
	c.suspects.heard(to, err)
	return resp, err
}

// Exchange implements dht.Caller.
func (c tableCaller) Exchange(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	resp, err := c.route.Exchange(ctx, to, proto, req)
	c.suspects.heard(to, err)
	return resp, err
}

// Limit implements dht.Caller.
func (c tableCaller) Limit(to p2p.ID) int { return c.route.Limit(to) }
