//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
)

// The addresses of the public part. Gateways that forward ports take TestNet for
// private and refuse; they want Routable.
var (
	TestNet  = netip.MustParsePrefix("203.0.113.0/24")
	Routable = netip.MustParsePrefix("80.100.100.0/24")
)

// The addresses of IPv6: those of the public part, those that homes have besides, which
// mean nothing outside and are the same in all homes, and that of every way out.
var (
	public6 = netip.MustParsePrefix("2001:db8::/64")
	local6  = netip.MustParsePrefix("fd00::/64")
	wayOut6 = netip.MustParseAddr("fe80::1")
)

// Stack is which protocols a network has.
type Stack int

// The stacks.
const (
	IPv4 Stack = 1 << iota
	IPv6
	Dual = IPv4 | IPv6
)

// Options of a lab.
type Options struct {
	Dir     string       // for data and logs; it must exist
	Program string       // shoal
	Prefix  string       // of the names of its namespaces, where there are several labs
	Public  netip.Prefix // a /24; TestNet if not given
	IPv6    bool         // there is IPv6 besides
}

// Lab is an internet. Its methods that build may not be called at the same time.
type Lab struct {
	o       Options
	stack   Stack // of what is added from now on
	wan     *Segment
	homes   int // that were numbered
	lans    int
	hosts   []*Host
	routers []*Router
	spaces  []space

	mu        sync.Mutex
	processes []*process
}

// Segment is what computers are plugged into: a bridge with the gateway's address.
type Segment struct {
	space   space          // where the bridge is
	bridge  string         // its interface, with the first address of each prefix
	prefix  netip.Prefix   // of IPv4; invalid: there is none
	prefix6 []netip.Prefix // of IPv6, the first as others see it
	plugged int
}

// at is the n-th address of the segment, or none.
func (s *Segment) at(n int) netip.Addr { return nth(s.prefix, n) }

// at6 is the n-th address of IPv6 that others see, or none.
func (s *Segment) at6(n int) netip.Addr {
	if len(s.prefix6) == 0 {
		return netip.Addr{}
	}
	return nth(s.prefix6[0], n)
}

// nth is the address in a prefix that ends in n.
func nth(p netip.Prefix, n int) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	b := p.Addr().AsSlice()
	b[len(b)-1] = byte(n)
	a, _ := netip.AddrFromSlice(b) // as long as an address is
	return a
}

// New makes an internet with nobody in it.
func New(o Options) (*Lab, error) {
	if !o.Public.IsValid() {
		o.Public = TestNet
	}
	l := &Lab{o: o, stack: IPv4}
	s, err := l.space("internet")
	if err != nil {
		return l, err
	}
	l.wan = &Segment{space: s, bridge: "br0", prefix: o.Public}
	if o.IPv6 {
		l.wan.prefix6 = []netip.Prefix{public6}
		if err := errors.Join(s.enable6(), s.set("ipv6/conf/all/forwarding", "1")); err != nil {
			return l, err
		}
	}
	return l, l.wan.up()
}

// space makes a namespace.
func (l *Lab) space(name string) (space, error) {
	s := space(l.o.Prefix + name)
	l.spaces = append(l.spaces, s)
	return s, s.add()
}

func (s *Segment) up() error {
	lines := append([]string{"link add " + s.bridge + " type bridge"}, s.take(1, s.bridge, Dual)...)
	if len(s.prefix6) > 0 {
		lines = append(lines, fmt.Sprintf("addr add %s/64 dev %s nodad", wayOut6, s.bridge))
	}
	return s.space.ip(append(lines, "link set "+s.bridge+" up")...)
}

// take is how an interface takes the n-th addresses, as far as it has the protocols.
func (s *Segment) take(n int, iface string, stack Stack) (lines []string) {
	if stack&IPv4 != 0 && s.prefix.IsValid() {
		lines = append(lines, fmt.Sprintf("addr add %s/%d dev %s", s.at(n), s.prefix.Bits(), iface))
	}
	for _, p := range s.prefix6 {
		if stack&IPv6 != 0 {
			lines = append(lines, fmt.Sprintf("addr add %s/%d dev %s nodad", nth(p, n), p.Bits(), iface))
		}
	}
	return lines
}

// plug gives who an interface at the n-th addresses of the segment, and the way out.
func (s *Segment) plug(who space, iface string, n int, stack Stack) error {
	s.plugged++
	port := fmt.Sprintf("p%d", s.plugged)
	err := run("", "ip", "link", "add", iface, "netns", string(who), "type", "veth", "peer", "name", port, "netns", string(s.space))
	if err != nil {
		return err
	}
	// Multicast does not cross an internet. IPv6 finds neighbours by it, though.
	err = s.space.ip("link set "+port+" master "+s.bridge, "link set "+port+" up")
	if err == nil && s.bridge == "br0" && len(s.prefix6) == 0 {
		err = s.space.ip("link set " + port + " type bridge_slave mcast_flood off")
	}
	if err != nil {
		return err
	}
	lines := append([]string{"link set " + iface + " gso_max_segs 1", "link set " + iface + " up"}, s.take(n, iface, stack)...)
	if stack&IPv4 != 0 && s.prefix.IsValid() {
		lines = append(lines, fmt.Sprintf("route add default via %s dev %s", s.at(1), iface))
	}
	if stack&IPv6 != 0 && len(s.prefix6) > 0 {
		lines = append(lines, fmt.Sprintf("route add ::/0 via %s dev %s", wayOut6, iface))
	}
	return who.ip(lines...)
}

// Public adds a computer with the public address that ends in n.
func (l *Lab) Public(name string, n int) (*Host, error) { return l.host(name, None, nil, l.wan, n) }

// Home adds a home: a router with a public address, and a computer behind it. One
// without NAT is a computer with a public address.
func (l *Lab) Home(name string, nat NAT) (*Host, error) { return l.HomeBehind(nil, name, nat) }

// HomeBehind is Home with a router that gets its address from a carrier's. Nil: a
// public address.
func (l *Lab) HomeBehind(carrier *Router, name string, nat NAT) (*Host, error) {
	l.homes++
	if nat == None {
		return l.Public(name, 100+l.homes)
	}
	outer := l.wan
	if carrier != nil {
		outer = carrier.inner
	}
	r, err := l.router(name+"-router", nat, outer, 100+l.homes, fmt.Sprintf("10.%d.0.0/24", l.lan()))
	if err != nil {
		return nil, err
	}
	return l.host(name, nat, r, r.inner, 2)
}

// Carrier adds a provider's router behind which there can be homes.
func (l *Lab) Carrier(name string, nat NAT) (*Router, error) {
	l.homes++
	return l.router(name, nat, l.wan, 100+l.homes, fmt.Sprintf("100.64.%d.0/24", l.lan()))
}

func (l *Lab) lan() int {
	l.lans++
	return l.lans
}

func (l *Lab) host(name string, nat NAT, r *Router, s *Segment, n int) (*Host, error) {
	sp, err := l.space(name)
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, NAT: nat, Router: r, Stack: l.stack, lab: l, space: sp}
	h.client = newClient(sp)
	l.hosts = append(l.hosts, h)
	if h.Stack&IPv6 != 0 {
		if err := sp.enable6(); err != nil {
			return nil, err
		}
	}
	return h, h.plug(s, n)
}

// Hosts are all computers in the order in which they were added, without routers.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Host is the computer of a name.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("lab: there is no computer " + name)
}

// Routers are all routers in the order in which they were added.
func (l *Lab) Routers() []*Router { return l.routers }

// routerOf is the router that a segment is behind; nil: it is public.
func (l *Lab) routerOf(s *Segment) *Router {
	for _, r := range l.routers {
		if r.inner == s {
			return r
		}
	}
	return nil
}

// Close ends all processes and removes the namespaces. Data and logs stay.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.processes {
		p.kill()
	}
	var errs []error
	for _, s := range l.spaces {
		errs = append(errs, run("", "ip", "netns", "del", string(s)))
	}
	l.spaces = nil
	return errors.Join(errs...)
}

// Dir is a directory for what belongs to name; it is made.
func (l *Lab) Dir(name string) (string, error) {
	dir := filepath.Join(l.o.Dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}
