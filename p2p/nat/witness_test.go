package nat

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// pathLink is a link of which only the path matters.
type pathLink struct {
	p2p.Link
	peer p2p.ID
	path p2p.Path
}

func (l pathLink) Peer() p2p.ID     { return l.peer }
func (l pathLink) Path() p2p.Path   { return l.path }
func (l pathLink) Stats() p2p.Stats { return p2p.Stats{} }

// TestGuesses: when no link goes over a protocol that this computer has, members on the
// Internet are asked where they say that they are with it.
func TestGuesses(t *testing.T) {
	port := netip.MustParseAddrPort
	public := map[p2p.ID][]netip.AddrPort{
		{1}: {port("203.0.113.1:4747"), port("[2001:db8::1]:4747")},
		{2}: {port("203.0.113.2:4747"), port("[fd00::2]:4747"), port("[fe80::2]:4747"), port("[2001:db8::2]:53")},
	}
	over := func(id byte, remote string) p2p.Link {
		return pathLink{peer: p2p.ID{id}, path: p2p.Path{Kind: p2p.PathDirect, Proto: "udp", Remote: port(remote)}}
	}
	four, six := netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("2001:db8:1::2")
	for name, c := range map[string]struct {
		links []p2p.Link
		own   []netip.Addr
		want  []string
	}{
		"links over IPv4":       {[]p2p.Link{over(1, "203.0.113.1:4747"), over(2, "203.0.113.2:4747")}, []netip.Addr{four, six}, []string{"[2001:db8::1]:4747"}},
		"links over IPv6":       {[]p2p.Link{over(1, "[2001:db8::1]:4747")}, []netip.Addr{four, six}, []string{"203.0.113.1:4747"}},
		"links over both":       {[]p2p.Link{over(1, "[2001:db8::1]:4747"), over(2, "203.0.113.2:4747")}, []netip.Addr{four, six}, nil},
		"no IPv6 here":          {[]p2p.Link{over(1, "203.0.113.1:4747")}, []netip.Addr{four, netip.MustParseAddr("fe80::9"), netip.IPv6Loopback()}, nil},
		"in the local network":  {[]p2p.Link{over(1, "192.168.1.9:4747")}, []netip.Addr{four, six}, nil},
		"nobody to be asked":    {nil, []netip.Addr{four, six}, nil},
		"only of the own home":  {[]p2p.Link{over(2, "203.0.113.2:4747")}, []netip.Addr{four, six}, nil},
		"IPv6 only, both there": {[]p2p.Link{over(1, "[2001:db8::1]:4747")}, []netip.Addr{six}, nil},
	} {
		all, _ := witnesses(c.links, func(id p2p.ID) []netip.AddrPort { return public[id] }, nil, c.own)
		var got []string
		for _, w := range all {
			if w.guess {
				got = append(got, w.addr.String())
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v are asked, want %v", name, got, c.want)
		}
	}
}
