package nat

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// maxWitnesses is how many members one check asks for what they see.
const maxWitnesses = 8

// witness is who can say how it sees this node: a member, or a STUN server, which
// has no link and can do nothing else; or a member at another address than that of its
// link, if it is there.
type witness struct {
	link  p2p.Link
	addr  netip.AddrPort // of its p2p port
	kind  p2p.PathKind
	proto string
	rtt   time.Duration
	guess bool // nobody has answered there before
}

// witnessOf makes a witness of a link; addrs are where the member says that its
// p2p port is. Who is behind a relay, or in the same process, sees nothing of this
// node's addresses.
func witnessOf(l p2p.Link, addrs []netip.AddrPort) (witness, bool) {
	path := l.Path()
	w := witness{link: l, addr: unmap(path.Remote), kind: path.Kind, proto: path.Proto, rtt: l.Stats().RTT}
	if w.kind == p2p.PathRelayed || w.kind == p2p.PathMemory || scopeOf(w.addr.Addr()) == "" {
		return witness{}, false
	}
	if w.proto == "udp" {
		return w, true
	}
	// Of a TCP connection that the member has made, the port is any. Its p2p port
	// has one number for UDP and TCP.
	for _, a := range addrs {
		if unmap(a).Addr() == w.addr.Addr() {
			w.addr = unmap(a)
			return w, true
		}
	}
	return witness{}, false
}

// choose keeps those witnesses that are farthest away: only who is on the Internet
// sees what the Internet sees. They are put in order: members before servers,
// linked over UDP first, the most directly linked first, the fastest first; and of
// each IP address the first before the second of any.
func choose(all []witness) ([]witness, Scope) {
	scope := Scope("")
	for _, w := range all {
		if s := scopeOf(w.addr.Addr()); s.narrowness() < scope.narrowness() {
			scope = s
		}
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(w witness) bool { return scopeOf(w.addr.Addr()) != scope })
	slices.SortStableFunc(kept, compareWitnesses)
	turn, count := make([]int, len(kept)), map[netip.Addr]int{}
	for i, w := range kept {
		turn[i] = count[w.addr.Addr()]
		count[w.addr.Addr()]++
	}
	var out []witness
	for round := 0; len(out) < min(len(kept), maxWitnesses); round++ {
		for i, w := range kept {
			if turn[i] == round {
				out = append(out, w)
			}
		}
	}
	return out[:min(len(out), maxWitnesses)], scope
}

func compareWitnesses(a, b witness) int {
	if a.proto != b.proto {
		return strings.Compare(b.proto, a.proto) // udp, tcp, none
	}
	if c := directness(a.kind) - directness(b.kind); c != 0 {
		return c
	}
	if a.rtt != b.rtt {
		return int(min(max(a.rtt-b.rtt, -1), 1))
	}
	return a.addr.Compare(b.addr)
}

// directness orders paths: who is reached without help is most likely to answer
// fresh sockets.
func directness(k p2p.PathKind) int {
	return slices.Index([]p2p.PathKind{p2p.PathDirect, p2p.PathMapped, p2p.PathPunched}, k)
}
