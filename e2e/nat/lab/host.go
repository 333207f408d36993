//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	hostLink  = "eth0"           // a computer's interface
	dashboard = "127.0.0.1:8080" // the default of shoal: each computer has its own
	patience  = 30 * time.Second // with a node that starts
)

// Host is a computer, and the node that runs on it.
type Host struct {
	Name   string
	NAT    NAT     // behind which it is, as it was built
	Router *Router // its home's; nil: it has a public address
	Stack  Stack
	Addr   netip.Addr // of IPv4; invalid: none
	Addr6  netip.Addr // of IPv6, the one that others see; invalid: none
	Local6 netip.Addr // of IPv6, and of the home only; invalid: none
	ID     string     // of the node, once it serves
	Flags  []string   // of the node, at each start

	lab    *Lab
	space  space
	client *http.Client
	node   *process
	token  string
	moves  int
}

func newClient(s space) *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, network, addr string) (net.Conn, error) { return s.dial(ctx, network, addr) },
			MaxIdleConnsPerHost: 4,
		},
	}
}

// Data is the node's data directory.
func (h *Host) Data() string { return filepath.Join(h.lab.o.Dir, h.Name, "data") }

// Log is the file with what the node has said.
func (h *Host) Log() string { return filepath.Join(h.lab.o.Dir, h.Name, "log") }

// Start starts the node and waits until it serves.
func (h *Host) Start(flags ...string) error {
	dir, err := h.lab.Dir(h.Name)
	if err != nil {
		return err
	}
	cmd := h.space.command(h.lab.o.Program, append([]string{"serve", "--data", h.Data(), "--name", h.Name, "--log-level", "debug", "--no-lan"}, slices.Concat(h.Flags, flags)...)...)
	cmd.Dir = dir
	if h.node, err = h.lab.start(cmd, h.Log()); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if !h.node.alive() {
			return fmt.Errorf("%s ended instead of starting: %s", h.Name, h.Tail(3))
		}
		err := h.healthy()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not serve within %v: %w: %s", h.Name, patience, err, h.Tail(3))
		}
	}
	token, err := os.ReadFile(filepath.Join(h.Data(), "token"))
	if err != nil {
		return err
	}
	h.token = strings.TrimSpace(string(token))
	var status struct{ ID string }
	err = h.Call("GET", "/api/node", nil, &status)
	h.ID = status.ID
	return err
}

func (h *Host) healthy() error {
	resp, err := h.client.Get("http://" + dashboard + "/healthz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is read
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Run runs another program on the computer until the lab is closed. What it says is in
// the log of that name.
func (h *Host) Run(program string, args ...string) error {
	dir, err := h.lab.Dir(h.Name)
	if err != nil {
		return err
	}
	_, err = h.lab.start(h.space.command(program, args...), filepath.Join(dir, program))
	return err
}

// Kill ends the node as a power cut does.
func (h *Host) Kill() { h.node.kill() }

// Stop ends the node in order.
func (h *Host) Stop() error { return h.node.stop(15 * time.Second) }

// CLI runs shoal on the computer, as its user does, and returns what it prints.
func (h *Host) CLI(args ...string) (string, error) {
	cmd := h.space.command(h.lab.o.Program, append(args, "--data", h.Data())...)
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: shoal %s: %w: %s", h.Name, args[0], err, text)
	}
	return text, nil
}

// Call asks the node's API and decodes the answer into out, unless that is nil.
func (h *Host) Call(method, path string, in, out any) error {
	return h.CallContext(context.Background(), method, path, in, out)
}

// CallContext is Call until ctx ends.
func (h *Host) CallContext(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+dashboard+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	defer func() { _ = resp.Body.Close() }() // all was read, or there was an error
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w", h.Name, method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		var problem struct{ Code, Detail string }
		if err := json.Unmarshal(b, &problem); err != nil {
			problem.Detail = string(b)
		}
		return fmt.Errorf("%s: %s %s: %s %s: %s", h.Name, method, path, resp.Status, problem.Code, problem.Detail)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: %s %s: %w", h.Name, method, path, err)
	}
	return nil
}

// Peer is what a node says of the link to another.
type Peer struct {
	ID        string
	Connected bool
	Error     string
	Path      Path
	RTT       float64 `json:"rtt_ms"`
	Since     *time.Time
}

// Path is the way that a link takes.
type Path struct{ Kind, Proto, Local, Remote, Why string }

// Peers are the other members by ID, as the node sees them.
func (h *Host) Peers() (map[string]Peer, error) {
	var list struct{ Items []Peer }
	if err := h.Call("GET", "/api/peers", nil, &list); err != nil {
		return nil, err
	}
	peers := make(map[string]Peer, len(list.Items))
	for _, p := range list.Items {
		peers[p.ID] = p
	}
	return peers, nil
}

// Tail is the end of what the node has said: the last n lines that have one of the
// words, or of all.
func (h *Host) Tail(n int, words ...string) string {
	b, err := os.ReadFile(h.Log())
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		found := len(words) == 0
		for _, w := range words {
			found = found || w != "" && strings.Contains(line, w)
		}
		if found {
			lines = append(lines, strings.TrimSpace(line)[:min(len(strings.TrimSpace(line)), 300)])
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Received is how many bytes have come in by the computer's interface.
func (h *Host) Received() (uint64, error) { return h.space.received(hostLink) }

// ListenUDP opens a socket on the computer.
func (h *Host) ListenUDP(port int) (c *net.UDPConn, err error) {
	network := "udp4"
	if h.Stack == IPv6 {
		network = "udp6"
	}
	err = h.space.inside(func() error {
		c, err = net.ListenUDP(network, &net.UDPAddr{Port: port})
		return err
	})
	return c, err
}

// ListenTCP listens on the computer.
func (h *Host) ListenTCP(port int) (l *net.TCPListener, err error) {
	err = h.space.inside(func() error {
		l, err = net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
		return err
	})
	return l, err
}

// Dial connects from the computer to an address.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.space.dial(ctx, network, addr)
}

// Lose makes the computer lose a share of the packets that come to it: 30 for 30 %.
func (h *Host) Lose(percent int) error {
	return h.space.nft(fmt.Sprintf(`table inet loss {
 chain in { type filter hook input priority 0; policy accept; iifname "%s" numgen random mod 100 < %d drop; }
}
`, hostLink, percent))
}

// Shape limits what the computer sends.
func (h *Host) Shape(mbit int) error {
	return run("", "ip", "netns", "exec", string(h.space), "tc", "qdisc", "replace", "dev", hostLink, "root",
		"tbf", "rate", fmt.Sprintf("%dmbit", mbit), "burst", "16kb", "latency", "100ms")
}

// Move takes the computer out of its home and into that of another one: from one
// Wi-Fi into the next. Its interface is gone for a moment, and has another address.
func (h *Host) Move(to *Host) error {
	if err := h.space.ip("link del " + hostLink); err != nil {
		return err
	}
	h.moves++
	h.Router, h.NAT = to.Router, to.NAT
	return h.plug(to.Router.inner, 20+h.moves)
}

// plug connects the computer to a segment, where it gets the n-th addresses.
func (h *Host) plug(s *Segment, n int) error {
	h.Addr, h.Addr6, h.Local6 = netip.Addr{}, netip.Addr{}, netip.Addr{}
	if h.Stack&IPv4 != 0 {
		h.Addr = s.at(n)
	}
	if h.Stack&IPv6 != 0 {
		h.Addr6 = s.at6(n)
		if len(s.prefix6) > 1 {
			h.Local6 = nth(s.prefix6[1], n)
		}
	}
	return s.plug(h.space, hostLink, n, h.Stack)
}

// Enter is the command that opens a shell on the computer from outside of the lab,
// given by which process ID the lab is known there.
func (h *Host) Enter(outside string) string { return h.space.enter(outside) }

// Enter is Host.Enter for a router.
func (r *Router) Enter(outside string) string { return r.space.enter(outside) }

func (s space) enter(outside string) string {
	return fmt.Sprintf("nsenter --net=/proc/%s/root%s", outside, s.path())
}
