//go:build linux

package crash

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // reads what nodes have written
)

// oracle knows which contents must still exist, and where.
type oracle struct {
	mu     sync.Mutex
	born   map[string]string // content to where it was written first
	killed map[string]int    // how often the writer destroyed a content, anywhere
	had    []map[string]string
	gone   []map[string]bool
}

func newOracle(nodes int) *oracle {
	o := &oracle{born: map[string]string{}, killed: map[string]int{}}
	for range nodes {
		o.had = append(o.had, map[string]string{})
		o.gone = append(o.gone, map[string]bool{})
	}
	return o
}

// wrote notes that a content is on a node's disk, made by a person.
func (o *oracle) wrote(node int, path, hash string) {
	if hash == empty {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := fmt.Sprintf("%c/%s at %s", 'A'+node, path, time.Now().Format("15:04:05.000"))
	o.born[hash], o.had[node][hash] = at, at
}

// destroyed notes that a person has destroyed a content on a node's disk.
func (o *oracle) destroyed(node int, hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.killed[hash]++
	o.gone[node][hash] = true
}

// seen notes what is on a node's disk.
func (o *oracle) seen(node int, path, hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.had[node][hash]; !known && hash != empty && hash != "" {
		o.had[node][hash] = path + ", seen " + time.Now().Format("15:04:05.000")
	}
}

// lost returns what should be on a node's disk and is not.
func (o *oracle) lost(node int, root string, items map[string]item) ([]string, error) {
	there, err := hashes(filepath.Join(root, ".shoal", "trash"))
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for p, it := range items {
		live[it.hash] = true
		o.seen(node, p, it.hash)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for hash, at := range o.had[node] {
		if !live[hash] && !there[hash] && !o.gone[node][hash] {
			out = append(out, fmt.Sprintf("%.8s (%s) is neither in the tree nor in the trash", hash, at))
		}
	}
	for hash, at := range o.born {
		if o.killed[hash] == 0 && !live[hash] {
			out = append(out, fmt.Sprintf("%.8s, written as %s, is not in the tree", hash, at))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (o *oracle) counts() (written, destroyed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.born), len(o.killed)
}

// settle waits until all nodes are at rest with equal trees, and judges.
func (w *world) settle(limit time.Duration) {
	w.t.Helper()
	stop := w.person()
	defer stop()
	var trees []map[string]item
	if err := w.await(limit, func() (err error) { trees, err = w.atRest(); return err }); err != nil {
		w.t.Fatalf("not at rest within %v: %v\n%s", limit, err, w.report())
	}
	if err := w.await(30*time.Second, func() error { return w.known(trees[0]) }); err != nil {
		w.t.Fatalf("nodes do not know what they have: %v\n%s", err, w.report())
	}
	for i, root := range w.roots {
		lost, err := w.oracle.lost(i, root, trees[i])
		if err != nil {
			w.t.Fatal(err)
		}
		if len(lost) > 0 {
			w.t.Fatalf("%s has lost %d contents:\n\t%s", w.nodes[i].name, len(lost), strings.Join(lost[:min(20, len(lost))], "\n\t"))
		}
		if err := w.await(5*time.Second, func() error { return w.tidy(i) }); err != nil {
			w.t.Fatal(err)
		}
		w.nodes[i].sane()
		w.sound(i)
	}
}

// atRest returns the trees if all nodes say that nothing is to come, and they are
// equal.
func (w *world) atRest() ([]map[string]item, error) {
	for _, n := range w.nodes {
		s, err := w.state(n)
		if err != nil {
			return nil, err
		}
		if s.State != "idle" || s.NeedFiles != 0 || s.Error != "" {
			return nil, fmt.Errorf("%s: %+v", n.name, s)
		}
	}
	var trees []map[string]item
	for i, root := range w.roots {
		items, err := tree(root)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			if d := difference(trees[0], items); d != "" {
				return nil, fmt.Errorf("%s and %s differ:\n\t%s", w.nodes[0].name, w.nodes[i].name, d)
			}
		}
		trees = append(trees, items)
	}
	return trees, nil
}

// known reports whether each node knows that all have what is in the tree.
func (w *world) known(items map[string]item) error {
	for _, n := range w.nodes {
		entries, err := w.entries(n)
		if err != nil {
			return err
		}
		if len(entries) != len(items) {
			return fmt.Errorf("%s: %d entries, %d in the tree", n.name, len(entries), len(items))
		}
		for _, e := range entries {
			it, ok := items[e.Path]
			if !ok || e.Hash != it.hash || e.Mode != fmt.Sprintf("%04o", it.mode.Perm()) || !e.Local {
				return fmt.Errorf("%s: entry %+v, in the tree %v", n.name, e, it)
			}
			if len(e.Members) != len(w.nodes) {
				return fmt.Errorf("%s: only %s have %s", n.name, w.names(e.Members), e.Path)
			}
		}
	}
	return nil
}

func (w *world) tidy(i int) error {
	left, err := leftovers(w.roots[i])
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s has left %q", w.nodes[i].name, left)
	}
	return err
}

// sound checks the database of a node.
func (w *world) sound(i int) {
	w.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(w.nodes[i].data, "state.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		w.t.Fatal(err)
	}
	var result string
	err = errors.Join(db.QueryRow("PRAGMA integrity_check").Scan(&result), db.Close())
	if err != nil || result != "ok" {
		w.t.Fatalf("%s: state.db: %s %v", w.nodes[i].name, result, err)
	}
}

// apart says what each node knows of the paths at which the trees of two differ: whether
// it is a scan that has overlooked something, or a member that was not told, or was told and
// does not do it.
func (w *world) apart() string {
	var out strings.Builder
	first, err := tree(w.roots[0])
	if err != nil {
		return err.Error() + "\n"
	}
	paths := map[string]bool{}
	for _, root := range w.roots[1:] {
		items, err := tree(root)
		if err != nil {
			return err.Error() + "\n"
		}
		for p := range items {
			paths[p] = paths[p] || items[p] != first[p]
		}
		for p := range first {
			paths[p] = paths[p] || items[p] != first[p]
		}
	}
	for _, n := range w.nodes {
		entries, err := w.entries(n)
		if err != nil {
			fmt.Fprintf(&out, "%s: %v\n", n.name, err)
			continue
		}
		known := map[string]entry{}
		for _, e := range entries {
			known[e.Path] = e
		}
		for _, p := range slices.Sorted(maps.Keys(paths)) {
			if e, ok := known[p]; paths[p] && ok {
				fmt.Fprintf(&out, "%s knows %s: %s %.8s, local %v, at %s\n", n.name, p, e.Kind, e.Hash, e.Local, w.names(e.Members))
			} else if paths[p] {
				fmt.Fprintf(&out, "%s does not know %s\n", n.name, p)
			}
		}
	}
	return out.String()
}

// report says how all nodes are.
func (w *world) report() string {
	var out strings.Builder
	out.WriteString(w.apart())
	for i, n := range w.nodes {
		s, err := w.state(n)
		fmt.Fprintf(&out, "%s: %+v %v\n", n.name, s, err)
		if left, err := leftovers(w.roots[i]); err != nil || len(left) > 0 {
			fmt.Fprintf(&out, "\tleft: %q %v\n", left, err)
		}
		fmt.Fprintf(&out, "\tlog: %s\n", n.tail())
	}
	return out.String()
}
