package server

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// host is the authority of a request or of an origin in its one spelling: a
// lower-case name without trailing dot, or an address, and the port as written.
type host struct {
	name string
	addr netip.Addr // valid when name is an IP literal
	port string     // digits, or empty
}

// parseHost reads "name", "name:port", "1.2.3.4:port" or "[v6]:port". What
// browsers and resolvers read in more than one way (127.1, 0x7f000001,
// 2130706433, zones, user names) has no meaning here: such a text is an error or
// an ordinary name, and no ordinary name that looks like a number is accepted.
func parseHost(text string) (host, error) {
	if len(text) > 262 { // 255 of a DNS name, a colon, five digits, a dot
		return host{}, fmt.Errorf("%w: it has %d characters", errHost, len(text))
	}
	var h host
	var rest string
	if literal, bracketed := strings.CutPrefix(text, "["); bracketed {
		inside, after, closed := strings.Cut(literal, "]")
		addr, err := netip.ParseAddr(inside)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return host{}, fmt.Errorf("%w: %q is no address", errHost, text)
		}
		h.name, h.addr, rest = addr.String(), addr, after
	} else {
		name, port, colon := strings.Cut(text, ":")
		h.name = strings.ToLower(strings.TrimSuffix(name, "."))
		if !validName(h.name) {
			return host{}, fmt.Errorf("%w: %q is no host name", errHost, text)
		}
		if addr, err := netip.ParseAddr(h.name); err == nil {
			h.addr = addr
		}
		if colon {
			rest = ":" + port
		}
	}
	if rest == "" {
		return h, nil
	}
	if rest[0] != ':' || len(rest) > 6 || strings.Trim(rest[1:], "0123456789") != "" {
		return host{}, fmt.Errorf("%w: %q has no valid port", errHost, text)
	}
	h.port = rest[1:]
	return h, nil
}

// validName reports whether name is made of labels of letters, digits, hyphens
// and underscores (which Docker allows), and has no empty label.
func validName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// String spells h so that it can stand in a header.
func (h host) String() string {
	name := h.name
	if h.addr.Is6() {
		name = "[" + name + "]"
	}
	if h.port == "" {
		return name
	}
	return name + ":" + h.port
}

// isLoopback reports whether h can only mean this computer.
func (h host) isLoopback() bool {
	return h.name == "localhost" || h.addr.IsLoopback()
}

// hostList says by which names this server may be called. Against DNS rebinding
// (a name of the attacker that resolves to our address) this is the only
// defence there is, since for the browser such a page is of the same origin.
type hostList struct {
	names  map[string]bool // localhost, and names given by options
	given  map[string]bool // names given by options: a proxy may speak TLS for these
	bound  string          // the address that the server is bound to, if it is one
	beyond bool            // bound beyond loopback: own interface addresses count too

	interfaces func() ([]net.Addr, error)
	now        func() time.Time

	mu   sync.Mutex // guards the following fields
	own  []netip.Addr
	read time.Time
}

// ownKept is how long interface addresses are believed; a new one (DHCP, a VPN)
// is known after that long at the latest.
const ownKept = 5 * time.Second

// newHostList allows localhost, the bound address and the names.
func newHostList(bound string, names []string) (*hostList, error) {
	l := &hostList{
		names:      map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		given:      map[string]bool{},
		interfaces: net.InterfaceAddrs,
		now:        time.Now,
	}
	for _, text := range names {
		h, err := parseHost(text)
		if err != nil {
			return nil, fmt.Errorf("server: allowed host: %w", err)
		}
		if h.addr.IsValid() && h.addr.IsUnspecified() {
			return nil, fmt.Errorf("server: allowed host %s: it means every address and so no host", text)
		}
		l.names[h.name], l.given[h.name] = true, true
	}
	if bound == "" {
		return l, nil
	}
	name, _, err := net.SplitHostPort(bound)
	if err != nil {
		return nil, fmt.Errorf("server: bound address: %w", err)
	}
	addr, err := netip.ParseAddr(name)
	switch {
	case err != nil:
		l.beyond = name != "localhost"
	case addr.IsUnspecified():
		l.beyond = true
	default:
		l.beyond = !addr.Unmap().IsLoopback()
		l.bound = addr.Unmap().WithZone("").String()
		l.names[l.bound] = true
	}
	return l, nil
}

// accepts reports whether this server goes by the name h. The port does not
// matter: a container's or a tunnel's is not ours.
func (l *hostList) accepts(h host) bool {
	if l.names[h.name] {
		return true
	}
	return l.isInterface(h)
}

// isHere reports whether h means this computer, whatever options say.
func (l *hostList) isHere(h host) bool {
	return h.isLoopback() || h.name == l.bound || l.isInterface(h)
}

// isInterface reports whether the server can be reached at h as an interface's
// address.
func (l *hostList) isInterface(h host) bool {
	return l.beyond && h.addr.IsValid() && !h.addr.IsUnspecified() && l.isOwn(h.addr)
}

// isOwn reports whether one of this computer's interfaces has addr.
func (l *hostList) isOwn(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); l.read.IsZero() || now.Sub(l.read) > ownKept {
		l.read, l.own = now, l.own[:0]
		addrs, err := l.interfaces()
		if err != nil {
			return false
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.own = append(l.own, p.Addr().Unmap().WithZone(""))
			}
		}
	}
	return slices.Contains(l.own, addr)
}
