package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Limits of what members may ask for.
const (
	queriesEach = 12 // a minute, of one member
	queriesAll  = 60 // a minute, of all together
	sideKept    = 15 * time.Second
)

// helper answers "nat/1": it lends members its eyes and a second port.
type helper struct {
	own    func() []netip.Addr
	listen func(ctx context.Context) (net.PacketConn, error) // another port beside the p2p port
	stun   *Responder

	wg sync.WaitGroup // the reader of side

	mu     sync.Mutex // guards all that follows
	closed bool
	side   *sidePort
	each   map[p2p.ID]*window
	all    window
}

// sidePort is another UDP port, open for a while after it was last used.
type sidePort struct {
	conn  net.PacketConn
	until time.Time // guarded by helper.mu
}

// handle serves one call. send sends from the p2p port.
func (h *helper) handle(ctx context.Context, from p2p.Link, b []byte, send func([]byte, netip.AddrPort) error) ([]byte, error) {
	q, to, err := decodeQuery(b)
	if err != nil {
		return nil, err
	}
	if !h.allow(from.Peer(), time.Now()) {
		return nil, &p2p.CallError{Code: codeLimited, Message: "nat: asked too often"}
	}
	if q.Op == opPort {
		side, err := h.open(ctx)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(reply{Port: side.LocalAddr().(*net.UDPAddr).AddrPort().Port()})
	}
	if err := permit(to, from.Path(), h.own()); err != nil {
		return nil, &p2p.CallError{Code: codeRefused, Message: "nat: probe to " + to.String() + ": " + err.Error()}
	}
	if q.From == SourceOther {
		side, err := h.open(ctx)
		if err != nil {
			return nil, err
		}
		send = func(b []byte, to netip.AddrPort) error {
			_, err := side.WriteTo(b, net.UDPAddrFromAddrPort(to))
			return err
		}
	}
	if err := send(probe(newTxID(), Nonce(q.Nonce)), to); err != nil {
		return nil, &p2p.CallError{Code: codeUnavailable, Message: "nat: probe to " + to.String() + ": it cannot be sent"}
	}
	return wire.Marshal(reply{})
}

// allow counts a call of a member.
func (h *helper) allow(from p2p.ID, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, w := range h.each {
		if w.idle(now) {
			delete(h.each, id) // those that are left have asked in the last minute: at most queriesAll
		}
	}
	w := h.each[from]
	if w == nil {
		w = &window{}
	}
	if !w.room(queriesEach, now) || !h.all.room(queriesAll, now) {
		return false
	}
	if h.each == nil {
		h.each = map[p2p.ID]*window{}
	}
	h.each[from] = w
	w.add(now)
	h.all.add(now)
	return true
}

// open returns the side port, which stays for another while.
func (h *helper) open(ctx context.Context) (net.PacketConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	unavailable := &p2p.CallError{Code: codeUnavailable, Message: "nat: no other port can be opened"}
	if h.closed {
		return nil, unavailable
	}
	if h.side == nil {
		conn, err := h.listen(ctx)
		if err != nil {
			return nil, unavailable
		}
		side := &sidePort{conn: conn}
		h.side = side
		h.wg.Go(func() { h.read(side) })
	}
	h.side.until = time.Now().Add(sideKept)
	if err := h.side.conn.SetReadDeadline(h.side.until); err != nil {
		return nil, unavailable
	}
	return h.side.conn, nil
}

// read answers STUN on a side port until its time is over.
func (h *helper) read(side *sidePort) {
	buf := make([]byte, 2048)
	for failures := 0; failures < maxFailures; {
		n, from, err := side.conn.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || h.over(side, time.Now()) {
				return
			}
			failures++
			continue
		}
		failures = 0
		if addr, ok := from.(*net.UDPAddr); ok {
			if answer := h.stun.Respond(buf[:n], addr.AddrPort(), time.Now()); answer != nil {
				_, _ = side.conn.WriteTo(answer, from) // it may be lost, as any datagram
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(side)
}

// over closes a side port whose time has come.
func (h *helper) over(side *sidePort, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(side.until) {
		return false
	}
	h.drop(side)
	return true
}

// drop closes a side port. The caller holds h.mu.
func (h *helper) drop(side *sidePort) {
	if h.side == side {
		h.side = nil
	}
	_ = side.conn.Close() // nothing waits to be written
}

// close ends the side port for good.
func (h *helper) close() {
	h.mu.Lock()
	h.closed = true
	if h.side != nil {
		h.drop(h.side)
	}
	h.mu.Unlock()
	h.wg.Wait()
}

// window counts what happened within the last minute.
type window struct{ times []time.Time }

func (w *window) prune(now time.Time) {
	for len(w.times) > 0 && now.Sub(w.times[0]) >= time.Minute {
		w.times = w.times[1:]
	}
}

// room reports whether fewer than most happened.
func (w *window) room(most int, now time.Time) bool {
	w.prune(now)
	return len(w.times) < most
}

func (w *window) idle(now time.Time) bool { return w.room(1, now) }

func (w *window) add(now time.Time) { w.times = append(w.times, now) }

// errRefused and errTooOften: a member does not help, for good or for now.
var (
	errRefused  = errors.New("the member refuses")
	errTooOften = errors.New("the member was asked too often")
)

// callPort asks a member to open another port.
func callPort(ctx context.Context, l p2p.Link) (uint16, error) {
	var r reply
	if err := call(ctx, l, query{Op: opPort}, &r); err != nil {
		return 0, err
	}
	if r.Port == 0 {
		return 0, fmt.Errorf("nat: port: %w: it names port 0", errRefused)
	}
	return r.Port, nil
}

// callProbe asks a member to send a probe.
func callProbe(ctx context.Context, l p2p.Link, to netip.AddrPort, n Nonce, from Source) error {
	return call(ctx, l, query{Op: opProbe, To: to.String(), Nonce: n[:], From: from}, &reply{})
}

func call(ctx context.Context, l p2p.Link, q query, into *reply) error {
	b, err := wire.Marshal(q)
	if err != nil {
		return err
	}
	b, err = l.Call(ctx, Protocol, b)
	var refused *p2p.CallError
	switch {
	case errors.As(err, &refused) && refused.Code == codeLimited:
		return fmt.Errorf("nat: %s: %w", q.Op, errTooOften)
	case errors.As(err, &refused):
		return fmt.Errorf("nat: %s: %w: %s", q.Op, errRefused, refused.Message)
	case err != nil:
		return fmt.Errorf("nat: %s: %w", q.Op, err)
	}
	if err := wire.Unmarshal(b, into); err != nil {
		return fmt.Errorf("nat: %s: %w", q.Op, err)
	}
	return nil
}
