package exchange

import (
	"bufio"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/chunk"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/apply"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func (k *keeper) pause(paused bool) {
	k.t.Helper()
	if _, err := k.folders.Update(k.t.Context(), k.folder.ID, folder.Changes{Paused: &paused}); err != nil {
		k.t.Fatal(err)
	}
	k.s.Kick()
}

// trickle is a stream that takes at most 4 MiB a second.
type trickle struct {
	netConn
	sent *atomic.Int64
}

func (c trickle) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		time.Sleep(4 * time.Millisecond)
		var some int
		some, err = c.netConn.Write(p[n:min(len(p), n+16<<10)])
		n += some
		c.sent.Add(int64(some))
	}
	return n, err
}

// A person who pauses a folder sees what is on its way stop at once, and when it goes on, it
// goes on from there.
func TestPauseStops(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	var sent atomic.Int64
	m.lie(func(q request, in *bufio.Reader, conn netConn) error {
		return m.honest(q, in, trickle{conn, &sent})
	})
	text := noise(31, 12<<20)
	m.tell(m.file(root, "big.bin", text))
	at := func(least int64) func() bool {
		return func() bool { x, _ := victim.transfer("big.bin"); return x.Done >= least }
	}
	victim.await("a part of the file", at(3<<20))
	victim.pause(true)
	time.Sleep(300 * time.Millisecond)
	before, _ := victim.transfer("big.bin")
	took := sent.Load()
	time.Sleep(500 * time.Millisecond)
	after, ok := victim.transfer("big.bin")
	if !ok || after.State != replica.TransferWaiting || after.Rate != 0 || after.Done != before.Done || sent.Load() != took {
		t.Errorf("while paused it is %+v, and was %+v; %d bytes were sent", after, before, sent.Load()-took)
	}
	f, err := victim.folders.Get(victim.folder.ID)
	if err != nil || f.State != folder.StatePaused || f.NeedBytes != int64(len(text)) {
		t.Errorf("the folder is %s, and needs %d bytes (%v)", f.State, f.NeedBytes, err)
	}
	victim.pause(false)
	victim.await("the file", victim.has("big.bin", text))
	x := victim.came("big.bin")
	// If who has it is linked later than who has it not, it is another transfer.
	if all := x.Wire + x.Resumed; all < x.Total || all > x.Total*106/100 || (x.ID == after.ID) != (x.Resumed == 0) {
		t.Errorf("of %d bytes %d came in all, %d from an earlier transfer", x.Total, x.Wire, x.Resumed)
	}
}

// Who has paused a folder does not send anything of it, and tells nothing. When it goes on,
// so do the others, without being asked.
func TestPauseSender(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.write("first.txt", "1")
	b.await("a first file", b.has("first.txt", "1"))
	a.pause(true)
	a.await("the pause", func() bool { f, err := a.folders.Get(a.folder.ID); return err == nil && f.State == folder.StatePaused })
	b.await("that nobody serves", func() bool {
		b.s.mu.Lock()
		r := b.s.runners[b.folder.ID]
		b.s.mu.Unlock()
		return len(r.fetch.sources()) == 0
	})
	a.write("second.txt", "2")
	time.Sleep(300 * time.Millisecond)
	if !b.lacks("second.txt") {
		t.Error("what was written while the folder was paused has come")
	}
	start := time.Now()
	a.pause(false)
	b.await("the second file", b.has("second.txt", "2"))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it went on after %v", took)
	}
}

// A paused folder answers nothing: neither what is new, nor contents, nor how it compares.
// To who may not read it, it is still not there.
func TestPauseAnswers(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	victim.write("a.txt", "some text")
	creator := victim.folder.Creator
	if creator.IsZero() {
		creator = victim.identity.ID()
	}
	h := hashText("some text")
	q := request{Folder: victim.folder.ID, Creator: creator[:], Items: []item{{Hash: h[:], Path: "a.txt"}}}
	victim.await("that it is served", func() bool { p, _, err := m.ask(q, nil); return err == nil && p.Code == "" })
	victim.pause(true)
	want := codePaused
	for range 2 {
		victim.await("that it is not served: "+want, func() bool { p, b, err := m.ask(q, nil); return err == nil && p.Code == want && len(b) == 0 })
		if w, _, _, err := m.welcome(victim.folder.ID, creator); err != nil || w.Code != want {
			t.Errorf("asked for what is new it says %+v, %v", w, err)
		}
		req, err := wire.Marshal(digestRequest{Folder: victim.folder.ID, Creator: creator[:]})
		if err != nil {
			t.Fatal(err)
		}
		var refused *p2p.CallError
		if _, err := m.link.Call(t.Context(), DigestProtocol, req); !errors.As(err, &refused) || refused.Code != want {
			t.Errorf("asked for a digest it says %v", err)
		}
		m.town.let(m.id(), Access{})
		want = codeNotKept
	}
}

// What was copied from another folder is not lost by a pause.
func TestPauseKeepsForeign(t *testing.T) {
	t.Parallel()
	w := newTown()
	a := w.keep(t, nil, Times{})
	b := w.keep(t, a, Times{})
	text := noise(32, 8<<20)
	other, err := b.folders.Add(t.Context(), folder.AddOptions{Path: t.TempDir(), Label: "other"})
	if err != nil {
		t.Fatal(err)
	}
	b.s.Kick()
	a.ready()
	b.ready()
	r := func() *runner {
		b.s.mu.Lock()
		defer b.s.mu.Unlock()
		return b.s.runners[other.ID]
	}
	b.await("the other folder", func() bool { return r() != nil && r().ready.Load() })
	made, err := chunk.Scan(strings.NewReader(text), -1)
	if err != nil {
		t.Fatal(err)
	}
	fsys, leave, err := b.s.runners[b.folder.ID].place.enter()
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	name := apply.TempName(hashText(text)) + ".mixed.part"
	f, err := fsys.Create(name)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []bool{false, true} {
		kept := &progress{manifest: made, name: name, foreign: []*runner{r()}, have: make([]bool, made.Len())}
		u := &update{f: b.s.runners[b.folder.ID].fetch, name: begunName(text), x: &fetch{kept: kept, want: replica.Want{Hash: hashText(text)}}}
		if secret {
			w.let(a.identity.ID(), Access{})
		}
		if err := u.goOn(fsys, []p2p.Link{linkOf{id: a.identity.ID()}}); err != nil {
			t.Fatal(err)
		}
		_, err := fsys.Lstat(name)
		if went := u.name == name && len(u.foreign) == 1 && u.x.kept == kept && err == nil; went == secret {
			t.Errorf("secret %v: it goes on with %s, which is there: %v", secret, u.name, err)
		}
	}
}
