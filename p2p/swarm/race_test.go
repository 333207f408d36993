package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestReadForgotten: a reader that is open while its seed is forgotten, and got again by a link, harms nobody when it
// is closed.
func TestReadForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 2, sim.Options{Latency: time.Millisecond})
		ada, ben := c.seats[0], c.seats[1]
		s := ada.share("file", noise(20, 4<<20))
		known, err := s.Link().Seed()
		if err != nil {
			t.Fatal(err)
		}
		r, err := ben.Open(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		// Nobody tells the values again.
		said{ada}.Withdraw(s.ID())
		ada.end()
		if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
			t.Fatal(err)
		}
		ben.get(s)
		time.Sleep(time.Second)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if st, err := ben.Service.Get(s.ID()); err != nil || st.State != StateWaiting {
			t.Errorf("%s, %v", st.State, err)
		}
	})
}

// TestPauseAtOnce: a download that is paused while it begins is paused, and does not stand still with an error.
func TestPauseAtOnce(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	for i := range 40 {
		s := ada.share(fmt.Sprintf("file%d", i), noise(uint64(22+i), 1<<20))
		if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 50 * time.Microsecond)
		st, err := ben.Pause(t.Context(), s.ID())
		if err != nil || st.State != StatePaused && st.State != StateSeeding {
			t.Fatalf("%s %q, %v", st.State, st.Error, err)
		}
		rows, err := ben.store.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.ID == s.ID() && r.Whole != (st.State == StateSeeding) {
				t.Errorf("%s is %s, and kept as one that is whole: %t", r.Name, st.State, r.Whole)
			}
		}
	}
	// None came twice, or is left behind.
	for _, st := range ben.List() {
		if _, err := ben.Resume(t.Context(), st.Seed.ID()); err != nil {
			t.Fatal(err)
		}
		ben.until(st.Seed.ID(), StateSeeding)
	}
	if files, err := os.ReadDir(ben.dir + "/downloads"); err != nil || len(files) != 40 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestForgetResumed: a download that somebody resumes while it is being forgotten is forgotten.
func TestForgetResumed(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	s := ada.share("file", noise(23, 16<<20))
	ada.limits.Set(link.Rates{Up: 1 << 20})
	for range 30 {
		if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
			t.Fatal(err)
		}
		ben.Service.mu.Lock()
		e := ben.entries[s.ID()]
		ben.Service.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				_, _ = ben.Pause(t.Context(), s.ID())  // or it was forgotten
				_, _ = ben.Resume(t.Context(), s.ID()) // as above
			}
		})
		if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		ben.Service.mu.Lock()
		left := e.d
		ben.Service.mu.Unlock()
		if _, runs := ben.active.Load(s.ID()); runs || left != nil {
			t.Fatal("it goes on")
		}
		if rows, err := ben.store.Rows(t.Context()); err != nil || len(rows) != 0 {
			t.Fatalf("kept: %+v, %v", rows, err)
		}
		if files, err := os.ReadDir(ben.dir + "/downloads"); err != nil || len(files) != 0 {
			t.Fatalf("left: %v, %v", files, err)
		}
	}
}

// TestReadThenShared: what was only read, and is a person's own file when it is to be forgotten, is not touched.
func TestReadThenShared(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(24, 1<<20)
	s := ada.share("file", data)
	r, err := ben.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	ben.Service.mu.Lock()
	e := ben.entries[s.ID()]
	ben.Service.mu.Unlock()
	// It was chosen to be forgotten; before that happens a person shares his own copy.
	ben.share("mine", data)
	if err := ben.forget(t.Context(), s.ID(), e, true, onlyRead); !errors.Is(err, ErrNotFound) {
		t.Errorf("forgotten: %v", err)
	}
	same(t, ben.dir+"/mine", data)
	if st, err := ben.Service.Get(s.ID()); err != nil || st.State != StateSeeding || st.Path != ben.dir+"/mine" {
		t.Errorf("%+v, %v", st, err)
	}
	if files, err := os.ReadDir(ben.dir + "/kept"); err != nil || len(files) != 0 {
		t.Errorf("what was read is left: %v, %v", files, err)
	}
}

// TestForgetAndGet: who wants what is just being forgotten keeps it also after a restart.
func TestForgetAndGet(t *testing.T) {
	c := newClass(t, 1, sim.Options{})
	ben := c.seats[0]
	s, err := seed.Make(t.Context(), bytes.NewReader(noise(23, 1<<20)), 1<<20, "file", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Link().Seed(); err != nil {
		t.Fatal(err)
	}
	r, err := ben.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	got := make(chan error, 1)
	c.mu.Lock()
	c.withdrawn = sync.OnceFunc(func() {
		go func() {
			_, err := ben.Download(context.WithoutCancel(t.Context()), GetOptions{Seed: s})
			got <- err
		}()
		time.Sleep(50 * time.Millisecond)
	})
	c.mu.Unlock()
	if err := ben.Forget(t.Context(), s.ID(), false); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	rows, err := ben.store.Rows(t.Context())
	if err != nil || len(rows) != 1 || rows[0].Reading {
		t.Errorf("kept: %+v, %v", rows, err)
	}
}
