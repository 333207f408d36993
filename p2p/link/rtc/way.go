package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	stagger      = 50 * time.Millisecond // between the starts of two ways
	maxWays      = 32                    // of one dial
	maxCallsOpen = 3                     // of one dial at once
	// askAgain is how long an address that an invitation names is waited for before it is asked over another
	// connection too, maxAsks times in all. Where much is lost, a connection whose first packets were comes too
	// late: TCP sends them again after 1, 3 and 7 seconds (RFC 6298, 2.1 and 5.5). Other dials are repeated, and
	// the addresses in contacts are what anybody says: those are asked once.
	askAgain = 2 * time.Second
	maxAsks  = 3
)

// way carries a sealed offer to the peer and brings the reply back.
type way struct {
	name string
	via  p2p.ID         // whose link or WebSocket it is
	addr netip.AddrPort // of the WebSocket
	send func(ctx context.Context, msg []byte) ([]byte, error)
	// end hears what came of it, unless it was cancelled: nil for the peer's reply.
	// It may be nil.
	end func(error)
}

// ways lists what can be tried to reach to, the likeliest first: members with
// links to it, as it says itself, its own addresses, all other linked members,
// the addresses of members that an invitation names, and the rendezvous. left are
// the addresses that are left alone for now; with once, none are (see book.choose).
func (t *Transport) ways(to p2p.Contact, relays []p2p.Contact, once bool) (out []way, left attempts) {
	calls := make(chan struct{}, maxCallsOpen)
	own, now := t.own(), time.Now()
	peer := to.ID()
	var linked []p2p.ID
	if t.o.Linked != nil && t.o.Caller != nil {
		linked = slices.DeleteFunc(slices.Clone(t.o.Linked()), func(id p2p.ID) bool { return id == peer })
	}
	for _, id := range linked {
		if slices.Contains(to.Relays, id) {
			out = append(out, t.viaLink(id, calls))
		}
	}
	addrs, left := t.book.choose(peer, to.Addrs, own, once, now)
	for _, a := range addrs {
		out = append(out, t.viaSocket("ws "+a.String(), peer, a, once))
	}
	for _, id := range linked {
		if !slices.Contains(to.Relays, id) {
			out = append(out, t.viaLink(id, calls))
		}
	}
	for _, r := range relays {
		addrs, later := t.book.choose(r.ID(), r.Addrs, own, once, now)
		left = append(left, later...)
		for _, a := range addrs {
			out = append(out, t.viaSocket(fmt.Sprintf("ws %s of %s", a, r.ID().Short()), r.ID(), a, once))
		}
	}
	out = out[:min(len(out), maxWays)]
	for _, host := range t.o.Rendezvous {
		out = append(out, t.viaRendezvous(host))
	}
	return out, left
}

func (t *Transport) viaLink(id p2p.ID, calls chan struct{}) way {
	return way{name: "via " + id.Short(), via: id, send: func(ctx context.Context, msg []byte) ([]byte, error) {
		select {
		case calls <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-calls }()
		ctx, cancel := context.WithTimeout(ctx, signalTimeout)
		defer cancel()
		return t.o.Caller.Call(ctx, id, signalProto, msg)
	}}
}

// viaSocket is the WebSocket of the node whose address addr is.
func (t *Transport) viaSocket(name string, node p2p.ID, addr netip.AddrPort, once bool) way {
	send := func(ctx context.Context, msg []byte) ([]byte, error) {
		if !once && !t.book.begin(node, addr, time.Now()) {
			return nil, errors.New("left alone: too many addresses of this peer did not answer")
		}
		ctx, cancel := context.WithTimeout(ctx, signalTimeout)
		defer cancel()
		if once {
			return askSockets(ctx, addr.String(), msg)
		}
		return askSocket(ctx, addr.String(), msg)
	}
	return way{name: name, via: node, addr: addr, send: send, end: func(err error) { t.book.end(node, addr, err, time.Now()) }}
}

// askSockets does one request over a WebSocket at "host:port": over another one besides as long as nothing has come of
// those before. The same offer gets the same reply.
func askSockets(ctx context.Context, host string, msg []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		reply []byte
		err   error
	}
	results := make(chan result, maxAsks)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	again := time.NewTimer(0)
	defer again.Stop()
	for asks, running := 0, 0; ; {
		select {
		case <-again.C:
			asks, running = asks+1, running+1
			asking.Go(func() {
				reply, err := askSocket(ctx, host, msg)
				results <- result{reply, err}
			})
			if asks < maxAsks {
				again.Reset(askAgain)
			}
		case r := <-results:
			running--
			if r.err == nil || !isLoss(r.err) || ctx.Err() != nil || running == 0 && asks == maxAsks {
				return r.reply, r.err
			}
		}
	}
}

// askSocket does one request over the WebSocket at "host:port".
func askSocket(ctx context.Context, host string, msg []byte) ([]byte, error) {
	c, err := dialSocket(ctx, host, signalPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	c.SetReadLimit(maxEnvelope)
	if err := c.WriteMessage(websocket.BinaryMessage, msg); err != nil {
		return nil, err
	}
	return readReply(c)
}

// attempts is what became of the ways that were tried.
type attempts []string

func (a attempts) String() string {
	if len(a) == 0 {
		return "no address and no member with a link to it is known"
	}
	return strings.Join(a, "; ")
}

// race sends msg over the ways side by side, each a little later than the one
// before or at once when one has failed, until check takes a reply. The others are
// then cancelled. The error of a race that nobody won names left too.
func race(ctx context.Context, ways []way, left attempts, msg []byte, check func(reply []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		way   int
		reply []byte
		err   error
	}
	results := make(chan result, len(ways))
	next := make(chan struct{}, 1)
	next <- struct{}{}
	tick := time.NewTicker(stagger)
	defer tick.Stop()
	start := func(i int) {
		go func() {
			reply, err := ways[i].send(ctx, msg)
			results <- result{i, reply, err}
		}()
	}
	var failed attempts
	for started := 0; len(failed) < len(ways); {
		var more <-chan struct{}
		var later <-chan time.Time
		if started < len(ways) {
			more, later = next, tick.C
		}
		select {
		case <-more:
			start(started)
			started++
		case <-later:
			start(started)
			started++
		case r := <-results:
			if r.err == nil {
				r.err = check(r.reply)
			}
			if end := ways[r.way].end; end != nil {
				end(r.err)
			}
			if r.err == nil {
				return nil
			}
			failed = append(failed, ways[r.way].name+": "+brief(r.err))
			select {
			case next <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			for i := range ways[:started] {
				if !slices.ContainsFunc(failed, func(f string) bool { return strings.HasPrefix(f, ways[i].name+": ") }) {
					failed = append(failed, ways[i].name+": no reply")
				}
			}
			return fmt.Errorf("%s: %w", append(failed, left...), context.Cause(ctx))
		}
	}
	return errors.New(append(failed, left...).String())
}

// brief is the part of an error that says something to people.
func brief(err error) string {
	var errno syscall.Errno
	var call *p2p.CallError
	switch {
	case errors.As(err, &call):
		return call.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case isTimeout(err):
		return "no reply in time"
	}
	return err.Error()
}

// isLoss reports whether packets may have been lost, here or on the way back, where the other end gives up, too.
func isLoss(err error) bool {
	return isTimeout(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
