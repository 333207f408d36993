package portmap

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// refusal is an answer that says no.
type refusal struct {
	why      string
	external netip.Addr // the outside address, if the answer named one
	nested   bool       // the reason is probably another NAT
}

// Error implements error.
func (r *refusal) Error() string { return r.why }

func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// sharedSpace is what providers give to customers behind a NAT of their own
// (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// nested reports whether a router with the outside address a is itself behind a
// NAT.
func nested(a netip.Addr) bool {
	return a.Is4() && (a.IsPrivate() || sharedSpace.Contains(a))
}

// judgeAddress says what is wrong with an outside address, or returns "". own is
// the computer's address on the router's inside.
func judgeAddress(a, own netip.Addr) string {
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return "the router has no outside address: it is not connected, or behind another NAT"
	case a.IsLoopback(), a.IsMulticast(), a.IsLinkLocalUnicast(), a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return fmt.Sprintf("the router gives %s as its outside address, which cannot be", a)
	case a == own && nested(own):
		// A public address may be its own outside: then the router only filters.
		return fmt.Sprintf("the router gives %s as its outside address, which is this computer's", a)
	case a.Is4() != own.Is4():
		return fmt.Sprintf("the router gives %s as the outside address of %s, which cannot be", a, own)
	}
	return ""
}

// maxLease is the most that is asked for or believed (RFC 6887 §7.2 advises it).
const maxLease = 24 * time.Hour

// judgeGrant says what is wrong with a grant, or returns "".
func judgeGrant(g grant, own netip.Addr) string {
	switch why := judgeAddress(g.External, own); {
	case why != "":
		return why
	case g.Port == 0:
		return "the router grants port 0, which cannot be"
	case !g.Permanent && g.Lifetime < time.Second:
		return "the router grants a mapping for no time at all"
	}
	return ""
}

// believe returns how long a granted lifetime is taken to last: no longer than
// what was asked for, because renewing earlier costs nothing and some routers
// grant 136 years.
func believe(granted, asked time.Duration) time.Duration { return min(granted, asked, maxLease) }

// epochLost reports whether the router has forgotten its mappings between two
// answers, which came elapsed apart and said prev and cur.
func epochLost(p Protocol, prev, cur uint32, elapsed time.Duration) bool {
	was, is, client := int64(prev), int64(cur), int64(elapsed/time.Second)
	if p == PCP { // RFC 6887 §8.5: neither clock may run away from the other
		server := is - was
		return server < -1 || client+2 < server-server/16 || server+2 < client-client/16
	}
	return is < was+client*7/8-2 // RFC 6886 §3.6
}

// slept reports whether the computer stood still while its two clocks went on by
// wall and mono: then the monotonic one did not go on, and the router's did. A
// clock that is set looks the same; a look too many costs nothing.
func slept(wall, mono time.Duration) bool { return wall-mono > 30*time.Second }
