package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes what the lines say below dir: "a.txt=v1" a file, "docs/" a
// directory, "link => target" a symbolic link. Directories above come by themselves.
func build(t testing.TB, dir string, lines ...string) string {
	t.Helper()
	for _, line := range lines {
		var err error
		if link, target, ok := strings.Cut(line, " => "); ok {
			err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755), os.Symlink(target, filepath.Join(dir, link)))
		} else if name, text, ok := strings.Cut(line, "="); ok {
			err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		} else {
			err = os.MkdirAll(filepath.Join(dir, strings.TrimSuffix(line, "/")), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newTree builds in a new directory whose path has no symbolic links.
func newTree(t testing.TB, lines ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return build(t, dir, lines...)
}

// recorder is a Sink that remembers what it was told.
type recorder struct {
	mu      sync.Mutex // guards all following fields
	texts   map[string]string
	puts    []string // paths, "-path" when gone
	batches int
	fail    func(updates []Update) error
}

func (r *recorder) Put(ctx context.Context, updates []Update) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches++
	if len(updates) == 0 || len(updates) > maxBatch {
		return fmt.Errorf("batch of %d updates", len(updates))
	}
	if r.fail != nil {
		if err := r.fail(updates); err != nil {
			return err
		}
	}
	if r.texts == nil {
		r.texts = make(map[string]string)
	}
	for _, u := range updates {
		if u.Gone {
			delete(r.texts, u.Path)
			r.puts = append(r.puts, "-"+u.Path)
			continue
		}
		text := "dir"
		if u.Kind == KindFile {
			b, err := readUpdate(u)
			if err != nil {
				return err
			}
			text = "=" + b
		}
		r.texts[u.Path] = text
		r.puts = append(r.puts, u.Path)
	}
	return nil
}

func readUpdate(u Update) (string, error) {
	f, err := u.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	if int64(len(b)) != u.Size || blake3.Sum256(b) != [32]byte(u.Hash) {
		return "", fmt.Errorf("%s: %d bytes that are not those of the hash", u.Path, len(b))
	}
	return string(b), nil
}

// has returns what the sink knows, as lines like those of build.
func (r *recorder) has() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(r.texts)) {
		if r.texts[p] == "dir" {
			lines = append(lines, p+"/")
		} else {
			lines = append(lines, p+r.texts[p])
		}
	}
	return lines
}

// takePuts returns what was put since the last call, sorted.
func (r *recorder) takePuts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	puts := r.puts
	r.puts = nil
	slices.Sort(puts)
	return puts
}

func (r *recorder) failing(fail func([]Update) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// bench is a service with its sink and events.
type bench struct {
	*Service
	t      testing.TB
	sink   *recorder
	mu     sync.Mutex // guards all following fields
	log    []p2p.Event
	turned chan struct{}
}

// newBench makes a service that is not yet running.
func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	b := &bench{t: t, sink: &recorder{}, turned: make(chan struct{})}
	if o.Sink == nil {
		o.Sink = b.sink
	}
	o.Publish = func(e p2p.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log = append(b.log, e)
		b.turn()
	}
	if o.Retry == 0 {
		o.Retry = 10 * time.Millisecond
	}
	if o.Quiet == 0 {
		o.Quiet = time.Millisecond
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Service = s
	return b
}

// turn has until look again. The caller holds b.mu.
func (b *bench) turn() {
	close(b.turned)
	b.turned = make(chan struct{})
}

func (b *bench) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
}

// start runs the service until the test ends.
func (b *bench) start() *bench {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return b
}

// add shares a directory and waits for its first scan.
func (b *bench) add(dir string) Folder {
	b.t.Helper()
	f, err := b.Add(b.t.Context(), AddOptions{Path: dir})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.wait(f.ID)
}

// rescan scans and waits.
func (b *bench) rescan(id string) Folder {
	b.t.Helper()
	if err := b.Scan(id); err != nil {
		b.t.Fatal(err)
	}
	return b.wait(id)
}

// wait waits for the scans, and for the sink unless it fails.
func (b *bench) wait(id string) Folder {
	b.t.Helper()
	sh, err := b.share(id)
	if err == nil {
		err = b.Wait(b.t.Context(), id)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		sh.mu.Lock()
		done, turned := sh.passed == sh.posted || sh.behind != "" || sh.state == StateError, sh.turned
		sh.mu.Unlock()
		if done {
			break
		}
		select {
		case <-turned:
		case <-b.t.Context().Done():
			b.t.Fatal("the sink was not told")
		}
	}
	f, err := b.Get(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// until waits until what is true, looking again at every event.
func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for {
		b.mu.Lock()
		turned := b.turned
		b.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-turned:
		case <-ctx.Done():
			b.t.Fatalf("waited in vain: %s\nfolders %+v\nsink %q", what, b.List(), b.sink.has())
		}
	}
}

// untilHas waits until the sink knows exactly lines.
func (b *bench) untilHas(lines ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q", lines), func() bool { return slices.Equal(b.sink.has(), lines) })
}

func (b *bench) untilState(id string, s State) {
	b.t.Helper()
	b.until(string(s), func() bool { f, err := b.Get(id); return err == nil && f.State == s })
}

func (b *bench) wantHas(lines ...string) {
	b.t.Helper()
	if diff := cmp.Diff(lines, b.sink.has()); diff != "" {
		b.t.Errorf("sink (-want +got):\n%s", diff)
	}
}

func (b *bench) wantPuts(paths ...string) {
	b.t.Helper()
	if diff := cmp.Diff(paths, b.sink.takePuts()); diff != "" {
		b.t.Errorf("told (-want +got):\n%s", diff)
	}
}

func events[E p2p.Event](b *bench) []E {
	b.mu.Lock()
	defer b.mu.Unlock()
	var of []E
	for _, e := range b.log {
		if e, ok := e.(E); ok {
			of = append(of, e)
		}
	}
	return of
}

// touch sets the times of a file.
func touch(t testing.TB, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}
