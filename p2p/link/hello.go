package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

const (
	// version is of everything between hello and goaway. Peers of another version
	// are refused.
	version = 1
	// helloTimeout bounds hello and auth together.
	helloTimeout = 10 * time.Second
	// MaxProof is how long a proof in a hello may be: a hello is one packet.
	MaxProof = MaxPacket - 256

	initiatorContext = "shoal link 1 initiator"
	responderContext = "shoal link 1 responder"
)

// hello is the first message of each end.
type hello struct {
	Version   uint64   `cbor:"1,keyasint"`
	Key       []byte   `cbor:"2,keyasint"`
	Network   []byte   `cbor:"3,keyasint"`
	Nonce     [32]byte `cbor:"4,keyasint"`
	Initiator bool     `cbor:"5,keyasint"`
	// Proof is none of the transcript: what it says, it says itself.
	Proof []byte `cbor:"6,keyasint,omitempty"`
	// MaxBody is how long the requests and answers of calls may be that this end reads; 0: leastBody.
	MaxBody uint64 `cbor:"7,keyasint,omitempty"`
}

// leastBody is what every end reads: builds that do not say what they read take no more for an
// honest peer's.
const leastBody = 64 << 10

// bodies returns how long a request or an answer to a peer may be.
func (h hello) bodies() int { return int(min(max(h.MaxBody, leastBody), wire.MaxMessage)) }

// transcript is everything that both ends must see alike. Its encoding is what
// each signs, under the context of its role, and its hash binds the channel.
type transcript struct {
	Version         uint64   `cbor:"1,keyasint"`
	Network         [32]byte `cbor:"2,keyasint"`
	Initiator       [32]byte `cbor:"3,keyasint"` // IDs
	Responder       [32]byte `cbor:"4,keyasint"`
	InitiatorNonce  [32]byte `cbor:"5,keyasint"`
	ResponderNonce  [32]byte `cbor:"6,keyasint"`
	InitiatorFinger [32]byte `cbor:"7,keyasint"`
	ResponderFinger [32]byte `cbor:"8,keyasint"`
}

// session is what hello and auth have found out.
type session struct {
	key     ed25519.PublicKey
	peer    p2p.ID
	binding [32]byte
	proof   []byte
	bodies  int // how long a request or an answer to the peer may be
}

// authenticate runs hello and auth on channel 0, in two messages each way, and
// leaves the carrier open only when they succeed. Somebody who sits between the
// two ends has to end the transport's encryption himself, so the ends see
// different fingerprints and each other's signature fails. The nonces make a
// recorded signature worthless, the contexts one that is sent back.
func authenticate(ctx context.Context, c Carrier, o Options) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // unblocks Send and Receive
	s, err := greet(c, o)
	if !stop() {
		err = fmt.Errorf("link: hello: no peer authenticated in time: %w", context.Cause(ctx))
	}
	if err != nil {
		_ = c.Close()
		return session{}, err
	}
	return s, nil
}

func greet(c Carrier, o Options) (session, error) {
	mine := hello{Version: version, Key: o.Identity.PublicKey(), Network: o.Network[:], Initiator: o.Initiator, Proof: o.Proof, MaxBody: wire.MaxMessage}
	if len(mine.Proof) > MaxProof {
		return session{}, fmt.Errorf("link: hello: proof of %d bytes, at most %d: %w", len(mine.Proof), MaxProof, p2p.ErrTooLarge)
	}
	_, _ = rand.Read(mine.Nonce[:]) // never fails
	payload, err := wire.Marshal(mine)
	if err != nil {
		return session{}, fmt.Errorf("link: hello: %w", err)
	}
	if err := sendControl(c, wire.Hello, payload); err != nil {
		return session{}, err
	}
	buf := make([]byte, MaxPacket)
	if payload, err = receiveControl(c, wire.Hello, buf); err != nil {
		return session{}, err
	}
	var theirs hello
	if err := wire.Unmarshal(payload, &theirs); err != nil {
		return session{}, fmt.Errorf("link: hello: %w", err)
	}
	if err := checkHello(mine, theirs, o.Expect); err != nil {
		return session{}, fmt.Errorf("link: hello: %w", err)
	}
	return prove(c, o, mine, theirs, buf)
}

// checkHello decides whether the peer is worth a signature.
func checkHello(mine, theirs hello, expect p2p.ID) error {
	if theirs.Version != mine.Version {
		return fmt.Errorf("peer speaks version %d, this node %d: %w", theirs.Version, mine.Version, p2p.ErrRefused)
	}
	if len(theirs.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("key of %d bytes: %w", len(theirs.Key), p2p.ErrRefused)
	}
	peer := p2p.IDOf(theirs.Key)
	switch {
	case string(theirs.Key) == string(mine.Key) || theirs.Nonce == mine.Nonce:
		return fmt.Errorf("peer claims to be this node: %w", p2p.ErrRefused)
	case theirs.Initiator == mine.Initiator:
		return fmt.Errorf("both ends claim the same role: %w", p2p.ErrRefused)
	case string(theirs.Network) != string(mine.Network):
		return fmt.Errorf("peer %s is of another network: %w", peer.Short(), p2p.ErrRefused)
	case !expect.IsZero() && peer != expect:
		return fmt.Errorf("peer is %s, expected %s: %w", peer.Short(), expect.Short(), p2p.ErrRefused)
	}
	return nil
}

// prove exchanges signatures of the transcript.
func prove(c Carrier, o Options, mine, theirs hello, buf []byte) (session, error) {
	t := newTranscript(c, o, mine, theirs)
	message, err := wire.Marshal(t)
	if err != nil {
		return session{}, fmt.Errorf("link: auth: %w", err)
	}
	ours, peers := responderContext, initiatorContext
	if o.Initiator {
		ours, peers = peers, ours
	}
	if err := sendControl(c, wire.Auth, o.Identity.Sign(ours, message)); err != nil {
		return session{}, err
	}
	sig, err := receiveControl(c, wire.Auth, buf)
	if err != nil {
		return session{}, err
	}
	peer := p2p.IDOf(theirs.Key)
	if !p2p.Verify(theirs.Key, peers, message, sig) {
		return session{}, fmt.Errorf("link: auth: peer did not prove to be %s on this connection: %w", peer.Short(), p2p.ErrRefused)
	}
	return session{key: theirs.Key, peer: peer, binding: sha256.Sum256(message), proof: theirs.Proof, bodies: theirs.bodies()}, nil
}

func newTranscript(c Carrier, o Options, mine, theirs hello) transcript {
	local, remote := c.Fingerprints()
	t := transcript{
		Version: version, Network: o.Network,
		Initiator: p2p.IDOf(mine.Key), InitiatorNonce: mine.Nonce, InitiatorFinger: local,
		Responder: p2p.IDOf(theirs.Key), ResponderNonce: theirs.Nonce, ResponderFinger: remote,
	}
	if !o.Initiator {
		t.Initiator, t.Responder = t.Responder, t.Initiator
		t.InitiatorNonce, t.ResponderNonce = t.ResponderNonce, t.InitiatorNonce
		t.InitiatorFinger, t.ResponderFinger = t.ResponderFinger, t.InitiatorFinger
	}
	return t
}

func sendControl(c Carrier, t wire.Type, payload []byte) error {
	if err := c.Send(control, wire.AppendFrame(nil, wire.Frame{Type: t, Payload: payload})); err != nil {
		return fmt.Errorf("link: sending %v: %w", t, err)
	}
	return nil
}

// receiveControl returns the payload of the next message, which must be a single
// frame of type t. The payload does not outlive buf.
func receiveControl(c Carrier, t wire.Type, buf []byte) ([]byte, error) {
	n, err := c.Receive(control, buf)
	if err != nil {
		return nil, fmt.Errorf("link: waiting for %v: %w", t, err)
	}
	f, rest, err := wire.ParseFrame(buf[:n])
	if err != nil {
		return nil, fmt.Errorf("link: waiting for %v: %w", t, err)
	}
	if f.Type != t || len(rest) > 0 {
		return nil, fmt.Errorf("link: waiting for %v: got %v with %d bytes behind: %w", t, f.Type, len(rest), p2p.ErrRefused)
	}
	return f.Payload, nil
}

var errNoIdentity = errors.New("link: no identity to authenticate with")
