package lan

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// lookEvery is how often a node looks whether its local networks have changed.
const lookEvery = 5 * time.Second

// maxWaiting bounds the packets that were read and not looked at: those that come when
// it is full are lost, as packets may be.
const maxWaiting = 64

// Options configure a Service. Self, Network and Addrs are needed.
type Options struct {
	Self p2p.ID
	// Network returns the ID of the network that the node is in now.
	Network func() p2p.ID
	// Addrs returns the addresses of the p2p port. The node takes part in the local
	// networks of the interfaces that have some of them.
	Addrs func() []netip.AddrPort
	// Version is what the node says of itself.
	Version string
	// Found is told of nodes of the own network that have an address which was not
	// known. It must not wait. Nil: nobody is told.
	Found func(Found)
	// Logger receives what the owner of the node should know. Nil: nothing.
	Logger *slog.Logger
}

// Service announces a node in its local networks and finds others there. Its methods
// may be used by several goroutines at once.
type Service struct {
	o     Options
	log   *slog.Logger
	every time.Duration // between two looks
	wake  chan struct{} // has room for one: something is due

	mu      sync.Mutex // guards all that follows
	core    *core
	waiting map[*wanted]bool
}

// wanted is a node that somebody waits for.
type wanted struct {
	id    p2p.ID
	tag   tag
	found chan struct{} // has room for one
}

// New makes a Service. It does nothing before Run.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		o: o, log: o.Logger, every: lookEvery, wake: make(chan struct{}, 1),
		core: newCore(o.Self, o.Version, jitter), waiting: map[*wanted]bool{},
	}
}

func jitter() time.Duration { return 20*time.Millisecond + rand.N(100*time.Millisecond) }

// Addrs returns where a node of the own network may be, the address heard last first.
// They are hints from strangers.
func (s *Service) Addrs(id p2p.ID) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.table.addrs(id, tagOf(s.core.network, id), time.Now())
}

// Missed asks for other nodes anew, at most once a minute: one was lost.
func (s *Service) Missed() {
	s.mu.Lock()
	s.core.urge(time.Now())
	s.mu.Unlock()
	s.poke()
}

// Find asks for a node of any network and waits until it is heard, or ctx ends. It
// returns where it may be.
func (s *Service) Find(ctx context.Context, id, network p2p.ID) []netip.AddrPort {
	w := &wanted{id: id, tag: tagOf(network, id), found: make(chan struct{}, 1)}
	for gap := firstGap; ; gap *= 2 { // a packet can be lost
		s.mu.Lock()
		addrs := s.core.table.addrs(id, w.tag, time.Now())
		if len(addrs) > 0 || ctx.Err() != nil {
			delete(s.waiting, w)
			s.mu.Unlock()
			return addrs
		}
		s.waiting[w] = true
		s.core.seekNow(id)
		s.mu.Unlock()
		s.poke()
		select {
		case <-w.found:
		case <-time.After(gap):
		case <-ctx.Done():
		}
	}
}

// poke makes Run look at once for what is due.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run announces and listens until ctx ends, and then says goodbye. It always returns
// nil: where there is no multicast, nobody is found.
func (s *Service) Run(ctx context.Context) error {
	r := &runner{Service: s, packets: make(chan packet, maxWaiting)}
	defer r.readers.Wait()
	defer r.close()
	r.look(ctx)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			out, err := s.core.goodbye()
			s.mu.Unlock()
			r.send(out, err)
			return nil
		case <-tick.C:
			r.look(ctx)
		case in := <-r.packets:
			s.take(in)
		case <-due.C:
		case <-s.wake:
		}
		s.mu.Lock()
		out, next, err := s.core.due(time.Now())
		s.mu.Unlock()
		r.send(out, err)
		due.Reset(time.Until(next))
	}
}

func (s *Service) take(in packet) {
	s.mu.Lock()
	now := time.Now()
	found, ok := s.core.receive(in, now)
	for w := range s.waiting {
		if len(s.core.table.addrs(w.id, w.tag, now)) > 0 {
			select {
			case w.found <- struct{}{}:
			default:
			}
		}
	}
	s.mu.Unlock()
	if ok && s.o.Found != nil {
		s.o.Found(found)
	}
}

// runner is what Run has open.
type runner struct {
	*Service
	v4, v6  *socket // nil while there is nothing to hear
	packets chan packet
	readers sync.WaitGroup
	told    string // the failure that was logged last
}

// look sees which local networks there are, and opens and closes what that takes.
func (r *runner) look(ctx context.Context) {
	all, err := devices()
	if err != nil {
		r.complain(err)
		return
	}
	nets := subnets(all, r.o.Addrs())
	want4, want6 := map[int]bool{}, map[int]bool{}
	for _, n := range nets {
		if n.has(true) {
			want4[n.Index] = true
		}
		if n.has(false) {
			want6[n.Index] = true
		}
	}
	r.complain(errors.Join(r.open(ctx, &r.v4, true, want4), r.open(ctx, &r.v6, false, want6)))
	r.mu.Lock()
	r.core.look(r.o.Network(), nets, time.Now())
	r.mu.Unlock()
}

// complain logs a failure, once for as long as it lasts.
func (r *runner) complain(err error) {
	if err == nil {
		r.told = ""
		return
	}
	if text := err.Error(); text != r.told {
		r.told = text
		r.log.Warn("nodes in the local network cannot be found, or not all", "error", err)
	}
}

// open makes the socket of a family belong to the interfaces that it is wanted on.
func (r *runner) open(ctx context.Context, s **socket, v4 bool, want map[int]bool) error {
	if *s != nil && (len(want) == 0 || (*s).failed.Load()) {
		r.shut(*s)
		*s = nil
	}
	if len(want) == 0 {
		return nil
	}
	if *s == nil {
		opened, err := openSocket(ctx, v4)
		if err != nil {
			return err
		}
		*s = opened
		r.readers.Go(func() { r.read(opened) })
	}
	return (*s).belong(want)
}

func (r *runner) shut(s *socket) {
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		r.log.Debug("closing a socket of the local network", "error", err)
	}
}

func (r *runner) close() {
	for _, s := range []*socket{r.v4, r.v6} {
		if s != nil {
			r.shut(s)
		}
	}
}

// read takes in what comes until the socket is closed. One that fails is opened anew
// with the next look.
func (r *runner) read(s *socket) {
	b := make([]byte, maxPacket+1)
	for {
		n, index, from, err := s.read(b)
		if err != nil {
			s.failed.Store(true)
			return
		}
		if n == 0 || from.Port() != port || !concerns(b[:n]) {
			continue
		}
		select {
		case r.packets <- packet{Index: index, From: from, Msg: append([]byte(nil), b[:n]...)}:
		default:
		}
	}
}

func (r *runner) send(out []datagram, err error) {
	for _, d := range out {
		if d.V4 && r.v4 != nil {
			err = errors.Join(err, r.v4.send(d.Index, d.Msg))
		}
		if d.V6 && r.v6 != nil {
			err = errors.Join(err, r.v6.send(d.Index, d.Msg))
		}
	}
	if err != nil {
		// An interface that is going, or an address that is not ready: it is said again.
		r.log.Debug("not said in the local network", "error", err)
	}
}
