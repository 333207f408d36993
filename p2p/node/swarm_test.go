package node

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// TestSeedGoesAround: a file that one member shares gets to the others, who find it by the tracker, and an older
// version of it in a folder is made use of.
func TestSeedGoesAround(t *testing.T) {
	nodes := simulated(t, true, "ada", "ben", "chi")
	ada, ben, chi := nodes[0], nodes[1], nodes[2]
	data := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data) // never fails (rand.ChaCha8)
	dir := t.TempDir()
	path := filepath.Join(dir, "lecture.mp4")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := ada.Swarm().Make(t.Context(), path, swarm.MakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	known, err := made.Seed.Link().Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Node{ben, chi} {
		to := t.TempDir()
		if _, err := n.Swarm().Download(t.Context(), swarm.GetOptions{Seed: known, Dir: to}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all is there", func() bool {
			st, err := n.Swarm().Get(known.ID())
			return err == nil && st.State == swarm.StateSeeding
		})
		got, err := os.ReadFile(filepath.Join(to, "lecture.mp4"))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s has %d bytes: %v", n.name, len(got), err)
		}
	}
}

// TestSeedsAmongStrangers: what a node shares when it comes to an open network is nobody's there until its owner
// says so.
func TestSeedsAmongStrangers(t *testing.T) {
	n := startNode(t, Options{Name: "ada"})
	path := filepath.Join(t.TempDir(), "payroll.txt")
	if err := os.WriteFile(path, []byte("for the office only"), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := n.Swarm().Make(t.Context(), path, swarm.MakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Found(t.Context(), member.ModeOpen, "the square"); err != nil {
		t.Fatal(err)
	}
	st, err := n.Swarm().Get(made.Seed.ID())
	if err != nil || st.State != swarm.StatePaused {
		t.Errorf("in an open network it is %s, %v", st.State, err)
	}
	if l, _ := n.Tracker().List(tracker.ListOptions{Query: "payroll"}); len(l) != 0 {
		t.Errorf("it is told: %+v", l)
	}
	if st, err = n.Swarm().Resume(t.Context(), made.Seed.ID()); err != nil || st.State != swarm.StateSeeding {
		t.Errorf("shared again it is %s, %v", st.State, err)
	}
}
