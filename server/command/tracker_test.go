package command

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

func TestTracker(t *testing.T) {
	id, other := strings.Repeat("1a", 32), strings.Repeat("2b", 32)
	list := api.TrackedList{Own: 1, Told: 3, Placed: 1, Next: pointer("ff00"), Items: []api.Tracked{
		{Id: id, Name: "lecture\x1b.mp4", Size: 3 << 20, Whole: 2, Partial: 1, Own: true}, {Id: other, Size: -1, Partial: 1},
	}}
	f := newFake(t, map[string]any{
		"GET /api/tracker": list,
		"GET /api/tracker/query": api.TrackerSources{Id: id, Slice: 1, Slices: 3, Items: []api.TrackerSource{
			{Id: strings.Repeat("a", 52), Name: "ada", Self: true, Pieces: 7, Linked: true, Wants: true, Told: "itself", TtlS: 90},
			{Id: strings.Repeat("b", 52), Name: "ben", Whole: true, Linked: true, Rate: 2 << 20, Told: "itself", TtlS: 61.4},
			{Id: strings.Repeat("c", 52), Name: "chi", Whole: true, Told: "table", TtlS: 90},
		}},
		"POST /api/tracker/update": api.TrackerUpdated{Seeds: 2, Members: 1, EveryS: 30, TtlS: 90},
	})
	env := map[string]string{"SHOAL_HTTP": f.URL}
	for _, c := range []struct{ args, stdout, stderr string }{
		{"tracker", `NAME             SIZE    WHOLE  PART  HERE  ID
lecture\x1b.mp4  3.1 MB  2      1     yes   1a1a1a1a1a1a
-                -       0      1           2b2b2b2b2b2b
`, "More: --cursor ff00\n1 seed of this node, told to 3 members; 1 in the table.\n"},
		{"tracker query " + id, `SOURCE           HAS                  SENDS     LINK    TOLD BY  HOLDS FOR
ada (this node)  7 pieces, downloads  -                 itself   90 s
ben              all                  2.1 MB/s  linked  itself   61 s
chi              all                  -                 table    90 s
`, "3 download it: this node had best begin with part 2.\n"},
		{"tracker update", "2 seeds told to 1 member; every 30 s without being asked, and believed for 90 s.\n", ""},
	} {
		got := shoal(t, env, strings.Fields(c.args)...)
		if got.code != ExitOK || got.stdout != c.stdout || got.stderr != c.stderr {
			t.Errorf("%s: exit code %d, %s%s", c.args, got.code, cmp.Diff(c.stdout, got.stdout), cmp.Diff(c.stderr, got.stderr))
		}
		if got := shoal(t, env, append(strings.Fields(c.args), "--json")...); got.code != ExitOK || !strings.HasPrefix(got.stdout, "{") {
			t.Errorf("%s --json: exit code %d, %q", c.args, got.code, got.stdout)
		}
	}
	if got := shoal(t, env, "tracker", "query", "1a1a"); got.code != ExitUsage || !strings.Contains(got.stderr, "take the ID") {
		t.Errorf("one of two: %+v", got)
	}
	if got := shoal(t, env, "tracker", "get_seed", id); got.code != ExitNotFound {
		t.Errorf("text of what nobody has: %+v", got)
	}
	if got := shoal(t, env, "tracker", "some", "words", "-n", "5", "--all"); got.code != ExitOK || f.asked[len(f.asked)-1] != "GET /api/tracker?all=true&limit=5&q=some+words" {
		t.Errorf("words: %+v, %v", got, f.asked)
	}
	if got := shoal(t, env, "tracker", "-n", "0"); got.code != ExitUsage {
		t.Errorf("no limit: %+v", got)
	}
	empty := newFake(t, map[string]any{"GET /api/tracker": api.TrackedList{}, "GET /api/tracker/query": http.StatusNoContent})
	env["SHOAL_HTTP"] = empty.URL
	if got := shoal(t, env, "tracker"); got.code != ExitOK || !strings.Contains(got.stderr, "No seeds") {
		t.Errorf("nothing: %+v", got)
	}
	if got := shoal(t, env, "tracker", "query", "nothing"); got.code != ExitNotFound {
		t.Errorf("of nothing: %+v", got)
	}
}
