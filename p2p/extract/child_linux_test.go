package extract

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// probe confines itself as a child does and then tries to get out. It prints what
// it could do.
func probe() int {
	time.Sleep(time.Microsecond)
	held, err := confine()
	if err != nil {
		fmt.Println("not confined:", err)
		return 1
	}
	fmt.Println("held:", held)
	for name, try := range map[string]func() error{
		"read a file":      func() error { _, err := os.ReadFile("/etc/passwd"); return err },
		"list a directory": func() error { _, err := os.ReadDir("/"); return err },
		"write a file":     func() error { return os.WriteFile("/tmp/shoal-probe", []byte("x"), 0o600) },
		"use the network":  func() error { _, err := net.Dial("tcp", os.Getenv("PROBE")); return err },
		"send a datagram": func() error {
			c, err := net.Dial("udp", os.Getenv("PROBE"))
			if err == nil {
				_, err = c.Write([]byte("x"))
			}
			return err
		},
		"listen":        func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err },
		"run a program": func() error { return exec.Command("/bin/true").Run() },
		"make a pipe":   func() error { _, _, err := os.Pipe(); return err },
		"kill its parent": func() error {
			return syscall.Kill(os.Getppid(), 0)
		},
		"get its limits back": func() error {
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 100, Max: 100})
		},
		"trace its parent": func() error { return syscall.PtraceAttach(os.Getppid()) },
		"mount":            func() error { return syscall.Mount("none", "/mnt", "tmpfs", 0, "") },
	} {
		for range 4 { // on several threads
			done := make(chan error)
			go func() {
				runtime.LockOSThread()
				done <- try()
			}()
			if err := <-done; err == nil {
				fmt.Println("can", name)
			}
		}
	}
	fmt.Println("tried")
	return 0
}

func TestChildCannotGetOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	args := self(t, "probe")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PROBE="+l.Addr().String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "tried") {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", bytes.SplitN(out, []byte("\n"), 2)[0])
	if strings.Contains(string(out), "can ") {
		t.Errorf("%s", out)
	}
}

// TestAKilledChildLosesNothing ends the child from outside, between files and
// while it reads one.
func TestAKilledChildLosesNothing(t *testing.T) {
	content, err := os.ReadFile("testdata/report.docx")
	if err != nil {
		t.Fatal(err)
	}
	r := reader(t, Options{})
	kill := func() {
		c := <-r.turn
		pid := c.cmd.Process.Pid
		r.turn <- c
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	readBytes(t, r, "a.docx", content)
	for range 3 {
		kill()
		if got := readBytes(t, r, "a.docx", content); got.Reason != "" || !strings.Contains(got.Text, "anchovies") {
			t.Errorf("%s: %s", got.Reason, got.Detail)
		}
	}
	// While it reads: the file is one that kills it when its first byte is read.
	f := &killer{Reader: bytes.NewReader(content), r: r, times: 1}
	got, err := r.Read(t.Context(), "a.docx", f, int64(len(content)))
	if err != nil || got.Reason != "" || !strings.Contains(got.Text, "anchovies") {
		t.Errorf("%s: %s, %v", got.Reason, got.Detail, err)
	}
	// One that kills every child is given up.
	f = &killer{Reader: bytes.NewReader(content), r: r, times: 100}
	if got, err = r.Read(t.Context(), "a.docx", f, int64(len(content))); err != nil || got.Reason != Crashed {
		t.Errorf("%s: %s, %v", got.Reason, got.Detail, err)
	}
	if f.times != 98 {
		t.Errorf("tried %d times", 100-f.times)
	}
}

// killer is a file that kills the test's children when it is read.
type killer struct {
	*bytes.Reader
	r     *Reader
	times int
}

func (k *killer) ReadAt(p []byte, at int64) (int, error) {
	if k.times > 0 {
		k.times--
		for _, pid := range children() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be another test's, which has ended
		}
	}
	return k.Reader.ReadAt(p, at)
}

// children returns the processes that this one has started.
func children() []int {
	var all []int
	entries, _ := os.ReadDir("/proc/self/task")
	for _, e := range entries {
		b, _ := os.ReadFile("/proc/self/task/" + e.Name() + "/children")
		for _, s := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(s); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}
