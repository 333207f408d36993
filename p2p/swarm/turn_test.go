package swarm

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestDropsAtOnce: of one content that is dropped several times at once there is one file, and nothing is left of the
// others.
func TestDropsAtOnce(t *testing.T) {
	c := newClass(t, 1, sim.Options{})
	ada := c.seats[0]
	for i := range 20 {
		data := noise(uint64(30+i), 64<<10)
		var drops sync.WaitGroup
		for range 4 {
			drops.Go(func() {
				if _, err := ada.MakeFrom(t.Context(), "file", bytes.NewReader(data), int64(len(data))); err != nil {
					t.Error(err)
				}
			})
		}
		drops.Wait()
		left, err := os.ReadDir(ada.dir + "/kept")
		if err != nil || len(left) != i+1 {
			t.Fatalf("%d drops of %d contents: left are %v, %v", 4*(i+1), i+1, left, err)
		}
	}
	for _, st := range ada.List() {
		if _, err := os.Stat(st.Path); err != nil || st.State != StateSeeding || filepath.Base(st.Path) != "file" {
			t.Errorf("%+v, %v", st, err)
		}
	}
}

// TestForgetAndGetInPlace: what is deleted because it is forgotten is not what the next download puts there.
func TestForgetAndGetInPlace(t *testing.T) {
	c := newClass(t, 2, sim.Options{})
	ada, ben := c.seats[0], c.seats[1]
	s := ada.share("file", noise(29, 512<<10))
	for i := range 40 {
		if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			ben.until(s.ID(), StateSeeding) // else it is forgotten before it is whole
		}
		var both sync.WaitGroup
		both.Go(func() {
			if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			for {
				ben.Service.mu.Lock()
				there := ben.entries[s.ID()] != nil
				ben.Service.mu.Unlock()
				if !there {
					break
				}
				time.Sleep(10 * time.Microsecond)
			}
			if _, err := ben.Download(t.Context(), GetOptions{Seed: s}); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		ben.until(s.ID(), StateSeeding)
		if _, err := os.Stat(ben.dir + "/downloads/file"); err != nil {
			t.Fatal(err)
		}
		if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
			t.Fatal(err)
		}
	}
}
