package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	queuedOut  = 512              // datagrams that wait to be sent; more are dropped
	checkEvery = 45 * time.Second // that the server still knows this client
)

// ClientOptions configure a Client.
type ClientOptions struct {
	Server         netip.AddrPort
	User, Password string
	// Conn sends to the server. What the server sends goes to Client.Handle.
	Conn net.PacketConn
	// Receive takes what peers send. The bytes are valid during the call.
	Receive func(b []byte, from netip.AddrPort)
	// Loggers takes what pion has to say. It is needed.
	Loggers logging.LoggerFactory
}

// Client is an allocation of this node at a relay.
type Client struct {
	o    ClientOptions
	turn *turn.Client
	out  chan outgoing
	done chan struct{}
	end  sync.Once
	work sync.WaitGroup

	mu      sync.Mutex // guards all that follows
	relayed net.PacketConn
	addr    netip.AddrPort
	err     error
}

type outgoing struct {
	b  []byte
	to netip.AddrPort
}

// NewClient returns a client that has no allocation yet.
func NewClient(o ClientOptions) (*Client, error) {
	c := &Client{o: o, out: make(chan outgoing, queuedOut), done: make(chan struct{})}
	var err error
	c.turn, err = turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: o.Server.String(), Username: o.User, Password: o.Password, Conn: o.Conn,
		LoggerFactory: o.Loggers, RequestedAddressFamily: turn.RequestedAddressFamilyIPv4,
	})
	if err != nil {
		return nil, fmt.Errorf("relay: client of %s: %w", o.Server, err)
	}
	return c, nil
}

// Allocate asks the server for a relayed address and keeps it until Close.
func (c *Client) Allocate(ctx context.Context) (netip.AddrPort, error) {
	stop := context.AfterFunc(ctx, c.turn.Close)
	defer stop()
	relayed, err := c.turn.Allocate()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return netip.AddrPort{}, fmt.Errorf("relay: allocate at %s: %w", c.o.Server, err)
	}
	addr := relayed.LocalAddr().(*net.UDPAddr).AddrPort()
	c.mu.Lock()
	c.relayed, c.addr = relayed, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	c.mu.Unlock()
	c.work.Go(c.read)
	c.work.Go(c.write)
	return c.addr, nil
}

// Handle takes what came from the server, and reports whether it was TURN.
func (c *Client) Handle(b []byte) bool {
	mine, _ := c.turn.HandleInbound(b, net.UDPAddrFromAddrPort(c.o.Server))
	return mine
}

// Send sends b to a relayed address of the same relay. It never waits: what
// cannot be sent at once is queued, and what does not fit the queue, or a packet,
// is lost, as datagrams are.
func (c *Client) Send(b []byte, to netip.AddrPort) error {
	if len(b) > maxDatagram {
		return nil // lost, as where the path of a network is too narrow
	}
	select {
	case <-c.done:
		return fmt.Errorf("relay: send: %w", p2p.ErrClosed)
	case c.out <- outgoing{append([]byte(nil), b...), to}:
	default:
	}
	return nil
}

// Done is closed when the client has ended: Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the client has ended.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close gives the allocation back. It does not wait for the server.
func (c *Client) Close() error {
	c.finish(fmt.Errorf("relay: closed here: %w", p2p.ErrClosed))
	c.work.Wait()
	return nil
}

func (c *Client) finish(why error) {
	c.end.Do(func() {
		c.mu.Lock()
		c.err = why
		relayed := c.relayed
		c.mu.Unlock()
		close(c.done)
		if relayed != nil {
			_ = relayed.Close() // says so to the server, which may be gone
		}
		c.turn.Close()
	})
}

func (c *Client) read() {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.relayed.ReadFrom(buf)
		if err != nil {
			c.finish(fmt.Errorf("relay: %s: %w", c.o.Server, err))
			return
		}
		if a, ok := from.(*net.UDPAddr); ok {
			at := a.AddrPort()
			c.o.Receive(buf[:n], netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
		}
	}
}

// write sends what is queued. From time to time it looks whether the server still is
// there, which may have been restarted and know nothing of this client. What it asks
// for is that the relay's other clients may send here (RFC 8656, section 9).
func (c *Client) write() {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	if !c.permitAll() {
		return
	}
	for {
		select {
		case <-c.done:
			return
		case o := <-c.out:
			_, _ = c.relayed.WriteTo(o.b, net.UDPAddrFromAddrPort(o.to))
		case <-tick.C:
			if !c.permitAll() {
				return
			}
		}
	}
}

// permitAll lets all clients of the same relay send here. A relay that is another
// program has no such clients.
func (c *Client) permitAll() (ok bool) {
	if c.addr.Addr() != Switch {
		return true
	}
	if err := c.turn.CreatePermission(&net.UDPAddr{IP: Switch.AsSlice(), Port: 9}); err != nil {
		go c.finish(fmt.Errorf("relay: %s does not answer: %w", c.o.Server, err))
		return false
	}
	return true
}
