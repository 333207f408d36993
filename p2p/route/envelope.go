package route

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Limits of a forwarded call. They are part of the protocol.
const (
	// MaxForwarded is how long a forwarded request, and its answer, may be: a message
	// of a link holds it with all that travels beside it.
	MaxForwarded = 72 << 10
	// streamAt is how long a request is that goes over a link as a stream.
	streamAt = 56 << 10
	// MaxHops is how many hops a request may take. Over the links of Want 5 are enough among
	// 34,000 members, and 8 when a tenth of them has just gone (BENCHMARKS.md).
	MaxHops = 8
	// maxPatience is the longest that a forwarded call may take, in milliseconds.
	maxPatience = 30_000
	// maxProof is how long a proof may be that travels with a request.
	maxProof = 6 << 10
	// maxText is how long the text of an error may be that travels back.
	maxText = 1 << 10
)

// What signatures are about.
const (
	requestContext = "shoal forward request 1"
	answerContext  = "shoal forward answer 1"
)

// Nonce is a random value: an incarnation, which is of one run of an origin, or an
// epoch, by which a target knows that a request was meant for its own run.
type Nonce [16]byte

// NewNonce returns one from the system's randomness.
func NewNonce() (n Nonce) {
	rand.Read(n[:]) // never fails (crypto/rand)
	return n
}

// Envelope is a request on its way. The origin's signature covers all but Hops and
// Patience, which those in between count down, and Proof, and the network that it is sent in.
type Envelope struct {
	To          p2p.ID            `cbor:"1,keyasint"`
	Position    p2p.Key           `cbor:"2,keyasint"` // of To, as the origin knows it: all hops measure with the same one
	Origin      ed25519.PublicKey `cbor:"3,keyasint"`
	Incarnation Nonce             `cbor:"4,keyasint"`            // of the origin
	Epoch       Nonce             `cbor:"5,keyasint"`            // that To gave the origin; zero: none yet
	Seq         uint64            `cbor:"6,keyasint"`            // of the origin's calls to To; from 1
	Proto       string            `cbor:"7,keyasint"`            //
	Request     []byte            `cbor:"8,keyasint,omitempty"`  // sealed for To; none without an epoch
	Sig         []byte            `cbor:"9,keyasint"`            //
	Hops        uint8             `cbor:"10,keyasint"`           // how many members may still pass it on
	Patience    uint32            `cbor:"11,keyasint"`           // how long the sender waits, in milliseconds
	Public      []byte            `cbor:"12,keyasint"`           // X25519 key of the origin's run
	Proof       []byte            `cbor:"13,keyasint,omitempty"` // that the origin is a member; signed by who says so
}

// From returns the ID of the origin.
func (e *Envelope) From() p2p.ID { return p2p.IDOf(e.Origin) }

// message is what the origin signs. Every field before the request has a fixed length,
// or says how long it is, so that no two envelopes give the same message.
func (e *Envelope) message(network p2p.ID) []byte {
	b := make([]byte, 0, 3*32+ed25519.PublicKeySize+publicSize+2*16+2*8+len(e.Proto)+len(e.Request))
	b = append(b, network[:]...)
	b = append(b, e.To[:]...)
	b = append(b, e.Position[:]...)
	b = append(b, e.Origin...)
	b = append(b, e.Public...)
	b = append(b, e.Incarnation[:]...)
	b = append(b, e.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Proto)))
	b = append(b, e.Proto...)
	return append(b, e.Request...)
}

// digest names the request: an answer is bound to it.
type digest [sha256.Size]byte

// sign makes the envelope the origin's, and returns its digest.
func (e *Envelope) sign(origin p2p.Identity, network p2p.ID) digest {
	e.Origin = origin.PublicKey()
	m := e.message(network)
	e.Sig = origin.Sign(requestContext, m)
	return sha256.Sum256(m)
}

// digest returns the digest, whoever has signed.
func (e *Envelope) digest(network p2p.ID) digest { return sha256.Sum256(e.message(network)) }

// verify reports whether the origin has signed it.
func (e *Envelope) verify(network p2p.ID) bool {
	return p2p.Verify(e.Origin, requestContext, e.message(network), e.Sig)
}

func (e *Envelope) encode() ([]byte, error) { return wire.Marshal(e) }

// decodeEnvelope reads and bounds what a peer has sent.
func decodeEnvelope(b []byte) (*Envelope, error) {
	var e Envelope
	if err := wire.Unmarshal(b, &e); err != nil {
		return nil, err
	}
	switch {
	case e.To.IsZero() || e.Incarnation == Nonce{} || e.Seq == 0:
		return nil, fmt.Errorf("route: envelope without target, incarnation or number: %w", wire.ErrMalformed)
	case len(e.Origin) != ed25519.PublicKeySize || len(e.Sig) != ed25519.SignatureSize:
		return nil, fmt.Errorf("route: envelope with a key of %d bytes and a signature of %d: %w", len(e.Origin), len(e.Sig), wire.ErrMalformed)
	case len(e.Public) != publicSize:
		return nil, fmt.Errorf("route: envelope with a key of %d bytes: %w", len(e.Public), wire.ErrMalformed)
	case len(e.Request) > MaxForwarded+sealSize:
		return nil, fmt.Errorf("route: request of %d bytes, at most %d: %w", len(e.Request), MaxForwarded+sealSize, p2p.ErrTooLarge)
	case len(e.Proof) > maxProof:
		return nil, fmt.Errorf("route: proof of %d bytes, at most %d: %w", len(e.Proof), maxProof, p2p.ErrTooLarge)
	case e.Hops > MaxHops || e.Patience > maxPatience:
		return nil, fmt.Errorf("route: envelope for %d hops and %d ms, at most %d and %d: %w", e.Hops, e.Patience, MaxHops, maxPatience, wire.ErrMalformed)
	}
	return &e, wire.CheckProto(e.Proto)
}

// outcome says what an answer is. The values are part of the protocol.
type outcome uint8

const (
	outcomeDone  outcome = iota // Sealed is the result
	outcomeEpoch                // not served: Epoch is the one to use, Public the key of the target's run
	outcomeSeen                 // not served: it was before, or it comes too late
	outcomeBusy                 // not served: too much else is
	outcomes
)

// answer is what the target returns. Its signature covers all of it, and the request.
type answer struct {
	Outcome outcome `cbor:"1,keyasint"`
	Sealed  []byte  `cbor:"2,keyasint,omitempty"`
	Epoch   Nonce   `cbor:"3,keyasint"`
	Public  []byte  `cbor:"4,keyasint,omitempty"`
	Sig     []byte  `cbor:"5,keyasint"`
}

// message is what the target signs.
func (a *answer) message(network p2p.ID, to digest) []byte {
	b := make([]byte, 0, len(network)+len(to)+1+len(a.Epoch)+8+len(a.Public)+len(a.Sealed))
	b = append(b, network[:]...)
	b = append(b, to[:]...)
	b = append(b, byte(a.Outcome))
	b = append(b, a.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(a.Public)))
	b = append(b, a.Public...)
	return append(b, a.Sealed...)
}

// seal signs the answer to a request and encodes it.
func (a answer) seal(target p2p.Identity, network p2p.ID, to digest) ([]byte, error) {
	a.Sig = target.Sign(answerContext, a.message(network, to))
	return wire.Marshal(a)
}

// openAnswer reads the answer to a request and checks who has signed it.
func openAnswer(b []byte, target ed25519.PublicKey, network p2p.ID, to digest) (*answer, error) {
	var a answer
	if err := wire.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	switch {
	case a.Outcome >= outcomes || len(a.Sealed) > maxResult || a.Outcome == outcomeEpoch && len(a.Public) != publicSize:
		return nil, fmt.Errorf("route: answer out of bounds: %w", wire.ErrMalformed)
	case !p2p.Verify(target, answerContext, a.message(network, to), a.Sig):
		return nil, fmt.Errorf("route: answer that is not signed by %s for this request", p2p.IDOf(target).Short())
	}
	return &a, nil
}
