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
	// Roster is Network.Roster of that network, at most MaxMembers. 0: the default of its mode.
	Roster int
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

// Of what strangers send that is refused so many are logged, and then one each complainEvery: whoever may
// call at all could fill the disk otherwise, and in an open network everybody may.
const (
	maxComplaints = 20
	complainEvery = 3 * time.Second
)

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

	// own is this node's certificate, if it has one, and reach its contact if the roster has
	// none. Both are guarded by mu.
	own   *credential
	reach *record
	// kept are the holders whose proofs are stored, the one that was linked last at the end, with
	// what is stored of each; issued counts the certificates that this node has signed under an
	// admission or a certificate that is no admin's. Both are guarded by mu.
	kept   []stored
	issued map[Hash]uint64

	holders holders
	seats   *rate.Limiter // of places in the roster, see vouch
	doors   doors         // of revoked members that knock
	coming  newcomers     // who came without an invitation
	// complaints bounds what is logged of what strangers send.
	complaints rate.Sometimes

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
	if o.Roster < 0 || o.Roster > MaxMembers {
		return nil, fmt.Errorf("member: open: roster of %d members, at most %d: %w", o.Roster, MaxMembers, ErrMalformed)
	}
	s := &Service{
		o: o, self: o.Identity.ID(), log: o.Logger, invites: map[[16]byte]*invite{}, hurry: map[p2p.ID]*rate.Limiter{}, outbox: newOutbox(),
		issued: map[Hash]uint64{}, holders: holders{byID: map[p2p.ID]*holder{}},
		complaints: rate.Sometimes{First: maxComplaints, Interval: complainEvery},
	}
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

// found makes the network of a node that starts for the first time.
func (s *Service) found() error {
	f, err := s.foundNetwork(s.o.Mode, "")
	if err != nil {
		return err
	}
	if err := s.o.Store.Install(State{Network: f.roster.network.ID, Statements: f.roster.Statements()}); err != nil {
		return fmt.Errorf("member: found network: %w", err)
	}
	s.roster, s.mine = f.roster, f.mine
	s.current.Store(s.newView())
	return nil
}

// newView makes what readers see. The caller holds s.mu.
func (s *Service) newView() *view {
	v := s.roster.view(s.self)
	v.include(s.own, s.reachContact())
	return v
}

func (s *Service) reachContact() *p2p.Contact {
	if s.reach == nil {
		return nil
	}
	return s.reach.contact
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
	named, certificates, contacts := sortStored(state.Statements[1:])
	roster, err := NewRoster(state.Statements[0])
	if err == nil {
		roster.trusted = true
		_, err = roster.Add(named...)
		if err == nil {
			contacts, err = roster.addContacts(contacts)
		}
		roster.trusted = false
	}
	if err == nil {
		s.roster = roster
		s.current.Store(roster.view(s.self))
		err = s.restoreHolders(certificates, contacts)
	}
	if err != nil {
		return fmt.Errorf("member: restore roster of %d statements: %w", len(state.Statements), err)
	}
	v := s.newView()
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

// Members returns the members of now, this node included, by name: those whom the roster names, and
// of the others, where the network is Wide, those whom this node has met.
func (s *Service) Members() []Member {
	v := s.current.Load()
	all := v.members
	if met := s.holders.all(); len(met) > 0 {
		met = slices.DeleteFunc(met, func(m *Member) bool { return v.names(m.ID) })
		all = append(slices.Clone(all), met...)
		slices.SortFunc(all, byName)
	}
	out := make([]Member, len(all))
	for i, m := range all {
		out[i] = *m
	}
	return out
}

// Size returns how many members there are now, this node included, as Members has them.
func (s *Service) Size() int { return len(s.current.Load().members) + s.holders.size() }

// Wide reports whether the network has, or may have, members whom the roster does not name: as many
// were admitted as it names, or some have shown certificates.
func (s *Service) Wide() bool {
	v := s.current.Load()
	return v.wide || v.own != nil || s.holders.size() > 0
}

// names reports whether the roster names a member.
func (v *view) names(id p2p.ID) bool {
	m, ok := v.byID[id]
	return ok && !m.Revoked
}

// find returns a member, or somebody who was one and is Revoked.
func (s *Service) find(id p2p.ID) (*Member, bool) {
	m, ok := s.current.Load().byID[id]
	if ok && !m.Revoked {
		return m, true
	}
	if h, met := s.holders.get(id); met {
		return h, true
	}
	return m, ok
}

// Member returns a member, or somebody who was one and is Revoked. Where the network is Wide, this
// node may not have met it.
func (s *Service) Member(id p2p.ID) (Member, bool) {
	m, ok := s.find(id)
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
func (s *Service) Role(id p2p.ID) (Role, bool) {
	m, ok := s.find(id)
	if !ok || m.Revoked {
		return "", false
	}
	return m.Role, true
}

// Contact returns the newest contact of a member; not ok when there is none.
func (s *Service) Contact(id p2p.ID) (p2p.Contact, bool) {
	m, ok := s.find(id)
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
	old, v := s.current.Load(), s.newView()
	events := changes(old, v, u.words)
	gone := revokedIn(events)
	u.change.Add, u.change.Drop = added.New, added.Dropped
	u.change.Invites = append(u.change.Invites, s.betrayed(append(v.excludedSince(old), gone...))...)
	if err := s.o.Store.Save(u.change); err != nil {
		s.roster.revert(added)
		return nil, fmt.Errorf("member: save: %w", err)
	}
	s.keepInvites(u.change)
	s.current.Store(v)
	for _, m := range s.judgeHolders(old, v) {
		gone = append(gone, m.ID)
		events = append(events, MemberRevoked{ID: m.ID, Name: m.Name})
	}
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

// Statements returns how many signed statements the roster consists of: what all members keep.
func (s *Service) Statements() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.Len()
}
