package mirror

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// forbidden are addresses of this computer, of its neighbours, of clouds' metadata,
// of nobody and of everybody, in all the ways to write them.
const forbidden = `
127.0.0.1 127.0.0.2 127.1.2.3 127.255.255.255 0.0.0.0 0.0.0.1 0.255.255.255 ::1 :: ::2
::ffff:127.0.0.1 ::ffff:0.0.0.0 ::127.0.0.1 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 ::ffff:10.0.0.1 ::ffff:192.168.0.1
169.254.0.1 169.254.169.254 ::ffff:169.254.169.254 fe80::1 fe80::1%lo fe80::ffff febf::1 fec0::1
100.64.0.1 100.100.100.200 100.127.255.255 168.63.129.16 192.0.0.192
224.0.0.1 239.255.255.250 255.255.255.255 240.0.0.1 ff02::1 ff0e::1 ::ffff:224.0.0.1 ::ffff:255.255.255.255
fc00::1 fd00::1 fd00:ec2::254 fdff::1
64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b::a00:1 64:ff9b:1::8.8.8.8
2002:7f00:1:: 2002:a9fe:a9fe:: 2002:c0a8:1:: 2002:e000:1::
2001:0:7f00:1:0:0:f7f7:f7f7 2001:0:808:808:0:0:80ff:fffe 2001:0:808:808:0:0:5601:5601
2001::1 2001:10::1 2001:db8::1 3fff::1 5f00::1 100::1 4000::1 8000::1
192.0.0.1 192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1 198.18.0.0 198.18.0.2 198.19.255.255`

// permitted are addresses of the Internet, next to forbidden ones where there are some.
const permitted = `
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
223.255.255.255 168.63.129.15 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 2001:0:808:808:0:0:f7f7:f7f7
2606:4700:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888 3ffe::1 2001:200::1`

func TestJudge(t *testing.T) {
	g := guard{nets: func() ([]netip.Prefix, error) { return nil, nil }}
	for _, text := range strings.Fields(forbidden) {
		if g.judge(netip.AddrPortFrom(netip.MustParseAddr(text), 80)) == "" {
			t.Errorf("%s is permitted", text)
		}
	}
	for _, text := range strings.Fields(permitted) {
		if why := g.judge(netip.AddrPortFrom(netip.MustParseAddr(text), 443)); why != "" {
			t.Errorf("%s: %s", text, why)
		}
	}
	for port, want := range map[uint16]bool{0: false, 22: false, 25: false, 53: false, 80: true, 443: true, 445: false, 1023: false, 1024: true, 8080: true, 65535: true} {
		if got := g.judge(netip.AddrPortFrom(netip.MustParseAddr("8.8.8.8"), port)) == ""; got != want {
			t.Errorf("port %d is permitted: %v", port, got)
		}
	}
}

// TestOwnNetworks: public addresses are no better where they are those of this computer
// and its neighbours, or of its router.
func TestOwnNetworks(t *testing.T) {
	g := guard{
		nets: func() ([]netip.Prefix, error) {
			return []netip.Prefix{netip.MustParsePrefix("2a00:1:2:3::/64"), netip.MustParsePrefix("8.8.8.0/24"), netip.MustParsePrefix("2002:101:101::/48")}, nil
		},
		outside: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("::ffff:93.184.216.34")} },
	}
	for text, want := range map[string]bool{
		"2a00:1:2:3::1": false, "2a00:1:2:3:ffff::": false, "2a00:1:2:4::1": true,
		"8.8.8.8": false, "64:ff9b::8.8.8.8": false, "::ffff:8.8.8.8": false, "2002:808:808::1": false, "8.8.4.4": true,
		"2002:101:101::1": false, "1.1.1.1": true, "2002:101:102::1": true,
		"93.184.216.34": false, "64:ff9b::93.184.216.34": false, "93.184.216.35": true,
	} {
		if why := g.judge(netip.AddrPortFrom(netip.MustParseAddr(text), 80)); (why == "") != want {
			t.Errorf("%s: %q", text, why)
		}
	}
	g.nets = func() ([]netip.Prefix, error) { return nil, errors.New("no answer") }
	if g.judge(netip.MustParseAddrPort("1.1.1.1:80")) == "" {
		t.Error("permitted without knowing the own networks")
	}
	nets, err := ownNets()
	if err != nil {
		t.Fatal(err)
	}
	if loop := netip.MustParsePrefix("127.0.0.0/8"); !containsPrefix(nets, loop) {
		t.Errorf("%v is not in %v", loop, nets)
	}
}

func containsPrefix(nets []netip.Prefix, p netip.Prefix) bool {
	for _, n := range nets {
		if n == p {
			return true
		}
	}
	return false
}

// TestNobodySendsUsThere: every forbidden address, as a stranger's URL.
func TestNobodySendsUsThere(t *testing.T) {
	c := newTestClient(t, Options{Timeout: 5 * time.Second})
	for _, text := range strings.Fields(forbidden) {
		url := "http://" + net.JoinHostPort(strings.ReplaceAll(text, "%", "%25"), "80") + "/file"
		if _, err := c.Open(t.Context(), url, 1, false); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, host := range []string{
		"localhost", "LOCALHOST.", "a.localhost", "router", "printer.local", "metadata.google.internal", "fritz.lan", "nas.home.arpa", "8.8.8.8:25", "example.org:22",
	} {
		if _, err := c.Open(t.Context(), "http://"+host+"/file", 1, false); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, url := range []string{"", "file:///etc/passwd", "ftp://example.org/a", "http:///a", "http://u:p@example.org/", "http://example.org/a b", "gopher://example.org/", "http://example.org/#a"} {
		for _, trusted := range []bool{false, true} {
			if _, err := c.Open(t.Context(), url, 1, trusted); !errors.Is(err, ErrUnfit) {
				t.Errorf("%q: %v", url, err)
			}
		}
	}
}

// TestRebinding: a name that leads to a public address when it is looked up first, and
// to this computer next.
func TestRebinding(t *testing.T) {
	s := newServer(t, noise(1, 1000))
	names := newNames(t)
	c := newClient(Options{Timeout: 15 * time.Second}, guard{nets: ownNets}, names.resolver())
	t.Cleanup(c.Close)
	for _, a := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		names.set(netip.MustParseAddr(a))
		url := fmt.Sprintf("http://mirror.example:%d/file", s.port())
		if _, err := c.Open(t.Context(), url, 1000, false); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if names.asked() == 0 {
		t.Error("no name was looked up")
	}
	if n := s.connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	// The user may: the name is his own.
	names.set(netip.MustParseAddr("127.0.0.1"))
	if _, err := c.Open(t.Context(), fmt.Sprintf("http://mirror.example:%d/file", s.port()), 1000, true); err != nil {
		t.Error(err)
	}
}

func TestCheckURL(t *testing.T) {
	for _, text := range []string{"http://example.org/a", "https://EXAMPLE.org.:8443/", "http://8.8.8.8/", "https://[2606:4700:4700::1111]:443/a", "http://a.local.example.org/", "http://xn--bcher-kva.example/"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if why := checkURL(u); why != "" {
			t.Errorf("%s: %s", text, why)
		}
	}
}
