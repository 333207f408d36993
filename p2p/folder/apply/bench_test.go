package apply_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

const (
	benchFiles = 10_000
	benchGroup = 1_000
	benchDirs  = 100
)

// BenchmarkInstall makes 10,000 files of 4 KiB in 100 directories, durable, in groups
// of 1000. Everything is deleted only at the end: on ext4 what is made soon after
// deletions is slow.
func BenchmarkInstall(b *testing.B) {
	dir := b.TempDir()
	data := make([]byte, 4096)
	for i := 0; b.Loop(); i++ { // unlike b.N, it deletes nothing in between
		b.StopTimer()
		r := openRoot(b, dir)
		ok(b, apply.Prepare(r))
		for d := range benchDirs {
			ok(b, r.Mkdir(fmt.Sprintf("%d-%d", i, d), 0o755))
		}
		ok(b, r.SyncAll())
		b.StartTimer()
		for from := 0; from < benchFiles; from += benchGroup {
			installGroup(b, r, i, from, data)
		}
	}
}

func installGroup(b *testing.B, r *apply.Root, round, from int, data []byte) {
	b.Helper()
	ops := make([]apply.Op, 0, benchGroup)
	temps := make([]apply.Temp, 0, benchGroup)
	for n := from; n < from+benchGroup; n++ {
		op := apply.Op{
			Do: reconcile.DoFetch, Path: fmt.Sprintf("%d-%d/%d", round, n*benchDirs/benchFiles, n),
			Temp: apply.TempName(reconcile.Hash{byte(n), byte(n >> 8)}), Mode: 0o644, Modified: modified,
		}
		f, err := r.Create(op.Temp)
		ok(b, err)
		_, err = f.WriteAt(data, 0)
		ok(b, err)
		st, err := f.SetMeta(op.Mode, op.Modified)
		ok(b, err)
		op.TempInode = st.Inode
		ops, temps = append(ops, op), append(temps, f)
	}
	ok(b, apply.SyncTemps(r, temps))
	dirs := map[string]bool{}
	for i, op := range ops {
		ok(b, temps[i].Close())
		_, err := op.Run(r)
		ok(b, err)
		for _, d := range op.Dirs() {
			dirs[d] = true
		}
	}
	var sync []string
	for d := range dirs {
		sync = append(sync, d)
	}
	ok(b, apply.SyncDirs(r, sync))
}

func ok(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// BenchmarkLstat is a walk of three components.
func BenchmarkLstat(b *testing.B) {
	r := openRoot(b, b.TempDir())
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		ok(b, r.Mkdir(d, 0o755))
	}
	for b.Loop() {
		_, err := r.Lstat("a/b/c")
		ok(b, err)
	}
}

// BenchmarkMemFS is 200 operations and a crash, as a simulator does them.
func BenchmarkMemFS(b *testing.B) {
	data := make([]byte, 100)
	for b.Loop() {
		m := applytest.NewMem()
		ok(b, apply.Prepare(m))
		for i := range 50 {
			temp := apply.TempName(reconcile.Hash{byte(i)})
			f, err := m.Create(temp)
			ok(b, err)
			_, err = f.WriteAt(data, 0)
			ok(b, err)
			if i%4 == 0 {
				ok(b, f.Sync())
			}
			_, err = apply.Install(m, temp, fmt.Sprint("f", i))
			ok(b, err)
		}
		if len(m.Crash(rand.New(rand.NewPCG(1, 1))).Tree()) > 50 {
			b.Fatal("files have appeared")
		}
	}
}
