package lan

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
)

// inside is set in the process that has a network of its own.
const inside = "SHOAL_TEST_NETWORK"

// apart runs the test that calls it once more, in a process with a network of its own,
// and reports whether this is that process.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a network to test in")
	}
	if err := exec.Command("unshare", "-n", "true").Run(); err != nil {
		t.Skipf("no network to test in: %v", err)
	}
	cmd := exec.Command("unshare", "-n", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// node is a Service that runs.
type node struct {
	*Service
	id   p2p.ID
	mu   sync.Mutex
	own  []netip.AddrPort
	seen int // how often it looked
	stop func()
}

func (n *node) addrs() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen++
	return n.own
}

func (n *node) looks() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen
}

func (n *node) move(own ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.own = ports(own...)
}

func start(t *testing.T, id byte, network p2p.ID, found chan<- Found, own ...string) *node {
	t.Helper()
	n := &node{id: someID(id)}
	n.move(own...)
	n.Service = New(Options{
		Self: n.id, Network: func() p2p.ID { return network }, Addrs: n.addrs, Version: "1",
		Found: func(f Found) {
			if found != nil {
				found <- f
			}
		},
	})
	n.every = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 15 seconds: %s", what)
		}
	}
}

// TestRealNetwork: two nodes of one computer find each other over the real thing, by
// either family, and so do they when an interface comes later.
func TestRealNetwork(t *testing.T) {
	if !apart(t) {
		return
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	network := netA
	a := start(t, 1, network, nil, "10.0.0.1:4747")
	found := make(chan Found, 16)
	b := start(t, 2, network, found, "10.0.0.1:4748")
	stranger := start(t, 3, netB, nil, "10.0.0.1:4749")
	ip(t, "link add lan0 type veth peer name lan1")
	ip(t, "link set lan1 up")
	ip(t, "link set lan0 up")
	ip(t, "addr add 10.0.0.1/24 dev lan0")
	f := <-found
	if f.ID != a.id || !slices.Equal(f.Addrs, ports("10.0.0.1:4747")) {
		t.Errorf("found %+v", f)
	}
	eventually(t, "the other way", func() bool { return slices.Equal(a.Addrs(b.id), ports("10.0.0.1:4748")) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got := stranger.Find(ctx, a.id, network); !slices.Equal(got, ports("10.0.0.1:4747")) {
		t.Errorf("with an invitation: %v", got)
	}
	if got := stranger.Addrs(a.id); len(got) != 0 {
		t.Errorf("without: %v", got)
	}

	// By the other family alone.
	ip(t, "addr del 10.0.0.1/24 dev lan0")
	ip(t, "addr add fd00::1/64 dev lan0 nodad")
	a.move("[fd00::1]:4747")
	b.move("[fd00::1]:4748")
	eventually(t, "IPv6", func() bool {
		return slices.Equal(a.Addrs(b.id), ports("[fd00::1]:4748")) && slices.Equal(b.Addrs(a.id), ports("[fd00::1]:4747"))
	})

	// One says goodbye; the other asks for it in vain, and for no longer than it wants.
	b.stop()
	eventually(t, "the goodbye", func() bool { return len(a.Addrs(b.id)) == 0 })
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got := a.Find(short, b.id, network); len(got) != 0 {
		t.Errorf("found one that has gone: %v", got)
	}

	// The interface goes, and comes back.
	ip(t, "link del lan0")
	eventually(t, "nobody without an interface", func() bool { return len(stranger.Find(short, a.id, network)) == 0 })
	eventually(t, "a closed port", func() bool { return !open(t) })
	a.move("10.0.0.1:4747")
	b = start(t, 2, network, nil, "10.0.0.1:4748")
	ip(t, "link add lan0 type veth peer name lan1")
	ip(t, "link set lan1 up")
	ip(t, "link set lan0 up")
	ip(t, "addr add 10.0.0.1/24 dev lan0")
	eventually(t, "found again", func() bool { return len(a.Addrs(b.id)) == 1 && len(b.Addrs(a.id)) == 1 })
	a.stop()
	b.stop()
	stranger.stop()
}

// TestNoSocketOnLoopback: a node that cannot be reached from outside has nothing open
// and says nothing.
func TestNoSocketOnLoopback(t *testing.T) {
	if !apart(t) {
		return
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ip(t, "link add lan0 type veth peer name lan1")
	ip(t, "link set lan1 up")
	ip(t, "link set lan0 up")
	ip(t, "addr add 10.0.0.1/24 dev lan0")
	a := start(t, 1, netA, nil, "127.0.0.1:4747")
	eventually(t, "three looks", func() bool { return a.looks() >= 3 })
	if open(t) {
		t.Error("port 5353 is open")
	}
	a.move("10.0.0.1:4747") // and this is how it would look
	eventually(t, "an open port", func() bool { return open(t) })
	a.move("127.0.0.1:4747")
	eventually(t, "a closed port", func() bool { return !open(t) })
	a.stop()
}

// open reports whether somebody has the port of multicast DNS.
func open(t *testing.T) bool {
	t.Helper()
	for _, family := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := os.ReadFile(family)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if strings.Contains(string(b), ":14E9 ") {
			return true
		}
	}
	return false
}
