package swarm

import (
	"math"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// State says what becomes of a seed here.
type State string

// States of a seed.
const (
	StateReading     State = "reading"     // the file is being read, to be shared
	StateSeeding     State = "seeding"     // all of it is here, for everybody
	StateDownloading State = "downloading" // it comes from at least one source
	StateStreaming   State = "streaming"   // only what somebody reads of it is fetched; it is forgotten some time after that
	StateWaiting     State = "waiting"     // nobody who has it is there
	StatePaused      State = "paused"      // a person has stopped it
	StateError       State = "error"       // it cannot go on; see Status.Error
	StateChanged     State = "changed"     // the file is not any more what was shared
)

// Status describes a seed that is kept here.
type Status struct {
	Seed  seed.Seed // the values of the pieces are nil until they are known
	State State
	Error string // why it cannot go on, or is not served

	Path   string // of the file, or of what will be one
	Copies []Copy // in other directories: those that are wanted, and those made since the start
	Pieces int
	Here   int   // pieces
	Done   int64 // bytes that are here
	Counts

	Down, Up int64         // bytes per second
	ETA      time.Duration // until all is here; negative: not known
	Sources  int           // that are connected
	Takers   int           // that are connected
	Added    time.Time
	Ended    time.Time // when all was here; zero: not yet
}

// List describes all seeds that are kept here, in the order in which they were added.
func (s *Service) List() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	takers := s.takersOf()
	out := make([]Status, 0, len(s.order)+len(s.making))
	for _, id := range s.order {
		out = append(out, s.status(s.entries[id], takers))
	}
	for _, m := range s.making {
		out = append(out, m.status())
	}
	return out
}

// Get describes one. Errors: ErrNotFound.
func (s *Service) Get(id seed.ID) (Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err != nil {
		return Status{}, err
	}
	return s.status(e, s.takersOf()), nil
}

// takersOf counts the takers of each content.
func (s *Service) takersOf() map[*content]int {
	n := map[*content]int{}
	for _, t := range s.takers {
		n[t.c]++
	}
	return n
}

// status describes an entry. s.mu is held.
func (s *Service) status(e *entry, takers map[*content]int) Status {
	now := s.now()
	st := Status{
		Seed: e.seed, State: StateSeeding, Error: e.row.Error, Path: place{e.row.Dir, e.row.Name}.path(), Pieces: e.seed.Count(),
		Counts: e.row.Counts, Up: int64(e.up.at(now)), ETA: -1, Added: e.row.Added, Ended: e.row.Ended,
	}
	st.Copies = slices.Clone(e.copies)
	for _, dir := range e.row.Also {
		st.Copies = append(st.Copies, Copy{Dir: dir})
	}
	if e.c != nil {
		st.Here, st.Takers = e.c.number(), takers[e.c]
	}
	switch {
	case e.why != nil:
		st.State, st.Error = StateChanged, e.why.Error()
	case e.row.Whole:
		if st.Here = st.Pieces; e.row.Paused {
			st.State = StatePaused
		}
	case e.row.Error != "":
		st.State = StateError
	case e.row.Paused:
		st.State = StatePaused
	default:
		st.State = StateWaiting
	}
	st.Done = min(int64(st.Here)*int64(e.seed.PieceLen), e.seed.Size)
	if e.row.Whole {
		st.Done = e.seed.Size
	} else if e.c == nil {
		st.Here = e.here
		st.Done = min(int64(st.Here)*int64(e.seed.PieceLen), e.seed.Size)
	}
	if d := e.d; d != nil && !e.row.Whole {
		d.mu.Lock()
		defer d.mu.Unlock()
		sent := st.Sent
		st.Counts = d.counts
		st.Sent = sent
		st.State, st.Down = d.state, int64(d.down.at(now))
		if e.row.Reading {
			st.State = StateStreaming
		}
		if d.state == StateWaiting {
			st.Error = d.lacking
		}
		for _, src := range d.roster {
			if !src.ended && src.have != nil {
				st.Sources++
			}
		}
		if rate := d.down.at(now); rate > 1 && st.State == StateDownloading {
			st.ETA = time.Duration(min(float64(st.Seed.Size-st.Done)/rate, math.MaxInt32) * float64(time.Second))
		}
	}
	return st
}

// Picture is who has what of a seed, as far as this node knows.
type Picture struct {
	Status
	Have    *picker.Bitmap // what is here; nil: nothing
	Members []Party
	// From says of each piece who sent it: 0, it was here; otherwise a number of Members, from 1.
	From []uint16
	// Bound is the least time in which the file can get to all who wanted it when most did, by what they say
	// they can send; 0: not known. Took is how long it has taken so far, or did.
	Bound, Took time.Duration
}

// Party is a source or a taker of a seed.
type Party struct {
	ID  p2p.ID // zero: a server
	URL string
	// Outside: it is of another network. A pass lets it, or this node, in.
	Outside bool
	Have    *picker.Bitmap // nil: not known
	Whole   bool
	State   PartyState
	Why     string        // in words, of one that is gone
	Down    int64         // bytes per second that it sends here
	Got     int64         // bytes that came from it
	Pieces  int           // that were the first of their kind
	Up      int64         // bytes per second that go there
	Gave    int64         // bytes that went there on the streams that are open
	RTT     time.Duration // 0: not known
}

// PartyState says what becomes of a party.
type PartyState string

// States of a party.
const (
	PartyConnected PartyState = "connected"
	PartyCalling   PartyState = "calling"
	PartyGone      PartyState = "gone"
	PartyBad       PartyState = "bad" // it sent a piece that is another one
)

// Picture returns who has what. Errors: ErrNotFound.
func (s *Service) Picture(id seed.ID) (Picture, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err != nil {
		return Picture{}, err
	}
	p := Picture{Status: s.status(e, s.takersOf())}
	if e.c != nil {
		p.Have, _ = e.c.held()
	}
	now := s.now()
	d := e.d
	if d == nil {
		d = e.last
	}
	if d != nil {
		d.mu.Lock()
		p.From = append(p.From, d.from...)
		for _, src := range d.roster {
			p.Members = append(p.Members, src.party(now))
		}
		p.Took, p.Bound = now.Sub(d.began), d.bound
		if !e.row.Ended.IsZero() {
			p.Took = e.row.Ended.Sub(d.began)
		}
		d.mu.Unlock()
	}
	for _, t := range s.takers {
		if t.c == e.c {
			p.take(t, now)
		}
	}
	return p, nil
}

// party describes a source. download.mu is held.
func (s *source) party(now time.Time) Party {
	p := Party{ID: s.peer, URL: s.url, Outside: s.pass != nil, Down: int64(s.rate.at(now)), Got: s.got, Pieces: s.pieces, State: PartyCalling, Why: s.why}
	switch {
	case s.wrong:
		p.State = PartyBad
	case s.ended:
		p.State = PartyGone
	case s.have != nil:
		p.State = PartyConnected
	}
	if s.have != nil {
		p.Have = s.have.Clone()
		p.Whole = p.Have.Count() == p.Have.Len()
	}
	p.RTT = s.rtt()
	return p
}

// take adds what goes to a taker.
func (p *Picture) take(t *taker, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range p.Members {
		if p.Members[i].ID == t.peer {
			p.Members[i].Up += int64(t.rate.at(now))
			p.Members[i].Gave += t.sent
			if p.Members[i].State != PartyBad {
				p.Members[i].State = PartyConnected
			}
			return
		}
	}
	p.Members = append(p.Members, Party{ID: t.peer, Outside: t.outside, State: PartyConnected, Up: int64(t.rate.at(now)), Gave: t.sent})
}

// Bound returns the least time, in seconds, in which a file of size bytes can get from one who has it to
// n who want it: no sooner than it leaves the first (us bytes per second), than the slowest takes it in
// (dmin), and than all together send it n times (sum: what those who want it send). 0: what is not known
// bounds nothing.
//
// Mundinger, Weber, Weiss, "Optimal scheduling of peer-to-peer file dissemination", 2006.
func Bound(size int64, n int, us, dmin, sum float64) float64 {
	bound := 0.0
	if us > 0 {
		bound = max(float64(size)/us, float64(n)*float64(size)/(us+sum))
	}
	if dmin > 0 {
		bound = max(bound, float64(size)/dmin)
	}
	return bound
}
