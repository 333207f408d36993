package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Limits of one link, which bound what a peer can make this node spend.
const (
	MaxStreams = 1024 // open streams, of both ends together
	MaxCalls   = 256  // calls of one end running at the other
)

// farewell bounds how long the end of a link waits for the peer to take note.
const farewell = 250 * time.Millisecond

// Options says who is at this end of a link and whom it wants at the other.
type Options struct {
	Identity p2p.Identity
	// Network is the network for which the link is made; both ends must name the
	// same.
	Network p2p.ID
	// Initiator is true at the end that dialled.
	Initiator bool
	// Expect is the only peer that is accepted; zero accepts anybody, whose Peer
	// the caller then judges.
	Expect p2p.ID
	// Proof is what this end shows of itself, at most MaxProof bytes; see Link.Proof.
	Proof []byte
	// Invite says by which invitation or pass the peer was let in; zero: by none. It is
	// what Link.Invite returns.
	Invite [16]byte
	// Handler returns the handler of a protocol's calls. A nil Handler, and a nil
	// result, answer "no_protocol".
	Handler func(proto string) p2p.Handler
	// Limits of the node's links. Nil: none.
	Limits *Limits
	// Logger: nil discards.
	Logger *slog.Logger
}

// Link is an authenticated connection over a Carrier. It implements p2p.Link.
type Link struct {
	carrier Carrier
	network NetworkCarrier // the same, if it is one
	full    int            // bytes of a message of whole packets
	session session
	self    p2p.ID
	invite  [16]byte
	handler func(proto string) p2p.Handler
	log     *slog.Logger
	odd     uint64 // parity of the peer's stream and call numbers

	ctx    context.Context // of handlers; ends with the link
	cancel context.CancelFunc
	done   chan struct{}
	gone   chan struct{} // closed when channel 0 delivers nothing more
	ending sync.Once
	work   sync.WaitGroup // every goroutine but the handlers'

	queues [Channels]queue
	chunks sync.Pool // of *chunk
	budget budget
	up     meter
	down   meter
	slots  chan struct{} // one element per call of ours that may be running there
	pulse  pulse

	acceptable chan struct{} // capacity 1: arrivals is not empty

	// mu guards all following fields.
	mu       sync.Mutex
	err      error // why the link has ended
	next     uint64
	streams  map[uint64]*Stream
	arrivals []*Stream // opened by the peer, not yet accepted
	waiting  map[uint64]*call
	serving  map[uint64]*serving
	early    [32]uint64 // calls cancelled before they arrived: channels overtake each other
	earlyAt  int
	opened   [lanes]uint64 // highest number that the peer has begun on each lane
}

var _ p2p.Link = (*Link)(nil)

// pulse is the state of ping.go.
type pulse struct {
	start time.Time
	heard atomic.Bool
	token atomic.Uint64
	rtt   atomic.Int64
}

// New authenticates both ends over c, within 10 seconds, and returns the link; it
// owns c from the call on, and closes it on error. A nil error says that the peer
// is who it claims to be, is of the same network and holds the other end of
// exactly this carrier. ctx bounds only New.
//
// Errors: p2p.ErrRefused when the peer is not the one that is wanted or cannot
// prove it, the context's error, or the carrier's.
func New(ctx context.Context, c Carrier, o Options) (*Link, error) {
	if o.Identity.IsZero() {
		_ = c.Close()
		return nil, errNoIdentity
	}
	s, err := authenticate(ctx, c, o)
	if err != nil {
		return nil, err
	}
	l := newLink(c, s, o)
	l.start()
	return l, nil
}

func newLink(c Carrier, s session, o Options) *Link {
	l := &Link{
		carrier: c, session: s, self: o.Identity.ID(), invite: o.Invite, handler: o.Handler, log: o.Logger,
		next: 1, done: make(chan struct{}), gone: make(chan struct{}),
		chunks:     sync.Pool{New: func() any { return new(chunk) }},
		budget:     budget{free: poolSize},
		slots:      make(chan struct{}, MaxCalls),
		acceptable: make(chan struct{}, 1),
		streams:    make(map[uint64]*Stream),
		waiting:    make(map[uint64]*call),
		serving:    make(map[uint64]*serving),
		pulse:      pulse{start: time.Now()},
	}
	if o.Limits != nil {
		l.up.node, l.down.node = &o.Limits.up, &o.Limits.down
	}
	if o.Initiator {
		l.next, l.odd = 2, 1
	}
	l.full = fullMessage(packetful)
	if n, ok := c.(NetworkCarrier); ok {
		l.network, l.full = n, fullMessage(n.Packet())
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.log = l.log.With("peer", s.peer.Short())
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for ch := range l.queues {
		l.queues[ch].init(l, ch)
	}
	return l
}

func (l *Link) start() {
	for ch := range Channels {
		l.work.Go(func() { l.receive(ch) })
	}
	l.work.Go(l.watch)
	l.log.Debug("link up")
}

// Peer returns the ID of the node at the other end.
func (l *Link) Peer() p2p.ID { return l.session.peer }

// Invite returns by which invitation or pass the peer was let in; zero: by none, or it
// was the peer that let this node in.
func (l *Link) Invite() [16]byte { return l.invite }

// PublicKey returns the key behind Peer.
func (l *Link) PublicKey() ed25519.PublicKey { return l.session.key }

// Proof is what the peer has shown of itself, at most MaxProof bytes, which it has chosen freely;
// empty: nothing.
func (l *Link) Proof() []byte { return l.session.proof }

// Binding returns the hash of everything that was authenticated: the two nodes,
// their roles and network, fresh random numbers of both and the ends of the
// transport's encryption. Both ends have the same, no two links do.
func (l *Link) Binding() [32]byte { return l.session.binding }

// Path returns the carrier's path.
func (l *Link) Path() p2p.Path { return l.carrier.Path() }

// Trace returns how the carrier's path was found, if it remembers.
func (l *Link) Trace() p2p.Trace {
	if t, ok := l.carrier.(Tracer); ok {
		return t.Trace()
	}
	return p2p.Trace{}
}

// Stats returns the carrier's counters and this link's round-trip time.
func (l *Link) Stats() p2p.Stats {
	s := l.carrier.Stats()
	s.Since = l.pulse.start
	s.RTT = time.Duration(l.pulse.rtt.Load())
	return s
}

// Done is closed when the link has ended.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err says why the link has ended: an error that wraps p2p.ErrClosed. It is nil
// while the link lives.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the link and everything on it at once, tells the peer, and returns
// when all goroutines but those of running handlers, whose contexts are
// cancelled, have ended: at the latest after 250 ms. What streams have not yet
// sent is lost. It may be called from a handler, and again.
func (l *Link) Close() error {
	l.end(errClosedHere, CodeNone, "")
	l.work.Wait()
	return nil
}

var (
	errClosedHere  = errors.New("closed by this node")
	errClosedThere = errors.New("closed by the peer")
)

// fail ends the link because of what the peer did, and tells it.
func (l *Link) fail(err error) { l.end(err, CodeViolation, err.Error()) }

// silently as a code of end tells the peer nothing, because it would not hear it.
const silently = ^uint64(0)

// end ends the link for one reason; later ones change nothing.
func (l *Link) end(reason error, code uint64, text string) {
	l.ending.Do(func() {
		l.mu.Lock()
		l.err = &endedError{peer: l.session.peer, reason: reason}
		streams := make([]*Stream, 0, len(l.streams))
		for _, s := range l.streams {
			streams = append(streams, s)
		}
		l.mu.Unlock()
		close(l.done)
		l.cancel()
		for _, s := range streams {
			s.linkEnded()
		}
		l.log.Debug("link ended", "reason", reason)
		// The caller may be a receiving goroutine, for which Close would wait.
		l.work.Go(func() { l.leave(code, text) })
	})
}

// leave says goodbye and closes the carrier.
func (l *Link) leave(code uint64, text string) {
	var last []byte
	if code != silently {
		last = wire.AppendFrame(nil, wire.Frame{Type: wire.GoAway, Code: code, Payload: []byte(clip(text, 512))})
	}
	for ch := range l.queues {
		if ch == control {
			l.queues[ch].close(last)
		} else {
			l.queues[ch].close(nil)
		}
	}
	if code != silently {
		t := time.NewTimer(farewell)
		select {
		case <-l.gone: // the peer has heard it and closed its end
		case <-t.C:
		}
		t.Stop()
	}
	if err := l.carrier.Close(); err != nil {
		l.log.Debug("closing the carrier", "error", err)
	}
}

// crowded reports whether many calls are under way.
func (l *Link) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)+len(l.serving) >= crowd
}

// ended returns the error for what was attempted on a link that has ended, or nil.
func (l *Link) ended() error {
	select {
	case <-l.done:
		return l.Err()
	default:
		return nil
	}
}

// addr is an end of a stream, as net.Conn wants to have it.
type addr p2p.ID

func (addr) Network() string  { return "shoal" }
func (a addr) String() string { return p2p.ID(a).String() }

var _ net.Addr = addr{}

// clip shortens text to n bytes.
func clip(text string, n int) string {
	if len(text) > n {
		return text[:n]
	}
	return text
}

// laneOf pins a stream, or the long body of a call, to a channel: the high bits
// of a multiplicative hash, so that no pattern of opening fills one lane only.
func laneOf(id uint64) int {
	return firstLane + int(id*0x9E3779B97F4A7C15>>62)
}

func (l *Link) where(verb, proto string) string {
	return fmt.Sprintf("link: %s %s at %s", verb, proto, l.session.peer.Short())
}
