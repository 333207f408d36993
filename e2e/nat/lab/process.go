//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs in a namespace.
type process struct {
	cmd  *exec.Cmd
	log  string
	dead chan struct{} // closed when it has ended
}

// start starts cmd, with its output at the end of a file.
func (l *Lab) start(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, dead: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.dead)
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
	return p, nil
}

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.dead
}

// stop ends the process in order.
func (p *process) stop(limit time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.dead:
		return nil
	case <-time.After(limit):
		p.kill()
		return fmt.Errorf("%s did not end within %v", strings.Join(p.cmd.Args, " "), limit)
	}
}

func (p *process) alive() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}
