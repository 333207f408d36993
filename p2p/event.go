package p2p

// Event is a fact about the past, told once. Its JSON form (exported fields,
// snake_case) is what the dashboard and scripts receive under the topic.
type Event interface {
	Topic() string // "member.joined", "peer.linked", "folder.scanned"
}

// Publish receives events. A nil Publish discards them; it never blocks.
type Publish func(Event)

// Emit calls p unless it is nil.
func (p Publish) Emit(e Event) {
	if p != nil {
		p(e)
	}
}
