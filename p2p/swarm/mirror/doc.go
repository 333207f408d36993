// Package mirror fetches pieces of a file from a plain web server that has it: a
// source which knows nothing of shoal, and serves ranges (RFC 9110 §14).
//
// A [Client] opens a [Mirror] by asking for its first byte: the server must serve
// ranges of a file of the right length, as it is. Pieces are fetched in spans of 1 to
// 8 MiB, single ranges over at most four connections to a host; a gap between two
// pieces that is shorter than a request takes is read and dropped. What arrives goes
// on piece by piece, to be verified by who asked for it: a server is not believed,
// and one that says no, too much, or nothing for too long costs a bounded time and no
// memory but a piece for each connection. A file that changes on the server is
// noticed by its validators (ETag, Last-Modified), before its pieces fail.
//
// # Whom a node may be sent to
//
// URLs that come with the seeds of others must not make a node ask what only it can
// reach: its own services, the router, the computers around it, a cloud's metadata.
// They lead to public addresses of the Internet only. The address is checked when the
// connection is made, so that no name, however often it changes, and no redirection
// leads around it; and forms that carry an IPv4 address are judged by that. What the
// user of this node has named himself may be anywhere; but where that redirects to
// another host, the other is judged as if a stranger had named it.
//
// No proxy of the environment is used: it would connect where this node must not.
package mirror
