package server

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestHostListBeyondLoopback: own interface addresses count only when the server
// can be reached there, and new ones are noticed.
func TestHostListBeyondLoopback(t *testing.T) {
	now := time.Unix(1e9, 0)
	interfaces := []string{"192.0.2.7/24", "fe80::1/64", "2001:db8::7/64"}
	reads := 0
	list := func(bound string, names ...string) *hostList {
		l, err := newHostList(bound, names)
		if err != nil {
			t.Fatal(err)
		}
		l.now = func() time.Time { return now }
		l.interfaces = func() ([]net.Addr, error) {
			reads++
			var all []net.Addr
			for _, text := range interfaces {
				p := netip.MustParsePrefix(text)
				all = append(all, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
			}
			return all, nil
		}
		return l
	}
	check := func(l *hostList, text string, want bool) {
		t.Helper()
		h, err := parseHost(text)
		if got := err == nil && l.accepts(h); got != want {
			t.Errorf("%s: accepted %v, want %v", text, got, want)
		}
	}
	local := list("127.0.0.1:8080")
	check(local, "192.0.2.7:8080", false)
	check(list("127.0.0.3:8080"), "127.0.0.3:8080", true)

	all := list("0.0.0.0:8080")
	check(all, "192.0.2.7:8080", true)
	check(all, "[2001:db8::7]:8080", true)
	check(all, "192.0.2.8:8080", false)
	check(all, "0.0.0.0:8080", false)
	check(all, "evil.example", false)
	interfaces = append(interfaces, "192.0.2.8/24")
	check(all, "192.0.2.8:8080", false)
	if reads != 1 {
		t.Errorf("interfaces read %d times within %v", reads, ownKept)
	}
	now = now.Add(ownKept + 1)
	check(all, "192.0.2.8:8080", true)

	one := list("198.51.100.1:8080")
	check(one, "198.51.100.1", true)
	check(one, "192.0.2.7", true)

	named := list("127.0.0.1:8080", "Shoal.Example.", "10.0.0.1", "my_container")
	check(named, "shoal.example:443", true)
	check(named, "SHOAL.EXAMPLE.", true)
	check(named, "10.0.0.1:1", true)
	check(named, "my_container:8080", true)
	check(named, "x.shoal.example", false)
}

// TestOriginBehindProxy: https is right only for names that a proxy can have.
func TestOriginBehindProxy(t *testing.T) {
	s := newServer(t, Options{Hosts: []string{"shoal.example"}})
	rt := s.routes[0]
	for _, row := range []struct {
		host, origin string
		ok           bool
	}{
		{"shoal.example", "https://shoal.example", true},
		{"shoal.example", "http://shoal.example", true},
		{"shoal.example", "https://shoal.example:8443", false},
		{"shoal.example:8443", "https://shoal.example:8443", true},
		{"shoal.example", "https://other.example", false},
		{"localhost", "https://localhost", false},
		{"localhost:9000", "http://localhost:9000", true}, // a container's mapped port
	} {
		r := good(t, rt)
		r.Host = row.host
		r.Header.Set("Origin", row.origin)
		if w := do(t, s, r); (w.Code == 200) != row.ok {
			t.Errorf("%s from %s: %d", row.host, row.origin, w.Code)
		}
	}
}

func TestAttempts(t *testing.T) {
	a, now := newAttempts(), time.Unix(1e9, 0)
	addr, other := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	for range 100 { // the same wrong token is one guess
		a.wrong(now, addr, [32]byte{1})
	}
	if w := a.wait(now, addr); w != 0 {
		t.Errorf("a stale token locks out for %v", w)
	}
	for i := range attemptBurst - 1 {
		if w := a.wait(now, addr); w != 0 {
			t.Errorf("guess %d has to wait %v", i, w)
		}
		a.wrong(now, addr, [32]byte{2, byte(i)})
	}
	if w := a.wait(now, addr); w <= 0 {
		t.Error("no limit")
	}
	if w := a.wait(now, other); w != 0 {
		t.Errorf("another address waits %v", w)
	}
	if w := a.wait(now.Add(2*attemptRefill), addr); w != 0 {
		t.Errorf("still %v to wait after a refill", w)
	}
	six := netip.MustParseAddr("2001:db8::1")
	for i := range attemptBurst + 1 {
		a.wrong(now, six, [32]byte{3, byte(i)})
		six = six.Next()
	}
	if a.wait(now, netip.MustParseAddr("2001:db8::ffff")) == 0 {
		t.Error("one IPv6 network guesses without limit")
	}
	for i := range 2 * attemptsKept {
		a.wrong(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), [32]byte{4})
	}
	if len(a.by) > attemptsKept {
		t.Errorf("%d addresses remembered", len(a.by))
	}
}

// TestAttemptsOverHTTP: even the right token waits then, or guessing would go on.
func TestAttemptsOverHTTP(t *testing.T) {
	s := newServer(t, Options{})
	now := time.Unix(1e9, 0)
	s.guard.now = func() time.Time { return now }
	ask := func(token string) (int, string) {
		r := good(t, route{method: get, path: "/api/node"})
		r.Header.Set("Authorization", "Bearer "+token)
		w := do(t, s, r)
		if w.Code == 429 && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return w.Code, codeOf(t, w)
	}
	for i := range attemptBurst {
		if status, code := ask("wrong" + strings.Repeat("x", i)); code != "token_wrong" {
			t.Fatalf("guess %d: %d %s", i, status, code)
		}
	}
	if status, code := ask(testToken); status != 429 || code != "too_many_attempts" {
		t.Errorf("after the burst: %d %s", status, code)
	}
	now = now.Add(time.Minute)
	if status, _ := ask(testToken); status != 200 {
		t.Errorf("after a minute: %d", status)
	}
}

// TestRequireToken: reads too, and nothing in the page.
func TestRequireToken(t *testing.T) {
	s := newServer(t, Options{RequireToken: true})
	for _, rt := range s.routes {
		r := good(t, rt)
		r.Header.Del("Authorization")
		got := codeOf(t, do(t, s, r))
		if want := needing("token_required", safe, changing)(rt); want != "" && got != want {
			t.Errorf("%s: %q", rt.path, got)
		}
	}
}

func TestOpenReads(t *testing.T) {
	s := newServer(t, Options{OpenReads: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00::/8")}})
	for addr, open := range map[string]bool{
		"172.17.0.1:5": true, "[::ffff:172.17.0.1]:5": true, "[fd00::1]:5": true, "[fd00::1%eth0]:5": true,
		"127.0.0.1:5": false, "172.18.0.1:5": false, "[::1]:5": false, "": false, "pipe": false,
	} {
		r := good(t, route{method: get, path: "/api/node"})
		r.Header.Del("Authorization")
		r.RemoteAddr = addr
		if w := do(t, s, r); (w.Code == 200) != open {
			t.Errorf("%q: %d", addr, w.Code)
		}
		r = good(t, route{method: post, path: "/api/samples"})
		r.Header.Del("Authorization")
		r.RemoteAddr = addr
		if w := do(t, s, r); w.Code != 401 {
			t.Errorf("change from %q: %d", addr, w.Code)
		}
	}
}

// TestOpenReadsByName: by a name that was given, a proxy may ask for anybody.
func TestOpenReadsByName(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, row := range []struct {
		options Options
		host    string
		open    bool
	}{
		{Options{}, "localhost:8080", true},
		{Options{}, "[::1]", true},
		{Options{Addr: "127.0.0.3:8080"}, "127.0.0.3:8080", true},
		{Options{Hosts: []string{"shoal.example"}}, "localhost", true},
		{Options{Hosts: []string{"shoal.example"}}, "shoal.example", false},
		{Options{Hosts: []string{"198.51.100.9"}}, "198.51.100.9", false},
		{Options{Hosts: []string{"shoal.example"}, OpenReads: loopback}, "shoal.example", true},
	} {
		s := newServer(t, row.options)
		r := good(t, route{method: get, path: "/api/node"})
		r.Header.Del("Authorization")
		r.Host = row.host
		if w := do(t, s, r); (w.Code == 200) != row.open {
			t.Errorf("%s with %+v: %d", row.host, row.options.Hosts, w.Code)
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		if w := do(t, s, r); w.Code != 401 {
			t.Errorf("%s forwarded: %d", row.host, w.Code)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, h := range append(foreignHosts, ownHosts...) {
		f.Add(h)
	}
	l, err := newHostList("127.0.0.1:8080", []string{"shoal.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHost(text)
		if err != nil {
			return
		}
		// What is accepted has one of a few spellings once case, a dot at the end
		// and the port are taken away.
		name := strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(text, ":"+h.port)), ".")
		if l.accepts(h) && h.addr.Is6() != strings.HasPrefix(text, "[") {
			t.Errorf("%q accepted", text)
		}
		if l.accepts(h) && !h.addr.Is6() && name != "localhost" && name != "127.0.0.1" && name != "shoal.example" &&
			strings.TrimSuffix(name, ":") != "localhost" && strings.TrimRight(name, ".:") != h.name {
			t.Errorf("%q accepted", text)
		}
		if again, err := parseHost(h.String()); err != nil || again != h {
			t.Errorf("%q is %q, which is %+v, %v", text, h, again, err)
		}
		for _, c := range []byte(h.String()) {
			if c <= ' ' || c > '~' || strings.IndexByte(`;,"'`, c) >= 0 {
				t.Errorf("%q would break a header", h)
			}
		}
	})
}
