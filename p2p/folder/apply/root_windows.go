package apply

import (
	"os"
	"runtime"

	"golang.org/x/sys/windows"
)

func setTime(f *os.File, ns int64) error {
	t := windows.NsecToFiletime(ns)
	err := windows.SetFileTime(windows.Handle(f.Fd()), nil, nil, &t)
	runtime.KeepAlive(f)
	return os.NewSyscallError("SetFileTime", err)
}

func diskFree(f *os.File) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(f.Name())
	if err != nil {
		return 0, 0, err
	}
	var mine, size uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &size, nil); err != nil {
		return 0, 0, err
	}
	return int64(mine), int64(size), nil
}
