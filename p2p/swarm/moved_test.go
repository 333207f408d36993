package swarm

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestMoved: a shared file that was moved is shared from where it is now, and one that was deleted is got again.
func TestMoved(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(40, 1<<20)
	s := ada.share("file", data)
	if err := os.Rename(ada.dir+"/file", ada.dir+"/moved"); err != nil {
		t.Fatal(err)
	}
	st, err := ada.Make(t.Context(), ada.dir+"/moved", MakeOptions{})
	if err != nil || st.State != StateSeeding || st.Path != ada.dir+"/moved" {
		t.Fatalf("%s %s %v", st.State, st.Path, err)
	}
	for range 2 {
		ben.get(s)
		st = ben.until(s.ID(), StateSeeding)
		same(t, st.Path, data)
		if err := os.Remove(st.Path); err != nil {
			t.Fatal(err)
		}
	}
	ben.get(s)
	same(t, ben.until(s.ID(), StateSeeding).Path, data)
}

// TestDroppedTwice: what is dropped again is kept once, also when the file that it was shared from is gone.
func TestDroppedTwice(t *testing.T) {
	c := newClass(t, 1, sim.Options{})
	ada := c.seats[0]
	data := noise(41, 1<<20)
	s := ada.share("file", data)
	if err := os.Remove(ada.dir + "/file"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		st, err := ada.MakeFrom(t.Context(), "dropped", bytes.NewReader(data), int64(len(data)))
		if err != nil || st.State != StateSeeding || st.Seed.ID() != s.ID() {
			t.Fatalf("%s %v", st.State, err)
		}
		same(t, st.Path, data)
		if kept, err := os.ReadDir(ada.dir + "/kept"); err != nil || len(kept) != 1 {
			t.Errorf("%v are kept, %v", kept, err)
		}
	}
}

// TestForgetChanged: a file that is to be deleted with its seed stays if somebody has made another one of it, and
// goes if it was only touched.
func TestForgetChanged(t *testing.T) {
	ada := newClass(t, 1, sim.Options{}).seats[0]
	data := noise(42, 1<<20)
	edited := append([]byte("edited"), data[6:]...)
	s := ada.share("file", data)
	ada.write("file", edited)
	if err := ada.Forget(t.Context(), s.ID(), true); !errors.Is(err, ErrUnusable) {
		t.Error(err)
	}
	same(t, ada.dir+"/file", edited)
	s = ada.share("touched", data)
	if err := os.Chtimes(ada.dir+"/touched", time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := ada.Forget(t.Context(), s.ID(), true); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(ada.dir + "/touched"); err == nil {
		t.Error("it is still there")
	}
}

// TestDroppedEdited: what was dropped, and edited by the person where it is kept, is not deleted when it is wanted again as
// it was, nor when that is shared from elsewhere, nor with its seed.
func TestDroppedEdited(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(43, 1<<20)
	s := ada.share("file", data)
	for name, then := range map[string]func(){
		"wanted again": func() {
			if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
				t.Fatal(err)
			}
			same(t, ben.until(s.ID(), StateSeeding).Path, data)
			if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
				t.Error(err)
			}
		},
		"shared from elsewhere": func() {
			ben.share("elsewhere", data)
			if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
				t.Error(err)
			}
		},
		"forgotten": func() {
			if err := ben.Forget(t.Context(), s.ID(), false); !errors.Is(err, ErrUnusable) {
				t.Error(err)
			}
		},
	} {
		st, err := ben.MakeFrom(t.Context(), "file", bytes.NewReader(data), -1)
		if err != nil {
			t.Fatal(err)
		}
		edited := []byte("edited: " + name)
		if err := os.WriteFile(st.Path, edited, 0o600); err != nil {
			t.Fatal(err)
		}
		then()
		same(t, st.Path, edited)
	}
}
