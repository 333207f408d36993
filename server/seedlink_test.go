package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
	"github.com/shoal-p2p/shoal/server/api"
)

// TestSeedLinksAPI: a link for a computer outside is made, used, listed and withdrawn, and what is wrong with one is
// told apart.
func TestSeedLinksAPI(t *testing.T) {
	one, two := startKeeping(t, "one"), startKeeping(t, "two")
	s := newServer(t, Options{Node: one, Lab: []*node.Node{one, two}})
	data := randomBytes(100_000, 3)
	var made api.KeptSeed
	call(t, s, post, "/api/seeds", `{"path":`+quoted(t, lectureFile(t, data))+`}`, 201, &made)
	path := "/api/seeds/" + made.Id + "/link"
	var list api.SeedLinkList
	if call(t, s, get, path, "", 200, &list); len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
	var link api.SeedLinkMade
	call(t, s, post, path, `{"expires_in":3600}`, 201, &link)
	parsed, err := seed.ParseLink(link.Link)
	if err != nil || link.MaxUses != 1 {
		t.Fatalf("%+v: %v", link, err)
	}
	if p, ok, err := pass.Of(parsed); !ok || err != nil || !p.Expires.Equal(link.Expires) || p.ID.String() != link.Id {
		t.Errorf("%+v: %v", p, err)
	}
	var got api.KeptSeed
	call(t, s, post, "/n/1/api/downloads", `{"link":`+quoted(t, link.Link)+`}`, 201, &got)
	eventually(t, func() bool {
		call(t, s, get, "/n/1/api/seeds/"+made.Id, "", 200, &got)
		return got.State == "seeding"
	})
	if file, err := os.ReadFile(filepath.Clean(got.Path)); err != nil || !slices.Equal(file, data) {
		t.Errorf("%d bytes: %v", len(file), err)
	}
	var p api.Swarm
	if call(t, s, get, "/n/1/api/seeds/"+made.Id+"/swarm", "", 200, &p); len(p.Members) != 1 || !p.Members[0].Outside || p.Members[0].Id != one.ID().String() || strings.Contains(p.Members[0].Name, "one") {
		t.Errorf("%+v", p.Members)
	}
	if call(t, s, get, path, "", 200, &list); len(list.Items) != 1 || list.Items[0].State != "used" || len(list.Items[0].Guests) != 1 || list.Items[0].Guests[0].Id != two.ID().String() {
		t.Errorf("%+v", list)
	}
	if w := call(t, s, get, path, "", 200, nil); strings.Contains(w.Body.String(), parsed.Extra[seed.LinkVia]) {
		t.Error("a list tells secrets")
	}
	call(t, s, remove, path+"/"+link.Id, "", 204, nil)
	if call(t, s, get, path, "", 200, &list); list.Items[0].State != "withdrawn" {
		t.Errorf("%+v", list)
	}
	past := parsed
	past.Extra = map[string]string{seed.LinkVia: parsed.Extra[seed.LinkVia], seed.LinkExpires: "1"}
	half := parsed
	half.Extra = map[string]string{seed.LinkVia: parsed.Extra[seed.LinkVia][5:], seed.LinkExpires: "1"}
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{remove, path + "/" + strings.Repeat("0", 32), "", 404, "link_not_found"},
		{remove, path + "/xyz", "", 404, "link_not_found"},
		{get, "/api/seeds/" + strings.Repeat("0", 64) + "/link", "", 404, "seed_not_found"},
		{post, "/api/seeds/" + strings.Repeat("0", 64) + "/link", `{}`, 404, "seed_not_found"},
		{post, path, `{"expires_in":1}`, 400, "request_invalid"},
		{post, path, `{"max_uses":41}`, 400, "request_invalid"},
	} {
		if w := call(t, s, c.method, c.path, c.body, c.status, nil); codeOf(t, w) != c.code {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
	if err := two.Swarm().Forget(t.Context(), parsed.ID, true); err != nil {
		t.Fatal(err)
	}
	for l, c := range map[*seed.Link]struct {
		status int
		code   string
	}{&past: {410, "link_expired"}, &half: {400, "link_malformed"}} {
		if w := call(t, s, post, "/n/1/api/downloads", `{"link":`+quoted(t, l.String())+`}`, c.status, nil); codeOf(t, w) != c.code {
			t.Errorf("%s", w.Body)
		}
	}
}
