package rtc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

func ports(all ...string) (out []netip.AddrPort) {
	for _, a := range all {
		out = append(out, netip.AddrPortFrom(netip.MustParseAddr(a), 4747))
	}
	return out
}

// A home's address of IPv6 is one of the Internet, and yet nobody may get in.
func TestGuessReach(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own       []netip.AddrPort
		announced bool
		want      Reach
	}{
		"on the Internet with IPv4": {ports("203.0.113.1", "2001:db8::1"), false, ReachOpen},
		"at home with both":         {ports("192.168.1.2", "fd00::2", "2001:db8::2"), false, ReachUnknown},
		"IPv6 only":                 {ports("fd00::2", "2001:db8::2"), false, ReachUnknown},
		"IPv6 of the home only":     {ports("fd00::2"), false, ReachClosed},
		"at home":                   {ports("192.168.1.2"), false, ReachClosed},
		"announced":                 {ports("192.168.1.2"), true, ReachOpen},
		"loopback":                  {ports("127.0.0.1", "::1"), false, ReachUnknown},
		"no network":                {nil, false, ReachUnknown},
	} {
		if got := guessReach(c.own, c.announced); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestApart(t *testing.T) {
	t.Parallel()
	four, six, both := ports("192.168.1.2"), ports("2001:db8::2"), ports("203.0.113.1", "2001:db8::1")
	for name, c := range map[string]struct {
		own, theirs []netip.AddrPort
		want        bool
	}{
		"IPv4 and IPv6": {four, six, true}, "the other way round": {six, four, true}, "IPv4": {four, four, false}, "both there": {six, both, false},
		"both here": {both, four, false}, "nothing is known of them": {four, nil, false}, "no network": {nil, six, true},
		"IPv4 in the clothes of IPv6": {four, ports("::ffff:203.0.113.1"), false},
	} {
		if got := apart(c.own, c.theirs); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who is at home with both protocols has to ask how its address of IPv4 is seen, whatever
// is known of the other.
func TestUnseen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own, seen []netip.AddrPort
		four      bool
		blind     bool
	}{
		"at home":                  {ports("192.168.1.2"), nil, true, true},
		"at home with both":        {ports("192.168.1.2", "2001:db8::2"), nil, true, true},
		"seen over IPv6":           {ports("192.168.1.2", "2001:db8::2"), ports("2001:db8::2"), true, true},
		"seen over IPv4":           {ports("192.168.1.2", "2001:db8::2"), ports("203.0.113.9"), true, false},
		"on the Internet":          {ports("203.0.113.1"), nil, true, false},
		"IPv6 only":                {ports("fd00::2", "2001:db8::2"), nil, false, false},
		"IPv6 that is translated":  {ports("fd00::2"), nil, false, true},
		"no network, nobody to be": {nil, nil, false, false},
	} {
		translated, blind := unseen(c.own, c.seen)
		if blind != c.blind || translated(ports("198.51.100.1")[0]) != c.four {
			t.Errorf("%s: blind %v, want %v; IPv4 %v, want %v", name, blind, c.blind, !c.four, c.four)
		}
	}
}

func TestDirectAddr(t *testing.T) {
	t.Parallel()
	all := ports("192.168.1.1", "203.0.113.1", "2001:db8::1")
	for name, c := range map[string]struct {
		addrs, own []netip.AddrPort
		want       string // empty: none
	}{
		"IPv4": {all, ports("10.0.0.2"), "203.0.113.1"}, "IPv6 only": {all, ports("2001:db8:1::2"), "2001:db8::1"},
		"nothing in common": {ports("2001:db8::1"), ports("10.0.0.2"), ""}, "at home": {ports("10.0.0.1", "fd00::1", "fe80::1"), ports("10.0.0.2", "fd00::2"), ""},
	} {
		at, ok := directAddr(c.addrs, c.own)
		if ok != (c.want != "") || ok && at != ports(c.want)[0] {
			t.Errorf("%s: %v, %v", name, at, ok)
		}
	}
}

// Tunnels have virtual addresses of IPv4, and work where there is none.
func TestStreamWithoutIPv4(t *testing.T) {
	t.Parallel()
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skip("there is no IPv6 here: ", err)
	} else if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	six := func(o *Options) { o.Listen = "[::1]:0" }
	a, b := newNode(t, 1, six), newNode(t, 2, six)
	a.sock.mute.Store(true) // no UDP passes
	l := a.mustDial(t, b.contact())
	p := l.Path()
	if p.Proto != "tcp" || p.Remote.Addr() != netip.IPv6Loopback() || p.Local.Addr() != netip.IPv6Loopback() {
		t.Errorf("path %+v", p)
	}
	if i := slices.IndexFunc(p.Tried, func(c p2p.Candidate) bool { return virtualBlock.Contains(c.Local.Addr()) }); i >= 0 {
		t.Errorf("%s is shown for an address of this computer", p.Tried[i].Local)
	}
}

// Where nobody relays, people are told what is missing.
func TestApartIsExplained(t *testing.T) {
	t.Parallel()
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skip("there is no IPv6 here: ", err)
	} else if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	sys := thisComputer()
	sys.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
	four := newAnyNode(t, 1, silence, nil, sys)
	six := newAnyNode(t, 2, silence, func(o *Options) { o.Listen = "[::1]:0" }, sys)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := four.Dial(ctx, six.contact(), nil); !errors.Is(err, errApart) || !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
