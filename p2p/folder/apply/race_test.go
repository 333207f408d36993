package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// What is in the files of these tests. They are as long as one another, so that the
// length does not tell them apart.
const (
	oldText    = "the old content"
	newText    = "the new content"
	personText = "a person's text"
	laterText  = "a later edit..."
)

const asidePath = apply.AsideDir + "/1"

const modified = 1_600_000_000_000_000_000

// scene is a disk with an op to do.
type scene struct {
	disk *applytest.MemFS
	op   apply.Op
}

// scenes makes a scene for each kind of op.
func scenes(t *testing.T, exchange bool) map[string]func() scene {
	t.Helper()
	with := func(do func(t *testing.T, d *applytest.MemFS) apply.Op) func() scene {
		return func() scene {
			d := disk(t)
			d.Without(!exchange, false)
			op := do(t, d)
			must(t, d.SyncAll())
			return scene{disk: d, op: op}
		}
	}
	return map[string]func() scene{
		"fetch": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return newTemp(t, d, apply.Op{Do: reconcile.DoFetch, Path: "dir/new"})
		}),
		"replace": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return newTemp(t, d, apply.Op{
				Do: reconcile.DoReplace, Path: "dir/old.txt", Trash: apply.TrashDir + "/1-old.txt", Want: expect(t, d, "dir/old.txt"),
			})
		}),
		"trash": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoTrash, Path: "dir/old.txt", Trash: apply.TrashDir + "/1-old.txt", Want: expect(t, d, "dir/old.txt")}
		}),
		"rmdir": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoTrash, Path: "dir/empty", Want: expect(t, d, "dir/empty")}
		}),
		"move": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoMove, From: "dir/old.txt", Path: "there/moved.txt", Want: expect(t, d, "dir/old.txt")}
		}),
		"aside": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoMove, From: "dir/old.txt", Path: asidePath, Want: expect(t, d, "dir/old.txt")}
		}),
		"movedir": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoMove, From: "dir", Path: "there/dir", Want: expect(t, d, "dir")}
		}),
		"mkdir": with(func(*testing.T, *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoMkdir, Path: "dir/made", Mode: 0o750}
		}),
		"meta": with(func(t *testing.T, d *applytest.MemFS) apply.Op {
			return apply.Op{Do: reconcile.DoMeta, Path: "dir/old.txt", Mode: 0o600, Modified: modified, Want: expect(t, d, "dir/old.txt")}
		}),
	}
}

// disk returns a prepared disk with dir/old.txt, dir/empty and there.
func disk(t *testing.T) *applytest.MemFS {
	t.Helper()
	d := applytest.NewMem()
	must(t, apply.Prepare(d))
	must(t, d.MkdirAll("dir/empty"))
	must(t, d.MkdirAll("there"))
	must(t, d.WriteFile("dir/old.txt", oldText))
	return d
}

func expect(t *testing.T, fsys apply.FS, path string) apply.Expect {
	t.Helper()
	st, err := fsys.Lstat(path)
	must(t, err)
	return apply.Expect{
		Item:    reconcile.Item{Kind: st.Kind, Size: st.Size, Modified: st.Modified, Mode: st.Mode, Inode: st.Inode},
		Changed: st.Changed,
	}
}

// newTemp writes the temporary file of op.
func newTemp(t *testing.T, fsys apply.FS, op apply.Op) apply.Op {
	t.Helper()
	op.Temp, op.Mode, op.Modified = apply.TempName(reconcile.Hash{1}), 0o640, modified
	f, err := fsys.Create(op.Temp)
	must(t, err)
	_, err = f.WriteAt([]byte(newText), 0)
	must(t, err)
	st, err := f.SetMeta(op.Mode, op.Modified)
	must(t, err)
	must(t, apply.SyncTemps(fsys, []apply.Temp{f}))
	must(t, f.Close())
	op.TempInode = st.Inode
	return op
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// persons are what somebody can do at a moment; an error means that it could not be
// done, and nothing happened.
var persons = map[string]func(d *applytest.MemFS, op apply.Op) error{
	"nothing": func(*applytest.MemFS, apply.Op) error { return nil },
	"edit":    func(d *applytest.MemFS, op apply.Op) error { return edit(d, target(op)) },
	"editPath": func(d *applytest.MemFS, op apply.Op) error {
		if op.Path == asidePath {
			return fs.ErrPermission
		}
		return edit(d, op.Path)
	},
	"save": func(d *applytest.MemFS, op apply.Op) error { return save(d, target(op), personText) },
	"saveTwice": func(d *applytest.MemFS, op apply.Op) error {
		return errors.Join(save(d, target(op), laterText), save(d, target(op), personText))
	},
	"create": func(d *applytest.MemFS, op apply.Op) error {
		if op.Path == asidePath {
			return fs.ErrPermission
		}
		return save(d, op.Path, personText)
	},
	"delete": func(d *applytest.MemFS, op apply.Op) error { return d.RemoveAll(target(op)) },
	"takeAway": func(d *applytest.MemFS, op apply.Op) error {
		return d.RenamePath(target(op), "there/taken")
	},
	"takeAwayAndCreate": func(d *applytest.MemFS, op apply.Op) error {
		if err := d.RenamePath(target(op), "there/taken"); err != nil {
			return err
		}
		return save(d, target(op), personText)
	},
	"directory": func(d *applytest.MemFS, op apply.Op) error {
		if err := d.RemoveAll(target(op)); err != nil {
			return err
		}
		if err := d.MkdirAll(target(op)); err != nil {
			return err
		}
		return d.WriteFile(target(op)+"/in", personText)
	},
	"moveParent":   func(d *applytest.MemFS, _ apply.Op) error { return d.RenamePath("dir", "there/parent") },
	"removeParent": func(d *applytest.MemFS, _ apply.Op) error { return d.RemoveAll("dir") },
	"linkParent": func(d *applytest.MemFS, _ apply.Op) error {
		if err := d.RenamePath("dir", "there/parent"); err != nil {
			return err
		}
		return d.Other("dir")
	},
	"chmod": func(d *applytest.MemFS, op apply.Op) error { return d.Chmod(target(op), 0o444) },
}

// target is the path of what the op takes away.
func target(op apply.Op) string {
	if op.From != "" {
		return op.From
	}
	return op.Path
}

func edit(d *applytest.MemFS, path string) error {
	if _, err := d.ReadFile(path); err != nil {
		return err
	}
	return d.WriteFile(path, personText)
}

// save replaces a file as an editor does that writes a new one.
func save(d *applytest.MemFS, path, text string) error {
	if err := d.WriteFile("there/saving", text); err != nil {
		return err
	}
	err := d.RenamePath("there/saving", path)
	return errors.Join(err, d.RemoveAll("there/saving"))
}

type died struct{}

// step runs fn on the disk; before its call number at, somebody acts, and before call
// number dies the process dies. It returns how many calls there were.
func step(d *applytest.MemFS, at int, act func(), dies int, fn func(apply.FS)) (calls int, dead bool) {
	h := &applytest.Hooked{FS: d}
	h.Before = func(n int, _ string) {
		if n == at {
			act()
		}
		if n == dies {
			panic(died{})
		}
	}
	defer func() {
		calls = h.Calls
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
			dead = true
		}
	}()
	fn(h)
	return h.Calls, false
}

// texts returns what can be found on a disk: what a person sees, and what is
// anywhere else that nothing removes.
func texts(d *applytest.MemFS) (seen, kept map[string]bool) {
	seen, kept = map[string]bool{}, map[string]bool{}
	for _, h := range d.Tree() {
		seen[h], kept[h] = true, true
	}
	for _, h := range d.Trash() {
		kept[h] = true
	}
	if s, err := d.ReadFile(asidePath); err == nil {
		kept[applytest.ContentHash(s)] = true
	}
	return seen, kept
}

// duty is what must still be there.
type duty struct{ old, person, later bool }

func owed(d *applytest.MemFS, op apply.Op) duty {
	_, kept := texts(d)
	if op.Temp != "" { // it can be on its way
		if s, err := d.ReadFile(op.Temp); err == nil {
			kept[applytest.ContentHash(s)] = true
		}
	}
	has := func(s string) bool { return kept[applytest.ContentHash(s)] }
	return duty{old: has(oldText), person: has(personText), later: has(laterText)}
}

func (w duty) check(d *applytest.MemFS) error {
	seen, kept := texts(d)
	switch {
	case w.old && !kept[applytest.ContentHash(oldText)]:
		return errors.New("the old content is lost")
	case w.person && !seen[applytest.ContentHash(personText)]:
		return errors.New("the person's content is not to be seen")
	case w.later && !seen[applytest.ContentHash(laterText)]:
		return errors.New("the later content is not to be seen")
	}
	return nil
}

// rest checks that nothing but the new file is at Temp.
func rest(d *applytest.MemFS, op apply.Op) error {
	if op.Temp == "" {
		return nil
	}
	switch s, err := d.ReadFile(op.Temp); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case s != newText && strings.Trim(s, "\x00") != "":
		return fmt.Errorf("%q is left at %s", s, op.Temp)
	}
	return nil
}

// TestRace lets a person do anything at every moment of every op: what was there is
// in the trash then, and what the person has made can be seen.
func TestRace(t *testing.T) {
	for _, exchange := range []bool{true, false} {
		for name, stage := range scenes(t, exchange) {
			for who, act := range persons {
				t.Run(fmt.Sprintf("%s/%s/exchange=%t", name, who, exchange), func(t *testing.T) {
					for at, calls := 0, 1; at <= calls; at++ {
						s := stage()
						w := owed(s.disk, s.op)
						var st apply.Stat
						var err error
						acted := func() {
							if act(s.disk, s.op) == nil {
								w = owed(s.disk, s.op)
							}
						}
						calls, _ = step(s.disk, at, acted, -1, func(fsys apply.FS) { st, err = s.op.Run(fsys) })
						if at == calls {
							acted()
						}
						checkRace(t, s, w, at, st, err)
					}
				})
			}
		}
	}
}

func checkRace(t *testing.T, s scene, w duty, at int, st apply.Stat, err error) {
	t.Helper()
	e := errors.Join(w.check(s.disk), rest(s.disk, s.op))
	if err == nil {
		e = errors.Join(e, honest(s, st))
	}
	if e != nil {
		t.Fatalf("somebody acts before call %d: %v; Run: %v\n%s", at, e, err, s.disk)
	}
	known := errors.Is(err, apply.ErrUnexpected) || errors.Is(err, apply.ErrInTheWay) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist)
	if err != nil && !known {
		t.Fatalf("somebody acts before call %d: unknown error: %v", at, err)
	}
}

// honest checks that the state returned is not that of a file with a person's content,
// which would never be looked at then.
func honest(s scene, st apply.Stat) error {
	text, err := s.disk.ReadFile(s.op.Path)
	if err != nil || st.Kind != reconcile.KindFile || text == newText || text == oldText {
		return nil // the path is gone, or as it should be
	}
	if now, err := s.disk.Lstat(s.op.Path); err != nil || now == st {
		return fmt.Errorf("%q is there in the state returned, %+v: %w", text, st, err)
	}
	return nil
}
