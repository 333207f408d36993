//go:build unix

package folder

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestObserve(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "file=1", "d/in=2", "edited=3", "gone=4", "dirlink => d", "link => file", "touched=5", ".shoalignore=*.log\n", "d/x.log=6", "becomes-dir=7", "becomes-file/x=8", "moded/")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	id := b.add(dir).ID
	b.pause(id)
	remove(t, dir, "gone", "becomes-dir", "becomes-file")
	build(t, dir, "edited=three", "new=9", "newdir/", "becomes-dir/", "becomes-file=10")
	touch(t, filepath.Join(dir, "touched"), time.Unix(1e9, 0))
	if err := os.Chmod(filepath.Join(dir, "moded"), 0o700); err != nil {
		t.Fatal(err)
	}
	sh, err := b.share(id)
	if err != nil {
		t.Fatal(err)
	}
	sh.end() // it would take the hints
	for path, want := range map[string]struct {
		state Observed
		kind  Kind
		hint  bool
	}{
		"file":         {ObservedKnown, KindFile, false},
		"d":            {ObservedKnown, KindDir, false},
		"d/in":         {ObservedKnown, KindFile, false},
		"gone":         {ObservedAbsent, "", false},
		"never":        {ObservedAbsent, "", false},
		"never/in":     {ObservedAbsent, "", false},
		"file/in":      {ObservedAbsent, "", false},
		"dirlink/in":   {ObservedOther, "", false},
		"dirlink":      {ObservedOther, "", false},
		"link":         {ObservedOther, "", false},
		"pipe":         {ObservedOther, "", false},
		"d/x.log":      {ObservedOther, KindFile, false},
		".shoalignore": {ObservedOther, KindFile, false},
		"edited":       {ObservedOther, KindFile, true},
		"touched":      {ObservedOther, KindFile, true},
		"new":          {ObservedOther, KindFile, true},
		"newdir":       {ObservedOther, KindDir, true},
		"becomes-dir":  {ObservedOther, KindDir, true},
		"becomes-file": {ObservedOther, KindFile, true},
		"moded":        {ObservedOther, KindDir, true},
	} {
		sh.mu.Lock()
		before := len(sh.hints)
		sh.mu.Unlock()
		row, state, err := b.Observe(t.Context(), id, path)
		sh.mu.Lock()
		hinted := false
		if before < len(sh.hints) {
			hinted = sh.hints[before] == hint{dir: parent(path), path: path}
		}
		sh.hints = sh.hints[:0]
		sh.mu.Unlock()
		if err != nil || state != want.state || row.Kind != want.kind || hinted != want.hint {
			t.Errorf("%s: state %d, kind %q, hint %v, %v, want %+v", path, state, row.Kind, hinted, err, want)
		}
		if known := row.Hash != (Hash{}); known != (state == ObservedKnown && row.Kind == KindFile) {
			t.Errorf("%s: hash %v", path, row.Hash)
		}
	}
	for path, want := range map[string]error{"../x": ErrBadPath, ".shoal/id": ErrBadPath, "": ErrBadPath} {
		if _, _, err := b.Observe(t.Context(), id, path); !errors.Is(err, want) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, _, err := b.Observe(t.Context(), "unknown", "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown folder: %v", err)
	}
	rename(t, dir, ".shoal", ".away")
	if _, _, err := b.Observe(t.Context(), id, "file"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("away: %v", err)
	}
	if _, _, err := b.Tree(id); !errors.Is(err, ErrUnavailable) {
		t.Errorf("away: %v", err)
	}
}

func TestSkippedKinds(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "ok=1", "loop => loop")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := "bad\xff\nname"
	if err := os.WriteFile(filepath.Join(dir, bad), nil, 0o644); err != nil {
		t.Logf("this file system keeps no such names: %v", err)
		bad = ""
	}
	f := b.add(dir)
	b.wantHas("ok=1")
	skips, err := b.Skipped(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []Skipped{{`loop`, ReasonLink}, {`pipe`, ReasonSpecial}}
	if bad != "" {
		want = slices.Insert(want, 0, Skipped{`"bad\xff\nname"`, ReasonName})
	}
	if diff := cmp.Diff(want, skips.Items); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

// asNobody runs fn while the process has not the rights of root. Files in dir
// become readable to it.
func asNobody(t *testing.T, dirs []string, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	const nobody = 65534
	for _, dir := range dirs {
		for at := dir; strings.HasPrefix(at, os.TempDir()+"/"); at = filepath.Dir(at) {
			if err := os.Chown(at, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := syscall.Seteuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Seteuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	fn()
}

func TestUnreadableIsSkippedAndKept(t *testing.T) {
	b := newBench(t, Options{})
	dir := newTree(t, "ok=1", "file=2", "dir/inner=3", "rules/.shoalignore=secret", "rules/secret=4")
	b.start()
	asNobody(t, []string{dir, filepath.Join(dir, "ok")}, func() {
		id := b.add(dir).ID
		b.pause(id)
		locked := []string{"file", "dir", "rules/.shoalignore"}
		chmod := func(mode os.FileMode) {
			if os.Getuid() == 0 {
				_ = syscall.Seteuid(0)
				defer func() { _ = syscall.Seteuid(65534) }()
			}
			for _, name := range locked {
				if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
					t.Error(err)
				}
			}
		}
		chmod(0)
		b.resume(id)
		b.wantHas("dir/", "dir/inner=3", "file=2", "ok=1", "rules/")
		skips, err := b.Skipped(id)
		want := []Skipped{{"dir", ReasonUnreadable}, {"file", ReasonUnreadable}, {"rules", ReasonUnreadable}}
		if diff := cmp.Diff(want, skips.Items); err != nil || diff != "" {
			t.Errorf("skipped: %v (-want +got):\n%s", err, diff)
		}
		if f, err := b.Get(id); err != nil || f.State != StateIdle {
			t.Errorf("state: %+v, %v", f, err)
		}
		chmod(0o755)
	})
}
