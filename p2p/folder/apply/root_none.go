//go:build !linux && !darwin && !freebsd && !windows

package apply

import (
	"errors"
	"os"
)

func setTime(*os.File, int64) error { return errors.ErrUnsupported }

func diskFree(*os.File) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
