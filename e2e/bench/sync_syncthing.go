package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// syncthingPair is two instances of Syncthing that know only each other. They do
// not watch: they are told to look, which is the fastest they can be.
type syncthingPair struct {
	nodes   [2]*syncthingNode
	stopped bool
}

type syncthingNode struct {
	cmd                *exec.Cmd
	url, key, id, addr string
	home, dir          string
}

// opener returns what starts a pair of a Syncthing.
func opener(binary string) func(context.Context, *bench) (pair, error) {
	return func(ctx context.Context, b *bench) (pair, error) {
		p := &syncthingPair{}
		for i := range p.nodes {
			n, err := b.syncthing(ctx, binary, fmt.Sprintf("syncthing-%d-%s", i, strconv.FormatInt(time.Now().UnixNano(), 36)))
			if err != nil {
				return nil, err
			}
			p.nodes[i] = n
		}
		for i, n := range p.nodes {
			if err := n.configure(ctx, p.nodes[1-i]); err != nil {
				return nil, err
			}
		}
		if err := p.connected(ctx); err != nil {
			return nil, err
		}
		return p, rest(ctx, p, 3*time.Second)
	}
}

var (
	deviceID = regexp.MustCompile(`<device id="([A-Z0-9-]+)"`)
	apiKey   = regexp.MustCompile(`<apikey>(.*?)</apikey>`)
)

// syncthing starts an instance.
func (b *bench) syncthing(ctx context.Context, binary, name string) (*syncthingNode, error) {
	n := &syncthingNode{home: filepath.Join(b.dir, name+"-home"), dir: filepath.Join(b.dir, name)}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, binary, "generate", "--home="+n.home).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s generate: %w: %s", binary, err, out)
	}
	config, err := os.ReadFile(filepath.Join(n.home, "config.xml"))
	if err != nil {
		return nil, err
	}
	id, key := deviceID.FindSubmatch(config), apiKey.FindSubmatch(config)
	if id == nil || key == nil {
		return nil, fmt.Errorf("%s/config.xml has no device or key", n.home)
	}
	n.id, n.key = string(id[1]), string(key[1])
	gui, err := freePort()
	if err != nil {
		return nil, err
	}
	if n.addr, err = freePort(); err != nil {
		return nil, err
	}
	n.url = "http://" + gui
	n.cmd = exec.CommandContext(ctx, binary, "serve", "--home="+n.home, "--no-browser", "--gui-address="+gui, "--no-restart")
	n.cmd.Env = append(os.Environ(), "STNOUPGRADE=1", "STNODEFAULTFOLDER=1")
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	b.started = append(b.started, &process{cmd: n.cmd})
	return n, n.ready(ctx)
}

func (n *syncthingNode) ready(ctx context.Context) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = n.call(ctx, "GET", "/rest/system/ping", nil, nil); err == nil {
			return nil
		}
	}
	return err
}

func (n *syncthingNode) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", n.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// change reads an object, changes it and writes it elsewhere.
func (n *syncthingNode) change(ctx context.Context, from, method, to string, fields map[string]any) error {
	object := map[string]any{}
	if err := n.call(ctx, "GET", from, nil, &object); err != nil {
		return err
	}
	for k, v := range fields {
		object[k] = v
	}
	return n.call(ctx, method, to, object, nil)
}

// configure has an instance know the other one and nobody else.
func (n *syncthingNode) configure(ctx context.Context, other *syncthingNode) error {
	return errors.Join(
		n.change(ctx, "/rest/config/options", "PUT", "/rest/config/options", map[string]any{
			"globalAnnounceEnabled": false, "localAnnounceEnabled": false, "relaysEnabled": false, "natEnabled": false,
			"listenAddresses": []string{"tcp://" + n.addr}, "urAccepted": -1, "crashReportingEnabled": false, "reconnectionIntervalS": 5,
		}),
		n.change(ctx, "/rest/config/defaults/device", "POST", "/rest/config/devices", map[string]any{
			"deviceID": other.id, "name": "other", "addresses": []string{"tcp://" + other.addr},
		}),
		n.change(ctx, "/rest/config/defaults/folder", "POST", "/rest/config/folders", map[string]any{
			"id": "work", "label": "work", "path": n.dir, "fsWatcherEnabled": false, "rescanIntervalS": 86400,
			"devices": []map[string]string{{"deviceID": n.id}, {"deviceID": other.id}},
		}),
	)
}

// connections is what an instance says about its peer.
func (n *syncthingNode) connections(ctx context.Context) (connected bool, bytes int64, err error) {
	var answer struct {
		Connections map[string]struct {
			Connected                   bool
			InBytesTotal, OutBytesTotal int64
		}
	}
	err = n.call(ctx, "GET", "/rest/system/connections", nil, &answer)
	for _, c := range answer.Connections {
		connected = connected || c.Connected
		bytes += c.InBytesTotal + c.OutBytesTotal
	}
	return connected, bytes, err
}

func (p *syncthingPair) connected(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok, _, err := p.nodes[0].connections(ctx); err != nil || ok {
			return err
		}
	}
	return errors.New("not connected within a minute")
}

func (p *syncthingPair) folders() [2]string { return [2]string{p.nodes[0].dir, p.nodes[1].dir} }

func (p *syncthingPair) processes() (out [2][]int, err error) {
	for i, n := range p.nodes {
		if out[i], err = family(n.cmd.Process.Pid); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (p *syncthingPair) look(ctx context.Context, side int, path string) error {
	q := url.Values{"folder": {"work"}}
	if path != "" {
		q.Set("sub", path)
	}
	return p.nodes[side].call(ctx, "POST", "/rest/db/scan?"+q.Encode(), nil, nil)
}

func (p *syncthingPair) settled(ctx context.Context) (bool, error) {
	type status struct {
		State                               string
		NeedBytes, NeedTotalItems           int64
		GlobalBytes, LocalBytes, LocalFiles int64
		LocalDirectories, PullErrors        int64
	}
	var s [2]status
	for i, n := range p.nodes {
		if err := n.call(ctx, "GET", "/rest/db/status?folder=work", nil, &s[i]); err != nil {
			return false, err
		}
		if s[i].PullErrors > 0 {
			return false, fmt.Errorf("instance %d: %d errors", i, s[i].PullErrors)
		}
		if s[i].State != "idle" || s[i].NeedBytes+s[i].NeedTotalItems != 0 {
			return false, nil
		}
	}
	return s[0] == s[1], nil
}

func (p *syncthingPair) state(ctx context.Context) string {
	var out []any
	for _, n := range p.nodes {
		var status map[string]any
		out = append(out, n.call(ctx, "GET", "/rest/db/status?folder=work", nil, &status), status)
	}
	return fmt.Sprint(out...)
}

func (p *syncthingPair) wire(ctx context.Context) (int64, error) {
	_, n, err := p.nodes[0].connections(ctx)
	return n, err
}

func (p *syncthingPair) stop() error {
	if p.stopped {
		return nil
	}
	p.stopped = true
	var errs []error
	for _, n := range p.nodes {
		errs = append(errs, n.call(context.Background(), "POST", "/rest/system/shutdown", nil, nil), n.cmd.Wait())
	}
	return errors.Join(errs...)
}
