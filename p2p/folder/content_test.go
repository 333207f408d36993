package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// linked returns a link whose other end is served by b.
func linked(t *testing.T, b *bench) p2p.Link {
	t.Helper()
	network := sim.New(sim.Options{})
	join := func() (p2p.Identity, p2p.Transport) {
		id, err := p2p.NewIdentity(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return id, network.Transport(sim.Local{Identity: id, Network: func() p2p.ID { return p2p.ID{1} }})
	}
	server, st := join()
	_, ct := join()
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		l, err := st.Accept(ctx)
		if err != nil {
			return
		}
		for {
			_, conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			serving.Go(func() { b.ServeContent(ctx, l, conn) })
		}
	})
	l, err := ct.Dial(t.Context(), p2p.Contact{PublicKey: server.PublicKey()}, nil)
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(ct.Close(), st.Close()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func allow(p2p.ID, string) bool { return true }

func fetch(t *testing.T, l p2p.Link, req Request) (Header, string, error) {
	t.Helper()
	h, body, err := Fetch(t.Context(), l, req)
	if err != nil {
		return h, "", err
	}
	text, err := io.ReadAll(body)
	return h, string(text), errors.Join(err, body.Close())
}

func TestFetch(t *testing.T) {
	b := newBench(t, Options{Allowed: allow}).start()
	large := strings.Repeat("0123456789abcdef", 40_000)
	dir := newTree(t, "a.txt=hello", "empty=", "d/large.bin="+large)
	id := b.add(dir).ID
	l := linked(t, b)
	hash := blake3.Sum256([]byte("hello"))
	for what, c := range map[string]struct {
		req  Request
		want string
		err  error
	}{
		"all":            {Request{Path: "a.txt"}, "hello", nil},
		"part":           {Request{Path: "a.txt", Offset: 1, Length: 3}, "ell", nil},
		"tail":           {Request{Path: "a.txt", Offset: 2}, "llo", nil},
		"at the end":     {Request{Path: "a.txt", Offset: 5}, "", nil},
		"empty":          {Request{Path: "empty"}, "", nil},
		"large":          {Request{Path: "d/large.bin"}, large, nil},
		"large part":     {Request{Path: "d/large.bin", Offset: 1, Length: 500_000}, large[1:500_001], nil},
		"head":           {Request{Path: "d/large.bin", Head: true}, "", nil},
		"same hash":      {Request{Path: "a.txt", IfHash: hash[:]}, "hello", nil},
		"other hash":     {Request{Path: "a.txt", IfHash: make([]byte, 32)}, "", ErrChanged},
		"beyond":         {Request{Path: "a.txt", Offset: 6}, "", ErrInvalid},
		"too long":       {Request{Path: "a.txt", Offset: 1, Length: 5}, "", ErrInvalid},
		"negative":       {Request{Path: "a.txt", Offset: -1}, "", ErrInvalid},
		"overflow":       {Request{Path: "a.txt", Offset: 1, Length: 1<<63 - 1}, "", ErrInvalid},
		"missing":        {Request{Path: "b"}, "", ErrNotFound},
		"directory":      {Request{Path: "d"}, "", ErrNotFound},
		"marker":         {Request{Path: ".shoal/id"}, "", ErrBadPath},
		"up":             {Request{Path: "../x"}, "", ErrBadPath},
		"unknown folder": {Request{Folder: strings.Repeat("a", 26), Path: "a.txt"}, "", ErrNotFound},
		"no folder":      {Request{Folder: "../x", Path: "a.txt"}, "", ErrForbidden},
	} {
		if c.req.Folder == "" {
			c.req.Folder = id
		}
		h, got, err := fetch(t, l, c.req)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, %v, want %d, %v", what, len(got), err, len(c.want), c.err)
		}
		if c.err == nil && (h.Length != int64(len(c.want)) || h.Hash == (Hash{}) || h.Modified.IsZero()) {
			t.Errorf("%s: header %+v", what, h)
		}
	}
	h, _, err := fetch(t, l, Request{Folder: id, Path: "a.txt"})
	if err != nil || h.Size != 5 || h.Hash != hash || !strings.HasPrefix(h.Type, "text/plain") {
		t.Errorf("header: %+v, %v", h, err)
	}
}

func TestFetchOnlyWhatIsAllowed(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	permit := false
	b := newBench(t, Options{Allowed: func(from p2p.ID, folder string) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, folder)
		return permit
	}}).start()
	id := b.add(newTree(t, "a=1")).ID
	l := linked(t, b)
	unknown := strings.Repeat("a", 26)
	for _, folder := range []string{id, unknown} { // nobody learns which exist
		if _, _, err := fetch(t, l, Request{Folder: folder, Path: "a"}); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", folder, err)
		}
	}
	mu.Lock()
	permit = true
	if diff := cmp.Diff([]string{id, unknown}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	mu.Unlock()
	if _, text, err := fetch(t, l, Request{Folder: id, Path: "a"}); err != nil || text != "1" {
		t.Errorf("%q, %v", text, err)
	}
	closed := newBench(t, Options{}).start()
	cid := closed.add(newTree(t, "a=1")).ID
	if _, _, err := fetch(t, linked(t, closed), Request{Folder: cid, Path: "a"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("without Allowed: %v", err)
	}
}

func TestFetchOfAnotherVersion(t *testing.T) {
	b := newBench(t, Options{Allowed: allow}).start()
	dir := newTree(t, "a=one")
	id := b.add(dir).ID
	l := linked(t, b)
	b.pause(id)
	hash := blake3.Sum256([]byte("one"))
	build(t, dir, "a=other")
	h, text, err := fetch(t, l, Request{Folder: id, Path: "a"})
	if err != nil || text != "other" || h.Hash != (Hash{}) || h.Size != 5 {
		t.Errorf("not yet indexed: %+v, %q, %v", h, text, err)
	}
	if _, _, err := fetch(t, l, Request{Folder: id, Path: "a", IfHash: hash[:]}); !errors.Is(err, ErrChanged) {
		t.Errorf("asked for by its old hash: %v", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "a")), os.Symlink("/etc/passwd", filepath.Join(dir, "a"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := fetch(t, l, Request{Folder: id, Path: "a"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a link in its place: %v", err)
	}
}

func TestFileChangesWhileItIsServed(t *testing.T) {
	size := 3 * sendBuffer
	for what, change := range map[string]func(path string) error{
		"shorter": func(p string) error { return os.Truncate(p, int64(size/2)) },
		"longer":  func(p string) error { return os.WriteFile(p, make([]byte, size+1), 0o644) },
		"edited":  func(p string) error { return os.WriteFile(p, make([]byte, size), 0o644) },
	} {
		b := newBench(t, Options{Allowed: allow}).start()
		dir := newTree(t, "a="+strings.Repeat("x", size))
		id := b.add(dir).ID
		client, server := net.Pipe() // takes a byte only when it is read
		var serving sync.WaitGroup
		serving.Go(func() { b.ServeContent(t.Context(), peer{}, server) })
		if err := wire.WriteMsg(client, Request{Folder: id, Path: "a"}); err != nil {
			t.Fatal(err)
		}
		var r reply
		if err := wire.ReadMsg(client, &r); err != nil || r.Length != int64(size) {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := change(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(client)
		if err != nil || len(got) >= size {
			t.Errorf("%s: all %d bytes came, %v", what, len(got), err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	}
}

// peer is a link of which only the peer's ID is asked.
type peer struct {
	p2p.Link
	id p2p.ID
}

func (p peer) Peer() p2p.ID { return p.id }

func TestLimitOfStreams(t *testing.T) {
	b := newBench(t, Options{Allowed: allow}).start()
	id := b.add(newTree(t, "a="+strings.Repeat("x", sendBuffer))).ID
	var serving sync.WaitGroup
	open := func(n int) (code string, conn net.Conn) {
		client, server := net.Pipe()
		serving.Go(func() { b.ServeContent(t.Context(), peer{id: p2p.ID{byte(n)}}, server) })
		if err := wire.WriteMsg(client, Request{Folder: id, Path: "a"}); err != nil {
			t.Fatal(err)
		}
		var r reply
		if err := wire.ReadMsg(client, &r); err != nil {
			t.Fatal(err)
		}
		return r.Code, client
	}
	var held []net.Conn
	for n := range maxServed / maxServedPeer {
		for range maxServedPeer {
			code, conn := open(n)
			if code != "" {
				t.Fatalf("stream %d: %s", len(held), code)
			}
			held = append(held, conn)
		}
		if code, conn := open(n); code != "busy" {
			t.Errorf("one too many of a peer: %q", code)
		} else {
			held = append(held, conn)
		}
	}
	code, conn := open(99)
	if code != "busy" {
		t.Errorf("one too many of all: %q", code)
	}
	for _, c := range append(held, conn) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	serving.Wait()
	if code, conn := open(99); code != "" {
		t.Errorf("after all have ended: %q", code)
	} else if err := conn.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait()
}

func TestServeEndsWithItsContext(t *testing.T) {
	b := newBench(t, Options{Allowed: allow})
	client, server := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.ServeContent(ctx, peer{}, server); close(done) }()
	cancel()
	<-done
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	// A peer that sends rubbish is cut off.
	client, server = net.Pipe()
	done = make(chan struct{})
	go func() { b.ServeContent(t.Context(), peer{}, server); close(done) }()
	if _, err := client.Write([]byte{0x03, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	<-done
}

// answering is a link whose peer answers every stream with the same bytes.
type answering struct {
	peer
	answer []byte
}

func (a answering) Open(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		var req Request
		if wire.ReadMsg(server, &req) == nil {
			_, _ = server.Write(a.answer)
		}
	}()
	return client, nil
}

func TestFetchFromALiar(t *testing.T) {
	good := blake3.Sum256([]byte("abc"))
	for what, c := range map[string]struct {
		reply reply
		body  string
		req   Request
		err   error
	}{
		"truth":         {reply{Size: 3, Length: 3, Hash: good[:]}, "abc", Request{}, nil},
		"other bytes":   {reply{Size: 3, Length: 3, Hash: good[:]}, "abd", Request{}, ErrCorrupt},
		"cut off":       {reply{Size: 3, Length: 3, Hash: good[:]}, "ab", Request{}, io.ErrUnexpectedEOF},
		"more bytes":    {reply{Size: 3, Length: 3, Hash: good[:]}, "abcdef", Request{}, nil},
		"other length":  {reply{Size: 9, Length: 3}, "abc", Request{}, errAny},
		"negative":      {reply{Size: -1, Length: -1}, "", Request{}, errAny},
		"beyond":        {reply{Size: 3, Length: 3}, "abc", Request{Offset: 1, Length: 3}, errAny},
		"short hash":    {reply{Size: 3, Length: 3, Hash: good[:5]}, "abc", Request{}, errAny},
		"another file":  {reply{Size: 3, Length: 3}, "abc", Request{IfHash: good[:]}, ErrChanged},
		"head and body": {reply{Size: 3, Length: 3}, "abc", Request{Head: true}, errAny},
		"new code":      {reply{Code: "teapot"}, "", Request{}, errAny},
	} {
		b, err := wire.Marshal(c.reply)
		if err != nil {
			t.Fatal(err)
		}
		answer := append(wire.AppendVarint(nil, uint64(len(b))), b...)
		c.req.Path = "a"
		_, text, err := fetch(t, answering{answer: append(answer, c.body...)}, c.req)
		if c.err == errAny && err == nil || c.err != errAny && !errors.Is(err, c.err) || err == nil && text != "abc" {
			t.Errorf("%s: %q, %v, want %v", what, text, err, c.err)
		}
	}
	if _, _, err := fetch(t, answering{}, Request{Path: "a"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no answer: %v", err)
	}
	h, err := reply{Size: 1, Length: 1, Type: "text/html\r\nX: y"}.header(Request{})
	if err != nil || h.Type != "" {
		t.Errorf("type %q, %v", h.Type, err)
	}
}

var errAny = errors.New("any error")

func TestFetchIsCancelled(t *testing.T) {
	b := newBench(t, Options{Allowed: allow}).start()
	id := b.add(newTree(t, "a="+strings.Repeat("x", 8<<20))).ID
	l := linked(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	_, body, err := Fetch(ctx, l, Request{Folder: id, Path: "a"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, body); err == nil {
		t.Error("a cancelled fetch came to its end")
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

func TestFileRange(t *testing.T) {
	b := newBench(t, Options{}).start()
	dir := newTree(t, "a=hello")
	id := b.add(dir).ID
	open := func() *File {
		t.Helper()
		f, err := b.OpenFile(id, "a")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, c := range [][2]int64{{-1, 1}, {0, -1}, {6, 0}, {0, 6}, {1, 1<<63 - 1}} {
		if _, err := open().Range(c[0], c[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
	r, err := open().Range(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if string(got) != "ell" || errors.Join(err, r.Close()) != nil {
		t.Errorf("%q, %v", got, err)
	}
	f := open()
	if _, err := f.Seek(-2, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	var tail bytes.Buffer
	if _, err := tail.ReadFrom(f); err != nil || tail.String() != "lo" || f.Unchanged() != nil {
		t.Errorf("%q, %v, %v", tail.String(), err, f.Unchanged())
	}
	touch(t, filepath.Join(dir, "a"), time.Unix(1, 0))
	if err := f.Unchanged(); !errors.Is(err, ErrChanged) {
		t.Errorf("touched: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckPath(t *testing.T) {
	for _, good := range []string{"a", "a/b", ".a", "..a", "a..", "...", "a b", "-", "*", "a\nb", `a\b`, "é", "a/.shoalignore", ".shoalx", strings.Repeat("n", 255), strings.TrimSuffix(strings.Repeat("a/", MaxDepth), "/")} {
		if err := CheckPath(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b", "a/./b", "\x00", "a\x00b", "\xff", "a/\xff",
		".shoal", ".shoal/id", "a/.shoal", "a/.shoal/b", ".SHOAL/id", ".ſhoal", strings.Repeat("n", 256), strings.Repeat("a/", MaxDepth) + "a", strings.Repeat("a", 5000),
	} {
		if err := CheckPath(bad); !errors.Is(err, ErrBadPath) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// FuzzContentPath asks for any path: what comes is one of the folder's files, and
// by its own name.
func FuzzContentPath(f *testing.F) {
	b := newBench(f, Options{Allowed: allow})
	outside := newTree(f, "secret=SECRET")
	dir := newTree(f, "a=in", "d/b=in", "link => a", "out => "+outside, "d/out => "+filepath.Join(outside, "secret"), ".hidden=in")
	b.start()
	id := b.add(dir).ID
	for _, p := range []string{"a", "d/b", "link", "out/secret", "d/out", "../x", "d/../a", "a/", "/a", ".shoal/id", "a\x00", "d//b", "%2e%2e/x", `d\b`, "D/B"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		file, err := b.OpenFile(id, path)
		if err != nil {
			return
		}
		defer file.Close()
		text, err := io.ReadAll(file)
		if err != nil || string(text) != "in" || file.Path != path || (path != "a" && path != "d/b" && path != ".hidden") {
			t.Errorf("%q gives %q, %v", path, text, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add("", int64(3), int64(3), []byte{}, "text/plain", int64(0), int64(0), false)
	f.Add("busy", int64(-3), int64(1<<62), make([]byte, 32), "\x00", int64(1), int64(2), true)
	f.Fuzz(func(t *testing.T, code string, size, length int64, hash []byte, media string, offset, want int64, head bool) {
		if offset < 0 || want < 0 {
			return // Fetch does not ask so
		}
		h, err := reply{Code: code, Size: size, Length: length, Hash: hash, Type: media}.header(Request{Offset: offset, Length: want, Head: head})
		if err == nil && (h.Size < 0 || h.Length < 0 || offset > h.Size || h.Length > h.Size-offset || want > 0 && !head && h.Length != want) {
			t.Errorf("accepted %+v", h)
		}
	})
}

// A long answer ends when its reader may not read any more.
func TestSendAsksAgain(t *testing.T) {
	for _, may := range []bool{true, false} {
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		asked := 0
		slow := iotest.OneByteReader(pausing{strings.NewReader("ab"), time.Second})
		err := send(here, slow, 2, func() bool { asked++; return may })
		if errors.Is(err, ErrForbidden) == may || asked == 0 {
			t.Errorf("may %v: %v, asked %d times", may, err, asked)
		}
		_ = here.Close()
		_ = there.Close()
	}
}

// pausing takes its time for each read.
type pausing struct {
	io.Reader
	pause time.Duration
}

func (p pausing) Read(b []byte) (int, error) {
	time.Sleep(p.pause)
	return p.Reader.Read(b)
}
