package exchange

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
)

// came returns the transfer that brought what is at path last.
func (k *keeper) came(path string) replica.Transfer {
	k.t.Helper()
	var came replica.Transfer
	k.await("the end of the transfer of "+path, func() bool {
		x, ok := k.transfer(path)
		came = x
		return ok && x.State == replica.TransferDone
	})
	return came
}

// transfer is the newest transfer of a file.
func (k *keeper) transfer(path string) (x replica.Transfer, ok bool) {
	for _, t := range k.s.Transfers() {
		if t.Path == path && (!ok || t.Began.After(x.Began)) {
			x, ok = t, true
		}
	}
	return x, ok
}

// pair are two members who keep one folder.
func pair(t *testing.T) (a, b *keeper) {
	t.Helper()
	w := newTown()
	a = w.keep(t, nil, Times{})
	b = w.keep(t, a, Times{})
	a.ready()
	b.ready()
	b.meet(a)
	return a, b
}

// Only what has changed in a file travels, however it was changed, and the counters of a
// transfer say so.
func TestUpdate(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := noise(1, 6<<20)
	a.write("big.bin", text)
	b.await("the file", b.has("big.bin", text))
	if x := b.came("big.bin"); x.Wire < 6<<20 || x.Wire > 6<<20*103/100 || x.Reused != 0 {
		t.Errorf("of a new file of %d bytes %d come over the network, %d are taken from the disk", len(text), x.Wire, x.Reused)
	}
	for _, row := range []struct {
		name, text string
		most       int64
	}{
		{"a byte in front", "x" + text, 6000},
		{"an edit in the middle", text[:3<<20] + "an edit" + text[3<<20+7:], 12_000},
		{"less at the end", text[:5<<20], 10_000},
		{"twice", text[:5<<20] + text[:5<<20], 12_000},
	} {
		a.write("big.bin", row.text)
		b.await(row.name, b.has("big.bin", row.text))
		x := b.came("big.bin")
		if x.Wire == 0 || x.Wire > row.most {
			t.Errorf("%s: %d bytes came over the network, want at most %d", row.name, x.Wire, row.most)
		}
		if x.Reused < int64(len(row.text))-row.most {
			t.Errorf("%s: %d of %d bytes are said to be from this disk", row.name, x.Reused, len(row.text))
		}
	}
}

// A file that was moved, or copied, and edited at the same time is made of what is here.
func TestUpdateElsewhere(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := noise(2, 4<<20)
	a.write("old.bin", text)
	b.await("the file", b.has("old.bin", text))
	a.write("same.bin", text)
	b.await("a copy", b.has("same.bin", text))
	if x := b.came("same.bin"); x.Wire != 0 || x.Reused != int64(len(text)) {
		t.Errorf("%d bytes came for a copy, %d of %d were here", x.Wire, x.Reused, len(text))
	}
	if err := os.Rename(filepath.Join(a.dir, "same.bin"), filepath.Join(a.dir, "renamed.bin")); err != nil {
		t.Fatal(err)
	}
	before := len(b.s.Transfers())
	b.await("the other name", b.has("renamed.bin", text))
	if after := b.s.Transfers(); len(after) != before {
		t.Errorf("something came for a rename: %+v", after[0])
	}
	edited := text[:1<<20] + "an edit" + text[1<<20:]
	a.write("copy.bin", edited)
	b.await("the copy", b.has("copy.bin", edited))
	if x := b.came("copy.bin"); x.Wire > 8000 {
		t.Errorf("%d bytes came for an edited copy", x.Wire)
	}
	// Halves of two files.
	other := noise(3, 4<<20)
	a.write("other.bin", other)
	b.await("another file", b.has("other.bin", other))
	both := text[:2<<20] + other[2<<20:]
	a.write("both.bin", both)
	b.await("a file of both", b.has("both.bin", both))
	if x := b.came("both.bin"); x.Wire > 300_000 {
		t.Errorf("%d bytes came for a file of two halves", x.Wire)
	}
	// Zeros are the same everywhere.
	zeros := string(make([]byte, 8<<20))
	a.write("zeros.bin", zeros)
	b.await("zeros", b.has("zeros.bin", zeros))
	if x := b.came("zeros.bin"); x.Wire > 600_000 {
		t.Errorf("%d bytes came for 8 MiB of zeros", x.Wire)
	}
}

// What is in another folder is used as well, but not where one of those who are asked could learn
// by it what is in that folder.
func TestUpdateOtherFolder(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{false, true} {
		a, b := pair(t)
		text := noise(4, 4<<20)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "own.bin"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		own, err := b.folders.Add(t.Context(), folder.AddOptions{Path: dir, Label: "own"})
		if err != nil {
			t.Fatal(err)
		}
		if secret {
			b.town.hide(own.ID)
		}
		b.s.Kick()
		b.await("the scan of the other folder", func() bool {
			f, err := b.folders.Get(own.ID)
			if err != nil {
				t.Fatal(err)
			}
			b.s.mu.Lock()
			defer b.s.mu.Unlock()
			return f.Files == 1 && f.State == folder.StateIdle && b.s.runners[own.ID] != nil
		})
		edited := text + "something more"
		a.write("edited.bin", edited)
		b.await("the file", b.has("edited.bin", edited))
		x := b.came("edited.bin")
		if !secret && x.Wire > 200_000 {
			t.Errorf("%d bytes came, though nearly all of it was here", x.Wire)
		}
		if secret && x.Wire < 4<<20 {
			t.Errorf("%d bytes came: it can be seen by that what is in a secret folder", x.Wire)
		}
	}
}

// A folder that one of several members may not read is not used for what all of them are asked,
// and who comes later is not asked if others were used.
func TestReadable(t *testing.T) {
	t.Parallel()
	a, b := p2p.ID{1}, p2p.ID{2}
	s := alone()
	s.o.Access = func(id string, _, who p2p.ID) Access { return Access{Read: id != "of a" || who == a} }
	for _, id := range []string{"this", "of a", "of all"} {
		s.runners[id] = newRunner(s, folder.Folder{ID: id})
	}
	names := func(links ...p2p.Link) (ids []string) {
		for _, r := range s.readable(s.runners["this"], links) {
			ids = append(ids, r.id)
		}
		slices.Sort(ids[1:])
		return ids
	}
	if got := names(linkOf{id: a}); !slices.Equal(got, []string{"this", "of a", "of all"}) {
		t.Errorf("for who may read all: %q", got)
	}
	for _, links := range [][]p2p.Link{{linkOf{id: b}}, {linkOf{id: a}, linkOf{id: b}}, {linkOf{id: b}, linkOf{id: a}}} {
		if got := names(links...); !slices.Equal(got, []string{"this", "of all"}) {
			t.Errorf("for %v: %q", links, got)
		}
	}
	u := &update{f: s.runners["this"].fetch, foreign: []*runner{s.runners["of all"], s.runners["of a"]}}
	if u.mayJoin(linkOf{id: b}) || !u.mayJoin(linkOf{id: a}) {
		t.Error("who may join sees by what is not asked what is in another folder")
	}
}

// An attempt that ended is gone on with: what is right of it is not asked for again, and what
// is not is.
func TestUpdateResumes(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b := w.keep(t, a, Times{})
	a.ready()
	b.ready()
	text := noise(5, 8<<20)
	begun := []byte(text[:7<<20])
	clear(begun[2<<20 : 3<<20]) // was not on the disk when the power failed
	path := filepath.Join(b.dir, begunName(text))
	if err := os.WriteFile(path, begun, 0o600); err != nil {
		t.Fatal(err)
	}
	a.write("big.bin", text)
	b.meet(a)
	b.await("the file", b.has("big.bin", text))
	if x := b.came("big.bin"); x.Wire < 2<<20 || x.Wire > 3<<20 {
		t.Errorf("%d bytes came, where 2 MiB and what is next to them were missing", x.Wire)
	} else if x.Resumed < 5<<20 || x.Resumed+x.Reused+x.Wire > x.Total*105/100 {
		t.Errorf("of %d bytes %d are said to be from before, %d to be reused, and %d to have come", x.Total, x.Resumed, x.Reused, x.Wire)
	}
}

func begunName(text string) string { return begun(hashText(text)) }

// Of several members who have a file all are asked, and who sends something else is found
// out at once: the chunk comes from another.
func TestUpdateOfMany(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: time.Hour})
	text := noise(6, 40<<20)
	m.mu.Lock()
	m.text[hashText(text)] = text
	m.mu.Unlock()
	wrong := 0
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest != nil || len(q.Items) == 0 || q.Items[0].Length == 0 {
			return m.honest(q, in, conn)
		}
		m.mu.Lock()
		m.text[hashText("bad")] = strings.Repeat("x", len(text))
		wrong++
		m.mu.Unlock()
		bad := hashText("bad")
		q.Items = slices.Clone(q.Items)
		q.Items[0].Hash = bad[:]
		return m.honest(q, in, conn)
	})
	m.tell(m.file(root, "hello.txt", "so that it is known to keep the folder"))
	victim.await("a first file", victim.has("hello.txt", "so that it is known to keep the folder"))
	honest.write("big.bin", text)
	victim.await("the file", victim.has("big.bin", text))
	m.mu.Lock()
	defer m.mu.Unlock()
	if wrong == 0 || wrong > 2*segmentsPeer { // once more each, to see who is wrong
		t.Errorf("%d times wrong bytes were sent: a member should be asked, and not again and again", wrong)
	}
	if x := victim.came("big.bin"); x.Wire < 40<<20 || x.Wire > 52<<20 {
		t.Errorf("%d bytes came for %d", x.Wire, len(text))
	}
}

// What can be said shortly travels shortly: one large file, and many small ones together.
func TestPacked(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := strings.Repeat("A line of a log, like all the others. ", 100_000)
	a.write("log.txt", text)
	b.await("the log", b.has("log.txt", text))
	if x := b.came("log.txt"); x.Wire > int64(len(text))/10 {
		t.Errorf("%d bytes came for %d of repetitions", x.Wire, len(text))
	}
	const small = 200
	note := func(i int) string { return strings.Repeat("a note ", 30) + strings.Repeat("x", i) }
	for i := range small {
		a.write("notes/"+strings.Repeat("n", i+1), note(i))
	}
	for i := range small {
		b.await("a note", b.has("notes/"+strings.Repeat("n", i+1), note(i)))
	}
	var wire, total int64
	for _, x := range b.s.Transfers() {
		if strings.HasPrefix(x.Path, "notes/") {
			wire, total = wire+x.Wire, total+x.Total
		}
	}
	if wire == 0 || wire > total/2 {
		t.Errorf("%d bytes came for %d of small notes", wire, total)
	}
}

// Where the old version is another one than was scanned by now, only that is lost.
func TestUpdateOldChanged(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
	old := noise(7, 4<<20)
	e := m.file(root, "big.bin", old)
	m.tell(e)
	victim.await("the old version", victim.has("big.bin", old))
	text := old[:2<<20] + "an edit" + old[2<<20:]
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest != nil {
			// Behind the back of the scan, so that neither size nor times tell.
			full := filepath.Join(victim.dir, "big.bin")
			st, err := os.Stat(full)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(full, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			if _, err := f.WriteAt([]byte("changed"), 100_000); err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
			if err := os.Chtimes(full, st.ModTime(), st.ModTime()); err != nil {
				return err
			}
		}
		return m.honest(q, in, conn)
	})
	m.tell(m.edited(e, text, false))
	victim.await("the new version, or a conflict", func() bool {
		return victim.has("big.bin", text)() || hasConflict(victim, text)
	})
	m.lie(nil)
	works(victim, honest, m)
}

// hasConflict reports whether a text is in any file of the folder.
func hasConflict(k *keeper, text string) bool {
	names, err := os.ReadDir(k.dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(names, func(d os.DirEntry) bool { return !d.IsDir() && k.has(d.Name(), text)() })
}

// A file whose chunks nobody knows comes as a whole, in segments.
func TestNoManifest(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{Retry: 10 * time.Millisecond})
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest == nil {
			return m.honest(q, in, conn)
		}
		if _, err := readGrowing(in, q.Manifest.Length); err != nil {
			return err
		}
		return answer(conn, part{Code: codeNoManifest}, "")
	})
	text := noise(8, 9<<20)
	m.tell(m.file(root, "big.bin", text))
	victim.await("the file", victim.has("big.bin", text))
	if m.asks(reconcile.Hash(hashText(text))) < 3 {
		t.Error("it did not come in segments")
	}
	works(victim, honest, m)
}

// What one member does not get done another one is asked for, and nobody waits for the first.
func TestLaggard(t *testing.T) {
	t.Parallel()
	victim, honest, m := scene(t, Times{})
	honest.limits.Set(link.Rates{Up: 40 << 20}) // or all has come before the other is asked
	end := make(chan struct{})
	defer close(end)
	held := make(chan struct{}, 8)
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		if q.Manifest != nil || len(q.Items) == 0 || q.Items[0].Length == 0 {
			return m.honest(q, in, conn)
		}
		held <- struct{}{}
		<-end
		return io.ErrUnexpectedEOF
	})
	texts := both(victim, honest, m, 1, 20<<20)
	victim.await("a job that nobody does", func() bool { return len(held) > 0 })
	victim.await("the file all the same", victim.has("big0.bin", texts[0]))
}
