package link

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is one end of a carrier made of Go channels, through which a test plays
// the peer byte by byte.
type pipe struct {
	in, out       [Channels]chan []byte
	local, remote [32]byte
	closed, other chan struct{}
	once          sync.Once
}

func pipes(depth int) (a, b *pipe) {
	a = &pipe{local: [32]byte{1}, remote: [32]byte{2}, closed: make(chan struct{})}
	b = &pipe{local: [32]byte{2}, remote: [32]byte{1}, closed: make(chan struct{})}
	for ch := range Channels {
		a.in[ch], b.in[ch] = make(chan []byte, depth), make(chan []byte, depth)
		a.out[ch], b.out[ch] = b.in[ch], a.in[ch]
	}
	a.other, b.other = b.closed, a.closed
	return a, b
}

func (p *pipe) Send(ch int, msg []byte) error {
	if limit := map[bool]int{true: MaxPacket, false: MaxFrame}[ch < firstLane]; len(msg) > limit {
		return errors.New("message longer than the carrier takes")
	}
	return p.raw(ch, msg)
}

func (p *pipe) raw(ch int, msg []byte) error {
	select {
	case p.out[ch] <- append([]byte(nil), msg...):
		return nil
	case <-p.closed:
		return io.ErrClosedPipe
	case <-p.other:
		return io.ErrClosedPipe
	}
}

func (p *pipe) Receive(ch int, buf []byte) (int, error) {
	select { // what was sent before the end comes before the end
	case msg := <-p.in[ch]:
		return fit(buf, msg)
	default:
	}
	select {
	case msg := <-p.in[ch]:
		return fit(buf, msg)
	case <-p.closed:
	case <-p.other:
	}
	return 0, io.EOF
}

func fit(buf, msg []byte) (int, error) {
	if len(msg) > len(buf) {
		return 0, io.ErrShortBuffer
	}
	return copy(buf, msg), nil
}

func (p *pipe) Fingerprints() (local, remote [32]byte) { return p.local, p.remote }
func (p *pipe) Path() p2p.Path                         { return p2p.Path{Kind: p2p.PathMemory, Why: "a test"} }
func (p *pipe) Stats() p2p.Stats                       { return p2p.Stats{} }

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func identity(t testing.TB) p2p.Identity {
	t.Helper()
	i, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var network = p2p.ID{42}

// both runs New at both ends.
func both(ctx context.Context, a, b Carrier, oa, ob Options) (la, lb *Link, ea, eb error) {
	var done sync.WaitGroup
	done.Go(func() { la, ea = New(ctx, a, oa) })
	done.Go(func() { lb, eb = New(ctx, b, ob) })
	done.Wait()
	return la, lb, ea, eb
}

// linked returns two links, closed at the end of the test.
func linked(t testing.TB, h func(string) p2p.Handler) (la, lb *Link) {
	t.Helper()
	a, b := pipes(64)
	la, lb, ea, eb := both(t.Context(), a, b,
		Options{Identity: identity(t), Network: network, Initiator: true, Handler: h},
		Options{Identity: identity(t), Network: network, Handler: h})
	if ea != nil || eb != nil {
		t.Fatal(ea, eb)
	}
	t.Cleanup(func() {
		_ = la.Close()
		_ = lb.Close()
	})
	return la, lb
}

// enemy is an authenticated peer that sends what it likes. It dialled, so its
// numbers are even.
type enemy struct {
	*pipe
	t      testing.TB
	victim *Link
	rest   *[Channels][]byte // frames of received messages that expect has not looked at
}

func besiege(t testing.TB, depth int, h func(string) p2p.Handler) enemy {
	t.Helper()
	a, b := pipes(depth)
	var l *Link
	var err error
	var done sync.WaitGroup
	done.Go(func() { l, err = New(t.Context(), b, Options{Identity: identity(t), Network: network, Handler: h}) })
	_, ours := authenticate(t.Context(), a, Options{Identity: identity(t), Network: network, Initiator: true})
	done.Wait()
	if err != nil || ours != nil {
		t.Fatal(err, ours)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = l.Close()
	})
	return enemy{pipe: a, t: t, victim: l, rest: new([Channels][]byte)}
}

// send sends frames as one message on a channel.
func (e enemy) send(ch int, frames ...wire.Frame) {
	e.t.Helper()
	var msg []byte
	for _, f := range frames {
		msg = wire.AppendFrame(msg, f)
	}
	if err := e.raw(ch, msg); err != nil {
		e.t.Fatalf("sending %v: %v", frames, err)
	}
}

// expect receives on a channel until pick takes a frame.
func (e enemy) expect(ch int, pick func(wire.Frame) bool) wire.Frame {
	e.t.Helper()
	for {
		for len(e.rest[ch]) > 0 {
			f, rest, err := wire.ParseFrame(e.rest[ch])
			if err != nil {
				e.t.Fatal(err)
			}
			e.rest[ch] = rest
			if pick(f) {
				return f
			}
		}
		buf := make([]byte, MaxFrame)
		n, err := e.Receive(ch, buf)
		if err != nil {
			e.t.Fatalf("waiting for a frame on channel %d: %v (link: %v)", ch, err, e.victim.Err())
		}
		e.rest[ch] = buf[:n]
	}
}

// alive checks that the link still answers.
func (e enemy) alive() {
	e.t.Helper()
	e.send(control, wire.Frame{Type: wire.Ping, Code: 77})
	e.expect(control, func(f wire.Frame) bool { return f.Type == wire.Pong && f.Code == 77 })
}

// id is the nth even number of lane ch.
func id(ch, nth int) uint64 {
	for i := uint64(2); ; i += 2 {
		if laneOf(i) == ch {
			if nth--; nth < 0 {
				return i
			}
		}
	}
}
