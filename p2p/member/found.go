package member

import (
	"cmp"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
)

// founding is a network in the making: its root key exists while it is signed, and never again.
type founding struct {
	roster *Roster
	mine   p2p.Contact
}

// foundNetwork makes a network with this node as founder. The caller holds s.mu, or nobody else knows s.
func (s *Service) foundNetwork(mode Mode, name string) (founding, error) {
	root, err := p2p.NewIdentity(s.o.Rand)
	if err != nil {
		return founding{}, fmt.Errorf("member: found network: %w", err)
	}
	nonce, err := s.nonce()
	if err != nil {
		return founding{}, err
	}
	mine := s.mine
	mine.Name = cmp.Or(mine.Name, CleanName(s.o.Name), s.self.Short())
	mine.Seq = s.nextSeq(mine.Seq)
	genesis, err := sign(root, KindGenesis, genesisBody{
		Root: root.PublicKey(), Name: cmp.Or(CleanName(name), CleanName(mine.Name+"'s network")), Mode: mode,
		Created: s.o.Now().Unix(), Founder: s.o.Identity.PublicKey(), Nonce: nonce[:], Roster: uint64(s.o.Roster),
	})
	if err != nil {
		return founding{}, err
	}
	contact, err := contactStatement(s.o.Identity, mine)
	if err != nil {
		return founding{}, err
	}
	roster, err := rosterOf(genesis, contact)
	return founding{roster, mine}, err
}

// Found leaves this node's own network, which must have no other members, for a new one, of
// which it is the founder. An empty name is made of the node's. Folders that this node offered are
// offered again, in an open network to nobody. Errors: ErrNotEmpty, ErrMalformed.
func (s *Service) Found(mode Mode, name string) (Network, error) {
	if !mode.valid() {
		return Network{}, fmt.Errorf("member: found network: mode %.20q: %w", mode, ErrMalformed)
	}
	var network Network
	err := s.do(func() (func(), error) {
		old := s.current.Load()
		if err := s.leavable(old); err != nil {
			return nil, err
		}
		f, err := s.foundNetwork(mode, name)
		if err != nil {
			return nil, err
		}
		_, offers, err := s.carryOver(f.roster)
		if err != nil {
			return nil, err
		}
		if _, err := f.roster.Add(offers...); err != nil {
			return nil, err
		}
		if err := s.o.Store.Install(State{Network: f.roster.network.ID, Statements: f.roster.Statements()}); err != nil {
			return nil, err
		}
		s.roster, s.mine, s.invites, s.hurry = f.roster, f.mine, map[[16]byte]*invite{}, map[p2p.ID]*rate.Limiter{}
		s.own, s.reach, s.kept, s.issued = nil, nil, nil, map[Hash]uint64{}
		v := s.newView()
		s.current.Store(v)
		s.holders.judge(v)
		network = v.network
		s.o.Publish.Emit(NetworkFounded{ID: network.ID, Name: network.Name, Mode: network.Mode})
		return func() { s.tell(nil) }, nil
	})
	if err != nil {
		return Network{}, fmt.Errorf("member: found network: %w", err)
	}
	return network, nil
}
