package rtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// newSocket returns the fastest socket that the kernel can do.
func newSocket(c *net.UDPConn) socket {
	if !segmentation(c) {
		return plainSocket{c}
	}
	s := &segmentSocket{UDPConn: c, whole: unfragmented(c)}
	s.out = newBatcher(s.sendRun)
	go s.out.run()
	return s
}

// segmentation asks for received datagrams in runs (UDP_GRO, Linux 5.0), and
// reports whether runs can also be sent (UDP_SEGMENT, Linux 4.18).
func segmentation(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var gso, gro error
	err = raw.Control(func(fd uintptr) {
		_, gso = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		gro = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	return errors.Join(err, gso, gro) == nil
}

// segmentSocket sends and reads datagrams in runs.
type segmentSocket struct {
	*net.UDPConn
	out   *batcher
	plain atomic.Bool // a device below cannot do segments
	whole bool
}

// unfragmented makes datagrams travel whole or not at all, whatever anybody says about
// the path in between (IP_PMTUDISC_PROBE), and reports whether the system does so.
func unfragmented(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	v6 := c.LocalAddr().(*net.UDPAddr).IP.To4() == nil
	err4, err6 := errors.New("not tried"), error(nil)
	err = raw.Control(func(fd uintptr) {
		err4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		if v6 {
			err6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		}
	})
	return errors.Join(err, err4, err6) == nil
}

// Whole implements socket.
func (s *segmentSocket) Whole() bool { return s.whole }

// WriteTo implements socket.
func (s *segmentSocket) WriteTo(b []byte, to netip.AddrPort) error { return s.out.add(b, to) }

// Close implements socket.
func (s *segmentSocket) Close() error {
	s.out.close()
	return s.UDPConn.Close()
}

// sendRun sends one run. That a datagram is lost is for those above to notice.
func (s *segmentSocket) sendRun(r run) {
	if r.count > 1 && !s.plain.Load() {
		_, _, err := s.WriteMsgUDPAddrPort(r.bytes, segmentSize(r.size), r.to)
		if err == nil {
			return
		}
		if errors.Is(err, unix.EIO) {
			s.plain.Store(true)
		}
	}
	for b := r.bytes; len(b) > 0; {
		n := min(r.size, len(b))
		_, _ = s.WriteToUDPAddrPort(b[:n], r.to)
		b = b[n:]
	}
}

// segmentSize is the control message UDP_SEGMENT.
func segmentSize(size int) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := unix.Cmsghdr{Level: unix.IPPROTO_UDP, Type: unix.UDP_SEGMENT}
	h.SetLen(unix.CmsgLen(2))
	putHeader(b, h)
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(size))
	return b
}

// putHeader writes h as the kernel lays it out: a length of the size of a word,
// then two int32.
func putHeader(b []byte, h unix.Cmsghdr) {
	word := unix.CmsgLen(0) - 8
	if word == 8 {
		binary.NativeEndian.PutUint64(b, uint64(h.Len))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(h.Len))
	}
	binary.NativeEndian.PutUint32(b[word:], uint32(h.Level))
	binary.NativeEndian.PutUint32(b[word+4:], uint32(h.Type))
}

// Read implements socket.
func (s *segmentSocket) Read(each func(b []byte, from netip.AddrPort)) error {
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, from, err := s.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // of one datagram, as when a peer's port is closed
		}
		size := receivedSize(oob[:oobn])
		if size == 0 {
			size = max(n, 1)
		}
		for b := buf[:n]; len(b) > 0; {
			k := min(size, len(b))
			each(b[:k], from)
			b = b[k:]
		}
	}
}

// receivedSize reads the control message UDP_GRO: the size of the datagrams that
// came as one, or 0.
func receivedSize(oob []byte) int {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(binary.NativeEndian.Uint32(data))
		}
		oob = rest
	}
	return 0
}
