package member

import (
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
)

// Mode says who decides about admissions.
type Mode string

// The modes of a network.
const (
	ModeClosed Mode = "closed" // admins admit
	ModeOpen   Mode = "open"   // the first member that a node meets admits it, within a quota
)

// roster is Network.Roster where the founder has not said otherwise. In an open network anybody
// can fill it, and each entry costs all members a write to the disk.
func (m Mode) roster() int {
	if m == ModeOpen {
		return openRoster
	}
	return MaxMembers
}

func (m Mode) valid() bool { return m == ModeClosed || m == ModeOpen }

// Role says what a member may do.
type Role string

// The roles of a member.
const (
	RoleMember Role = "member"
	RoleAdmin  Role = "admin" // may also invite, admit, promote and revoke
)

func (r Role) valid() bool { return r == RoleMember || r == RoleAdmin }

// Network is a group of nodes that admit each other.
type Network struct {
	ID   p2p.ID // of the root key
	Name string // for people; not unique
	Mode Mode
	// Roster is how many members all members know. Who is admitted after so many carries a
	// certificate, and is known to those who have met it.
	Roster int
}

// Member is a node of the network.
type Member struct {
	ID       p2p.ID
	Name     string // as the node calls itself, cleaned; the short ID while it has not
	Role     Role
	Self     bool
	Admitted time.Time   // as claimed by the one who admitted
	By       p2p.ID      // who admitted; the network's ID for the founder
	Contact  p2p.Contact // the zero Contact, but for the key, while none is known
	Key      p2p.Key     // position in the network's key space
	Revoked  bool        // was a member, is none any more
	// Certified: the roster does not name it. It is a member by a certificate that it has shown.
	Certified bool
}

// Offer is a folder that members can join. Several creators can offer a folder of
// the same ID: they are different offers.
type Offer struct {
	Folder string // the folder's ID, at most 64 bytes
	Label  string // for people; not unique
	By     p2p.ID // creator; zero in SetOffer: this node
	Access string // of those who have no grant: p2p.AccessWrite, AccessRead or AccessNone
	Grants p2p.Grants
	Gone   bool   // not offered any more
	Seq    uint64 // newest wins; SetOffer chooses it

	signer, network p2p.ID
}

// AccessOf returns what a member may do with the folder.
func (o Offer) AccessOf(member p2p.ID) string {
	if member == o.By {
		return p2p.AccessWrite
	}
	return o.Grants.Of(member, o.Access)
}

// position is where a member stands in the key space: the one who admits chooses
// nonce, the one who is admitted its key, and so nobody chooses the place.
func position(network p2p.ID, nonce [nonceSize]byte, key ed25519.PublicKey) p2p.Key {
	h := sha256.New()
	h.Write(network[:])
	h.Write(nonce[:])
	h.Write(key)
	return p2p.Key(h.Sum(nil))
}

const (
	maxNameRunes = 64
	maxName      = maxNameRunes * utf8.UTFMax // bytes
)

// CleanName makes a name of foreign origin fit to be shown: it keeps at most 64
// runes, drops control, format (which holds all that changes the direction of
// text), private and unassigned runes and broken UTF-8, and makes each run of
// white space one space. Nothing may be left of it.
func CleanName(name string) string {
	var b strings.Builder
	runes, space := 0, false
	for _, r := range name {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			continue
		}
		if runes == maxNameRunes || space && runes == maxNameRunes-1 {
			break
		}
		if space {
			b.WriteByte(' ')
			runes++
			space = false
		}
		b.WriteRune(r)
		runes++
	}
	return b.String()
}
