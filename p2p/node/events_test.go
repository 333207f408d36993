package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

type told struct{ N int }

func (told) Topic() string { return "test.told" }

func TestEventsSince(t *testing.T) {
	e := newEvents()
	start := e.Position()
	for i := range 3 {
		e.publish(told{i})
	}
	after, position, ok := e.Since(start)
	if !ok || len(after) != 3 || after[2].Data != (told{2}) || position != after[2].ID {
		t.Fatalf("Since(start) = %v, %q, %v", after, position, ok)
	}
	if after, _, ok := e.Since(position); !ok || len(after) != 0 {
		t.Fatalf("Since(now) = %v, %v; want nothing", after, ok)
	}
	for _, id := range []string{"", "x", "other.1", e.epoch + ".99", e.epoch + ".-1", e.epoch + "."} {
		if _, p, ok := e.Since(id); ok || p != position {
			t.Errorf("Since(%q) = %q, %v; want a reset at %q", id, p, ok, position)
		}
	}
}

func TestEventsGapIsAReset(t *testing.T) {
	e := newEvents()
	start := e.Position()
	for i := range eventsKept {
		e.publish(told{i})
	}
	if after, _, ok := e.Since(start); !ok || len(after) != eventsKept || after[0].Data != (told{0}) {
		t.Fatalf("a reader exactly %d behind: %d events, ok %v", eventsKept, len(after), ok)
	}
	e.publish(told{eventsKept})
	if _, _, ok := e.Since(start); ok {
		t.Fatal("a reader who missed an event was not reset")
	}
}

// Every reader sees every event once and in order, however the writers mix.
func TestEventsSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvents()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		const writers, each, readers = 4, 100, 3
		var seen [readers][]string
		var wg sync.WaitGroup
		for r := range readers {
			wg.Go(func() {
				for m := range e.Subscribe(ctx, e.Position()) {
					seen[r] = append(seen[r], m.ID)
					if len(seen[r]) == writers*each {
						return
					}
				}
			})
		}
		synctest.Wait()
		for range writers {
			wg.Go(func() {
				for i := range each {
					e.publish(told{i})
				}
			})
		}
		wg.Wait()
		for r := range readers {
			for i, id := range seen[r] {
				if want := fmt.Sprintf("%s.%d", e.epoch, i+1); id != want {
					t.Fatalf("reader %d: event %d is %s, want %s", r, i, id, want)
				}
			}
		}
	})
}
