package node

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// Who stops keeping a folder and keeps it again is heard as before, in another directory or
// in the same one.
func TestRejoin(t *testing.T) {
	t.Parallel()
	both := together(t, "", "alice", "bob")
	alice, bob := both[0], both[1]
	alice.put("a.txt", "one")
	bob.awaitFile("a.txt", "one")
	for i, dir := range []string{bob.dir, t.TempDir()} {
		if err := bob.RemoveFolder(t.Context(), bob.id); err != nil {
			t.Fatal(err)
		}
		bob = join(t, bob.Node, alice, dir)
		bob.awaitFile("a.txt", "one")
		name := string(rune('b'+i)) + ".txt"
		bob.put(name, "of bob")
		alice.awaitFile(name, "of bob")
		alice.put("again "+name, "of alice")
		bob.awaitFile("again "+name, "of alice")
	}
}

// One edits a file, the other puts a directory in its place. Whichever is kept, in the end
// both have the same, and nothing is left over.
func TestFileOrDirectory(t *testing.T) {
	t.Parallel()
	for _, keep := range []string{replica.KeepOurs, replica.KeepTheirs, replica.KeepBoth} {
		both := together(t, "", "alice", "bob")
		alice, bob := both[0], both[1]
		alice.put("x.txt", "base")
		bob.awaitFile("x.txt", "base")
		pause := func(paused bool) {
			t.Helper()
			for _, k := range both {
				if _, err := k.UpdateFolder(t.Context(), k.id, folder.Changes{Paused: &paused}); err != nil {
					t.Fatal(err)
				}
			}
		}
		pause(true)
		alice.remove("x.txt")
		if err := os.Mkdir(alice.path("x.txt"), 0o755); err != nil {
			t.Fatal(err)
		}
		alice.put("x.txt/inside", "in the directory")
		bob.put("x.txt", "edited")
		pause(false)
		list := func(k *kept) []replica.Conflict {
			t.Helper()
			c, err := k.Conflicts(t.Context(), k.id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		eventually(t, "both know both", func() bool {
			return len(alice.tree()) == 3 && len(bob.tree()) == 3 && len(list(bob)) > 0 && len(list(bob)) == len(list(alice))
		})
		// The directory has the name. What is left to decide then is that the file was deleted
		// when it was edited: it is meant.
		eventually(t, "it is decided", func() bool {
			for _, c := range list(bob) {
				how := replica.KeepOurs
				if c.Kind == reconcile.ConflictContent {
					how = keep
				}
				// It can be on its way yet, or be settled by the one before.
				if _, err := bob.Resolve(t.Context(), bob.id, []uint64{c.N}, how); err != nil && !errors.Is(err, replica.ErrNotHere) && !errors.Is(err, replica.ErrNotFound) {
					t.Fatalf("keep %s of %s %s: %v", how, c.Kind, c.Path, err)
				}
			}
			return len(list(bob)) == 0
		})
		want := map[string][]string{
			replica.KeepOurs:   {"x.txt", "x.txt/inside"},
			replica.KeepTheirs: {"x.txt"},
			replica.KeepBoth:   {"x 2.txt", "x.txt", "x.txt/inside"},
		}[keep]
		for _, k := range both {
			eventually(t, "what is kept", func() bool {
				return slices.Equal(slices.Sorted(maps.Keys(k.tree())), want) && len(list(k)) == 0
			})
		}
		if keep == replica.KeepTheirs && !alice.has("x.txt", "edited") {
			t.Error("another file is kept")
		}
	}
}
