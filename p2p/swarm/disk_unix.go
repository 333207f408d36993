//go:build linux || darwin || freebsd

package swarm

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// noWait: a pipe that has taken a file's place does not block.
const noWait = syscall.O_NONBLOCK

// diskFree returns how many bytes the disk of a file has left.
func diskFree(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// diskUsed returns how many bytes of the disk a file has taken.
func diskUsed(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return st.Blocks * 512, nil
}

// renameTo gives a file a name in another directory of the same disk, in place of what has it.
func renameTo(from *os.Root, old string, to *os.Root, name string) error {
	a, err := from.Open(".")
	if err != nil {
		return err
	}
	defer a.Close() // nothing was written
	b, err := to.Open(".")
	if err != nil {
		return err
	}
	defer b.Close() // as above
	return unix.Renameat(int(a.Fd()), old, int(b.Fd()), name)
}

// isFull reports whether an error is that of a disk that has no room left.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// isTooLarge reports whether an error is that of a disk that has room, but for no file of this length.
func isTooLarge(err error) bool { return errors.Is(err, syscall.EFBIG) }
