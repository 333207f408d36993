package rtc

import (
	"errors"
	"net"
	"net/netip"
)

// plainSocket sends and reads one datagram per system call.
type plainSocket struct{ *net.UDPConn }

// Whole implements socket.
func (plainSocket) Whole() bool { return false }

// Read implements socket.
func (s plainSocket) Read(each func(b []byte, from netip.AddrPort)) error {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := s.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // of one datagram, as when a peer's port is closed
		}
		each(buf[:n], from)
	}
}

// WriteTo implements socket.
func (s plainSocket) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := s.WriteToUDPAddrPort(b, to)
	return err
}
