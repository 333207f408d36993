package nat

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Protocol is the call by which members help each other to see themselves from
// outside.
const Protocol = "nat/1"

// What can be asked for.
const (
	// opPort opens another UDP port for a while, which answers STUN.
	opPort = "port"
	// opProbe sends one probe to an address of the asker.
	opProbe = "probe"
)

// Source says from which of its ports a member sends a probe.
type Source string

// The sources of probes.
const (
	SourceSame  Source = "same"       // the p2p port
	SourceOther Source = "other_port" // the port of opPort
)

// query is a call. Its encoding is longer than the probe that it asks for.
type query struct {
	Op    string `cbor:"1,keyasint"`
	To    string `cbor:"2,keyasint,omitempty"` // "ip:port"
	Nonce []byte `cbor:"3,keyasint,omitempty"`
	From  Source `cbor:"4,keyasint,omitempty"`
}

// reply answers opPort; opProbe is answered with an empty one.
type reply struct {
	Port uint16 `cbor:"1,keyasint,omitempty"`
}

// Codes of refusals.
const (
	codeMalformed   = "malformed"
	codeRefused     = "refused"      // not to this address
	codeLimited     = "rate_limited" // too often
	codeUnavailable = "unavailable"  // this member has no such port
)

// decodeQuery reads and checks what a member asks for. Errors are *p2p.CallError.
func decodeQuery(b []byte) (q query, to netip.AddrPort, err error) {
	err = wire.Unmarshal(b, &q)
	if err == nil && q.Op == opProbe {
		to, err = checkProbe(q, len(b))
	}
	if err == nil && q.Op != opProbe && q.Op != opPort {
		err = fmt.Errorf("nat: nothing is called %.20q", q.Op)
	}
	if err != nil {
		return query{}, netip.AddrPort{}, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	return q, to, nil
}

func checkProbe(q query, size int) (netip.AddrPort, error) {
	switch {
	case size < probeSize:
		return netip.AddrPort{}, fmt.Errorf("nat: a request of %d bytes for a probe of %d", size, probeSize)
	case len(q.Nonce) != len(Nonce{}):
		return netip.AddrPort{}, fmt.Errorf("nat: a nonce of %d bytes", len(q.Nonce))
	case q.From != SourceSame && q.From != SourceOther:
		return netip.AddrPort{}, fmt.Errorf("nat: no port is called %.20q", q.From)
	}
	to, err := netip.ParseAddrPort(q.To)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("nat: probe: %w", err)
	}
	return unmap(to), nil
}

// Reasons not to send a probe somewhere.
var (
	errNotYours = errors.New("not the address that this member sees you at")
	errNoPath   = errors.New("the link does not show this member an address of yours")
	errNowhere  = errors.New("not an address of one computer")
	errElse     = errors.New("not an address of the kind that this member has itself")
)

// permit decides whether a member may be sent a probe at to: only at the IP
// address from which its packets come to this node, as path, the way of its link,
// shows it. So nobody can have packets sent to anybody else. A private or loopback
// address is one here only if own, the addresses of this node, have such a one: a
// link from there could otherwise come out of a tunnel.
func permit(to netip.AddrPort, path p2p.Path, own []netip.Addr) error {
	a, seen := to.Addr(), path.Remote.Addr().Unmap()
	switch {
	case path.Kind == p2p.PathRelayed, path.Kind == p2p.PathMemory, !seen.IsValid():
		return errNoPath
	case to.Port() == 0, a.Zone() != "", scopeOf(a) == "":
		return errNowhere
	case a != seen:
		return errNotYours
	case scopeOf(a) == ScopePublic:
		return nil
	}
	for _, o := range own {
		if scopeOf(o) == scopeOf(a) {
			return nil
		}
	}
	return errElse
}

// Scope says how far away somebody is.
type Scope string

// The scopes, widest first.
const (
	ScopePublic   Scope = "public"   // the Internet
	ScopePrivate  Scope = "private"  // a home, a company, or the customers of one provider
	ScopeLoopback Scope = "loopback" // this computer
)

// sharedByCustomers are addresses between a provider's NAT and its customers' (RFC
// 6598).
var sharedByCustomers = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)

// scopeOf returns the scope of an address, or "" if it is none of one computer:
// unspecified, multicast, broadcast, reserved, or of one wire only.
func scopeOf(a netip.Addr) Scope {
	a = a.Unmap()
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return ""
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return ""
	case a.IsLoopback():
		return ScopeLoopback
	case a.IsPrivate(), sharedByCustomers.Contains(a):
		return ScopePrivate
	}
	return ScopePublic
}

// narrowness orders scopes, the widest first.
func (s Scope) narrowness() int {
	switch s {
	case ScopePublic:
		return 0
	case ScopePrivate:
		return 1
	case ScopeLoopback:
		return 2
	}
	return 3
}
