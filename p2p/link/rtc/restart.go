package rtc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// restartTimeout bounds the signalling of a restart.
const restartTimeout = 8 * time.Second

// restart finds another path for the connection to peer, which keeps what is on it.
// The offer goes over the link itself too if that is alive. When the peer knows
// nothing of the connection, it ends.
func (t *Transport) restart(ctx context.Context, s *session, peer p2p.ID, alive bool) error {
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	for {
		answered, err := t.tryRestart(ctx, s, peer, alive)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGone):
			s.close(fmt.Errorf("rtc: restart: %w: %w", errPeerGone, err))
		case errors.Is(err, errGlare):
			// The peer's own offer comes. If it has come before this one was made, the
			// peer goes on with an answer that is not true any more.
			sleep(ctx, restartGlare)
			if t.answeredRestarts(s) == answered && ctx.Err() == nil {
				continue
			}
			return nil
		}
		return fmt.Errorf("rtc: restart to %s: %w", peer.Short(), err)
	}
}

const (
	// restartGlare is how long the offer of a peer that has said that it comes may take.
	restartGlare = 500 * time.Millisecond
	// restartPriority is for how long the smaller ID's offer beats the other one's. It has
	// to end: it may find no way to a peer whose own offer did find one, as when that peer
	// is behind a router that has another address now.
	restartPriority = 2 * restartGlare
)

func (t *Transport) answeredRestarts(s *session) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.answered
}

// tryRestart makes one offer. answered is how many of the peer's were answered before.
func (t *Transport) tryRestart(ctx context.Context, s *session, peer p2p.ID, alive bool) (answered int, err error) {
	select {
	case <-s.turn:
	case <-s.ended:
		return 0, s.cause()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	try, yield := context.WithCancel(ctx)
	defer yield()
	t.mu.Lock()
	s.yield, s.offered, answered = yield, time.Now(), s.answered
	t.mu.Unlock()
	err = t.offerRestart(try, s, peer, alive)
	t.mu.Lock()
	s.yield = nil
	t.mu.Unlock()
	s.turn <- struct{}{}
	if err != nil && try.Err() != nil && ctx.Err() == nil {
		return answered, nil // it gave way to the peer's
	}
	return answered, err
}

func (t *Transport) offerRestart(ctx context.Context, s *session, peer p2p.ID, alive bool) error {
	if err := s.redescribe(ctx, "actpass"); err != nil {
		return err
	}
	s.trace.describe(p2p.StepRestart, s.local.Candidates)
	e := envelope{
		Kind: offer, To: peer, Network: t.o.Local.Network(), Issued: t.number(0),
		SDP: s.local.sdp(), Restart: s.origin, Proof: t.o.Local.Shows(maxShown),
	}
	var reply envelope
	for range maxOffers {
		msg, err := seal(t.o.Local.Identity, e)
		if err != nil {
			return err
		}
		reply, err = t.ask(ctx, peer, msg, s.trace.follow(t.restartWays(peer, alive)), nil)
		if err == nil {
			err = replyError(reply)
		}
		if errors.Is(err, errStale) {
			e.Issued = t.number(reply.Issued)
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	remote, err := parseSDP(reply.SDP)
	if err != nil {
		return err
	}
	// The peer has given up what it offered before it answered. Copies may still come.
	t.mu.Lock()
	t.floors.set(peer, max(t.floors.get(peer), reply.Issued))
	t.mu.Unlock()
	remote.Candidates = usable(remote.Candidates, t.loopback())
	s.trace.answered(remote.Candidates)
	return s.resume(remote)
}

// restartWays are the ways to a peer of which there is a link, dead or alive.
func (t *Transport) restartWays(peer p2p.ID, alive bool) []way {
	to := p2p.Contact{}
	if t.o.Contact != nil {
		to, _ = t.o.Contact(peer)
	}
	var out []way
	if alive && t.o.Caller != nil {
		out = append(out, t.viaLink(peer, make(chan struct{}, 1)))
	}
	if to.PublicKey != nil {
		ways, _ := t.ways(to, nil, false)
		out = append(out, ways...)
	}
	return out
}

// answerRestart serves an offer to find another path for the connection that there
// is. The caller has admitted its author.
func (t *Transport) answerRestart(e envelope, remote description, hash [32]byte, by courier) ([]byte, error) {
	from := p2p.IDOf(e.From)
	t.mu.Lock()
	s, floor := t.current[from], t.floors.get(from)
	glare := s != nil && s.yield != nil && t.id.Compare(from) < 0 && time.Since(s.offered) < restartPriority
	if s != nil && e.Issued > floor && !glare {
		t.floors.set(from, e.Issued)
		if s.yield != nil {
			s.yield()
		}
	}
	t.mu.Unlock()
	switch {
	case e.Issued <= floor:
		return t.refuse(e, hash, codeStale, floor)
	case s == nil || s.origin != e.Restart || s.remoteFingerprint() != remote.Fingerprint:
		return t.refuse(e, hash, codeGone, 0)
	case glare:
		return t.refuse(e, hash, codeGlare, 0)
	}
	ctx, cancel := context.WithTimeout(t.ctx, restartTimeout)
	defer cancel()
	select {
	case <-s.turn:
	case <-s.ended:
		return t.refuse(e, hash, codeGone, 0)
	case <-ctx.Done():
		return t.refuse(e, hash, codeBusy, 0)
	}
	defer func() { s.turn <- struct{}{} }()
	t.mu.Lock()
	s.answered++
	t.mu.Unlock()
	err := s.redescribe(ctx, "active")
	if err == nil {
		s.trace.offered(remote.Candidates, s.local.Candidates)
		s.trace.carried(by)
		err = s.resume(remote)
	}
	if err != nil {
		return nil, err
	}
	t.log.Debug("another path is looked for", "peer", from.Short())
	return seal(t.o.Local.Identity, envelope{
		Kind: answer, To: from, Network: e.Network, Issued: t.number(0), SDP: s.local.sdp(), Offer: hash,
	})
}

// redescribe restarts ICE and describes the connection anew.
func (s *session) redescribe(ctx context.Context, setup string) error {
	ufrag, pwd, err := s.peer.restart(ctx)
	if err != nil {
		return err
	}
	s.local = description{
		Ufrag: ufrag, Pwd: pwd, Fingerprint: s.t.fingerprint, Setup: setup, Datagram: maxPacket, Repair: true, Candidates: s.t.candidates(),
	}
	return nil
}

// resume takes the peer's new description. Its certificate stays the one that it was.
func (s *session) resume(remote description) error {
	if remote.Fingerprint != s.remoteFingerprint() {
		return fmt.Errorf("rtc: restart: another certificate: %w", p2p.ErrRefused)
	}
	return s.peer.resume(s.tell(remote))
}

func (s *session) remoteFingerprint() [32]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote.Fingerprint
}
