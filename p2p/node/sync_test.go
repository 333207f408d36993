package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/exchange"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// kept is a folder on one node.
type kept struct {
	*Node
	t   *testing.T
	id  string
	dir string
}

// together starts nodes that keep one folder; the first one has made it.
func together(t *testing.T, access string, names ...string) []*kept {
	t.Helper()
	nodes := class(t, names...)
	first := &kept{Node: nodes[0], t: t, dir: t.TempDir()}
	f, err := first.AddFolder(t.Context(), folder.AddOptions{Path: first.dir, Label: "common", Access: access})
	if err != nil {
		t.Fatal(err)
	}
	first.id = f.ID
	all := []*kept{first}
	for _, n := range nodes[1:] {
		all = append(all, join(t, n, first, t.TempDir()))
	}
	return all
}

// TestAskedAtOnce: a folder that was added a moment ago answers, though what keeps it in line is only about to begin.
func TestAskedAtOnce(t *testing.T) {
	n := startNode(t, Options{})
	for range 20 {
		f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Known(t.Context(), f.ID, "", "", 10); err != nil {
			t.Errorf("what is in it: %v", err)
		}
	}
	if _, _, err := n.Known(t.Context(), "nothing", "", "", 10); err == nil {
		t.Error("a folder that is not kept is listed")
	}
}

// join has a node keep the folder that another has made.
func join(t *testing.T, n *Node, of *kept, dir string) *kept {
	t.Helper()
	await(t, n, "the offer", func() bool { _, err := n.Folder(of.id, of.ID()); return err == nil })
	if _, err := n.JoinFolder(t.Context(), of.id, of.ID(), dir); err != nil {
		t.Fatal(err)
	}
	return &kept{Node: n, t: t, id: of.id, dir: dir}
}

func (k *kept) path(name string) string { return filepath.Join(k.dir, name) }

// put writes a file, and the directories above it.
func (k *kept) put(name, text string) {
	k.t.Helper()
	if err := os.MkdirAll(filepath.Dir(k.path(name)), 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(k.path(name), []byte(text), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) has(name, text string) bool {
	b, err := os.ReadFile(k.path(name))
	return err == nil && string(b) == text
}

func (k *kept) lacks(name string) bool {
	_, err := os.Lstat(k.path(name))
	return errors.Is(err, fs.ErrNotExist)
}

func (k *kept) awaitFile(name, text string) {
	k.t.Helper()
	await(k.t, k.Node, fmt.Sprintf("%.60q with %.30q", name, text), func() bool { return k.has(name, text) })
}

func (k *kept) awaitGone(name string) {
	k.t.Helper()
	await(k.t, k.Node, "the end of "+name, func() bool { return k.lacks(name) })
}

func (k *kept) remove(name string) {
	k.t.Helper()
	if err := os.RemoveAll(k.path(name)); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) rename(from, to string) {
	k.t.Helper()
	if err := os.Rename(k.path(from), k.path(to)); err != nil {
		k.t.Fatal(err)
	}
}

// tree is what is in the folder, as text.
func (k *kept) tree() map[string]string {
	k.t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(k.dir), ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is changed meanwhile
		}
		if err != nil {
			return err
		}
		if p == ".shoal" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			out[p] = "dir " + info.Mode().Perm().String()
			return nil
		}
		b, err := os.ReadFile(k.path(p))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		out[p] = fmt.Sprint(info.Mode().Perm(), info.ModTime().UnixNano(), string(b))
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	delete(out, ".")
	return out
}

// eventually waits for what several nodes have to do with, so that no event of one says
// that it is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.NewTimer(time.Minute)
	defer tick.Stop()
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

// received returns what came to a path, as far as it is remembered.
func (k *kept) received(path string) (found []replica.Transfer) {
	for _, x := range k.Transfers() {
		if x.Path == path && x.State == replica.TransferDone {
			found = append(found, x)
		}
	}
	return found
}

func noise(size int, seed uint64) string {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails
	return string(b)
}

// Everything about files and directories is the same on both nodes, whatever their
// names; and nothing that only moves comes over the network.
func TestFilesBothWays(t *testing.T) {
	t.Parallel()
	both := together(t, "", "alice", "bob")
	alice, bob := both[0], both[1]
	names := []string{
		"plain.txt", "Ελληνικά.txt", "русский", "日本語.txt", "العربية", "עברית", "हिन्दी", "ไทย", "한국어", "emoji 👩‍👩‍👧‍👦🏳️‍🌈",
		`quotes "'` + "`", "new\nline", "tab\there", "back\\slash", ".hidden", "..two dots", " leading", "trailing ", "dot.", "-dash", "a:b|c?d*e<f>",
		strings.Repeat("ü", 127) + "x", "cafe\u0301", "dir/sub/deep.txt", "%2e%2e", "\u200b", "ﬁ", "İ", "CON", "nul.txt",
	}
	for i, name := range names {
		from := both[i%2]
		from.put(name, "text of "+name)
		at := time.Unix(1_600_000_000+int64(i), int64(123_456_789+i))
		if err := errors.Join(os.Chmod(from.path(name), fs.FileMode(0o600+i%8*8)), os.Chtimes(from.path(name), at, at)); err != nil {
			t.Fatal(err)
		}
	}
	alice.put("empty", "")
	if err := errors.Join(os.MkdirAll(bob.path("empty dir/inner"), 0o750), os.Chmod(bob.path("empty dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	same := func() bool { return maps.Equal(alice.tree(), bob.tree()) && len(alice.tree()) >= len(names)+5 }
	for _, k := range both {
		await(t, k.Node, "everything", func() bool {
			_, err := os.Lstat(k.path("empty dir/inner"))
			return err == nil && len(k.tree()) >= len(names)+5
		})
	}
	eventually(t, "the same", same)
	bob.put("plain.txt", "edited by bob")
	alice.awaitFile("plain.txt", "edited by bob")
	alice.put("dir/sub/deep.txt", noise(100_000, 1))
	bob.awaitFile("dir/sub/deep.txt", noise(100_000, 1))
	bob.remove("new\nline")
	alice.awaitGone("new\nline")
	before := len(bob.Transfers())
	alice.rename("dir", "moved")
	alice.rename("русский", "moved/russian")
	bob.awaitFile("moved/sub/deep.txt", noise(100_000, 1))
	bob.awaitFile("moved/russian", "text of русский")
	bob.awaitGone("dir")
	bob.awaitGone("русский")
	if after := bob.Transfers(); len(after) != before {
		t.Errorf("a move was transferred: %+v", after[:len(after)-before])
	}
	eventually(t, "the same after all", func() bool { return maps.Equal(alice.tree(), bob.tree()) })
}

// What one node has done reaches another through a third that was off meanwhile.
func TestThroughTheMiddle(t *testing.T) {
	t.Parallel()
	stores := map[string]*memory{}
	nodes, ports := map[string]*kept{}, map[string]string{}
	start := func(name string) *Node {
		if stores[name] == nil {
			var err error
			if stores[name], err = newMemory(); err != nil {
				t.Fatal(err)
			}
		}
		n := startNode(t, Options{Name: name, Store: stores[name], Listen: ports[name]})
		ports[name] = n.Status().P2P[0].String() // where the others look for it
		return n
	}
	a := start("a")
	inv, err := a.Invite(t.Context(), member.InviteOptions{MaxUses: 2})
	if err != nil {
		t.Fatal(err)
	}
	first := &kept{Node: a, t: t, dir: t.TempDir()}
	f, err := a.AddFolder(t.Context(), folder.AddOptions{Path: first.dir})
	if err != nil {
		t.Fatal(err)
	}
	first.id = f.ID
	nodes["a"] = first
	for _, name := range []string{"b", "c"} {
		n := start(name)
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
		nodes[name] = join(t, n, first, t.TempDir())
	}
	off := func(name string) {
		t.Helper()
		if err := nodes[name].Close(); err != nil {
			t.Fatal(err)
		}
	}
	on := func(name string) { nodes[name].Node = start(name) }
	first.put("old.txt", "old")
	first.put("goes.txt", "goes")
	for _, k := range nodes {
		k.awaitFile("old.txt", "old")
		k.awaitFile("goes.txt", "goes")
	}
	off("b")
	off("c")
	first.put("dir/new.txt", "new")
	first.put("old.txt", "edited")
	first.remove("goes.txt")
	await(t, first.Node, "recorded", func() bool {
		known, _, err := first.Known(t.Context(), first.id, "", "", 100)
		return err == nil && len(known) == 3 && slices.ContainsFunc(known, func(x replica.Known) bool { return x.Path == "old.txt" && x.Size == 6 && len(x.Members) > 0 })
	})
	on("b")
	nodes["b"].awaitFile("dir/new.txt", "new")
	nodes["b"].awaitFile("old.txt", "edited")
	nodes["b"].awaitGone("goes.txt")
	off("a")
	on("c")
	nodes["c"].awaitFile("dir/new.txt", "new")
	nodes["c"].awaitFile("old.txt", "edited")
	nodes["c"].awaitGone("goes.txt")
	nodes["c"].put("c.txt", "of c")
	nodes["b"].awaitFile("c.txt", "of c")
	on("a")
	nodes["a"].awaitFile("c.txt", "of c")
}

// Two edit one file at once: both are kept, everybody sees the same, and one resolves
// it for all.
func TestConflicts(t *testing.T) {
	t.Parallel()
	all := together(t, "", "alice", "bob", "chiara")
	names := map[string]string{"ours.txt": replica.KeepOurs, "theirs.txt": replica.KeepTheirs, "both.txt": replica.KeepBoth}
	for name := range names {
		all[0].put(name, "base")
	}
	for _, k := range all {
		for name := range names {
			k.awaitFile(name, "base")
		}
	}
	paused, resumed := true, false
	for _, k := range all[:2] {
		if _, err := k.UpdateFolder(t.Context(), k.id, folder.Changes{Paused: &paused}); err != nil {
			t.Fatal(err)
		}
	}
	for name := range names {
		all[0].put(name, "alice writes")
		all[1].put(name, "bob writes too")
	}
	for _, k := range all[:2] {
		if _, err := k.UpdateFolder(t.Context(), k.id, folder.Changes{Paused: &resumed}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(k *kept) []replica.Conflict {
		c, err := k.Conflicts(t.Context(), k.id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, k := range all {
		await(t, k.Node, "three conflicts", func() bool { return len(list(k)) == 3 && len(k.tree()) == 6 })
	}
	want := list(all[0])
	for _, k := range all[1:] {
		if got := list(k); !slices.Equal(got, want) {
			t.Errorf("%s has the conflicts %+v, %s %+v", k.Name(), got, all[0].Name(), want)
		}
	}
	texts := func(k *kept) []string {
		var out []string
		for name := range k.tree() {
			b, err := os.ReadFile(k.path(name))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, name+": "+string(b))
		}
		slices.Sort(out)
		return out
	}
	before := texts(all[0])
	for i, c := range want {
		// A conflict is listed as soon as it is known, before its contents are here.
		eventually(t, "the contents of "+c.Path, func() bool {
			n, err := all[i%3].Resolve(t.Context(), all[0].id, []uint64{c.N}, names[c.Path])
			if !errors.Is(err, replica.ErrNotHere) && (err != nil || n != 1) {
				t.Fatalf("resolve %s: %d, %v", c.Path, n, err)
			}
			return err == nil
		})
	}
	for _, k := range all {
		await(t, k.Node, "the end of the conflicts", func() bool { return len(list(k)) == 0 && len(k.tree()) == 4 })
	}
	for _, k := range all[1:] {
		eventually(t, "the same", func() bool { return slices.Equal(texts(k), texts(all[0])) })
	}
	if _, err := all[2].Resolve(t.Context(), all[0].id, []uint64{want[0].N}, replica.KeepOurs); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("resolving what is resolved: %v", err)
	}
	for _, c := range want {
		ours, theirs := slices.ContainsFunc(before, func(s string) bool { return strings.HasPrefix(s, c.Path+": ") }), c.Theirs.Path
		if !ours || theirs == "" {
			t.Errorf("conflict %+v is not among %v", c, before)
		}
	}
}

// What others delete is in the trash, with who and when; and who has deleted it gets it
// back from there.
func TestTrash(t *testing.T) {
	t.Parallel()
	both := together(t, "", "alice", "bob")
	alice, bob := both[0], both[1]
	start := time.Now().Add(-time.Second)
	text := noise(200_000, 2)
	alice.put("dir/lost.bin", text)
	alice.put("edited.txt", "before")
	bob.awaitFile("dir/lost.bin", text)
	bob.awaitFile("edited.txt", "before")
	bob.remove("dir")
	bob.put("edited.txt", "after")
	alice.awaitGone("dir/lost.bin")
	alice.awaitFile("edited.txt", "after")
	trash := func(k *kept) map[string]replica.Discarded {
		all, err := k.Trash(t.Context(), k.id, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]replica.Discarded{}
		for _, d := range all {
			out[d.Path] = d
		}
		return out
	}
	for path, deleted := range map[string]bool{"dir/lost.bin": true, "edited.txt": false} {
		d := trash(alice)[path]
		if d.Member != bob.ID() || d.Deleted != deleted || d.Time.Before(start) || d.Time.After(time.Now()) || d.Name == "" {
			t.Errorf("alice's trash has %+v of %s", d, path)
		}
	}
	mine := trash(bob)["dir/lost.bin"]
	if mine.Name != "" || mine.Member != bob.ID() {
		t.Errorf("bob's trash has %+v", mine)
	}
	paths, err := bob.Restore(t.Context(), bob.id, []int64{mine.N})
	if err != nil || !slices.Equal(paths, []string{"dir/lost.bin"}) {
		t.Fatalf("restored %v, %v", paths, err)
	}
	if !bob.has("dir/lost.bin", text) {
		t.Error("other bytes were restored")
	}
	alice.awaitFile("dir/lost.bin", text)
	old := trash(alice)["edited.txt"]
	if paths, err = alice.Restore(t.Context(), alice.id, []int64{old.N}); err != nil || len(paths) != 1 || !alice.has(paths[0], "before") || !alice.has("edited.txt", "after") {
		t.Fatalf("restored %v, %v", paths, err)
	}
	bob.awaitFile(paths[0], "before")
	if _, err := alice.Restore(t.Context(), alice.id, []int64{old.N}); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("restoring twice: %v", err)
	}
}

// What several want at once they give each other while they get it.
func TestCrowd(t *testing.T) {
	t.Parallel()
	all := together(t, "", "ada", "ben", "carl", "dora")
	out := func() (n uint64) {
		for _, p := range all[0].Peers() {
			n += p.Stats.BytesOut
		}
		return n
	}
	all[0].put("small.txt", "so that it is known who keeps the folder")
	for _, k := range all[1:] {
		k.awaitFile("small.txt", "so that it is known who keeps the folder")
		await(t, k.Node, "links", linkedTo(k.Node, 3))
	}
	for _, k := range all {
		k.SetLimits(link.Rates{Up: 3 << 20})
	}
	before := out()
	text := noise(9<<20, 5)
	all[0].put("large.bin", text)
	for _, k := range all[1:] {
		k.awaitFile("large.bin", text)
	}
	sent := float64(out()-before) / float64(len(text))
	t.Logf("%.2f of the file sent by who had it", sent)
	if sent > 2.2 { // 3 if nobody else gave anything; on a machine with nothing else to do about 1.3
		t.Errorf("%.2f of the file sent by who had it to 3 others", sent)
	}
}

// Of an edit of a large file comes what has changed; of a large file of two members
// each brings a part.
func TestLargeFiles(t *testing.T) {
	t.Parallel()
	all := together(t, "", "alice", "bob")
	alice, bob := all[0], all[1]
	text := noise(16<<20, 3)
	alice.put("large.bin", text)
	bob.awaitFile("large.bin", text)
	edited := text[:5<<20] + "some more bytes in the middle" + text[5<<20:14<<20] + "instead" + text[14<<20+100:]
	alice.put("large.bin", edited)
	bob.awaitFile("large.bin", edited)
	came := bob.received("large.bin")
	if len(came) == 0 || came[0].Wire > 1<<20 || came[0].Reused < 14<<20 || came[0].Total != int64(len(edited)) {
		t.Errorf("the edit came as %+v", came)
	}
	size := 64 << 20 // so large that the second member is met before the first is done
	if raced {
		size = 24 << 20
	}
	huge := noise(size, 4)
	alice.put("huge.bin", huge)
	bob.awaitFile("huge.bin", huge)
	chiara := startNode(t, Options{Name: "chiara"})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chiara.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	await(t, chiara, "links", linkedTo(chiara, 2))
	third := join(t, chiara, alice, t.TempDir())
	third.awaitFile("huge.bin", huge)
	for _, k := range all {
		var out uint64
		for _, p := range k.Peers() {
			if p.ID == chiara.ID() {
				out = p.Stats.BytesOut
			}
		}
		if out < 2<<20 {
			t.Errorf("%s has brought %d bytes", k.Name(), out)
		}
	}
}

// A large file goes on where it was when the node is started again.
func TestResume(t *testing.T) {
	t.Parallel()
	store, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	network := sim.New(sim.Options{Bandwidth: 16 << 20}) // slow enough to be stopped in the middle
	transport := func(l link.Local) (p2p.Transport, error) { return network.Transport(l), nil }
	alice := startNode(t, Options{Name: "alice", Transport: transport})
	n := startNode(t, Options{Name: "bob", Store: store, Transport: transport})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	from := &kept{Node: alice, t: t, dir: t.TempDir()}
	text := noise(40<<20, 4)
	from.put("large.bin", text)
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: from.dir})
	if err != nil {
		t.Fatal(err)
	}
	from.id = f.ID
	bob := join(t, n, from, t.TempDir())
	// No event tells how far a file is.
	for late := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if running := bob.Transfers(); len(running) > 0 && running[0].Done > 14<<20 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("nothing of the file comes: %+v", bob.Transfers())
		}
	}
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	if !bob.lacks("large.bin") {
		t.Fatal("it came as a whole before anybody could stop it")
	}
	bob.Node = startNode(t, Options{Name: "bob", Store: store, Transport: transport})
	bob.awaitFile("large.bin", text)
	if came := bob.received("large.bin"); len(came) != 1 || came[0].Wire > int64(len(text))-8<<20 {
		t.Errorf("it came as %+v", came)
	}
}

// While a folder is paused nothing is taken over, and nothing told; then all is.
func TestPause(t *testing.T) {
	t.Parallel()
	both := together(t, "", "alice", "bob")
	alice, bob := both[0], both[1]
	alice.put("first.txt", "first")
	bob.awaitFile("first.txt", "first")
	paused, resumed := true, false
	if _, err := bob.UpdateFolder(t.Context(), bob.id, folder.Changes{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	alice.put("second.txt", "second")
	bob.put("third.txt", "third")
	await(t, alice.Node, "recorded", func() bool {
		known, _, err := alice.Known(t.Context(), alice.id, "", "", 10)
		return err == nil && len(known) == 2
	})
	if !bob.lacks("second.txt") || !alice.lacks("third.txt") {
		t.Error("a paused folder was kept in line")
	}
	if _, err := bob.UpdateFolder(t.Context(), bob.id, folder.Changes{Paused: &resumed}); err != nil {
		t.Fatal(err)
	}
	bob.awaitFile("second.txt", "second")
	alice.awaitFile("third.txt", "third")
}

// A folder is joined into a directory with files: what it would do is told before, and
// nothing is lost. When it is removed all files stay.
func TestJoinDirectory(t *testing.T) {
	t.Parallel()
	nodes := class(t, "alice", "bob")
	alice, bob := &kept{Node: nodes[0], t: t, dir: t.TempDir()}, &kept{Node: nodes[1], t: t, dir: t.TempDir()}
	for name, texts := range map[string][2]string{
		"same.txt": {"the same", "the same"}, "sub/same.txt": {"also", "also"}, "differs.txt": {"of alice", "of bob, longer"}, "there.txt": {"only alice", ""}, "here.txt": {"", "only bob"},
	} {
		for i, k := range []*kept{alice, bob} {
			if texts[i] != "" {
				k.put(name, texts[i])
			}
		}
	}
	f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: alice.dir, Label: "common"})
	if err != nil {
		t.Fatal(err)
	}
	alice.id, bob.id = f.ID, f.ID
	await(t, alice.Node, "indexed", func() bool { return alice.Status().Documents == 4 })
	await(t, bob.Node, "the offer", func() bool { _, err := bob.Folder(f.ID, alice.ID()); return err == nil })
	p, err := bob.PreviewFolder(t.Context(), f.ID, alice.ID(), bob.dir)
	if err != nil || !p.Known || !p.Exists || p.Partial || p.Same != 2 || p.Differ != 1 || p.Here != 1 || p.There != 1 || p.Fetch != int64(len("only alice")) {
		t.Fatalf("preview %+v, %v", p, err)
	}
	if len(p.Items) != 3 || p.Items[0].What != "differ" || p.Items[0].Path != "differs.txt" {
		t.Errorf("preview of %+v", p.Items)
	}
	if p, err := bob.PreviewFolder(t.Context(), f.ID, alice.ID(), filepath.Join(bob.dir, "none")); err != nil || p.Exists || p.There != 4 {
		t.Errorf("preview of a new directory: %+v, %v", p, err)
	}
	join(t, bob.Node, alice, bob.dir)
	alice.awaitFile("here.txt", "only bob")
	bob.awaitFile("there.txt", "only alice")
	for _, k := range []*kept{alice, bob} {
		await(t, k.Node, "both versions", func() bool {
			var texts []string
			for name := range k.tree() {
				if strings.HasPrefix(name, "differs") {
					b, err := os.ReadFile(k.path(name))
					if err != nil {
						return false
					}
					texts = append(texts, string(b))
				}
			}
			slices.Sort(texts)
			return slices.Equal(texts, []string{"of alice", "of bob, longer"})
		})
	}
	before := bob.tree()
	if err := bob.RemoveFolder(t.Context(), f.ID); err != nil {
		t.Fatal(err)
	}
	alice.put("later.txt", "later")
	if _, err := bob.Conflicts(t.Context(), f.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("conflicts of a folder that was removed: %v", err)
	}
	if after := bob.tree(); !maps.Equal(before, after) {
		t.Errorf("removing the folder has changed %v to %v", before, after)
	}
	join(t, bob.Node, alice, bob.dir)
	bob.awaitFile("later.txt", "later")
	eventually(t, "the same", func() bool { return maps.Equal(alice.tree(), bob.tree()) })
	if c, err := bob.Conflicts(t.Context(), f.ID); err != nil || len(c) > 1 {
		t.Errorf("joining again makes conflicts: %+v, %v", c, err)
	}
}

// Where a folder cannot be it is not put.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	nodes := class(t, "alice")
	alice := nodes[0]
	bob := startNode(t, Options{Name: "bob", DataDir: data})
	inv, err := alice.Invite(t.Context(), member.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Join(t.Context(), inv.Link("")); err != nil {
		t.Fatal(err)
	}
	one := &kept{Node: alice, t: t, dir: t.TempDir()}
	two := &kept{Node: alice, t: t, dir: t.TempDir()}
	for _, k := range []*kept{one, two} {
		f, err := alice.AddFolder(t.Context(), folder.AddOptions{Path: k.dir, Label: "f"})
		if err != nil {
			t.Fatal(err)
		}
		k.id = f.ID
		await(t, bob, "the offer", func() bool { _, err := bob.Folder(k.id, alice.ID()); return err == nil })
	}
	dir := t.TempDir()
	join(t, bob, one, dir)
	for what, row := range map[string]struct {
		id, dir string
		want    error
	}{
		"another ID in the same directory": {two.id, dir, folder.ErrUnusable},
		"inside another":                   {two.id, filepath.Join(dir, "sub"), folder.ErrOverlap},
		"around another":                   {two.id, filepath.Dir(dir), folder.ErrOverlap},
		"the data directory":               {two.id, data, folder.ErrOverlap},
		"in the data directory":            {two.id, filepath.Join(data, "x"), folder.ErrOverlap},
		"around the data directory":        {two.id, filepath.Dir(data), folder.ErrOverlap},
		"a folder that nobody offers":      {strings.Repeat("a", 26), t.TempDir(), ErrNotFound},
		"the whole disk":                   {two.id, "/", folder.ErrOverlap},
	} {
		if f, err := bob.JoinFolder(t.Context(), row.id, alice.ID(), row.dir); !errors.Is(err, row.want) {
			t.Errorf("%s: %+v, %v", what, f, err)
		}
	}
	other := t.TempDir()
	for _, path := range []string{"", dir} {
		f, err := bob.JoinFolder(t.Context(), one.id, alice.ID(), path)
		if err != nil || f.Path != dir {
			t.Errorf("joining twice: %+v, %v", f, err)
		}
	}
	for _, k := range []*Node{alice, bob} {
		if f, err := k.JoinFolder(t.Context(), one.id, alice.ID(), other); !errors.Is(err, folder.ErrUnusable) {
			t.Errorf("joining elsewhere as well: %+v, %v", f, err)
		}
	}
	if names, err := os.ReadDir(other); err != nil || len(names) > 0 {
		t.Errorf("%v was put into a directory that is not used, %v", names, err)
	}
	two.put("x.txt", "x")
	join(t, bob, two, other)
	(&kept{Node: bob, t: t, dir: other}).awaitFile("x.txt", "x")
}

// What a reader changes stays with the reader, is listed, and can be undone.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	all := together(t, folder.AccessRead, "alice", "bob", "chiara")
	alice, bob, chiara := all[0], all[1], all[2]
	for _, name := range []string{"edited.txt", "deleted.txt", "fine.txt"} {
		alice.put(name, "of alice")
	}
	for _, k := range all[1:] {
		for _, name := range []string{"edited.txt", "deleted.txt", "fine.txt"} {
			k.awaitFile(name, "of alice")
		}
	}
	bob.put("edited.txt", "bob's own")
	bob.put("new.txt", "bob's new")
	bob.remove("deleted.txt")
	bob.awaitFile("deleted.txt", "of alice")
	locals := func() map[string]string {
		list, err := bob.LocalChanges(t.Context(), bob.id)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, c := range list {
			out[c.Path] = c.What
		}
		return out
	}
	await(t, bob.Node, "the list", func() bool { return maps.Equal(locals(), map[string]string{"edited.txt": "edited", "new.txt": "new"}) })
	alice.put("fine.txt", "of alice again")
	for _, k := range all[1:] {
		k.awaitFile("fine.txt", "of alice again")
	}
	for _, k := range []*kept{alice, chiara} {
		if !k.has("edited.txt", "of alice") || !k.lacks("new.txt") || !k.has("deleted.txt", "of alice") {
			t.Errorf("%s has what bob did: %v", k.Name(), k.tree())
		}
	}
	if _, err := bob.Resolve(t.Context(), bob.id, []uint64{1}, replica.KeepOurs); !errors.Is(err, replica.ErrReadOnly) {
		t.Errorf("a reader resolves: %v", err)
	}
	if err := bob.Revert(t.Context(), bob.id, []string{"fine.txt"}); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("reverting what was not changed: %v", err)
	}
	if err := bob.Revert(t.Context(), bob.id, nil); err != nil {
		t.Fatal(err)
	}
	bob.awaitFile("edited.txt", "of alice")
	bob.awaitGone("new.txt")
	await(t, bob.Node, "an empty list", func() bool { return len(locals()) == 0 })
	trash, err := bob.Trash(t.Context(), bob.id, 0, 10)
	if err != nil || !slices.ContainsFunc(trash, func(d replica.Discarded) bool { return d.Path == "new.txt" && d.Name != "" }) {
		t.Errorf("bob's trash is %+v, %v", trash, err)
	}
	alice.put("edited.txt", "newer")
	bob.awaitFile("edited.txt", "newer")
}

// Access that is taken away holds from then on; a member that is removed gets nothing
// more.
func TestAccessChanges(t *testing.T) {
	t.Parallel()
	all := together(t, folder.AccessWrite, "alice", "bob", "chiara")
	alice, bob, chiara := all[0], all[1], all[2]
	bob.put("bob.txt", "while a writer")
	alice.awaitFile("bob.txt", "while a writer")
	chiara.awaitFile("bob.txt", "while a writer")
	set := func(access string) {
		t.Helper()
		if _, err := alice.UpdateFolder(t.Context(), alice.id, folder.Changes{Access: &access}); err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			await(t, k.Node, "the access "+access, func() bool {
				f, err := k.Folder(k.id, k.ID())
				return err == nil && f.Access == access
			})
		}
	}
	set(folder.AccessRead)
	bob.put("bob.txt", "as a reader")
	await(t, bob.Node, "the list", func() bool {
		list, err := bob.LocalChanges(t.Context(), bob.id)
		return err == nil && len(list) == 1 && list[0].Path == "bob.txt"
	})
	alice.put("alice.txt", "of alice")
	bob.awaitFile("alice.txt", "of alice")
	chiara.awaitFile("alice.txt", "of alice")
	if !alice.has("bob.txt", "while a writer") {
		t.Error("a reader's edit went to alice")
	}
	set(folder.AccessWrite)
	for _, k := range []*kept{alice, chiara} {
		k.awaitFile("bob.txt", "as a reader")
	}
	chiara.put("chiara.txt", "before")
	alice.awaitFile("chiara.txt", "before")
	if err := alice.Revoke(t.Context(), chiara.ID()); err != nil {
		t.Fatal(err)
	}
	for _, k := range all[:2] {
		await(t, k.Node, "the end of the link", linkedTo(k.Node, 1))
	}
	alice.put("secret.txt", "not for chiara")
	chiara.put("late.txt", "of somebody removed")
	bob.awaitFile("secret.txt", "not for chiara")
	alice.put("last.txt", "last")
	bob.awaitFile("last.txt", "last")
	if !chiara.lacks("secret.txt") || !alice.lacks("late.txt") || !bob.lacks("late.txt") {
		t.Error("a member that was removed is kept in line")
	}
}

// withFiles has nodes keep a folder with 200 files, which all of them have recorded.
func withFiles(t *testing.T) (alice, bob, chiara *kept) {
	t.Helper()
	all := together(t, "", "alice", "bob", "chiara")
	for i := range 200 {
		all[0].put(fileName(i), fmt.Sprint("text ", i))
	}
	for _, k := range all {
		await(t, k.Node, "200 files", func() bool {
			f, err := k.Folder(k.id, k.ID())
			return err == nil && f.Files == 200 && len(k.tree()) == 200
		})
	}
	return all[0], all[1], all[2]
}

func fileName(i int) string { return fmt.Sprintf("file %03d.txt", i) }

// held is how many deletions of another are held, and how many were let through before.
func (k *kept) held(of *kept) (held, done int) {
	k.t.Helper()
	list, err := k.Held(k.t.Context(), k.id)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, h := range list {
		if h.Member != of.ID() || h.Limit != 50 || h.Changed != 0 || len(h.Items) != h.Deleted {
			k.t.Errorf("%s holds %+v", k.Name(), h)
		}
		held, done = held+h.Deleted, done+h.Done
	}
	return held, done
}

// Who deletes a quarter of everything has to wait for a person.
func TestBrake(t *testing.T) {
	t.Parallel()
	alice, bob, chiara := withFiles(t)
	// All at once, however long it takes: what is seen in pieces is let through up to the limit.
	paused, resumed := true, false
	if _, err := bob.UpdateFolder(t.Context(), bob.id, folder.Changes{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		bob.remove(fileName(i))
	}
	if _, err := bob.UpdateFolder(t.Context(), bob.id, folder.Changes{Paused: &resumed}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*kept{alice, chiara} {
		await(t, k.Node, "the hold", func() bool { held, _ := k.held(bob); return held == 60 })
		if n := len(k.tree()); n != 200 {
			t.Errorf("%s has %d files", k.Name(), n)
		}
	}
	if err := alice.Decide(t.Context(), alice.id, bob.ID(), true); err != nil {
		t.Fatal(err)
	}
	await(t, alice.Node, "the deletions", func() bool { return len(alice.tree()) == 140 })
	if n := len(chiara.tree()); n != 200 {
		t.Errorf("alice's word has deleted %d files of chiara", 200-n)
	}
	if err := chiara.Decide(t.Context(), chiara.id, bob.ID(), false); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*kept{alice, bob, chiara} {
		await(t, k.Node, "the files", func() bool { return len(k.tree()) == 200 })
		for i := range 200 {
			if !k.has(fileName(i), fmt.Sprint("text ", i)) {
				t.Errorf("%s has another %s", k.Name(), fileName(i))
			}
		}
	}
	for _, k := range []*kept{alice, chiara} {
		if held, _ := k.held(bob); held != 0 {
			t.Errorf("%s still holds %d", k.Name(), held)
		}
	}
	if err := chiara.Decide(t.Context(), chiara.id, bob.ID(), true); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("deciding what is decided: %v", err)
	}
}

// Of what comes little by little no more than the limit is let through, and what is held
// says how much that was.
func TestBrakeLittleByLittle(t *testing.T) {
	t.Parallel()
	alice, bob, chiara := withFiles(t)
	for i := range 30 {
		bob.remove(fileName(i))
	}
	for _, k := range []*kept{alice, chiara} {
		await(t, k.Node, "the first deletions", func() bool { return len(k.tree()) == 170 })
	}
	for i := range 30 {
		bob.remove(fileName(30 + i))
	}
	for _, k := range []*kept{alice, chiara} {
		var held, done int
		await(t, k.Node, "the hold", func() bool { held, done = k.held(bob); return held > 0 && held+done == 60 })
		if n := len(k.tree()); done < 30 || done > 50 || n != 200-done {
			t.Errorf("%s has %d files, and has let %d deletions through", k.Name(), n, done)
		}
	}
}

// People see what was done for others, and what of theirs was told.
func TestFolderEvents(t *testing.T) {
	t.Parallel()
	both := together(t, "", "alice", "bob")
	alice, bob := both[0], both[1]
	start := bob.Events().Position()
	alice.put("x.txt", "x")
	bob.awaitFile("x.txt", "x")
	var applied []exchange.Applied
	await(t, bob.Node, "the event", func() bool {
		after, _, _ := bob.Events().Since(start)
		for _, m := range after {
			if e, ok := m.Data.(exchange.Applied); ok {
				applied = append(applied, e)
			}
		}
		return len(applied) > 0
	})
	if e := applied[0]; e.ID != bob.id || !slices.Equal(e.Members, []p2p.ID{alice.ID()}) || !slices.Contains(e.Paths, "x.txt") {
		t.Errorf("applied %+v", e)
	}
	known, next, err := bob.Known(t.Context(), bob.id, "", "", 10)
	if err != nil || next != "" || len(known) != 1 || !known[0].Local || known[0].Path != "x.txt" || bytes.Equal(known[0].Hash[:], make([]byte, 32)) {
		t.Errorf("known %+v, %q, %v", known, next, err)
	}
}

// TestReadOnlyOvertaken edits files in a folder that is read-only here, and its owner
// edits them as well: the owner's are there, and so are one's own.
func TestReadOnlyOvertaken(t *testing.T) {
	t.Parallel()
	all := together(t, folder.AccessRead, "teacher", "student")
	teacher, student := all[0], all[1]
	teacher.put("lesson.txt", "one")
	student.awaitFile("lesson.txt", "one")
	student.put("lesson.txt", "my answer")
	student.put("notes.txt", "my notes")
	changed := func(want ...string) {
		t.Helper()
		var got []string
		await(t, student.Node, fmt.Sprintf("the changes %q, not %q", want, got), func() bool {
			list, err := student.LocalChanges(t.Context(), student.id)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, c := range list {
				got = append(got, c.What+" "+c.Path)
			}
			return slices.Equal(got, want)
		})
	}
	changed("edited lesson.txt", "new notes.txt")
	if f, err := student.Folder(student.id, p2p.ID{}); err != nil || f.Warning != "" {
		t.Errorf("an own change is a warning: %q, %v", f.Warning, err)
	}
	teacher.put("lesson.txt", "two")
	teacher.put("notes.txt", "the teacher's")
	student.awaitFile("lesson.txt", "two")
	student.awaitFile("lesson (mine).txt", "my answer")
	student.awaitFile("notes.txt", "the teacher's")
	student.awaitFile("notes (mine).txt", "my notes")
	changed("new lesson (mine).txt", "new notes (mine).txt")
	for _, name := range []string{"lesson (mine).txt", "notes (mine).txt"} {
		if !teacher.lacks(name) {
			t.Errorf("the teacher has %s", name)
		}
	}
}
