package apply_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
)

func TestMemFS(t *testing.T) {
	applytest.Run(t, func(*testing.T) apply.FS { return applytest.NewMem() })
	t.Run("without", func(t *testing.T) {
		applytest.Run(t, func(*testing.T) apply.FS {
			m := applytest.NewMem()
			m.Without(true, true)
			return m
		})
	})
}

// TestMemFSForgets: what is synced is there after a crash, and what is not may be.
func TestMemFSForgets(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(200) {
		m := applytest.NewMem()
		must(t, apply.Prepare(m))
		must(t, m.SyncAll())
		write(t, m, apply.TempDir+"/synced", true)
		must(t, m.SyncDir(apply.TempDir))
		write(t, m, apply.TempDir+"/content", true)
		write(t, m, apply.TempDir+"/nothing", false)
		must(t, m.Rename(apply.TempDir+"/synced", "visible"))
		c := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		before, err1 := c.ReadFile(apply.TempDir + "/synced")
		after, err2 := c.ReadFile("visible")
		if before+after != text || (err1 == nil) == (err2 == nil) {
			t.Fatalf("a rename is not atomic: %q %q %v %v", before, after, err1, err2)
		}
		if err1 == nil {
			outcomes["rename lost"]++
		}
		if s, err := c.ReadFile(apply.TempDir + "/content"); err != nil {
			outcomes["name lost"]++
		} else if s != text {
			t.Fatalf("synced content is %q", s)
		}
		if s, err := c.ReadFile(apply.TempDir + "/nothing"); err == nil && s != text {
			outcomes["content lost"]++
		}
		if s, err := m.ReadFile("visible"); err != nil || s != text {
			t.Fatalf("Crash changes the disk that it is of: %q %v", s, err)
		}
	}
	for _, what := range []string{"rename lost", "name lost", "content lost"} {
		if n := outcomes[what]; n < 20 || n > 190 {
			t.Errorf("%s in %d of 200 crashes", what, n)
		}
	}
}

const text = "some text"

func write(t *testing.T, m *applytest.MemFS, path string, sync bool) {
	t.Helper()
	f, err := m.Create(path)
	must(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
	must(t, f.Close())
}

// TestSyncFails: the error comes out, whatever way it is synced, and the content is
// never durable.
func TestSyncFails(t *testing.T) {
	for _, n := range []int{1, 3, 100} {
		for _, op := range []string{"Sync", "SyncAll"} {
			m := applytest.NewMem()
			m.Without(false, op == "Sync")
			must(t, apply.Prepare(m))
			var temps []apply.Temp
			for i := range n {
				f, err := m.Create(apply.TempDir + "/" + string(rune('a'+i)))
				must(t, err)
				_, err = f.WriteAt([]byte(text), 0)
				must(t, err)
				temps = append(temps, f)
			}
			m.Fail(op, 1, syscall.EIO)
			err := apply.SyncTemps(m, temps)
			if failed := op == "Sync" || n > 64; errors.Is(err, syscall.EIO) != failed {
				t.Errorf("%d files: got error %v when %s fails", n, err, op)
			}
			if err == nil {
				continue
			}
			must(t, temps[0].Sync()) // as Linux says
			must(t, m.SyncDir(apply.TempDir))
			for seed := range uint64(20) {
				s, err := m.Crash(rand.New(rand.NewPCG(seed, 0))).ReadFile(apply.TempDir + "/a")
				if err != nil || s == text {
					t.Fatalf("what failed to be written is there: %q %v", s, err)
				}
			}
		}
	}
}

// TestFailures lets each call of each op fail, with an error of the disk: nothing is
// lost, and Settle ends it.
func TestFailures(t *testing.T) {
	for _, exchange := range []bool{true, false} {
		for name, stage := range scenes(t, exchange) {
			for _, call := range []string{"Lstat", "Rename", "Exchange", "Mkdir", "Rmdir", "Remove", "SetMeta"} {
				for nth := 1; nth < 8; nth++ {
					for _, bad := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
						s := stage()
						w := owed(s.disk, s.op)
						s.disk.Fail(call, nth, bad)
						_, err := s.op.Run(s.disk)
						if err != nil && !errors.Is(err, bad) {
							t.Errorf("%s: %s %d fails: got error %v, want %v", name, call, nth, err, bad)
						}
						settle(t, s, w, name+", "+call+" fails", rand.New(rand.NewPCG(1, 1)))
					}
				}
			}
		}
	}
}
