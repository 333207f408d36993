// Package upload decides which piece a node sends next, and to whom.
//
// One Queue holds what all members have asked a node for, of all its seeds. Members take turns
// by bytes (deficit round robin: Shreedhar and Varghese, Efficient Fair Queueing Using Deficit
// Round Robin, SIGCOMM 1995), so that one who asks for much, or for large pieces, or for many
// seeds at once, takes nothing from the others. Of what one member waits for, the pieces that
// this node has sent least often come first: the node that has a file at first sends every
// piece once before it sends one twice, and what it has sent others can pass on. Among those,
// the member's own order holds.
//
// The package is pure: no goroutine, no clock, no lock. Its owner calls Ask and Cancel as
// members do, Next whenever it can send something, and Sent when that is over.
package upload
