package swarm

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// seekData returns where the next bytes of a file that were written begin, from an offset on, and
// where they end; its length, where none follow.
func seekData(f *os.File, from, size int64) (first, end int64, err error) {
	first, err = f.Seek(from, unix.SEEK_DATA)
	if errors.Is(err, syscall.ENXIO) {
		return size, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.Seek(first, unix.SEEK_HOLE)
	return first, end, err
}
