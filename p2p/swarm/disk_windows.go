package swarm

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

const noWait = 0

func diskFree(f *os.File) (int64, error) {
	name, err := windows.UTF16PtrFromString(f.Name())
	if err != nil {
		return 0, err
	}
	var mine uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, nil, nil); err != nil {
		return 0, err
	}
	return int64(mine), nil
}

func diskUsed(*os.File) (int64, error) { return 0, errors.ErrUnsupported }

// renameTo is what this system cannot do safely: files are copied.
func renameTo(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, syscall.ENOSPC)
}

func isTooLarge(err error) bool { return errors.Is(err, windows.ERROR_FILE_TOO_LARGE) }
