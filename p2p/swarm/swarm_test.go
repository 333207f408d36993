package swarm

import (
	"bytes"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/shoal-p2p/shoal/p2p/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDownload: a file comes from who has it, whatever its length, and is shared on.
func TestDownload(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	for i, size := range []int{0, 1, 16 << 10, 16<<10 + 1, 1<<20 - 1, 1 << 20, 3<<20 + 5} {
		data := noise(uint64(i), size)
		s := c.seats[0].share("file.bin", data)
		c.seats[1].get(s)
		st := c.seats[1].until(s.ID(), StateSeeding)
		same(t, st.Path, data)
		if st.Done != int64(size) || st.Here != st.Pieces || st.Wasted != 0 {
			t.Errorf("%d bytes: %+v", size, st)
		}
	}
}

// TestClass: a file gets to many at once, and who has it first sends little more than the file.
func TestClass(t *testing.T) {
	c := newClass(t, 8, sim.Options{})
	data := noise(1, 8<<20)
	s := c.seats[0].share("lecture.mp4", data)
	for _, h := range c.seats[1:] {
		h.get(s)
	}
	for _, h := range c.seats[1:] {
		st := h.until(s.ID(), StateSeeding)
		same(t, st.Path, data)
		t.Logf("wire %d wasted %d", st.Wire, st.Wasted)
	}
	st, err := c.seats[0].Service.Get(s.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the origin sent %.2f times the file", float64(st.Sent)/float64(len(data)))
}

// TestRead: whoever reads a file that is elsewhere gets the bytes that he reads, and only those are fetched.
func TestRead(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	data := noise(3, 64<<20)
	s := c.seats[0].share("film.mkv", data)
	known, err := s.Link().Seed()
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.seats[1].Open(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{40<<20 + 5, 3, 63 << 20, 64<<20 - 1} {
		got := make([]byte, min(300_000, int64(len(data))-at))
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, data[at:at+int64(len(got))]) {
			t.Fatalf("%d bytes at %d: %v", len(got), at, err)
		}
	}
	st, err := c.seats[1].Service.Get(s.ID())
	if err != nil || st.State != StateStreaming || st.ETA >= 0 {
		t.Errorf("%s, %v left: %v", st.State, st.ETA, err)
	}
	if st.Wire > int64(len(data))*9/10 {
		t.Errorf("%d bytes were fetched, %v", st.Wire, err)
	}
	// Wanted as a whole, it comes to its place.
	dir := t.TempDir()
	if _, err := c.seats[1].Download(t.Context(), GetOptions{Seed: known, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	same(t, c.seats[1].until(s.ID(), StateSeeding).Path, data)
	if _, err := io.ReadFull(r, make([]byte, 1)); err == nil {
		t.Error("read after the end")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
