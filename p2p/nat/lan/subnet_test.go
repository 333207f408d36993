package lan

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func ports(texts ...string) (out []netip.AddrPort) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddrPort(t))
	}
	return out
}

const wired = net.FlagUp | net.FlagMulticast | net.FlagBroadcast

func TestSubnets(t *testing.T) {
	devices := []device{
		{1, net.FlagUp | net.FlagMulticast | net.FlagLoopback, prefixes("127.0.0.1/8", "::1/128")},
		{2, wired, prefixes("192.168.1.5/24", "fe80::5/64", "2001:db8::5/64")},
		{3, wired, prefixes("172.17.0.1/16")},                              // a bridge of containers
		{4, wired &^ net.FlagUp, prefixes("192.168.2.5/24")},               // unplugged
		{5, net.FlagUp | net.FlagPointToPoint, prefixes("10.8.0.2/24")},    // a tunnel
		{6, net.FlagUp | net.FlagBroadcast, prefixes("192.168.3.5/24")},    // without multicast
		{7, wired | net.FlagPointToPoint, prefixes("10.9.0.2/24")},         // a tunnel
		{8, wired, prefixes("192.168.1.6/24", "192.168.4.6/24")},           // wireless
		{9, wired, prefixes("fe80::9/64")},                                 // no address of the port
		{10, net.FlagUp | net.FlagMulticast, prefixes("198.51.100.10/24")}, // no address of the port
	}
	everywhere := ports("192.168.1.5:4747", "192.168.1.6:4747", "192.168.2.5:4747", "192.168.3.5:4747", "10.8.0.2:4747", "10.9.0.2:4747", "[2001:db8::5]:4747", "203.0.113.9:9999", "192.168.4.6:9999")
	for _, tc := range []struct {
		name string
		own  []netip.AddrPort
		want []subnet
	}{
		{"on loopback", ports("127.0.0.1:4747"), nil},
		{"nowhere", nil, nil},
		{"everywhere", everywhere, []subnet{
			{2, devices[1].Prefixes, addrs("192.168.1.5", "2001:db8::5"), 4747},
			{8, devices[7].Prefixes, addrs("192.168.1.6"), 4747},
		}},
		{"on one address", ports("192.168.4.6:5000"), []subnet{{8, devices[7].Prefixes, addrs("192.168.4.6"), 5000}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := subnets(devices, tc.own); !slices.EqualFunc(got, tc.want, subnet.equal) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// TestWhatCanBeThere holds the only rule about addresses that others name.
func TestWhatCanBeThere(t *testing.T) {
	n := subnet{Prefixes: prefixes("192.168.1.5/24", "10.0.0.1/30", "169.254.1.1/16", "198.51.100.0/31", "fe80::5/64", "2001:db8:0:1::5/64")}
	for text, want := range map[string]bool{
		"192.168.1.77":          true,
		"192.168.1.5":           true, // another node of this computer
		"192.168.1.0":           false,
		"192.168.1.255":         false,
		"192.168.2.1":           false,
		"10.0.0.2":              true,
		"10.0.0.3":              false, // broadcast
		"10.0.0.4":              false,
		"198.51.100.1":          true,
		"169.254.1.2":           false,
		"127.0.0.1":             false,
		"0.0.0.0":               false,
		"255.255.255.255":       false,
		"224.0.0.251":           false,
		"8.8.8.8":               false,
		"2001:db8:0:1::77":      true,
		"2001:db8:0:2::77":      false,
		"2001:db8:0:1::77%eth0": false,
		"fe80::77":              false,
		"::1":                   false,
		"::":                    false,
		"ff02::fb":              false,
		"::ffff:192.168.1.77":   false,
	} {
		if got := n.allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for text, want := range map[string]bool{
		"192.168.1.77": true, "fe80::77": true, "fe80::77%eth0": true, "169.254.1.2": true,
		"192.168.2.1": false, "8.8.8.8": false, "2001:db8:0:2::1": false,
	} {
		if got := n.hears(netip.MustParseAddr(text)); got != want {
			t.Errorf("hears %s: %v", text, got)
		}
	}
	if (subnet{}).allows(netip.Addr{}) || (subnet{}).hears(netip.Addr{}) {
		t.Error("an address that is none")
	}
}
