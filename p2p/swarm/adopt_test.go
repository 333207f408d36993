package swarm

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// adopts has a node read a part of a file, want it as a whole in its downloads, and read on.
func adopts(t *testing.T, ada, ben *seat, part int) {
	t.Helper()
	data := noise(60, 8<<20+5)
	s := ada.share("film", data)
	ada.limits.Set(link.Rates{Up: 16 << 20})
	r, err := ben.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, part)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	if part == len(data) {
		ben.until(s.ID(), StateSeeding)
	}
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(first, rest...), data) {
		t.Errorf("who was reading got %d bytes more, %v", len(rest), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	st := ben.until(s.ID(), StateSeeding)
	if st.Path != ben.dir+"/downloads/film" {
		t.Errorf("it is in %s", st.Path)
	}
	same(t, st.Path, data)
	if twice := st.Wire - int64(len(data)); twice > 1<<20 {
		t.Errorf("%d bytes came more than the file has", twice)
	}
	for dir, want := range map[string]int{"/kept": 0, "/downloads": 1} {
		if files, err := os.ReadDir(ben.dir + dir); err != nil || len(files) != want {
			t.Errorf("in %s: %v, %v", dir, files, err)
		}
	}
	rows, err := ben.store.Rows(t.Context())
	if err != nil || len(rows) != 1 || !rows[0].Whole || rows[0].Own || rows[0].Reading || rows[0].Dir != ben.dir+"/downloads" {
		t.Errorf("kept: %+v, %v", rows, err)
	}
}

// TestAdopt: what was only read, and is wanted as a whole, is not fetched again, and who reads it reads on.
func TestAdopt(t *testing.T) {
	for name, part := range map[string]int{"a part": 4 << 20, "all of it": 8<<20 + 5} {
		t.Run(name, func(t *testing.T) {
			c := newClass(t, 2, sim.Options{})
			adopts(t, c.seats[0], c.seats[1], part)
		})
	}
}

// TestAdoptChanged: what was read and then changed on the disk is not taken for what it was.
func TestAdoptChanged(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(61, 4<<20+5)
	s := ada.share("film", data)
	r, err := ben.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	st := ben.until(s.ID(), StateSeeding)
	if err := os.WriteFile(st.Path, noise(62, len(data)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(st.Path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
		t.Fatal(err)
	}
	st = ben.until(s.ID(), StateSeeding)
	same(t, st.Path, data)
}

// TestAdoptLost: of what was read and is gone from the disk nothing is believed to be in a file that an attempt which was
// interrupted has left at the new place.
func TestAdoptLost(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(63, 4<<20+5)
	s := ada.share("film", data)
	r, err := ben.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	st := ben.until(s.ID(), StateSeeding)
	all := picker.NewBitmap(s.Count())
	all.SetRange(0, s.Count()-1)
	if err := ben.store.Progress(t.Context(), s.ID(), all.Bytes(), Counts{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(st.Path); err != nil {
		t.Fatal(err)
	}
	ben.write("downloads/"+partName(s.ID()), make([]byte, len(data)))
	if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
		t.Fatal(err)
	}
	st = ben.until(s.ID(), StateSeeding)
	same(t, st.Path, data)
}

// TestCopyPieces: what is damaged of what was read is left out when it is copied to another disk, and the rest is not.
func TestCopyPieces(t *testing.T) {
	data := noise(64, 1<<20+5)
	s, err := seed.Make(t.Context(), bytes.NewReader(data), int64(len(data)), "film", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := picker.NewBitmap(s.Count())
	all.SetRange(0, s.Count()-2)
	data[s.PieceLen] ^= 1
	dst, err := os.Create(t.TempDir() + "/copy")
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	have, err := copyPieces(t.Context(), dst, bytes.NewReader(data), s, all.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got, err := picker.ParseBitmap(have, s.Count())
	if err != nil || got.Count() != s.Count()-2 || got.Has(1) {
		t.Errorf("%d of %d pieces, %v", got.Count(), s.Count(), err)
	}
}
