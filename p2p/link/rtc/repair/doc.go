// Package repair repairs the random losses of a path below DTLS.
//
// SCTP takes each loss for congestion, as TCP does: at 30 % of random loss it is
// left with some kilobytes per second. Two nodes that both know this package
// repair such losses underneath, so that SCTP sees a path that loses nothing and is
// a little slower.
//
// # What is on the wire
//
// Data does not change. The records of DTLS 1.2 bear their number in clear (RFC
// 6347, section 4.1), each datagram is one record, and the numbers have no gaps: a
// receiver sees a loss as soon as the next record comes. Only control datagrams are
// new, of which there are none while nothing is lost. Their first byte is one that
// RFC 7983 gives to nobody.
//
//	Report  receiver to sender: these are missing, and please keep copies
//	Head    sender to receiver: this is the last I sent, and I have copies from here on
//
// A Head answers each Report that asks, which measures the round trip time, and
// comes unasked when a sender that keeps copies falls silent, so that a loss at the
// end is seen.
//
// # Who does what
//
// A [Receiver] notices what is missing and asks for it, and says for how long later
// records are held back: SCTP takes three of them for a loss. A [Sender] keeps
// copies of the first records, which nothing follows that would show their loss, and
// later for as long as records are lost in one of the directions. It sends again
// what is missing. Both are state machines: time is an argument, and sending is done
// by who calls them.
//
// # Congestion
//
// What is lost because a queue is full must not be hidden: others share that queue.
// See congested for how the two are told apart. While a path is congested, one loss
// per round trip is left to SCTP, which halves its window, as it would for any
// number of losses in one round trip. The others are still repaired.
//
// # What an attacker can do
//
// Control datagrams are authenticated (see [Keys]), and old ones are not taken
// again. Whoever can read the signalling of the two and forge the peer's address can
// make the sender repeat records to the peer, within the bounds of [Sender], and the
// receiver wait, for at most a second for each record.
//
// The numbers of records are not authenticated here, but above, by DTLS. So no record is
// ever dropped here, each is only held back for a while: a forged number can cost
// the repair of others, and no record.
package repair
