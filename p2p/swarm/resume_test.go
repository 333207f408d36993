package swarm

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestResume: a download goes on where it was, after a pause and after a restart, and what was here is not fetched
// again.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 2, sim.Options{Latency: time.Millisecond})
		ada, ben := c.seats[0], c.seats[1]
		data := noise(13, 16<<20)
		s := ada.share("file", data)
		ada.limits.Set(link.Rates{Up: 1 << 20})
		ben.get(s)
		time.Sleep(5 * time.Second)
		st, err := ben.Pause(t.Context(), s.ID())
		if err != nil || st.State != StatePaused || st.Here < 40 {
			t.Fatalf("%s with %d pieces: %v", st.State, st.Here, err)
		}
		time.Sleep(5 * time.Second)
		if again, err := ben.Service.Get(s.ID()); err != nil || again.Here != st.Here {
			t.Fatalf("it went on during the pause: %d pieces, then %d, %v", st.Here, again.Here, err)
		}
		if st, err = ben.Resume(t.Context(), s.ID()); err != nil || st.State == StatePaused {
			t.Fatalf("%s, %v", st.State, err)
		}
		time.Sleep(4 * time.Second)
		ben.end()
		again := c.again(1)
		if st, err = again.Service.Get(s.ID()); err != nil || st.Here < 100 && st.State != StateDownloading {
			t.Fatalf("after a restart %s, %d pieces, %v", st.State, st.Here, err)
		}
		st = again.until(s.ID(), StateSeeding)
		same(t, st.Path, data)
		if over := st.Wire - int64(len(data)); over > 1<<20 {
			t.Errorf("%d bytes came more than the file has", over)
		}
	})
}

// TestLostFile: a download whose file has been deleted meanwhile begins anew, and what was whole and is changed is
// not served.
func TestLostFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, 2, sim.Options{Latency: time.Millisecond})
		ada, ben := c.seats[0], c.seats[1]
		data := noise(14, 8<<20)
		s := ada.share("file", data)
		ada.limits.Set(link.Rates{Up: 1 << 20})
		ben.get(s)
		time.Sleep(3 * time.Second)
		if _, err := ben.Pause(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(ben.dir + "/downloads/" + partName(s.ID())); err != nil {
			t.Fatal(err)
		}
		if _, err := ben.Resume(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
		st := ben.until(s.ID(), StateSeeding)
		same(t, st.Path, data)

		// Somebody edits the file that Ada shares; whoever asks her gets nothing wrong.
		changed := append([]byte("edited"), data[6:]...)
		if err := os.WriteFile(ada.dir+"/file", changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(st.Path); err == nil {
			t.Error("the file is still there")
		}
		ben.get(s)
		ada.until(s.ID(), StateChanged)
		time.Sleep(3 * time.Second)
		if st, err := ben.Service.Get(s.ID()); err != nil || st.State == StateSeeding {
			t.Errorf("%s: %v", st.State, err)
		}
		// Put back, it is shared again.
		if err := os.WriteFile(ada.dir+"/file", data, 0o644); err != nil {
			t.Fatal(err)
		}
		if st, err := ada.Resume(t.Context(), s.ID()); err != nil || st.State != StateSeeding {
			t.Fatalf("%s: %v", st.State, err)
		}
		same(t, ben.until(s.ID(), StateSeeding).Path, data)
	})
}

// TestNames: a name that is taken is not taken away, and two downloads of one seed are one.
func TestNames(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	data := noise(15, 1<<20)
	s := c.seats[0].share("file.tar.gz", data)
	mine := c.seats[1].write("downloads/file.tar.gz", []byte("mine"))
	c.seats[1].get(s)
	c.seats[1].get(s)
	st := c.seats[1].until(s.ID(), StateSeeding)
	same(t, mine, []byte("mine"))
	same(t, c.seats[1].dir+"/downloads/file.tar (2).gz", data)
	if n := len(c.seats[1].List()); n != 1 {
		t.Errorf("%d seeds", n)
	}
	entries, err := os.ReadDir(c.seats[1].dir + "/downloads")
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	_ = st
}
