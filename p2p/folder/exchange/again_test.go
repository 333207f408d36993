package exchange

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// A content that somebody had not at once is asked for again after one Times.Retry, however
// often it was planned meanwhile what it is needed for.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{Retry: time.Second})
	const text = "it is at neither name for a moment"
	release := make(chan struct{})
	m.lie(func(q request, _ *bufio.Reader, conn netConn) error {
		select {
		case <-release:
		case <-t.Context().Done():
		}
		for range q.Items {
			if err := wire.WriteMsg(conn, part{Code: codeNotHere}); err != nil {
				return err
			}
		}
		return nil
	})
	r, err := victim.s.runner(victim.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	// Who comes later would have it asked for again.
	victim.await("both members", func() bool { return len(r.fetch.sources()) == 2 })
	e := m.file(root, "c.txt", text)
	m.tell(e)
	victim.await("that it is asked for", func() bool { return m.asks(hashText(text)) == 1 })
	for range 12 {
		e = m.edited(e, text, false)
		m.tell(e)
		merged := false
		victim.await("that it is planned again", func() bool {
			err := r.do(t.Context(), func(ctx context.Context) error {
				merged = r.core.Cursor(m.id()).Seq == m.told()
				_, err := r.core.Turn(ctx)
				return err
			})
			return err == nil && merged
		})
	}
	m.lie(nil) // what is asked from now on
	close(release)
	victim.await("the content", victim.has("c.txt", text))
	if n := m.asks(hashText(text)); n != 2 {
		t.Errorf("it was asked for %d times", n)
	}
}

// told is how far what the victim was told leads.
func (m *mallory) told() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.upto
}

// Who asks for a content while its file gets another name gets it all the same.
func TestServedWhileMoved(t *testing.T) {
	t.Parallel()
	victim, _, m := scene(t, Times{})
	const text = "a text that moves"
	h, creator := hashText(text), victim.identity.ID()
	q := request{Folder: victim.folder.ID, Creator: creator[:], Items: []item{{Hash: h[:], Path: "before.txt"}}}
	victim.write("before.txt", text)
	victim.await("that it is served", func() bool { p, _, err := m.ask(q, nil); return err == nil && p.Code == "" })
	r, err := victim.s.runner(victim.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	var got string
	var code string
	err = r.do(t.Context(), func(ctx context.Context) error { // as a turn, it has the runner for itself
		d := disk{victim.folders, victim.folder.ID, r.place}
		seen, _, err := d.Row(ctx, "before.txt")
		if err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(victim.dir, "before.txt"), filepath.Join(victim.dir, "after.txt")); err != nil {
			return err
		}
		go func() {
			defer close(answered)
			p, b, err := m.ask(q, nil)
			if err != nil {
				t.Error(err)
			}
			code, got = p.Code, string(b)
		}()
		select {
		case <-answered: // too early, or the scan was quicker
		case <-time.After(200 * time.Millisecond):
		}
		st, err := r.place.get().Lstat("after.txt")
		if err != nil {
			return err
		}
		seen.Path, seen.Changed = "after.txt", st.Changed
		return d.Record(ctx, []string{"before.txt"}, nil, []replica.Seen{seen})
	})
	if err != nil {
		t.Fatal(err)
	}
	<-answered
	if code != "" || got != text {
		t.Errorf("the answer is %q, %q", code, got)
	}
}
