package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// within reports whether something is so before a time has passed.
func within(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// both puts a file at an honest member, and lets mallory be one who has it too.
func both(victim, honest *keeper, m *mallory, n, size int) (texts []string) {
	for i := range n {
		text := noise(byte(100+i), size)
		m.mu.Lock()
		m.text[hashText(text)] = text
		m.mu.Unlock()
		texts = append(texts, text)
	}
	m.tell(m.file(root, "hello.txt", "so that it is known to keep the folder"))
	victim.await("a first file", victim.has("hello.txt", "so that it is known to keep the folder"))
	for i, text := range texts {
		honest.write(fmt.Sprintf("big%d.bin", i), text)
	}
	return texts
}

func countOf(victim *keeper, texts []string) func() int {
	return func() (n int) {
		for i, text := range texts {
			if victim.has(fmt.Sprintf("big%d.bin", i), text)() {
				n++
			}
		}
		return n
	}
}

// A member that announces a manifest, and brings it at a crawl, must not keep others from
// bringing the file.
func TestManifestTrickles(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond, Stalled: 2 * time.Second})
	end := make(chan struct{})
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest == nil {
			return m.honest(q, in, conn)
		}
		if _, err := readGrowing(in, q.Manifest.Length); err != nil {
			return err
		}
		if err := wire.WriteMsg(conn, part{Length: 100 << 20}); err != nil {
			return err
		}
		for {
			select {
			case <-end:
				return io.ErrUnexpectedEOF
			case <-time.After(200 * time.Millisecond):
			}
			if _, err := conn.Write(make([]byte, 150)); err != nil { // 750 bytes a second
				return err
			}
		}
	})
	texts := both(victim, honest, m, 8, 3<<20)
	came := countOf(victim, texts)
	ok := within(15*time.Second, func() bool { return came() == len(texts) })
	close(end)
	if !ok {
		t.Errorf("after 15 s %d of %d files are there, though an honest member has all", came(), len(texts))
	}
}

// A member that had to read the file for its manifest is not slow afterwards.
func TestManifestLate(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{Retry: time.Hour, Stalled: time.Second})
	text := noise(9, 9<<20)
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest == nil {
			return m.honest(q, in, conn)
		}
		of, err := readGrowing(in, q.Manifest.Length)
		if err != nil {
			return err
		}
		outline, err := chunk.ParseOutline(of)
		if err != nil {
			return err
		}
		made, err := chunk.Scan(strings.NewReader(text), int64(len(text)))
		if err != nil {
			return err
		}
		time.Sleep(3 * time.Second) // it is read from a slow disk
		b := made.Difference(outline)
		if err := wire.WriteMsg(conn, part{Length: int64(len(b))}); err != nil {
			return err
		}
		// As over any link: the rest comes a moment later.
		time.Sleep(50 * time.Millisecond)
		_, err = conn.Write(b)
		return err
	})
	m.tell(m.file(root, "big.bin", text))
	if !within(15*time.Second, victim.has("big.bin", text)) {
		t.Error("the file did not come: who waited for a manifest must not have used up its patience")
		for _, l := range strings.Split(victim.log(), "\n") {
			if strings.Contains(l, "content not fetched") {
				t.Log(l)
			}
		}
	}
}

// An honest member is not blamed for what a liar says of a content.
func TestManifestBlame(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: time.Hour})
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest == nil {
			return m.honest(q, in, conn) // the right bytes
		}
		if _, err := readGrowing(in, q.Manifest.Length); err != nil {
			return err
		}
		m.mu.Lock()
		text := m.text[reconcile.Hash(q.Items[0].Hash)]
		m.mu.Unlock()
		if text == "" {
			return answer(conn, part{Code: codeNoManifest}, "")
		}
		b := forgeRoot(t, strings.Repeat("x", 77)+text[77:], hashText(text)) // one chunk of it is wrong
		return answer(conn, part{Length: int64(len(b))}, string(b))
	})
	texts := both(victim, honest, m, 8, 3<<20)
	came := countOf(victim, texts)
	if !within(10*time.Second, func() bool { return came() == len(texts) }) {
		t.Errorf("%d of %d files came: the others failed as \"nobody has it\", though an honest member has all", came(), len(texts))
	}
}

// What is kept of a member's manifest is as this node would have cut the file.
func TestManifestCuts(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	text := noise(10, 3<<20)
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest == nil {
			return m.honest(q, in, conn)
		}
		if _, err := readGrowing(in, q.Manifest.Length); err != nil {
			return err
		}
		b := evenCuts(text)
		return answer(conn, part{Length: int64(len(b))}, string(b))
	})
	m.tell(m.file(root, "big.bin", text))
	victim.await("the file", victim.has("big.bin", text))
	own, err := chunk.Scan(strings.NewReader(text), -1)
	if err != nil {
		t.Fatal(err)
	}
	// A scan may have made one by now.
	if kept, err := victim.folders.Manifest(t.Context(), folder.Hash(hashText(text))); !errors.Is(err, folder.ErrNotFound) && (err != nil || kept.Len() != own.Len()) {
		t.Errorf("a manifest is kept that nobody else would make: %d chunks, %v", kept.Len(), err)
	}
}

// evenCuts is the difference from nothing to the shortest chunks that are permitted.
func evenCuts(text string) []byte {
	root := hashText(text)
	var entries []byte
	n := 0
	for off := 0; off < len(text); off += chunk.Least {
		b := text[off:min(len(text), off+chunk.Least)]
		h := blake3.Sum256([]byte(b))
		entries = append(entries, byte(len(b)), byte(len(b)>>8), byte(len(b)>>16))
		entries = append(entries, h[:]...)
		n++
	}
	head := append([]byte{2}, binary.AppendUvarint(nil, uint64(len(text)))...)
	head = append(head, root[:]...)
	packed := append([]byte("shoalmf1"), head...)
	packed = append(binary.AppendUvarint(packed, uint64(n)), entries...)
	check := blake3.Sum256(packed)
	b := append([]byte("shoalmd1"), head...)
	b = append(b, check[:16]...)
	b = append(binary.AppendUvarint(b, uint64(n-1)<<1|1), entries...)
	return b
}

// badTemp cannot be read at one place.
type badTemp struct {
	apply.Temp
	text   string
	at     int64
	wrote  bool
	broken error
}

func (b *badTemp) Stat() (apply.Stat, error) { return apply.Stat{Size: int64(len(b.text))}, nil }

func (b *badTemp) ReadAt(p []byte, off int64) (int, error) {
	if off <= b.at && b.at < off+int64(len(p)) && !b.wrote {
		return 0, b.broken
	}
	return strings.NewReader(b.text).ReadAt(p, off)
}

// What cannot be read of an earlier attempt is brought again, and does not end each attempt.
func TestResumeUnreadable(t *testing.T) {
	t.Parallel()
	text := noise(11, 2<<20)
	made, err := chunk.Scan(strings.NewReader(text), -1)
	if err != nil {
		t.Fatal(err)
	}
	x := &fetch{t: &transfer{}}
	u := newUpdate(nil, x, made)
	u.t = &badTemp{text: text, at: 1 << 20, broken: errors.New("input/output error")}
	if err := u.resume(t.Context()); err != nil {
		t.Errorf("the content can never come, because of one place of what was begun: %v", err)
	}
}

// What a delta has made wrong is not counted as taken from this disk.
func TestReusedWrong(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	old := noise(12, 3<<20)
	e := m.file(root, "big.bin", old)
	m.tell(e)
	victim.await("the old version", victim.has("big.bin", old))
	text := old[:1<<20] + noise(13, 1<<20) + old[2<<20:]
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Gaps == nil {
			return m.honest(q, in, conn)
		}
		sig, err := q.Gaps.readTable(in)
		if err != nil {
			return err
		}
		var size int64
		for _, s := range q.Gaps.Spans {
			size += s.Length
		}
		if err := wire.WriteMsg(conn, part{}); err != nil {
			return err
		}
		w, err := delta.NewWriter(conn, delta.Header{Size: size, BaseSize: sig.Size()})
		if err != nil {
			return err
		}
		for size > 0 {
			n := min(size, sig.Size())
			if err := w.WriteOp(delta.Op{Offset: 0, Length: n}); err != nil {
				return err
			}
			size -= n
		}
		return w.Close(delta.Sum{})
	})
	m.tell(m.edited(e, text, false))
	victim.await("the new version", victim.has("big.bin", text))
	x := victim.came("big.bin")
	if x.Wire+x.Reused > x.Total*105/100 {
		t.Errorf("of %d bytes %d came over the network and %d are said to be from this disk", x.Total, x.Wire, x.Reused)
	}
}

// What deltas bring nothing for is asked for in large requests.
func TestPlainRequests(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("48 MiB are many, and other tests do the same with fewer")
	}
	victim, _, m := scene(t, Times{})
	// Of nine chunks eight are other than before.
	old := noise(14, 48<<20)
	made, err := chunk.Scan(strings.NewReader(old), -1)
	if err != nil {
		t.Fatal(err)
	}
	b, other := []byte(old), noise(15, 48<<20)
	for i := 0; i+8 < made.Len(); i += 9 {
		from, to := made.Chunk(i).Offset, made.Chunk(i+8).Offset
		copy(b[from:to-64], other[from:])
	}
	text := string(b)
	e := m.file(root, "big.bin", old)
	m.tell(e)
	victim.await("the old version", victim.has("big.bin", old))
	before := m.asks(hashText(text))
	m.tell(m.edited(e, text, false))
	victim.await("the new version", victim.has("big.bin", text))
	x := victim.came("big.bin")
	n := m.asks(hashText(text)) - before
	if n > 24 {
		t.Errorf("%d requests, each with a round trip, for %d bytes", n, x.Wire)
	}
}

// A member that has said that it has not a content is not asked for its chunks.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: time.Hour})
	var mu sync.Mutex
	denied, asked := map[reconcile.Hash]bool{}, map[reconcile.Hash]int{}
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if len(q.Items) == 0 {
			return m.honest(q, in, conn)
		}
		h := reconcile.Hash(q.Items[0].Hash)
		mu.Lock()
		defer mu.Unlock()
		if q.Manifest != nil {
			if _, err := readGrowing(in, q.Manifest.Length); err != nil {
				return err
			}
			denied[h] = true
			return answer(conn, part{Code: codeNotHere}, "")
		}
		if denied[h] {
			asked[h]++
		}
		return m.honest(q, in, conn)
	})
	texts := both(victim, honest, m, 8, 20<<20)
	came := countOf(victim, texts)
	patience := 30 * time.Second
	if underRace {
		patience = 2 * time.Minute
	}
	if !within(patience, func() bool { return came() == len(texts) }) {
		t.Errorf("%d of %d files came", came(), len(texts))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) > 0 {
		t.Errorf("of %d contents that the member denied to have, it was asked for %d again", len(denied), len(asked))
	}
}

// The old version got shorter after it was signed: that is not the member's fault.
func TestBaseShrinks(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{Retry: time.Hour})
	old := noise(16, 4<<20)
	e := m.file(root, "big.bin", old)
	m.tell(e)
	victim.await("the old version", victim.has("big.bin", old))
	text := old[:3<<20] + "an edit" + old[3<<20:]
	var once sync.Once
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Gaps != nil {
			once.Do(func() {
				if err := os.Truncate(filepath.Join(victim.dir, "big.bin"), 1<<20); err != nil {
					t.Error(err)
				}
			})
		}
		return m.honest(q, in, conn)
	})
	m.tell(m.edited(e, text, false))
	if !within(10*time.Second, func() bool { return hasConflict(victim, text) || victim.has("big.bin", text)() }) {
		t.Error("the new version did not come from who has it")
	}
}
