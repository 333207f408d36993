package rtc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

const (
	// handLife is for how long a handshake that people carry is alive: they look for
	// their chat, send the text, and wait for somebody at the other end to do the same.
	handLife = 10 * time.Minute
	// maxHand bounds those that a node has begun, and those that it has answered.
	maxHand = 4
	// handObserveWait is how long such a handshake waits to hear how others see this
	// node: a person waits longer than a dial, and has one try only.
	handObserveWait = 3 * time.Second
	// maxHandFloors is how many peers' numbers are remembered. Each was pasted here.
	maxHandFloors = 1024
)

// Errors of handshakes that people carry, besides those of their texts and of Dial.
var (
	// ErrHandRecipient: the text is for another node.
	ErrHandRecipient = errors.New("for another node")
	// ErrHandNetwork: the offer is of another network.
	ErrHandNetwork = errors.New("of another network")
	// ErrHandUsed: the offer was used already, or one that was made later.
	ErrHandUsed = errors.New("used already, or older than one that was")
	// ErrHandOther: the answer is to another offer, or it is another answer to this one.
	ErrHandOther = errors.New("the answer to something else")
	// ErrHandGlare: both ends have made an offer, and the other one's is to be answered.
	ErrHandGlare = errors.New("this node's own offer counts")
	// ErrHandFull: too many are under way.
	ErrHandFull = errors.New("too many handshakes by hand at once")
	// ErrHandExpired: nothing has come of it in time.
	ErrHandExpired = errors.New("expired")
	// ErrHandCancelled: it was given up, or another one has taken its place.
	ErrHandCancelled = errors.New("given up")
	// ErrHandElsewhere: the two are linked meanwhile, some other way.
	ErrHandElsewhere = errors.New("linked some other way")
)

// hand is what a transport knows of handshakes that people carry. The zero value is
// ready; Transport.mu guards it. They have bounds of their own, so that they take
// nothing from those that need nobody, and numbers of their own: an offer in somebody's
// pocket is not out of date because its node has tried other ways meanwhile.
type hand struct {
	offers, answers map[p2p.ID]*Handshake
	floors          map[p2p.ID]int64
}

// linked gives up the handshakes with a peer that is linked now, by s.
func (hs *hand) linked(peer p2p.ID, s *session) {
	for _, h := range []*Handshake{hs.offers[peer], hs.answers[peer]} {
		if h != nil && h.s != s {
			h.cancel(ErrHandElsewhere)
		}
	}
}

// enter takes h in instead of another one with the same peer, unless there are too many.
func (hs *hand) enter(h *Handshake) bool {
	all := &hs.offers
	if h.Answering {
		all = &hs.answers
	}
	old := (*all)[h.Peer]
	if old == nil && len(*all) >= maxHand {
		return false
	}
	if old != nil {
		old.cancel(ErrHandCancelled)
	}
	if *all == nil {
		*all = map[p2p.ID]*Handshake{}
	}
	(*all)[h.Peer] = h
	return true
}

func (hs *hand) leave(h *Handshake) {
	for _, all := range []map[p2p.ID]*Handshake{hs.offers, hs.answers} {
		if all[h.Peer] == h {
			delete(all, h.Peer)
		}
	}
}

func (hs *hand) raise(peer p2p.ID, issued int64) {
	if hs.floors == nil {
		hs.floors = map[p2p.ID]int64{}
	}
	if _, known := hs.floors[peer]; !known && len(hs.floors) >= maxHandFloors {
		for id := range hs.floors {
			delete(hs.floors, id)
			break
		}
	}
	hs.floors[peer] = issued
}

// Handshake is one whose offer and answer are carried by people. It lives until it has
// given a link, or is given up, or ten minutes have passed.
type Handshake struct {
	ID        string // the same at both ends
	Answering bool   // the peer has made the offer
	Peer      p2p.ID
	Name      string // what the peer calls itself, as far as it has said so
	Text      string // to be carried to the peer
	Expires   time.Time

	t       *Transport
	ctx     context.Context // ends with it; the cause says why
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	network p2p.ID
	sealed  []byte   // the offer
	s       *session // set while Transport.mu is held
	ready   chan struct{}
	done    chan struct{} // closed when link or err is set
	link    p2p.Link
	err     error

	mu    sync.Mutex
	taken [32]byte      // the hash of the answer
	begun chan struct{} // closed when there is one
}

func (t *Transport) newHandshake(peer p2p.ID, answering bool) *Handshake {
	h := &Handshake{
		Answering: answering, Peer: peer, t: t, Expires: time.Now().Add(t.handLife),
		ready: make(chan struct{}), done: make(chan struct{}), begun: make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancelCause(t.ctx)
	h.timer = time.AfterFunc(t.handLife, func() { h.cancel(ErrHandExpired) })
	return h
}

// end makes h known as over.
func (h *Handshake) end(l p2p.Link, err error) {
	if cause := context.Cause(h.ctx); err != nil && cause != nil {
		err = cause
		if h.t.ctx.Err() != nil {
			err = p2p.ErrClosed
		}
	}
	h.timer.Stop()
	h.cancel(ErrHandCancelled)
	h.t.mu.Lock()
	h.t.hand.leave(h)
	h.t.mu.Unlock()
	h.link, h.err = l, err
	close(h.done)
}

// Cancel gives the handshake up. It does nothing to a link that it has given.
func (h *Handshake) Cancel() { h.cancel(ErrHandCancelled) }

// Done is closed when the handshake is over.
func (h *Handshake) Done() <-chan struct{} { return h.done }

// Result is what has come of it, once Done is closed. The link of an offer belongs to
// the caller, as that of a dial; the one of an answer comes out of Accept, or of a dial
// that waits for the same peer.
func (h *Handshake) Result() (p2p.Link, error) {
	<-h.done
	return h.link, h.err
}

// Tried are the pairs of addresses that have been tried.
func (h *Handshake) Tried() []p2p.Candidate {
	h.t.mu.Lock()
	s := h.s
	h.t.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	targets := s.targets
	s.mu.Unlock()
	local, remote := s.peer.pair()
	return s.t.pathOf(targets, local, remote, s.peer.tried()).Tried
}

// within is a context that ends with h too.
func (h *Handshake) within(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// hold makes s the session of h, or closes it if h is over.
func (h *Handshake) hold(s *session) error {
	h.t.mu.Lock()
	h.s = s
	h.t.mu.Unlock()
	if !h.t.enter() {
		s.close(p2p.ErrClosed)
		return p2p.ErrClosed
	}
	return nil
}

// OfferByHand makes an offer to a peer that a person carries there. pass and relays are
// as for DialVia. Errors: ErrHandFull, p2p.ErrClosed, the context's.
func (t *Transport) OfferByHand(ctx context.Context, to p2p.Contact, pass *p2p.Pass, relays []p2p.Contact) (*Handshake, error) {
	peer := to.ID()
	fail := func(err error) (*Handshake, error) {
		return nil, fmt.Errorf("rtc: offer to %s by hand: %w", peer.Short(), err)
	}
	if peer == t.id {
		return fail(fmt.Errorf("that is this node itself: %w", ErrHandRecipient))
	}
	h := t.newHandshake(peer, false)
	h.Name = to.Name
	t.mu.Lock()
	entered := !t.closed && t.hand.enter(h)
	closed := t.closed
	t.mu.Unlock()
	switch {
	case closed:
		h.end(nil, p2p.ErrClosed)
		return fail(p2p.ErrClosed)
	case !entered:
		h.end(nil, ErrHandFull)
		return fail(fmt.Errorf("%d are waiting for an answer: %w", maxHand, ErrHandFull))
	}
	if err := h.describe(ctx, to, pass, relays); err != nil {
		h.end(nil, err)
		return fail(h.err)
	}
	go func() {
		defer t.running.Done()
		h.end(h.await())
	}()
	return h, nil
}

// describe makes the session of an offer, and its text. If it succeeds, a goroutine has
// been registered.
func (h *Handshake) describe(ctx context.Context, to p2p.Contact, pass *p2p.Pass, relays []p2p.Contact) error {
	t := h.t
	ctx, release := h.within(ctx)
	defer release()
	t.lookAround(ctx, addrsOf(to, relays), handObserveWait)
	s, err := t.newSessionBy(ctx, t.patient, nil)
	if err != nil {
		return err
	}
	s.trace.describe(p2p.StepOffer, s.local.Candidates)
	// The peer will check for minutes before its answer is here. All that would wait to
	// be read, and be read as if it had just come.
	s.peer.deaf.Store(true)
	e := envelope{SDP: s.local.sdp(), Issued: t.number(0), Wait: uint32(max(1, t.handLife/time.Second)), Name: t.o.Name}
	h.sealed, h.network, err = t.sealOffer(e, h.Peer, pass)
	if err == nil {
		s.origin = sha256.Sum256(h.sealed)
		h.ID = p2p.ID(s.origin).Short()
		h.Text, err = handText(offer, h.sealed)
	}
	if err != nil {
		s.close(err)
		return err
	}
	return h.hold(s)
}

// await waits for the answer, and then for the link.
func (h *Handshake) await() (p2p.Link, error) {
	select {
	case <-h.begun:
	case <-h.s.ended:
	case <-h.ctx.Done():
		h.s.close(context.Cause(h.ctx))
	}
	return h.t.authenticate(h.ctx, h.s, link.Options{Network: h.network, Initiator: true, Expect: h.Peer})
}

// Finish takes the answer to an offer. The link is then being made: see Done. The same
// answer may be given again. Errors: ErrHandText, ErrHandKind, ErrHandRecipient,
// ErrHandOther, and why the handshake is over.
func (h *Handshake) Finish(pasted string) error {
	fail := func(err error) error { return fmt.Errorf("rtc: answer of %s: %w", h.Peer.Short(), err) }
	e, msg, err := openHandText(pasted)
	switch {
	case err != nil:
		return fail(err)
	case e.Kind != answer:
		return fail(fmt.Errorf("an offer: %w", ErrHandKind))
	case h.Answering || p2p.IDOf(e.From) != h.Peer:
		return fail(fmt.Errorf("from %s: %w", p2p.IDOf(e.From).Short(), ErrHandOther))
	case e.To != h.t.id:
		return fail(fmt.Errorf("to %s: %w", e.To.Short(), ErrHandRecipient))
	case e.Offer != sha256.Sum256(h.sealed):
		return fail(ErrHandOther)
	}
	hash := sha256.Sum256(msg)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken == hash {
		return nil
	}
	if err := context.Cause(h.ctx); err != nil {
		return fail(err)
	}
	if h.taken != [32]byte{} {
		return fail(fmt.Errorf("another one was given before: %w", ErrHandOther))
	}
	if err := h.t.acceptAnswer(h.s, e); err != nil {
		return fail(fmt.Errorf("%w: %w", ErrHandText, err))
	}
	h.taken = hash
	close(h.begun)
	return nil
}

// AnswerByHand answers an offer that a person has brought. The answer goes the same way
// back; meanwhile this end sends to the other, so that its router is open when that
// begins. The same offer gets the same answer. Errors: ErrHandText, ErrHandKind,
// ErrHandRecipient, ErrHandNetwork, p2p.ErrRefused, ErrHandUsed, ErrHandGlare,
// ErrHandFull, p2p.ErrClosed.
func (t *Transport) AnswerByHand(ctx context.Context, pasted string) (*Handshake, error) {
	e, msg, err := openHandText(pasted)
	fail := func(err error) (*Handshake, error) {
		return nil, fmt.Errorf("rtc: answer by hand: %w", err)
	}
	switch {
	case err != nil:
		return fail(err)
	case e.Kind != offer:
		return fail(fmt.Errorf("an answer: %w", ErrHandKind))
	case e.To != t.id:
		return fail(fmt.Errorf("%s: %w", e.To.Short(), ErrHandRecipient))
	case e.Network != t.o.Local.Network():
		return fail(fmt.Errorf("%s: %w", e.Network.Short(), ErrHandNetwork))
	}
	if err := t.admit(e); err != nil {
		return fail(err)
	}
	remote, err := parseSDP(e.SDP)
	if err != nil || remote.Setup != "actpass" || e.Restart != [32]byte{} {
		return fail(errors.Join(ErrHandText, err))
	}
	remote.Candidates = usable(remote.Candidates, t.loopback())
	hash := sha256.Sum256(msg)
	h, first, err := t.takeByHand(e, hash)
	if err != nil {
		return fail(err)
	}
	if first {
		h.decide(ctx, e, remote, hash)
	}
	select {
	case <-h.ready:
		return h, nil
	case <-h.done:
		if h.err != nil {
			return fail(h.err)
		}
		return h, nil
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

// takeByHand finds the handshake that e has begun; first is true for the one who has
// to answer.
func (t *Transport) takeByHand(e envelope, hash [32]byte) (h *Handshake, first bool, err error) {
	from := p2p.IDOf(e.From)
	id := p2p.ID(hash).Short()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false, p2p.ErrClosed
	}
	if h := t.hand.answers[from]; h != nil && h.ID == id {
		return h, false, nil
	}
	if e.Issued <= t.hand.floors[from] {
		return nil, false, ErrHandUsed
	}
	own := t.hand.offers[from]
	if own != nil && t.id.Compare(from) < 0 {
		return nil, false, ErrHandGlare
	}
	h = t.newHandshake(from, true)
	h.ID, h.Name, h.network = id, e.Name, e.Network
	if wait := time.Duration(e.Wait) * time.Second; wait < t.handLife {
		h.timer.Reset(wait)
		h.Expires = time.Now().Add(wait)
	}
	if !t.hand.enter(h) {
		h.timer.Stop()
		h.cancel(ErrHandFull)
		return nil, false, fmt.Errorf("%d answers are waiting to be used: %w", maxHand, ErrHandFull)
	}
	if own != nil {
		own.cancel(ErrHandCancelled)
	}
	t.hand.raise(from, e.Issued)
	return h, true, nil
}

// decide makes the answer, and then the link.
func (h *Handshake) decide(ctx context.Context, e envelope, remote description, hash [32]byte) {
	t := h.t
	ctx, release := h.within(ctx)
	defer release()
	t.lookAround(ctx, nil, handObserveWait)
	s, msg, err := t.describeAnswer(ctx, e, remote, hash)
	if err == nil {
		h.Text, err = handText(answer, msg)
	}
	if err != nil && s != nil {
		s.close(err)
	}
	if err == nil {
		err = h.hold(s)
	}
	if err != nil {
		h.end(nil, err)
		return
	}
	go func() {
		defer t.running.Done()
		l, err := t.authenticate(h.ctx, s, link.Options{Network: h.network, Expect: h.Peer})
		if err != nil {
			t.log.Info("handshake by hand failed", "peer", h.Peer, "error", err)
		}
		h.end(l, err)
		if l == nil {
			return
		}
		t.mu.Lock()
		taken := t.toDial(l)
		t.mu.Unlock()
		if !taken {
			t.deliver(l)
		}
	}()
	close(h.ready)
}
