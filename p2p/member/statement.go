package member

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Errors that callers tell apart. They arrive wrapped with what was attempted.
var (
	// ErrMalformed: bytes or text that are no statement, invitation or request.
	ErrMalformed = errors.New("malformed")
	// ErrRefused: the inviter, or this node, does not admit the other side. It is
	// a p2p.ErrRefused.
	ErrRefused = fmt.Errorf("invitation %w", p2p.ErrRefused)
	// ErrExpired: the invitation was good once.
	ErrExpired = errors.New("invitation expired")
	// ErrNotEmpty: this node's network has other members; it cannot be left for
	// another one.
	ErrNotEmpty = errors.New("this node's network has other members")
	// ErrAlready: this node is a member of that network already.
	ErrAlready = errors.New("this node is a member already")
	// ErrRevoked: this node was a member, and learnt that it is none any more.
	ErrRevoked = errors.New("this node was revoked")
	// ErrNotAdmin: only admins may do this, and this node is none.
	ErrNotAdmin = errors.New("this node is not an admin")
	// ErrLastAdmin: without its last admin a network could never change again.
	ErrLastAdmin = errors.New("the network would have no admin left")
	// ErrUnknownMember: no member has this ID.
	ErrUnknownMember = errors.New("no such member")
	// ErrNoSeat: only members whom the roster names can offer folders, and this node is none:
	// an admin has to give it a place (Service.Vouch).
	ErrNoSeat = errors.New("no place in the roster")
	// ErrBusy: too many came a moment ago.
	ErrBusy = errors.New("too many come at once")
	// ErrFull: a bound of the roster or of the invitations is reached.
	ErrFull = errors.New("limit reached")
)

// Hash names a statement: the SHA-256 of its kind and body, without the
// signature, of which a signer can make many for the same words.
type Hash [32]byte

// String returns the first 12 hexadecimal digits, for logs.
func (h Hash) String() string { return hex.EncodeToString(h[:6]) }

// IsZero reports whether h names no statement.
func (h Hash) IsZero() bool { return h == Hash{} }

// Kind says what a statement states. The values are part of the protocol.
type Kind uint8

// The kinds of statement.
const (
	KindGenesis    Kind = 1 // a network begins, with its founder as admin
	KindAdmission  Kind = 2 // somebody is a member, in a role
	KindRevocation Kind = 3 // an admission does not hold any more
	KindContact    Kind = 4 // how a node is reached
	KindOffer      Kind = 5 // a folder is there to be joined
	// KindCertificate: somebody is a member, and shows that himself. It is in no roster.
	KindCertificate Kind = 6
	// KindExclusion: whoever has this key is no member, whatever certificates he shows.
	KindExclusion Kind = 7
)

// context returns what statements of the kind are signed under. It is empty for
// unknown kinds.
func (k Kind) context() string {
	switch k {
	case KindGenesis:
		return "shoal genesis 1"
	case KindAdmission:
		return "shoal admission 1"
	case KindRevocation:
		return "shoal revocation 1"
	case KindContact:
		return "shoal contact 1"
	case KindOffer:
		return "shoal offer 1"
	case KindCertificate:
		return "shoal certificate 1"
	case KindExclusion:
		return "shoal exclusion 1"
	}
	return ""
}

// MaxBody is the longest body of a statement, in bytes.
const MaxBody = 4096

// Statement is what somebody has signed. Body is kept as it was signed, so that
// members of a later version may say more in it than this one understands.
type Statement struct {
	Kind Kind   `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint"`
	Sig  []byte `cbor:"3,keyasint"`
}

// Hash names the statement.
func (s Statement) Hash() Hash {
	h := sha256.New()
	h.Write([]byte(s.Kind.context()))
	h.Write([]byte{0})
	h.Write(s.Body)
	return Hash(h.Sum(nil))
}

// size bounds the length of the encoded statement, in bytes.
func (s Statement) size() int { return len(s.Body) + len(s.Sig) + 16 }

// nonceSize is the length of the value by which an admitting member decides the
// position of the one it admits, in bytes.
const nonceSize = 16

// genesisBody is the first statement of a network, signed by its root key. It is
// at once the founder's admission as admin: that key never signs anything else.
type genesisBody struct {
	Root    []byte `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	Mode    Mode   `cbor:"3,keyasint"`
	Created int64  `cbor:"4,keyasint"` // Unix seconds
	Founder []byte `cbor:"5,keyasint"` // public key
	Nonce   []byte `cbor:"6,keyasint"`
	// Roster is how many members the roster names before others get certificates; 0: the
	// default of the mode.
	Roster uint64 `cbor:"7,keyasint,omitempty"`
}

// actHead begins every statement by which a member uses its power over who is
// here. Under is the signer's own admission from which the power comes; it ties
// each statement to one line of admissions up to the genesis. Prev is the signer's
// statement with the number before, so that a number names one statement and
// nobody can slip in one with an old number later.
type actHead struct {
	Network []byte `cbor:"1,keyasint"`
	By      []byte `cbor:"2,keyasint"` // public key
	Under   []byte `cbor:"3,keyasint"`
	Number  uint64 `cbor:"4,keyasint"`           // 1, 2, 3 … of this signer
	Prev    []byte `cbor:"5,keyasint,omitempty"` // none for number 1
	Issued  int64  `cbor:"6,keyasint"`           // Unix seconds, as the signer claims
}

// admissionBody makes somebody a member. Base, if any, is an earlier admission of
// the same member that this one raises: it holds only as long as Base does. Seat says that an admin has
// signed it unasked by anybody but the holder of a certificate: it holds only as long as nobody has
// excluded that one.
type admissionBody struct {
	actHead
	Member []byte `cbor:"7,keyasint"` // public key
	Role   Role   `cbor:"8,keyasint"`
	Nonce  []byte `cbor:"9,keyasint"`
	Base   []byte `cbor:"10,keyasint,omitempty"`
	Seat   bool   `cbor:"11,keyasint,omitempty"`
}

// revocationBody ends an admission. Heads are the newest statements that its
// holder signed and that keep their force, with all that came before them.
type revocationBody struct {
	actHead
	Target []byte   `cbor:"7,keyasint"`
	Heads  [][]byte `cbor:"8,keyasint,omitempty"`
}

// exclusionBody ends whatever certificates a node shows, now and later, and admissions that no
// admin has decided about. Only an admin makes it a member again, by an admission.
type exclusionBody struct {
	actHead
	Member []byte `cbor:"7,keyasint"` // ID
}

// maxHeads bounds the heads of a revocation. An honest signer has one, or two
// after its computer was restored from a backup.
const maxHeads = 16

// act is a checked genesis, admission, revocation or exclusion. A genesis reads as an
// admission of the founder that rests on nothing.
type act struct {
	kind   Kind
	hash   Hash
	by     p2p.ID // signer
	under  Hash
	number uint64
	prev   Hash
	issued time.Time
	depth  int // admissions between this statement and the genesis, which has 0

	// of a genesis
	network Network

	// of a genesis or admission
	key    ed25519.PublicKey
	member p2p.ID
	role   Role
	nonce  [nonceSize]byte
	base   Hash
	seat   bool

	// of a revocation
	target Hash
	heads  []Hash

	// of an exclusion
	excludes p2p.ID
}

// admits reports whether the act makes somebody a member.
func (a *act) admits() bool { return a.kind == KindGenesis || a.kind == KindAdmission }

// record is a checked statement: exactly one of act, contact, offer and certificate is set.
type record struct {
	Statement
	hash    Hash
	at      uint64   // place in the order of arrival
	waits   waitsFor // what it waits for before it can be added
	act     *act
	contact *p2p.Contact
	offer   *Offer

	certificate *certificate
}

// check reads a statement, verifies sizes and the signature, and returns what it
// says. Whether the signer had the power to say it is judged elsewhere.
func check(s Statement) (*record, error) {
	if len(s.Body) > MaxBody || len(s.Sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("member: statement: %d bytes with a signature of %d: %w", len(s.Body), len(s.Sig), ErrMalformed)
	}
	r := &record{Statement: s, hash: s.Hash()}
	var signer ed25519.PublicKey
	var err error
	switch s.Kind {
	case KindGenesis:
		r.act, signer, err = readGenesis(s.Body)
	case KindAdmission:
		r.act, signer, err = readAdmission(s.Body)
	case KindRevocation:
		r.act, signer, err = readRevocation(s.Body)
	case KindContact:
		r.contact, signer, err = readContact(s)
	case KindOffer:
		r.offer, signer, err = readOffer(s.Body)
	case KindCertificate:
		r.certificate, signer, err = readCertificate(s.Body)
	case KindExclusion:
		r.act, signer, err = readExclusion(s.Body)
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		return nil, fmt.Errorf("member: statement of kind %d: %w: %w", s.Kind, ErrMalformed, err)
	}
	if !p2p.Verify(signer, s.Kind.context(), s.Body, s.Sig) {
		return nil, fmt.Errorf("member: statement of kind %d by %s: wrong signature: %w", s.Kind, p2p.IDOf(signer).Short(), ErrMalformed)
	}
	if r.act != nil {
		r.act.kind, r.act.hash = s.Kind, r.hash
	}
	if r.certificate != nil {
		r.certificate.hash = r.hash
	}
	return r, nil
}

// sign makes a statement of body, which must be encodable.
func sign(by p2p.Identity, kind Kind, body any) (Statement, error) {
	b, err := wire.Marshal(body)
	if err != nil {
		return Statement{}, fmt.Errorf("member: sign statement of kind %d: %w", kind, err)
	}
	if len(b) > MaxBody {
		return Statement{}, fmt.Errorf("member: sign statement of kind %d: %d bytes, at most %d: %w", kind, len(b), MaxBody, p2p.ErrTooLarge)
	}
	return Statement{Kind: kind, Body: b, Sig: by.Sign(kind.context(), b)}, nil
}

func readGenesis(body []byte) (*act, ed25519.PublicKey, error) {
	var g genesisBody
	if err := wire.Unmarshal(body, &g); err != nil {
		return nil, nil, err
	}
	switch {
	case len(g.Root) != ed25519.PublicKeySize || len(g.Founder) != ed25519.PublicKeySize:
		return nil, nil, errors.New("key of a wrong length")
	case len(g.Nonce) != nonceSize:
		return nil, nil, errors.New("nonce of a wrong length")
	case !g.Mode.valid():
		return nil, nil, fmt.Errorf("mode %.20q", g.Mode)
	case len(g.Name) > maxName || !utf8.ValidString(g.Name):
		return nil, nil, errors.New("unusable name")
	case g.Roster > MaxMembers:
		return nil, nil, fmt.Errorf("roster of %d members, at most %d", g.Roster, MaxMembers)
	}
	a := &act{
		by: p2p.IDOf(g.Root), issued: time.Unix(g.Created, 0).UTC(),
		network: Network{ID: p2p.IDOf(g.Root), Name: CleanName(g.Name), Mode: g.Mode, Roster: cmp.Or(int(g.Roster), g.Mode.roster())},
		key:     g.Founder, member: p2p.IDOf(g.Founder), role: RoleAdmin, nonce: [nonceSize]byte(g.Nonce),
	}
	return a, g.Root, nil
}

func readAdmission(body []byte) (*act, ed25519.PublicKey, error) {
	var b admissionBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return nil, nil, err
	}
	a, err := b.act()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(b.Member) != ed25519.PublicKeySize:
		return nil, nil, errors.New("member key of a wrong length")
	case len(b.Nonce) != nonceSize:
		return nil, nil, errors.New("nonce of a wrong length")
	case !b.Role.valid():
		return nil, nil, fmt.Errorf("role %.20q", b.Role)
	case b.Seat && (b.Role != RoleMember || len(b.Base) > 0):
		return nil, nil, errors.New("a place in the roster for more than a member")
	}
	if a.base, err = optionalHash(b.Base); err != nil {
		return nil, nil, err
	}
	a.key, a.member, a.role, a.nonce, a.seat = b.Member, p2p.IDOf(b.Member), b.Role, [nonceSize]byte(b.Nonce), b.Seat
	return a, b.By, nil
}

func readRevocation(body []byte) (*act, ed25519.PublicKey, error) {
	var b revocationBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return nil, nil, err
	}
	a, err := b.act()
	if err != nil {
		return nil, nil, err
	}
	if len(b.Heads) > maxHeads {
		return nil, nil, fmt.Errorf("%d heads, at most %d", len(b.Heads), maxHeads)
	}
	if a.target, err = toHash(b.Target); err != nil {
		return nil, nil, err
	}
	for _, head := range b.Heads {
		h, err := toHash(head)
		if err != nil {
			return nil, nil, err
		}
		a.heads = append(a.heads, h)
	}
	return a, b.By, nil
}

func readExclusion(body []byte) (*act, ed25519.PublicKey, error) {
	var b exclusionBody
	if err := wire.Unmarshal(body, &b); err != nil {
		return nil, nil, err
	}
	a, err := b.act()
	if err != nil {
		return nil, nil, err
	}
	if len(b.Member) != len(p2p.ID{}) {
		return nil, nil, fmt.Errorf("ID of %d bytes", len(b.Member))
	}
	a.excludes = p2p.ID(b.Member)
	return a, b.By, nil
}

// act reads what admissions and revocations have in common.
func (h actHead) act() (*act, error) {
	if len(h.By) != ed25519.PublicKeySize || len(h.Network) != len(p2p.ID{}) {
		return nil, errors.New("key of a wrong length")
	}
	if h.Number == 0 || h.Number > 1<<53 || (h.Number == 1) != (len(h.Prev) == 0) {
		return nil, fmt.Errorf("number %d does not fit what came before", h.Number)
	}
	a := &act{by: p2p.IDOf(h.By), number: h.Number, issued: time.Unix(h.Issued, 0).UTC(), network: Network{ID: p2p.ID(h.Network)}}
	var err error
	if a.under, err = toHash(h.Under); err != nil {
		return nil, err
	}
	a.prev, err = optionalHash(h.Prev)
	return a, err
}

func toHash(b []byte) (Hash, error) {
	if len(b) != len(Hash{}) {
		return Hash{}, fmt.Errorf("hash of %d bytes", len(b))
	}
	return Hash(b), nil
}

// optionalHash reads an absent hash as zero.
func optionalHash(b []byte) (Hash, error) {
	if len(b) == 0 {
		return Hash{}, nil
	}
	return toHash(b)
}

// bytes returns h as a field that is absent when zero.
func (h Hash) bytes() []byte {
	if h.IsZero() {
		return nil
	}
	return h[:]
}
