package swarm

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestSlowDisk: while a disk takes its time to open a file, the others are listed, served and downloaded.
func TestSlowDisk(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	slow := ada.share("slow", noise(70, 1<<20))
	data := noise(71, 1<<20)
	other := ada.share("other", data)
	ada.Service.mu.Lock()
	content := ada.entries[slow.ID()].c
	ada.Service.mu.Unlock()
	// As if somebody were in the middle of opening it.
	opening := make(chan struct{})
	content.mu.Lock()
	content.opening = opening
	content.mu.Unlock()
	ben.get(slow)
	time.Sleep(50 * time.Millisecond) // ada has been asked for it
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		if n := len(ada.List()); n != 2 {
			t.Errorf("%d seeds", n)
		}
		if _, err := ada.Picture(slow.ID()); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-listed:
	case <-time.After(20 * time.Second):
		t.Error("a list waits for the disk")
	}
	ben.get(other)
	got := make(chan Status, 1)
	go func() { got <- ben.until(other.ID(), StateSeeding) }()
	select {
	case st := <-got:
		same(t, st.Path, data)
	case <-time.After(20 * time.Second):
		t.Error("a download of another file waits for the disk")
	}
	if st, err := ben.Service.Get(slow.ID()); err != nil || st.State == StateSeeding {
		t.Errorf("%s, %v", st.State, err)
	}
	content.mu.Lock()
	content.opening = nil
	content.mu.Unlock()
	close(opening)
	ben.until(slow.ID(), StateSeeding)
}
