package command

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

// TestSeedLinks: links for computers outside are made, listed and withdrawn.
func TestSeedLinks(t *testing.T) {
	id, one, two := strings.Repeat("1a", 32), strings.Repeat("2b", 16), strings.Repeat("2c", 16)
	s := api.KeptSeed{Id: id, Name: "a.txt", State: "seeding", Link: "shoal:seed/" + id + "?len=5&name=a.txt", Path: "/d/a.txt"}
	at := time.Date(2026, 11, 20, 23, 20, 0, 0, time.Local)
	path := "/api/seeds/" + id + "/link"
	f := newFake(t, map[string]any{
		"GET /api/seeds": api.KeptSeedList{Items: []api.KeptSeed{s}},
		"POST " + path:   api.SeedLinkMade{Id: one, Link: s.Link + "&exp=1&via=x", Expires: at, MaxUses: 2},
		"GET " + path: api.SeedLinkList{Items: []api.SeedLink{
			{Id: one, State: "used", Expires: at, MaxUses: 1, Guests: []api.SeedGuest{{Id: strings.Repeat("g", 52), At: at}}},
			{Id: two, State: "open", Expires: at, MaxUses: 2},
		}},
		"DELETE " + path + "/" + two: http.StatusNoContent,
	})
	env := map[string]string{"SHOAL_HTTP": f.URL}
	for _, tc := range []struct {
		args, stdout, asked string
		code                int
	}{
		{"seeds link a.txt", s.Link + "\n", "GET /api/seeds", ExitOK},
		{"seeds link a.txt --outside 24h --uses 2", s.Link + "&exp=1&via=x\n", "POST " + path + ` {"expires_in":86400,"max_uses":2}`, ExitOK},
		{"seeds links a.txt", "LINK          STATE  EXPIRES           USED    BY\n2b2b2b2b2b2b  used   2026-11-20 23:20  1 of 1  gggggggggggg 2026-11-20 23:20\n2c2c2c2c2c2c  open   2026-11-20 23:20  0 of 2  -\n", "GET " + path, ExitOK},
		{"seeds unlink a.txt 2c2c", "", "DELETE " + path + "/" + two, ExitOK},
		{"seeds unlink a.txt 9999", "", "GET " + path, ExitNotFound},
		{"seeds unlink a.txt 2", "", "GET " + path, ExitNotFound},
		{"seeds link a.txt --outside 1s", "", "", ExitUsage},
		{"seeds link a.txt --outside soon", "", "", ExitUsage},
		{"seeds link a.txt --uses 2", "", "", ExitUsage},
		{"seeds link a.txt --outside 1h --uses 41", "", "", ExitUsage},
		{"seeds link a.txt --json", "", "", ExitUsage},
		{"seed a.txt --outside 1h --json", "", "", ExitUsage},
		{"seeds link nothing --outside 1h", "", "GET /api/seeds", ExitNotFound},
	} {
		f.asked = nil
		got := shoal(t, env, strings.Fields(tc.args)...)
		last := ""
		if len(f.asked) > 0 {
			last = f.asked[len(f.asked)-1]
		}
		if got.code != tc.code || got.stdout != tc.stdout || last != tc.asked {
			t.Errorf("%s: %d %s asked %s %s", tc.args, got.code, got.stderr, last, cmp.Diff(tc.stdout, got.stdout))
		}
	}
}
