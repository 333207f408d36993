//go:build darwin || freebsd

package apply

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func statOf(info fs.FileInfo) system {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return system{}
	}
	return system{device: uint64(st.Dev), inode: st.Ino, links: uint64(st.Nlink), changed: st.Ctimespec.Nano()}
}

// isMountPoint: here the comparison of devices must do.
func isMountPoint(*os.File) bool { return false }

// setTime sets the time of modification, and that of the last access too, for the call
// wants both. Microseconds are what it can.
func setTime(f *os.File, ns int64) error {
	t := unix.NsecToTimeval(ns)
	return os.NewSyscallError("futimes", unix.Futimes(int(f.Fd()), []unix.Timeval{t, t}))
}

func syncAll(*os.File) error { return errors.ErrUnsupported }

func clone(_, _ *os.File) error { return errors.ErrUnsupported }
