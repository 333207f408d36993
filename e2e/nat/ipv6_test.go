//go:build linux

package nat

import (
	"net"
	"net/netip"
	"testing"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestIPv6: nodes with IPv4, IPv6 or both are all linked, directly where two have a
// protocol in common (firewalls on both sides are opened from both sides, with the help
// of a common member), and where they have none through a member that has both. Each
// finds out which protocols it has, and how it is seen.
func TestIPv6(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "ipv6"))
	settle(t, n, func(p lab.Pair) string {
		common := p.A.Stack & p.B.Stack
		switch {
		case !p.Linked():
			return "not linked"
		case p.Disagreement() != "":
			return "the ends do not agree: " + p.Disagreement()
		case common == 0 && !p.Relayed():
			return "not relayed, without a protocol in common"
		case common != 0 && p.Relayed() && !(common == lab.IPv4 && lab.NeedsRelay(p.A.NAT, p.B.NAT)):
			return "relayed without need"
		case !p.Relayed() && common == lab.IPv6 && !ends6(p.AB.Path):
			return "IPv6 is not shown as such"
		}
		return ""
	})
	for _, h := range n.Hosts {
		four, six := h.Stack&lab.IPv4 != 0, h.Stack&lab.IPv6 != 0
		mapping, filtering := h.NAT.Behaviour()
		right := func(r report) bool {
			return r.IPv4 == four && r.IPv6 == six && r.Mapping == mapping && r.Filtering == filtering
		}
		r, err := ask(h, right)
		if err != nil {
			t.Fatal(err)
		}
		if !right(r) {
			t.Errorf("%s: %v; want IPv4 %v, IPv6 %v, mapping %q, filtering %q", h.Name, r, four, six, mapping, filtering)
		}
		if external, _ := r.External.(string); h.Stack == lab.IPv6 && external != netip.AddrPortFrom(h.Addr6, 4747).String() {
			t.Errorf("%s: seen at %q, want its own address %s", h.Name, external, h.Addr6)
		}
		checkAddrs(t, h)
	}
}

// ends6 reports whether both ends of a path are addresses of IPv6, written as such.
func ends6(p lab.Path) bool {
	for _, text := range []string{p.Local, p.Remote} {
		a, err := netip.ParseAddrPort(text)
		if err != nil || !a.Addr().Is6() || a.String() != text {
			return false
		}
	}
	return true
}

// checkAddrs checks what the API says of a node's own addresses: all that lead to it,
// and none that mean something on one wire only.
func checkAddrs(t *testing.T, h *lab.Host) {
	t.Helper()
	var node struct{ P2P []string }
	if err := h.Call("GET", "/api/node", nil, &node); err != nil {
		t.Fatal(err)
	}
	got := map[netip.Addr]bool{}
	for _, text := range node.P2P {
		a, err := netip.ParseAddrPort(text)
		if err != nil || a.Port() != 4747 || a.Addr().IsLinkLocalUnicast() || a.Addr().Is4In6() {
			t.Errorf("%s: %q among the addresses of its port (%v)", h.Name, text, err)
		}
		got[a.Addr()] = true
	}
	for _, want := range []netip.Addr{h.Addr, h.Addr6, h.Local6} {
		if want.IsValid() && !got[want] {
			t.Errorf("%s: %s is not among the addresses %v", h.Name, want, node.P2P)
		}
	}
}

// TestIPv6Blocked: where no UDP passes, links run over TCP, also over IPv6 alone.
func TestIPv6Blocked(t *testing.T) {
	t.Parallel()
	n := join(t, build(t, "ipv6-blocked"))
	settle(t, n, blockedFault)
}

// TestIPv6Flip: the provider gives a home another prefix. Links of its computers work
// again soon, in both directions, and those within the home go on.
func TestIPv6Flip(t *testing.T) {
	t.Parallel()
	l := build(t, "ipv6-flip")
	n := join(t, l)
	linked(t, n)
	mover := l.Host("mover")
	probes := []probe{
		newProbe(t, mover, l.Host("R1")), newProbe(t, mover, l.Host("stayer")), newProbe(t, mover, l.Host("sister")),
		newProbe(t, l.Host("R2"), mover), newProbe(t, l.Host("stayer"), mover),
	}
	again(t, n, probes, "the home got another prefix", mover.Router.Renumber)
	settle(t, n, func(p lab.Pair) string {
		switch {
		case !p.Linked():
			return "not linked"
		case p.Disagreement() != "":
			return "the ends do not agree: " + p.Disagreement()
		case p.Relayed():
			return "relayed without need"
		}
		return ""
	})
	checkAddrs(t, mover)
}

// TestIPv6Pinned: a home has opened the port in its firewall and says so. A home behind
// a firewall joins it there, and nobody else is needed.
func TestIPv6Pinned(t *testing.T) {
	t.Parallel()
	l := build(t, "ipv6-pinned")
	pinned := l.Host("pinned")
	pinned.Flags = []string{"--announce", netip.AddrPortFrom(pinned.Addr6, 4747).String()}
	n := join(t, l)
	linked(t, n)
	right := func(r report) bool { return r.Forwarded.Manual && r.IPv6 && r.Reachable == true }
	r, err := ask(pinned, right)
	if err != nil {
		t.Fatal(err)
	}
	if external, _ := r.External.(string); !right(r) || external != netip.AddrPortFrom(pinned.Addr6, 4747).String() {
		t.Errorf("%s: %v; want it reachable at the address that is announced", pinned.Name, r)
	}
	checkAddrs(t, pinned)
}

// TestFirewalls: the lab's routers keep out strangers over IPv6, let in answers, and
// whatever comes to a port that is open. No node runs.
func TestFirewalls(t *testing.T) {
	l := build(t, "ipv6-pinned")
	pinned, guest := l.Host("pinned"), l.Host("guest")
	at := func(c *net.UDPConn, h *lab.Host) netip.AddrPort {
		return netip.AddrPortFrom(h.Addr6, uint16(c.LocalAddr().(*net.UDPAddr).Port))
	}
	open, shut, inside := listen(t, pinned, 4747), listen(t, pinned, 5000), listen(t, guest, 0)
	if !passes(t, inside, open, at(open, pinned)) {
		t.Error("nothing comes to a port that is open")
	}
	if passes(t, shut, inside, at(inside, guest)) {
		t.Error("who was sent something gets in from another port")
	}
	if !passes(t, inside, shut, at(shut, pinned)) {
		t.Error("what both have sent does not open both firewalls")
	}
	if passes(t, listen(t, guest, 0), shut, at(shut, pinned)) {
		t.Error("a stranger gets in")
	}
}
