// Package p2p is the vocabulary of shoal: the types that more than one package
// speaks. It holds no algorithm and does no I/O, imports only the standard
// library, and is the place to start reading.
//
// A node is known by its [ID]. Two nodes share at most one authenticated [Link];
// a [Transport] makes links (over WebRTC in p2p/link/rtc, in one process in
// p2p/sim), and what is asked of a peer goes through [Link.Call] when it fits a
// message and through [Link.Open] when it is a stream. What happens is told
// once, in the past tense, as an [Event].
package p2p
