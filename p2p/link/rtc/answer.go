package rtc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// inbound is a handshake that a peer has begun.
type inbound struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has given a link or failed
}

// glarePriority is how long an offer that nobody has answered beats one that
// comes from the larger ID. It has to end: the smaller ID's offer may find no way
// while the larger one's did.
const glarePriority = 3 * time.Second

// answer serves an offer to this node. The same offer, over however many ways it
// comes, gets the same reply.
func (t *Transport) answer(ctx context.Context, e envelope, msg []byte, by courier) ([]byte, error) {
	hash := sha256.Sum256(msg)
	if err := t.admit(e); err != nil {
		t.log.Info("refused", "peer", p2p.IDOf(e.From), "error", err)
		return t.refuse(e, hash, codeRefused, 0)
	}
	t.mu.Lock()
	r, first := t.replies.enter(hash, time.Now())
	t.mu.Unlock()
	if first {
		r.msg, r.err = t.decide(e, hash, by)
		close(r.done)
	}
	select {
	case <-r.done:
		return r.msg, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("rtc: answer: %w", ctx.Err())
	}
}

// admit asks who knocks, before anything is spent on him.
func (t *Transport) admit(e envelope) error {
	if e.Network != t.o.Local.Network() {
		return fmt.Errorf("of another network: %w", p2p.ErrRefused)
	}
	if t.o.Local.Gate == nil {
		return nil
	}
	k, err := knock(e)
	if err != nil {
		return err
	}
	return t.o.Local.Gate(k)
}

func (t *Transport) refuse(e envelope, hash [32]byte, code string, issued int64) ([]byte, error) {
	return seal(t.o.Local.Identity, envelope{
		Kind: refusal, To: p2p.IDOf(e.From), Network: e.Network, Issued: issued, Offer: hash, Code: code,
	})
}

// decide replies to an admitted offer that was not seen before.
func (t *Transport) decide(e envelope, hash [32]byte, by courier) ([]byte, error) {
	remote, err := parseSDP(e.SDP)
	if err == nil && remote.Setup != "actpass" {
		err = fmt.Errorf("rtc: answer: setup %q in an offer: %w", remote.Setup, errSDP)
	}
	if err != nil {
		return nil, err
	}
	remote.Candidates = usable(remote.Candidates, t.loopback())
	if e.Restart != [32]byte{} {
		return t.answerRestart(e, remote, hash, by)
	}
	t.mu.Lock()
	free := t.slots.enter(e.Invite)
	t.mu.Unlock()
	if !free {
		return t.refuse(e, hash, codeBusy, 0)
	}
	ctx, cancel := context.WithTimeout(t.ctx, handshakeTimeout)
	in := &inbound{cancel: cancel, done: make(chan struct{})}
	release := func(l p2p.Link) (taken bool) {
		cancel()
		return t.leave(e, in, l)
	}
	if code, issued := t.take(e, in, time.Now()); code != "" {
		release(nil)
		return t.refuse(e, hash, code, issued)
	}
	s, msg, err := t.describeAnswer(ctx, e, remote, hash)
	if s != nil {
		s.trace.carried(by)
	}
	if err != nil || !t.enter() {
		if s != nil {
			s.close(p2p.ErrClosed)
		}
		release(nil)
		return nil, errors.Join(err, t.ctx.Err())
	}
	go func() {
		defer t.running.Done()
		l := t.complete(ctx, s, e)
		if taken := release(l); l != nil && !taken {
			t.deliver(l)
		}
	}()
	return msg, nil
}

// take makes in the handshake with the peer of e, or says with which code the
// offer is refused.
func (t *Transport) take(e envelope, in *inbound, now time.Time) (code string, issued int64) {
	from := p2p.IDOf(e.From)
	t.mu.Lock()
	defer t.mu.Unlock()
	if floor := t.floors.get(from); e.Issued <= floor {
		return codeStale, floor
	}
	d := t.dials[from]
	if d != nil && d.beats(t.id, e.Issued, now) {
		return codeGlare, 0
	}
	t.floors.set(from, e.Issued)
	if old := t.inbound[from]; old != nil {
		old.cancel()
	}
	t.inbound[from] = in
	if d != nil && d.yield != nil {
		d.yield() // and the dial waits for this handshake
	}
	return "", 0
}

// leave ends the handshake in. A link that it gave goes to the dial that waits
// for it, if there is one. Both happen at once: a dial that begins later sees
// neither handshake nor link here, but the link in Accept.
func (t *Transport) leave(e envelope, in *inbound, l p2p.Link) (taken bool) {
	from := p2p.IDOf(e.From)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots.leave(e.Invite)
	if t.inbound[from] == in {
		delete(t.inbound, from)
	}
	taken = l != nil && t.toDial(l)
	close(in.done)
	return taken
}

// toDial gives a link to the dial that waits for it, if there is one. The caller holds
// t.mu.
func (t *Transport) toDial(l p2p.Link) (taken bool) {
	d := t.dials[l.Peer()]
	if d == nil {
		return false
	}
	select {
	case d.incoming <- l:
		d.cancel()
		return true
	default: // it has one already, which this one has just replaced
		return false
	}
}

func (t *Transport) describeAnswer(ctx context.Context, e envelope, remote description, hash [32]byte) (*session, []byte, error) {
	config := t.engine
	if e.Wait > 0 {
		config = t.patient
	}
	t.lookAround(ctx, nil, observeWait)
	s, err := t.newSessionBy(ctx, config, &remote)
	if err != nil {
		return nil, nil, err
	}
	s.origin = hash
	out := envelope{
		Kind: answer, To: p2p.IDOf(e.From), Network: e.Network, Issued: t.number(0), SDP: s.local.sdp(), Offer: hash,
	}
	if e.Invite != [16]byte{} {
		out.Relays = t.passesFor(ctx, p2p.IDOf(e.From))
	}
	if e.Wait > 0 {
		out.Name = t.o.Name
	}
	msg, err := seal(t.o.Local.Identity, out)
	return s, msg, err
}

// complete makes an answered session a link, or nil.
func (t *Transport) complete(ctx context.Context, s *session, e envelope) p2p.Link {
	from := p2p.IDOf(e.From)
	l, err := t.authenticate(ctx, s, link.Options{Network: e.Network, Expect: from, Invite: e.Invite})
	if err != nil {
		t.log.Info("handshake failed", "peer", from, "error", err)
		if e.Invite == [16]byte{} {
			t.failed(from, s, err)
		}
		return nil
	}
	return l
}

// authenticate waits for the connection and makes a link of it. It closes the
// session if it fails.
func (t *Transport) authenticate(ctx context.Context, s *session, o link.Options) (p2p.Link, error) {
	c, err := s.connect(ctx)
	if err != nil {
		s.close(err)
		return nil, err
	}
	o.Identity, o.Handler, o.Limits, o.Logger = t.o.Local.Identity, t.o.Local.Handler, t.o.Local.Limits, t.o.Local.Logger
	if o.Network == t.o.Local.Network() {
		o.Proof = t.o.Local.ShowsTo(o.Invite, link.MaxProof)
	}
	l, err := link.New(ctx, c, o)
	if err != nil {
		s.close(err)
		return nil, fmt.Errorf("rtc: %w", err)
	}
	s.trace.add(p2p.Step{Kind: p2p.StepLinked})
	_, remote := s.peer.pair()
	t.book.worked(l.Peer(), remote, time.Now())
	t.adopt(l.Peer(), s)
	return l, nil
}

// deliver hands a link to Accept.
func (t *Transport) deliver(l p2p.Link) {
	select {
	case t.arrived <- l:
	case <-l.Done():
	case <-t.ctx.Done():
	}
}

// number returns the Issued of this node's next envelope, above least. What one
// peer says about least must not move the numbers that others see.
func (t *Transport) number(least int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.issued = max(t.issued, time.Now().UnixNano()-1) + 1
	if least >= t.issued && least < math.MaxInt64 {
		return least + 1
	}
	return t.issued
}

// reply is what an offer got, for those who bring the same offer again.
type reply struct {
	done chan struct{} // closed when the rest is set
	msg  []byte
	err  error
}

// replies are the last replies by hash of the offer. The zero value is ready. It
// need not hold all: an offer whose reply is forgotten is refused as stale.
type replies struct {
	all   map[[32]byte]*reply
	order []replied
}

type replied struct {
	hash [32]byte
	at   time.Time
}

const (
	maxReplies = 512
	replyLife  = 30 * time.Second
)

// enter finds the reply to an offer; first is true for the one who has to fill it.
func (r *replies) enter(hash [32]byte, now time.Time) (entry *reply, first bool) {
	for len(r.order) > 0 && (len(r.order) >= maxReplies || now.Sub(r.order[0].at) > replyLife) {
		delete(r.all, r.order[0].hash)
		r.order = r.order[1:]
	}
	if old := r.all[hash]; old != nil {
		return old, false
	}
	if r.all == nil {
		r.all = map[[32]byte]*reply{}
	}
	entry = &reply{done: make(chan struct{})}
	r.all[hash] = entry
	r.order = append(r.order, replied{hash, now})
	return entry, true
}

// floors are the largest numbers taken from each peer. The zero value is ready.
type floors struct {
	last map[p2p.ID]int64
}

// maxFloors is above the size of any network whose members know each other.
const maxFloors = 16384

func (f *floors) get(from p2p.ID) int64 { return f.last[from] }

func (f *floors) set(from p2p.ID, issued int64) {
	if f.last == nil {
		f.last = map[p2p.ID]int64{}
	}
	if _, known := f.last[from]; !known && len(f.last) >= maxFloors {
		for id := range f.last {
			delete(f.last, id)
			break
		}
	}
	f.last[from] = issued
}
