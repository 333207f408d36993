package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is in the index but was not told when the program ended, is told by the next.
func TestOutboxSurvivesACrash(t *testing.T) {
	store := NewMemory()
	first := newBench(t, Options{Store: store, Retry: time.Hour})
	dir := newTree(t, "a=1", "d/b=2")
	first.sink.failing(func([]Update) error { return errStop })
	first.start()
	id := first.add(dir).ID
	if f, err := first.Get(id); err != nil || f.Files != 2 || f.State != StateIdle || !strings.Contains(f.Warning, "Search is behind: not accepted") {
		t.Errorf("the scan has waited for the sink: %+v, %v", f, err)
	}
	first.pause(id)

	second := newBench(t, Options{Store: store}).start()
	if err := second.WaitTold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	second.wantHas("a=1", "d/", "d/b=2")
	third := newBench(t, Options{Store: store}).start()
	if err := third.WaitTold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	third.wantPuts()
}

// forgetful is a store that dies between the sink and the note of it.
type forgetful struct {
	*Memory
	fails atomic.Bool
}

func (s *forgetful) Told(ctx context.Context, folder string, us []Untold) error {
	if s.fails.Load() {
		return errors.New("no note")
	}
	return s.Memory.Told(ctx, folder, us)
}

func TestToldButNotNoted(t *testing.T) {
	store := &forgetful{Memory: NewMemory()}
	store.fails.Store(true)
	b := newBench(t, Options{Store: store}).start()
	dir := newTree(t, "a=1", "b=2")
	id := b.add(dir).ID
	b.pause(id)
	remove(t, dir, "b")
	store.fails.Store(false)
	b.resume(id)
	if err := b.WaitTold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.wantHas("a=1") // what was never noted as told has ended all the same
	if us, err := store.Untold(t.Context(), id, true, "", 10); err != nil || len(us) != 0 {
		t.Errorf("left: %v, %v", us, err)
	}
}

// The sink gets ends from the inside out, the old kind of a path before the new one,
// and directories before what is in them, in batches of at most 256.
func TestOrderOfUpdates(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "file=1", "dir/a=1", "dir/b/c=2", "gone/d/e=3")
	id := b.add(dir).ID
	b.pause(id)
	b.sink.takePuts()
	remove(t, dir, "file", "dir", "gone")
	build(t, dir, "dir=now", "file/in/it=4")
	b.resume(id)
	var got []string
	b.sink.mu.Lock()
	got = b.sink.puts
	b.sink.mu.Unlock()
	want := []string{"-gone/d/e", "-gone/d", "-gone", "-dir/b/c", "-dir/b", "-dir/a", "-dir", "dir", "-file", "file", "file/in", "file/in/it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.wantHas("dir=now", "file/", "file/in/", "file/in/it=4")
	b.pause(id)
	for i := range 300 {
		build(t, dir, fmt.Sprintf("%03d=", i))
	}
	b.resume(id)
	b.pause(id)
	for i := range 300 {
		name := fmt.Sprintf("%03d", i)
		remove(t, dir, name)
		build(t, dir, name+"/")
	}
	b.resume(id) // two updates for each; the recorder checks the size of batches
	if got := len(b.sink.has()); got != 304 {
		t.Errorf("%d entries", got)
	}
}

// A file that changes between scan and sink is told as it is in the end.
func TestSinkOfAChangingFile(t *testing.T) {
	for what, fails := range map[string]bool{"the sink fails": true, "the sink goes on": false} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, Options{})
			dir := newTree(t, "a=first", "b=other")
			changed := false
			b.sink.failing(func(updates []Update) error {
				if changed {
					return nil
				}
				changed = true
				build(t, dir, "a=second")
				for _, u := range updates {
					if _, err := readUpdate(u); u.Path == "a" && !errors.Is(err, ErrChanged) {
						t.Errorf("%s: %v", u.Path, err)
					}
				}
				if !fails {
					return nil
				}
				return ErrChanged
			})
			b.start()
			if _, err := b.Add(t.Context(), AddOptions{Path: dir}); err != nil {
				t.Fatal(err)
			}
			b.untilHas("a=second", "b=other")
		})
	}
}

// While a folder is being synchronised the sink waits, but not for ever.
func TestBusy(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=1")
	id := b.add(dir).ID
	b.SetBusy(id, true)
	build(t, dir, "b=2")
	b.until("found", func() bool { f, err := b.Get(id); return err == nil && f.Files == 2 })
	b.untilHas("a=1", "b=2") // by its patience
	build(t, dir, "c=3")
	b.until("found", func() bool { f, err := b.Get(id); return err == nil && f.Files == 3 })
	b.SetBusy(id, false)
	b.untilHas("a=1", "b=2", "c=3")
}

func TestStates(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=1")
	id := b.add(dir).ID
	want := func(what string, state State, fault, warning string) {
		t.Helper()
		f, err := b.Get(id)
		if err != nil || f.State != state || f.Error != fault || f.Warning != warning {
			t.Errorf("%s: %+v, %v", what, f, err)
		}
	}
	b.SetStatus(id, Status{State: StateSyncing, NeedFiles: 3, NeedBytes: 400, Conflicts: 2, Warning: "Slow."})
	want("syncing", StateSyncing, "", "Slow.")
	if f, err := b.Get(id); err != nil || f.NeedFiles != 3 || f.NeedBytes != 400 || f.Conflicts != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	b.SetStatus(id, Status{State: StateHeld})
	want("held", StateHeld, "", "")
	b.pause(id)
	want("paused", StatePaused, "", "")
	b.SetStatus(id, Status{Error: "disk full"})
	want("error", StateError, "disk full", "")
	if failed := events[Failed](b); len(failed) != 1 || failed[0].Error != "disk full" {
		t.Errorf("failed: %+v", failed)
	}
	b.SetStatus(id, Status{})
	want("paused again", StatePaused, "", "")
	b.resume(id)
	want("idle", StateIdle, "", "")
	b.SetStatus("unknown", Status{Error: "nobody"})
}

// What takes long to be read is shown, and only while it is.
func TestReadingIsShown(t *testing.T) {
	b := newBench(t, Options{}).start()
	id := b.add(newTree(t, "a=1")).ID
	sh, err := b.share(id)
	if err != nil {
		t.Fatal(err)
	}
	state := func() State {
		f, err := b.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		return f.State
	}
	r := &runner{share: sh}
	r.showReading()()
	end := r.showReading()
	if s := state(); s != StateIdle {
		t.Errorf("at once it is %s", s)
	}
	b.until("shown", func() bool { return state() == StateScanning })
	end()
	b.pause(id)
	end = r.showReading()
	time.Sleep(readsLong + 100*time.Millisecond)
	if s := state(); s != StatePaused {
		t.Errorf("while paused it is %s", s)
	}
	end()
}

// Mere progress is told a few times a second, and its end always.
func TestProgressIsPaced(t *testing.T) {
	b := newBench(t, Options{}).start()
	id := b.add(newTree(t, "a=1")).ID
	b.SetStatus(id, Status{State: StateSyncing, NeedFiles: 1000})
	before := len(events[Changed](b))
	for i := range 1000 {
		b.SetStatus(id, Status{State: StateSyncing, NeedFiles: 999 - i})
	}
	last := func() Changed { all := events[Changed](b); return all[len(all)-1] }
	b.until("the last number", func() bool { return last().NeedFiles == 0 })
	if told := len(events[Changed](b)) - before; told > 100 {
		t.Errorf("%d events", told)
	}
	b.SetStatus(id, Status{})
	if got := last(); got.State != StateIdle {
		t.Errorf("the end: %+v", got)
	}
}

func TestFitting(t *testing.T) {
	both := Untold{Row: Row{Entry: Entry{Kind: KindFile}}, Ended: []Kind{KindDir}}
	if got := len(fitting(slices.Repeat([]Untold{both}, maxBatch))); got != maxBatch/2 {
		t.Errorf("%d of them", got)
	}
	if got := len(fitting([]Untold{{Ended: []Kind{KindFile, KindDir}}})); got != 1 {
		t.Errorf("%d", got)
	}
}

// A folder whose disk is away keeps what is to be told.
func TestOutboxOfAFolderThatIsAway(t *testing.T) {
	store := NewMemory()
	base := newTree(t, "x/a=1")
	first := newBench(t, Options{Store: store, Retry: time.Hour})
	first.sink.failing(func([]Update) error { return errStop })
	first.start()
	id := first.add(filepath.Join(base, "x")).ID
	first.pause(id)
	rename(t, base, "x", "away")
	second := newBench(t, Options{Store: store}).start()
	second.until("an error or a try", func() bool {
		sh, err := second.share(id)
		if err != nil {
			return false
		}
		_, opened := sh.open()
		return errors.Is(opened, ErrUnavailable)
	})
	second.wantHas()
	rename(t, base, "away", "x")
	second.untilHas("a=1")
	if _, err := os.Lstat(filepath.Join(base, "x", "a")); err != nil {
		t.Error(err)
	}
}
