//go:build linux

package crash

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// requires skips a test for which a program is missing.
func requires(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
}

// inject has system calls of a node that runs fail or last long, as strace's option of
// this name says, until the node ends or detach is called.
func (w *world) inject(n *node, what string) (detach func()) {
	w.t.Helper()
	calls, _, _ := strings.Cut(what, ":")
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+what, "-p", strconv.Itoa(n.cmd.Process.Pid))
	says, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	attached, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "attached") {
				select {
				case attached <- true:
				default:
				}
			}
		}
		close(attached)
		_ = cmd.Wait() // it ends with what it traces, or is told to
	}()
	detach = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill() // as before
			<-ended
		}
	})
	w.t.Cleanup(detach)
	if !<-attached {
		w.t.Skip("strace may not attach to processes here")
	}
	return detach
}
