package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// lecture makes a seed.
func lecture(t *testing.T, content string, trackers ...p2p.ID) seed.Seed {
	t.Helper()
	s, err := seed.Make(t.Context(), strings.NewReader(content), int64(len(content)), "lecture.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Trackers = trackers
	return s
}

// found returns the names of the sources that a node finds for a seed, and who has said so.
func found(t *testing.T, n *Node, id seed.ID, want int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	peers, err := n.Tracker().Sources(ctx, id, want)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range peers {
		out = append(out, fmt.Sprintf("%s (%s)", n.nameOf(p.ID), p.Told))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestDeadTracker: five members, the first of them the tracker that seeds name. Who has no link to the
// source finds it by the tracker, and when that is dead, by the others; what was withdrawn in
// order is found nowhere.
func TestDeadTracker(t *testing.T) {
	nodes := simulated(t, true, "tracker", "ada", "ben", "chi", "dan")
	hub, ada, ben, chi := nodes[0], nodes[1], nodes[2], nodes[3]
	for i, n := range nodes {
		await(t, n, "links", linkedTo(n, []int{4, 3, 3, 4, 4}[i]))
	}
	s := lecture(t, "all about trackers", hub.ID())
	id := s.ID()
	ada.Tracker().Announce(tracker.Own{Seed: s, Have: tracker.Have{All: true}})
	eventually(t, "chi is told", func() bool { return found(t, chi, id, 1) == "ada (itself)" })
	if l, _ := chi.Tracker().List(tracker.ListOptions{Query: "LECT"}); len(l) != 1 || l[0].Name != "lecture.txt" || l[0].Whole != 1 {
		t.Errorf("listed: %+v", l)
	}
	// ada and ben can never be linked.
	eventually(t, "ben finds it", func() bool { return found(t, ben, id, 1) == "ada (tracker)" })
	got, err := ben.Tracker().Text(t.Context(), id)
	if err != nil || got.Name != "lecture.txt" || !slices.Equal(got.Trackers, s.Trackers) {
		t.Errorf("text: %+v, %v", got, err)
	}
	eventually(t, "the table has it", func() bool { return ada.Tracker().Status().Placed == 1 })

	if err := hub.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the links of the tracker end", func() bool { return !chi.Connected(hub.ID()) && !ben.Connected(hub.ID()) })
	other := lecture(t, "announced when its tracker is dead", hub.ID())
	ada.Tracker().Announce(tracker.Own{Seed: other, Have: tracker.Have{All: true}})
	eventually(t, "the table has both", func() bool { return ada.Tracker().Status().Placed == 2 })
	eventually(t, "ben finds the other one, too", func() bool { return strings.HasPrefix(found(t, ben, other.ID(), 1), "ada (") })
	if _, err := ben.Tracker().Text(t.Context(), other.ID()); err != nil {
		t.Errorf("text without a tracker: %v", err)
	}

	if err := ada.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "chi hears that it is gone", func() bool { return found(t, chi, other.ID(), 1) == "" })
	dan := nodes[4]
	eventually(t, "nor does the table have it", func() bool { return found(t, dan, other.ID(), 1) == "" })
}

// TestTold: over real links a member knows in a moment what another one has, and forgets it with the link.
func TestTold(t *testing.T) {
	nodes := class(t, "Ada", "Ben")
	ada, ben := nodes[0], nodes[1]
	s := lecture(t, "told over a link")
	ada.Tracker().Announce(tracker.Own{Seed: s, Have: tracker.Have{All: true}, Up: 3 << 20})
	eventually(t, "Ben is told", func() bool { return found(t, ben, s.ID(), 1) == "Ada (itself)" })
	peers, err := ben.Tracker().Sources(t.Context(), s.ID(), 1)
	if err != nil || len(peers) != 1 || !peers[0].Linked || peers[0].Rate != 3<<20 {
		t.Errorf("%+v, %v", peers, err)
	}
	text, err := ben.Tracker().Text(t.Context(), s.ID())
	if err != nil || text.Name != s.Name || text.List != s.List {
		t.Errorf("%+v, %v", text, err)
	}
	if err := ada.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ben forgets", func() bool {
		list, _ := ben.Tracker().List(tracker.ListOptions{})
		return len(list) == 0
	})
}
