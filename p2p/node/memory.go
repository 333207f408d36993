package node

import (
	"context"
	"crypto/rand"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// memory is the Store of a node that forgets all when it is closed.
type memory struct {
	identity p2p.Identity
	member   member.Store
	folder   folder.Store
	replica  replica.Store
	search   search.Store
	unread   extract.Store
	dht      dht.Store
	register paxos.Store
	tracker  tracker.Store
	seeds    swarm.Store
	publish  publish.Store
	passes   pass.Store
}

func newMemory() (*memory, error) {
	identity, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &memory{identity, member.NewMemory(), folder.NewMemory(), replica.NewMemory(), search.NewMemory(), new(extract.Memory), dht.NewMemory(), &paxos.Memory{}, &tracker.Memory{}, &swarm.Memory{}, new(publish.Memory), &pass.Memory{}}, nil
}

func (m *memory) Identity(context.Context) (p2p.Identity, error) { return m.identity, nil }
func (m *memory) Member() member.Store                           { return m.member }
func (m *memory) Folder() folder.Store                           { return m.folder }
func (m *memory) Replica() replica.Store                         { return m.replica }
func (m *memory) Search() search.Store                           { return m.search }
func (m *memory) Unread() extract.Store                          { return m.unread }
func (m *memory) DHT() dht.Store                                 { return m.dht }
func (m *memory) Registers() paxos.Store                         { return m.register }
func (m *memory) Tracker() tracker.Store                         { return m.tracker }
func (m *memory) Seeds() swarm.Store                             { return m.seeds }
func (m *memory) Published() publish.Store                       { return m.publish }
func (m *memory) Passes() pass.Store                             { return m.passes }
