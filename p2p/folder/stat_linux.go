package folder

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags open a file without waiting for the other end of a pipe that has
// taken its place.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// system reads from info what only the operating system's own form has.
func system(info fs.FileInfo) (device, inode uint64, changed int64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 0
	}
	return uint64(st.Dev), st.Ino, st.Ctim.Nano()
}

// isMountPoint reports whether something is mounted at the directory d. Unlike a
// comparison of devices it notices bind mounts, whose disappearance must not look
// like a deletion either.
func isMountPoint(d *os.Root) bool {
	f, err := d.Open(".")
	if err != nil {
		return false // it cannot be listed either
	}
	defer f.Close() // nothing was written
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var st unix.Statx_t
	found := false
	err = conn.Control(func(fd uintptr) {
		if unix.Statx(int(fd), "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st) == nil {
			found = st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
		}
	})
	return err == nil && found
}
