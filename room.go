package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// room gives the garbage collector more room while folders are synchronised: what is
// made and thrown away per file is collected less often then. At rest the program is as
// small as it can be. The zero value works.
type room struct {
	mu    sync.Mutex // guards all following fields
	busy  bool
	since time.Time
	timer *time.Timer // of the next look; nil: at rest
}

const (
	// roomBytes is how much garbage may gather at least while there is work, as long as
	// that is not more than roomMost percent of what lives.
	roomBytes = 48 << 20
	roomMost  = 400
	roomLeast = 100 // Go's default
	// roomLook is the time between two looks at how much lives, and roomLinger how long
	// the room stays after the work: more follows mostly.
	roomLook   = 200 * time.Millisecond
	roomLinger = 2 * time.Second
)

// Busy is node.Options.Busy.
func (r *room) Busy(busy bool) {
	if os.Getenv("GOGC") != "" {
		return // whoever sets it knows better
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.since = busy, time.Now()
	if busy && r.timer == nil {
		r.timer = time.AfterFunc(0, r.look) // not here: it waits for a collection that runs
	}
}

// look follows how much lives, until there is nothing to do.
func (r *room) look() {
	r.mu.Lock()
	work := r.busy || time.Since(r.since) < roomLinger
	if work {
		r.timer.Reset(roomLook)
	} else {
		r.timer = nil
	}
	r.mu.Unlock()
	if work {
		debug.SetGCPercent(percent(living()))
		return
	}
	debug.SetGCPercent(roomLeast)
	debug.FreeOSMemory()
}

// percent is the GOGC for a live heap of some bytes.
func percent(live uint64) int {
	return int(max(roomLeast, min(roomMost, roomBytes*100/max(live, 1))))
}

// living is the size of what the last collection has left.
func living() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return roomBytes
	}
	return sample[0].Value.Uint64()
}
