package member

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Store keeps what a node knows of its network. Each method is one transaction
// that is durable when it returns: a statement leaves the node only after that.
// The methods take no context, because half of what they write is worth nothing.
// One goroutine at a time calls them.
type Store interface {
	// Load returns all that was saved; the zero State when nothing was.
	Load() (State, error)
	// Save makes a change, all of it or nothing.
	Save(Change) error
	// Install forgets everything, invitations too, and keeps s instead: all of it
	// or nothing.
	Install(s State) error
}

// State is everything a Store holds.
type State struct {
	Network     p2p.ID      // zero: nothing is stored
	Statements  []Statement // in the order in which they were added; the genesis is first
	Invites     []Invite
	Redemptions []Redemption // in the order in which they were added
}

// Change is what happens to a State at once. What is dropped and not there, and
// what is added and there already, is no error.
type Change struct {
	Drop        []Hash // statements, dropped before others are added
	Add         []Statement
	Invites     []Invite // added, or replaced if there is one of that ID
	DropInvites [][16]byte
	Redemptions []Redemption
}

// Invite is an invitation as its inviter keeps it.
type Invite struct {
	ID      [16]byte // not secret
	Secret  Secret
	Role    Role
	MaxUses int
	Created time.Time // whole seconds
	Expires time.Time // whole seconds
	Ended   bool      // withdrawn before its time
}

// Redemption is one use of an invitation: who was admitted, by which statement.
// The uses of an invitation are counted by its redemptions. A member has at most one
// of each stored invitation; a second one is ignored.
type Redemption struct {
	Invite    [16]byte
	Member    p2p.ID
	Admission Hash
}
