//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NAT is how a router translates and filters, in the words of RFC 3489.
type NAT string

// The kinds of NAT. Mapping and filtering (RFC 4787) are what shoal is to find out.
const (
	None              NAT = "none"
	FullCone          NAT = "full cone"          // both independent of the endpoint
	AddressRestricted NAT = "address-restricted" // independent, address dependent
	PortRestricted    NAT = "port-restricted"    // independent, address and port dependent
	Symmetric         NAT = "symmetric"          // both address and port dependent
	// Firewall translates nothing and lets in only answers: what homes have with IPv6.
	Firewall NAT = "firewall"
)

// NATs are all kinds, without Firewall.
func NATs() []NAT { return []NAT{None, FullCone, AddressRestricted, PortRestricted, Symmetric} }

// Behaviour is the mapping and filtering that GET /api/network is to report.
func (n NAT) Behaviour() (mapping, filtering string) {
	const independent, address, port = "endpoint_independent", "address_dependent", "address_port_dependent"
	switch n {
	case FullCone:
		return independent, independent
	case AddressRestricted:
		return independent, address
	case PortRestricted:
		return independent, port
	case Symmetric:
		return port, port
	case Firewall:
		return "none", port
	}
	return "none", "open"
}

// NeedsRelay reports whether no packet can go directly between computers behind a
// and b: neither can know from which port the other's packets will come.
func NeedsRelay(a, b NAT) bool {
	pair := []NAT{a, b}
	return a == Symmetric && b == Symmetric || slices.Contains(pair, Symmetric) && slices.Contains(pair, PortRestricted)
}

// Router is a router between two segments.
type Router struct {
	Name   string
	lab    *Lab
	space  space
	outer  *Segment
	inner  *Segment
	addr   netip.Addr // in outer, of IPv4; invalid: none
	number int        // of the addresses in outer
	rules  Rules
	daemon *process // that forwards ports
}

// Addr is the router's address outside.
func (r *Router) Addr() netip.Addr { return r.addr }

// Rules are how a router treats packets.
type Rules struct {
	NAT      NAT
	BlockUDP bool   // no UDP passes, as in some offices
	Forward  string // ports forwarded on request: "", "upnp", "nat_pmp", "pcp" or "all"
	Open     uint16 // a port to which everybody gets over IPv6, on all computers; 0: none
}

func (l *Lab) router(name string, nat NAT, outer *Segment, n int, inside string) (*Router, error) {
	s, err := l.space(name)
	if err != nil {
		return nil, err
	}
	r := &Router{Name: name, lab: l, space: s, outer: outer, number: n, inner: &Segment{space: s, bridge: "l1"}}
	if l.stack&IPv4 != 0 {
		r.addr, r.inner.prefix = outer.at(n), netip.MustParsePrefix(inside)
	}
	l.routers = append(l.routers, r)
	if l.stack&IPv6 != 0 {
		if err := errors.Join(s.enable6(), s.set("ipv6/conf/all/forwarding", "1")); err != nil {
			return nil, err
		}
		r.inner.prefix6 = []netip.Prefix{l.prefix6(), local6}
	}
	if err := r.inner.up(); err != nil {
		return nil, err
	}
	if err := outer.plug(s, "w0", n, l.stack); err != nil {
		return nil, err
	}
	if l.stack&IPv6 != 0 {
		if err := outer.space.ip(r.delegated("add")); err != nil {
			return nil, err
		}
	}
	if err := s.set("ipv4/ip_forward", "1"); err != nil {
		return nil, err
	}
	return r, r.Set(Rules{NAT: nat})
}

// Set gives the router other rules and restarts it: it forgets all connections.
func (r *Router) Set(rules Rules) error {
	if r.daemon != nil {
		r.daemon.kill()
		r.daemon = nil
	}
	r.rules = rules
	if err := r.space.nft(rules.text()); err != nil {
		return fmt.Errorf("rules of %s: %w", r.Name, err)
	}
	if err := r.space.forget(); err != nil {
		return fmt.Errorf("restart %s: %w", r.Name, err)
	}
	if rules.Forward == "" {
		return nil
	}
	return r.forwardPorts()
}

// Readdress gives the router the address outside that ends in n, and takes the old
// one away: what a provider does at night. Those inside are not told.
func (r *Router) Readdress(n int) error {
	old := r.addr
	r.addr = r.outer.at(n)
	bits := r.outer.prefix.Bits()
	err := r.space.ip(
		fmt.Sprintf("addr del %s/%d dev w0", old, bits),
		fmt.Sprintf("addr add %s/%d dev w0", r.addr, bits),
		fmt.Sprintf("route replace default via %s dev w0", r.outer.at(1)),
	)
	if err != nil {
		return err
	}
	return r.space.forget()
}

// prefix6 is a prefix that no home has yet.
func (l *Lab) prefix6() netip.Prefix {
	b := public6.Addr().As16()
	b[5] = byte(l.lan())
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// delegated adds or deletes the way from outside to the home's prefix.
func (r *Router) delegated(verb string) string {
	return fmt.Sprintf("route %s %s via %s dev %s", verb, r.inner.prefix6[0], r.outer.at6(r.number), r.outer.bridge)
}

// Renumber gives the home another prefix of IPv6, which some providers do every day.
// Those inside are told: they have a new address, and the old one is for what began with
// it only (it is deprecated), although nothing comes there any more.
func (r *Router) Renumber() error {
	old := r.inner.prefix6[0]
	if err := r.outer.space.ip(r.delegated("del")); err != nil {
		return err
	}
	r.inner.prefix6[0] = r.lab.prefix6()
	if err := r.outer.space.ip(r.delegated("add")); err != nil {
		return err
	}
	if err := r.space.ip(
		fmt.Sprintf("addr del %s/64 dev l1", nth(old, 1)),
		fmt.Sprintf("addr add %s/64 dev l1 nodad", r.inner.at6(1)),
	); err != nil {
		return err
	}
	for _, h := range r.lab.hosts {
		if h.Router != r || h.Stack&IPv6 == 0 {
			continue
		}
		was := h.Addr6
		b := was.As16()
		h.Addr6 = r.inner.at6(int(b[15]))
		if err := h.space.ip(
			fmt.Sprintf("addr change %s/64 dev %s preferred_lft 0 valid_lft 7200", was, hostLink),
			fmt.Sprintf("addr add %s/64 dev %s nodad", h.Addr6, hostLink),
		); err != nil {
			return err
		}
	}
	return r.space.forget()
}

// text is the rules as nft reads them. What comes in on w0 for the router itself is
// dropped: otherwise an early packet of a peer makes a connection with the router,
// which then keeps the computer behind it from being mapped to that port.
func (r Rules) text() string {
	udp := ""
	if r.BlockUDP {
		udp = `meta l4proto udp drop;`
	}
	open := ""
	if r.Open != 0 {
		open = fmt.Sprintf(`meta nfproto ipv6 meta l4proto { tcp, udp } th dport %d accept;`, r.Open)
	}
	nat := r.NAT.text()
	if r.Forward != "" {
		nat = forwarding // which masquerades too
	}
	return nat + `
table inet f {
 chain forwarding { type filter hook forward priority 0; policy drop; ` + udp + ` iifname "l1" accept; ct state established,related accept; ct status dnat accept; ` + open + ` }
 chain incoming { type filter hook input priority 0; policy accept; iifname "w0" ct state new drop; ` + r.onlyOne() + ` }
}
`
}

// text is the table that translates. The kernel maps independently of the endpoint
// and filters by address and port, unless it is told to take any port. The dynamic
// map forwards what comes to a mapped port from anybody, and the set keeps out those
// to whose address nothing was sent.
func (n NAT) text() string {
	const (
		table = `map fc { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 5m; size 65535; }
`
		post = ` chain post { type nat hook postrouting priority srcnat; `
		note = `oifname "w0" meta l4proto udp update @fc { udp sport : ip saddr . udp sport }; oifname "w0" masquerade; }
`
	)
	switch n {
	case FullCone:
		return "table ip n {\n " + table +
			` chain pre { type nat hook prerouting priority dstnat; iifname "w0" meta l4proto udp dnat ip to udp dport map @fc; }
` + post + note + "}\n"
	case AddressRestricted:
		return "table ip n {\n " + table +
			` set seen { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 2m; size 65535; }
 chain pre { type nat hook prerouting priority dstnat; iifname "w0" meta l4proto udp ip saddr . udp dport @seen dnat ip to udp dport map @fc; }
` + post + `oifname "w0" meta l4proto udp update @seen { ip daddr . udp sport }; ` + note + "}\n"
	case PortRestricted:
		return "table ip n {\n" + post + "oifname \"w0\" masquerade; }\n}\n"
	case Symmetric:
		return "table ip n {\n" + post + "oifname \"w0\" masquerade fully-random; }\n}\n"
	}
	return ""
}

// forwarding is what miniupnpd wants to find, around a port-restricted NAT.
const forwarding = `table inet filter {
 chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
 chain miniupnpd { }
 chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
 chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; oifname "w0" masquerade; }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
}
`

// onlyOne drops requests of those protocols that the daemon cannot be told to leave
// out. NAT-PMP and PCP share a port; the first byte of a request is the version.
func (r Rules) onlyOne() string {
	switch r.Forward {
	case "nat_pmp":
		return `udp dport 5351 @th,64,8 != 0 drop;`
	case "pcp":
		return `udp dport 5351 @th,64,8 != 2 drop;`
	}
	return ""
}

// forwardPorts starts miniupnpd.
func (r *Router) forwardPorts() error {
	dir, err := r.lab.Dir(r.Name)
	if err != nil {
		return err
	}
	yes := func(protocols ...string) string {
		if r.rules.Forward == "all" || slices.Contains(protocols, r.rules.Forward) {
			return "yes"
		}
		return "no"
	}
	conf := filepath.Join(dir, "miniupnpd.conf")
	text := strings.Join([]string{
		"ext_ifname=w0", "listening_ip=l1",
		"enable_natpmp=" + yes("nat_pmp", "pcp"), "enable_upnp=" + yes("upnp"), "secure_mode=yes",
		"uuid=11111111-2222-3333-4444-555555555555", "http_port=0",
		"upnp_forward_chain=miniupnpd", "upnp_nat_chain=prerouting_miniupnpd", "upnp_nat_postrouting_chain=postrouting_miniupnpd",
		"allow 1024-65535 0.0.0.0/0 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535", "",
	}, "\n")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	if err := r.space.ip("route replace 239.0.0.0/8 dev l1"); err != nil {
		return err
	}
	cmd := r.space.command("miniupnpd", "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))
	r.daemon, err = r.lab.start(cmd, filepath.Join(dir, "log"))
	return err
}

// Forwarded are the ports that the router forwards on somebody's request, one rule a
// line. Empty: none.
func (r *Router) Forwarded() (string, error) {
	out, err := r.space.command("nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd").Output()
	if err != nil {
		return "", fmt.Errorf("ports that %s forwards: %w", r.Name, err)
	}
	var rules []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dnat") {
			rules = append(rules, strings.TrimSpace(line))
		}
	}
	return strings.Join(rules, "\n"), nil
}
