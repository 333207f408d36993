package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
)

const (
	// finishWait is how long a call waits for the link of a handshake by hand. It may be
	// repeated.
	finishWait = 30 * time.Second
	// keepEnded is for how long, and maxEnded how many handshakes that are over are
	// remembered, for those who ask late what came of one.
	keepEnded = 10 * time.Minute
	maxEnded  = 16
)

// Errors of handshakes that people carry, besides those of a join.
var (
	ErrHandshakeText      = rtc.ErrHandText      // not a whole text
	ErrHandshakeKind      = rtc.ErrHandKind      // an offer instead of an answer, or the other way round
	ErrHandshakeRecipient = rtc.ErrHandRecipient // for another node
	ErrHandshakeNetwork   = rtc.ErrHandNetwork   // of another network
	ErrHandshakeUsed      = rtc.ErrHandUsed      // the offer has served already
	ErrHandshakeOther     = rtc.ErrHandOther     // the answer to another offer
	ErrHandshakeGlare     = rtc.ErrHandGlare     // both have made an offer; this node's counts
	ErrHandshakesFull     = rtc.ErrHandFull      // too many at once
	ErrHandshakeExpired   = rtc.ErrHandExpired
	ErrHandshakeCancelled = rtc.ErrHandCancelled
	// ErrHandshakeRefused: the offer is from nobody whom this node lets in.
	ErrHandshakeRefused = errors.New("neither a member nor the holder of a valid invitation of this computer")
	// ErrHandshakeUnknown: there is no such handshake, or not any more.
	ErrHandshakeUnknown = errors.New("no such handshake any more")
	// ErrHandshakeWaits: the answer was taken, and no packets have come through yet.
	ErrHandshakeWaits = errors.New("no packets have come through yet")
	// ErrLinked: the two are linked already.
	ErrLinked = errors.New("linked already")
)

// Handshake is one whose offer and answer people carry between the two nodes.
type Handshake struct {
	ID      string
	Answer  bool // the offer was brought here, and Text is the answer
	Peer    p2p.ID
	Name    string // of the peer, as the roster has it, or as it says itself
	Text    string // to be carried to the peer
	Expires time.Time
}

// ByHand is what a handshake has led to.
type ByHand struct {
	Peer   p2p.ID
	Name   string
	Path   p2p.Path
	Joined *Joined // nil unless it was made with an invitation
}

// byHand is what a transport can do for people who carry texts.
type byHand interface {
	OfferByHand(context.Context, p2p.Contact, *p2p.Pass, []p2p.Contact) (*rtc.Handshake, error)
	AnswerByHand(ctx context.Context, text string) (*rtc.Handshake, error)
}

// handshakes are those of a node. The zero value is ready.
type handshakes struct {
	mu  sync.Mutex
	all []*handshake // the oldest is first
}

type handshake struct {
	h    *rtc.Handshake
	inv  *member.Invitation // nil between members
	done chan struct{}      // closed when the rest is set
	out  ByHand
	err  error
	over time.Time
}

// find returns the handshake id, if there is or was one.
func (hs *handshakes) find(id string) *handshake {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	i := slices.IndexFunc(hs.all, func(r *handshake) bool { return r.h.ID == id })
	if i < 0 {
		return nil
	}
	return hs.all[i]
}

// nameOf is what somebody was called in a handshake, if there was one.
func (hs *handshakes) nameOf(id p2p.ID) string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, r := range hs.all {
		if r.h.Peer == id {
			return r.h.Name
		}
	}
	return ""
}

// keep takes r in, once, and forgets what was over long ago.
func (hs *handshakes) keep(r *handshake, now time.Time) (first bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	ended := 0
	for _, old := range hs.all {
		if old.h == r.h {
			return false
		}
		if old.ended() {
			ended++
		}
	}
	hs.all = slices.DeleteFunc(hs.all, func(old *handshake) bool {
		drop := old.ended() && (ended > maxEnded || now.Sub(old.over) > keepEnded)
		if drop {
			ended--
		}
		return drop
	})
	hs.all = append(hs.all, r)
	return true
}

func (r *handshake) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// OfferByHand makes an offer to a member, which a person carries there. Errors:
// member.ErrUnknownMember, ErrLinked, ErrHandshakesFull.
func (n *Node) OfferByHand(ctx context.Context, to p2p.ID) (Handshake, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Handshake{}, err
	}
	defer leave()
	fail := func(err error) (Handshake, error) {
		return Handshake{}, fmt.Errorf("node: offer to %s: %w", n.nameOf(to), err)
	}
	c, known := n.members.Contact(to)
	switch {
	case to == n.id:
		return fail(fmt.Errorf("that is this computer itself: %w", member.ErrUnknownMember))
	case !known:
		return fail(member.ErrUnknownMember)
	case n.Connected(to):
		return fail(ErrLinked)
	}
	c.Name = n.nameOf(to)
	h, err := n.offer(ctx, c, nil)
	if err != nil {
		return fail(err)
	}
	return h, nil
}

// OfferByInvitation makes an offer to the inviter, which a person carries there. Once
// the link is up this node joins, see Join. Errors: as of OfferByHand and Join.
func (n *Node) OfferByInvitation(ctx context.Context, link string) (Handshake, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Handshake{}, err
	}
	defer leave()
	inv, err := member.ParseInvitation(link)
	if err != nil {
		return Handshake{}, err
	}
	inviter := inv.Inviter.ID()
	switch err := n.members.MayJoin(inv); {
	case inviter == n.id:
		return Handshake{}, fmt.Errorf("node: offer: this computer has made the invitation itself: %w", ErrHandshakeRecipient)
	case errors.Is(err, member.ErrAlready) && n.Connected(inviter):
		return Handshake{}, fmt.Errorf("node: offer to %s: %w", n.nameOf(inviter), ErrLinked)
	case err != nil && !errors.Is(err, member.ErrAlready):
		return Handshake{}, fmt.Errorf("node: offer: %w", err)
	}
	h, err := n.offer(ctx, inv.Inviter, &inv)
	if err != nil {
		return Handshake{}, fmt.Errorf("node: offer to %s: %w", inv.Inviter.Name, err)
	}
	return h, nil
}

// offer makes an offer, and waits aside for what comes of it.
func (n *Node) offer(ctx context.Context, to p2p.Contact, inv *member.Invitation) (Handshake, error) {
	t, ok := n.transport.(byHand)
	if !ok {
		return Handshake{}, fmt.Errorf("this transport needs nobody to carry anything: %w", p2p.ErrUnreachable)
	}
	var pass *p2p.Pass
	var relays []p2p.Contact
	if inv != nil {
		p := inv.Pass()
		pass, relays = &p, inv.Relays
	}
	h, err := t.OfferByHand(ctx, to, pass, relays)
	if err != nil {
		return Handshake{}, err
	}
	r := &handshake{h: h, inv: inv, done: make(chan struct{})}
	n.byHand.keep(r, time.Now())
	n.follow(r)
	return n.describe(r), nil
}

// follow waits aside for the end of a handshake. The caller has been let in by enter.
func (n *Node) follow(r *handshake) {
	stop := context.AfterFunc(n.ctx, r.h.Cancel)
	n.running.Go(func() {
		defer stop()
		l, err := r.h.Result()
		if r.h.Answering {
			l = nil // it comes out of Accept
		}
		out, err := n.concluded(r, l, err)
		n.byHand.mu.Lock()
		r.out, r.err, r.over = out, err, time.Now()
		n.byHand.mu.Unlock()
		close(r.done)
	})
}

// concluded makes of a link by hand one of a member. Without a link it says why there
// is none; that the two are linked some other way is as good.
func (n *Node) concluded(r *handshake, l p2p.Link, err error) (ByHand, error) {
	out := ByHand{Peer: r.h.Peer, Name: n.peerName(r.h)}
	if errors.Is(err, rtc.ErrHandElsewhere) {
		other := n.linkSoon(r.h.Peer)
		if other == nil {
			return out, fmt.Errorf("%w: %w", ErrLinked, err)
		}
		out.Path = other.Path()
		return out, nil
	}
	if err != nil || l == nil {
		return out, err
	}
	out.Path = l.Path()
	if r.inv != nil {
		joined, err := n.joinOver(l, *r.inv)
		if err != nil {
			n.links.close(l)
			return out, err
		}
		out.Joined = &joined
	}
	n.links.add(n.ctx, l)
	n.links.kick()
	return out, nil
}

// linkSoon waits a moment for a link that the transport has, or returns nil.
func (n *Node) linkSoon(id p2p.ID) p2p.Link {
	for wait := 10 * time.Millisecond; wait < time.Second; wait *= 2 {
		if l, err := n.links.to(id); err == nil {
			return l
		}
		select {
		case <-time.After(wait):
		case <-n.ctx.Done():
		}
	}
	return nil
}

// joinOver uses an invitation over a link to the inviter.
func (n *Node) joinOver(l p2p.Link, inv member.Invitation) (Joined, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	err := n.members.MayJoin(inv)
	already := errors.Is(err, member.ErrAlready)
	if err != nil && !already {
		return Joined{}, fmt.Errorf("node: join: %w", err)
	}
	ctx, cancel := context.WithTimeout(n.ctx, joinTimeout)
	defer cancel()
	return n.joinVeiled(ctx, inv, already, func() (Joined, error) {
		j, err := n.members.Join(ctx, l, inv)
		if err != nil {
			return Joined{}, err
		}
		out := Joined{Network: j.Network, Members: j.Members}
		if j.Already {
			return out, nil
		}
		out.Words = j.Words[:]
		if err := n.forgetTable(n.ctx); err != nil {
			n.log.Error("joined, but", "error", err)
		}
		return out, nil
	})
}

// AnswerByHand answers an offer that a person has brought. The answer is to go back the
// same way; the link then comes by itself. The same offer gets the same answer. Errors:
// those of handshakes.
func (n *Node) AnswerByHand(ctx context.Context, text string) (Handshake, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return Handshake{}, err
	}
	defer leave()
	t, ok := n.transport.(byHand)
	if !ok {
		return Handshake{}, fmt.Errorf("node: answer: this transport needs nobody to carry anything: %w", p2p.ErrUnreachable)
	}
	h, err := t.AnswerByHand(ctx, text)
	if err != nil {
		return Handshake{}, n.unread(err, text)
	}
	r := &handshake{h: h, done: make(chan struct{})}
	if n.byHand.keep(r, time.Now()) {
		n.follow(r)
	}
	return n.describe(r), nil
}

// FinishByHand takes the answer to the offer of a handshake and waits for the link, for
// half a minute at most. The same answer may be given again while the handshake lives.
// Errors: those of handshakes, ErrHandshakeWaits with what was tried, those of Join.
func (n *Node) FinishByHand(ctx context.Context, id, text string) (ByHand, error) {
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return ByHand{}, err
	}
	defer leave()
	r := n.byHand.find(id)
	if r == nil {
		return ByHand{}, fmt.Errorf("node: handshake %.20q: %w", id, ErrHandshakeUnknown)
	}
	if err := r.h.Finish(text); err != nil {
		return ByHand{}, n.unread(err, text)
	}
	wait := time.NewTimer(finishWait)
	defer wait.Stop()
	select {
	case <-r.done:
		if r.err != nil {
			return ByHand{}, fmt.Errorf("node: %s by hand: %w", n.peerName(r.h), r.err)
		}
		return r.out, nil
	case <-wait.C:
		return ByHand{}, fmt.Errorf("node: %s by hand: tried %s: %w", n.peerName(r.h), triedText(r.h.Tried()), ErrHandshakeWaits)
	case <-ctx.Done():
		return ByHand{}, fmt.Errorf("node: %s by hand: %w", n.peerName(r.h), ctx.Err())
	}
}

// triedText lists addresses for people.
func triedText(all []p2p.Candidate) string {
	var out string
	for _, c := range all {
		out += fmt.Sprintf("%s %s over %s, ", c.Kind, c.Remote, c.Proto)
	}
	return cmp.Or(out, "no address, ")[:max(len(out), len("no address, "))-2]
}

// Handshakes lists those that wait: for an answer, for its use, or for packets.
func (n *Node) Handshakes() []Handshake {
	n.byHand.mu.Lock()
	var waiting []*handshake
	for _, r := range n.byHand.all {
		if !r.ended() {
			waiting = append(waiting, r)
		}
	}
	n.byHand.mu.Unlock()
	out := make([]Handshake, len(waiting))
	for i, r := range waiting {
		out[i] = n.describe(r)
	}
	return out
}

// CancelHandshake gives a handshake up. A link that it has given stays. The error is
// ErrHandshakeUnknown.
func (n *Node) CancelHandshake(id string) error {
	r := n.byHand.find(id)
	if r == nil {
		return fmt.Errorf("node: handshake %.20q: %w", id, ErrHandshakeUnknown)
	}
	r.h.Cancel()
	<-r.done
	return nil
}

func (n *Node) describe(r *handshake) Handshake {
	return Handshake{
		ID: r.h.ID, Answer: r.h.Answering, Peer: r.h.Peer, Name: n.peerName(r.h), Text: r.h.Text, Expires: r.h.Expires,
	}
}

// peerName prefers what the roster says to what a peer says of itself.
func (n *Node) peerName(h *rtc.Handshake) string { return n.called(h.Peer, h.Name) }

func (n *Node) called(id p2p.ID, self string) string {
	if m, ok := n.members.Member(id); ok {
		return m.Name
	}
	return cmp.Or(member.CleanName(self), id.Short())
}

// worded is an error in other words.
type worded struct {
	text string
	err  error
}

func (e worded) Error() string { return e.text }
func (e worded) Unwrap() error { return e.err }

// unread says of a text why it is of no use, with names.
func (n *Node) unread(err error, text string) error {
	said, bad := rtc.ReadHandText(text)
	if bad != nil && errors.Is(err, ErrHandshakeText) {
		return worded{"this is not a whole offer or answer of a handshake", err}
	}
	what, other := "an offer", "an answer"
	if said.Answer {
		what, other = other, what
	}
	from, to := n.called(said.From, said.Name), n.called(said.To, n.byHand.nameOf(said.To))
	switch {
	case bad != nil:
	case errors.Is(err, ErrHandshakeKind):
		return worded{fmt.Sprintf("this is %s, from %s to %s, and %s is wanted here", what, from, to, other), err}
	case errors.Is(err, ErrHandshakeRecipient):
		return worded{fmt.Sprintf("this is from %s to %s, and this computer is %s", from, to, n.name), err}
	case errors.Is(err, ErrHandshakeNetwork):
		return worded{fmt.Sprintf("this is from %s, which is in another network", from), err}
	case errors.Is(err, ErrHandshakeUsed):
		return worded{fmt.Sprintf("this offer of %s, or a newer one, was used already", from), err}
	case errors.Is(err, ErrHandshakeOther):
		return worded{fmt.Sprintf("this is an answer from %s, but not to this offer, or not the first", from), err}
	case errors.Is(err, p2p.ErrRefused):
		return worded{fmt.Sprintf("this is from %s, %s", from, ErrHandshakeRefused), errors.Join(ErrHandshakeRefused, err)}
	case errors.Is(err, ErrHandshakeGlare):
		return worded{fmt.Sprintf("an offer of this computer to %s waits for its answer already, and of the two that one counts", from), err}
	}
	return fmt.Errorf("node: handshake by hand: %w", err)
}
