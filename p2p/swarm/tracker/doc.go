// Package tracker knows who has a seed: get_seed, update and query, as in the protocol that
// students of distributed systems build, without a server. Every node is a tracker.
//
// A node tells the seeds that it has to all members that it has a link to, and to the members
// that a seed names as its trackers: what is new at once, and every thirty seconds that all of it
// still holds, in forty bytes (see update). Who hears nothing for ninety seconds forgets; who
// sees a link end forgets at once. Besides, a node puts itself into the distributed table under
// the key of each seed (table.go), for members that nobody in between has told.
//
// What a source says of itself is told apart from hearsay: what another tracker or the table says
// of it. A tracker passes on only what it was told by the source itself, and for no longer than that
// holds, so that hearsay is never about hearsay and cannot live on by going in circles. Nothing
// of all this is proof. Whoever has announced a seed may not have it, may not be there any more, or
// lie; the engine asks before it counts on a source, tells a lie by Missed or Refute, and a lie costs
// that one question. The content is verified by its hashes, whoever sent it.
//
// The core (core.go, rank.go, list.go) decides what is known, without network, disk and clock; tell.go
// decides what is to be said to whom. service.go is the shell.
package tracker
