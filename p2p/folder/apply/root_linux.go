package apply

import (
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func statOf(info fs.FileInfo) system {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return system{}
	}
	return system{device: uint64(st.Dev), inode: st.Ino, links: uint64(st.Nlink), changed: st.Ctim.Nano()}
}

// isMountPoint reports whether something is mounted at the directory f. Unlike a
// comparison of devices it notices bind mounts.
func isMountPoint(f *os.File) bool {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

func renameNoReplace(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error {
		return unix.Renameat2(fa, a.name, fb, b.name, unix.RENAME_NOREPLACE)
	})
}

func exchange(a, b spot) error {
	return atNames(a, b, func(fa, fb int) error {
		return unix.Renameat2(fa, a.name, fb, b.name, unix.RENAME_EXCHANGE)
	})
}

// setTime sets the time of modification. Without a name the system call, which has no
// wrapper in that form, means the open file.
func setTime(f *os.File, ns int64) error {
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(ns)}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	runtime.KeepAlive(f)
	if errno != 0 {
		return os.NewSyscallError("futimens", errno)
	}
	return nil
}

func syncAll(f *os.File) error { return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))) }

// clone works on Btrfs, XFS and others that share blocks.
func clone(to, from *os.File) error {
	return os.NewSyscallError("ficlone", unix.IoctlFileClone(int(to.Fd()), int(from.Fd())))
}
