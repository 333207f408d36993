// Package pass lets somebody who is no member of a network fetch one file from it.
//
// A member makes a [Pass] for a seed of its own and puts it into the link to that seed. Whoever
// has the link knocks at that member's door, as one who was invited does, and proves by a MAC that
// it knows the pass's secret. The first key that does so is the only one that the pass is good for,
// unless it was made for more. It is good for one seed at one member, until it expires or is
// withdrawn, and says nothing of the network but its ID, where the member is, and who can carry a
// message to it.
//
// A [Book] has the passes that a node has made, and answers at its door.
package pass
