package server

import (
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
	"github.com/shoal-p2p/shoal/server/api"
)

// TestTracker: what this node has is listed, found and told as a text; what nobody has is not found.
func TestTracker(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	one := func(name, content string) seed.Seed {
		made, err := seed.Make(t.Context(), strings.NewReader(content), int64(len(content)), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	lecture, notes := one("lecture.txt", "all about trackers"), one("notes.txt", "what was said")
	n.Tracker().Announce(tracker.Own{Seed: lecture, Have: tracker.Have{All: true}, Up: 1 << 20})
	n.Tracker().Announce(tracker.Own{Seed: notes, Have: tracker.Have{Count: 1, Runs: []tracker.Run{{First: 0, Count: 1}}}, Wants: true})

	var list api.TrackedList
	call(t, s, get, "/api/tracker?limit=1", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Name != "lecture.txt" || list.Items[0].Whole != 1 || !list.Items[0].Own || list.Next == nil || list.Own != 2 || list.TtlS != 90 || list.EveryS != 30 {
		t.Errorf("%+v", list)
	}
	call(t, s, get, "/api/tracker?cursor="+*list.Next, "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Name != "notes.txt" || list.Items[0].Partial != 1 || list.Next != nil {
		t.Errorf("%+v", list)
	}
	call(t, s, get, "/api/tracker?q=LECT+txt", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Id != lecture.ID().String() {
		t.Errorf("%+v", list)
	}
	call(t, s, get, "/api/tracker?all=true&limit=1", "", 200, &list)
	if len(list.Items) != 1 || !list.Truncated || list.Next != nil || list.Items[0].Hearsay {
		t.Errorf("%+v", list)
	}
	call(t, s, get, "/api/tracker?all=true&cursor=00", "", 400, nil)
	if body := call(t, s, get, "/api/tracker?q=nothing", "", 200, nil).Body.String(); !strings.Contains(body, `"items":[]`) {
		t.Error(body)
	}
	if p := call(t, s, get, "/api/tracker?cursor=xyz", "", 400, nil).Body.String(); !strings.Contains(p, "cursor_invalid") {
		t.Error(p)
	}

	w := call(t, s, get, "/api/tracker/get_seed?id="+lecture.ID().String(), "", 200, nil)
	if got, err := seed.Parse(w.Body.Bytes()); err != nil || got.Name != "lecture.txt" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%s: %v", w.Body, err)
	}
	var found api.TrackerSources
	call(t, s, get, "/api/tracker/query?id="+notes.ID().String()+"&want=1", "", 200, &found)
	if len(found.Items) != 1 || !found.Items[0].Self || found.Items[0].Pieces != 1 || len(found.Items[0].Runs) != 1 || found.Items[0].Told != "itself" || found.Slices != 1 {
		t.Errorf("%+v", found)
	}
	nobody := strings.Repeat("0", 64)
	if body := call(t, s, get, "/api/tracker/query?id="+nobody, "", 200, nil).Body.String(); !strings.Contains(body, `"items":[]`) {
		t.Error(body)
	}
	if p := call(t, s, get, "/api/tracker/get_seed?id="+nobody, "", 404, nil).Body.String(); !strings.Contains(p, "seed_not_found") {
		t.Error(p)
	}
	call(t, s, get, "/api/tracker/get_seed?id="+strings.Repeat("x", 64), "", 400, nil)
	var said api.TrackerUpdated
	call(t, s, post, "/api/tracker/update", "", 202, &said)
	if said.Seeds != 2 || said.Members != 0 {
		t.Errorf("%+v", said)
	}
}
