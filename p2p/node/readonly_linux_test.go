package node

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
)

// TestReadOnlyFiles keeps read-only files and directories as a user whom that would hold
// back: others' repositories and module caches are full of them.
func TestReadOnlyFiles(t *testing.T) {
	if !applytest.Unprivileged(t) {
		return
	}
	all := together(t, "", "alice", "bob")
	alice, bob := all[0], all[1]
	large := strings.Repeat("0123456789abcdef", 100_000) // comes by itself, and as a delta later
	files := map[string]string{"a": "one", "twin": "one", "empty": "", "large": large, "dir/sub/b": "two"}
	modes := map[string]fs.FileMode{"a": 0o444, "twin": 0o400, "empty": 0o444, "large": 0o444, "dir/sub/b": 0o444, "dir/sub": 0o555, "dir": 0o555}
	chmod := func(mode fs.FileMode, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.Chmod(alice.path(name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	seal := func() {
		t.Helper()
		for _, name := range []string{"a", "twin", "empty", "large", "dir/sub/b", "dir/sub", "dir"} {
			chmod(modes[name], name)
		}
	}
	t.Cleanup(func() {
		for _, k := range all {
			for _, name := range []string{"dir", "dir/sub"} {
				if err := os.Chmod(k.path(name), 0o755); err != nil {
					t.Error(err)
				}
			}
		}
	})
	same := func() {
		t.Helper()
		for name, text := range files {
			bob.awaitFile(name, text)
		}
		for name, want := range modes {
			await(t, bob.Node, "the mode of "+name, func() bool {
				info, err := os.Stat(bob.path(name))
				return err == nil && info.Mode().Perm() == want
			})
		}
	}
	for name, text := range files {
		alice.put(name, text)
	}
	seal()
	same()

	chmod(0o755, "dir", "dir/sub")
	chmod(0o644, "a", "large", "dir/sub/b")
	files["a"], files["large"], files["dir/sub/b"], files["dir/sub/new"] = "three", large+"!", "four", "five"
	for name, text := range files {
		if name != "twin" && name != "empty" {
			alice.put(name, text)
		}
	}
	seal()
	same()

	// Bob's computer changes nothing by itself: what was lent for a moment is not told.
	if err := alice.ScanFolder(t.Context(), alice.id); err != nil {
		t.Fatal(err)
	}
	if err := bob.ScanFolder(t.Context(), bob.id); err != nil {
		t.Fatal(err)
	}
	same()
	for name, want := range modes {
		if info, err := os.Stat(alice.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("alice's %s: %v, %v", name, info.Mode(), err)
		}
	}
}
