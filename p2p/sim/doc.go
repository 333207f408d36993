// Package sim is a network in one process: it implements p2p.Transport without
// sockets, with latency, jitter, loss, limited bandwidth, partitions and crashes.
//
// Everything above the transport is the real thing, link's authentication
// included. All waiting is on mutexes, conditions and timers, so that a whole
// network can live in a bubble of testing/synctest, where seconds cost nothing.
// What a message meets on its way depends only on Options.Seed, on the two nodes,
// the channel and how many messages went before, so that runs repeat as far as
// the nodes do.
package sim
