package portmap

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestJudgeAddress(t *testing.T) {
	for text, want := range map[string]string{
		"80.100.100.1 192.168.1.7":    "",
		"10.0.0.7 192.168.1.7":        "", // double NAT, but possible
		"100.64.0.1 192.168.1.7":      "",
		"80.100.100.7 80.100.100.7":   "", // a router that only filters
		"2a01::7 2a01::7":             "",
		"192.168.1.7 192.168.1.7":     "which is this computer's",
		"0.0.0.0 192.168.1.7":         "no outside address",
		"0.1.2.3 192.168.1.7":         "cannot be",
		"127.0.0.1 192.168.1.7":       "cannot be",
		"224.0.0.1 192.168.1.7":       "cannot be",
		"255.255.255.255 192.168.1.7": "cannot be",
		"240.0.0.1 192.168.1.7":       "cannot be",
		"169.254.3.4 192.168.1.7":     "cannot be",
		"2a01::7 192.168.1.7":         "cannot be",
		"::1 2a01::7":                 "cannot be",
		"ff02::1 2a01::7":             "cannot be",
		"fe80::1 2a01::7":             "cannot be",
	} {
		a, own, _ := strings.Cut(text, " ")
		got := judgeAddress(netip.MustParseAddr(a), netip.MustParseAddr(own))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestJudgeGrant(t *testing.T) {
	own := netip.MustParseAddr("192.168.1.7")
	good := grant{sight: sight{External: netip.MustParseAddr("80.100.100.1")}, Port: 4747, Lifetime: time.Hour}
	for name, c := range map[string]struct {
		change func(*grant)
		want   string
	}{
		"good":          {func(*grant) {}, ""},
		"another port":  {func(g *grant) { g.Port = 1 }, ""},
		"permanent":     {func(g *grant) { g.Lifetime, g.Permanent = 0, true }, ""},
		"136 years":     {func(g *grant) { g.Lifetime = (1<<32 - 1) * time.Second }, ""},
		"no time":       {func(g *grant) { g.Lifetime = 0 }, "no time at all"},
		"port 0":        {func(g *grant) { g.Port = 0 }, "port 0"},
		"loopback":      {func(g *grant) { g.External = netip.MustParseAddr("127.0.0.1") }, "cannot be"},
		"no address":    {func(g *grant) { g.External = netip.Addr{} }, "no outside address"},
		"own, as given": {func(g *grant) { g.External = own }, "this computer's"},
	} {
		g := good
		c.change(&g)
		if got := judgeGrant(g, own); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := believe((1<<32-1)*time.Second, time.Hour); got != time.Hour {
		t.Errorf("136 years are believed for %s", got)
	}
}

func TestEpochLost(t *testing.T) {
	for _, c := range []struct {
		p         Protocol
		prev, cur uint32
		elapsed   time.Duration
		want      bool
	}{
		{NATPMP, 100, 200, 100 * time.Second, false},
		{NATPMP, 100, 186, 100 * time.Second, false}, // a clock that is an eighth slow
		{NATPMP, 100, 184, 100 * time.Second, true},
		{NATPMP, 100, 900, 100 * time.Second, false}, // a fast one
		{NATPMP, 100, 3, 100 * time.Second, true},
		{NATPMP, 1<<32 - 10, 0, 10 * time.Second, true}, // after 136 years
		{PCP, 100, 200, 100 * time.Second, false},
		{PCP, 100, 99, 0, false}, // datagrams that overtake each other
		{PCP, 100, 98, 0, true},
		{PCP, 100, 192, 100 * time.Second, false},
		{PCP, 100, 191, 100 * time.Second, true},
		{PCP, 100, 208, 100 * time.Second, false},
		{PCP, 100, 210, 100 * time.Second, true}, // too fast: the client may have slept
	} {
		if got := epochLost(c.p, c.prev, c.cur, c.elapsed); got != c.want {
			t.Errorf("%s %d → %d after %s: %v", c.p, c.prev, c.cur, c.elapsed, got)
		}
	}
}

func TestRoutes(t *testing.T) {
	const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
tun0	00000000	00000000	0001	0	0	0	00000000	0	0	0
wlan0	00000000	0101A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0100010A	0003	0	0	100	00000000	0	0	0
eth0	0000010A	00000000	0001	0	0	100	00FFFFFF	0	0	0
eth1	00000000	0100020A	0002	0	0	1	00000000	0	0	0
`
	if got, err := parseRoutes4(strings.NewReader(table), binary.LittleEndian); err != nil || got.String() != "10.1.0.1" {
		t.Errorf("%s, %v", got, err)
	}
	const big = "eth0 00000000 0A010001 0003 0 0 100 00000000 0 0 0\n"
	if got, err := parseRoutes4(strings.NewReader(big), binary.BigEndian); err != nil || got.String() != "10.1.0.1" {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "\n\n", "x", "a 00000000 zz 3 0 0 0 00000000", "a 00000000 0100 3 0 0 0 00000000"} {
		if got, err := parseRoutes4(strings.NewReader(bad), binary.LittleEndian); err == nil {
			t.Errorf("%q: %s", bad, got)
		}
	}
	const table6 = `00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000064 00000001 00000000 00000003 eth0
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo
`
	if got, err := parseRoutes6(strings.NewReader(table6)); err != nil || got.String() != "fe80::1%eth0" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := parseRoutes6(strings.NewReader(table6[150:])); err == nil {
		t.Errorf("no default route: %s", got)
	}
}
