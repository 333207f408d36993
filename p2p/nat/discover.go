package nat

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// When checks are made.
const (
	settle     = 3 * time.Second  // after a change: others follow
	pause      = 30 * time.Second // between two checks that nobody asked for
	recent     = 10 * time.Second // a check that is no older is not repeated
	every      = time.Hour
	ownEvery   = 15 * time.Second // how often this computer's addresses are looked at
	maxPlaces  = 64               // IP addresses of members that are remembered
	fewWitness = 4                // distinct addresses; more tell nothing new
)

// Options configure a Service.
type Options struct {
	// Links returns the links to members that there are now.
	Links func() []p2p.Link
	// Addrs returns where a member says that its p2p port is. Nil: nobody says.
	Addrs func(p2p.ID) []netip.AddrPort
	// Servers returns the STUN servers that the owner names. They are asked as well.
	// Nil: none.
	Servers func() []netip.AddrPort
	// Announced are addresses that the owner says are forwarded to the p2p port.
	Announced []netip.AddrPort
	// PortMapping says what the router was asked for and grants. Nil: nothing.
	PortMapping func() PortMapping
	// Relays returns the members that forward for this node. Nil: none.
	Relays func() []Relay
	// Publish gets the events: Changed.
	Publish p2p.Publish
	// Logger receives what the owner should know. Nil: nothing.
	Logger *slog.Logger
}

// Port is the p2p port.
type Port interface {
	// Bound is the address that it is bound to.
	Bound() netip.AddrPort
	// Send sends a datagram from it.
	Send(b []byte, to netip.AddrPort) error
}

// Service finds out how this node is seen, and helps other members to find out how
// they are. All methods may be used by several goroutines at once.
type Service struct {
	o       Options
	sys     system
	stun    Responder
	help    helper
	waiting pending       // of the p2p port
	hinted  chan struct{} // has room for one: something may have changed
	wanted  chan struct{} // has room for one: somebody waits for a check
	ended   chan struct{} // closed when Run has returned

	mu       sync.Mutex    // guards all that follows
	port     Port          // nil: there is none yet
	report   Report        // of the last check
	seen     Observations  // by it
	last     time.Time     // when the last check ended
	checked  chan struct{} // closed and replaced when a check has ended
	checking bool
	places   map[netip.Addr]bool // IP addresses of members that were linked
}

// New makes a service. Before Attach it sees nothing and helps nobody.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		o: o, hinted: make(chan struct{}, 1), wanted: make(chan struct{}, 1),
		ended: make(chan struct{}), checked: make(chan struct{}),
		report: Judge(Observations{Announced: o.Announced}), seen: Observations{Announced: o.Announced}, places: map[netip.Addr]bool{},
	}
	s.use(system{own: s.ownAddrs, listen: s.listenBeside, dial: dialTCP})
	return s
}

func (s *Service) use(sys system) {
	s.sys = sys
	s.help.own, s.help.listen, s.help.stun = sys.own, sys.listen, &s.stun
}

// Attach gives the service its p2p port, before Run.
func (s *Service) Attach(p Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port = p
}

func (s *Service) attached() Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// Take gets a STUN message that came to the p2p port for no ICE agent, and returns
// what to answer, if anything. It does not wait.
func (s *Service) Take(b []byte, from netip.AddrPort) []byte {
	m, err := parse(b)
	if err != nil {
		return nil
	}
	if m.class == classRequest {
		return s.stun.Respond(b, from, time.Now())
	}
	s.waiting.take(m, unmap(from))
	return nil
}

// Handle answers "nat/1". It is a p2p.Handler.
func (s *Service) Handle(ctx context.Context, from p2p.Link, req []byte) ([]byte, error) {
	port := s.attached()
	if port == nil {
		return nil, &p2p.CallError{Code: codeUnavailable, Message: "nat: there is no p2p port"}
	}
	return s.help.handle(ctx, from, req, port.Send)
}

// Report returns the result of the last check. Its Checked is zero when there was
// none.
func (s *Service) Report() Report {
	s.mu.Lock()
	o, since := s.seen, s.report.Since
	s.mu.Unlock()
	s.addState(&o)
	r := Judge(o)
	r.Since = since
	return r
}

// addState adds what is not found out by asking members.
func (s *Service) addState(o *Observations) {
	if s.o.PortMapping != nil {
		o.PortMapping = s.o.PortMapping()
	}
	if s.o.Relays != nil {
		o.Relays = s.o.Relays()
	}
}

// Linked tells that a link to a member came up.
func (s *Service) Linked(l p2p.Link) {
	w, ok := witnessOf(l, s.addrsOf(l.Peer()))
	s.mu.Lock()
	helps := s.last.IsZero()
	if ok && !s.places[w.addr.Addr()] && len(s.places) < maxPlaces {
		s.places[w.addr.Addr()] = true
		helps = helps || len(s.places) <= fewWitness || !s.report.complete()
	}
	s.mu.Unlock()
	if helps {
		s.Hint()
	}
}

func (s *Service) addrsOf(id p2p.ID) []netip.AddrPort {
	if s.o.Addrs == nil {
		return nil
	}
	return s.o.Addrs(id)
}

// complete reports whether nothing is left to find out.
func (r Report) complete() bool {
	return r.Mapping != "" && r.Filtering != FilteringUnknown && r.Reachable != ""
}

// Hint tells that something may have changed: a check is made soon.
func (s *Service) Hint() { signal(s.hinted) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Check makes a check now, or waits for the one that runs, and returns the report:
// the last one if it is not ten seconds old, because members help so often only.
// Errors: p2p.ErrClosed, and those of ctx.
func (s *Service) Check(ctx context.Context) (Report, error) {
	s.mu.Lock()
	if !s.last.IsZero() && time.Since(s.last) < recent && !s.checking {
		defer s.mu.Unlock()
		return s.report, nil
	}
	checked := s.checked
	if !s.checking {
		signal(s.wanted)
	}
	s.mu.Unlock()
	select {
	case <-checked:
		return s.Report(), nil
	case <-s.ended:
		return Report{}, fmt.Errorf("nat: check: %w", p2p.ErrClosed)
	case <-ctx.Done():
		return Report{}, fmt.Errorf("nat: check: %w", ctx.Err())
	}
}

// Run checks until ctx ends: soon after the first member is linked, after this
// computer's addresses have changed, when a member at a new address is linked, and
// every hour. It may be run once.
func (s *Service) Run(ctx context.Context) error {
	defer close(s.ended)
	defer s.help.close()
	look := time.NewTicker(ownEvery)
	defer look.Stop()
	due := time.NewTimer(jitter(every))
	defer due.Stop()
	at := time.Now().Add(every)
	own := s.sys.own()
	for {
		check := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.wanted:
			check = true
		case <-due.C:
			check = true
		case <-s.hinted:
			at = s.soon(at, time.Now())
		case <-look.C:
			if now := s.sys.own(); !slices.Equal(now, own) {
				own, at = now, s.soon(at, time.Now())
			}
		}
		if check {
			s.check(ctx)
			at = time.Now().Add(jitter(every))
		}
		due.Reset(time.Until(at))
	}
}

// soon is when the next check is due after a hint; at is when it was due before.
func (s *Service) soon(at, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := now.Add(settle)
	if earliest := s.last.Add(pause); !s.last.IsZero() && next.Before(earliest) {
		next = earliest
	}
	if at.Before(next) {
		return at
	}
	return next
}

// jitter spreads what all nodes do at the same intervals.
func jitter(d time.Duration) time.Duration { return d - d/8 + rand.N(d/4) }

// check makes one check.
func (s *Service) check(ctx context.Context) {
	s.mu.Lock()
	s.checking = true
	select {
	case <-s.wanted: // by somebody who gets the result of this check
	default:
	}
	s.mu.Unlock()
	o := s.observe(ctx)
	r := Judge(o)
	s.mu.Lock()
	before := s.report
	if ctx.Err() == nil {
		if !before.Checked.IsZero() && before.same(r) {
			r.Since = before.Since
		}
		s.report, s.seen = r, o
		if o.Linked+o.Servers > 0 { // else it has cost nobody anything, and found nothing out
			s.last = time.Now()
		}
	}
	s.mu.Unlock()
	if ctx.Err() == nil && r.Since == r.Checked {
		s.o.Logger.Info("network checked", "external", r.External, "mapping", r.Mapping, "filtering", r.Filtering, "reachable", r.Reachable)
		s.o.Publish.Emit(changed(r)) // before who waits for the check has its result
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checking = false
	close(s.checked)
	s.checked = make(chan struct{})
}

// observe looks at the network through the members that are linked now.
func (s *Service) observe(ctx context.Context) Observations {
	links := s.o.Links()
	var servers []netip.AddrPort
	if s.o.Servers != nil {
		servers = s.o.Servers()
	}
	o := Observations{At: time.Now(), Own: s.sys.own(), Announced: s.o.Announced, Linked: len(links), Servers: len(servers)}
	s.addState(&o)
	port := s.attached()
	if port == nil {
		return o
	}
	o.Port = port.Bound()
	t := trial{sys: s.sys, port: &s.waiting, send: port.Send}
	if t.witnesses, o.Scope = witnesses(links, s.addrsOf, servers, o.Own); len(t.witnesses) > 0 {
		t.observe(ctx, &o)
	}
	return o
}

// ownAddrs are the addresses of this computer that the p2p port has.
func (s *Service) ownAddrs() []netip.Addr {
	port := s.attached()
	if port == nil {
		return nil
	}
	if bound := port.Bound().Addr().Unmap(); !bound.IsUnspecified() {
		return []netip.Addr{bound}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		s.o.Logger.Warn("this computer's addresses cannot be listed", "error", err)
	}
	var out []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// listenBeside opens a fresh port on the addresses that the p2p port has.
func (s *Service) listenBeside(ctx context.Context) (net.PacketConn, error) {
	port := s.attached()
	if port == nil {
		return nil, fmt.Errorf("nat: listen: %w", net.ErrClosed)
	}
	bound, network := port.Bound().Addr().Unmap(), "udp"
	if bound.Is4() {
		network = "udp4"
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, network, netip.AddrPortFrom(bound, 0).String())
	if err != nil {
		return nil, fmt.Errorf("nat: listen: %w", err)
	}
	return conn, nil
}

const tcpTimeout = 3 * time.Second

// dialTCP finds out whether a TCP connection to addr comes up.
func dialTCP(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, tcpTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return fmt.Errorf("nat: %w", err)
	}
	_ = c.Close() // nothing was written
	return nil
}
