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
package nat
