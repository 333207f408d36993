package rtc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

const (
	// glareWait is how long the larger ID waits for the offer of the smaller, which
	// has said that it is on its way, before it offers again.
	glareWait = 2 * time.Second
	// busyWait is how long a peer that has no room for another handshake is left
	// alone. A few people who open the same invitation at once take turns.
	busyWait = time.Second
	// maxOffers bounds the offers of one dial.
	maxOffers = 6
)

// dial is one call of Dial. The fields from offered on are guarded by
// Transport.mu.
type dial struct {
	peer     p2p.ID
	cancel   context.CancelFunc
	incoming chan p2p.Link // a link that the peer made meanwhile
	done     chan struct{}

	offered  time.Time // zero while no offer is out
	answered int64     // Issued of the answer; zero before there is one
	yield    func()    // gives up the offer that is out
	relayed  bool      // it names relays
}

// beats reports whether this dial's offer wins over the peer's with number issued.
// One that the peer made after it answered comes from a process that has forgotten
// the answer.
func (d *dial) beats(self p2p.ID, issued int64, now time.Time) bool {
	if self.Compare(d.peer) > 0 || d.offered.IsZero() {
		return false
	}
	if d.answered != 0 {
		return issued < d.answered
	}
	return now.Sub(d.offered) < glarePriority
}

// Dial implements p2p.Transport. Errors: p2p.ErrRefused when the peer said so,
// p2p.ErrUnreachable, with what was tried, when nobody could ask it, p2p.ErrClosed,
// and the context's.
func (t *Transport) Dial(ctx context.Context, to p2p.Contact, pass *p2p.Pass) (p2p.Link, error) {
	return t.DialVia(ctx, to, pass, nil)
}

// DialVia is Dial with the addresses of members that may have links to the peer, as
// an invitation names them.
func (t *Transport) DialVia(ctx context.Context, to p2p.Contact, pass *p2p.Pass, relays []p2p.Contact) (p2p.Link, error) {
	peer := to.ID()
	if peer == t.id {
		return nil, fmt.Errorf("rtc: dial %s: that is this node itself", peer.Short())
	}
	caller := ctx
	ctx, d, err := t.beginDial(ctx, peer)
	if err != nil {
		return nil, fmt.Errorf("rtc: dial %s: %w", peer.Short(), err)
	}
	l, err := t.offers(ctx, d, to, pass, relays)
	if errors.Is(err, errNoWay) && pass == nil && ctx.Err() == nil {
		var unasked error
		if l, unasked = t.dialDirect(ctx, to); unasked == nil {
			err = nil
		} else {
			err = fmt.Errorf("%w; %w", err, unasked)
		}
	}
	if other := t.endDial(d); other != nil {
		// It authenticated after l did, or l came to nothing.
		return other, nil
	}
	switch {
	case err == nil:
		return l, nil
	case t.ctx.Err() != nil:
		err = p2p.ErrClosed
	default:
		if late := contextError(caller, time.Now()); late != nil && !errors.Is(err, late) {
			err = fmt.Errorf("%w: %w", err, late)
		}
	}
	return nil, fmt.Errorf("rtc: dial %s: %w", peer.Short(), err)
}

// contextError is ctx.Err(), but does not wait for the timer: connections that
// have the deadline of ctx fail a moment before it does.
func contextError(ctx context.Context, now time.Time) error {
	if deadline, ok := ctx.Deadline(); ok && !now.Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// beginDial waits until no other dial to peer is under way.
func (t *Transport) beginDial(ctx context.Context, peer p2p.ID) (context.Context, *dial, error) {
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, nil, p2p.ErrClosed
		}
		other := t.dials[peer]
		if other == nil {
			d := &dial{peer: peer, incoming: make(chan p2p.Link, 1), done: make(chan struct{})}
			ctx, cancel := context.WithCancel(ctx)
			stop := context.AfterFunc(t.ctx, cancel)
			d.cancel = func() { stop(); cancel() }
			t.dials[peer] = d
			t.running.Add(1)
			t.mu.Unlock()
			return ctx, d, nil
		}
		t.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// endDial returns the link that came in meanwhile, if any.
func (t *Transport) endDial(d *dial) p2p.Link {
	t.mu.Lock()
	delete(t.dials, d.peer)
	t.mu.Unlock()
	d.cancel()
	close(d.done)
	t.running.Done()
	select {
	case l := <-d.incoming:
		return l
	default:
		return nil
	}
}

// offers makes offers until one gives a link. It ends early, with whatever error,
// when a link comes in: that cancels ctx.
func (t *Transport) offers(ctx context.Context, d *dial, to p2p.Contact, pass *p2p.Pass, relays []p2p.Contact) (p2p.Link, error) {
	var least int64
	var err error
	for range maxOffers {
		try, yield := context.WithCancel(ctx)
		if err := t.turn(ctx, d, yield); err != nil {
			yield()
			return nil, err
		}
		var l p2p.Link
		l, least, err = t.offer(try, d, to, pass, relays, least)
		gaveWay := try.Err() != nil && ctx.Err() == nil
		t.offering(d, time.Time{}, 0)
		yield()
		switch {
		case err == nil:
			return l, nil
		case errors.Is(err, errGlare):
			sleep(ctx, glareWait)
		case errors.Is(err, errBusy):
			sleep(ctx, busyWait)
		case !errors.Is(err, errStale) && !gaveWay:
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("after %d offers: %w: %w", maxOffers, err, p2p.ErrUnreachable)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// turn waits while the peer's own handshake is under way, and then declares the
// next offer as out. Both is one step: of two offers that cross, either end knows.
func (t *Transport) turn(ctx context.Context, d *dial, yield func()) error {
	for {
		t.mu.Lock()
		in := t.inbound[d.peer]
		if in == nil {
			d.offered, d.answered, d.yield = time.Now(), 0, yield
		}
		t.mu.Unlock()
		if in == nil {
			return ctx.Err()
		}
		select {
		case <-in.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// offer makes one offer with a number above least. With errStale, the next one's
// number has to be above the returned one.
func (t *Transport) offer(ctx context.Context, d *dial, to p2p.Contact, pass *p2p.Pass, relays []p2p.Contact, least int64) (p2p.Link, int64, error) {
	t.meets(to.Addrs)
	t.lookAround(ctx, addrsOf(to, relays), observeWait)
	s, err := t.newSession(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	t.mu.Lock()
	d.relayed = slices.ContainsFunc(s.local.Candidates, func(c candidate) bool { return c.Kind == p2p.PathRelayed })
	t.mu.Unlock()
	msg, network, err := t.sealOffer(envelope{SDP: s.local.sdp(), Issued: t.number(least)}, d.peer, pass)
	var reply envelope
	if err == nil {
		ways, left := t.ways(to, relays, pass != nil)
		s.trace.describe(p2p.StepOffer, s.local.Candidates)
		reply, err = t.ask(ctx, d.peer, msg, s.trace.follow(ways), left)
	}
	if err == nil {
		err = replyError(reply)
	}
	if err != nil {
		t.failed(d.peer, s, err)
		s.close(err)
		return nil, reply.Issued, err
	}
	s.origin = sha256.Sum256(msg)
	t.offering(d, time.Now(), reply.Issued)
	l, err := t.finish(ctx, s, reply, d.peer, network)
	if err != nil {
		t.failed(d.peer, s, err)
		s.close(err)
	}
	return l, 0, err
}

// offerAgain gives up the offers that have found no path and name no relay: there is
// one now. Those that are new get the time to find one.
func (t *Transport) offerAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	young := false
	for _, d := range t.dials {
		switch {
		case d.relayed || d.offered.IsZero() || d.yield == nil:
		case d.answered == 0 || time.Since(d.offered) < relayGrace:
			young = true
		default:
			d.yield()
		}
	}
	if young && !t.closed {
		time.AfterFunc(relayGrace/2, t.offerAgain)
	}
}

// addrsOf are the addresses of a peer and of those that may reach it.
func addrsOf(to p2p.Contact, relays []p2p.Contact) []netip.AddrPort {
	var out []netip.AddrPort
	for _, r := range relays {
		out = append(out, r.Addrs...)
	}
	return append(out, to.Addrs...)
}

func (t *Transport) offering(d *dial, at time.Time, answered int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.offered, d.answered = at, answered
}

// sealOffer completes e as an offer to peer, and says for which network it is.
func (t *Transport) sealOffer(e envelope, peer p2p.ID, pass *p2p.Pass) (msg []byte, network p2p.ID, err error) {
	e.Kind, e.To, e.Network = offer, peer, t.o.Local.Network()
	if _, err := rand.Read(e.Nonce[:]); err != nil {
		return nil, network, fmt.Errorf("rtc: offer: %w", err)
	}
	if pass == nil {
		e.Proof = t.o.Local.Shows(maxShown)
	} else {
		if e, err = addPass(e, t.o.Local.Identity.PublicKey(), *pass); err != nil {
			return nil, network, err
		}
	}
	msg, err = seal(t.o.Local.Identity, e)
	return msg, e.Network, err
}

// ask sends the offer msg over all ways and returns the peer's reply. left says
// what else there is that is not tried now.
func (t *Transport) ask(ctx context.Context, peer p2p.ID, msg []byte, ways []way, left attempts) (envelope, error) {
	var reply envelope
	err := race(ctx, ways, left, msg, func(b []byte) error {
		e, err := openReply(b, msg, peer, t.id)
		if err == nil {
			reply = e
		}
		return err
	})
	if err != nil {
		return reply, fmt.Errorf("%w: %w", errNoWay, err)
	}
	return reply, nil
}

// errNoWay: no way of the signalling led to the peer.
var errNoWay = fmt.Errorf("%w", p2p.ErrUnreachable)

var (
	errGlare = errors.New("the peer's own offer is on its way")
	errStale = errors.New("the peer knows a later offer of this node")
	errGone  = fmt.Errorf("the peer has no such connection any more: %w", p2p.ErrClosed)
	errBusy  = fmt.Errorf("the peer is busy: %w", p2p.ErrUnreachable)
)

// replyError reads a refusal. It was signed by the peer, for this offer.
func replyError(e envelope) error {
	if e.Kind == answer {
		return nil
	}
	switch e.Code {
	case codeGlare:
		return errGlare
	case codeStale:
		return errStale
	case codeBusy:
		return errBusy
	case codeGone:
		return errGone
	}
	return fmt.Errorf("by the peer: %w", p2p.ErrRefused)
}

// finish makes the answered session a link.
func (t *Transport) finish(ctx context.Context, s *session, reply envelope, peer, network p2p.ID) (p2p.Link, error) {
	if err := t.acceptAnswer(s, reply); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout, errNoPath)
	defer cancel()
	return t.authenticate(ctx, s, link.Options{Network: network, Initiator: true, Expect: peer})
}

// acceptAnswer tells the session what its peer has answered.
func (t *Transport) acceptAnswer(s *session, reply envelope) error {
	remote, err := parseSDP(reply.SDP)
	if err == nil && remote.Setup == "actpass" {
		err = fmt.Errorf("rtc: answer: setup %q: %w", remote.Setup, errSDP)
	}
	if err != nil {
		return err
	}
	remote.Candidates = usable(remote.Candidates, t.loopback())
	for _, p := range reply.Relays[:min(len(reply.Relays), maxRelayed)] {
		t.relays.enterAsGuest(p)
	}
	s.trace.answered(remote.Candidates)
	return s.accept(remote)
}

var errNoPath = fmt.Errorf("the peer answered, but no packets went through in %s: %w", handshakeTimeout, p2p.ErrNoPath)
