package rtc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

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

// session is one PeerConnection on its way from description to carrier. Whoever
// makes one closes it, or the carrier that it became.
type session struct {
	t       *Transport
	pc      *webrtc.PeerConnection
	local   description
	remote  description
	conns   []*muxConn
	since   time.Time
	targets []target // the remote candidates as they are tried

	opened  chan struct{} // closed when all channels are
	ended   chan struct{} // closed when why is set
	gone    chan struct{} // closed when pion has let go of everything
	endOnce sync.Once

	mu       sync.Mutex // guards all that follows
	why      error
	channels [link.Channels]*datachannel.DataChannel
	open     int
	path     p2p.Path
}

var errPeerGone = errors.New("the peer has closed the connection or is gone")

// newSession makes a PeerConnection and describes it: as an offer, or as the
// answer to remote.
func (t *Transport) newSession(ctx context.Context, remote *description) (*session, error) {
	pc, err := t.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{t.cert}})
	if err != nil {
		return nil, fmt.Errorf("rtc: new connection: %w", err)
	}
	s := &session{
		t: t, pc: pc, since: time.Now(),
		opened: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
	}
	if err := t.track(s); err != nil {
		_ = pc.Close()
		return nil, err
	}
	if err := s.describe(ctx, remote); err != nil {
		s.close(err)
		return nil, err
	}
	return s, nil
}

func (s *session) describe(ctx context.Context, remote *description) error {
	s.pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		switch state {
		case webrtc.ICEConnectionStateDisconnected, webrtc.ICEConnectionStateFailed:
			go s.close(fmt.Errorf("rtc: ice: %s: %w", state, errPeerGone))
		}
	})
	s.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			go s.close(fmt.Errorf("rtc: connection %s: %w", state, errPeerGone))
		}
	})
	for ch := range link.Channels {
		if err := s.addChannel(ch); err != nil {
			return err
		}
	}
	sdp, err := s.negotiate(remote)
	if err != nil {
		return fmt.Errorf("rtc: describe: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(sdp); err != nil {
		return fmt.Errorf("rtc: describe: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	// pion knows one address per family; the description names all.
	if s.local, err = parseSDP(sdp.SDP); err != nil {
		return err
	}
	s.conns = s.t.mux.agent(s.local.Ufrag)
	s.local.Candidates, s.local.Repair = s.t.candidates(), true
	if remote != nil {
		s.mend()
	}
	return nil
}

// negotiate returns pion's own description of the connection.
func (s *session) negotiate(remote *description) (webrtc.SessionDescription, error) {
	if remote == nil {
		return s.pc.CreateOffer(nil)
	}
	err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: s.tell(*remote)})
	if err != nil {
		return webrtc.SessionDescription{}, err
	}
	return s.pc.CreateAnswer(nil)
}

// accept takes the answer to a session that offered.
func (s *session) accept(remote description) error {
	err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: s.tell(remote)})
	if err != nil {
		return fmt.Errorf("rtc: accept: %w", err)
	}
	s.mend()
	return nil
}

// mend repairs losses from now on, if the peer does too.
func (s *session) mend() {
	s.mu.Lock()
	remote := s.remote
	s.mu.Unlock()
	if remote.Repair {
		s.t.mux.mend(s.conns, repair.NewKeys(s.local.Ufrag, s.local.Pwd, remote.Ufrag, remote.Pwd))
	}
}

// tell takes the peer's description and returns what pion is told of it.
func (s *session) tell(remote description) string {
	targets := s.t.route(remote.Candidates)
	s.mu.Lock()
	old := s.targets
	s.remote, s.targets = remote, targets
	s.mu.Unlock()
	s.t.unroute(old)
	return told(remote, targets).sdp()
}

func (s *session) addChannel(ch int) error {
	id, yes, ordered := uint16(ch), true, ch != unordered
	dc, err := s.pc.CreateDataChannel(fmt.Sprint(ch), &webrtc.DataChannelInit{ID: &id, Negotiated: &yes, Ordered: &ordered})
	if err != nil {
		return fmt.Errorf("rtc: channel %d: %w", ch, err)
	}
	dc.OnOpen(func() {
		raw, err := dc.DetachWithDeadline()
		if err != nil {
			go s.close(fmt.Errorf("rtc: channel %d: %w", ch, err))
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.channels[ch] = raw.(*datachannel.DataChannel)
		if s.open++; s.open == link.Channels {
			close(s.opened)
		}
	})
	return nil
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
	local, remote := s.t.fingerprint, sha256.Sum256(s.pc.SCTP().Transport().GetRemoteCertificate())
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
			_ = s.pc.GracefulClose()
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
	for _, dc := range channels {
		if dc != nil {
			_ = dc.SetReadDeadline(time.Now())
		}
	}
}
