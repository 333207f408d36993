package member

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
)

// Options says whose Service it is.
type Options struct {
	Identity p2p.Identity // required
	// Name is how the node calls itself. Empty keeps the stored name.
	Name string
	// Store keeps the roster. Nil: memory.
	Store Store
	// Mode is that of the network which a new node makes for itself. Empty: closed.
	Mode Mode
	// Rand is crypto/rand.Reader when nil; simulations give another one.
	Rand io.Reader
	// Now is time.Now when nil.
	Now func() time.Time
	// Publish receives the events of event.go.
	Publish p2p.Publish
	// Logger: nil discards.
	Logger *slog.Logger
	// Changed, unless nil, is called after each change of what the Service
	// answers, before the method returns that made it.
	Changed func()
	// Revoked, unless nil, is called for each member that is none any more, as soon
	// as this node knows: time to close its links.
	Revoked func(p2p.ID)
}

// Service holds the roster of the network that a node belongs to. All methods may
// be used by several goroutines at once.
type Service struct {
	o    Options
	self p2p.ID
	log  *slog.Logger

	// current is what readers see. They never wait for the store.
	current atomic.Pointer[view]

	// mu guards all following fields. It is held while the store writes.
	mu      sync.Mutex
	roster  *Roster
	invites map[[16]byte]*invite
	mine    p2p.Contact              // what the newest contact of this node says
	hurry   map[p2p.ID]*rate.Limiter // see unhurried

	doors doors // of revoked members that knock

	outbox outbox
}

// Open starts the Service of a node from its store. A node that starts for the
// first time makes a network of its own, of which it is the only admin.
func Open(o Options) (*Service, error) {
	if o.Identity.IsZero() {
		return nil, errors.New("member: open: no identity")
	}
	o.Mode = cmp.Or(o.Mode, ModeClosed)
	if !o.Mode.valid() {
		return nil, fmt.Errorf("member: open: mode %.20q: %w", o.Mode, ErrMalformed)
	}
	if o.Store == nil {
		o.Store = NewMemory()
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, self: o.Identity.ID(), log: o.Logger, invites: map[[16]byte]*invite{}, hurry: map[p2p.ID]*rate.Limiter{}, outbox: newOutbox()}
	state, err := o.Store.Load()
	if err != nil {
		return nil, fmt.Errorf("member: open: load: %w", err)
	}
	if state.Network.IsZero() {
		err = s.found()
	} else {
		err = s.restore(state)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// found makes a network with this node as founder. The root key exists in this
// function only.
func (s *Service) found() error {
	root, err := p2p.NewIdentity(s.o.Rand)
	if err != nil {
		return fmt.Errorf("member: found network: %w", err)
	}
	nonce, err := s.nonce()
	if err != nil {
		return err
	}
	name := cmp.Or(CleanName(s.o.Name), s.self.Short())
	genesis, err := sign(root, KindGenesis, genesisBody{
		Root: root.PublicKey(), Name: CleanName(name + "'s network"), Mode: s.o.Mode,
		Created: s.o.Now().Unix(), Founder: s.o.Identity.PublicKey(), Nonce: nonce[:],
	})
	if err != nil {
		return err
	}
	s.mine = p2p.Contact{Name: name, Seq: s.nextSeq(0)}
	contact, err := contactStatement(s.o.Identity, s.mine)
	if err != nil {
		return err
	}
	roster, err := rosterOf(genesis, contact)
	if err != nil {
		return err
	}
	state := State{Network: roster.network.ID, Statements: roster.Statements()}
	if err := s.o.Store.Install(state); err != nil {
		return fmt.Errorf("member: found network: %w", err)
	}
	s.roster = roster
	s.current.Store(roster.view(s.self))
	return nil
}

// rosterOf makes a roster of statements that begin with the genesis.
func rosterOf(statements ...Statement) (*Roster, error) {
	if len(statements) == 0 {
		return nil, fmt.Errorf("member: roster without a genesis: %w", ErrMalformed)
	}
	roster, err := NewRoster(statements[0])
	if err != nil {
		return nil, err
	}
	_, err = roster.Add(statements[1:]...)
	return roster, err
}

func (s *Service) restore(state State) error {
	if len(state.Statements) == 0 {
		return fmt.Errorf("member: restore roster without a genesis: %w", ErrMalformed)
	}
	roster, err := NewRoster(state.Statements[0])
	if err == nil {
		roster.trusted = true
		_, err = roster.Add(state.Statements[1:]...)
		roster.trusted = false
	}
	if err != nil {
		return fmt.Errorf("member: restore roster of %d statements: %w", len(state.Statements), err)
	}
	s.roster = roster
	v := roster.view(s.self)
	if v.self.ID != s.self {
		return fmt.Errorf("member: restore roster: %s was never a member of network %s", s.self.Short(), v.network.ID.Short())
	}
	s.current.Store(v)
	s.restoreInvites(state)
	s.mine = v.self.Contact
	if name := CleanName(s.o.Name); name != "" && name != s.mine.Name {
		next := s.mine
		next.Name = name
		_, err := s.announce(next)
		return err
	}
	return nil
}

// nextSeq numbers contacts and offers by the clock, so that a node that lost what
// it had stored does not fall behind what others hold of it. At the highest
// number, which nobody reaches honestly, they stop: of equal ones the hash decides.
// No number is refused for being too far ahead, because members whose clocks differ
// would disagree about that.
func (s *Service) nextSeq(last uint64) uint64 {
	return min(max(last+1, uint64(max(s.o.Now().UnixMilli(), 0))), maxSeq)
}

func (s *Service) nonce() (n [nonceSize]byte, err error) {
	if _, err = io.ReadFull(s.o.Rand, n[:]); err != nil {
		err = fmt.Errorf("member: random value: %w", err)
	}
	return n, err
}

// Network returns the network this node belongs to.
func (s *Service) Network() Network { return s.current.Load().network }

// Self returns this node as a member; it can be Revoked.
func (s *Service) Self() Member { return s.current.Load().self }

// Members returns the members of now, this node included, by name.
func (s *Service) Members() []Member {
	v := s.current.Load()
	out := make([]Member, len(v.members))
	for i, m := range v.members {
		out[i] = *m
	}
	return out
}

// Size returns how many members there are now, this node included.
func (s *Service) Size() int { return len(s.current.Load().members) }

// Member returns a member, or somebody who was one and is Revoked.
func (s *Service) Member(id p2p.ID) (Member, bool) {
	m, ok := s.current.Load().byID[id]
	if !ok {
		return Member{}, false
	}
	return *m, true
}

// Founder returns who was the first member, also when it is none any more: the root key
// has admitted nobody else. It is not ok while the first admission is not known.
func (s *Service) Founder() (id p2p.ID, ok bool) {
	v := s.current.Load()
	for _, m := range v.byID {
		if m.By == v.network.ID && (!ok || m.ID.Compare(id) < 0) {
			id, ok = m.ID, true
		}
	}
	return id, ok
}

// Role returns the role of a member; not ok when id is none, or none any more.
func (s *Service) Role(id p2p.ID) (Role, bool) { return s.current.Load().role(id) }

// Contact returns the newest contact of a member; not ok when there is none.
func (s *Service) Contact(id p2p.ID) (p2p.Contact, bool) {
	m, ok := s.current.Load().byID[id]
	if !ok || m.Revoked || len(m.Contact.Sig) == 0 {
		return p2p.Contact{}, false
	}
	return m.Contact, true
}

// Offers returns the folders that are offered, by ID, then creator.
func (s *Service) Offers() []Offer {
	return slices.DeleteFunc(slices.Clone(s.current.Load().offers), func(o Offer) bool { return o.Gone })
}

// update is one change of the roster in the making.
type update struct {
	statements []Statement
	own        bool                 // of this node: all of them or none, and it is an error
	from       p2p.ID               // who sent them
	pushed     bool                 // unasked
	change     Change               // what else is stored with them
	words      map[p2p.ID][4]string // of whom this node admits
}

// apply adds statements to the roster and makes it durable, then visible. The
// caller holds s.mu, and after unlocking calls tell unless it is nil. ErrMalformed
// comes with what stood before it applied.
func (s *Service) apply(u update) (tell func(), err error) {
	var welcome func(*record) bool
	if u.pushed {
		welcome = s.unhurried
	}
	added, malformed := s.roster.take(u.statements, welcome)
	if u.own && len(added.New) < len(u.statements) {
		s.roster.revert(added)
		return nil, fmt.Errorf("member: own statement has no place: %w", cmp.Or(malformed, added.Refused, ErrRefused))
	}
	if len(added.New) == 0 && len(u.change.Invites)+len(u.change.DropInvites)+len(u.change.Redemptions) == 0 {
		return nil, malformed
	}
	old, v := s.current.Load(), s.roster.view(s.self)
	events := changes(old, v, u.words)
	gone := revokedIn(events)
	u.change.Add, u.change.Drop = added.New, added.Dropped
	u.change.Invites = append(u.change.Invites, s.betrayed(gone)...)
	if err := s.o.Store.Save(u.change); err != nil {
		s.roster.revert(added)
		return nil, fmt.Errorf("member: save: %w", err)
	}
	s.keepInvites(u.change)
	s.current.Store(v)
	for _, e := range events {
		s.o.Publish.Emit(e)
	}
	s.outbox.put(added.added, u.from, u.own)
	return func() { s.tell(gone) }, malformed
}

// tell calls back about a change. The caller does not hold s.mu.
func (s *Service) tell(gone []p2p.ID) {
	if s.o.Revoked != nil {
		for _, id := range gone {
			s.o.Revoked(id)
		}
	}
	if s.o.Changed != nil {
		s.o.Changed()
	}
}

func revokedIn(events []p2p.Event) []p2p.ID {
	var ids []p2p.ID
	for _, e := range events {
		if r, ok := e.(MemberRevoked); ok {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// do runs f with s.mu held, and what f returns for afterwards without it.
func (s *Service) do(f func() (tell func(), err error)) error {
	s.mu.Lock()
	tell, err := f()
	s.mu.Unlock()
	if tell != nil {
		tell()
	}
	return err
}
