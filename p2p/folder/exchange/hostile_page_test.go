package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// framed puts the length before a page.
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// What is no page ends the stream; it is opened again, and what is right then arrives.
func TestHostilePages(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: time.Millisecond})
	whole, err := appendPage(nil, page{upto: 3, entries: []reconcile.Entry{m.file(root, "x", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	count := func(n uint64) []byte { return wire.AppendVarint([]byte{1, 0, 0}, n) } // upto, nodes, claims, entries
	streams := 0
	for name, b := range map[string][]byte{
		"more than a mebibyte":  {0, 16, 0, 1, 1, 2, 3},
		"four gibibytes":        {255, 255, 255, 255},
		"ten million entries":   framed(count(10_000_000)),
		"2^63 entries":          framed(count(1 << 63)),
		"many nodes":            framed(wire.AppendVarint([]byte{1}, 65536)),
		"an unknown node":       framed(append(count(1), 9, 9, 0, 0)),
		"bytes after the end":   framed(append(whole[4:], 0)),
		"cut within an entry":   framed(whole[4 : len(whole)-3]),
		"nothing":               framed(nil),
		"a varint without end":  framed([]byte(strings.Repeat("\xff", 64))),
		"text instead of pages": []byte("\x00\x00\x01\x00" + strings.Repeat("GET / HTTP/1.1\r\n", 16)),
	} {
		before := strings.Count(victim.log(), "what are no entries")
		streams++
		victim.await(name+": a stream", func() bool { return m.streams() == streams })
		m.sendRaw(b)
		victim.await(name+": the end of the stream", func() bool {
			return strings.Count(victim.log(), "what are no entries") > before
		})
	}
	if !strings.Contains(victim.log(), "peer="+m.id().Short()) {
		t.Error("the log does not name the member")
	}
	victim.await("a stream afterwards", func() bool { return m.streams() > streams })
	works(victim, honest, m)
}

// Who sends entries without end fills neither the memory nor the log.
func TestFloodOfEntries(t *testing.T) {
	victim, honest, m := scene(t, Times{})
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	e := m.file(root, "..", "no name")
	const pages, each = 50, 3000
	var entries []reconcile.Entry
	for range each {
		e.ID.Counter++
		entries = append(entries, e)
	}
	before := heap()
	for i := range pages {
		m.send(page{entries: entries})
		if i%10 == 9 { // no more in the hands of the sender than the receiver takes
			name := fmt.Sprintf("mark %d.txt", i)
			m.tell(m.file(root, name, name))
			victim.await(name, victim.has(name, name))
		}
	}
	if grown := int64(heap()) - int64(before); grown > 24<<20 {
		t.Errorf("%d entries have cost %d bytes", pages*each, grown)
	}
	if n := strings.Count(victim.log(), "refused a change"); n != maxRefusals {
		t.Errorf("%d lines of log", n)
	}
	works(victim, honest, m)
}

// Who is slow holds up nobody but himself, and not for ever.
func TestSlowMember(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond, Hello: 200 * time.Millisecond, Stalled: 200 * time.Millisecond})
	for _, proto := range []string{IndexProtocol, FilesProtocol} {
		conn, err := m.link.Open(t.Context(), proto)
		if err != nil {
			t.Fatal(err)
		}
		slow(conn, []byte(strings.Repeat("\x7f", 1<<16)), t)
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: a stream on which nothing comes ends with %v", proto, err)
		}
		reset(conn)
	}
	// A content that comes byte by byte is asked of somebody else, and what comes with
	// it comes.
	loris := "one byte after the other " + strings.Repeat(".", 4000)
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		for i, it := range q.Items {
			if reconcile.Hash(it.Hash) == hashText(loris) {
				if err := wire.WriteMsg(conn, part{Length: int64(len(loris))}); err != nil {
					return err
				}
				slow(conn, []byte(loris), t)
				return io.ErrUnexpectedEOF
			}
			if err := m.honest(request{Items: q.Items[i : i+1]}, in, conn); err != nil {
				return err
			}
		}
		return nil
	})
	m.tell(m.file(root, "a.txt", "before it"), m.file(root, "loris.txt", loris), m.file(root, "z.txt", "behind it"))
	victim.await("what was before it", victim.has("a.txt", "before it"))
	victim.await("what was behind it", victim.has("z.txt", "behind it"))
	honest.write("found.txt", loris)
	victim.await("the content from somebody else", victim.has("loris.txt", loris))
	works(victim, honest, m)
}

// slow writes a byte each millisecond until the other side has had enough.
func slow(conn netConn, b []byte, t *testing.T) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range b {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
		if _, err := conn.Write(b[i : i+1]); err != nil {
			return
		}
	}
}

// A member without the right to read learns nothing, not even which folders there are.
func TestNoRight(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	victim.write("secret.txt", "for readers")
	honest.await("the file", honest.has("secret.txt", "for readers"))
	creator := victim.identity.ID()
	if w, _, _, err := m.welcome(victim.folder.ID, creator); err != nil || w.Code != "" || w.Last == 0 {
		t.Fatalf("a reader gets %+v, %v", w, err)
	}
	h := hashText("for readers")
	want := request{Folder: victim.folder.ID, Creator: creator[:], Items: []item{{Hash: h[:], Path: "secret.txt"}}}
	if p, b, err := m.ask(want, nil); err != nil || p.Code != "" || string(b) != "for readers" {
		t.Fatalf("a reader gets %+v, %q, %v", p, b, err)
	}
	m.town.let(m.id(), Access{})
	for _, id := range []string{victim.folder.ID, strings.Repeat("a", 26), "", "../etc"} {
		w, in, _, err := m.welcome(id, creator)
		if err != nil || w != (welcome{Code: codeNotKept}) {
			t.Errorf("index of %q: %+v, %v", id, w, err)
		}
		if b, err := io.ReadAll(in); len(b) > 0 {
			t.Errorf("index of %q: %d bytes follow, %v", id, len(b), err)
		}
		q := want
		q.Folder = id
		if p, b, err := m.ask(q, nil); err != nil || p != (part{Code: codeNotKept}) || len(b) > 0 {
			t.Errorf("content of %q: %+v, %q, %v", id, p, b, err)
		}
		req, err := wire.Marshal(digestRequest{Folder: id, Creator: creator[:]})
		if err != nil {
			t.Fatal(err)
		}
		var refused *p2p.CallError
		if b, err := m.link.Call(t.Context(), DigestProtocol, req); !errors.As(err, &refused) || refused.Code != codeNotKept {
			t.Errorf("digest of %q: %x, %v", id, b, err)
		}
	}
	if w, _, _, err := m.welcome(victim.folder.ID, m.id()); err != nil || w.Code != codeNotKept {
		t.Errorf("the folder of another creator: %+v, %v", w, err)
	}
	honest.write("more.txt", "still kept")
	victim.await("a file", victim.has("more.txt", "still kept"))
}

// Nobody who is no member is heard, or asked.
func TestStranger(t *testing.T) {
	t.Parallel()
	w := newTown()
	victim := w.keep(t, nil, Times{})
	victim.write("secret.txt", "for members")
	m := w.invade(t, victim, false)
	m.tell(m.file(root, "planted.txt", "by a stranger"))
	creator := victim.identity.ID()
	if got, _, _, err := m.welcome(victim.folder.ID, creator); err != nil || got.Code != codeNotKept {
		t.Errorf("a stranger is told %+v, %v", got, err)
	}
	h := hashText("for members")
	p, b, err := m.ask(request{Folder: victim.folder.ID, Creator: creator[:], Items: []item{{Hash: h[:], Path: "secret.txt"}}}, nil)
	if err != nil || p.Code != codeNotKept || len(b) > 0 {
		t.Errorf("a stranger gets %+v, %q, %v", p, b, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hellos > 0 || !victim.lacks("planted.txt") {
		t.Error("a stranger is asked for entries")
	}
}
