package exchange

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// readsOnly lets a member only read, and waits until it is asked anew because of that.
func (m *mallory) readsOnly() {
	m.t.Helper()
	before := m.streams()
	m.town.let(m.id(), Access{Read: true})
	m.victim.s.Kick()
	m.victim.await("another stream, of who may only read", func() bool { return m.streams() > before })
}

// What a member who may only read has made is refused of itself, and named; of what a
// writer passes on it is taken, for it was made when it was allowed.
func TestReaderWrites(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	was := m.file(root, "while a writer.txt", "allowed")
	m.tell(was)
	honest.await("a writer's file", honest.has("while a writer.txt", "allowed"))
	relay := m.town.invade(t, victim, true)
	m.readsOnly()
	m.tell(m.file(root, "reader.txt", "not allowed"), m.edited(was, "changed", false))
	victim.awaitRefusal(m.id(), "reader.txt", m.id().Short()+" may not change")
	victim.awaitRefusal(m.id(), "while a writer.txt", "may not change")
	m.tell(m.edited(was, "", true))
	gone := m.file(root, "relayed.txt", "passed on")
	relay.mu.Lock()
	relay.text[hashText("passed on")] = "passed on"
	relay.mu.Unlock()
	relay.send(page{claims: []replica.Claim{m.all()}, entries: []reconcile.Entry{gone}})
	victim.await("what a writer passes on", victim.has("relayed.txt", "passed on"))
	if !victim.lacks("reader.txt") || !victim.has("while a writer.txt", "allowed")() {
		t.Error("a reader's change was taken over")
	}
	works(victim, honest, relay)
	// What writers have done is taken from writers only: versions are not signed.
	theirs := relay.file(root, "by a writer.txt", "of a writer")
	m.mu.Lock()
	m.text[hashText("of a writer")] = "of a writer"
	m.mu.Unlock()
	m.send(page{claims: []replica.Claim{relay.all()}, entries: []reconcile.Entry{theirs}})
	victim.awaitRefusal(m.id(), "by a writer.txt", "may not change")
	relay.tell(theirs)
	victim.await("the same of the writer", victim.has("by a writer.txt", "of a writer"))
}

// Nothing an ID has become can be changed: not its kind, and not by an entry that
// pretends to be older.
func TestKnownID(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	f, d := m.file(root, "file.txt", "a file"), m.directory(root, "dir")
	m.tell(f, d)
	victim.await("the file", victim.has("file.txt", "a file"))
	asDir := m.directory(root, "now a directory")
	asDir.ID = f.ID
	asFile := m.file(root, "now a file", "bytes")
	asFile.ID = d.ID
	m.tell(asDir, asFile)
	victim.awaitRefusal(m.id(), "now a directory", "another kind")
	victim.awaitRefusal(m.id(), "now a file", "another kind")
	second := m.town.invade(t, victim, true)
	for _, x := range []*mallory{m, second} {
		var claims []replica.Claim
		var siblings []reconcile.Entry
		for i := range reconcile.MaxSiblings/2 + 1 {
			d := reconcile.Dot{Member: x.id(), Incarnation: uint64(100 + i), Counter: 1}
			e := x.file(root, "sibling.txt", fmt.Sprint("version ", i, x.id()))
			e.ID = f.ID
			e.Contents[0].Dot, e.Contents[0].Made, e.Contents[0].Vector = d, d, reconcile.Vector{d}
			e.Places[0].Dot, e.Places[0].Vector = d, e.Contents[0].Vector
			claims, siblings = append(claims, x.claim(d)), append(siblings, e)
		}
		x.send(page{claims: append(claims, x.all()), entries: siblings})
	}
	victim.await("a refusal of too many", func() bool {
		return strings.Contains(victim.refused(m.id())["sibling.txt"]+victim.refused(second.id())["sibling.txt"], "versions")
	})
	works(victim, honest, m)
}

// A tree that is too deep is no tree for this disk; the rest is.
func TestDeepTree(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	var all []reconcile.Entry
	parent := root
	for i := range 200 {
		d := m.directory(parent, fmt.Sprint("d", i))
		all = append(all, d)
		parent = d.ID
	}
	all = append(all, m.file(parent, "deep.txt", "too deep"))
	all = append(all, m.file(reconcile.EntryID{Member: m.id(), Incarnation: 5, Counter: 1}, "shallow.txt", "fine"))
	one, two := m.directory(root, "one"), m.directory(root, "two")
	one.Places[0].Parent, two.Places[0].Parent = two.ID, one.ID
	all = append(all, one, two, m.file(one.ID, "in a cycle.txt", "found somewhere"), m.file(reconcile.EntryID(m.next()), "orphan.txt", "nowhere"))
	m.tell(all...)
	victim.await("what is not deep", victim.has("d0/shallow.txt", "fine"))
	works(victim, honest, m)
	found := false
	dir, err := os.OpenRoot(victim.dir) // paths of the whole system can be too long
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close() // nothing was written
	err = fs.WalkDir(dir.FS(), ".", func(p string, _ os.DirEntry, err error) error {
		found = found || filepath.Base(p) == "in a cycle.txt"
		return err
	})
	if err != nil || !found {
		t.Errorf("a file in a cycle of directories is nowhere: %v", err)
	}
}

// A path that is too long is none; what is above its end is.
func TestLongPath(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	var all []reconcile.Entry
	parent := root
	for range 20 {
		d := m.directory(parent, strings.Repeat("w", 255))
		all = append(all, d)
		parent = d.ID
	}
	m.tell(append(all, m.file(all[0].ID, "short.txt", "fine"), m.file(parent, "long.txt", "too long a path"))...)
	victim.await("what is not long", victim.has(strings.Repeat("w", 255)+"/short.txt", "fine"))
	works(victim, honest, m)
}

// Names that some file systems take for one are two here, on both nodes.
func TestTwins(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	twins := map[string]string{
		"a.txt": "lower", "A.TXT": "upper", "caf\u00e9": "composed", "cafe\u0301": "decomposed", "ß": "sharp", "ss": "double", "CON": "device", "trailing.": "dot", "trailing ": "space", "-rf": "option",
		"new\nline": "lines", "\u202etxt.exe": "from the right", "~": "home", "$(reboot)": "shell", "<script>": "page", "a:b": "stream", `c\d`: "backslash",
	}
	var all []reconcile.Entry
	for _, name := range slices.Sorted(maps.Keys(twins)) {
		all = append(all, m.file(root, name, twins[name]))
	}
	m.tell(all...)
	for name, text := range twins {
		victim.await(name, victim.has(name, text))
		honest.await(name, honest.has(name, text))
	}
	works(victim, honest, m)
}

// Who deletes everything is held, on every node by itself, and a person decides.
func TestDeleteEverything(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	var files, ends []reconcile.Entry
	for i := range 120 {
		files = append(files, m.file(root, fmt.Sprintf("f%03d.txt", i), fmt.Sprint("text ", i)))
	}
	m.tell(files...)
	for _, k := range []*keeper{victim, honest} {
		for i := range 120 { // they come side by side
			k.await("the files", k.has(fmt.Sprintf("f%03d.txt", i), fmt.Sprint("text ", i)))
		}
	}
	for _, f := range files {
		ends = append(ends, m.edited(f, "", true))
	}
	m.tell(ends...)
	id := victim.folder.ID
	for _, k := range []*keeper{victim, honest} {
		k.await("a hold", func() bool {
			held, err := k.s.Held(t.Context(), id)
			return err == nil && len(held) == 1 && held[0].Member == m.id() && held[0].Deleted == 120
		})
		for i := range 120 {
			if k.lacks(fmt.Sprintf("f%03d.txt", i)) {
				t.Fatalf("file %d is gone", i)
			}
		}
	}
	m.tell(m.file(root, "new.txt", "not held"))
	victim.await("a new file of the same member", victim.has("new.txt", "not held"))
	if err := victim.s.Decide(context.Background(), id, p2p.ID{}, false); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*keeper{victim, honest} {
		k.await("the end of the hold", func() bool {
			held, err := k.s.Held(t.Context(), id)
			return err == nil && len(held) == 0
		})
	}
	works(victim, honest, m)
	if !victim.has("f000.txt", "text 0")() || !honest.has("f119.txt", "text 119")() {
		t.Error("a refused deletion was done")
	}
}

// Who moves each file onto a name where he has destroyed another one before, and destroys
// it there, is held like anybody who destroys so many.
func TestMoveAndDestroy(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	const many, atOnce = 180, 45
	for i := range many {
		victim.write(fmt.Sprintf("f%03d", i), fmt.Sprint("text ", i))
	}
	var files []reconcile.Entry
	victim.await("its own files", func() bool {
		files = nil
		err := victim.store.Read(t.Context(), victim.folder.ID, func(r replica.Reader) error {
			all, err := r.Since(0, 1<<20)
			for _, s := range all {
				if s.Entry.Kind == reconcile.KindFile && strings.HasPrefix(s.Entry.Places[0].Name, "f") {
					files = append(files, s.Entry)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(files) == many
	})
	moved := func(e reconcile.Entry, name string) reconcile.Entry {
		d := m.next()
		old := e.Places[0]
		e.Places = []reconcile.Place{{Dot: d, Vector: old.Vector.Bump(d), Spot: reconcile.Spot{Parent: root, Name: name}, Was: old.Spot, Had: e.Contents[0].Hash}}
		return e
	}
	left := func() (n int) {
		paths, err := filepath.Glob(filepath.Join(victim.dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if b, err := os.ReadFile(p); err == nil && strings.HasPrefix(string(b), "text ") {
				n++
			}
		}
		return n
	}
	for round := range many / atOnce {
		var now, away []reconcile.Entry
		for i := range atOnce {
			e := m.edited(moved(files[round*atOnce+i], fmt.Sprintf("x%02d", i)), "", false)
			now = append(now, e)
			away = append(away, moved(e, fmt.Sprintf("y%d-%02d", round, i)))
		}
		m.tell(now...)
		m.tell(away...)
		time.Sleep(300 * time.Millisecond)
	}
	victim.await("a hold", func() bool {
		held, err := victim.s.Held(t.Context(), victim.folder.ID)
		return err == nil && len(held) == 1 && held[0].Member == m.id()
	})
	if n := left(); n < many-brakeLimit {
		t.Errorf("%d of %d files are left", n, many)
	}
}

// brakeLimit is how many files may be destroyed without anybody's word.
const brakeLimit = 50

// An answer that takes long ends when the member may not read the folder any more.
func TestAnswerAsksAgain(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	var out bytes.Buffer
	creator := victim.identity.ID() // whose folder it is
	w := &permitted{Writer: &out, s: victim.s, to: m.id(), request: request{Folder: victim.folder.ID, Creator: creator[:]}}
	write := func(text string) error {
		_, err := w.Write([]byte(text))
		return err
	}
	if err := write("a"); err != nil {
		t.Fatal(err)
	}
	w.asked = w.asked.Add(-2 * time.Second)
	if err := write("b"); err != nil {
		t.Errorf("who may read is refused: %v", err)
	}
	m.town.let(m.id(), Access{})
	if err := write("c"); err != nil {
		t.Errorf("it is asked at every write: %v", err)
	}
	w.asked = w.asked.Add(-2 * time.Second)
	if err := write("d"); err == nil || out.String() != "abc" {
		t.Errorf("who may not read any more is given %q, %v", out.String(), err)
	}
}

// What was refused of somebody who might only read is asked for again when it may write,
// also if it might do nothing in between.
func TestRefusedIsAskedAgain(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	m.readsOnly()
	m.tell(m.file(root, "reader.txt", "kept"))
	victim.awaitRefusal(m.id(), "reader.txt", "may not change")
	m.town.let(m.id(), Access{})
	victim.s.Kick()
	victim.await("the end of the stream", func() bool {
		r, err := victim.s.runner(victim.folder.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.pulls[m.id()] == nil
	})
	m.mu.Lock()
	before := m.hellos
	m.mu.Unlock()
	m.town.let(m.id(), Access{Read: true, Write: true})
	victim.s.Kick()
	victim.await("the question for all of it", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.hellos > before && m.after == 0
	})
}
