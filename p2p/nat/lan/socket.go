package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// port is that of multicast DNS, which all programs of a computer share.
const port = 5353

var (
	group4 = netip.MustParseAddr("224.0.0.251")
	group6 = netip.MustParseAddr("ff02::fb")
)

// conn is a socket of one family.
type conn interface {
	join(index int) error
	leave(index int) error
	send(index int, msg []byte) error
	// read returns the length, the interface or 0, and the sender. A packet that was
	// sent to this computer alone has the length 0: it may come from anywhere.
	read(b []byte) (n, index int, from netip.AddrPort, err error)
	Close() error
}

// socket is one that is read until it is closed or fails.
type socket struct {
	conn
	joined map[int]bool
	failed atomic.Bool
}

func openSocket(ctx context.Context, v4 bool) (*socket, error) {
	network, group := "udp6", group6
	if v4 {
		network, group = "udp4", group4
	}
	// Bound to a group, Go binds to all addresses, and shares the port.
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, netip.AddrPortFrom(group, port).String())
	if err != nil {
		return nil, fmt.Errorf("lan: listen for %s: %w", group, err)
	}
	var c conn
	if v4 {
		c, err = newConn4(pc)
	} else {
		c, err = newConn6(pc)
	}
	if err != nil {
		return nil, fmt.Errorf("lan: listen for %s: %w", group, errors.Join(err, pc.Close()))
	}
	return &socket{conn: c, joined: map[int]bool{}}, nil
}

// belong joins the group on the interfaces given and leaves it on all others.
func (s *socket) belong(want map[int]bool) error {
	var errs []error
	for index := range s.joined {
		if !want[index] {
			delete(s.joined, index)
			_ = s.leave(index) // the interface has gone mostly
		}
	}
	for index := range want {
		if s.joined[index] {
			continue
		}
		if err := s.join(index); err != nil {
			errs = append(errs, fmt.Errorf("lan: join on interface %d: %w", index, err))
			continue
		}
		s.joined[index] = true
	}
	return errors.Join(errs...)
}

// hopLimit marks packets that no router has passed on (RFC 6762 §11).
const hopLimit = 255

type conn4 struct{ *ipv4.PacketConn }

func newConn4(pc net.PacketConn) (conn4, error) {
	c := conn4{ipv4.NewPacketConn(pc)}
	// Where the system does not tell, the interface is found by the sender.
	_ = c.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true)
	// Other nodes can run on this computer.
	return c, errors.Join(c.SetMulticastTTL(hopLimit), c.SetMulticastLoopback(true))
}

func (c conn4) join(index int) error {
	return c.JoinGroup(&net.Interface{Index: index}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, 0)))
}

func (c conn4) leave(index int) error {
	return c.LeaveGroup(&net.Interface{Index: index}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, 0)))
}

func (c conn4) send(index int, msg []byte) error {
	if err := c.SetMulticastInterface(&net.Interface{Index: index}); err != nil {
		return err
	}
	_, err := c.WriteTo(msg, nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, port)))
	return err
}

func (c conn4) read(b []byte) (int, int, netip.AddrPort, error) {
	n, cm, src, err := c.ReadFrom(b)
	if err != nil {
		return 0, 0, netip.AddrPort{}, err
	}
	from, index := sender(src), 0
	if cm != nil {
		if index = cm.IfIndex; cm.Dst != nil && !cm.Dst.IsMulticast() {
			n = 0
		}
	}
	return n, index, from, nil
}

type conn6 struct{ *ipv6.PacketConn }

func newConn6(pc net.PacketConn) (conn6, error) {
	c := conn6{ipv6.NewPacketConn(pc)}
	_ = c.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true) // as above
	return c, errors.Join(c.SetMulticastHopLimit(hopLimit), c.SetMulticastLoopback(true))
}

func (c conn6) join(index int) error {
	return c.JoinGroup(&net.Interface{Index: index}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, 0)))
}

func (c conn6) leave(index int) error {
	return c.LeaveGroup(&net.Interface{Index: index}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, 0)))
}

func (c conn6) send(index int, msg []byte) error {
	if err := c.SetMulticastInterface(&net.Interface{Index: index}); err != nil {
		return err
	}
	_, err := c.WriteTo(msg, nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, port)))
	return err
}

func (c conn6) read(b []byte) (int, int, netip.AddrPort, error) {
	n, cm, src, err := c.ReadFrom(b)
	if err != nil {
		return 0, 0, netip.AddrPort{}, err
	}
	from, index := sender(src), 0
	if cm != nil {
		if index = cm.IfIndex; cm.Dst != nil && !cm.Dst.IsMulticast() {
			n = 0
		}
	}
	return n, index, from, nil
}

func sender(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := u.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
