package nat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// explain says each finding in a sentence, in the order of the report.
func explain(o Observations, r Report) []Finding {
	return []Finding{
		{"udp", o.sayUDP()},
		{"tcp", say(o.TCP, o.nobody(), "TCP works: a connection to another member came up.", "No TCP connection to another member came up.")},
		{"ipv4", say(o.IPv4, o.nobody(), "IPv4 works.", "Nothing came back over IPv4.")},
		{"ipv6", say(o.IPv6, "No member could be asked over IPv6.", "IPv6 works.", "Nothing came back over IPv6.")},
		{"external", o.sayExternal(r)},
		{"mapping", o.sayMapping(r)},
		{"filtering", o.sayFiltering(r)},
		{"port_mapping", o.sayPortMapping()},
		{"double_nat", o.sayDoubleNAT(r)},
		{"reachable", o.sayReachable(r)},
		{"relays", sayRelays(r)},
	}
}

func say(x Outcome, untried, came, silent string) string {
	switch x {
	case Came:
		return came
	case Silent:
		return silent
	}
	return untried
}

// nobody says why something was not tried.
func (o Observations) nobody() string {
	switch {
	case o.At.IsZero():
		return "Not known: no check has been made yet."
	case o.Linked == 0:
		return "Not known: no other member is linked."
	case o.TooOften:
		return "Not known: the members were asked too often in the last minute."
	}
	return "Not known: no linked member could try."
}

func (o Observations) sayUDP() string {
	if o.UDP == Came && o.Scope != ScopePublic {
		return "UDP works " + o.Scope.within() + "."
	}
	return say(o.UDP, o.nobody(), "UDP works.", "Nothing came back over UDP: something between here and the other members blocks it.")
}

// within says whom a report holds for.
func (s Scope) within() string {
	switch s {
	case ScopePrivate:
		return "in the local network"
	case ScopeLoopback:
		return "on this computer"
	}
	return "on the Internet"
}

func (o Observations) sayExternal(r Report) string {
	switch {
	case !r.External.IsValid():
		return o.nobody()
	case o.isOwn(r.External):
		return fmt.Sprintf("Others see this node at %s, which is an address of this computer.", r.External)
	case o.forwarded(r.External):
		return fmt.Sprintf("Others reach this node at %s, which is forwarded to it.", r.External)
	}
	return fmt.Sprintf("Others see this node at %s, an address of the router.", r.External)
}

func (o Observations) sayMapping(r Report) string {
	switch r.Mapping {
	case MappingNone:
		if o.Scope != ScopePublic {
			return "Nothing translates addresses " + o.Scope.within() + "; nobody farther away could be asked."
		}
		return "Nothing translates addresses: this computer is on the Internet itself."
	case MappingIndependent:
		if o.Mapping.First.IsValid() && !o.Mapping.OtherAddr.IsValid() {
			return "Your router seems to give every destination the same port; only members at one address could be asked."
		}
		return "Your router gives every destination the same port, so that others can be told it."
	case MappingAddress:
		return "Your router gives every computer outside another port."
	case MappingAddressPort:
		return "Your router gives every destination another port (symmetric), so that nobody can be told the right one."
	}
	return o.nobody()
}

func (o Observations) sayFiltering(r Report) string {
	switch r.Filtering {
	case FilteringOpen:
		return "Everybody's packets come in."
	case FilteringIndependent:
		return "The router lets everybody in through a port that is in use (full cone)."
	case FilteringAddress:
		return "Only computers that this node has sent to get in (address-restricted)."
	case FilteringAddressPort:
		if r.Mapping == MappingNone {
			return "A firewall lets only answers in."
		}
		return "The router lets only answers in (port-restricted)."
	}
	if o.Filtering.Control == Came {
		return "Not known: a member with another public address would have to try."
	}
	return o.nobody()
}

func (o Observations) sayPortMapping() string {
	var working, refused []string
	for _, p := range []struct {
		name string
		v    Verdict
	}{{"PCP", o.PortMapping.PCP}, {"NAT-PMP", o.PortMapping.NATPMP}, {"UPnP", o.PortMapping.UPnP}} {
		switch p.v {
		case Working:
			working = append(working, p.name)
		case Refused:
			refused = append(refused, p.name)
		}
	}
	var out []string
	if at := o.PortMapping.External; at.IsValid() && len(working) > 0 {
		out = append(out, fmt.Sprintf("The router forwards %s to this node, as it was asked to by %s.", at, list(working)))
	} else if len(working) > 0 {
		out = append(out, "The router understands "+list(working)+".")
	}
	if len(refused) > 0 {
		out = append(out, "It refuses "+list(refused)+".")
	}
	if len(o.Announced) > 0 {
		var at []string
		for _, a := range o.Announced {
			at = append(at, a.String())
		}
		out = append(out, "You have announced "+list(at)+".")
	}
	switch {
	case len(out) > 0:
		return strings.Join(out, " ")
	case o.PortMapping == (PortMapping{}):
		return "No router was asked to forward a port."
	}
	return "The router knows none of PCP, NAT-PMP and UPnP."
}

func (o Observations) sayDoubleNAT(r Report) string {
	switch r.DoubleNAT {
	case Yes:
		return fmt.Sprintf("There are two routers in a row that translate addresses: yours has the address %s outside, which is not where others see it.", o.PortMapping.Router)
	case No:
		return "There is no second router that translates addresses."
	}
	return "Not known: the router does not say which address it has outside."
}

func (o Observations) sayReachable(r Report) string {
	switch r.Reachable {
	case Yes:
		return "Everybody " + o.Scope.within() + " can reach this node directly: a member has called back from a port that this node never contacted."
	case No:
		if o.anyCame() {
			return "Only those that this node has contacted itself can reach it directly."
		}
		return "Nobody can reach this node unless it makes contact as well: a member has called back, and nothing arrived."
	}
	if o.anyCame() {
		return "Not known: a member could call back, but one with another public address would have to try as well."
	}
	return o.nobody()
}

func (o Observations) anyCame() bool {
	return slices.ContainsFunc(o.Reach, func(c CallBack) bool { return c.Outcome == Came })
}

func sayRelays(r Report) string {
	var used, names []string
	for _, l := range r.Relays {
		names = append(names, l.Name)
		if l.InUse {
			used = append(used, l.Name)
		}
	}
	switch {
	case len(names) == 0:
		return "No member forwards for this node."
	case len(used) == 0:
		return list(names) + " could forward for this node."
	}
	return list(used) + " " + map[bool]string{true: "forwards", false: "forward"}[len(used) == 1] + " for this node."
}

// list writes "a", "a and b", "a, b and c".
func list(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

// advise says what the owner can do. No advice: nothing is needed.
func advise(o Observations, r Report) []string {
	port := fmt.Sprintf("UDP and TCP port %d", o.Port.Port())
	mapped := o.PortMapping.External.IsValid()
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if o.At.IsZero() {
		return nil
	}
	if o.Linked+o.Servers == 0 {
		add("Nothing can be found out before another member is linked: invite one, or start one.")
		return out
	}
	if o.UDP == Silent {
		add("UDP is blocked. Allow outgoing UDP in your firewall; until then links are slower, or not there at all.")
	}
	if r.Reachable == Yes {
		return out
	}
	for _, a := range o.Announced {
		if o.silentAt(a) {
			add("%s is announced but nothing arrives there. Look at the forwarding in your router, or start without --announce.", a)
		}
	}
	if mapped && o.silentAt(o.PortMapping.External) {
		add("The router has promised to forward %s, and nothing arrives there. Restart the router, or forward the port by hand.", o.PortMapping.External)
	}
	switch {
	case r.DoubleNAT == Yes:
		add("Two routers in a row translate addresses. Let the outer one forward %s to the inner one, or make one of them a bridge. If the outer one is your provider's, ask it for an address of your own, or use IPv6.", port)
	case r.Mapping == MappingNone && r.Reachable == No:
		add("A firewall keeps strangers out. Open %s on this computer, and in what is before it.", port)
	case r.Mapping == MappingAddress, r.Mapping == MappingAddressPort:
		add(o.sayMapping(r)+" Two such homes need a relay; forward %s to this computer, or switch on UPnP.", port)
	case r.Reachable == No && !mapped && len(o.Announced) == 0:
		add("Links are made by sending from both sides at once, which works with most routers. To be reached by everybody, forward %s to this computer, or switch on UPnP.", port)
	}
	if o.Scope == ScopePrivate {
		add("Only members of the local network could be asked. How the Internet sees this node shows when a member elsewhere is linked.")
	}
	return out
}

func (o Observations) silentAt(a netip.AddrPort) bool {
	return slices.ContainsFunc(o.Reach, func(c CallBack) bool { return c.To == a && c.Outcome == Silent })
}
