// Package swarm brings a file to many computers at once: every one that wants it
// takes pieces from all who have them already, and gives what it has.
//
// A [Service] keeps the seeds of one node: files that are whole here, and
// downloads. Package seed says what a seed is and verifies its pieces, package
// tracker who has it, package picker whom to ask for what, package upload whose
// turn it is; this package has the streams ([Protocol]), the disk and the
// goroutines.
//
// # Who may have what
//
// A seed is there for all members of the network, once its node has begun to share
// it. Whoever gets one shares it too.
//
// # On the disk
//
// A download grows in a file beside its place, as long as the whole and mostly a
// hole. Each piece is verified before it is written; which pieces are there is
// written down after they have been synced, so that a crash costs at most what came
// in the last moments, and even of that what verifies is found again. At the end
// the file gets its name, unless that is taken: then another one. What is already
// on this disk, in a file that the node knows, is copied and not fetched.
package swarm
