package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestScanTellsWhatIsThere(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a.txt=v1", "docs/", "docs/deep/b.md=v2", "empty=", "link => a.txt", "dirlink => docs", "out => /etc", ".hidden=h")
	f := b.add(dir)
	b.wantHas(".hidden=h", "a.txt=v1", "docs/", "docs/deep/", "docs/deep/b.md=v2", "empty=")
	if f.State != StateIdle || f.Files != 4 || f.Bytes != 5 || f.Error != "" || f.Skipped != 3 || f.Scanned.IsZero() {
		t.Errorf("folder: %+v", f)
	}
	skips, err := b.Skipped(f.ID)
	want := Skips{
		Items: []Skipped{{"dirlink", ReasonLink}, {"link", ReasonLink}, {"out", ReasonLink}},
		Total: 3, Counts: map[Reason]int{ReasonLink: 3},
	}
	if diff := cmp.Diff(want, skips); err != nil || diff != "" {
		t.Errorf("skipped: %v (-want +got):\n%s", err, diff)
	}
	if told := events[Scanned](b); len(told) != 1 || told[0].Files != 4 || told[0].Bytes != 5 || told[0].Changed != 6 || told[0].Skipped != 3 {
		t.Errorf("scanned: %+v", told)
	}
}

func TestRescanTellsOnlyWhatChanged(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "same=s", "edited=v1", "gone=g", "d/inner=i", "d/e/f=f", "file-to-dir=x", "dir-to-file/y=y")
	id := b.add(dir).ID
	b.pause(id) // so that no watch event tells first
	b.sink.takePuts()

	build(t, dir, "edited=v2", "new=n")
	for _, name := range []string{"gone", "d", "file-to-dir", "dir-to-file"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	build(t, dir, "file-to-dir/z=z", "dir-to-file=now")
	b.resume(id)
	b.wantPuts("-d", "-d/e", "-d/e/f", "-d/inner", "-dir-to-file", "-dir-to-file/y", "-file-to-dir", "-gone",
		"dir-to-file", "edited", "file-to-dir", "file-to-dir/z", "new")
	b.wantHas("dir-to-file=now", "edited=v2", "file-to-dir/", "file-to-dir/z=z", "new=n", "same=s")
	b.rescan(id)
	b.wantPuts()
	f, err := b.Get(id)
	if err != nil || f.Files != 5 || f.Bytes != int64(len("nowv2zns")) {
		t.Errorf("totals: %+v, %v", f, err)
	}
}

// pause returns when the runner has noticed.
func (b *bench) pause(id string) {
	b.t.Helper()
	b.setPaused(id, true)
	if err := errors.Join(b.Scan(id), b.Wait(b.t.Context(), id)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) resume(id string) { b.setPaused(id, false); b.wait(id) }

func (b *bench) setPaused(id string, paused bool) {
	b.t.Helper()
	if _, err := b.Update(b.t.Context(), id, Changes{Paused: &paused}); err != nil {
		b.t.Fatal(err)
	}
}

func TestModeAndTimeAreTold(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=1", "d/")
	id := b.add(dir).ID
	b.pause(id)
	b.sink.takePuts()
	if err := errors.Join(os.Chmod(filepath.Join(dir, "a"), 0o600), os.Chmod(filepath.Join(dir, "d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	b.resume(id)
	b.wantPuts("a", "d")
	b.pause(id)
	touch(t, filepath.Join(dir, "a"), time.Unix(1e9, 5))
	touch(t, filepath.Join(dir, "d"), time.Unix(1e9, 5))
	b.resume(id)
	b.wantPuts("a") // of a directory the time is kept, but it is no news
	got, _, err := b.Entries(t.Context(), id, "", "", 10)
	want := []Entry{
		{Path: "a", Kind: KindFile, Size: 1, Modified: time.Unix(1e9, 5).UTC(), Mode: 0o600, Hash: got[0].Hash},
		{Path: "d", Kind: KindDir, Modified: time.Unix(1e9, 5).UTC(), Mode: 0o700},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("entries: %v (-want +got):\n%s", err, diff)
	}
}

// A file whose time stamps cannot show a change is read again: here they are set
// to what they were, and the change time in the index as a coarse clock would.
func TestRacyFilesAreReadAgain(t *testing.T) {
	store := NewMemory()
	b := newBench(t, Options{Store: store}).start()
	dir := newTree(t, "a=one", "b=one")
	id := b.add(dir).ID
	b.pause(id)
	b.sink.takePuts()
	build(t, dir, "a=two", "b=two")
	for _, name := range []string{"a", "b"} {
		row, err := store.Row(t.Context(), id, name)
		if err != nil {
			t.Fatal(err)
		}
		touch(t, filepath.Join(dir, name), row.Modified)
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		row.Changed = statOf(info).changed
		if name == "b" { // read long after its last change: not racy
			row.Checked = row.Changed + int64(time.Minute)
		}
		if _, err := store.Apply(t.Context(), id, Diff{Same: []Row{row}}); err != nil {
			t.Fatal(err)
		}
	}
	b.resume(id)
	b.wantPuts("a")
	b.wantHas("a=two", "b=one")
}

func TestRacy(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		modified, changed time.Duration // relative to the reading
		want              bool
	}{
		{-time.Hour, -time.Hour, false},
		{-3 * time.Second, -3 * time.Second, false},
		{-time.Second, -time.Hour, true},
		{-time.Hour, -time.Second, true},
		{0, 0, true},
		{time.Minute, -time.Hour, true},     // the server's clock is ahead
		{48 * time.Hour, -time.Hour, false}, // set by somebody
		{-time.Hour, 100 * 24 * time.Hour, false},
	} {
		r := Row{Entry: Entry{Modified: at.Add(c.modified)}, Changed: at.Add(c.changed).UnixNano(), Checked: at.UnixNano()}
		if r.racy() != c.want {
			t.Errorf("modified %v, changed %v: racy is %v", c.modified, c.changed, r.racy())
		}
	}
}

func TestSinkFailureLosesNothing(t *testing.T) {
	b := newBench(t, Options{})
	dir := newTree(t)
	want := []string{}
	for i := range 600 {
		build(t, dir, fmt.Sprintf("%03d=%d", i, i))
		want = append(want, fmt.Sprintf("%03d=%d", i, i))
	}
	batches := 0
	b.sink.failing(func([]Update) error {
		if batches++; batches == 2 || batches == 3 {
			return errors.New("disk full")
		}
		return nil
	})
	b.start()
	f, err := b.Add(t.Context(), AddOptions{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	b.untilHas(want...)
	b.untilState(f.ID, StateIdle)
	behind := slices.ContainsFunc(events[Changed](b), func(e Changed) bool {
		return strings.Contains(e.Warning, "Search is behind") && strings.Contains(e.Warning, "disk full")
	})
	if failed := events[Failed](b); len(failed) != 0 || !behind {
		t.Errorf("failed %+v; a warning: %v", failed, behind)
	}
	b.until("no warning", func() bool { f, err := b.Get(f.ID); return err == nil && f.Warning == "" && f.State == StateIdle })
	// What was accepted and remembered was not told twice.
	seen := map[string]int{}
	for _, p := range b.sink.takePuts() {
		seen[p]++
	}
	for p, n := range seen {
		if n != 1 {
			t.Errorf("%s was accepted %d times", p, n)
		}
	}
}

// A store that fails: it is said, and everything is looked at again.
type failingStore struct {
	*Memory
	fails atomic.Int32
}

func (s *failingStore) Apply(ctx context.Context, folder string, d Diff) (Delta, error) {
	if s.fails.Add(-1) >= 0 {
		return Delta{}, errors.New("index unwritable")
	}
	return s.Memory.Apply(ctx, folder, d)
}

func TestStoreFailureLosesNothing(t *testing.T) {
	store := &failingStore{Memory: NewMemory()}
	store.fails.Store(2)
	b := newBench(t, Options{Store: store}).start()
	f, err := b.Add(t.Context(), AddOptions{Path: newTree(t, "a=1")})
	if err != nil {
		t.Fatal(err)
	}
	b.untilState(f.ID, StateIdle)
	b.until("scanned", func() bool { return len(events[Scanned](b)) == 1 })
	b.wait(f.ID)
	b.wantPuts("a")
	if failed := events[Failed](b); len(failed) != 1 {
		t.Errorf("events: %+v", failed)
	}
	if f, err := b.Get(f.ID); err != nil || f.Files != 1 || f.Bytes != 1 {
		t.Errorf("counted %+v, %v", f, err)
	}
}

func TestSkipsAreBounded(t *testing.T) {
	var s skips
	for i := range maxSkips + 50 {
		s.add(fmt.Sprint(i), ReasonLink)
	}
	s.add("0", ReasonChanging)
	r := s.report()
	if len(r.Items) != maxSkips || r.Total != maxSkips+50 || r.Counts[ReasonLink] != maxSkips+49 || r.Counts[ReasonChanging] != 1 {
		t.Errorf("%d items of %d, %v", len(r.Items), r.Total, r.Counts)
	}
}

func TestHostileNames(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t)
	want := []string{}
	for _, name := range []string{"a\nb", "\u202egpj.exe", "*", "[a]", `back\slash`, "-rf", " ", "\u200b", "e\u0301", "é", strings.Repeat("n", 255), "con", "a:b", "..x", "..."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Logf("this file system keeps no %q: %v", name, err)
			continue
		}
		want = append(want, name+"="+name)
	}
	slices.Sort(want)
	id := b.add(dir).ID
	b.wantHas(want...)
	for _, line := range want {
		name := line[:len(line)/2]
		f, err := b.OpenFile(id, name)
		if err != nil {
			t.Errorf("open %q: %v", name, err)
			continue
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTooDeep(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t)
	deep := strings.TrimSuffix(strings.Repeat("d/", MaxDepth), "/")
	build(t, dir, deep+"/", strings.TrimSuffix(deep, "d")+"f=1", deep+"/too=2")
	f := b.add(dir)
	if f.Files != 1 || f.Skipped != 1 {
		t.Errorf("folder: %+v", f)
	}
}

func TestFileThatChangesWhileRead(t *testing.T) {
	dir := newTree(t, "log=start")
	path := filepath.Join(dir, "log")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for what, change := range map[string]func() error{
		"longer":  func() error { return os.WriteFile(path, []byte("longer than before, surely"), 0o644) },
		"shorter": func() error { return os.Truncate(path, 1) },
		"touched": func() error { return os.Chtimes(path, time.Unix(5, 0), time.Unix(5, 0)) },
	} {
		before, err := restat(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := unchanged(f, before); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v, want %v", what, err, ErrChanged)
		}
	}
	var read atomic.Int64
	if _, err := hashAll(t.Context(), f, 100, &read); !errors.Is(err, ErrChanged) {
		t.Errorf("fewer bytes than announced: %v", err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := hashAll(t.Context(), f, 0, &read); !errors.Is(err, ErrChanged) {
		t.Errorf("more bytes than announced: %v", err)
	}
}

// While a file is written again and again, what is told of it is always one of its
// states, and in the end the last one.
func TestFileThatIsAlwaysWritten(t *testing.T) {
	b := newBench(t, Options{})
	var last atomic.Value
	b.sink.failing(func(updates []Update) error {
		for _, u := range updates {
			text, err := readUpdate(u)
			if errors.Is(err, ErrChanged) {
				last.Store("")
				continue
			}
			if err != nil {
				return err
			}
			if text != "" && strings.Trim(text, text[:1]) != "" {
				t.Errorf("two states mixed: %.20q…", text)
			}
			last.Store(text)
		}
		return errStop
	})
	dir := newTree(t, "log=")
	b.start()
	if _, err := b.Add(t.Context(), AddOptions{Path: dir}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		build(t, dir, "log="+strings.Repeat(string(rune('a'+i%26)), 4*readBuffer))
	}
	b.sink.failing(func(updates []Update) error {
		text, err := readUpdate(updates[0])
		last.Store(text)
		return err
	})
	b.until("the last state", func() bool {
		text, _ := last.Load().(string)
		return text == strings.Repeat(string(rune('a'+59%26)), 4*readBuffer)
	})
}

// errStop keeps what is told from being remembered.
var errStop = errors.New("not accepted")

func restat(f *os.File) (stat, error) {
	info, err := f.Stat()
	if err != nil {
		return stat{}, err
	}
	return statOf(info), nil
}

func TestLargeFilesAreStreamed(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "large="+strings.Repeat("0123456789abcdef", readBuffer/16+1))
	b.add(dir)
	if got := b.sink.has(); len(got) != 1 || len(got[0]) != len("large=")+readBuffer+16 {
		t.Errorf("%d entries", len(got))
	}
}

// Nothing outside of the folder is ever read, whatever somebody exchanges for a
// symbolic link at whatever moment.
func TestSymlinkSwapNeverLeavesTheFolder(t *testing.T) {
	secret := newTree(t, "f=SECRET", "sub/f=SECRET")
	dir := newTree(t, "real/f=open", "real/sub/f=open", "inside/f=moved", "inside/sub/f=moved", "file=open")
	b := newBench(t, Options{Workers: 4})
	b.sink.failing(func(updates []Update) error {
		for _, u := range updates {
			if u.Gone || u.Kind != KindFile {
				continue
			}
			f, err := u.Open()
			if err != nil {
				return nil
			}
			text := make([]byte, 16)
			n, _ := f.Read(text)
			_ = f.Close()
			if strings.Contains(string(text[:n]), "SECRET") || strings.HasPrefix(u.Path, "real") && string(text[:n]) != "open" {
				t.Errorf("%s has %q", u.Path, text[:n])
			}
		}
		return nil
	})
	b.start()
	id := b.add(dir).ID
	stop := make(chan struct{})
	var flipping sync.WaitGroup
	flipping.Go(func() {
		real, kept := filepath.Join(dir, "real"), filepath.Join(dir, "kept")
		file := filepath.Join(dir, "file")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			target := []string{secret, "inside", filepath.Join(secret, "sub")}[i%3]
			_ = os.Rename(real, kept)
			_ = os.Symlink(target, real)
			_ = os.Rename(file, file+".kept")
			_ = os.Symlink(filepath.Join(secret, "f"), file)
			_ = os.Remove(real)
			_ = os.Rename(kept, real)
			_ = os.Rename(file+".kept", file)
		}
	})
	for range 30 {
		if err := b.Scan(id); err != nil {
			t.Error(err)
		}
		for range 20 {
			for _, p := range []string{"real/f", "real/sub/f", "file"} {
				f, err := b.OpenFile(id, p)
				if err != nil {
					continue
				}
				text := make([]byte, 16)
				n, _ := f.Read(text)
				_ = f.Close()
				if string(text[:n]) != "open" {
					t.Errorf("%s has %q", p, text[:n])
				}
			}
		}
		if err := b.Wait(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	flipping.Wait()
}

// Small files are read many in one go, large ones by as many workers as there are.
func TestShareOf(t *testing.T) {
	sized := func(sizes ...int64) (all []candidate) {
		for _, n := range sizes {
			all = append(all, candidate{size: n})
		}
		return all
	}
	for name, c := range map[string]struct {
		files []candidate
		want  int
	}{
		"one":                      {sized(1), 1},
		"small ones":               {sized(1, 2, 3), 3},
		"too many small ones":      {sized(make([]int64, filesAtOnce+1)...), filesAtOnce},
		"just enough":              {sized(bytesAtOnce-1, 1, 1), 2},
		"a large one first":        {sized(1<<40, 1), 1},
		"a large one after others": {sized(1, 1, bytesAtOnce), 2},
		"two large ones":           {sized(256<<20, 256<<20), 1},
	} {
		if got := shareOf(c.files); got != c.want {
			t.Errorf("%s: %d in one go, want %d", name, got, c.want)
		}
	}
}

func TestOutermost(t *testing.T) {
	got := outermost([]hint{{dir: "b"}, {dir: "a/x"}, {dir: "a", deep: true}, {dir: "a"}, {dir: "ab"}, {dir: "b", path: "b/c"}, {dir: "c", deep: true}, {dir: "c/d", deep: true}})
	want := []hint{{dir: "a", deep: true}, {dir: "ab"}, {dir: "b"}, {dir: "c", deep: true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hint{}), cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "path" }, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProgressEvents(t *testing.T) {
	b := newBench(t, Options{}).start()
	b.add(newTree(t, "a=12", "b=345"))
	b.until("the end", func() bool {
		told := events[Scanning](b)
		return len(told) > 0 && told[len(told)-1] == Scanning{ID: told[0].ID, Files: 2, Bytes: 5, Read: 5, Done: true}
	})
	for _, e := range []p2p.Event{Added{}, Removed{}, Changed{}, Scanning{}, Scanned{}, Failed{}} {
		if !strings.HasPrefix(e.Topic(), "folder.") {
			t.Errorf("%T: topic %q", e, e.Topic())
		}
	}
}

// What was left out is forgotten as soon as it is not there any more, without a complete scan.
func TestSkippedIsForgotten(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "d/a=1", "d/link => a", "link => d")
	id := b.add(dir).ID
	left := func() (paths []string) {
		s, err := b.Skipped(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Items {
			paths = append(paths, x.Path)
		}
		if s.Total != len(s.Items) {
			t.Errorf("%d in total, %v", s.Total, paths)
		}
		return paths
	}
	if diff := cmp.Diff([]string{"d/link", "link"}, left()); diff != "" {
		t.Error(diff)
	}
	remove(t, dir, "d/link")
	for end := time.Now().Add(10 * time.Second); !cmp.Equal(left(), []string{"link"}); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still left out: %q", left())
		}
	}
}
