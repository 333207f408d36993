package sim

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// Transport is one node's connection to a Network. It implements p2p.Transport.
type Transport struct {
	network *Network
	local   Local
	id      p2p.ID
	addr    netip.AddrPort
	log     *slog.Logger

	ctx     context.Context // of handshakes with those who dial
	cancel  context.CancelFunc
	ready   chan struct{}  // capacity 1: arrivals is not empty
	greets  sync.WaitGroup // handshakes with those who dial
	closing sync.Once

	// mu guards all following fields.
	mu       sync.Mutex
	closed   bool
	arrivals []p2p.Link
	links    []*link.Link // that were up when last looked at
}

var _ p2p.Transport = (*Transport)(nil)

func newTransport(n *Network, l Local, addr netip.AddrPort) *Transport {
	t := &Transport{network: n, local: l, id: l.Identity.ID(), addr: addr, log: l.Logger, ready: make(chan struct{}, 1)}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Dial implements p2p.Transport. The contact's addresses do not matter: a node is
// found by its ID. Errors: p2p.ErrRefused when the gate there does not open,
// p2p.ErrUnreachable when the node is unknown, has crashed or is cut off,
// p2p.ErrClosed.
func (t *Transport) Dial(ctx context.Context, to p2p.Contact, pass *p2p.Pass) (p2p.Link, error) {
	l, err := t.dial(ctx, to.ID(), pass)
	if err != nil {
		return nil, fmt.Errorf("sim: dial %s: %w", to.ID().Short(), err)
	}
	return l, nil
}

func (t *Transport) dial(ctx context.Context, to p2p.ID, pass *p2p.Pass) (*link.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if t.ctx.Err() != nil {
		return nil, fmt.Errorf("this node's transport: %w", p2p.ErrClosed)
	}
	if to == t.id {
		return nil, fmt.Errorf("this node itself: %w", p2p.ErrRefused)
	}
	peer := t.network.lookup(t.id, to)
	if peer == nil {
		return nil, p2p.ErrUnreachable
	}
	k := t.knock(to, pass)
	if err := peer.admit(k); err != nil {
		peer.log.Info("knock refused", "from", t.id.Short(), "error", err)
		return nil, p2p.ErrRefused
	}
	w := t.network.connect(t, peer)
	if w == nil || !peer.greet(w.ends[1], k) {
		return nil, p2p.ErrUnreachable
	}
	l, err := link.New(ctx, w.ends[0], t.options(k.Network, to, true))
	switch {
	case err == nil && t.keep(l):
		return l, nil
	case err == nil:
		_ = l.Close()
		return nil, fmt.Errorf("this node's transport: %w", p2p.ErrClosed)
	case ctx.Err() != nil || errors.Is(err, p2p.ErrRefused):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", p2p.ErrUnreachable, err)
}

// knock is what the node at the other end learns before it decides.
func (t *Transport) knock(to p2p.ID, pass *p2p.Pass) p2p.Knock {
	k := p2p.Knock{From: t.local.Identity.PublicKey(), Network: t.local.Network()}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	k.Message = slices.Concat([]byte("shoal sim knock 1\x00"), t.id[:], to[:], nonce[:])
	if pass == nil {
		k.Proof = t.local.Shows(link.MaxProof)
	} else {
		k.Network, k.Invite = pass.Network, pass.Invite
		mac := hmac.New(sha256.New, pass.Key[:])
		mac.Write(k.Message)
		k.MAC = mac.Sum(nil)
	}
	return k
}

func (t *Transport) admit(k p2p.Knock) error {
	if t.local.Gate != nil {
		return t.local.Gate(k)
	}
	if k.Network != t.local.Network() {
		return errors.New("of another network")
	}
	return nil
}

func (t *Transport) options(network, expect p2p.ID, initiator bool) link.Options {
	var proof []byte
	if network == t.local.Network() {
		proof = t.local.Shows(link.MaxProof)
	}
	return link.Options{
		Proof: proof, Identity: t.local.Identity, Network: network, Initiator: initiator, Expect: expect,
		Handler: t.local.Handler, Limits: t.local.Limits, Logger: t.local.Logger,
	}
}

// greet authenticates somebody who dials, in a goroutine, unless the transport is
// closed.
func (t *Transport) greet(e *end, k p2p.Knock) bool {
	from := p2p.IDOf(k.From)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.greets.Go(func() {
		o := t.options(t.local.Network(), from, false)
		o.Invite, o.Proof = k.Invite, t.local.ShowsTo(k.Invite, link.MaxProof)
		l, err := link.New(t.ctx, e, o)
		if err != nil {
			t.log.Info("greeting failed", "from", from.Short(), "error", err)
			return
		}
		if !t.keep(l) {
			_ = l.Close()
			return
		}
		t.arrive(l)
	})
	return true
}

// keep remembers a link for Close.
func (t *Transport) keep(l *link.Link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.links = slices.DeleteFunc(t.links, func(l *link.Link) bool { return l.Err() != nil })
	if !t.closed {
		t.links = append(t.links, l)
	}
	return !t.closed
}

func (t *Transport) arrive(l *link.Link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrivals = append(t.arrivals, l)
	t.announce()
}

// announce wakes one Accept, which wakes the next while arrivals are left.
func (t *Transport) announce() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// Accept implements p2p.Transport.
func (t *Transport) Accept(ctx context.Context) (p2p.Link, error) {
	for {
		if l := t.arrival(); l != nil {
			return l, nil
		}
		select {
		case <-t.ready:
		case <-t.ctx.Done():
			return nil, fmt.Errorf("sim: accept: %w", p2p.ErrClosed)
		case <-ctx.Done():
			return nil, fmt.Errorf("sim: accept: %w", ctx.Err())
		}
	}
}

func (t *Transport) arrival() p2p.Link {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.arrivals) == 0 {
		return nil
	}
	l := t.arrivals[0]
	t.arrivals = t.arrivals[1:]
	if len(t.arrivals) > 0 {
		t.announce()
	}
	return l
}

// Addrs returns the node's address, which is made up.
func (t *Transport) Addrs() []netip.AddrPort { return []netip.AddrPort{t.addr} }

// Close closes all links of the node and leaves the network.
func (t *Transport) Close() error {
	t.network.remove(t)
	t.shut(func(l *link.Link) { _ = l.Close() })
	t.greets.Wait()
	return nil
}

// crashed closes the transport after its carriers have broken.
func (t *Transport) crashed() { t.shut(func(*link.Link) {}) }

func (t *Transport) shut(end func(*link.Link)) {
	t.closing.Do(func() {
		t.mu.Lock()
		t.closed = true
		links := t.links
		t.links, t.arrivals = nil, nil
		t.mu.Unlock()
		t.cancel()
		var all sync.WaitGroup
		for _, l := range links {
			all.Go(func() { end(l) })
		}
		all.Wait()
	})
}
