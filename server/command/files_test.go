package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestToken(t *testing.T) {
	dir := t.TempDir()
	made, err := Token(dir, "")
	if err != nil || len(made) < 22 { // 128 bits in base 64
		t.Fatalf("made %q, %v", made, err)
	}
	if err := checkToken(made); err != nil {
		t.Error(err)
	}
	again, err := Token(dir, "")
	if err != nil || again != made {
		t.Errorf("second start: %q, %v, want %q", again, err, made)
	}
	path := filepath.Join(dir, tokenFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	// Given once, it is the one that the other verbs find.
	for _, given := range []string{"given", ""} {
		if got, err := Token(dir, given); err != nil || got != "given" || firstLine(path) != "given" {
			t.Errorf("Token(%q) = %q, %v; kept %q", given, got, err, firstLine(path))
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("not a token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Token(dir, ""); err == nil {
		t.Errorf("took %q", got)
	}
}

func TestWholePath(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	t.Chdir("/")
	for in, want := range map[string]string{
		"~": "/home/ann", "~/x y": "/home/ann/x y", "/a/../b": "/b", "a/~": "/a/~", "~bob/x": "/~bob/x", "./~/x": "/~/x",
	} {
		if got, err := wholePath(in); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	if got, err := (Serve{Folder: []string{"~/notes"}}).Folders(); err != nil || got[0] != (Folder{Path: "/home/ann/notes"}) {
		t.Errorf("--folder=~/notes: %q, %v", got, err)
	}
}

func TestWriteAddress(t *testing.T) {
	dir := t.TempDir()
	remove, err := WriteAddress(dir, "127.0.0.1:8081")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "http")); err != nil || string(b) != "127.0.0.1:8081\n" {
		t.Errorf("DIR/http holds %q, %v", b, err)
	}
	for range 2 {
		if err := remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "http")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DIR/http is still there: %v", err)
	}
}

func TestWritePrivateLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(filepath.Join(dir, "x"), "text"); err == nil {
		t.Error("replaced a directory")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
}
