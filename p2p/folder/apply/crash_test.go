package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/apply/applytest"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
)

// TestCrash lets every op die at every moment, with and without a person who has
// acted at any moment before, on a disk that forgets what was not synced; then
// Settle, which dies at every moment too.
func TestCrash(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 2
	}
	for _, exchange := range []bool{true, false} {
		for name, stage := range scenes(t, exchange) {
			for who, act := range persons {
				t.Run(fmt.Sprintf("%s/%s/exchange=%t", name, who, exchange), func(t *testing.T) {
					t.Parallel()
					for seed := range seeds {
						crashEverywhere(t, stage, act, rand.New(rand.NewPCG(seed, 1)))
					}
				})
			}
		}
	}
}

func crashEverywhere(t *testing.T, stage func() scene, act func(*applytest.MemFS, apply.Op) error, rng *rand.Rand) {
	t.Helper()
	for at := 0; ; at++ {
		calls := 0
		for dies := at; ; dies++ {
			s := stage()
			w := owed(s.disk, s.op)
			acted := func() {
				if act(s.disk, s.op) == nil {
					w = owed(s.disk, s.op)
				}
			}
			n, dead := step(s.disk, at, acted, dies, func(fsys apply.FS) {
				if _, err := s.op.Run(fsys); err == nil && dies%2 == 0 {
					_ = apply.SyncDirs(fsys, s.op.Dirs()) // any error is as good as none: it dies
				}
			})
			calls = n
			s.disk = s.disk.Crash(rng)
			where := fmt.Sprintf("somebody acts before call %d, death before call %d", at, dies)
			settle(t, s, w, where, rng)
			if !dead {
				break
			}
		}
		if at >= calls {
			return
		}
	}
}

// settle settles until it is done, with crashes, and checks what came of it.
func settle(t *testing.T, s scene, w duty, where string, rng *rand.Rand) {
	t.Helper()
	for dies := rng.IntN(4); ; dies++ {
		var done bool
		var st apply.Stat
		var err error
		before := s.disk.String()
		_, dead := step(s.disk, -1, nil, dies, func(fsys apply.FS) { done, st, err = s.op.Settle(fsys) })
		if dead {
			s.disk = s.disk.Crash(rng)
			continue
		}
		if err == nil {
			err = errors.Join(w.check(s.disk), rest(s.disk, s.op), checkDone(s, done, st))
		}
		again, _, againErr := s.op.Settle(s.disk)
		if againErr != nil || again != done {
			err = errors.Join(err, againErr, fmt.Errorf("settled again: %t, not %t", again, done))
		}
		if err != nil {
			t.Fatalf("%s: settled as %t: %v\nbefore:\n%safter:\n%s", where, done, err, before, s.disk)
		}
		return
	}
}

// checkDone checks what Settle says against the disk.
func checkDone(s scene, done bool, st apply.Stat) error {
	if !done {
		return nil
	}
	at, err := s.disk.Lstat(s.op.Path)
	switch s.op.Do {
	case reconcile.DoTrash, reconcile.DoNote:
		return nil
	case reconcile.DoFetch, reconcile.DoCopy, reconcile.DoReplace:
		if text, err := s.disk.ReadFile(s.op.Path); err != nil || text != newText { // what a person changed is not done
			return fmt.Errorf("done, and %q is there: %w", text, err)
		}
		if _, err := s.disk.Lstat(s.op.Temp); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("done, and the temporary file is there: %w", err)
		}
	case reconcile.DoMkdir, reconcile.DoMeta:
		if at.Mode != s.op.Mode {
			return fmt.Errorf("done, with mode %o", at.Mode)
		}
	}
	if err == nil && at.Inode != st.Inode {
		err = fmt.Errorf("the state returned is of inode %d, not %d", st.Inode, at.Inode)
	}
	return err
}
