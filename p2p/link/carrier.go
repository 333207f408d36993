package link

import (
	"log/slog"

	"github.com/shoal-p2p/shoal/p2p"
)

// Channels is how many message channels a carrier has. Channel 0 is ordered and
// carries control: hello and auth, credit, cancellations, ping. Channel 1 is
// unordered, though reliable, and carries calls. Channels 2 to 5 are ordered: the
// lanes, to which streams and the long bodies of calls are pinned.
const Channels = 6

// What the channels are for.
const (
	control   = 0
	calls     = 1
	firstLane = 2
	lanes     = Channels - firstLane
)

const (
	// MaxFrame is the longest message that a link sends, in bytes. It is also the
	// grain at which streams of one lane take turns: 16 KiB take 1.3 ms of a
	// 100 Mbit/s line, cost one wake-up per 16 KiB where a byte costs about ten
	// nanoseconds, and are what every browser takes as one message.
	MaxFrame = 16 << 10
	// MaxPacket is the longest message on channel 1: with the headers of SCTP,
	// DTLS, UDP and IPv6 it stays one packet on every path.
	MaxPacket = 1200
	// packetful is how much of a message goes into one packet of a carrier over
	// WebRTC, on every path: 1191 bytes of SCTP less 32 of headers, in steps of
	// four.
	packetful = 1156
)

// Carrier is what a transport hands to link: six message channels between two
// nodes that nothing but the transport's own encryption protects yet. All
// channels are reliable; see Channels for their order.
type Carrier interface {
	// Send hands over one message of at most MaxFrame bytes, on channel 1 of at
	// most MaxPacket. It blocks while the channel's send window is full. The
	// caller may change msg after the return.
	Send(ch int, msg []byte) error
	// Receive waits for one message and copies it to buf; a message longer than
	// buf is an error. One goroutine per channel receives.
	Receive(ch int, buf []byte) (int, error)
	// Fingerprints are SHA-256 digests of what the two ends of the transport's
	// encryption are known by (for DTLS: their certificates). Both ends of an
	// untouched carrier name the same two.
	Fingerprints() (local, remote [32]byte)
	Path() p2p.Path
	Stats() p2p.Stats
	// Close is idempotent and unblocks everything in both directions; the remote
	// end notices. Messages that were sent may be lost.
	Close() error
}

// NetworkCarrier is a Carrier over a real network. A link makes use of what it can do
// besides.
type NetworkCarrier interface {
	Carrier
	// Await waits until Receive has a message of ch to give, so that nobody holds a
	// buffer meanwhile. Its errors are those of Receive.
	Await(ch int) error
	// Packet is how many bytes of a message go into one packet. Messages of a whole
	// number of them leave no small packet behind: each packet costs the same
	// whatever is in it, and packets of one size cross the kernel together.
	Packet() int
	// WatchesPeer: the carrier fails by itself when the other end is gone.
	WatchesPeer()
}

// Tracer is a Carrier that remembers how its path was found.
type Tracer interface{ Trace() p2p.Trace }

// Local is what every transport must know of its node.
type Local struct {
	Identity p2p.Identity
	// Network is the network of this node now.
	Network func() p2p.ID
	// Gate decides who gets a link. Nil admits everybody of the same network.
	Gate p2p.Gate
	// Proof returns what this node shows to who may not know it, in at most so many bytes; empty:
	// nothing. Nil: nothing ever.
	Proof func(limit int) []byte
	// Conceals reports whether nothing is shown to those whom an invitation or pass of this ID lets in.
	// Nil: it is to all.
	Conceals func(invite [16]byte) bool
	// Handler returns the handler of a protocol's calls. A nil Handler, and a nil
	// result, answer "no_protocol".
	Handler func(proto string) p2p.Handler
	// Limits of all links. Nil: none.
	Limits *Limits
	// Logger: nil discards.
	Logger *slog.Logger
}

// ShowsTo returns what is shown to somebody whom an invitation or pass has let in; zero: none did.
func (l Local) ShowsTo(invite [16]byte, limit int) []byte {
	if l.Conceals != nil && invite != [16]byte{} && l.Conceals(invite) {
		return nil
	}
	return l.Shows(limit)
}

// Shows returns what Proof does.
func (l Local) Shows(limit int) []byte {
	if l.Proof == nil {
		return nil
	}
	return l.Proof(limit)
}
