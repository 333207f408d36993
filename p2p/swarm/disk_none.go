//go:build !linux && !darwin && !freebsd && !windows

package swarm

import (
	"errors"
	"math"
	"os"
	"syscall"
)

const noWait = 0

func diskFree(*os.File) (int64, error) { return math.MaxInt64, nil }

func diskUsed(*os.File) (int64, error) { return 0, nil }

// renameTo is what this system cannot do safely: files are copied.
func renameTo(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }

func isTooLarge(err error) bool { return errors.Is(err, syscall.EFBIG) }
