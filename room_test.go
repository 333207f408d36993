package main

import (
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: roomMost, 1 << 20: roomMost, 12 << 20: 400, 24 << 20: 200, 48 << 20: 100, 1 << 40: roomLeast} {
		if got := percent(live); got != want {
			t.Errorf("with %d bytes alive GOGC is %d, not %d", live, got, want)
		}
	}
}

func TestRoom(t *testing.T) {
	t.Setenv("GOGC", "")
	now := func() int {
		p := debug.SetGCPercent(-1)
		debug.SetGCPercent(p)
		return p
	}
	before := debug.SetGCPercent(80)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	var r room
	r.Busy(true)
	for deadline := time.Now().Add(10 * time.Second); now() == 80; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("at work GOGC stays as it was")
		}
	}
	r.Busy(false)
	r.mu.Lock()
	r.since = r.since.Add(-2 * roomLinger)
	r.mu.Unlock()
	r.look()
	if got := now(); got != roomLeast {
		t.Errorf("at rest GOGC is %d", got)
	}
}
