package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loggers() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

func listenUDP(t *testing.T, loopback netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// station is a server on loopback.
type station struct {
	*Server
	addr netip.AddrPort
}

func newStation(t *testing.T, change func(*ServerOptions)) station {
	t.Helper()
	c := listenUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	o := ServerOptions{Packets: c, Loggers: loggers()}
	if change != nil {
		change(&o)
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		for i := byte(0); i < 10; i++ {
			s.Drop(p2p.ID{i})
			s.x.drop(guestUser + " of " + p2p.ID{i}.String())
		}
	})
	return station{s, c.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// caller is a client with a socket of its own.
type caller struct {
	*Client
	got chan string
}

func (s station) client(t *testing.T, id p2p.ID) caller {
	t.Helper()
	user, password := s.Credentials(id)
	return newCaller(t, s.addr, user, password)
}

func newCaller(t *testing.T, server netip.AddrPort, user, password string) caller {
	t.Helper()
	sock, got := listenUDP(t, server.Addr()), make(chan string, 100)
	c, err := NewClient(ClientOptions{
		Server: server, User: user, Password: password, Conn: sock, Loggers: loggers(),
		Receive: func(b []byte, from netip.AddrPort) { got <- from.String() + " " + string(b) },
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, _, err := sock.ReadFrom(buf)
			if err != nil {
				return
			}
			c.Handle(buf[:n])
		}
	}()
	t.Cleanup(func() { _ = c.Close(); _ = sock.Close() })
	return caller{c, got}
}

func (c caller) mustAllocate(t *testing.T) netip.AddrPort {
	t.Helper()
	a, err := c.Allocate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// exchanged sends text from c until it arrives at d.
func exchanged(t *testing.T, c, d caller, to, from netip.AddrPort, text string) bool {
	t.Helper()
	for range 20 {
		if err := c.Send([]byte(text), to); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-d.got:
			if got == from.String()+" "+text {
				return true
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

func TestRelay(t *testing.T) {
	s := newStation(t, nil)
	a, b := s.client(t, p2p.ID{1}), s.client(t, p2p.ID{2})
	at, bt := a.mustAllocate(t), b.mustAllocate(t)
	if at.Addr() != Switch || bt.Addr() != Switch || at == bt {
		t.Fatalf("relayed addresses %s and %s", at, bt)
	}
	if !exchanged(t, a, b, bt, at, "hello") || !exchanged(t, b, a, at, bt, "and back") {
		t.Error("what was sent did not arrive as it was")
	}
}

func TestOnlyMembersMayRelay(t *testing.T) {
	var member atomic.Bool
	member.Store(true)
	s := newStation(t, func(o *ServerOptions) { o.Member = func(p2p.ID) bool { return member.Load() } })
	user, _ := s.Credentials(p2p.ID{1})
	wrong := newCaller(t, s.addr, user, "guess")
	if _, err := wrong.Allocate(t.Context()); err == nil {
		t.Error("a guessed password gives an allocation")
	}
	member.Store(false)
	if _, err := s.client(t, p2p.ID{1}).Allocate(t.Context()); err == nil {
		t.Error("somebody who is no member has an allocation")
	}
	if used, _ := s.Load(); used != 0 {
		t.Errorf("%d allocations", used)
	}
}

// A member can let its guests in for a while, some at a time.
func TestGuests(t *testing.T) {
	var member atomic.Bool
	member.Store(true)
	s := newStation(t, func(o *ServerOptions) {
		o.Member = func(id p2p.ID) bool { return id == p2p.ID{1} && member.Load() }
	})
	guest := func(host p2p.ID, until time.Time) caller {
		user, password := s.GuestCredentials(p2p.ID{9}, host, until)
		return newCaller(t, s.addr, user, password)
	}
	soon := time.Now().Add(time.Minute)
	for range perGuests {
		guest(p2p.ID{1}, soon).mustAllocate(t)
	}
	for name, c := range map[string]caller{
		"one guest more":           guest(p2p.ID{1}, soon),
		"a guest of yesterday":     guest(p2p.ID{1}, time.Now().Add(-time.Hour)),
		"a guest of somebody else": guest(p2p.ID{2}, soon),
		"a guest with a longer pass": func() caller {
			_, password := s.GuestCredentials(p2p.ID{9}, p2p.ID{1}, soon)
			user, _ := s.GuestCredentials(p2p.ID{9}, p2p.ID{1}, soon.Add(time.Hour))
			return newCaller(t, s.addr, user, password)
		}(),
	} {
		if _, err := c.Allocate(t.Context()); err == nil {
			t.Errorf("%s has an allocation", name)
		}
	}
	s.client(t, p2p.ID{1}).mustAllocate(t) // which they do not use up
	member.Store(false)
	if _, ok := s.allowed("guest:99999999999:"+p2p.ID{9}.String()+":"+p2p.ID{1}.String(), time.Now()); ok {
		t.Error("a guest of one who is no member any more")
	}
}

func TestAllocationsAreBounded(t *testing.T) {
	s := newStation(t, func(o *ServerOptions) { o.PerMember, o.Total = 2, 3 })
	s.client(t, p2p.ID{1}).mustAllocate(t)
	s.client(t, p2p.ID{1}).mustAllocate(t)
	if _, err := s.client(t, p2p.ID{1}).Allocate(t.Context()); err == nil {
		t.Error("a third allocation of one member")
	}
	s.client(t, p2p.ID{2}).mustAllocate(t)
	if _, err := s.client(t, p2p.ID{3}).Allocate(t.Context()); err == nil {
		t.Error("a fourth allocation of all")
	}
	s.Drop(p2p.ID{1})
	deadline := time.Now().Add(10 * time.Second)
	for used, _ := s.Load(); used != 1 && time.Now().Before(deadline); used, _ = s.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	s.client(t, p2p.ID{1}).mustAllocate(t)
}

// TestForbiddenPeers: a relay can be made to send to nobody but its clients.
func TestForbiddenPeers(t *testing.T) {
	s := newStation(t, nil)
	c := s.client(t, p2p.ID{1})
	c.mustAllocate(t)
	for _, text := range strings.Fields(forbidden) {
		a := netip.MustParseAddr(text)
		if err := c.turn.CreatePermission(&net.UDPAddr{IP: a.AsSlice(), Port: 53}); err == nil {
			t.Errorf("a permission for %s", a)
		}
		if permit(nil, net.ParseIP(text)) {
			t.Errorf("%s is permitted", text)
		}
	}
}

// forbidden are addresses of this computer, of its neighbours, of clouds' metadata,
// of nobody and of everybody, and of strangers, in all the ways to write them.
const forbidden = `
127.0.0.1 127.0.0.2 127.255.255.255 0.0.0.0 0.0.0.1 ::1 :: ::ffff:127.0.0.1 ::ffff:0.0.0.0 ::127.0.0.1
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 ::ffff:10.0.0.1 ::ffff:192.168.0.1
169.254.0.1 169.254.169.254 ::ffff:169.254.169.254 fe80::1 fe80::ffff 100.64.0.1 100.100.100.200 100.127.255.255
224.0.0.1 239.255.255.250 255.255.255.255 240.0.0.1 ff02::1 ff0e::1 ::ffff:224.0.0.1
fc00::1 fd00::1 fd00:ec2::254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:a9fe:a9fe:: 2001::1
192.0.0.1 192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1 198.18.0.0 198.18.0.2 198.19.255.255
1.1.1.1 8.8.8.8 93.184.216.34 2606:4700:4700::1111 2001:db8::1 ::ffff:8.8.8.8 168.63.129.16 192.0.0.192
::ffff:0:127.0.0.1 100::1 3fff::1 5f00::1 ::2 0.255.255.255 127.1.2.3`

func TestAllocateIsCancelled(t *testing.T) {
	nobody := listenUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	c := newCaller(t, nobody.LocalAddr().(*net.UDPAddr).AddrPort(), "x", "y")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Allocate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("allocating at a server that is silent: %v", err)
	}
}

// What is relayed has addresses of the switch, whichever protocol leads to the relay.
func TestRelayOverIPv6(t *testing.T) {
	c, err := net.ListenPacket("udp", "[::]:0")
	if err != nil {
		t.Skip("there is no IPv6 here: ", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := newStation(t, func(o *ServerOptions) { o.Packets = c })
	port := uint16(c.LocalAddr().(*net.UDPAddr).Port)
	join := func(id byte, server string) caller {
		user, password := s.Credentials(p2p.ID{id})
		return newCaller(t, netip.AddrPortFrom(netip.MustParseAddr(server), port), user, password)
	}
	six, four := join(1, "::1"), join(2, "127.0.0.1")
	at, bt := six.mustAllocate(t), four.mustAllocate(t)
	if !exchanged(t, six, four, bt, at, "hello") || !exchanged(t, four, six, at, bt, "and back") {
		t.Error("a client with IPv6 and one with IPv4 do not meet at a relay that has both")
	}
}

func TestChoose(t *testing.T) {
	id := func(i byte) p2p.ID { return p2p.ID{i} }
	offer := func(i byte, rtt time.Duration, used int, dual bool) Offer {
		return Offer{ID: id(i), RTT: rtt * time.Millisecond, Used: used, Total: 10, Dual: dual}
	}
	for name, c := range map[string]struct {
		offers []Offer
		using  []p2p.ID
		want   []p2p.ID
	}{
		"none":                    {nil, nil, nil},
		"the nearest":             {[]Offer{offer(1, 30, 0, false), offer(2, 10, 0, false), offer(3, 20, 0, false)}, nil, []p2p.ID{id(2), id(3)}},
		"not the full one":        {[]Offer{offer(1, 10, 10, true), offer(2, 20, 0, false)}, nil, []p2p.ID{id(2)}},
		"the one in use":          {[]Offer{offer(1, 10, 0, false), offer(2, 12, 0, false), offer(3, 15, 10, false)}, []p2p.ID{id(3)}, []p2p.ID{id(1), id(2)}},
		"one with both protocols": {[]Offer{offer(1, 10, 0, false), offer(2, 20, 0, false), offer(3, 300, 0, true), offer(4, 400, 0, true)}, nil, []p2p.ID{id(1), id(3)}},
		"one of those is enough":  {[]Offer{offer(1, 10, 0, true), offer(2, 20, 0, false), offer(3, 300, 0, true)}, nil, []p2p.ID{id(1), id(2)}},
	} {
		if got := Choose(c.offers, c.using); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
