package swarm

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// TestDelta: who has the older version of a file fetches the changes only, in whatever way they are known: as a
// delta that somebody has made, or by the chunks that both versions have.
func TestDelta(t *testing.T) {
	old := noise(6, 16<<20)
	data := slices.Concat(old[:5<<20], []byte("an insertion"), old[5<<20:12<<20], noise(7, 1000), old[12<<20:])
	for name, from := range map[string]bool{"delta": true, "chunks": false} {
		t.Run(name, func(t *testing.T) {
			c := newClass(t, 2, sim.Options{})
			ada, ben := c.seats[0], c.seats[1]
			before := ada.write("before.img", old)
			o := MakeOptions{}
			if from {
				o.From = before
			}
			st, err := ada.Make(t.Context(), ada.write("after.img", data), o)
			if err != nil {
				t.Fatal(err)
			}
			// Ben shares the older version himself.
			ben.share("mine.img", old)
			if from && len(st.Seed.Bases) != 1 {
				t.Fatalf("%d bases", len(st.Seed.Bases))
			}
			if _, err := ben.Download(t.Context(), GetOptions{Seed: st.Seed}); err != nil {
				t.Fatal(err)
			}
			got := ben.until(st.Seed.ID(), StateSeeding)
			same(t, got.Path, data)
			total := int64(0)
			for _, s := range ben.List() {
				total += s.Wire
			}
			if total > 1<<20 {
				t.Errorf("%d bytes came over the network for a small change", total)
			}
			t.Logf("%d bytes came, %d were here", total, got.Reused)
		})
	}
}

// TestUnusable: what cannot be shared is refused in words.
func TestUnusable(t *testing.T) {
	h := newClass(t, 1, sim.Options{}).seats[0]
	if err := os.Symlink("/nowhere", h.dir+"/dangling"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Make(t.Context(), h.dir, MakeOptions{}); err == nil || strings.Count(err.Error(), "unusable path") != 1 {
		t.Errorf("a directory: %v", err)
	}
	for _, path := range []string{h.dir, h.dir + "/none", h.dir + "/dangling", "/dev/null"} {
		if _, err := h.Make(t.Context(), path, MakeOptions{}); err == nil {
			t.Errorf("%s is shared", path)
		}
	}
	if _, err := h.MakeFrom(t.Context(), "../up", bytes.NewReader(nil), 0); err == nil {
		t.Error("a name with a path is taken")
	}
	if _, err := h.MakeFrom(t.Context(), "short", bytes.NewReader([]byte("abc")), 5); err == nil {
		t.Error("a file that ends early is taken")
	}
	if entries, err := os.ReadDir(h.dir + "/kept"); err != nil || len(entries) != 0 {
		t.Errorf("something is left of it: %v %v", entries, err)
	}
}

// TestSilentDelta: a delta that nobody sends, though somebody is there who says that he has it, is done without.
func TestSilentDelta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 3, sim.Options{Latency: time.Millisecond})
		ada, liar, ben := c.seats[0], c.seats[1], c.seats[2]
		old := noise(6, 4<<20)
		data := slices.Concat(old[:1<<20], noise(7, 1000), old[1<<20:])
		st, err := ada.Make(t.Context(), ada.write("after.img", data), MakeOptions{From: ada.write("before.img", old)})
		if err != nil {
			t.Fatal(err)
		}
		id := seed.ID(st.Seed.Bases[0].Delta)
		made, err := ada.Service.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := ada.Forget(t.Context(), id, true); err != nil {
			t.Fatal(err)
		}
		liar.pretend(made.Seed, func(in *bufio.Reader, conn net.Conn) { liars["nothing at all"](made.Seed, in, conn) })
		ben.share("mine.img", old)
		if _, err := ben.Download(t.Context(), GetOptions{Seed: st.Seed}); err != nil {
			t.Fatal(err)
		}
		got := ben.until(st.Seed.ID(), StateSeeding)
		same(t, got.Path, data)
		if took := got.Ended.Sub(got.Added); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
