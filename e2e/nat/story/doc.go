// Package story reads and plays stories: small texts that build an internet, run real
// nodes in it, say what must come of it, and tell a reader why. The same text is a test
// and a lesson.
//
// A line is a command, a comment behind #, or, behind a bar, a sentence for the reader:
//
//	| Two homes behind routers that let in only what was asked for.
//	public R
//	home alice port-restricted
//	join R alice
//	linked alice R punched
//	ladder alice R offer answer sent reply path linked
//
// The commands:
//
//	public NAME…               computers with addresses of the Internet
//	home NAME NAT              a computer behind a router: none, full cone,
//	                           address-restricted, port-restricted or symmetric
//	join NAME…                 nodes on these, one network by an invitation of the first
//	router NAME NAT            the router of NAME becomes another
//	finds NAME FIELD VALUE     what GET /api/network of NAME says in the end
//	linked NAME NAME KIND      how both ends see their link in the end
//	instead NAME NAME          the first looks up who is near the second, whose relay answers
//	                           in its place from a snapshot
//	ladder NAME NAME STEP…     steps that the first took to the second, in this order,
//	                           others between them
package story
