package rtc

const (
	// maxHandshakes bounds the PeerConnections that this node has made for peers
	// that have not finished their handshake.
	maxHandshakes = 32
	// maxGuestHandshakes of them may be of guests, who hold an invitation; the rest
	// is for members.
	maxGuestHandshakes = 8
	// maxInviteHandshakes may be of guests with the same invitation.
	maxInviteHandshakes = 2
)

// slots counts the handshakes that peers have begun, by invitation: the zero
// invitation is a member's. The zero value is ready.
type slots struct {
	members, guests int
	invites         map[[16]byte]int
}

// enter takes a slot and reports whether there was one. Whoever took it leaves.
func (s *slots) enter(invite [16]byte) bool {
	if s.members+s.guests >= maxHandshakes {
		return false
	}
	if invite == [16]byte{} {
		s.members++
		return true
	}
	if s.guests >= maxGuestHandshakes || s.invites[invite] >= maxInviteHandshakes {
		return false
	}
	if s.invites == nil {
		s.invites = map[[16]byte]int{}
	}
	s.guests++
	s.invites[invite]++
	return true
}

func (s *slots) leave(invite [16]byte) {
	if invite == [16]byte{} {
		s.members--
		return
	}
	s.guests--
	if s.invites[invite]--; s.invites[invite] == 0 {
		delete(s.invites, invite)
	}
}
