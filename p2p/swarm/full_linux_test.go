package swarm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// disk mounts a disk of some MiB at the downloads of a node.
func (h *seat) disk(t *testing.T, mib string) string {
	t.Helper()
	dir := h.dir + "/downloads"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+mib+"m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		h.end()
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk: a file for which there is no room is not begun, one for which there is none any more stands still
// and says why, and goes on where it was when there is room again.
func TestFullDisk(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	dir := ben.disk(t, "24")
	large := ada.share("large", noise(20, 32<<20))
	ben.get(large)
	if st := ben.until(large.ID(), StateError); !strings.Contains(st.Error, "full") || st.Wire > 1<<20 {
		t.Errorf("%q after %d bytes", st.Error, st.Wire)
	}
	if err := ben.Forget(t.Context(), large.ID(), false); err != nil {
		t.Fatal(err)
	}
	data := noise(21, 16<<20)
	s := ada.share("fits", data)
	ada.limits.Set(link.Rates{Up: 8 << 20})
	ben.get(s)
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(time.Millisecond) {
		if st, err := ben.Service.Get(s.ID()); err == nil && st.Here > 20 {
			break
		}
	}
	filler := dir + "/filler"
	_ = os.WriteFile(filler, make([]byte, 23<<20), 0o600) // as much of it as there is room for
	st := ben.until(s.ID(), StateError)
	if st.Error != "the disk is full" {
		t.Errorf("%q", st.Error)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := ben.Resume(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	st = ben.until(s.ID(), StateSeeding)
	same(t, st.Path, data)
	if st.Resumed == 0 {
		t.Error("nothing was resumed")
	}
}

// TestTooLarge: a disk that has room and takes no file of this length is not said to be full, and the download goes on
// where it does.
func TestTooLarge(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	data := noise(22, 20<<20)
	s := ada.share("large", data)
	// As on FAT32, but with less to write: the system answers the same for a limit of the process.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	less := was
	less.Cur = 16 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &less); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	ben.get(s)
	st := ben.until(s.ID(), StateError)
	if strings.Contains(st.Error, "full") || !strings.Contains(st.Error, "takes no file of this size") || st.Wire > 1<<20 {
		t.Errorf("%q after %d bytes", st.Error, st.Wire)
	}
	if _, err := ben.MakeFrom(t.Context(), "dropped", bytes.NewReader(data), -1); !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrFull) {
		t.Errorf("dropped: %v", err)
	}
	restore()
	if _, err := ben.Resume(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	same(t, ben.until(s.ID(), StateSeeding).Path, data)
}

// TestAdoptElsewhere: what was read is taken also to another disk; one that has no room for it changes nothing.
func TestAdoptElsewhere(t *testing.T) {
	c := newClass(t, 3, sim.Options{})
	c.seats[1].disk(t, "24")
	adopts(t, c.seats[0], c.seats[1], 4<<20)
	ada, cy := c.seats[0], c.seats[2]
	cy.disk(t, "2")
	data := noise(61, 8<<20)
	s := ada.share("other", data)
	r, err := cy.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := cy.Download(t.Context(), GetOptions{Seed: s}); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data[4<<20:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	rows, err := cy.store.Rows(t.Context())
	if err != nil || len(rows) != 1 || !rows[0].Own || !rows[0].Reading || rows[0].Dir != cy.dir+"/kept/"+s.ID().String()[:24] {
		t.Errorf("kept: %+v, %v", rows, err)
	}
}
