package nat

import (
	"net/netip"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Mapping says which destinations get the same external address and port of a
// socket (RFC 4787, section 4.1). Empty: not known.
type Mapping string

// The kinds of mapping, best first.
const (
	MappingNone        Mapping = "none"                   // no translation: others see an address of this computer
	MappingIndependent Mapping = "endpoint_independent"   // all
	MappingAddress     Mapping = "address_dependent"      // those at one IP address
	MappingAddressPort Mapping = "address_port_dependent" // every one gets its own: symmetric
)

// Filtering says whose packets come in through the mapping of a socket (RFC 4787,
// section 5).
type Filtering string

// The kinds of filtering, best first.
const (
	FilteringOpen        Filtering = "open"                   // everybody's, and there is no translation
	FilteringIndependent Filtering = "endpoint_independent"   // everybody's
	FilteringAddress     Filtering = "address_dependent"      // of IP addresses that the socket has sent to
	FilteringAddressPort Filtering = "address_port_dependent" // of addresses and ports that the socket has sent to
	FilteringUnknown     Filtering = "unknown"                // nobody could try
)

// Outcome is what became of something that was tried. Empty: nobody could try.
type Outcome string

// The outcomes.
const (
	Came   Outcome = "came"
	Silent Outcome = "silent"
)

// Truth is yes, no, or empty for not known.
type Truth string

// The truths.
const (
	Yes Truth = "yes"
	No  Truth = "no"
)

// Observations are what one check has seen. The zero value is that of a node that
// could ask nobody.
type Observations struct {
	At        time.Time
	Own       []netip.Addr     // addresses of this computer
	Port      netip.AddrPort   // the p2p port, as it is bound
	Announced []netip.AddrPort // where the owner says that the p2p port can be reached
	Linked    int              // members that have a link
	Servers   int              // STUN servers that the owner names
	Scope     Scope            // of the members that were asked: the widest that any has

	UDP  Outcome // whether anything came over UDP
	TCP  Outcome // whether a TCP connection to a member's port came up
	IPv4 Outcome // whether a member answered over it
	IPv6 Outcome

	Seen      []Sighting // the p2p port, as members see it, best witness first
	Mapping   MappingTrial
	Filtering FilteringTrial
	Reach     []CallBack
	TooOften  bool // a member refused because it was asked too often

	PortMapping PortMapping
	Relays      []Relay
}

// Sighting is one address, seen from another.
type Sighting struct{ By, At netip.AddrPort }

// MappingTrial is how a fresh socket looks from three addresses: those of a
// member's p2p port, of another port of the same member, and of a member with
// another IP address. Invalid: nobody answered there.
type MappingTrial struct{ First, OtherPort, OtherAddr netip.AddrPort }

// FilteringTrial is what came to a fresh socket that had sent to one address and
// port only: from there, from another port of that IP address, and from another IP
// address.
type FilteringTrial struct{ Control, OtherPort, OtherAddr Outcome }

// CallBack is the attempt of a member to reach the p2p port from a port to which
// this node had never sent anything.
type CallBack struct {
	To      netip.AddrPort
	Outcome Outcome
}

// Verdict is how a router answered one of the protocols by which ports are mapped.
// Empty: it was not asked.
type Verdict string

// The verdicts.
const (
	Absent  Verdict = "absent"
	Refused Verdict = "refused"
	Working Verdict = "working"
)

// PortMapping is what the router was asked to do for the p2p port.
type PortMapping struct {
	UPnP, NATPMP, PCP Verdict
	External          netip.AddrPort // that the router forwards to the p2p port; invalid: none
	Router            netip.Addr     // the router's own outside address, if it says one
}

// Relay is a member that forwards for this node.
type Relay struct {
	ID    p2p.ID
	Name  string
	RTT   time.Duration
	InUse bool
	// Given is when it got the last snapshot of whom this node knows, from which it answers for this
	// node; zero: it has none. A Service does not know; Known is how many members are in it.
	Given time.Time
	Known int
}

// Report is what a node knows of its way to others.
type Report struct {
	Checked time.Time // zero: no check has been made yet
	Since   time.Time // when a check first gave this result
	Scope   Scope     // what the report holds for: as far as members are away. Empty: nobody could be asked

	UDP, TCP, IPv4, IPv6 bool
	External             netip.AddrPort // of the p2p port, as others see it; invalid: not known
	Mapping              Mapping
	Filtering            Filtering
	UPnP, NATPMP, PCP    bool // whether the router forwards the p2p port by it
	Manual               bool // whether the owner has announced an address
	DoubleNAT            Truth
	Reachable            Truth
	Relays               []Relay

	Findings []Finding // one for each of the above
	Advice   []string  // sentences: what to do; none: all is well
}

// Finding explains one value of a report.
type Finding struct {
	About    string // "udp", "tcp", "ipv4", "ipv6", "external", "mapping", "filtering", "port_mapping", "double_nat", "reachable", "relays"
	Sentence string
}

// Judge makes the report of observations. It is a pure function.
func Judge(o Observations) Report {
	r := Report{
		Checked: o.At, Since: o.At, Scope: o.Scope,
		UDP: o.UDP == Came, TCP: o.TCP == Came, IPv4: o.IPv4 == Came, IPv6: o.IPv6 == Came,
		Mapping: o.mapping(), Manual: len(o.Announced) > 0, Relays: o.Relays,
		UPnP: o.PortMapping.UPnP == Working, NATPMP: o.PortMapping.NATPMP == Working, PCP: o.PortMapping.PCP == Working,
	}
	r.Filtering = o.filtering(r.Mapping)
	r.Reachable = o.reachable(r.Filtering)
	r.External = o.external(r.Filtering)
	r.DoubleNAT = o.doubleNAT(r.Mapping)
	r.Findings = explain(o, r)
	r.Advice = advise(o, r)
	return r
}

// mapping compares what three observers see (RFC 5780, section 4.3). With two IP
// addresses it is certain. With one, two ports that see the same could still be
// those of one address; routers that tell addresses apart but not ports are rare
// enough to neglect them.
//
// When no fresh socket was answered, because all members are behind routers of
// their own, those see at least the p2p port itself.
func (o Observations) mapping() Mapping {
	t := o.Mapping
	if !t.First.IsValid() {
		return o.mappingOfPort()
	}
	port, addr := t.OtherPort, t.OtherAddr
	switch {
	case o.isOwn(t.First):
		return MappingNone
	case port.IsValid() && port != t.First:
		return MappingAddressPort
	case addr.IsValid() && addr != t.First && port.IsValid():
		return MappingAddress
	case addr.IsValid() && addr != t.First:
		return MappingAddressPort // or better; nobody had a second port
	case addr.IsValid() || port.IsValid():
		return MappingIndependent
	}
	return ""
}

// mappingOfPort judges by what members see of the p2p port.
func (o Observations) mappingOfPort() Mapping {
	if len(o.Seen) == 0 {
		return ""
	}
	first := o.Seen[0]
	if o.isOwn(first.At) {
		return MappingNone
	}
	m := Mapping("")
	for _, s := range o.Seen[1:] {
		switch {
		case s.By.Addr() == first.By.Addr() || s.At.Addr().Is4() != first.At.Addr().Is4():
		case s.At != first.At:
			return MappingAddressPort // or better
		default:
			m = MappingIndependent
		}
	}
	return m
}

func (o Observations) isOwn(a netip.AddrPort) bool { return slices.Contains(o.Own, a.Addr()) }

// filtering judges who gets in (RFC 5780, section 4.4). What did not come says
// something only if the control did.
//
// Without translation what stands in the way is a firewall, and those let in
// answers, or everybody: another port that gets in is enough. With translation
// another IP address has to try.
func (o Observations) filtering(m Mapping) Filtering {
	t := o.Filtering
	switch {
	case t.Control != Came:
		return FilteringUnknown
	case t.OtherAddr == Came, m == MappingNone && t.OtherAddr == "" && t.OtherPort == Came:
		if m == MappingNone {
			return FilteringOpen
		}
		return FilteringIndependent
	case t.OtherPort == Silent:
		return FilteringAddressPort
	case t.OtherPort == Came && t.OtherAddr == Silent:
		return FilteringAddress
	}
	return FilteringUnknown
}

// reachable judges the calls back. One that came is no proof by itself: the member
// who called is linked, so that a router which filters by IP address lets in all
// its ports. It is one if the router filters by ports, or not at all, or if the
// address is one that it forwards.
func (o Observations) reachable(f Filtering) Truth {
	silent, doubtful := false, false
	for _, c := range o.Reach {
		switch {
		case c.Outcome == Came && o.proves(c, f):
			return Yes
		case c.Outcome == Came && f == FilteringUnknown:
			doubtful = true
		case c.Outcome != "":
			silent = true
		}
	}
	if silent && !doubtful {
		return No
	}
	return ""
}

// proves reports whether strangers too get in where c came.
func (o Observations) proves(c CallBack, f Filtering) bool {
	switch f {
	case FilteringAddress:
		return o.forwarded(c.To)
	case FilteringUnknown:
		return o.forwarded(c.To) || o.isOwn(c.To)
	}
	return true
}

// forwarded reports whether somebody says that a is forwarded to the p2p port.
func (o Observations) forwarded(a netip.AddrPort) bool {
	return a == o.PortMapping.External || slices.Contains(o.Announced, a)
}

// external chooses the address to tell others: one that was reached, else what the
// best witness sees.
func (o Observations) external(f Filtering) netip.AddrPort {
	for _, c := range o.Reach {
		if c.Outcome == Came && o.proves(c, f) {
			return c.To
		}
	}
	if len(o.Seen) > 0 {
		return o.Seen[0].At
	}
	return netip.AddrPort{}
}

// doubleNAT compares the router's own outside address with what others see: if it
// is another one, somebody translates behind the router.
func (o Observations) doubleNAT(m Mapping) Truth {
	router := o.PortMapping.Router
	switch {
	case router.IsValid() && o.Scope == ScopePublic && scopeOf(router) != ScopePublic:
		return Yes
	case m == MappingNone:
		return No
	}
	if !router.IsValid() {
		return ""
	}
	t := Truth("")
	for _, s := range o.Seen {
		switch {
		case s.At.Addr() == router:
			return No
		case s.At.Addr().Is4() == router.Is4() && scopeOf(s.At.Addr()) == ScopePublic:
			t = Yes
		}
	}
	return t
}

// same reports whether two reports say the same about the network, apart from when.
func (r Report) same(s Report) bool {
	return r.Scope == s.Scope && r.UDP == s.UDP && r.TCP == s.TCP && r.IPv4 == s.IPv4 && r.IPv6 == s.IPv6 &&
		r.External == s.External && r.Mapping == s.Mapping && r.Filtering == s.Filtering &&
		r.UPnP == s.UPnP && r.NATPMP == s.NATPMP && r.PCP == s.PCP && r.Manual == s.Manual &&
		r.DoubleNAT == s.DoubleNAT && r.Reachable == s.Reachable
}
