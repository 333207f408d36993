package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder/assemble"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// liar answers everything honestly but contents of which wrong says how.
func (m *mallory) liar(wrong func(text string, it item, conn netConn) error, about ...string) {
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		for i, it := range q.Items {
			if len(it.Hash) == 0 {
				continue // answered with the one before it
			}
			at := slices.IndexFunc(about, func(text string) bool { return hashText(text) == reconcile.Hash(it.Hash) })
			var err error
			if at < 0 {
				err = m.honest(request{Items: q.Items[i : i+1], Manifest: q.Manifest, Gaps: q.Gaps}, in, conn)
			} else {
				err = wrong(about[at], it, conn)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func answer(conn netConn, p part, text string) error {
	if err := wire.WriteMsg(conn, p); err != nil {
		return err
	}
	_, err := io.WriteString(conn, text)
	return err
}

// Bytes that are not those that were announced are never seen, whatever is wrong with
// them, small or large; the rest arrives, and in the end so does what is right.
func TestHostileContents(t *testing.T) {
	t.Parallel()
	lies := map[string]func(text string, it item, conn netConn) error{
		"other bytes": func(text string, it item, conn netConn) error {
			n := int64(len(text))
			if it.Length > 0 {
				n = it.Length
			}
			return answer(conn, part{Length: n}, strings.Repeat("X", int(n)))
		},
		"shorter": func(text string, _ item, conn netConn) error { return answer(conn, part{Length: 3}, text[:3]) },
		"longer": func(text string, _ item, conn netConn) error {
			return answer(conn, part{Length: int64(len(text)) + 3}, text+"...")
		},
		"negative": func(_ string, _ item, conn netConn) error { return answer(conn, part{Length: -1}, "") },
		"huge":     func(text string, _ item, conn netConn) error { return answer(conn, part{Length: math.MaxInt64}, text) },
		"cut off": func(text string, it item, conn netConn) error {
			n := int64(len(text))
			if it.Length > 0 {
				n = it.Length
			}
			return errors.Join(answer(conn, part{Length: n}, text[:n/2]), io.ErrUnexpectedEOF)
		},
		"no answer": func(string, item, netConn) error { return io.ErrUnexpectedEOF },
		"long code": func(_ string, _ item, conn netConn) error {
			return answer(conn, part{Code: strings.Repeat("c", 50_000)}, "")
		},
		"no message": func(_ string, _ item, conn netConn) error {
			_, err := conn.Write([]byte("\x05hello"))
			return err
		},
	}
	for name, wrong := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
			small, large := "small "+name, strings.Repeat("large "+name, 6<<20/len(name))
			m.liar(wrong, small, large)
			m.tell(m.file(root, "a.txt", "before it"), m.file(root, "small.txt", small), m.file(root, "large.bin", large), m.file(root, "z.txt", "behind it"))
			victim.await("what was before it", victim.has("a.txt", "before it"))
			victim.await("what was behind it", victim.has("z.txt", "behind it"))
			victim.await("two attempts", func() bool { return m.asks(hashText(small)) > 1 && m.asks(hashText(large)) > 1 })
			if !victim.lacks("small.txt") || !victim.lacks("large.bin") {
				t.Error("wrong bytes were put in place")
			}
			m.lie(nil)
			victim.await("the right bytes", victim.has("small.txt", small))
			victim.await("the right bytes, many", victim.has("large.bin", large))
			works(victim, honest, m)
		})
	}
}

// asks is how often a content was asked for.
func (m *mallory) asks(h reconcile.Hash) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.asked {
		for _, it := range q.Items {
			if len(it.Hash) > 0 && reconcile.Hash(it.Hash) == h {
				n++
			}
		}
	}
	return n
}

// A delta that is none, or makes something else, costs only itself: the file comes whole.
func TestHostileDeltas(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(sig *delta.Signature, size int64, conn netConn) error{
		"another text": func(sig *delta.Signature, size int64, conn netConn) error {
			_, err := delta.EncodeWith(conn, sig, strings.NewReader(strings.Repeat("X", int(size))), size, delta.EncodeOptions{Bare: true})
			return err
		},
		"the old text moved": func(sig *delta.Signature, size int64, conn netConn) error {
			w, err := delta.NewWriter(conn, delta.Header{Size: size, BaseSize: sig.Size()})
			if err != nil {
				return err
			}
			n := min(size, sig.Size()-1)
			err = errors.Join(w.WriteOp(delta.Op{Offset: 1, Length: n}), w.WriteOp(delta.Op{Data: make([]byte, size-n)}))
			return errors.Join(err, w.Close(delta.Sum{}))
		},
		"too short": func(sig *delta.Signature, size int64, conn netConn) error {
			_, err := delta.EncodeWith(conn, sig, strings.NewReader(strings.Repeat("X", int(size/2))), size/2, delta.EncodeOptions{Bare: true})
			return err
		},
		"too long": func(sig *delta.Signature, size int64, conn netConn) error {
			_, err := delta.EncodeWith(conn, sig, strings.NewReader(strings.Repeat("X", int(size*2))), size*2, delta.EncodeOptions{Bare: true})
			return err
		},
		"nonsense": func(_ *delta.Signature, _ int64, conn netConn) error {
			_, err := io.WriteString(conn, strings.Repeat("nonsense", 99))
			return err
		},
		"nothing": func(*delta.Signature, int64, netConn) error { return io.ErrUnexpectedEOF },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
			old := noise(1, 3<<20)
			e := m.file(root, "large.bin", old)
			m.tell(e)
			victim.await("the old version", victim.has("large.bin", old))
			text := old[:1<<20] + "an edit" + old[1<<20:2<<20] + "another" + old[2<<20:]
			forged := make(chan struct{}, 8)
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
				select {
				case forged <- struct{}{}:
				default:
				}
				return errors.Join(wire.WriteMsg(conn, part{}), forge(sig, size, conn))
			})
			m.tell(m.edited(e, text, false))
			if name == "another text" || name == "the old text moved" {
				// It is not known that it was on purpose: two blocks can have the same sums.
				victim.await("the new version", victim.has("large.bin", text))
			} else {
				victim.await("an attempt", func() bool { return len(forged) > 0 })
				m.lie(nil)
				victim.await("the new version from who is honest now", victim.has("large.bin", text))
			}
			if len(forged) == 0 {
				t.Error("no delta was asked for")
			}
			works(victim, honest, m)
		})
	}
}

// A manifest that is none, or that of something else, is not believed, and what came by it is
// not seen.
func TestHostileManifests(t *testing.T) {
	t.Parallel()
	of := func(text string, pieces bool) []byte {
		made, err := chunk.Scan(strings.NewReader(text), -1)
		if err != nil {
			t.Fatal(err)
		}
		return made.Difference(chunk.Outline{Pieces: pieces})
	}
	text := noise(2, 3<<20)
	lies := map[string][]byte{
		"of another text": of(noise(3, 3<<20), true), "of a shorter one": of(text[1:], true), "nothing": {}, "nonsense": []byte(strings.Repeat("nonsense", 99)),
		"cut off": of(text, true)[:1000],
	}
	lies["chunks of another text"] = forgeRoot(t, noise(4, 3<<20), hashText(text))
	for name, b := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
			m.mu.Lock()
			m.text[hashText(noise(4, 3<<20))] = noise(4, 3<<20)
			m.mu.Unlock()
			m.lie(func(q request, in *bufio.Reader, conn netConn) error {
				if q.Manifest == nil {
					// The chunks that the manifest speaks of.
					q.Items = slices.Clone(q.Items)
					for i := range q.Items {
						if name == "chunks of another text" && len(q.Items[i].Hash) > 0 && reconcile.Hash(q.Items[i].Hash) == hashText(text) {
							h := hashText(noise(4, 3<<20))
							q.Items[i].Hash = h[:]
						}
					}
					return m.honest(q, in, conn)
				}
				if _, err := readGrowing(in, q.Manifest.Length); err != nil {
					return err
				}
				return answer(conn, part{Length: int64(len(b))}, string(b))
			})
			m.tell(m.file(root, "large.bin", text))
			victim.await("two attempts", func() bool { return m.asks(hashText(text)) > 1 })
			if !victim.lacks("large.bin") {
				t.Error("it is there")
			}
			m.lie(nil)
			victim.await("the file, by an honest manifest", victim.has("large.bin", text))
			works(victim, honest, m)
		})
	}
}

// forgeRoot returns the manifest of a text as that of a content of the same size.
func forgeRoot(t *testing.T, text string, h reconcile.Hash) []byte {
	t.Helper()
	made, err := chunk.Scan(strings.NewReader(text), -1)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := made.WithoutPieces().AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	root := made.Root()
	packed = bytes.ReplaceAll(packed, root[:], h[:])
	b := made.Difference(chunk.Outline{})
	at := bytes.Index(b, root[:])
	copy(b[at:], h[:])
	check := blake3.Sum256(packed)
	copy(b[at+len(h):], check[:16])
	return b
}

// noise is a text without repetitions.
func noise(seed byte, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// What a member asks for is looked up, never opened: it gets what is in the folder by
// its hash, and nothing else.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Stalled: time.Second})
	victim.write("dir/file.txt", "a text of a file")
	victim.write("other.txt", "another text")
	if err := os.Symlink("/etc/passwd", filepath.Join(victim.dir, "link")); err != nil {
		t.Fatal(err)
	}
	honest.await("the files", honest.has("dir/file.txt", "a text of a file"))
	creator := victim.identity.ID()
	ask := func(items []item, gaps *gapped, after []byte) (part, []byte, error) {
		return m.ask(request{Folder: victim.folder.ID, Creator: creator[:], Items: items, Gaps: gaps}, after)
	}
	h := hashText("a text of a file")
	if p, b, err := ask([]item{{Hash: h[:], Path: "../../etc/passwd"}}, nil, nil); err != nil || p.Code != "" || string(b) != "a text of a file" {
		t.Errorf("by hash alone: %+v, %q, %v", p, b, err)
	}
	id, err := os.ReadFile(filepath.Join(victim.dir, ".shoal/id"))
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.ReadFile(filepath.Join(victim.dir, ".shoal/run-0"))
	if err != nil {
		t.Fatal(err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	zero, idHash, runHash, passwdHash := reconcile.Hash{}, hashText(string(id)), hashText(string(run)), hashText(string(passwd))
	for _, path := range []string{
		"../../etc/passwd", "/etc/passwd", "link", ".shoal/id", ".shoal/run-0", ".shoal", ".shoal/trash", "", ".", "..", "dir", "dir/", "dir/../other.txt",
		"other.txt\x00", strings.Repeat("d/", 2000), strings.Repeat("n", 5000),
	} {
		for _, h := range [][]byte{nil, zero[:], idHash[:], runHash[:], passwdHash[:], make([]byte, 31), make([]byte, 33)} {
			if p, b, err := ask([]item{{Hash: h, Path: path}}, nil, nil); err != nil || p != (part{Code: codeNotHere}) || len(b) > 0 {
				t.Errorf("%q with hash %x: %+v, %q, %v", path, h, p, b, err)
			}
		}
	}
	for _, it := range []item{{Offset: -1}, {Length: -1}, {Offset: 17}, {Length: 17}, {Offset: math.MaxInt64, Length: math.MaxInt64}, {Offset: 16, Length: 1}, {Offset: math.MinInt64}} {
		it.Hash, it.Path = h[:], "dir/file.txt"
		if p, b, err := ask([]item{it}, nil, nil); err != nil || p != (part{Code: codeNotHere}) || len(b) > 0 {
			t.Errorf("part %d+%d: %+v, %q, %v", it.Offset, it.Length, p, b, err)
		}
	}
	if p, b, err := ask([]item{{Hash: h[:], Path: "dir/file.txt", Offset: 2, Length: 4}}, nil, nil); err != nil || p.Length != 4 || string(b) != "text" {
		t.Errorf("a part: %+v, %q, %v", p, b, err)
	}
	one := []partSpan{{0, 16}}
	for name, g := range map[string]gapped{
		"2^40 blocks": {Spans: one, Block: 1, Size: 1 << 40}, "2^22 blocks": {Spans: one, Block: 1, Size: 1 << 22, Table: 13 << 22},
		"fewer sums than blocks": {Spans: one, Block: 512, Size: 1 << 20, Table: 13}, "less than none": {Spans: one, Block: 512, Size: -1, Table: -13},
		"no block": {Spans: one}, "no parts": {Block: 512}, "a part outside": {Spans: []partSpan{{8, 9}}, Block: 512},
		"a negative part": {Spans: []partSpan{{-1, 1}}, Block: 512}, "an endless part": {Spans: []partSpan{{1, math.MaxInt64}}, Block: 512},
		"too many parts": {Spans: make([]partSpan, assemble.MaxExtents+1), Block: 512},
	} {
		if p, b, err := ask([]item{{Hash: h[:], Path: "dir/file.txt"}}, &g, make([]byte, min(max(g.Table, 0), 1000))); err == nil {
			t.Errorf("%s: %+v, %q", name, p, b)
		}
	}
	for name, length := range map[string]int64{"negative": -1, "huge": math.MaxInt64, "cut off": 1000} {
		q := request{Folder: victim.folder.ID, Creator: creator[:], Items: []item{{Hash: h[:], Path: "dir/file.txt"}}, Manifest: &outlined{length}}
		if p, b, err := m.ask(q, []byte("outline")); err == nil {
			t.Errorf("outline %s: %+v, %q", name, p, b)
		}
	}
	many := make([]item, maxItems+1)
	for i := range many {
		many[i] = item{Hash: h[:], Path: fmt.Sprint(i)}
	}
	if p, b, err := ask(many, nil, nil); err == nil {
		t.Errorf("%d items: %+v, %d bytes", len(many), p, len(b))
	}
	if p, b, err := ask(many[:2], &gapped{Spans: one, Block: 512}, nil); err == nil {
		t.Errorf("a signature of two: %+v, %d bytes", p, len(b))
	}
	if _, _, err := ask(nil, nil, nil); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("a request for nothing: %v", err)
	}
	works(victim, honest, m)
}

// Files as large as can be said are not made room for.
func TestGiantFiles(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
	first := m.file(root, "old.bin", strings.Repeat("o", 2<<20))
	m.tell(first)
	victim.await("a large file", victim.has("old.bin", strings.Repeat("o", 2<<20)))
	grown := with(m.edited(first, "unknown", false), func(c *reconcile.Content) { c.Size = reconcile.MaxSize })
	giant := with(m.file(root, "giant.bin", "also unknown"), func(c *reconcile.Content) { c.Size = reconcile.MaxSize })
	m.tell(grown, giant)
	for _, path := range []string{"giant.bin", "old.bin"} {
		victim.await("that it is said", func() bool {
			return slices.ContainsFunc(strings.Split(victim.log(), "\n"), func(line string) bool {
				return strings.Contains(line, "path="+path) && strings.Contains(line, errFull.Error())
			})
		})
	}
	works(victim, honest, m)
	if !victim.has("old.bin", strings.Repeat("o", 2<<20))() || !victim.lacks("giant.bin") {
		t.Error("a file was touched")
	}
}
