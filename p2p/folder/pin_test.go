package folder

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestPin moves a directory while somebody looks into the index: either he has been told
// of that, or it is where it was.
func TestPin(t *testing.T) {
	var mu sync.Mutex
	moved := false
	b := newBench(t, Options{Changed: func(_ string, d Dirty) {
		time.Sleep(5 * time.Millisecond) // who is told is not told at once
		mu.Lock()
		defer mu.Unlock()
		moved = moved || len(d.Moved) > 0
	}}).start()
	dir := newTree(t, "d/a=1")
	id := b.add(dir).ID
	b.rescan(id)
	if err := os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "e")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		unpin, err := b.Pin(id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Row(t.Context(), id, "d/a")
		mu.Lock()
		told := moved
		mu.Unlock()
		unpin()
		if err != nil && !told {
			t.Fatal("it is elsewhere, and nobody was told")
		}
		if err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the move was not noticed")
		}
	}
}

// TestRecordLate records what was done before a scan ended, and is different since: the
// scan could not tell.
func TestRecordLate(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "gone/", "back=2")
	id := b.add(dir).ID
	b.rescan(id)
	row, err := b.Row(t.Context(), id, "gone")
	if err != nil {
		t.Fatal(err)
	}
	unpin, err := b.Pin(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	b.rescan(id)
	time.Sleep(300 * time.Millisecond) // the last look at it, for whatever the watcher has seen
	if err := b.Record(t.Context(), id, []string{"back"}, nil, []Row{row}); err != nil {
		t.Fatal(err)
	}
	unpin()
	soon := time.Now().Add(lookAfter / 2) // before everything is looked at
	b.until("as it is", func() bool {
		_, missing := b.Row(t.Context(), id, "gone")
		_, err := b.Row(t.Context(), id, "back")
		return missing != nil && err == nil
	})
	if time.Now().After(soon) {
		t.Error("it took a complete scan")
	}
}
