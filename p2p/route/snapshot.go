package route

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// A node that nobody reaches gives its relays a snapshot of whom it knows, and they answer for it who is
// there near a key, and whether it is there itself, as TomP2P's relays answer for the peers behind
// them from a copy of their peer map. The question then does not go through the relay and the
// node's router, and does not wake the node.
//
// It is the snapshot that is handed out, not an answer that the relay has made of it: so the
// relay can neither add nor leave out anybody, need not know which key it is about, and who has
// it already gets a few bytes.

// Limits of snapshots. The first two are part of the protocol.
const (
	// MaxKnown is how many members a snapshot names: twelve siblings and fifteen buckets.
	MaxKnown = 132
	// maxSnapshot is how many bytes it has as it travels.
	maxSnapshot = MaxKnown*idSize + 128
	// SnapshotAge is how old one may be. It is given again after SnapshotEvery.
	SnapshotAge   = 2 * time.Minute
	SnapshotEvery = 30 * time.Second
	// SnapshotGone is for how long a relay answers for a node to which it has no link any more.
	SnapshotGone = 30 * time.Second
	// maxSkew is how far numbers may be from the clock of who reads them. Clocks of people are
	// wrong by hours, not by days; and no relay can show a snapshot of last week.
	maxSkew = 24 * time.Hour
)

const idSize = len(p2p.ID{})

const snapshotContext = "shoal snapshot 1"

// Snapshot is whom a node knew at a time.
type Snapshot struct {
	// Number is larger than that of each earlier one of the node: microseconds of its clock since
	// 1970, or one more than a relay has told it of.
	Number uint64
	Known  []p2p.ID // MaxKnown at most; none: the node takes back what it has said before
}

// signedSnapshot is a Snapshot as it travels.
type signedSnapshot struct {
	Number uint64 `cbor:"1,keyasint"`
	Known  []byte `cbor:"2,keyasint,omitempty"` // one ID after the other
	Sig    []byte `cbor:"3,keyasint"`
}

// message is what the node signs. That it is the node's follows from its key.
func (s signedSnapshot) message(network p2p.ID) []byte {
	b := append(make([]byte, 0, idSize+8+len(s.Known)), network[:]...)
	return append(binary.BigEndian.AppendUint64(b, s.Number), s.Known...)
}

// seal signs a snapshot for a network, and encodes it.
func (s Snapshot) seal(by p2p.Identity, network p2p.ID) ([]byte, error) {
	out := signedSnapshot{Number: s.Number}
	for _, id := range s.Known[:min(len(s.Known), MaxKnown)] {
		out.Known = append(out.Known, id[:]...)
	}
	out.Sig = by.Sign(snapshotContext, out.message(network))
	return wire.Marshal(out)
}

// openSnapshot reads a snapshot and checks who has signed it, and when.
func openSnapshot(b []byte, owner ed25519.PublicKey, network p2p.ID, now time.Time) (Snapshot, error) {
	if len(b) > maxSnapshot {
		return Snapshot{}, fmt.Errorf("route: snapshot of %d bytes, at most %d: %w", len(b), maxSnapshot, p2p.ErrTooLarge)
	}
	var in signedSnapshot
	if err := wire.Unmarshal(b, &in); err != nil {
		return Snapshot{}, fmt.Errorf("route: snapshot: %w", err)
	}
	switch {
	case len(in.Known)%idSize != 0 || len(in.Known) > MaxKnown*idSize:
		return Snapshot{}, fmt.Errorf("route: snapshot with %d bytes of IDs: %w", len(in.Known), wire.ErrMalformed)
	case !p2p.Verify(owner, snapshotContext, in.message(network), in.Sig):
		return Snapshot{}, fmt.Errorf("route: snapshot that is not signed by %s for this network", p2p.IDOf(owner).Short())
	case !plausible(in.Number, now):
		return Snapshot{}, fmt.Errorf("route: snapshot with the number %d, which is a day or more from now", in.Number)
	}
	s := Snapshot{Number: in.Number}
	for id := range slices.Chunk(in.Known, idSize) {
		s.Known = append(s.Known, p2p.ID(id))
	}
	return s, nil
}

// plausible reports whether a number can be of this day.
func plausible(number uint64, now time.Time) bool {
	at := uint64(max(now.UnixMicro(), 0))
	return max(number, at)-min(number, at) < uint64(maxSkew/time.Microsecond)
}

// giveRequest gives a relay a snapshot; giveResponse says which number it has now, which is
// larger than that of the request if the request was too old.
type (
	giveRequest struct {
		Snapshot []byte `cbor:"1,keyasint"`
	}
	giveResponse struct {
		Number uint64 `cbor:"1,keyasint"`
	}
)

// standInRequest asks a relay for a node.
type standInRequest struct {
	For  p2p.ID `cbor:"1,keyasint"`
	Have uint64 `cbor:"2,keyasint,omitempty"` // the number of the snapshot that the asker has
	Ping bool   `cbor:"3,keyasint,omitempty"` // it needs none: it wants to know whether the node is there
}

// standInResponse is what a relay says. Only the snapshot is signed: how old it is, and whether
// its node is there, the relay knows by its own clock.
type standInResponse struct {
	Snapshot []byte `cbor:"1,keyasint,omitempty"` // if the asker has an older one
	Number   uint64 `cbor:"2,keyasint"`
	Age      uint64 `cbor:"3,keyasint,omitempty"` // milliseconds since it came
	Gone     uint64 `cbor:"4,keyasint,omitempty"` // milliseconds since the link to the node has ended; 0: it is there
}

// StandIn says who has answered for somebody else, and what of.
type StandIn struct {
	Relay p2p.ID        // zero: nobody has
	Age   time.Duration // of the snapshot, as the relay says
	Gone  time.Duration // for so long the relay has no link to the node; 0: it is there
}

// Codes of a p2p.CallError of a relay.
const (
	codeNoClient = "no_client" // it does not relay for the node
	codeNoStand  = "no_snapshot"
	codeTooSoon  = "too_soon"
)
