package rtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/sctp"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
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
	t      *Transport
	peer   *peer
	local  description
	remote description
	since  time.Time

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
	s := &session{
		t: t, since: time.Now(),
		opened: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
	}
	var err error
	s.peer, err = newPeer(t.engine, t.mux, func(why error) { go s.close(why) })
	if err != nil {
		return nil, err
	}
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
		Ufrag: ufrag, Pwd: pwd, Fingerprint: s.t.fingerprint, Setup: "actpass", Datagram: maxPacket, Candidates: s.t.candidates(),
	}
	if remote == nil {
		return nil
	}
	s.remote, s.local.Setup = *remote, "active"
	return s.peer.start(s.remote, false, true, s.onOpen)
}

// accept takes the answer to a session that offered.
func (s *session) accept(remote description) error {
	s.remote = remote
	return s.peer.start(remote, true, remote.Setup == "passive", s.onOpen)
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
		return nil, fmt.Errorf("rtc: connect: %w", context.Cause(ctx))
	}
	local, remote := s.t.fingerprint, s.peer.remoteCertificate()
	if remote != s.remote.Fingerprint {
		return nil, fmt.Errorf("rtc: connect: the certificate is not the one that was signed: %w", p2p.ErrRefused)
	}
	return newCarrier(s, local, remote), nil
}

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

// candidates are the addresses that this node offers in a description.
func (t *Transport) candidates() []candidate {
	var out []candidate
	for _, a := range t.own() {
		out = append(out, candidate{Addr: a, Kind: p2p.PathDirect})
	}
	for _, a := range t.o.Announce {
		if len(out) < maxCandidates && !containsAddr(out, a) {
			out = append(out, candidate{Addr: a, Kind: p2p.PathMapped})
		}
	}
	return out
}

func containsAddr(all []candidate, a netip.AddrPort) bool {
	for _, c := range all {
		if c.Addr == a {
			return true
		}
	}
	return false
}
