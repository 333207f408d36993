//go:build darwin || freebsd || netbsd

package folder

import (
	"io/fs"
	"os"
	"syscall"
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
	return uint64(st.Dev), st.Ino, st.Ctimespec.Nano()
}

// isMountPoint: here the comparison of devices must do.
func isMountPoint(*os.Root) bool { return false }
