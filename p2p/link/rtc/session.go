package rtc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/sctp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

const (
	// handshakeTimeout bounds ICE, DTLS, SCTP and the link's own hello together.
	handshakeTimeout = 10 * time.Second
	// closeTimeout is how long Close waits for pion, which may hang.
	closeTimeout = 2 * time.Second
)

// session is one connection on its way from description to carrier. Whoever
// makes one closes it, or the carrier that it became.
type session struct {
	t       *Transport
	peer    *peer
	local   description
	remote  description
	since   time.Time
	trace   *trace
	targets []target // the remote candidates as they are tried; guarded by mu

	origin   [32]byte // hash of the offer that made it; set before it is adopted
	unsigned bool     // nobody has signed the peer's description; set before it starts

	turn     chan struct{} // holds a token while nobody restarts ICE
	roam     roam          // guarded by Transport.mu
	answered int           // restarts of the peer; guarded by Transport.mu
	yield    func()        // gives up the restart that is under way; guarded by Transport.mu
	offered  time.Time     // when that began; guarded by Transport.mu

	opened  chan struct{} // closed when all channels are
	ended   chan struct{} // closed when why is set
	gone    chan struct{} // closed when pion has let go of everything
	endOnce sync.Once

	mu       sync.Mutex // guards all that follows
	why      error
	channels [link.Channels]*sctp.Stream
	path     p2p.Path
}

var errPeerGone = errors.New("the peer has closed the connection or is gone")

// newSession makes a connection and describes it: as an offer, or as the answer to
// remote.
func (t *Transport) newSession(ctx context.Context, remote *description) (*session, error) {
	return t.newSessionBy(ctx, t.engine, remote)
}

// newSessionBy is newSession with another engine and more options of ICE.
func (t *Transport) newSessionBy(ctx context.Context, config *engine, remote *description, more ...ice.AgentOption) (*session, error) {
	s := &session{
		t: t, since: time.Now(), turn: make(chan struct{}, 1),
		opened: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
	}
	s.turn <- struct{}{}
	var err error
	s.peer, err = newPeer(config, t.mux, func(why error) { go s.close(why) }, more...)
	if err != nil {
		return nil, err
	}
	s.trace = newTrace(t, s.since)
	s.peer.trace, s.peer.moved = s.trace, func() { t.moved(s) }
	if err := t.track(s); err != nil {
		s.peer.close()
		return nil, err
	}
	if err := s.describe(ctx, remote); err != nil {
		s.close(err)
		return nil, err
	}
	return s, nil
}

func (s *session) describe(ctx context.Context, remote *description) error {
	ufrag, pwd, err := s.peer.gather(ctx)
	if err != nil {
		return fmt.Errorf("rtc: describe: %w", err)
	}
	s.local = description{
		Ufrag: ufrag, Pwd: pwd, Fingerprint: s.t.fingerprint, Setup: "actpass", Datagram: maxPacket, Repair: true, Candidates: s.t.candidates(),
	}
	if remote == nil {
		return nil
	}
	s.local.Setup = "active"
	s.mend(*remote)
	s.trace.offered(remote.Candidates, s.local.Candidates)
	return s.peer.start(s.tell(*remote), false, true, s.onOpen)
}

// accept takes the answer to a session that offered.
func (s *session) accept(remote description) error {
	s.mend(remote)
	return s.peer.start(s.tell(remote), true, remote.Setup == "passive", s.onOpen)
}

// mend repairs losses from now on, if the peer does too.
func (s *session) mend(remote description) {
	if remote.Repair {
		s.peer.mend(repair.NewKeys(s.local.Ufrag, s.local.Pwd, remote.Ufrag, remote.Pwd))
	}
}

// tell takes the peer's description and returns what ICE is told of it.
func (s *session) tell(remote description) description {
	targets := s.t.route(remote.Candidates, s.peer.config.silence)
	s.mu.Lock()
	old := s.targets
	s.remote, s.targets = remote, targets
	s.mu.Unlock()
	s.trace.know(targets)
	s.t.unroute(old)
	return told(remote, targets)
}

func (s *session) onOpen(channels [link.Channels]*sctp.Stream) {
	s.mu.Lock()
	s.channels = channels
	s.mu.Unlock()
	close(s.opened)
}

// connect waits until all channels are open, and returns them as a carrier.
func (s *session) connect(ctx context.Context) (*carrier, error) {
	select {
	case <-s.opened:
	case <-s.ended:
		return nil, s.cause()
	case <-ctx.Done():
		err := context.Cause(ctx)
		if s.apart() {
			err = fmt.Errorf("%w: %v", errApart, err) // another attempt would find no path either
		}
		return nil, fmt.Errorf("rtc: connect: %w", err)
	}
	local, remote := s.t.fingerprint, s.peer.remoteCertificate()
	if remote != s.remote.Fingerprint && !s.unsigned {
		return nil, fmt.Errorf("rtc: connect: the certificate is not the one that was signed: %w", p2p.ErrRefused)
	}
	return newCarrier(s, local, remote), nil
}

// apart reports whether the peer has named addresses, and none to which this computer
// could send.
func (s *session) apart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return apart(s.t.own(), plain(s.remote.Candidates))
}

var errApart = fmt.Errorf("one of the two computers has IPv4 only and the other IPv6 only, and no member that has both relays for them: %w", p2p.ErrUnreachable)

// cause says why the session ended.
func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// close ends the session because of why and waits for pion, though not for ever.
// It may be called several times and holds no lock while pion works.
func (s *session) close(why error) {
	s.endOnce.Do(func() {
		s.mu.Lock()
		s.why = why
		s.mu.Unlock()
		close(s.ended)
		s.t.closing.Go(func() {
			s.peer.close()
			s.mu.Lock()
			targets := s.targets
			s.targets = nil
			s.mu.Unlock()
			s.t.unroute(targets)
			s.t.untrack(s)
			close(s.gone)
		})
	})
	select {
	case <-s.gone:
	case <-time.After(closeTimeout):
		s.interrupt()
	}
}

// interrupt wakes readers that pion has not woken.
func (s *session) interrupt() {
	s.mu.Lock()
	channels := s.channels
	s.mu.Unlock()
	for _, c := range channels {
		if c != nil {
			_ = c.SetReadDeadline(time.Now())
		}
	}
}
