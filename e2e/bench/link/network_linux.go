package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside is set in the process that has a network of its own.
const inside = "SHOAL_BENCH_NETWORK"

// ownNetwork runs this program once more in a network of its own, whose loopback
// interface has the MTU, and reports whether it has; there it sets the interface up.
func ownNetwork(ctx context.Context, mtu int, args []string) (again bool, err error) {
	if os.Getenv(inside) != "" {
		return false, loopback(mtu)
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if id := os.Getuid(); id != 0 { // it needs to be root at least there
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return true, cmd.Run()
}

// loopback sets the interface's MTU and makes it work: a new one does not.
func loopback(mtu int) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	lo, err := unix.NewIfreq("lo")
	if err == nil {
		lo.SetUint32(uint32(mtu))
		err = unix.IoctlIfreq(s, unix.SIOCSIFMTU, lo)
	}
	if err == nil {
		lo.SetUint16(unix.IFF_UP)
		err = unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
	}
	if err != nil {
		err = fmt.Errorf("set up the loopback interface: %w", err)
	}
	return errors.Join(err, unix.Close(s))
}
