//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered is set in the environment of the program that Enter runs.
const entered = "SHOAL_NATLAB_ENTERED"

// Missing says what this computer lacks for a lab, and for these programs in it.
// Empty: nothing.
func Missing(programs ...string) string {
	if os.Getuid() != 0 {
		return "it takes root to make network namespaces"
	}
	for _, p := range append([]string{"ip", "tc", "nft"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Sprintf("there is no %s here (Debian: apt-get install nftables iproute2 miniupnpd-nftables coturn)", p)
		}
	}
	if Entered() {
		return ""
	}
	// Containers have root without the right to make namespaces.
	try := exec.Command("true")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if err := try.Run(); err != nil {
		return fmt.Sprintf("network namespaces may not be made here: %v", err)
	}
	return ""
}

const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID

// Entered reports whether Enter has run this program.
func Entered() bool { return os.Getenv(entered) != "" }

// Enter runs this program again, with the same arguments and what env adds to the
// environment, in namespaces of its own. It returns its exit code when it has ended, and
// with it all that it has started. It is called from main, or from TestMain.
func Enter(env ...string) (code int, err error) {
	// The kernel kills the child when the thread that has started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("enter the lab: %w", err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), entered+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	// The terminal sends Ctrl-C to both; the child cleans up, and this waits for it.
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(told)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("enter the lab: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case s := <-told:
				if s == syscall.SIGTERM {
					_ = cmd.Process.Signal(s) // it may have ended
				}
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("the lab: %w", err)
	}
	return 0, nil
}

// Settle furnishes the namespaces that Enter has made. It returns the process ID by
// which those outside know this program.
func Settle() (outside string, err error) {
	if outside, err = os.Readlink("/proc/self"); err != nil {
		return "", fmt.Errorf("settle in the lab: %w", err)
	}
	// What is mounted here is not to be seen outside.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("settle in the lab: separate the mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return "", fmt.Errorf("settle in the lab: mount /proc: %w", err)
	}
	// Where ip keeps its names of namespaces.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return "", fmt.Errorf("settle in the lab: mount /run: %w", err)
	}
	return outside, run("", "ip", "link", "set", "lo", "up")
}
