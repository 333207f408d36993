// Package route brings a request to a node, or to the nodes nearest to a key, over
// links that exist. It never makes a link: over WebRTC that costs more than any
// request is worth.
//
// A [Router] calls a member over the link to it, if there is one. Otherwise it signs
// the request and hands it to the linked member whose position is nearest to the
// member's, which does the same; each hop after the first is strictly nearer than the one
// before, so that no request goes in a circle (greedy routing on Kademlia's metric, Maymounkov
// and Mazières 2002). The member signs its answer, and both are sealed for their reader: those in
// between can drop them, and can neither read nor change them.
//
// Where nobody knows everybody, a node finds who is near to a key by asking those it knows for
// nearer ones ([Router.Find]), and remembers what it finds ([Contacts]).
//
// What is decided is decided without goroutines, networks and clocks: which links to
// keep ([Want]), who is near ([Table]), whom to ask next ([Lookup]), what was found ([Atlas]), and whether a
// request was served before (guard.go). The Router is the shell around that.
package route
