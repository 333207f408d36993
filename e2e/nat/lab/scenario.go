//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"
)

// Scenario is an internet that the tests use, for people to look at too.
type Scenario struct {
	Name   string
	About  string
	Public netip.Prefix // TestNet if not given
	IPv6   bool         // there is IPv6 besides
	Needs  []string     // programs that only some scenarios need
	build  func(l *Lab) error
}

// Scenarios are all that there are.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "matrix", About: "two public computers, and two homes behind each kind of NAT", build: matrix},
		{Name: "mapping", About: "homes whose routers forward ports by UPnP, NAT-PMP or PCP, and one behind a symmetric NAT", Public: Routable, Needs: []string{"miniupnpd"}, build: mapping},
		{Name: "blocked", About: "two homes where no UDP passes, and one where it does", build: blocked},
		{Name: "loss", About: fmt.Sprintf("%d pairs of public computers that lose %d %% of the packets that come to them", LossPairs, LossPercent), build: loss},
		{Name: "relay", About: "two homes behind symmetric NATs, and two public computers that can relay", build: relay},
		{Name: "strangers", About: "homes whose only help is a node of other people, and a TURN server", Needs: []string{"turnserver"}, build: strangers},
		{Name: "invited", About: "a home that invites another, where only a relay can bring the two together", build: invited},
		{Name: "by-hand", About: "two homes, and a public computer that is none of theirs", build: byHand},
		{Name: "by-hand-mapped", About: "two homes whose routers forward ports by UPnP, and nobody else", Public: Routable, Needs: []string{"miniupnpd"}, build: byHandMapped},
		{Name: "twins", About: "two homes with the same private addresses, and two computers in one of them", build: twins},
		{Name: "flip", About: "a home whose uplink changes, a home to move to, and one that stays", build: flip},
		{Name: "carrier", About: "two homes behind one carrier's NAT, whose own routers forward ports, and one elsewhere", Needs: []string{"miniupnpd"}, build: carrier},
		{Name: "ipv6", About: "computers and homes with IPv4, IPv6 or both, where IPv6 is behind firewalls and not translated", IPv6: true, build: ipv6},
		{Name: "ipv6-blocked", About: "two homes with IPv6 only where no UDP passes, and one where it does", IPv6: true, build: ipv6Blocked},
		{Name: "ipv6-flip", About: "a home with IPv6 only whose prefix changes, a second computer in it, and a home that stays", IPv6: true, build: ipv6Flip},
		{Name: "ipv6-pinned", About: "two homes with IPv6 only, one of which has opened a port, and nobody else", IPv6: true, build: ipv6Pinned},
	}
}

// Find is the scenario with a name.
func Find(name string) (Scenario, error) {
	var names []string
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("there is no scenario %q but %s", name, strings.Join(names, ", "))
}

// Build builds the internet. No node runs yet. What was built is returned with an
// error too, to be closed.
func (s Scenario) Build(o Options) (*Lab, error) {
	o.Public, o.IPv6 = s.Public, s.IPv6
	l, err := New(o)
	if err == nil {
		err = s.build(l)
	}
	if err != nil {
		return l, fmt.Errorf("build %s: %w", s.Name, err)
	}
	return l, nil
}

// public adds R1 and R2.
func public(l *Lab) error {
	for i, name := range []string{"R1", "R2"} {
		if _, err := l.Public(name, 11+i); err != nil {
			return err
		}
	}
	return nil
}

func matrix(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for _, nat := range NATs() {
		for _, which := range []string{"-a", "-b"} {
			name, _, _ := strings.Cut(string(nat), "-") // address, port
			name, _, _ = strings.Cut(name, " ")         // full
			if _, err := l.Home(name+which, nat); err != nil {
				return err
			}
		}
	}
	return nil
}

func mapping(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for _, protocol := range []string{"upnp", "nat_pmp", "pcp"} {
		h, err := l.Home(protocol, PortRestricted)
		if err != nil {
			return err
		}
		if err := h.Router.Set(Rules{NAT: PortRestricted, Forward: protocol}); err != nil {
			return err
		}
	}
	_, err := l.Home("symmetric", Symmetric)
	return err
}

func blocked(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for _, name := range []string{"office-a", "office-b"} {
		h, err := l.Home(name, PortRestricted)
		if err != nil {
			return err
		}
		if err := h.Router.Set(Rules{NAT: PortRestricted, BlockUDP: true}); err != nil {
			return err
		}
	}
	_, err := l.Home("home", PortRestricted)
	return err
}

// Of the scenario loss.
const (
	LossPairs   = 5
	LossPercent = 30
)

func loss(l *Lab) error {
	for i := range LossPairs {
		for n, name := range []string{"from", "to"} {
			h, err := l.Public(fmt.Sprintf("%s-%d", name, i), 11+2*i+n)
			if err != nil {
				return err
			}
			if err := h.Lose(LossPercent); err != nil {
				return err
			}
		}
	}
	return nil
}

func relay(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for _, name := range []string{"symmetric-a", "symmetric-b"} {
		if _, err := l.Home(name, Symmetric); err != nil {
			return err
		}
	}
	return nil
}

func strangers(l *Lab) error {
	for i, name := range []string{"meeting-point", "server"} {
		if _, err := l.Public(name, 11+i); err != nil {
			return err
		}
	}
	for _, nat := range []NAT{PortRestricted, Symmetric} {
		name, _, _ := strings.Cut(string(nat), "-")
		for _, which := range []string{"-a", "-b"} {
			if _, err := l.Home(name+which, nat); err != nil {
				return err
			}
		}
	}
	return nil
}

func invited(l *Lab) error {
	if _, err := l.Public("R1", 11); err != nil {
		return err
	}
	if _, err := l.Home("host", PortRestricted); err != nil {
		return err
	}
	_, err := l.Home("guest", Symmetric)
	return err
}

func byHand(l *Lab) error {
	if _, err := l.Public("R1", 11); err != nil {
		return err
	}
	return homes(l, Rules{NAT: PortRestricted})
}

func byHandMapped(l *Lab) error { return homes(l, Rules{NAT: PortRestricted, Forward: "upnp"}) }

// homes adds home-a and home-b.
func homes(l *Lab, rules Rules) error {
	for _, name := range []string{"home-a", "home-b"} {
		h, err := l.Home(name, rules.NAT)
		if err != nil {
			return err
		}
		if err := h.Router.Set(rules); err != nil {
			return err
		}
	}
	return nil
}

func twins(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for i, home := range []string{"twin-a", "twin-b"} {
		r, err := l.router(home+"-router", PortRestricted, l.wan, 101+i, "192.168.1.0/24")
		if err != nil {
			return err
		}
		if _, err := l.host(home, PortRestricted, r, r.inner, 2); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if _, err := l.host("sister-of-a", PortRestricted, r, r.inner, 3); err != nil {
			return err
		}
	}
	return nil
}

func flip(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	for _, name := range []string{"mover", "stayer", "cafe"} {
		if _, err := l.Home(name, PortRestricted); err != nil {
			return err
		}
	}
	return nil
}

func carrier(l *Lab) error {
	if err := public(l); err != nil {
		return err
	}
	c, err := l.Carrier("carrier", PortRestricted)
	if err != nil {
		return err
	}
	for _, name := range []string{"inside-a", "inside-b"} {
		h, err := l.HomeBehind(c, name, PortRestricted)
		if err != nil {
			return err
		}
		if err := h.Router.Set(Rules{NAT: PortRestricted, Forward: "all"}); err != nil {
			return err
		}
	}
	_, err = l.Home("elsewhere", PortRestricted)
	return err
}

func ipv6(l *Lab) error {
	l.stack = Dual
	if err := public(l); err != nil {
		return err
	}
	for _, h := range []struct {
		name  string
		stack Stack
		nat   NAT
	}{
		{"four-public", IPv4, None},
		{"six-public", IPv6, None},
		{"four-home", IPv4, PortRestricted},
		{"six-home-a", IPv6, Firewall},
		{"six-home-b", IPv6, Firewall},
		{"dual-home-a", Dual, PortRestricted},
		{"dual-home-b", Dual, Symmetric},
	} {
		l.stack = h.stack
		if _, err := l.Home(h.name, h.nat); err != nil {
			return err
		}
	}
	return nil
}

func ipv6Blocked(l *Lab) error {
	l.stack = Dual
	if err := public(l); err != nil {
		return err
	}
	l.stack = IPv6
	for _, name := range []string{"office-a", "office-b", "home"} {
		h, err := l.Home(name, Firewall)
		if err != nil {
			return err
		}
		if err := h.Router.Set(Rules{NAT: Firewall, BlockUDP: name != "home"}); err != nil {
			return err
		}
	}
	return nil
}

func ipv6Flip(l *Lab) error {
	l.stack = Dual
	if err := public(l); err != nil {
		return err
	}
	l.stack = IPv6
	mover, err := l.Home("mover", Firewall)
	if err != nil {
		return err
	}
	if _, err := l.host("sister", Firewall, mover.Router, mover.Router.inner, 3); err != nil {
		return err
	}
	_, err = l.Home("stayer", Firewall)
	return err
}

func ipv6Pinned(l *Lab) error {
	l.stack = IPv6
	for _, name := range []string{"pinned", "guest"} {
		if _, err := l.Home(name, Firewall); err != nil {
			return err
		}
	}
	return l.Host("pinned").Router.Set(Rules{NAT: Firewall, Open: 4747})
}
