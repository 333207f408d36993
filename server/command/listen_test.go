package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/server/api"
)

func TestListenGivenIsNeverChanged(t *testing.T) {
	f := newFake(t, map[string]any{"GET /api/node": api.Node{Id: strings.Repeat("b", 52), Name: "bob"}})
	addr := f.Listener.Addr().String()
	_, _, err := Listen(t.Context(), addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("taken address: %v", err)
	}
	for _, want := range []string{addr, "in use", "by the shoal node bob (bbbbbbbbbbbb)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	l, moved, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil || moved != "" {
		t.Fatalf("free address: %v, %q", err, moved)
	}
	l.Close()
}

func TestListenDefaultGivesWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	l, moved, err := listenNear(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().String(); got == addr || !strings.Contains(moved, addr+" is taken") || !strings.HasSuffix(moved, "using "+got) {
		t.Errorf("listens on %s, says %q", got, moved)
	}
	if port := netip.MustParseAddrPort(l.Addr().String()).Port(); port < taken.Addr().(*net.TCPAddr).AddrPort().Port() {
		t.Logf("no free port after %s, took %d", addr, port)
	}
}

func TestReach(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "192.0.2.1:1": "192.0.2.1:1",
	} {
		if got := Reach(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(in))); got != want {
			t.Errorf("Reach(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestLAN(t *testing.T) {
	own := func(cidrs ...string) (addrs []net.Addr) {
		for _, c := range cidrs {
			ip, n, err := net.ParseCIDR(c)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return addrs
	}
	home := own("127.0.0.1/8", "::1/128", "fe80::1/64", "2001:db8::7/64", "203.0.113.7/24", "192.168.1.20/24", "172.17.0.1/16")
	for _, tc := range []struct {
		addr string
		own  []net.Addr
		want string
	}{
		{"0.0.0.0:8080", home, "192.168.1.20:8080"},
		{"[::]:8080", home, "192.168.1.20:8080"},
		{"0.0.0.0:8080", own("127.0.0.1/8", "203.0.113.7/24"), "203.0.113.7:8080"},
		{"[::]:8080", own("::1/128", "fe80::1/64", "2001:db8::7/64"), "[2001:db8::7]:8080"},
		{"0.0.0.0:8080", own("2001:db8::7/64"), ""},
		{"0.0.0.0:8080", own("127.0.0.1/8"), ""},
		{"127.0.0.1:8080", home, ""},
		{"192.168.1.20:8080", home, ""},
	} {
		if got := LAN(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tc.addr)), tc.own); got != tc.want {
			t.Errorf("LAN(%s, %v) = %q, want %q", tc.addr, tc.own, got, tc.want)
		}
	}
}

func TestShoalAtOtherPrograms(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"html":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"json":    func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(map[string]int{"a": 1}) },
	} {
		s := httptest.NewServer(h)
		if got := shoalAt(t.Context(), s.Listener.Addr().String()); got != "" {
			t.Errorf("%s is taken for %s", name, got)
		}
		s.Close()
	}
}

func TestProcess(t *testing.T) {
	proc := t.TempDir()
	tree := map[string]string{
		"net/tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
`,
		"42/comm": "nginx\x1b\n",
	}
	for name, text := range tree {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(proc, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(proc, "42", "fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	for fd, target := range map[string]string{"3": "socket:[4712]", "4": "socket:[4711]"} {
		if err := os.Symlink(target, filepath.Join(proc, "42", "fd", fd)); err != nil {
			t.Fatal(err)
		}
	}
	for port, want := range map[uint16]string{8080: `nginx\x1b (process 42)`, 8081: "", 1: ""} {
		if got := process(proc, port); got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
	if got := process(filepath.Join(proc, "nothing"), 8080); got != "" {
		t.Errorf("without /proc: %q", got)
	}
}
