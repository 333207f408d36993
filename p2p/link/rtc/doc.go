// Package rtc is p2p.Transport over WebRTC data channels. Of pion it alone knows
// ICE, DTLS and SCTP; package relay knows TURN.
//
// A node has one port: a UDP socket that carries the connections to all peers,
// and, under the same number, a TCP listener that serves the WebSockets /p2p/signal
// and /p2p/rendezvous, ICE over TCP, and TURN for other members. A connection to a peer is what WebRTC calls a PeerConnection, with six
// channels that are agreed on beforehand; package link makes a [p2p.Link] of them.
//
// # What a packet goes through
//
// On its way out: SCTP cuts messages into packets as long as the path carries them
// (probe.go), of which no more are on their way than fill it (pace.go); each becomes a
// record of DTLS (record.go), goes to the address that ICE has selected (peer.go), and
// leaves the socket in runs (batch.go). On its way in: the socket gives runs of
// datagrams; STUN goes to ICE by whom it names, everything else to DTLS by its source
// (mux.go), where it waits (inbox.go) for the goroutine of SCTP, which opens it. Whether
// the peer lives is known from what it encrypts (pulse.go).
//
// # Signalling
//
// One request, one reply. The offer is a whole session description with all
// candidates, which are known from the port, in an envelope that the dialling
// node signs; the answer is another, signed by the dialled node, and names the
// offer by its hash. Both go through anybody: a member that has links to both
// ("signal/1"), the WebSocket of the peer, or the WebSocket of a member that has a
// link to it. Whoever carries them can read them, drop them and delay them, and
// nothing else. The ways are tried side by side; the peer answers the same offer
// with the same answer, over however many ways it comes.
//
// Nothing expensive happens for somebody who is not admitted: the signature is
// verified and the node's [p2p.Gate] is asked before a connection exists.
//
// A node forwards offers of its own network only: those that a member signed, and,
// few and small, those of strangers who say that they have an invitation, which
// only the dialled node can verify. A stranger whose offer leads to nothing hears
// the same whether the two are linked or not. Of the handshakes that others may
// begin at one time, guests get a quarter.
//
// A peer names its own addresses, so anybody's. One that never answered for it is
// tried less and less, at most every ten minutes in the end, and few are tried at
// once; one that did is always tried.
//
// Clocks need not agree. Each offer bears a number that is larger than that of
// every offer its node made before: the time in nanoseconds, or one more than the
// last. A node keeps the largest it took from each peer and refuses what is not
// above it. A peer whose clock was set back is told, signed, what the number has
// to exceed and offers again. The numbers are forgotten when the process ends; an
// offer that is replayed then costs one unfinished handshake of at most ten
// seconds and cannot disturb a link, because an address is moved from one
// connection to another only when the peer there proves that it knows the new
// one (see mux).
//
// When two nodes dial each other at once, the smaller ID's offer wins.
//
// # By hand
//
// Two homes that have nobody in between can be linked by their people, who carry the
// offer and the answer as text, or as a QR code (hand.go). The envelopes are the same
// ones; what is carried says so, so that neither kind can be taken for the other. The
// end that answers sends to the other from then on, for ten minutes, while its author
// looks for the chat to paste the answer into: its router is open when the other end
// begins. These handshakes have slots and numbers of their own.
//
// # Where no packet passes
//
// The mux gives what is behind a TCP connection (stream.go) or a relay (relays.go) a
// virtual address (tunnel.go), so that ICE and all above it see UDP only. A link over
// one of these, or whose network has changed, restarts ICE over itself (restart.go)
// and moves when a better pair answers. Nodes without a common member meet at a
// rendezvous (rendezvous.go); a member that everybody can reach is entered by a
// check of ICE alone, without signalling (direct.go).
//
// # Losses
//
// A node says in its description that it repairs random losses below DTLS (package
// repair). If both do, their muxes do so; else nothing is different on the wire.
// Over TCP there is nothing to repair.
package rtc
