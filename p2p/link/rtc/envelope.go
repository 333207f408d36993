package rtc

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// maxEnvelope bounds a sealed envelope, in bytes.
const maxEnvelope = 16 << 10

// signalContext says what an envelope's signature is a signature of.
const signalContext = "shoal signal 1"

// kind is what an envelope says.
type kind uint

const (
	offer   kind = 1
	answer  kind = 2
	refusal kind = 3
	// registration tells a rendezvous who is there.
	registration kind = 4
)

// Codes of refusals.
const (
	codeRefused = "refused" // the gate said no
	codeBusy    = "busy"    // too many handshakes at once
	codeGlare   = "glare"   // the smaller ID's own offer is under way
	codeStale   = "stale"   // the number is not above Issued of this refusal
	codeGone    = "gone"    // there is no such connection to restart
)

// envelope is one message of the signalling.
type envelope struct {
	Version uint              `cbor:"1,keyasint"`
	Kind    kind              `cbor:"2,keyasint"`
	From    ed25519.PublicKey `cbor:"3,keyasint"`
	To      p2p.ID            `cbor:"4,keyasint"`
	Network p2p.ID            `cbor:"5,keyasint"`
	Nonce   [16]byte          `cbor:"6,keyasint"`
	// Issued is larger in each envelope of a node than in the one before; of a
	// stale refusal it is the number to exceed.
	Issued int64    `cbor:"7,keyasint"`
	SDP    string   `cbor:"8,keyasint,omitempty"`
	Invite [16]byte `cbor:"9,keyasint"`
	MAC    []byte   `cbor:"10,keyasint,omitempty"`
	Offer  [32]byte `cbor:"11,keyasint"` // hash of the sealed offer that this replies to
	Code   string   `cbor:"12,keyasint,omitempty"`
	// Restart is the hash of the offer that made the connection which this offer
	// is to find another path for. It is zero in an offer of a connection.
	Restart [32]byte `cbor:"13,keyasint,omitzero"`
	// Relays of an answer to a guest are those at which he may meet its author.
	Relays []relayPass `cbor:"14,keyasint,omitempty"`
	// Wait of an offer that a person carries is for how many seconds its author waits
	// for the answer. Offers that travel by themselves have none, so that neither can
	// be taken for the other.
	Wait uint32 `cbor:"15,keyasint,omitzero"`
	// Name is what the author of something that a person carries calls itself: a help
	// for people, and no proof.
	Name string `cbor:"16,keyasint,omitempty"`
	// Proof is what the author of an offer shows of himself to who may not know him.
	Proof []byte `cbor:"17,keyasint,omitempty"`
}

// maxShown bounds that, in bytes.
const maxShown = 4 << 10

// relayPass lets a guest use a relay.
type relayPass struct {
	ID       p2p.ID           `cbor:"1,keyasint"`
	Addrs    []netip.AddrPort `cbor:"2,keyasint"`
	User     string           `cbor:"3,keyasint"`
	Password string           `cbor:"4,keyasint"`
}

// sealed is an envelope as it travels.
type sealed struct {
	Body []byte `cbor:"1,keyasint"`
	Sig  []byte `cbor:"2,keyasint"`
}

// seal encodes and signs e as who.
func seal(who p2p.Identity, e envelope) ([]byte, error) {
	e.Version, e.From = 1, who.PublicKey()
	body, err := wire.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("rtc: seal: %w", err)
	}
	msg, err := wire.Marshal(sealed{Body: body, Sig: who.Sign(signalContext, body)})
	if err != nil {
		return nil, fmt.Errorf("rtc: seal: %w", err)
	}
	if len(msg) > maxEnvelope {
		return nil, fmt.Errorf("rtc: seal: %d bytes, at most %d: %w", len(msg), maxEnvelope, p2p.ErrTooLarge)
	}
	return msg, nil
}

// open decodes a sealed envelope and verifies that the key it names signed it.
// Everything in the result was said by the owner of that key, whoever he is.
func open(msg []byte) (envelope, error) {
	var s sealed
	var e envelope
	if len(msg) > maxEnvelope {
		return e, fmt.Errorf("rtc: envelope: %d bytes, at most %d: %w", len(msg), maxEnvelope, p2p.ErrTooLarge)
	}
	if err := wire.Unmarshal(msg, &s); err != nil {
		return e, fmt.Errorf("rtc: envelope: %w", err)
	}
	if err := wire.Unmarshal(s.Body, &e); err != nil {
		return e, fmt.Errorf("rtc: envelope: %w", err)
	}
	if e.Version != 1 || e.Kind < offer || e.Kind > registration {
		return e, fmt.Errorf("rtc: envelope: version %d, kind %d: %w", e.Version, e.Kind, wire.ErrMalformed)
	}
	if !p2p.Verify(e.From, signalContext, s.Body, s.Sig) {
		return e, fmt.Errorf("rtc: envelope: the signature does not verify: %w", wire.ErrMalformed)
	}
	return e, nil
}

// author is whom msg names as its author, which nobody has verified; zero if msg is
// no envelope.
func author(msg []byte) p2p.ID {
	var s sealed
	var e envelope
	if len(msg) > maxEnvelope || wire.Unmarshal(msg, &s) != nil || wire.Unmarshal(s.Body, &e) != nil {
		return p2p.ID{}
	}
	return p2p.IDOf(e.From)
}

// openReply opens what came back for the sealed offer sent to peer by self. A
// reply of anybody else, or to another offer, is an error.
func openReply(msg, sent []byte, peer, self p2p.ID) (envelope, error) {
	e, err := open(msg)
	if err != nil {
		return e, err
	}
	switch {
	case e.Kind != answer && e.Kind != refusal:
		return e, fmt.Errorf("rtc: reply: no answer: %w", wire.ErrMalformed)
	case p2p.IDOf(e.From) != peer || e.To != self:
		return e, fmt.Errorf("rtc: reply: from %s to %s, not of this dial: %w", p2p.IDOf(e.From).Short(), e.To.Short(), wire.ErrMalformed)
	case e.Offer != sha256.Sum256(sent):
		return e, fmt.Errorf("rtc: reply: to another offer: %w", wire.ErrMalformed)
	}
	return e, nil
}

// macMessage is what the MAC of an invitation covers: the envelope without it.
func macMessage(e envelope) ([]byte, error) {
	e.MAC = nil
	return wire.Marshal(e)
}

// addPass puts the proof of an invitation's secret into an offer of the holder of
// key.
func addPass(e envelope, key ed25519.PublicKey, pass p2p.Pass) (envelope, error) {
	e.Version, e.From, e.Network, e.Invite = 1, key, pass.Network, pass.Invite
	msg, err := macMessage(e)
	if err != nil {
		return e, err
	}
	h := hmac.New(sha256.New, pass.Key[:])
	h.Write(msg)
	e.MAC = h.Sum(nil)
	return e, nil
}

// knock is what the gate gets to see of an offer.
func knock(e envelope) (p2p.Knock, error) {
	msg, err := macMessage(e)
	if err != nil {
		return p2p.Knock{}, err
	}
	return p2p.Knock{From: e.From, Network: e.Network, Invite: e.Invite, MAC: e.MAC, Message: msg, Proof: e.Proof}, nil
}
