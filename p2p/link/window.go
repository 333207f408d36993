package link

import (
	"sync"
	"time"
)

// Flow control. A stream's sender may have as many bytes unread at the receiver
// as the receiver has granted. Everybody may always have floor bytes; windows
// beyond that come from one budget per link, so that the unread bytes of a link
// stay below MaxStreams*floor + poolSize = 16 MiB whatever the peer does, and no
// number of stalled streams can take the floor of another: it goes on, if slowly.
const (
	floor         = 4 << 10   // of every stream, without asking
	initialWindow = 256 << 10 // while the budget lasts
	maxWindow     = 4 << 20
	poolSize      = 16<<20 - MaxStreams*floor
	// reserve of the budget is for new streams: windows beyond initialWindow
	// leave it alone.
	reserve = 4 << 20
	// share is the part of what is free, 1/share, that a stream gets of which
	// nothing has been read yet: many idle streams leave something for the busy.
	share = 16
)

// budget is what windows of a link may still grow by, together.
type budget struct {
	mu   sync.Mutex
	free int
}

// take reserves up to n bytes, leaving keep, and returns how many.
func (b *budget) take(n, keep int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = max(0, min(n, b.free-keep))
	b.free -= n
	return n
}

// advance is take for a stream that has not shown that anybody reads it.
func (b *budget) advance(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.free/share)
	b.free -= n
	return n
}

func (b *budget) give(n int) {
	b.mu.Lock()
	b.free += n
	b.mu.Unlock()
}

// window is the receiving side's account of one stream. Its stream's mu guards it.
type window struct {
	size     int       // how much may be unread; size-floor of it is from the budget
	limit    uint64    // granted in total
	received uint64    // in total
	consumed uint64    // read by the application
	granted  time.Time // when the last grant went out
}

// open is the window of a stream that this end opens: the grant travels in OPEN.
func (w *window) open(b *budget, now time.Time) (grant uint64) {
	w.size = floor + b.advance(initialWindow-floor)
	w.limit, w.granted = uint64(w.size), now
	return w.limit
}

// arrive is the window of a stream that the peer opens.
func (w *window) arrive(now time.Time) { w.size, w.limit, w.granted = floor, floor, now }

// wants reports whether the peer, which used the floor, deserves its first grant
// before anything is read. Most requests fit the floor and cost no grant.
func (w *window) wants() bool {
	return w.limit == floor && w.size == floor && w.received > floor/2
}

// worth reports whether there is enough to grant for a frame of its own.
func (w *window) worth() bool {
	return w.wants() || w.due() >= uint64(w.size/4)
}

func (w *window) due() uint64 { return uint64(w.size) - (w.limit - w.consumed) }

// grant returns how many bytes to grant now, after worth. The window doubles when
// a part of it was used up faster than that part of two round trips: then it is
// less than twice the product of bandwidth and delay, and it, not the network, is
// what limits.
func (w *window) grant(b *budget, now time.Time, rtt time.Duration) uint64 {
	if w.consumed == 0 {
		w.size += b.advance(initialWindow - w.size)
	} else if w.size < initialWindow {
		w.size += b.take(initialWindow-w.size, 0)
	} else if w.size < maxWindow {
		part := time.Duration(w.due()) * 2 * rtt / time.Duration(w.size)
		if now.Sub(w.granted) < part {
			w.size += b.take(min(w.size, maxWindow-w.size), reserve)
		}
	}
	due := w.due()
	w.limit += due
	w.granted = now
	return due
}

// shrink gives back what the unread bytes do not need: nothing more will come.
func (w *window) shrink(b *budget, unread int) {
	if size := max(floor, unread); size < w.size {
		b.give(w.size - size)
		w.size = size
	}
}
