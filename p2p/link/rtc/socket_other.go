//go:build !linux

package rtc

import "net"

// newSocket returns the fastest socket that the system can do.
func newSocket(c *net.UDPConn) socket { return plainSocket{c} }
