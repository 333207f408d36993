// Package nat finds out how a node is seen from outside: which address its router
// gives it, what that router does with the packets of others, and whether the p2p
// port can be reached by somebody whom it never sent anything to.
//
// # STUN
//
// Every node answers STUN Binding requests (RFC 8489) on its p2p port: "I see you
// at this address". [Responder] does so without ever sending more bytes to a
// household than came from there, so that nobody can be flooded through it.
// [Ask] is the other side.
//
// # The type of a router
//
// A router that translates addresses (NAT) is described by two words of RFC 4787:
// its mapping says which destinations see the same outside address and port of a
// socket, its filtering says whose packets come in to it. Both are found out with
// sockets that nobody has used before, because those in use have mappings and
// filters of all sorts already:
//
//   - A fresh socket asks a member's p2p port, another port of the same member, and
//     a member with another IP address. Who sees what tells the [Mapping].
//   - Another fresh socket asks one member's p2p port only. Then that port, another
//     port of the same member, and a member with another IP address send something
//     to it. What arrives tells the [Filtering].
//
// At last a member calls the p2p port itself back, from a port to which this node
// never sent anything, and so finds out whether strangers can reach it.
//
// # What members do for each other
//
// They do it by calls over their links, "nat/1": open another port for some
// seconds, and send a probe to an address. The probe carries a nonce that only the
// asker and the one who was asked know; a router in between that sees it is one
// that could do as it likes anyway. A member sends probes only to the IP address
// that it sees the asker's link come from, at most twelve a minute for one asker and
// sixty for all, each shorter than the request for it. That a third member asks on
// behalf of another is not possible, and not needed: who could be asked to send has
// a link to the asker.
//
// # What can be said
//
// [Judge] makes a [Report] of [Observations]: it is where the decisions are, and
// their reasons. With one member on the Internet, no member can tell a router that
// lets everybody in from one that lets in whom the socket has sent to; then the
// report says that it is not known. Where members of the own network are all there
// is, it holds for that network, and says so.
package nat
