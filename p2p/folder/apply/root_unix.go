//go:build linux || darwin || freebsd

package apply

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepOpen is how many directories stay open between two calls; each has two
// descriptors. The program's own and a path of usual depth fit.
const keepOpen = 16

// openFlags: no link is followed, and a pipe that has taken a file's place does not
// block.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// metaFlags open a file to set its mode and time.
const metaFlags = os.O_RDONLY

func setMode(f *os.File, _ fs.FileInfo, mode fs.FileMode) error { return f.Chmod(mode) }

// isInTheWay reports whether a component of a path was not a directory.
func isInTheWay(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EBUSY)
}

// unsupported reports whether err is what systems return for what they do not have.
func unsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) ||
		errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, errors.ErrUnsupported)
}

// atNames calls fn with the descriptors of two directories until it is not interrupted.
func atNames(a, b spot, fn func(fa, fb int) error) error {
	for {
		err := fn(int(a.dir.file.Fd()), int(b.dir.file.Fd()))
		runtime.KeepAlive(a.dir.file)
		runtime.KeepAlive(b.dir.file)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func rename(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error { return unix.Renameat(fa, a.name, fb, b.name) })
}

func link(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error { return unix.Linkat(fa, a.name, fb, b.name, 0) })
}

// rmdir removes a directory; a file that has taken its place stays.
func rmdir(d *dir, name string) error {
	at := spot{dir: d}
	return atNames(at, at, func(fd, _ int) error { return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) })
}

func unlink(d *dir, name string) error {
	at := spot{dir: d}
	return atNames(at, at, func(fd, _ int) error { return unix.Unlinkat(fd, name, 0) })
}

func syncDir(f *os.File) error { return f.Sync() }

func diskFree(f *os.File) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
