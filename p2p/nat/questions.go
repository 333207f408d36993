package nat

import (
	"context"
	"net/netip"
	"time"
)

// Questions are those that a socket has sent which somebody else reads. The zero
// value is ready.
type Questions struct{ pending pending }

// Ask is Ask over that socket: send sends from it.
func (q *Questions) Ask(ctx context.Context, send func([]byte, netip.AddrPort) error, server netip.AddrPort) (mapped netip.AddrPort, rtt time.Duration, err error) {
	return q.pending.ask(ctx, send, unmap(server))
}

// Take takes a STUN message that came to the socket, and reports whether it
// answered a question.
func (q *Questions) Take(b []byte, from netip.AddrPort) bool {
	m, err := parse(b)
	return err == nil && q.pending.take(m, unmap(from))
}
