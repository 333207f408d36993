package swarm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestInstallOther: only the file that was verified gets a name, whatever has taken its place meanwhile, and nothing
// else is left.
func TestInstallOther(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	id := seed.ID{1}
	f, err := openPart(root, id, 5, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := filepath.Join(dir, partName(id))
	for _, other := range []bool{false, true} {
		if err := os.RemoveAll(part); err != nil {
			t.Fatal(err)
		}
		if other {
			if err := os.WriteFile(part, []byte("other"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name, err := install(root, id, f, "file", func(string) error { return nil }); !errors.Is(err, ErrUnusable) {
			t.Errorf("installed as %q, %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "file")); err == nil {
			t.Error("something has the name")
		}
	}
}

// TestCrashWhileNamed: after a crash between the name of a file and the note that it is there, what has the name is
// ours only if it is the seed's, whether it has the other name still or not.
func TestCrashWhileNamed(t *testing.T) {
	data := noise(30, 3<<20)
	edited := append([]byte("edited"), data[6:]...)
	for _, row := range []struct {
		name   string
		linked bool // the part is there still
		is     []byte
	}{{"whole", false, data}, {"whole, with two names", true, data}, {"edited", false, edited}, {"edited, with two names", true, edited}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClass(t, 2, sim.Options{Latency: time.Millisecond})
				ada, ben := c.seats[0], c.seats[1]
				s := ada.share("file", data)
				ben.end()
				path := ben.write("downloads/file", row.is)
				if row.linked {
					if err := os.Link(path, ben.dir+"/downloads/"+partName(s.ID())); err != nil {
						t.Fatal(err)
					}
				}
				all := picker.NewBitmap(s.Count())
				all.SetRange(0, s.Count()-1)
				ctx := t.Context()
				err := errors.Join(ben.store.Save(ctx, Row{ID: s.ID(), Text: s.Text(), Dir: ben.dir + "/downloads", Name: "file", Settling: "file"}),
					ben.store.Progress(ctx, s.ID(), all.Bytes(), Counts{}))
				if err != nil {
					t.Fatal(err)
				}
				again := c.sit(ben.identity, ben.dir, ben.store)
				st := again.until(s.ID(), StateSeeding)
				same(t, st.Path, data)
				same(t, path, row.is)
				if again := st.Wire > 0; again != (row.is[0] != data[0]) {
					t.Errorf("fetched again: %t", again)
				}
			})
		})
	}
}

// TestPartAnew: what was noted of a file that is not there, or has another length, is forgotten before it is made.
func TestPartAnew(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	id := seed.ID{1}
	for i, row := range []struct {
		size int64
		anew bool
	}{{100, true}, {100, false}, {200, true}, {200, false}} {
		told := false
		f, err := openPart(root, id, row.size, func() error {
			told = true
			if st, err := root.Lstat(partName(id)); err == nil && st.Size() == row.size {
				t.Error("told when it was made")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if told != row.anew {
			t.Errorf("%d: anew %t", i, told)
		}
	}
}
