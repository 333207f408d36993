//go:build linux

package crash

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is a network of nodes that keep one folder.
type world struct {
	t      *testing.T
	dir    string
	nodes  []*node
	roots  []string // of the folder on each node
	folder string   // its ID
	oracle *oracle
}

// place says where a node keeps its things; empty: in the world's directory.
type place struct {
	data, root string
	user       int // whose process it is; 0: ours
}

// newWorld starts a node for each place, and has all keep one folder.
func newWorld(t *testing.T, dir string, places ...place) *world {
	t.Helper()
	w := &world{t: t, dir: dir, oracle: newOracle(len(places))}
	for i, p := range places {
		name := string(rune('A' + i))
		if p.data == "" {
			p.data = filepath.Join(dir, "data-"+name)
		}
		if p.root == "" {
			p.root = filepath.Join(dir, "disk-"+name, "folder")
		}
		if err := os.MkdirAll(p.root, 0o755); err != nil {
			t.Fatal(err)
		}
		n := newNode(t, name, p.data, filepath.Join(dir, "log-"+name))
		n.user = p.user
		w.nodes, w.roots = append(w.nodes, n), append(w.roots, p.root)
		n.start()
	}
	w.introduce()
	w.share()
	return w
}

// introduce makes one network of the nodes.
func (w *world) introduce() {
	w.t.Helper()
	var invite struct{ Link string }
	w.nodes[0].must("POST", "/api/invites", map[string]int{"max_uses": len(w.nodes)}, &invite)
	for i, n := range w.nodes {
		if i > 0 {
			n.must("POST", "/api/join", map[string]string{"link": invite.Link}, nil)
		}
	}
	for _, n := range w.nodes {
		w.linked(n)
		var status struct{ ID string }
		n.must("GET", "/api/node", nil, &status)
		n.id = status.ID
	}
}

// linked waits until a node is linked to all others.
func (w *world) linked(n *node) {
	w.t.Helper()
	w.eventually(30*time.Second, n.name+" is linked to all", func() error {
		var status struct{ Peers int }
		if err := n.call("GET", "/api/node", nil, &status); err != nil {
			return err
		}
		if status.Peers < len(w.nodes)-1 {
			return fmt.Errorf("%d peers", status.Peers)
		}
		return nil
	})
}

func (w *world) share() {
	w.t.Helper()
	var f struct{ ID string }
	w.nodes[0].must("POST", "/api/folders", map[string]string{"path": w.roots[0], "label": "work"}, &f)
	w.folder = f.ID
	for i, n := range w.nodes[1:] {
		w.eventually(30*time.Second, n.name+" joins the folder", func() error {
			return n.call("POST", "/api/folders", map[string]string{"id": f.ID, "path": w.roots[i+1]}, nil)
		})
	}
}

// eventually asks until there is no error.
func (w *world) eventually(limit time.Duration, what string, ask func() error) {
	w.t.Helper()
	if err := w.await(limit, ask); err != nil {
		w.t.Fatalf("%s: not within %v: %v", what, limit, err)
	}
}

func (w *world) await(limit time.Duration, ask func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// folderState is what a node says of its folder.
type folderState struct {
	State     string
	Error     string
	Warning   string
	Files     int
	NeedFiles int `json:"need_files"`
}

func (w *world) state(n *node) (s folderState, err error) {
	err = n.call("GET", "/api/folders/"+w.folder+"?node="+url.QueryEscape(n.id), nil, &s)
	return s, err
}

// release lets mass deletions through, as a person does who is asked.
func (w *world) release(n *node) error {
	return n.call("POST", "/api/folders/"+w.folder+"/held", map[string]string{"decision": "release"}, nil)
}

// person releases what is held, on all nodes that run, until stop is called.
func (w *world) person() (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(300 * time.Millisecond):
			}
			for _, n := range w.nodes {
				// Nodes die meanwhile.
				if s, err := w.state(n); err == nil && s.State == "held" {
					_ = w.release(n) // if it is dead by now, it is asked again
				}
			}
		}
	})
	return sync.OnceFunc(func() { close(end); wg.Wait() })
}

// entry is what a node knows of a path.
type entry struct {
	Path    string
	Kind    string
	Hash    string
	Mode    string
	Local   bool
	Members []string
}

func (w *world) entries(n *node) ([]entry, error) {
	var all []entry
	cursor := ""
	for {
		var page struct {
			Items []entry
			Next  *string
		}
		q := url.Values{"limit": {"1000"}, "cursor": {cursor}, "node": {n.id}}
		if cursor == "" {
			q.Del("cursor")
		}
		if err := n.call("GET", "/api/folders/"+w.folder+"/entries?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == nil || *page.Next == "" {
			return all, nil
		}
		cursor = *page.Next
	}
}

// who names a member.
func (w *world) who(id string) string {
	for _, n := range w.nodes {
		if n.id == id {
			return n.name
		}
	}
	return id
}

func (w *world) names(ids []string) string {
	var names []string
	for _, id := range ids {
		names = append(names, w.who(id))
	}
	return strings.Join(names, "")
}
