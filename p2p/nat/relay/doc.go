// Package relay carries datagrams between two members that cannot reach each
// other, by TURN (RFC 8656).
//
// A relay is a member that everybody can reach. Its TURN server has no sockets of
// its own: it shares the p2p port, and the relayed addresses that it hands out
// are ports of a switch inside the process, all of them of the address [Switch].
// Both members are clients of the same relay, each with an allocation, and what
// one sends to the other's relayed address goes from one allocation to the other.
// So a relay needs one open port, which may be a forwarded one; and it cannot be
// made to send anything to anywhere but to its own clients: the list of addresses
// for which a permission is granted has one entry. What it carries is encrypted
// from end to end, and it can tell who talks to whom, when, and how much.
//
// Only members get credentials, over their authenticated links. What each may use
// is bounded: allocations, and bytes per second.
package relay

import "net/netip"

// Switch is the address of all relayed addresses. It is of the block for
// benchmarks of network devices (RFC 2544), which no network routes.
var Switch = netip.AddrFrom4([4]byte{198, 18, 0, 1})

// realm is the realm of the credentials (RFC 8489, section 9.2).
const realm = "shoal"
