package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/delta"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// liar answers everything honestly but contents of which wrong says how.
func (m *mallory) liar(wrong func(text string, it item, conn netConn) error, about ...string) {
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		for i, it := range q.Items {
			at := slices.IndexFunc(about, func(text string) bool { return hashText(text) == reconcile.Hash(it.Hash) })
			var err error
			if at < 0 {
				err = m.honest(request{Items: q.Items[i : i+1]}, in, conn)
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
			if reconcile.Hash(it.Hash) == h {
				n++
			}
		}
	}
	return n
}

// A delta that is none, or makes more than was announced, is thrown away, and the file
// comes as a whole.
func TestHostileDeltas(t *testing.T) {
	t.Parallel()
	op := func(length uint64, data string) []byte {
		b := binary.AppendUvarint(nil, length)
		return append(b, data...)
	}
	for name, forge := range map[string]func(head []byte, size int64, text string) []byte{
		"copies without end": func(head []byte, _ int64, _ string) []byte {
			for range 1 << 16 {
				head = append(head, op(1<<20<<1, "\x00")...)
			}
			return head
		},
		"one giant copy":    func(head []byte, _ int64, _ string) []byte { return append(head, op(1<<62, "\x00")...) },
		"one giant literal": func(head []byte, _ int64, text string) []byte { return append(head, op(1<<60|1, text)...) },
		"another sum": func(head []byte, size int64, text string) []byte {
			head = append(head, op(uint64(size)<<1|1, strings.Repeat("X", int(size)))...)
			return append(head, make([]byte, 33)...)
		},
		"nonsense": func([]byte, int64, string) []byte { return []byte(strings.Repeat("nonsense", 99)) },
		"nothing":  func(head []byte, _ int64, _ string) []byte { return head },
		"another size": func(_ []byte, size int64, _ string) []byte {
			return append(append([]byte("shoaldl1"), binary.AppendUvarint(binary.AppendUvarint(nil, uint64(size)*1000), 0)...), make([]byte, 32)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
			old := strings.Repeat("old "+name, 2<<20/len(name))
			e := m.file(root, "large.bin", old)
			m.tell(e)
			victim.await("the old version", victim.has("large.bin", old))
			text := "new " + old
			forged := make(chan struct{}, 8)
			m.lie(func(q request, in *bufio.Reader, conn netConn) error {
				if !q.Signature {
					return m.honest(q, in, conn)
				}
				sig, err := delta.ReadSignature(in)
				if err != nil {
					return err
				}
				head := []byte("shoaldl1")
				head = binary.AppendUvarint(binary.AppendUvarint(head, uint64(len(text))), uint64(sig.Size()))
				sum := sig.Sum()
				head = append(head, sum[:]...)
				forged <- struct{}{}
				if err := answer(conn, part{}, string(forge(head, int64(len(text)), text))); err != nil {
					return err
				}
				return io.ErrUnexpectedEOF
			})
			m.tell(m.edited(e, text, false))
			victim.await("the new version", victim.has("large.bin", text))
			select {
			case <-forged:
			default:
				t.Error("no delta was asked for")
			}
			works(victim, honest, m)
		})
	}
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
	ask := func(items []item, signature bool, after []byte) (part, []byte, error) {
		return m.ask(request{Folder: victim.folder.ID, Creator: creator[:], Items: items, Signature: signature}, after)
	}
	h := hashText("a text of a file")
	if p, b, err := ask([]item{{Hash: h[:], Path: "../../etc/passwd"}}, false, nil); err != nil || p.Code != "" || string(b) != "a text of a file" {
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
			if p, b, err := ask([]item{{Hash: h, Path: path}}, false, nil); err != nil || p != (part{Code: codeNotHere}) || len(b) > 0 {
				t.Errorf("%q with hash %x: %+v, %q, %v", path, h, p, b, err)
			}
		}
	}
	for _, it := range []item{{Offset: -1}, {Length: -1}, {Offset: 17}, {Length: 17}, {Offset: math.MaxInt64, Length: math.MaxInt64}, {Offset: 16, Length: 1}, {Offset: math.MinInt64}} {
		it.Hash, it.Path = h[:], "dir/file.txt"
		if p, b, err := ask([]item{it}, false, nil); err != nil || p != (part{Code: codeNotHere}) || len(b) > 0 {
			t.Errorf("part %d+%d: %+v, %q, %v", it.Offset, it.Length, p, b, err)
		}
	}
	if p, b, err := ask([]item{{Hash: h[:], Path: "dir/file.txt", Offset: 2, Length: 4}}, false, nil); err != nil || p.Length != 4 || string(b) != "text" {
		t.Errorf("a part: %+v, %q, %v", p, b, err)
	}
	giant := append([]byte("shoalsg1"), binary.AppendUvarint(binary.AppendUvarint(nil, 1<<20), 1<<40)...)
	for name, sig := range map[string][]byte{
		"2^40 blocks": append([]byte("shoalsg1"), binary.AppendUvarint(binary.AppendUvarint(nil, 1), 1<<40)...),
		"2^20 blocks": append(giant, make([]byte, 1000)...), "no signature": nil, "nonsense": []byte(strings.Repeat("nonsense", 99)),
	} {
		if p, b, err := ask([]item{{Hash: h[:], Path: "dir/file.txt"}}, true, sig); err == nil {
			t.Errorf("%s: %+v, %q", name, p, b)
		}
	}
	many := make([]item, maxItems+1)
	for i := range many {
		many[i] = item{Hash: h[:], Path: fmt.Sprint(i)}
	}
	if p, b, err := ask(many, false, nil); err == nil {
		t.Errorf("%d items: %+v, %d bytes", len(many), p, len(b))
	}
	if p, b, err := ask(many[:2], true, nil); err == nil {
		t.Errorf("a signature of two: %+v, %d bytes", p, len(b))
	}
	if _, _, err := ask(nil, false, nil); err != nil && !errors.Is(err, io.EOF) {
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
	victim.await("the news", func() bool {
		return slices.ContainsFunc(victim.s.Transfers(), func(x replica.Transfer) bool { return x.Path == "giant.bin" })
	})
	victim.await("a warning", func() bool { return strings.Contains(victim.log(), errFull.Error()) })
	works(victim, honest, m)
	if !victim.has("old.bin", strings.Repeat("o", 2<<20))() || !victim.lacks("giant.bin") {
		t.Error("a file was touched")
	}
}
