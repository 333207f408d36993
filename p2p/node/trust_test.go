package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/search"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readAll reads a whole file of a folder.
func readAll(t *testing.T, n *Node, id string, from p2p.ID, file string) (string, error) {
	t.Helper()
	c, err := n.Content(t.Context(), id, from, file)
	if err != nil {
		return "", err
	}
	r, err := c.ReadRange(t.Context(), 0, c.Size)
	if err != nil {
		return "", errors.Join(err, c.Close())
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close(), c.Close())
}

// A member that offers its own directory by the id and the label of somebody else's
// folder gets nobody to take its files for the other's.
func TestCopiedFolderID(t *testing.T) {
	nodes := class(t, "alice", "bob", "mallory")
	alice, bob, mallory := nodes[0], nodes[1], nodes[2]
	good, bad := t.TempDir(), t.TempDir()
	write(t, good, "plan.md", "the plan")
	write(t, bad, "plan.md", "no plan at all")
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: good, Label: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	// The marker alone: what else is there comes and goes while the folder is kept.
	marker, err := os.ReadFile(filepath.Join(good, ".shoal", "id"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(bad, ".shoal"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, bad, ".shoal/id", string(marker))
	if g, err := mallory.AddFolder(t.Context(), folder.AddOptions{Path: bad, Label: "notes"}); err != nil || g.ID != f.ID {
		t.Fatalf("the copy is %s, %v", g.ID, err)
	}
	for _, n := range []*Node{alice, mallory} {
		await(t, n, "indexed", func() bool { return n.Status().Documents == 1 })
	}
	for _, n := range nodes {
		await(t, n, "both offers", func() bool { return len(n.Folders()) == 2 })
	}
	for _, name := range []string{f.ID, "notes"} {
		_, err := bob.Folder(name, p2p.ID{})
		if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), alice.ID().String()) || !strings.Contains(err.Error(), mallory.ID().String()) {
			t.Errorf("folder %s of nobody in particular: %v", name, err)
		}
		if _, err := readAll(t, bob, name, p2p.ID{}, "plan.md"); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("content of %s: %v", name, err)
		}
		if _, _, err := bob.Entries(t.Context(), name, p2p.ID{}, "", "", 10); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("entries of %s: %v", name, err)
		}
		for _, row := range []struct {
			at, from *Node
			want     string
		}{{bob, alice, "the plan"}, {bob, mallory, "no plan at all"}, {alice, mallory, "no plan at all"}, {mallory, alice, "the plan"}} {
			if got, err := readAll(t, row.at, name, row.from.ID(), "plan.md"); err != nil || got != row.want {
				t.Errorf("%s reads %s of %s: %q, %v", row.at.Name(), name, row.from.Name(), got, err)
			}
		}
		if got, err := readAll(t, alice, name, p2p.ID{}, "plan.md"); err != nil || got != "the plan" {
			t.Errorf("alice reads her own %s: %q, %v", name, got, err)
		}
		if _, err := bob.Folder(name, bob.ID()); !errors.Is(err, ErrNotFound) {
			t.Errorf("a folder that bob does not share: %v", err)
		}
	}
	if entries, _, err := bob.Entries(t.Context(), f.ID, mallory.ID(), "", "", 10); err != nil || len(entries) != 1 || entries[0].Size != 14 {
		t.Errorf("entries of mallory: %v, %v", entries, err)
	}
	if err := alice.RemoveFolder(t.Context(), "notes"); err != nil {
		t.Errorf("alice's own folder, by a label that mallory has too: %v", err)
	}
}

// A removed node is told, at once or when it comes back, says so, lets go of
// everybody, starts again, and may join: the same network as well as another.
func TestRevokedNode(t *testing.T) {
	nodes := class(t, "alice", "bob", "chiara")
	alice, bob := nodes[0], nodes[1]
	store, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	dora := startNode(t, Options{Name: "dora", Store: store})
	join := func(n, to *Node) Joined {
		t.Helper()
		inv, err := to.Invite(t.Context(), member.InviteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		j, err := n.Join(t.Context(), inv.Link(""))
		if err != nil {
			t.Fatalf("%s joins %s: %v", n.Name(), to.Name(), err)
		}
		return j
	}
	join(dora, alice)
	await(t, dora, "links", linkedTo(dora, 3))
	if err := dora.Close(); err != nil { // she is away when it happens
		t.Fatal(err)
	}
	for _, n := range []*Node{bob, dora} {
		if n.Status().Revoked {
			t.Errorf("%s counts as removed", n.Name())
		}
		if err := alice.Revoke(t.Context(), n.ID()); err != nil {
			t.Fatal(err)
		}
	}
	dora = startNode(t, Options{Name: "dora", Store: store})
	for _, n := range []*Node{bob, dora} {
		await(t, n, "the news", func() bool { return n.Status().Revoked })
		await(t, n, "the end of the links", linkedTo(n, 0))
		if s := n.Status(); len(n.Peers()) != 0 || s.Members != 1 {
			t.Errorf("%s still knows %v, %d members", n.Name(), n.Peers(), s.Members)
		}
		if a, err := n.Search(t.Context(), search.Query{Text: "x"}, nil); err != nil || a.NodesAsked != 1 || a.Partial {
			t.Errorf("%s asks %d nodes: %v", n.Name(), a.NodesAsked, err)
		}
	}
	if err := dora.Close(); err != nil {
		t.Fatal(err)
	}
	dora = startNode(t, Options{Name: "dora", Store: store})
	if _, err := dora.AddFolder(t.Context(), folder.AddOptions{Path: t.TempDir(), Label: "hers"}); err != nil {
		t.Errorf("sharing while removed: %v", err)
	}
	if j := join(bob, alice); len(j.Words) != 4 || j.Members != 3 || bob.Status().Revoked {
		t.Errorf("bob came back as %+v, revoked %v", j, bob.Status().Revoked)
	}
	await(t, bob, "links", linkedTo(bob, 2))
	other := startNode(t, Options{Name: "other"})
	if j := join(dora, other); j.Network.ID != other.Status().Network.ID || j.Members != 2 || dora.Status().Revoked {
		t.Errorf("dora joined %+v", j)
	}
	await(t, other, "dora's folder", func() bool { _, err := other.Folder("hers", dora.ID()); return err == nil })
}

// Two states of a file are never mixed, also while neither has been indexed.
func TestContentOfOneState(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	dir := t.TempDir()
	write(t, dir, "log.txt", "first")
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: dir, Label: "logs"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, alice, "indexed", func() bool { return alice.Status().Documents == 1 })
	await(t, bob, "the offer", func() bool { _, err := bob.Folder(f.ID, alice.ID()); return err == nil })
	paused := true // nothing is indexed from here on
	if _, err := alice.UpdateFolder(t.Context(), f.ID, folder.Changes{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	change := func(text string) {
		write(t, dir, "log.txt", text)
		at = at.Add(time.Minute)
		if err := os.Chtimes(filepath.Join(dir, "log.txt"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		change("other")
		c, err := n.Content(t.Context(), f.ID, alice.ID(), "log.txt")
		if err != nil || c.Hash != (folder.Hash{}) {
			t.Fatalf("%s: hash %v, %v", n.Name(), c.Hash, err)
		}
		read := func() (string, error) {
			r, err := c.ReadRange(t.Context(), 1, 3)
			if err != nil {
				return "", err
			}
			b, err := io.ReadAll(r)
			return string(b), errors.Join(err, r.Close())
		}
		if got, err := read(); err != nil || got != "the" {
			t.Errorf("%s: %q, %v", n.Name(), got, err)
		}
		change("third")
		if got, err := read(); !errors.Is(err, folder.ErrChanged) {
			t.Errorf("%s: %q of another state, %v", n.Name(), got, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// broken fails after some bytes.
type broken struct{}

func (broken) Read([]byte) (int, error)          { return 0, errors.New("input/output error") }
func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func (broken) Close() error { return nil }

// content is a file in memory.
type content struct{ *strings.Reader }

func (content) Close() error { return nil }

// A file that cannot be read is found by its name, and the others by their text.
func TestSinkOfAnUnreadableFile(t *testing.T) {
	index, err := search.Open(t.Context(), search.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	lacking, err := openUnread(t.Context(), new(extract.Memory), log)
	if err != nil {
		t.Fatal(err)
	}
	s := sink{index, extract.New(extract.Options{}), lacking, log}
	f := &folder.Folder{ID: strings.Repeat("a", 26), Label: "notes"}
	update := func(name string, open func() (folder.Content, error)) folder.Update {
		return folder.Update{Folder: f, Entry: folder.Entry{Path: name, Kind: folder.KindFile, Size: 8}, Open: open}
	}
	updates := []folder.Update{
		update("damaged.txt", func() (folder.Content, error) { return broken{}, nil }),
		update("locked.txt", func() (folder.Content, error) { return nil, os.ErrPermission }),
		update("moving.txt", func() (folder.Content, error) { return nil, folder.ErrChanged }),
		update("fine.txt", func() (folder.Content, error) { return content{strings.NewReader("kademlia")}, nil }),
	}
	if err := s.Put(t.Context(), updates); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"damaged": 1, "locked": 1, "kademlia": 1, "moving": 0} {
		mesh := &search.Mesh{Index: index, Self: search.Member{ID: p2p.ID{1}}}
		if a, err := mesh.Ask(t.Context(), search.Query{Text: query}, nil, nil); err != nil || len(a.Hits) != want {
			t.Errorf("%s: %d hits, want %d: %v", query, len(a.Hits), want, err)
		}
	}
	if got := lacking.of(f.ID)[extract.Unavailable]; got != 2 {
		t.Errorf("%d files are said to be unread", got)
	}
	if got := strings.Count(logged.String(), "level=WARN"); got != 2 {
		t.Errorf("%d warnings: %s", got, &logged)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, updates); err == nil {
		t.Error("a cancelled batch counts as done")
	}
}

// After Close nothing begins, and what runs then ends before Close returns.
func TestCloseDuringJoin(t *testing.T) {
	alice := startNode(t, Options{Name: "alice"})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{MaxUses: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		n := startNode(t, Options{Name: "n"})
		var joining sync.WaitGroup
		joining.Go(func() { _, _ = n.Join(t.Context(), inv.Link("")) }) // either is right
		joining.Go(func() { _, _ = n.Search(t.Context(), search.Query{Text: "x"}, nil) })
		for range i * 200 {
			_ = n.Status() // some time passes
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		joining.Wait()
		own := n.Status().Network
		for what, call := range map[string]func() error{
			"join":       func() error { _, err := n.Join(t.Context(), inv.Link("")); return err },
			"invite":     func() error { _, err := n.Invite(t.Context(), member.InviteOptions{}); return err },
			"add folder": func() error { _, err := n.AddFolder(t.Context(), folder.AddOptions{Path: t.TempDir()}); return err },
			"search":     func() error { _, err := n.Search(t.Context(), search.Query{Text: "x"}, nil); return err },
			"publish":    func() error { _, err := n.AddDocument(t.Context(), search.Document{Title: "x"}); return err },
			"content":    func() error { _, err := n.Content(t.Context(), "x", p2p.ID{}, "x"); return err },
			"document":   func() error { _, _, err := n.Document(t.Context(), "x", p2p.ID{}); return err },
			"revoke":     func() error { return n.Revoke(t.Context(), alice.ID()) },
		} {
			if err := call(); !errors.Is(err, p2p.ErrClosed) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		if now := n.Status().Network; now != own {
			t.Errorf("the network changed from %v to %v after Close", own, now)
		}
	}
}

// early is a transport that serves before whoever makes it knows it.
type early struct {
	*rtc.Transport
	asked sync.WaitGroup
}

// A transport's own protocols are served as soon as they can be, from the moment on
// at which it listens.
func TestHandlersDuringListen(t *testing.T) {
	e := &early{}
	var handler func(string) p2p.Handler
	done := make(chan struct{})
	n := startNode(t, Options{Transport: func(l link.Local) (p2p.Transport, error) {
		handler = l.Handler
		e.asked.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = l.Handler("signal/1"), l.Handler(member.ProtoJoin)
				}
			}
		})
		var err error
		e.Transport, err = rtc.Listen(t.Context(), rtc.Options{Local: l, Listen: "127.0.0.1:0"})
		return e, err
	}})
	close(done)
	e.asked.Wait()
	if handler("signal/1") == nil || handler(search.Proto) == nil || handler("nothing/1") != nil {
		t.Errorf("%s serves the wrong protocols", n.Name())
	}
}
