package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// shoalPair is two shoal nodes with one folder.
type shoalPair struct {
	nodes    [2]*process
	dirs     [2]string
	id       string
	stopped  bool
	profiles int // that each node has been asked for
}

// shoalFolder is what is needed of a folder in the API.
type shoalFolder struct {
	ID        string
	State     string
	Files     int
	NeedFiles int `json:"need_files"`
	Conflicts int
	Error     string
	Warning   string
}

// openShoal starts two linked nodes; the second one has joined the folder of the first.
func openShoal(ctx context.Context, b *bench) (pair, error) {
	nodes, err := b.network(ctx, 2)
	if err != nil {
		return nil, err
	}
	p := &shoalPair{nodes: [2]*process{nodes[0], nodes[1]}}
	for i := range p.dirs {
		p.dirs[i] = filepath.Join(b.dir, fmt.Sprintf("shoal-%d-%s", i, strconv.FormatInt(time.Now().UnixNano(), 36)))
		if err := os.Mkdir(p.dirs[i], 0o755); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(os.Stderr, "processes", nodes[0].cmd.Process.Pid, nodes[1].cmd.Process.Pid)
	var f shoalFolder
	if err := nodes[0].call(ctx, "POST", "/api/folders", map[string]string{"path": p.dirs[0], "label": "work"}, &f); err != nil {
		return nil, err
	}
	p.id = f.ID
	return p, p.join(ctx)
}

// join waits until the second node has heard of the folder.
func (p *shoalPair) join(ctx context.Context) (err error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err = p.nodes[1].call(ctx, "POST", "/api/folders", map[string]string{"id": p.id, "path": p.dirs[1]}, nil)
		if err == nil {
			return rest(ctx, p, time.Second)
		}
	}
	return err
}

func (p *shoalPair) folders() [2]string { return p.dirs }

func (p *shoalPair) processes() (out [2][]int, err error) {
	for i, n := range p.nodes {
		out[i] = []int{n.cmd.Process.Pid}
	}
	return out, nil
}

// look does nothing: the node sees by itself what changes.
func (p *shoalPair) look(context.Context, int, string) error { return nil }

func (p *shoalPair) settled(ctx context.Context) (bool, error) {
	idle := true
	for i, n := range p.nodes {
		var f shoalFolder
		if err := n.call(ctx, "GET", "/api/folders/"+p.id, nil, &f); err != nil {
			return false, err
		}
		if f.Error+f.Warning != "" || f.State == "held" || f.Conflicts > 0 {
			return false, fmt.Errorf("node %d: folder is %s with %d conflicts: %s%s", i, f.State, f.Conflicts, f.Error, f.Warning)
		}
		idle = idle && f.State == "idle" && f.NeedFiles == 0
	}
	return idle, nil
}

func (p *shoalPair) state(ctx context.Context) string {
	var b strings.Builder
	for i, n := range p.nodes {
		var f shoalFolder
		err := n.call(ctx, "GET", "/api/folders/"+p.id, nil, &f)
		fmt.Fprintf(&b, "node %d: %+v, %v; ", i, f, err)
	}
	return b.String()
}

func (p *shoalPair) wire(ctx context.Context) (int64, error) {
	var peers struct {
		Items []struct {
			BytesIn  int64 `json:"bytes_in"`
			BytesOut int64 `json:"bytes_out"`
		}
	}
	if err := p.nodes[0].call(ctx, "GET", "/api/peers", nil, &peers); err != nil {
		return 0, err
	}
	var total int64
	for _, peer := range peers.Items {
		total += peer.BytesIn + peer.BytesOut
	}
	return total, nil
}

func (p *shoalPair) stop() error {
	if p.stopped {
		return nil
	}
	p.stopped = true
	return errors.Join(p.nodes[0].stop(), p.nodes[1].stop())
}

// stateSizes is how large the databases of the first and the second node are together with
// what is not written back yet, after the nodes have ended.
func (p *shoalPair) stateSizes(name string) (out [2]int64, err error) {
	for i, n := range p.nodes {
		for _, suffix := range []string{"", "-wal"} {
			info, err := os.Stat(filepath.Join(n.data, name+suffix))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return out, err
			}
			out[i] += info.Size()
		}
	}
	return out, nil
}
