package route

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of what a target remembers of those who call it.
const (
	windowSize = 1024   // numbers of one origin, below its highest one
	maxWindows = 65_536 // origins: 12 MiB
)

// guard decides whether a request was served before. It remembers one window for each
// origin, and nothing for anybody who has not answered a challenge.
//
// A recorded request must be worth nothing, neither in this run of the target nor in a
// later one, neither while the origin runs nor after. An epoch is a challenge: a MAC,
// with a key of this run, over the origin, its incarnation, and the generation of its
// window. A request is served if its epoch is that, and then begins a new generation, or if
// epoch and incarnation are those of the window and the number is new. So:
//   - Requests of an earlier run of the target have epochs of another key.
//   - Once an origin's later run was heard, the epochs of its earlier runs are of an old
//     generation, and can never be given out again: generations only grow.
//   - Within one run of both, the window knows all numbers.
//
// Where a window is forgotten, the floor grows, which is the generation of all that
// have no window: their old epochs are old too.
type guard struct {
	key     [32]byte
	last    uint64 // highest generation so far
	floor   uint64 // generation of those without a window
	windows map[p2p.ID]*window
}

// window is what is known of one origin.
type window struct {
	incarnation Nonce
	epoch       Nonce
	generation  uint64
	top         uint64                  // highest number that was served
	served      [windowSize / 64]uint64 // of number n: bit n mod windowSize
}

func newGuard(key [32]byte) *guard {
	return &guard{key: key, windows: map[p2p.ID]*window{}}
}

// admit reports whether a signed request of a member is to be served now; it then counts
// as served. Otherwise epoch is the one that would do, or seen: no epoch would.
func (g *guard) admit(origin p2p.ID, incarnation, epoch Nonce, seq uint64) (ok, seen bool, want Nonce) {
	w := g.windows[origin]
	if w != nil && w.incarnation == incarnation {
		if epoch != w.epoch {
			return false, false, w.epoch
		}
		if !w.take(seq) {
			return false, true, Nonce{}
		}
		return true, false, Nonce{}
	}
	generation := g.floor
	if w != nil {
		generation = w.generation
	}
	if want = g.challenge(origin, incarnation, generation); epoch != want {
		return false, false, want
	}
	if w == nil {
		g.makeRoom()
	}
	g.last++
	w = &window{incarnation: incarnation, epoch: epoch, generation: g.last}
	w.take(seq)
	g.windows[origin] = w
	return true, false, Nonce{}
}

// challenge is the epoch that begins the next generation. Who computes it without the
// key has broken HMAC-SHA256, cut to 128 bits.
func (g *guard) challenge(origin p2p.ID, incarnation Nonce, generation uint64) (n Nonce) {
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write(origin[:])
	mac.Write(incarnation[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, generation))
	copy(n[:], mac.Sum(nil))
	return n
}

// makeRoom forgets a window if there are too many. Which one does not matter: its origin
// pays a round trip.
func (g *guard) makeRoom() {
	for id := range g.windows {
		if len(g.windows) < maxWindows {
			return
		}
		delete(g.windows, id)
		g.last++
		g.floor = g.last
	}
}

// take counts a number as served. It is not ok if it was already, or is so old that
// nobody knows.
func (w *window) take(seq uint64) bool {
	switch {
	case seq == 0:
		return false
	case seq > w.top:
		if seq-w.top >= windowSize {
			w.served = [windowSize / 64]uint64{}
		} else {
			for n := w.top + 1; n < seq; n++ {
				w.served[n%windowSize/64] &^= 1 << (n % 64)
			}
		}
		w.top = seq
	case w.top-seq >= windowSize:
		return false
	case w.served[seq%windowSize/64]>>(seq%64)&1 == 1:
		return false
	}
	w.served[seq%windowSize/64] |= 1 << (seq % 64)
	return true
}
