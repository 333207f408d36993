//go:build linux

package crash

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zeebo/blake3"
)

// What may come over the network for a large file, although the receiver dies while it
// comes.
const (
	// smallEditsWire is for three small edits: all bytes of both directions, those of a
	// second handshake among them.
	smallEditsWire = 250_000
	// longInsert is new bytes in the middle of the file.
	longInsert = 64 << 20
	// longInsertAgain is how much more than these may come: what was on its way when the
	// receiver died, and what tells where the rest is.
	longInsertAgain = 4<<20 + longInsert*3/100
)

// TestLargeFile: a large file is edited in three places, and the receiver is killed
// while the new version comes. It arrives all the same, and what was there is not sent
// again.
func TestLargeFile(t *testing.T) {
	dir, _ := alone(t)
	l := &largeFile{size: *large << 20}
	for _, root := range []string{"disk-A", "disk-B"} {
		if err := os.MkdirAll(filepath.Join(dir, root, "folder"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Both begin with the file: that it comes as a whole is not what is tested. Nobody
	// writes into it, so that one copy does for both until the first is replaced.
	first := filepath.Join(dir, "disk-A", "folder", "big")
	l.write(t, first)
	if err := os.Link(first, filepath.Join(dir, "disk-B", "folder", "big")); err != nil {
		t.Fatal(err)
	}
	l.world = newWorld(t, dir, place{}, place{})
	l.arrived(0)
	if got := l.transfers(t); len(got) > 0 {
		t.Errorf("both had the same file, and it was sent: %+v", got)
	}

	l.changes = []change{
		{at: l.size / 8, insert: noise(1, 1)},
		{at: l.size / 2, remove: 1000, insert: noise(2, 1000)},
		{at: l.size / 8 * 7, remove: 3000},
	}
	wire, all := l.deadInTheMiddle("three small edits", func(x transfer) bool { return x.Done >= x.Total/8 })
	if max(wire, all) > smallEditsWire {
		t.Errorf("three small edits: %d bytes of the file and %d in all came over the network, at most %d should", wire, all, smallEditsWire)
	}

	l.changes = append(l.changes[:2:2],
		change{at: l.size / 4 * 3, insert: noise(3, longInsert)},
		change{at: l.size / 8 * 7, remove: 5000},
	)
	wire, _ = l.deadInTheMiddle("a long insert", func(x transfer) bool { return x.Wire >= longInsert*3/8 })
	if wire > longInsert+longInsertAgain {
		t.Errorf("%d bytes were inserted, %d came over the network, at most %d more should", int64(longInsert), wire, int64(longInsertAgain))
	}
	for _, n := range l.nodes {
		n.sane()
	}
}

// largeFile is one file of a world of two nodes, of which the first edits it.
type largeFile struct {
	*world
	size    int64 // before all changes
	changes []change
	length  int64  // with them
	sum     string // with them
}

// change is one of a file: bytes removed, and others put there.
type change struct {
	at     int64 // in the file without any change
	remove int64
	insert []byte
}

func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed, 'i'}).Read(p)
	return p
}

// content is the file with all changes.
func (l *largeFile) content() io.Reader {
	base := io.LimitReader(rand.NewChaCha8([32]byte{'b'}), l.size)
	var parts []io.Reader
	at := int64(0)
	for _, c := range l.changes {
		parts = append(parts, io.LimitReader(base, c.at-at), bytes.NewReader(c.insert), &skip{base, c.remove})
		at = c.at + c.remove
	}
	return io.MultiReader(append(parts, base)...)
}

// skip is nothing, and passes over some bytes of a reader.
type skip struct {
	r io.Reader
	n int64
}

func (s *skip) Read([]byte) (int, error) {
	if _, err := io.CopyN(io.Discard, s.r, s.n); err != nil {
		return 0, err
	}
	s.n = 0
	return 0, io.EOF
}

// write makes the file.
func (l *largeFile) write(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := blake3.New()
	n, err := io.CopyBuffer(io.MultiWriter(sum, f), l.content(), make([]byte, 1<<20))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	l.length, l.sum = n, hex.EncodeToString(sum.Sum(nil))
}

// transfer is what a node says of a file that comes.
type transfer struct {
	Path   string
	State  string
	Total  int64 `json:"bytes_total"`
	Done   int64 `json:"bytes_done"`
	Wire   int64 `json:"bytes_wire"`
	Reused int64 `json:"bytes_reused"`
}

// transfers are those of the second node, since it was started.
func (l *largeFile) transfers(t *testing.T) []transfer {
	t.Helper()
	var list struct{ Items []transfer }
	l.nodes[1].must("GET", "/api/transfers", nil, &list)
	return list.Items
}

// traffic is how much the first node has sent to the other and received since it was
// started, on all its links.
func (l *largeFile) traffic() (total int64) {
	l.t.Helper()
	var peers struct {
		Items []struct {
			In  int64 `json:"bytes_in"`
			Out int64 `json:"bytes_out"`
		}
	}
	l.nodes[0].must("GET", "/api/peers", nil, &peers)
	for _, p := range peers.Items {
		total += p.In + p.Out
	}
	return total
}

// deadInTheMiddle saves the file anew on the first node, and kills the second one when
// it says of the transfer what it is waited for. It returns how many bytes have come
// for the file in both lives of that node, and what has gone both ways in all.
func (l *largeFile) deadInTheMiddle(what string, middle func(transfer) bool) (wire, all int64) {
	t := l.t
	t.Helper()
	saved := filepath.Join(l.dir, "saved")
	l.write(t, saved)
	before, began := l.traffic(), time.Now()
	if err := os.Rename(saved, filepath.Join(l.roots[0], "big")); err != nil {
		t.Fatal(err)
	}
	b := l.nodes[1]
	killed := l.caught(what, middle)
	b.kill()
	died := time.Since(began)
	if st, err := os.Stat(filepath.Join(l.roots[1], "big")); err != nil || st.Size() == l.length {
		t.Fatalf("%s: the file was there already when its receiver was killed, or none: %v", what, err)
	}
	b.start()
	l.linked(b)
	l.arrived(1)
	for _, x := range l.transfers(t) {
		wire += x.Wire
	}
	all = l.traffic() - before
	t.Logf("%s: killed after %v, when %d of %d bytes were done, %d from the network; then %d more from there; %d both ways in all; it took %v",
		what, died.Round(time.Millisecond), killed.Done, killed.Total, killed.Wire, wire, all, time.Since(began).Round(time.Millisecond))
	return killed.Wire + wire, all
}

// caught waits until the second node says of a transfer that runs what it is waited
// for.
func (l *largeFile) caught(what string, middle func(transfer) bool) transfer {
	l.t.Helper()
	var last []transfer
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		last = l.transfers(l.t)
		for _, x := range last {
			if x.State == "running" && x.Total == l.length && middle(x) {
				return x
			}
			if x.State == "done" && x.Total == l.length {
				l.t.Fatalf("%s: it had come before the receiver could be killed: %+v", what, x)
			}
		}
	}
	l.t.Fatalf("%s: it does not come: %+v", what, last)
	return transfer{}
}

// arrived waits until both nodes have the file as it was saved last, and compares all
// of it. The second one has to take it from the other if from is 1.
func (l *largeFile) arrived(from int) {
	l.t.Helper()
	l.eventually(2*time.Minute, "the file arrives", func() error {
		for i, n := range l.nodes {
			s, err := l.state(n)
			if err != nil {
				return err
			}
			if s.State != "idle" || s.NeedFiles > 0 || s.Files != 1 || s.Error+s.Warning != "" {
				return fmt.Errorf("%s says %+v", n.name, s)
			}
			st, err := os.Stat(filepath.Join(l.roots[i], "big"))
			if err != nil {
				return err
			}
			if st.Size() != l.length {
				return fmt.Errorf("on %s it has %d bytes, not %d", n.name, st.Size(), l.length)
			}
		}
		return nil
	})
	for i := from; i < len(l.nodes); i++ {
		sum, err := sumOf(filepath.Join(l.roots[i], "big"))
		if err != nil {
			l.t.Fatal(err)
		}
		if sum != l.sum {
			l.t.Fatalf("%s has another file than was saved", l.nodes[i].name)
		}
	}
}

// sumOf is the BLAKE3 of a file.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := blake3.New()
	_, err = io.CopyBuffer(h, f, make([]byte, 1<<20))
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
