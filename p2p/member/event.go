package member

import "github.com/shoal-p2p/shoal/p2p"

// MemberJoined: somebody is a member who was none before. Words are set only on
// the node that admitted it: the two people compare them.
type MemberJoined struct {
	ID    p2p.ID   `json:"id"`
	Name  string   `json:"name"`
	Words []string `json:"words,omitempty"`
}

// Topic implements p2p.Event.
func (MemberJoined) Topic() string { return "member.joined" }

// MemberChanged: a member's name, role or addresses are others than before.
type MemberChanged struct {
	ID   p2p.ID `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// Topic implements p2p.Event.
func (MemberChanged) Topic() string { return "member.changed" }

// MemberRevoked: somebody, this node perhaps, is no member any more.
type MemberRevoked struct {
	ID   p2p.ID `json:"id"`
	Name string `json:"name"`
}

// Topic implements p2p.Event.
func (MemberRevoked) Topic() string { return "member.revoked" }

// NetworkJoined: this node left its own network for another one.
type NetworkJoined struct {
	ID      p2p.ID   `json:"id"`
	Name    string   `json:"name"`
	Mode    Mode     `json:"mode"`
	Members int      `json:"members"`
	Words   []string `json:"words"`
}

// Topic implements p2p.Event.
func (NetworkJoined) Topic() string { return "network.joined" }

// NetworkFounded: this node left its own network for a new one that it has made.
type NetworkFounded struct {
	ID   p2p.ID `json:"id"`
	Name string `json:"name"`
	Mode Mode   `json:"mode"`
}

// Topic implements p2p.Event.
func (NetworkFounded) Topic() string { return "network.founded" }

// OfferChanged: a folder is offered, or offered differently, or not any more.
type OfferChanged struct {
	Folder string `json:"folder"`
	Label  string `json:"label"`
	By     p2p.ID `json:"by"`
	Access string `json:"access"` // of those without a grant
	// Grants are for those who ask for them: an event is no place for a hundred IDs.
	Grants p2p.Grants `json:"-"`
	Gone   bool       `json:"gone"`
}

// Topic implements p2p.Event.
func (OfferChanged) Topic() string { return "offer.changed" }
