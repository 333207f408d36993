package member

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Limits of what a node says of itself.
const (
	MaxAddrs  = 16
	MaxRelays = 5

	maxFolder = 64        // bytes of a folder's ID
	maxSeq    = 1<<53 - 1 // what JavaScript counts exactly; nobody gets there honestly
)

// SignContact fills in the key and the signature of c.
func SignContact(by p2p.Identity, c p2p.Contact) (p2p.Contact, error) {
	s, err := contactStatement(by, c)
	if err != nil {
		return p2p.Contact{}, err
	}
	c.PublicKey, c.Sig = by.PublicKey(), s.Sig
	return c, nil
}

// VerifyContact reports whether c is within the limits and signed by its node.
func VerifyContact(c p2p.Contact) error {
	sig := c.Sig
	c.Sig = nil
	body, err := wire.Marshal(c)
	if err != nil {
		return fmt.Errorf("member: contact: %w", err)
	}
	_, err = check(Statement{Kind: KindContact, Body: body, Sig: sig})
	return err
}

func contactStatement(by p2p.Identity, c p2p.Contact) (Statement, error) {
	c.PublicKey, c.Sig = by.PublicKey(), nil
	if err := usableContact(c); err != nil {
		return Statement{}, fmt.Errorf("member: sign contact: %w: %w", ErrMalformed, err)
	}
	return sign(by, KindContact, c)
}

func readContact(s Statement) (*p2p.Contact, ed25519.PublicKey, error) {
	var c p2p.Contact
	if err := wire.Unmarshal(s.Body, &c); err != nil {
		return nil, nil, err
	}
	// The decoder cuts and pads byte strings that are read as IDs.
	var exact struct {
		Relays [][]byte `cbor:"4,keyasint"`
	}
	if err := wire.Unmarshal(s.Body, &exact); err != nil {
		return nil, nil, err
	}
	for _, id := range exact.Relays {
		if len(id) != len(p2p.ID{}) {
			return nil, nil, fmt.Errorf("relay ID of %d bytes", len(id))
		}
	}
	if len(c.Sig) != 0 {
		return nil, nil, errors.New("a signature within what is signed")
	}
	if err := usableContact(c); err != nil {
		return nil, nil, err
	}
	c.Sig = s.Sig
	return &c, c.PublicKey, nil
}

func usableContact(c p2p.Contact) error {
	switch {
	case len(c.PublicKey) != ed25519.PublicKeySize:
		return fmt.Errorf("key of %d bytes", len(c.PublicKey))
	case len(c.Name) > maxName || !utf8.ValidString(c.Name):
		return errors.New("unusable name")
	case len(c.Addrs) > MaxAddrs:
		return fmt.Errorf("%d addresses, at most %d", len(c.Addrs), MaxAddrs)
	case len(c.Relays) > MaxRelays:
		return fmt.Errorf("%d relays, at most %d", len(c.Relays), MaxRelays)
	case c.Seq > maxSeq:
		return fmt.Errorf("sequence number %d", c.Seq)
	}
	for _, a := range c.Addrs {
		if !usableAddr(a) {
			return fmt.Errorf("address %s", a)
		}
	}
	return nil
}

// usableAddr reports whether another computer could try a. Zones mean something
// on one computer only.
func usableAddr(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast()
}

// offerBody is a folder offer as it is signed.
type offerBody struct {
	Network []byte `cbor:"1,keyasint"`
	By      []byte `cbor:"2,keyasint"` // public key of the signer: the creator or an admin
	Creator []byte `cbor:"3,keyasint"` // ID
	Folder  string `cbor:"4,keyasint"`
	Label   string `cbor:"5,keyasint"`
	Access  string `cbor:"6,keyasint"` // of those without a grant
	Gone    bool   `cbor:"7,keyasint,omitempty"`
	Seq     uint64 `cbor:"8,keyasint"`
	Grants  []byte `cbor:"9,keyasint,omitempty"` // packed
}

func offerStatement(by p2p.Identity, network p2p.ID, o Offer) (Statement, error) {
	if err := o.Grants.Check(); err != nil {
		return Statement{}, fmt.Errorf("member: sign offer of folder %.64q: %w: %w", o.Folder, ErrMalformed, err)
	}
	b := offerBody{
		Network: network[:], By: by.PublicKey(), Creator: o.By[:], Grants: o.Grants.Pack(),
		Folder: o.Folder, Label: o.Label, Access: o.Access, Gone: o.Gone, Seq: o.Seq,
	}
	if err := b.usable(); err != nil {
		return Statement{}, fmt.Errorf("member: sign offer of folder %.64q: %w: %w", o.Folder, ErrMalformed, err)
	}
	return sign(by, KindOffer, b)
}

func readOffer(body []byte) (*Offer, ed25519.PublicKey, error) {
	var b offerBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return nil, nil, err
	}
	if err := b.usable(); err != nil {
		return nil, nil, err
	}
	grants, err := p2p.UnpackGrants(b.Grants)
	if err != nil {
		return nil, nil, err
	}
	return &Offer{
		Grants: grants,
		Folder: b.Folder, Label: CleanName(b.Label), By: p2p.ID(b.Creator),
		Access: b.Access, Gone: b.Gone, Seq: b.Seq,
		signer: p2p.IDOf(b.By), network: p2p.ID(b.Network),
	}, b.By, nil
}

func (b offerBody) usable() error {
	switch {
	case len(b.Network) != len(p2p.ID{}) || len(b.Creator) != len(p2p.ID{}) || len(b.By) != ed25519.PublicKeySize:
		return errors.New("key of a wrong length")
	case b.Folder == "" || len(b.Folder) > maxFolder || CleanName(b.Folder) != b.Folder:
		return errors.New("unusable folder ID")
	case len(b.Label) > maxName || !utf8.ValidString(b.Label):
		return errors.New("unusable label")
	case !p2p.IsAccess(b.Access):
		return fmt.Errorf("access %.20q", b.Access)
	case b.Seq > maxSeq:
		return fmt.Errorf("sequence number %d", b.Seq)
	}
	return nil
}
