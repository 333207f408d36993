//go:build linux

package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPower: the power of a node fails while it receives and records. What it has said
// to have is on its disk, before it can ask anybody for it.
func TestPower(t *testing.T) {
	dir, r := begin(t)
	d := newDisk(t, dir, "disk-B", 1024)
	w := newWorld(t, dir, place{}, place{data: filepath.Join(d.at, "data"), root: filepath.Join(d.at, "folder")}, place{})
	a, b := w.writer(0, r), w.writer(1, r)
	b.sync, b.small = true, true
	stop := w.person()
	defer stop()
	acked := 0
	n := times(5, 50)
	for i := range n {
		both(func() { a.work(20 + r.IntN(60)) }, func() { b.work(r.IntN(10)) })
		w.nodes[1].ended(time.Duration(r.IntN(1500)) * time.Millisecond)
		acked += w.outage(1, d, r.IntN(3) > 0)
		w.nodes[1].start()
		w.linked(w.nodes[1])
		if i%10 == 9 {
			w.settle(3 * time.Minute)
			t.Logf("%d power cuts: all is well", i+1)
		}
	}
	w.settle(3 * time.Minute)
	written, destroyed := w.oracle.counts()
	t.Logf("%d cuts, %d contents written, %d destroyed; %d entries were acknowledged at a cut, and there after it", n, written, destroyed, acked)
}

func both(a, b func()) {
	done := make(chan struct{})
	go func() { defer close(done); b() }()
	a()
	<-done
}

// outage cuts the power of node i, whose disk is d, and compares what is on the disk
// after that with what the first node knows it to have. At once: the process does
// nothing more, else it can see that its disk fails. It returns how much was compared.
func (w *world) outage(i int, d *disk, atOnce bool) int {
	w.t.Helper()
	n := w.nodes[i]
	if atOnce {
		if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			w.t.Fatal(err)
		}
	}
	d.cut()
	if !atOnce {
		n.ended(200 * time.Millisecond)
	}
	n.kill()
	claims := w.claims(i)
	d.replay()
	missing, err := w.missing(i, claims)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(missing) > 0 {
		w.t.Fatalf("%s has acknowledged %d contents, of which %d are not on its disk after the cut:\n\t%s", n.name, len(claims), len(missing), strings.Join(missing[:min(20, len(missing))], "\n\t"))
	}
	return len(claims)
}

// claims returns the contents that the first node knows node i to have, with their
// paths. What was on its way when the process died has arrived when two answers are
// the same.
func (w *world) claims(i int) map[string]string {
	w.t.Helper()
	var last map[string]string
	w.eventually(20*time.Second, "A knows what "+w.nodes[i].name+" has", func() error {
		entries, err := w.entries(w.nodes[0])
		if err != nil {
			return err
		}
		now := map[string]string{}
		for _, e := range entries {
			if e.Hash != "" && e.Hash != empty && slices.Contains(e.Members, w.nodes[i].id) {
				now[e.Hash] = e.Path
			}
		}
		if last == nil || !maps.Equal(now, last) {
			last = now
			return fmt.Errorf("it changes")
		}
		return nil
	})
	return last
}

// missing returns which contents are not on the disk of node i: in the tree, the trash,
// or, as the journal knows, between both.
func (w *world) missing(i int, claims map[string]string) ([]string, error) {
	live, err := hashes(w.roots[i])
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"trash", "tmp", "aside"} {
		more, err := hashes(filepath.Join(w.roots[i], ".shoal", dir))
		if err != nil {
			return nil, err
		}
		maps.Copy(live, more)
	}
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	var out []string
	for hash, path := range claims {
		if !live[hash] && !w.oracle.gone[i][hash] {
			info, err := os.Lstat(filepath.Join(w.roots[i], path))
			size := int64(-1)
			if err == nil {
				size = info.Size()
			}
			out = append(out, fmt.Sprintf("%.8s of %s (%d bytes are there, %v)", hash, path, size, err))
		}
	}
	slices.Sort(out)
	return out, nil
}

// TestSyncErrors: the disk of a node cannot write any more, and says so when asked to
// sync. Then the power fails: what could not be synced was not acknowledged.
func TestSyncErrors(t *testing.T) {
	dir, r := begin(t)
	requires(t, "strace")
	d := newDisk(t, dir, "disk-B", 512)
	w := newWorld(t, dir, place{}, place{data: filepath.Join(d.at, "data"), root: filepath.Join(d.at, "folder")})
	a, b := w.writer(0, r), w.writer(1, r)
	b.sync, b.small = true, true
	stop := w.person()
	defer stop()
	rounds := []string{"1+", "3+", "8+"}
	if *long {
		rounds = []string{"1+", "2+", "3+", "4+", "5+", "8+", "12+", "20+", "1..2", "2..9", "1+", "2+"}
	}
	for _, when := range rounds {
		w.failing(a, b, d, when, r)
	}
	w.settle(3 * time.Minute)
	t.Logf("failed syncs at %v", rounds)
}

// failing has the syncs of node B fail, and then its power. Where only some of its
// syncs fail, it recovers without anybody's help.
func (w *world) failing(a, b *writer, d *disk, when string, r *rand.Rand) {
	w.t.Helper()
	a.work(20)
	w.settle(2 * time.Minute)
	before := w.claims(1)
	detach := w.inject(w.nodes[1], "fsync,fdatasync,syncfs:error=EIO:when="+when)
	a.work(40)
	w.nodes[1].ended(time.Duration(1500+r.IntN(1500)) * time.Millisecond)
	now := w.claims(1)
	for hash, path := range now {
		if _, had := before[hash]; !had && when == "1+" {
			w.t.Errorf("B has acknowledged %.8s of %s while no sync succeeded", hash, path)
		}
	}
	s, err := w.state(w.nodes[1])
	w.t.Logf("syncs fail from %s: B says %s %.300q %v; %d contents acknowledged before, %d now", when, s.State, s.Error, err, len(before), len(now))
	if !strings.HasSuffix(when, "+") {
		// strace counts for each thread, and the node waits longer after each failure: with
		// many threads some would go on failing for very long.
		detach()
		w.settle(3 * time.Minute)
		detach = func() {}
	}
	w.outage(1, d, true)
	detach()
	w.nodes[1].start()
	w.linked(w.nodes[1])
}
