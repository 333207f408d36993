package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running node.
type process struct {
	cmd   *exec.Cmd
	url   string
	data  string
	token string
}

// node starts a node with an empty data directory and waits until it serves.
func (b *bench) node(ctx context.Context, name string, args ...string) (*process, time.Duration, error) {
	http, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	p := &process{url: "http://" + http, data: filepath.Join(b.dir, name+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))}
	p.cmd = exec.CommandContext(ctx, b.binary, append([]string{
		"serve", "--data", p.data, "--http", http, "--p2p", "127.0.0.1:0", "--name", name, "--log-level", "error",
	}, args...)...)
	p.cmd.Stderr = os.Stderr
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	b.started = append(b.started, p)
	if err := p.ready(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(began)
	token, err := os.ReadFile(filepath.Join(p.data, "token"))
	p.token = strings.TrimSpace(string(token))
	return p, took, err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready asks until the node says that it serves.
func (p *process) ready() error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if resp, err := http.Get(p.url + "/healthz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("did not serve within 20 s")
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// call makes a request and decodes the answer into out, unless that is nil.
func (p *process) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// until asks a node's status until it is as wanted.
func (p *process) until(ctx context.Context, what string, wanted func(status) bool) error {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var s status
		if err := p.call(ctx, "GET", "/api/node", nil, &s); err != nil {
			return err
		}
		if wanted(s) {
			return nil
		}
	}
	return fmt.Errorf("%s: not within two minutes", what)
}

type status struct{ Peers, Documents int }

// network starts n nodes that are linked to each other.
func (b *bench) network(ctx context.Context, n int) ([]*process, error) {
	var all []*process
	var link string
	for i := range n {
		p, _, err := b.node(ctx, fmt.Sprintf("node%d", i))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		if i == 0 {
			var invite struct{ Link string }
			if err := p.call(ctx, "POST", "/api/invites", map[string]int{"max_uses": n}, &invite); err != nil {
				return nil, err
			}
			link = invite.Link
			continue
		}
		if err := p.call(ctx, "POST", "/api/join", map[string]string{"link": link}, nil); err != nil {
			return nil, err
		}
	}
	for _, p := range all {
		if err := p.until(ctx, "links", func(s status) bool { return s.Peers == n-1 }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func stopAll(ps []*process) error {
	for _, p := range ps {
		if err := p.stop(); err != nil {
			return err
		}
	}
	return nil
}

// rss returns the resident memory of a process in MiB.
func rss(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			return float64(n) / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS for process %d", pid)
}

// cpu returns the CPU time that a process has used. The unit of the kernel's file
// is 1/100 s everywhere that Linux runs Go.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
