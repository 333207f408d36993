//go:build linux

package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// node is a process that is killed and started again with the same data and at the
// same addresses.
type node struct {
	t      *testing.T
	name   string
	data   string
	log    string
	http   string
	p2p    string
	id     string
	token  string
	prefix []string // of the command line: strace and its like
	user   int      // whose process it is; 0: ours

	cmd  *exec.Cmd
	dead chan struct{} // closed when the process has ended
}

func newNode(t *testing.T, name, data, log string) *node {
	n := &node{t: t, name: name, data: data, log: log, http: freePort(t), p2p: freePort(t)}
	t.Cleanup(n.kill)
	return n
}

// ports are those that were given away: the tests run at the same time.
var ports sync.Map

// freePort returns an address that nobody else gets: the port is not one of those that
// the system gives to whoever asks for any.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		if _, given := ports.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// launch starts the process.
func (n *node) launch(env ...string) {
	n.t.Helper()
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close()
	fmt.Fprintf(out, "=== %s starts %s %v %v\n", time.Now().Format("15:04:05.000"), n.name, n.prefix, env)
	args := append(append([]string{}, n.prefix...), binary, "serve", "--log-level", "debug", "--data", n.data, "--http", n.http, "--p2p", n.p2p, "--name", n.name)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, as(n.user)
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	dead := make(chan struct{})
	n.cmd, n.dead = cmd, dead
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		close(dead)
	}()
}

// start starts the process and waits until it serves. It reports whether it does: a
// process with a fault may die before.
func (n *node) start(env ...string) bool {
	n.t.Helper()
	n.launch(env...)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		select {
		case <-n.dead:
			if len(env) == 0 {
				n.t.Fatalf("%s ended instead of starting: %s", n.name, n.tail())
			}
			return false
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := http.Get("http://" + n.http + "/healthz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			token, err := os.ReadFile(filepath.Join(n.data, "token"))
			if err != nil {
				n.t.Fatal(err)
			}
			n.token = strings.TrimSpace(string(token))
			return true
		}
	}
	n.t.Fatalf("%s does not serve within a minute: %s", n.name, n.tail())
	return false
}

// kill ends the process as kill -9 does, and waits for its end.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.dead
}

// stop ends the process in order.
func (n *node) stop() {
	if n.alive() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-n.dead
	}
}

func (n *node) alive() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.dead:
		return false
	default:
		return true
	}
}

// ended reports whether the process ends within d.
func (n *node) ended(d time.Duration) bool {
	select {
	case <-n.dead:
		return true
	case <-time.After(d):
		return false
	}
}

func (n *node) tail() string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	// What a test asks for is not what the node does.
	lines := slices.DeleteFunc(bytes.SplitAfter(b, []byte("\n")), func(l []byte) bool { return bytes.Contains(l, []byte("msg=request")) })
	b = bytes.Join(lines, nil)
	return string(b[max(0, len(b)-4000):])
}

var bad = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE|unexpected fault address|runtime: ).*`)

// sane fails the test if the process has said what no program should.
func (n *node) sane() {
	n.t.Helper()
	b, err := os.ReadFile(n.log)
	if err != nil {
		n.t.Fatal(err)
	}
	if at := bad.FindIndex(b); at != nil {
		n.t.Fatalf("%s: %s", n.name, b[at[0]:min(len(b), at[0]+4000)])
	}
}

var client = &http.Client{Timeout: 15 * time.Second}

// call makes a request and decodes the answer into out, unless that is nil.
func (n *node) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://"+n.http+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+n.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s %s: %s: %s", n.name, method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// must is call for what has to succeed.
func (n *node) must(method, path string, in, out any) {
	n.t.Helper()
	if err := n.call(method, path, in, out); err != nil {
		n.t.Fatal(err)
	}
}
