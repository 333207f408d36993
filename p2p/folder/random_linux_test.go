package folder

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	randomSeeds = flag.Int("random.seeds", 20, "how many seeds TestRandomWork plays")
	randomFirst = flag.Uint64("random.first", 0, "the first seed (0: by the clock)")
)

// randomWork is a person who works fast, with few names.
type randomWork struct {
	r   *rand.Rand
	dir string
	log []string
}

func (w *randomWork) all(dirs bool) []string {
	var out []string
	_ = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == reserved {
			return fs.SkipDir
		}
		if err == nil && path != w.dir && (d.IsDir() || !dirs) {
			rel, _ := filepath.Rel(w.dir, path)
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	return out
}

func (w *randomWork) pick(dirs bool) string {
	all := w.all(dirs)
	if len(all) == 0 {
		return ""
	}
	return all[w.r.IntN(len(all))]
}

func (w *randomWork) fresh(kind string, names int) string {
	in := ""
	if w.r.IntN(3) > 0 {
		in = w.pick(true)
	}
	return strings.TrimPrefix(fmt.Sprintf("%s/%s%d", in, kind, w.r.IntN(names)), "/")
}

func (w *randomWork) act() {
	abs := func(p string) string { return filepath.Join(w.dir, p) }
	a, b := w.pick(false), w.fresh("f", 12)
	var err error
	var what string
	switch x := w.r.IntN(100); {
	case x < 30:
		what, err = "write "+b, os.WriteFile(abs(b), []byte(fmt.Sprint(w.r.Uint64())), 0o644)
	case x < 45:
		what, err = "write "+a, os.WriteFile(abs(a), []byte(fmt.Sprint(w.r.Uint64())), 0o644)
	case x < 60 && a != "":
		what, err = "remove "+a, os.RemoveAll(abs(a))
	case x < 80 && a != "":
		b = w.fresh("d", 5)
		what, err = "rename "+a+" "+b, os.Rename(abs(a), abs(b))
	case x < 83 && a != "": // as programs save: a new one gets the name, also that of a directory
		temp := abs(a) + "~"
		if err = os.WriteFile(temp, []byte(fmt.Sprint(w.r.Uint64())), 0o644); err == nil {
			what, err = "save "+a, exchange(temp, abs(a))
			_ = os.RemoveAll(temp)
		}
	case x < 88 && a != "":
		what, err = "chmod "+a, os.Chmod(abs(a), []fs.FileMode{0o755, 0o700}[w.r.IntN(2)])
	default:
		b = w.fresh("d", 5)
		what, err = "mkdir "+b, os.Mkdir(abs(b), 0o755)
	}
	if err == nil {
		w.log = append(w.log, what)
	}
}

func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// TestRandomWork: whatever a person does, and however fast, soon after it the index says
// what is there, without a complete scan.
func TestRandomWork(t *testing.T) {
	first := *randomFirst
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for i := range *randomSeeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			store := NewMemory()
			b := newBench(t, Options{Store: store, Quiet: time.Duration(1+rand.IntN(30)) * time.Millisecond}).start()
			w := &randomWork{r: rand.New(rand.NewPCG(seed, 0)), dir: newTree(t)}
			id := b.add(w.dir).ID
			for round := range 8 {
				w.log = append(w.log, fmt.Sprint("round ", round))
				for range 1 + w.r.IntN(40) {
					w.act()
				}
				var diff []string
				for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
					if diff = indexDiffers(t, store, id, w.dir); len(diff) == 0 {
						break
					}
				}
				if len(diff) > 0 {
					t.Fatalf("seed %d: after\n%s\nthe index differs:\n%s", seed, strings.Join(w.log, "\n"), strings.Join(diff, "\n"))
				}
			}
		})
	}
}

// indexDiffers says where the index is not as the directory.
func indexDiffers(t *testing.T, store Store, id, dir string) (diff []string) {
	t.Helper()
	rows, err := store.Under(t.Context(), id, "", "", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]Row{}
	for _, r := range rows {
		known[r.Path] = r
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		if d.Name() == reserved {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		row, ok := known[rel]
		delete(known, rel)
		st := statOf(info)
		switch {
		case !ok:
			diff = append(diff, rel+" is not known")
		case d.IsDir() != (row.Kind == KindDir), row.Inode != st.inode, row.Mode.Perm() != st.mode.Perm(), !d.IsDir() && !row.same(st):
			diff = append(diff, fmt.Sprintf("%s is known as %+v", rel, row))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for p := range known {
		diff = append(diff, p+" is not there")
	}
	slices.Sort(diff)
	return diff
}
