package applytest

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

func expect(st apply.Stat) apply.Expect {
	return apply.Expect{
		Item:    reconcile.Item{Kind: st.Kind, Size: st.Size, Modified: st.Modified, Mode: st.Mode, Inode: st.Inode},
		Changed: st.Changed,
	}
}

// testOps does one of each, as a journal has them, and settles each before, which is
// not done, and after, which is.
func testOps(t *testing.T, fsys apply.FS) {
	must(t, apply.Prepare(fsys))
	put(t, fsys, "removed", "removed")
	put(t, fsys, "replaced", "before")
	put(t, fsys, "moved", "moved")
	put(t, fsys, "set", "set")
	must(t, fsys.Mkdir("empty", 0o755))
	want := func(path string) apply.Expect { return expect(lstat(t, fsys, path)) }
	ops := []apply.Op{
		{Do: reconcile.DoMkdir, Path: "made", Mode: 0o751},
		{Do: reconcile.DoTrash, Path: "removed", Trash: apply.TrashDir + "/removed", Want: want("removed")},
		{Do: reconcile.DoTrash, Path: "empty", Want: want("empty")},
		{Do: reconcile.DoMove, From: "moved", Path: "made/moved", Want: want("moved")},
		temp(t, fsys, apply.Op{Do: reconcile.DoFetch, Path: "made/new"}, "new"),
		temp(t, fsys, apply.Op{Do: reconcile.DoReplace, Path: "replaced", Trash: apply.TrashDir + "/replaced", Want: want("replaced")}, "after"),
		{Do: reconcile.DoMeta, Path: "set", Mode: 0o600, Modified: at + 5_000_000_000, Want: want("set")},
	}
	for _, op := range ops {
		runOp(t, fsys, op)
	}
	must(t, apply.SyncDirs(fsys, ops[5].Dirs()))
	for path, text := range map[string]string{
		"made/moved": "moved", "made/new": "new", "replaced": "after", "set": "set",
		apply.TrashDir + "/removed": "removed", apply.TrashDir + "/replaced": "before",
	} {
		shows(t, fsys, path, text)
	}
	for _, path := range []string{"removed", "moved", "empty", ops[4].Temp, ops[5].Temp} {
		gone(t, fsys, path)
	}
}

// temp writes the temporary file of op.
func temp(t *testing.T, fsys apply.FS, op apply.Op, text string) apply.Op {
	t.Helper()
	op.Temp, op.Mode, op.Modified = apply.TempName(reconcile.Hash{byte(len(text)), text[0]}), 0o640, at
	f, err := fsys.Create(op.Temp)
	must(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	must(t, err)
	st, err := f.SetMeta(op.Mode, op.Modified)
	must(t, err)
	must(t, apply.SyncTemps(fsys, []apply.Temp{f}))
	must(t, f.Close())
	op.TempInode = st.Inode
	return op
}

func runOp(t *testing.T, fsys apply.FS, op apply.Op) {
	t.Helper()
	if done, _, err := op.Settle(fsys); err != nil || done && op.Do != reconcile.DoMeta {
		t.Errorf("%s %s: settled as %t before it was run: %v", op.Do, op.Path, done, err)
	}
	if op.Do != reconcile.DoMeta { // settling has done it
		_, err := op.Run(fsys)
		must(t, err)
	}
	for range 2 {
		done, st, err := op.Settle(fsys)
		must(t, err)
		if !done {
			t.Errorf("%s %s: settled as not done", op.Do, op.Path)
		}
		if op.Do != reconcile.DoTrash && st.Inode != lstat(t, fsys, op.Path).Inode {
			t.Errorf("%s %s: the state returned is not what is there", op.Do, op.Path)
		}
	}
}
