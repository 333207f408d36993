package member

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Bounds of certificates and of what shows them.
const (
	// maxChain is how many certificates lead from a holder to a member of the roster. In closed
	// networks there is one, which an admin has signed.
	maxChain = 8
	// maxOwn is how many certificates of different signers a member holds: when one signer loses
	// its power, another one's still counts.
	maxOwn = 2
	// MaxProof bounds what shows that somebody holds a certificate, in bytes.
	MaxProof = 6 << 10
)

// certificateBody makes somebody a member who shows that himself: the roster, which all keep, does
// not have it. It is no act. Nobody keeps all that somebody has signed, and so a chain by
// which it could be told what was signed before a revocation would have gaps everywhere. What a
// certificate means follows from itself, the certificates that lead from it to the roster, and the
// roster: see view.leads.
type certificateBody struct {
	Network []byte `cbor:"1,keyasint"`
	By      []byte `cbor:"2,keyasint"` // public key
	Under   []byte `cbor:"3,keyasint"` // the signer's admission or, in open networks, its certificate
	Member  []byte `cbor:"4,keyasint"` // public key
	Nonce   []byte `cbor:"5,keyasint"`
	Issued  int64  `cbor:"6,keyasint"`           // Unix seconds, as the signer claims
	Number  uint64 `cbor:"7,keyasint,omitempty"` // of a signer that is no admin: 1 to OpenQuota
}

// certificate is one that was read. Whether its signature is right, and whether its signer had the
// power, is decided elsewhere.
type certificate struct {
	hash    Hash
	network p2p.ID
	by      p2p.ID
	under   Hash
	key     ed25519.PublicKey
	member  p2p.ID
	nonce   [nonceSize]byte
	issued  time.Time
	number  uint64
}

func readCertificate(body []byte) (*certificate, ed25519.PublicKey, error) {
	var b certificateBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return nil, nil, err
	}
	switch {
	case len(b.Network) != len(p2p.ID{}) || len(b.By) != ed25519.PublicKeySize || len(b.Member) != ed25519.PublicKeySize:
		return nil, nil, errors.New("key of a wrong length")
	case len(b.Nonce) != nonceSize:
		return nil, nil, errors.New("nonce of a wrong length")
	}
	under, err := toHash(b.Under)
	if err != nil {
		return nil, nil, err
	}
	return &certificate{
		network: p2p.ID(b.Network), by: p2p.IDOf(b.By), under: under, key: b.Member, member: p2p.IDOf(b.Member),
		nonce: [nonceSize]byte(b.Nonce), issued: time.Unix(b.Issued, 0).UTC(), number: b.Number,
	}, b.By, nil
}

// proof is what its holder shows: certificates, those that others rest on before them and the
// holder's own last, and how it is reached.
type proof struct {
	Certificates []Statement `cbor:"1,keyasint"`
	Contact      *Statement  `cbor:"2,keyasint,omitempty"`
}

// credential is a proof that was read, and whose it is. Nothing of it was verified.
type credential struct {
	proof
	certificates []*certificate // as in the proof
	encoded      []byte
}

// holder returns whose it is.
func (c *credential) holder() *certificate { return c.certificates[len(c.certificates)-1] }

// own returns the holder's certificates.
func (c *credential) own() []*certificate {
	id := c.holder().member
	return slices.DeleteFunc(slices.Clone(c.certificates), func(x *certificate) bool { return x.member != id })
}

// readProof reads a proof without verifying signatures.
func readProof(encoded []byte) (*credential, error) {
	if len(encoded) > MaxProof {
		return nil, fmt.Errorf("member: proof of %d bytes, at most %d: %w", len(encoded), MaxProof, ErrMalformed)
	}
	var p proof
	if err := wire.Unmarshal(encoded, &p); err != nil {
		return nil, fmt.Errorf("member: proof: %w: %w", ErrMalformed, err)
	}
	return newCredential(p, encoded)
}

func newCredential(p proof, encoded []byte) (*credential, error) {
	if n := len(p.Certificates); n == 0 || n > maxOwn*maxChain {
		return nil, fmt.Errorf("member: proof of %d certificates: %w", n, ErrMalformed)
	}
	c := &credential{proof: p, encoded: encoded}
	for _, st := range p.Certificates {
		if st.Kind != KindCertificate || len(st.Body) > MaxBody || len(st.Sig) != ed25519.SignatureSize {
			return nil, fmt.Errorf("member: proof by a statement of kind %d: %w", st.Kind, ErrMalformed)
		}
		x, _, err := readCertificate(st.Body)
		if err != nil {
			return nil, fmt.Errorf("member: proof: %w: %w", ErrMalformed, err)
		}
		x.hash = st.Hash()
		c.certificates = append(c.certificates, x)
	}
	own := c.own()
	if len(own) > maxOwn {
		return nil, fmt.Errorf("member: proof by %d certificates of one member: %w", len(own), ErrMalformed)
	}
	for _, x := range own {
		if x.nonce != own[0].nonce {
			return nil, fmt.Errorf("member: proof of two positions: %w", ErrMalformed)
		}
	}
	return c, nil
}

// credentialOf encodes a proof that this node has put together.
func credentialOf(certificates []Statement, contact *Statement) (*credential, error) {
	p := proof{certificates, contact}
	encoded, err := wire.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("member: encode proof: %w", err)
	}
	if len(encoded) > MaxProof {
		return nil, fmt.Errorf("member: proof of %d bytes, at most %d: %w", len(encoded), MaxProof, ErrFull)
	}
	return newCredential(p, encoded)
}

// verify checks all signatures, and that the contact is the holder's.
func (c *credential) verify() (contact *record, err error) {
	for _, st := range c.Certificates {
		if _, err := check(st); err != nil {
			return nil, err
		}
	}
	if c.Contact == nil {
		return nil, nil
	}
	r, err := check(*c.Contact)
	if err != nil {
		return nil, err
	}
	if r.contact == nil || r.contact.ID() != c.holder().member {
		return nil, fmt.Errorf("member: proof with somebody else's contact: %w", ErrMalformed)
	}
	return r, nil
}

// statements lists what the proof consists of.
func (c *credential) statements() []Statement {
	out := slices.Clone(c.Certificates)
	if c.Contact != nil {
		out = append(out, *c.Contact)
	}
	return out
}

// leads reports whether a certificate makes its holder a member: it leads, over others of the same
// proof in an open network, to an admission in force whose holder may sign what was signed
// under it, and no admin has excluded anybody on the way.
//
// This is a function of the certificates and of the acts of the roster, by way of judge, and adding
// to the acts changes it in two ways only: an exclusion, and whatever ends the
// admission, ends the certificate. A thief who has the key of an admin that was revoked can sign as
// many as he likes, with any date: none leads to an admission in force.
func (v *view) leads(c *certificate, among []*certificate) bool {
	open := v.network.Mode == ModeOpen
	for range maxChain {
		if c.network != v.network.ID || len(v.verdict.excluded[c.member]) > 0 {
			return false
		}
		numbered := open && c.number >= 1 && c.number <= OpenQuota
		if grant := v.verdict.grants[c.under]; grant != nil {
			return grant.member == c.by && (grant.role == RoleAdmin || numbered)
		}
		i := slices.IndexFunc(among, func(x *certificate) bool { return x.hash == c.under })
		if i < 0 || among[i].member != c.by || !numbered {
			return false
		}
		c = among[i]
	}
	return false
}

// depth is how many certificates lead from c to the roster, itself counted.
func (c *certificate) depth(among []*certificate) int {
	for n := 1; ; n++ {
		i := slices.IndexFunc(among, func(x *certificate) bool { return x.hash == c.under })
		if i < 0 || n > maxChain {
			return n
		}
		c = among[i]
	}
}

// inForce returns the holder's certificates that lead to the roster.
func (v *view) inForce(c *credential) []*certificate {
	return slices.DeleteFunc(c.own(), func(x *certificate) bool { return !v.leads(x, c.certificates) })
}

// describe describes a holder as a member.
func (v *view) describe(c *credential, contact *p2p.Contact) *Member {
	own := v.inForce(c)
	x := c.holder()
	if len(own) > 0 {
		x = own[0]
	}
	m := &Member{
		ID: x.member, Role: RoleMember, Admitted: x.issued, By: x.by, Contact: p2p.Contact{PublicKey: x.key},
		Key: position(v.network.ID, x.nonce, x.key), Revoked: len(own) == 0, Certified: true,
	}
	if contact != nil {
		m.Contact = *contact
	}
	if m.Name = CleanName(m.Contact.Name); m.Name == "" {
		m.Name = m.ID.Short()
	}
	return m
}
