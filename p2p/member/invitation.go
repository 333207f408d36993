package member

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Secret is what an invitation proves its holder by: 128 random bits. It does not
// print itself.
type Secret [16]byte

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "(secret)" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Invitation is what the one who was invited holds in the hand.
type Invitation struct {
	Network p2p.ID
	Inviter p2p.Contact   // unsigned: key, name and addresses
	Relays  []p2p.Contact // unsigned, without names: members that forward signalling to the inviter, at most 3
	ID      [16]byte      // zero in open networks, where nothing needs to be redeemed
	Secret  Secret
	Role    Role
	Expires time.Time
}

// What fits into an invitation.
const (
	maxInviteRelays     = 3
	maxInviteAddrs      = 8 // of the inviter
	maxInviteRelayAddrs = 2
	maxInviteText       = 4096
	invitationVersion   = 1
	checksumSize        = 4
)

// invitationBody is an invitation as it is encoded; the text form adds the first
// 4 bytes of its SHA-256, so that a slip of the pen reads as malformed.
type invitationBody struct {
	Version uint64        `cbor:"1,keyasint"`
	Network []byte        `cbor:"2,keyasint"`
	Inviter contactBody   `cbor:"3,keyasint"`
	Relays  []contactBody `cbor:"4,keyasint,omitempty"`
	ID      []byte        `cbor:"5,keyasint,omitempty"`
	Secret  []byte        `cbor:"6,keyasint,omitempty"`
	Expires int64         `cbor:"7,keyasint"` // Unix seconds
	Admin   bool          `cbor:"8,keyasint,omitempty"`
}

type contactBody struct {
	_     struct{}         `cbor:",toarray"`
	Key   []byte           // public key
	Name  string           // empty for relays
	Addrs []netip.AddrPort // 6 bytes each for IPv4
}

func (c contactBody) contact() p2p.Contact {
	return p2p.Contact{PublicKey: c.Key, Name: CleanName(c.Name), Addrs: c.Addrs}
}

var payloadEncoding = base64.RawURLEncoding.Strict()

// ParseInvitation reads an invitation: the link http://HOST/#join=PAYLOAD with any
// host, shoal://join#PAYLOAD, or the payload alone. The error is ErrMalformed. An
// invitation that has expired is still one.
func ParseInvitation(text string) (Invitation, error) {
	inv, err := parseInvitation(strings.TrimSpace(text))
	if err != nil {
		return Invitation{}, fmt.Errorf("member: invitation: %w: %w", ErrMalformed, err)
	}
	return inv, nil
}

func parseInvitation(text string) (Invitation, error) {
	if len(text) > maxInviteText {
		return Invitation{}, fmt.Errorf("%d characters, at most %d", len(text), maxInviteText)
	}
	payload, err := payloadOf(text)
	if err != nil {
		return Invitation{}, err
	}
	raw, err := payloadEncoding.DecodeString(payload)
	if err != nil {
		return Invitation{}, err
	}
	if len(raw) <= checksumSize {
		return Invitation{}, fmt.Errorf("only %d bytes", len(raw))
	}
	body, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:checksumSize]) {
		return Invitation{}, fmt.Errorf("wrong checksum: part of it is missing or mistyped")
	}
	var b invitationBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return Invitation{}, err
	}
	return b.invitation()
}

// payloadOf takes the payload out of any of the three forms.
func payloadOf(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text, nil
	}
	var payload string
	switch strings.ToLower(scheme) {
	case "http", "https":
		_, payload, found = strings.Cut(rest, "#join=")
	case "shoal":
		payload, found = strings.CutPrefix(rest, "join#")
	default:
		found = false
	}
	if !found {
		return "", fmt.Errorf("not an invitation's link")
	}
	return payload, nil
}

func (b invitationBody) invitation() (Invitation, error) {
	inv := Invitation{Inviter: b.Inviter.contact(), Role: RoleMember, Expires: time.Unix(b.Expires, 0).UTC()}
	if b.Admin {
		inv.Role = RoleAdmin
	}
	switch {
	case b.Version != invitationVersion:
		return Invitation{}, fmt.Errorf("version %d, this program knows %d", b.Version, invitationVersion)
	case len(b.Network) != len(inv.Network):
		return Invitation{}, fmt.Errorf("network ID of %d bytes", len(b.Network))
	case len(b.ID) != len(b.Secret) || (len(b.ID) != 0 && len(b.ID) != len(inv.ID)):
		return Invitation{}, fmt.Errorf("ID of %d bytes, secret of %d", len(b.ID), len(b.Secret))
	case len(b.ID) != 0 && [16]byte(b.ID) == [16]byte{}:
		return Invitation{}, fmt.Errorf("the ID that stands for none")
	case len(b.Relays) > maxInviteRelays:
		return Invitation{}, fmt.Errorf("%d relays, at most %d", len(b.Relays), maxInviteRelays)
	}
	inv.Network = p2p.ID(b.Network)
	copy(inv.ID[:], b.ID)
	copy(inv.Secret[:], b.Secret)
	for _, r := range b.Relays {
		inv.Relays = append(inv.Relays, r.contact())
		inv.Inviter.Relays = append(inv.Inviter.Relays, p2p.IDOf(r.Key))
	}
	for _, c := range append([]p2p.Contact{inv.Inviter}, inv.Relays...) {
		if err := usableContact(c); err != nil {
			return Invitation{}, err
		}
	}
	return inv, nil
}

// payload encodes inv; what is too much for it is left out.
func (inv Invitation) payload() (string, error) {
	b := invitationBody{
		Version: invitationVersion, Network: inv.Network[:],
		Inviter: contactBody{Key: inv.Inviter.PublicKey, Name: inv.Inviter.Name, Addrs: first(inv.Inviter.Addrs, maxInviteAddrs)},
		Expires: inv.Expires.Unix(), Admin: inv.Role == RoleAdmin,
	}
	if inv.ID != [16]byte{} {
		b.ID, b.Secret = inv.ID[:], inv.Secret[:]
	}
	for _, r := range first(inv.Relays, maxInviteRelays) {
		b.Relays = append(b.Relays, contactBody{Key: r.PublicKey, Addrs: first(r.Addrs, maxInviteRelayAddrs)})
	}
	body, err := wire.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("member: encode invitation: %w", err)
	}
	return seal(body), nil
}

// seal makes the payload of a body.
func seal(body []byte) string {
	sum := sha256.Sum256(body)
	return payloadEncoding.EncodeToString(append(slices.Clip(body), sum[:checksumSize]...))
}

func first[T any](s []T, n int) []T { return s[:min(n, len(s))] }

// Link returns the text form of inv that opens the page of the one who joins, such
// as "http://localhost:8080"; for an empty page the form shoal://join#…, which
// needs none. The text is as secret as the invitation.
func (inv Invitation) Link(page string) string {
	payload, err := inv.payload()
	if err != nil {
		// Every field was checked by ParseInvitation or Invite, and none of them
		// can be too long for a message.
		panic(err)
	}
	if page == "" {
		return "shoal://join#" + payload
	}
	return strings.TrimRight(page, "/") + "/#join=" + payload
}

// Contact tells how to reach the inviter. It is not signed; the link proves the
// inviter's key.
func (inv Invitation) Contact() p2p.Contact { return inv.Inviter }

// Pass opens the inviter's door, see Service.Gate.
func (inv Invitation) Pass() p2p.Pass {
	return p2p.Pass{Network: inv.Network, Invite: inv.ID, Key: passKey(inv.Network, inv.ID, inv.Secret)}
}

// Public reports whether the invitation is one to an open network, to which anybody may come who
// knows where.
func (inv Invitation) Public() bool { return inv.ID == [16]byte{} }

// Expired reports whether inv is of no use any more at the time now.
func (inv Invitation) Expired(now time.Time) bool { return !now.Before(inv.Expires) }

// What keys are derived for. One secret serves two proofs, and neither can be
// used for the other.
const (
	passPurpose = "shoal invitation pass 1"
	joinPurpose = "shoal invitation join 1"
)

func passKey(network p2p.ID, invite [16]byte, secret Secret) [32]byte {
	return deriveKey(network, invite, secret, passPurpose)
}

// joinProof is what the joiner sends over the link whose channel binding is
// given: it knows the secret, and says so to this inviter on this link only.
func joinProof(network p2p.ID, invite [16]byte, secret Secret, binding [32]byte, joiner ed25519.PublicKey) []byte {
	key := deriveKey(network, invite, secret, joinPurpose)
	id := p2p.IDOf(joiner)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(binding[:])
	mac.Write(id[:])
	mac.Write([]byte("join"))
	return mac.Sum(nil)
}

// deriveKey is HKDF-SHA256 (RFC 5869) with the network as salt.
func deriveKey(network p2p.ID, invite [16]byte, secret Secret, purpose string) [32]byte {
	key, err := hkdf.Key(sha256.New, secret[:], network[:], purpose+"\x00"+string(invite[:]), 32)
	if err != nil {
		// Only a key longer than 255 hashes, or an unapproved hash, is an error.
		panic("member: derive key: " + err.Error())
	}
	return [32]byte(key)
}
