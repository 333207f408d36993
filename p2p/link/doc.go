// Package link makes one [Carrier], six message channels between two nodes, into
// a [Link]: an authenticated connection with calls and streams, the same over
// WebRTC and in a simulation.
//
// [New] first proves to each end who the other is (hello.go). After that six
// goroutines receive, one per channel (receive.go), and what is to be sent waits
// in one queue per channel (queue.go), whose goroutine lives only while there is
// something to send: an idle link runs seven goroutines and holds about 70 KiB.
//
// A call is one message each way (call.go). A stream has two directions that end
// independently, as in QUIC (stream.go), and sends only what the other side has
// granted (window.go): what arrives always has a place, so a lane never waits for
// a reader, and a stream that nobody reads stalls only itself. Streams and calls
// draw their numbers from one sequence, even ones for the end that dialled.
//
// Lock order: Stream.mu, then Link.mu, then queue.mu and budget.mu.
package link
