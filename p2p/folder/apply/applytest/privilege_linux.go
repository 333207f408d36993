package applytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Unprivileged has the rest of a test run as by a user whom permissions hold back: the one
// who runs the tests, or else in a process that may not override them. It reports
// whether this is where the rest is run.
func Unprivileged(t *testing.T) bool {
	t.Helper()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.WriteFile(closed, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(closed, os.O_RDWR, 0)
	if err != nil {
		return true
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with what it has given up
		for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				done <- err
				return
			}
		}
		out, err := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v").CombinedOutput()
		t.Logf("without privileges:\n%s", out)
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return false
}
