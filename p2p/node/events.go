package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// eventsKept is how many events a reader may fall behind before it gets a reset.
const eventsKept = 8192

// TopicReset tells a reader that it missed events: what it knows may be stale.
const TopicReset = "reset"

// Message is an event with its place in the order of all events of this node.
type Message struct {
	ID    string // EPOCH.SEQ; the epoch is random for every start
	Time  time.Time
	Topic string
	Data  p2p.Event // nil for a reset
}

// Events is the log of what happened on one node: a ring of the newest events,
// read by any number of readers, none of which can hold up a writer.
type Events struct {
	epoch string

	mu    sync.Mutex    // guards all following fields
	seq   uint64        // of the newest event; 0 when there is none yet
	ring  []Message     // event n is at (n-1) % eventsKept
	woken chan struct{} // closed and replaced at each event
}

func newEvents() *Events {
	var b [6]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return &Events{epoch: hex.EncodeToString(b[:]), woken: make(chan struct{})}
}

// publish appends e. It is a p2p.Publish.
func (e *Events) publish(ev p2p.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq++
	m := Message{ID: e.id(e.seq), Time: time.Now(), Topic: ev.Topic(), Data: ev}
	if len(e.ring) < eventsKept {
		e.ring = append(e.ring, m)
	} else {
		e.ring[(e.seq-1)%eventsKept] = m
	}
	close(e.woken)
	e.woken = make(chan struct{})
}

func (e *Events) id(seq uint64) string { return e.epoch + "." + strconv.FormatUint(seq, 10) }

// Position is the id of the newest event. Whoever reads state after asking for
// the position sees at least everything up to it.
func (e *Events) Position() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.id(e.seq)
}

// Since returns the events after the one with the given id, oldest first, and
// the position they lead to. It is not ok, and the position is the present one,
// when the id is of another epoch or events after it are gone already.
func (e *Events) Since(id string) (after []Message, position string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	seq, err := e.parse(id)
	if err != nil || seq > e.seq || e.seq-seq > eventsKept {
		return nil, e.id(e.seq), false
	}
	for s := seq; s < e.seq; s++ {
		after = append(after, e.ring[s%eventsKept])
	}
	return after, e.id(e.seq), true
}

// parse reads an id of this epoch.
func (e *Events) parse(id string) (uint64, error) {
	seq, found := strings.CutPrefix(id, e.epoch+".")
	if !found {
		return 0, fmt.Errorf("node: event id %.40q: not of this epoch", id)
	}
	return strconv.ParseUint(seq, 10, 64)
}

// Wait returns when there is an event after the given position, or ctx ends.
func (e *Events) Wait(ctx context.Context, position string) error {
	for {
		e.mu.Lock()
		woken, newer := e.woken, e.id(e.seq) != position
		e.mu.Unlock()
		if newer {
			return nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Subscribe yields the events after the one named by since, or from now on when
// since is empty, until ctx ends or the loop breaks. After a gap, because the
// node restarted or the reader was too slow, it yields one message with
// TopicReset and goes on from there.
func (e *Events) Subscribe(ctx context.Context, since string) iter.Seq[Message] {
	if since == "" {
		since = e.Position()
	}
	return func(yield func(Message) bool) {
		for position := since; ; {
			after, next, ok := e.Since(position)
			if !ok && !yield(Message{ID: next, Time: time.Now(), Topic: TopicReset}) {
				return
			}
			for _, m := range after {
				if !yield(m) {
					return
				}
			}
			position = next
			if e.Wait(ctx, position) != nil {
				return
			}
		}
	}
}
