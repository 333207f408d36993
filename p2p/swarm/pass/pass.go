package pass

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Errors that callers tell apart.
var (
	// ErrExpired: the pass was good until a time that has passed.
	ErrExpired = errors.New("the link has expired")
	// ErrRefused: the one who made the pass does not take it, or not from this node.
	ErrRefused = errors.New("the link is not accepted any more, or was used by another computer")
	// ErrMalformed: what cannot be a pass.
	ErrMalformed = errors.New("malformed pass")
	// ErrUnknown: there is no such pass.
	ErrUnknown = errors.New("no such link")
	// ErrFull: there are as many passes as a node can have.
	ErrFull = errors.New("too many links")
)

// ID names a pass. It is not secret.
type ID [16]byte

// String returns the ID as 32 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Secret is what the holder of a pass proves itself by: 128 random bits. It does not print itself.
type Secret [16]byte

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "(secret)" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Pass is what a link to a seed has for somebody outside.
type Pass struct {
	ID      ID
	Secret  Secret
	Network p2p.ID        // of the host
	Host    p2p.Contact   // the member that lets the holder in: its key and addresses, unsigned
	Relays  []p2p.Contact // members that forward signalling to the host, unsigned
	Expires time.Time     // to the second
}

// What fits into a pass.
const (
	MaxAddrs      = 8 // of the host
	MaxRelays     = 3
	MaxRelayAddrs = 2

	version      = 1
	maxText      = 4096
	checksumSize = 4
)

// body is a pass as it is encoded; the text is base64url of it and of the first 4 bytes of its
// SHA-256, so that a part that is missing is noticed.
type body struct {
	Version uint64  `cbor:"1,keyasint"`
	Network []byte  `cbor:"2,keyasint"`
	Host    party   `cbor:"3,keyasint"`
	Relays  []party `cbor:"4,keyasint,omitempty"`
	ID      []byte  `cbor:"5,keyasint"`
	Secret  []byte  `cbor:"6,keyasint"`
}

type party struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Addrs []netip.AddrPort
}

var encoding = base64.RawURLEncoding.Strict()

// Of returns the pass that a link has; ok is false if it has none. Errors: ErrMalformed.
func Of(l seed.Link) (p Pass, ok bool, err error) {
	via, expires := l.Extra[seed.LinkVia], l.Extra[seed.LinkExpires]
	if via == "" && expires == "" {
		return Pass{}, false, nil
	}
	if p, err = parse(via); err == nil {
		var s int64
		if s, err = strconv.ParseInt(expires, 10, 64); err == nil && (s < 0 || s > maxUnix) {
			err = fmt.Errorf("a link until the year %d", time.Unix(s, 0).Year())
		}
		p.Expires = time.Unix(s, 0).UTC()
	}
	if err != nil {
		return Pass{}, false, fmt.Errorf("pass: link to %s: %w: %w", l.ID.Short(), ErrMalformed, err)
	}
	return p, true, nil
}

// maxUnix is the last second that can be written as a date.
const maxUnix = 253402300799

func parse(via string) (Pass, error) {
	if len(via) > maxText {
		return Pass{}, fmt.Errorf("%d characters, at most %d", len(via), maxText)
	}
	raw, err := encoding.DecodeString(via)
	if err != nil {
		return Pass{}, err
	}
	if len(raw) <= checksumSize {
		return Pass{}, fmt.Errorf("only %d bytes", len(raw))
	}
	text, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if want := sha256.Sum256(text); !bytes.Equal(sum, want[:checksumSize]) {
		return Pass{}, errors.New("wrong checksum: part of it is missing or mistyped")
	}
	var b body
	if err := wire.Unmarshal(text, &b); err != nil {
		return Pass{}, err
	}
	return b.pass()
}

func (b body) pass() (Pass, error) {
	p := Pass{Host: p2p.Contact{PublicKey: b.Host.Key, Addrs: b.Host.Addrs}}
	switch {
	case b.Version != version:
		return Pass{}, fmt.Errorf("version %d, this program knows %d", b.Version, version)
	case len(b.Network) != len(p.Network) || len(b.ID) != len(p.ID) || len(b.Secret) != len(p.Secret):
		return Pass{}, fmt.Errorf("network of %d bytes, ID of %d, secret of %d", len(b.Network), len(b.ID), len(b.Secret))
	case ID(b.ID) == ID{}:
		return Pass{}, errors.New("the ID that stands for none")
	case len(b.Relays) > MaxRelays:
		return Pass{}, fmt.Errorf("%d relays, at most %d", len(b.Relays), MaxRelays)
	}
	if err := b.Host.check(MaxAddrs); err != nil {
		return Pass{}, err
	}
	p.Network, p.ID, p.Secret = p2p.ID(b.Network), ID(b.ID), Secret(b.Secret)
	for _, r := range b.Relays {
		if err := r.check(MaxRelayAddrs); err != nil {
			return Pass{}, err
		}
		p.Relays = append(p.Relays, p2p.Contact{PublicKey: r.Key, Addrs: r.Addrs})
		p.Host.Relays = append(p.Host.Relays, p2p.IDOf(r.Key))
	}
	return p, nil
}

func (p party) check(addrs int) error {
	if len(p.Key) != ed25519.PublicKeySize || len(p.Addrs) > addrs {
		return fmt.Errorf("a key of %d bytes with %d addresses", len(p.Key), len(p.Addrs))
	}
	for _, a := range p.Addrs {
		if ip := a.Addr(); !ip.IsValid() || a.Port() == 0 || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return fmt.Errorf("address %s", a)
		}
	}
	return nil
}

// Into returns l with the pass. What is too much for it is left out. The link is as secret as the pass.
func (p Pass) Into(l seed.Link) (seed.Link, error) {
	b := body{Version: version, Network: p.Network[:], Host: partyOf(p.Host, MaxAddrs), ID: p.ID[:], Secret: p.Secret[:]}
	for _, r := range p.Relays[:min(len(p.Relays), MaxRelays)] {
		b.Relays = append(b.Relays, partyOf(r, MaxRelayAddrs))
	}
	text, err := wire.Marshal(b)
	if err != nil {
		return seed.Link{}, fmt.Errorf("pass: encode: %w", err)
	}
	sum := sha256.Sum256(text)
	l.Extra = map[string]string{
		seed.LinkVia:     encoding.EncodeToString(append(text, sum[:checksumSize]...)),
		seed.LinkExpires: strconv.FormatInt(p.Expires.Unix(), 10),
	}
	return l, nil
}

func partyOf(c p2p.Contact, addrs int) party {
	return party{Key: c.PublicKey, Addrs: c.Addrs[:min(len(c.Addrs), addrs)]}
}

// Expired reports whether the pass is of no use any more at the time now.
func (p Pass) Expired(now time.Time) bool { return !now.Before(p.Expires) }

// Knock is what opens the host's door.
func (p Pass) Knock() p2p.Pass {
	return p2p.Pass{Network: p.Network, Invite: p.ID, Key: key(p.Network, p.ID, p.Secret)}
}

// purpose is what the key of a pass is derived for. An invitation's is another one.
const purpose = "shoal seed pass 1"

// key is HKDF-SHA256 (RFC 5869) of the secret, with the network as salt.
func key(network p2p.ID, id ID, secret Secret) [32]byte {
	k, err := hkdf.Key(sha256.New, secret[:], network[:], purpose+"\x00"+string(id[:]), 32)
	if err != nil {
		// Only a key longer than 255 hashes, or an unapproved hash, is an error.
		panic("pass: derive key: " + err.Error())
	}
	return [32]byte(k)
}
