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

// Options of a lab.
type Options struct {
	Dir     string       // for data and logs; it must exist
	Program string       // shoal
	Prefix  string       // of the names of its namespaces, where there are several labs
	Public  netip.Prefix // a /24; TestNet if not given
}

// Lab is an internet. Its methods that build may not be called at the same time.
type Lab struct {
	o       Options
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
	space   space  // where the bridge is
	bridge  string // its interface, with the first address of prefix
	prefix  netip.Prefix
	plugged int
}

// at is the n-th address of the segment.
func (s *Segment) at(n int) netip.Addr {
	a := s.prefix.Addr().As4()
	a[3] = byte(n)
	return netip.AddrFrom4(a)
}

// New makes an internet with nobody in it.
func New(o Options) (*Lab, error) {
	if !o.Public.IsValid() {
		o.Public = TestNet
	}
	l := &Lab{o: o}
	s, err := l.space("internet")
	if err != nil {
		return l, err
	}
	l.wan = &Segment{space: s, bridge: "br0", prefix: o.Public}
	return l, l.wan.up()
}

// space makes a namespace.
func (l *Lab) space(name string) (space, error) {
	s := space(l.o.Prefix + name)
	l.spaces = append(l.spaces, s)
	return s, s.add()
}

func (s *Segment) up() error {
	return s.space.ip(
		"link add "+s.bridge+" type bridge",
		fmt.Sprintf("addr add %s/%d dev %s", s.at(1), s.prefix.Bits(), s.bridge),
		"link set "+s.bridge+" up",
	)
}

// plug gives who an interface at an address of the segment, and the way out.
func (s *Segment) plug(who space, iface string, addr netip.Addr) error {
	s.plugged++
	port := fmt.Sprintf("p%d", s.plugged)
	err := run("", "ip", "link", "add", iface, "netns", string(who), "type", "veth", "peer", "name", port, "netns", string(s.space))
	if err != nil {
		return err
	}
	// Multicast does not cross an internet.
	err = s.space.ip("link set "+port+" master "+s.bridge, "link set "+port+" up")
	if err == nil && s.bridge == "br0" {
		err = s.space.ip("link set " + port + " type bridge_slave mcast_flood off")
	}
	if err != nil {
		return err
	}
	return who.ip(
		"link set "+iface+" gso_max_segs 1",
		fmt.Sprintf("addr add %s/%d dev %s", addr, s.prefix.Bits(), iface),
		"link set "+iface+" up",
		fmt.Sprintf("route add default via %s dev %s", s.at(1), iface),
	)
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
	h := &Host{Name: name, NAT: nat, Router: r, Addr: s.at(n), lab: l, space: sp}
	h.client = newClient(sp)
	l.hosts = append(l.hosts, h)
	return h, s.plug(sp, hostLink, h.Addr)
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
