package command

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoal-p2p/shoal/server/api"
)

func searchAnswer() api.SearchAnswer {
	return api.SearchAnswer{
		Query: "netwrk", Total: 3, NodesAsked: 2, NodesAnswered: 2, TookMs: 12.4,
		Corrections: []api.Correction{{From: "netwrk", To: "network", Distance: 1}},
		Hits: []api.Hit{
			{Title: "Overlay", Node: strings.Repeat("b", 52), NodeName: "bob", Folder: "f1", Path: "p2p/overlay.md", Snippet: api.Snippet{Text: "a network on a network", Marks: [][]int{{2, 9}, {15, 22}}}},
			{Title: "Chord\x1b[2J", Node: strings.Repeat("c", 52), Snippet: api.Snippet{Text: ""}},
			{Title: "Far", NodeName: "dan\nevil", Folder: "unknownfolderid", Path: "a"},
		},
		Nodes: []api.NodeAnswer{{NodeName: "alice", Hits: 1, TookMs: 0.5}, {NodeName: "bob", Hits: 2, TookMs: 7}},
	}
}

func TestSearchPrints(t *testing.T) {
	f := newFake(t, map[string]any{
		"GET /api/search":  searchAnswer(),
		"GET /api/folders": api.FolderList{Items: []api.Folder{{Id: "f1", Label: "notes"}}},
	})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "-n", "3", "--via", "mesh", "--fuzz=2", "netwrk", "peers & friends")
	want := `showing network for netwrk
Overlay
  bob  notes/p2p/overlay.md
  a *network* on a *network*
Chord\x1b[2J
  cccccccccccc
Far
  dan evil  unknownfolde/a
3 hits, 2 nodes asked, 12 ms
`
	if diff := cmp.Diff(want, got.stdout); diff != "" || got.code != ExitOK || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q (-want +got):\n%s", got.code, got.stderr, diff)
	}
	asked, err := url.Parse(strings.Fields(f.asked[0])[1])
	if err != nil {
		t.Fatal(err)
	}
	wantQuery := url.Values{"q": {"netwrk peers & friends"}, "limit": {"3"}, "via": {"mesh"}, "fuzz": {"2"}}
	if diff := cmp.Diff(wantQuery, asked.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestSearchWords(t *testing.T) {
	f := newFake(t, map[string]any{"GET /api/search/completions": api.CompletionList{Items: []api.Completion{
		{Word: "network", Query: "a network", Documents: 12}, {Word: "net\nwork", Query: "x", Documents: 1, Distance: 1},
	}}})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "--words", "a", "netw")
	want := "WORD      DOCUMENTS  EDITS\nnetwork   ~12        0\nnet work  ~1         1\n"
	if got.code != ExitOK || got.stdout != want || !strings.Contains(f.asked[0], "limit=20&q=a+netw") {
		t.Errorf("%+v, asked %v", got, f.asked)
	}
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "--words"); got.code != ExitUsage {
		t.Errorf("%+v", got)
	}
}

func TestSearchWithoutFolderNames(t *testing.T) {
	f := newFake(t, map[string]any{"GET /api/search": searchAnswer()})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "netwrk")
	if got.code != ExitOK || !strings.Contains(got.stdout, "bob  f1/p2p/overlay.md\n") {
		t.Errorf("%+v", got)
	}
}

func TestSearchPartial(t *testing.T) {
	id := func(name string) string { return strings.Repeat(name[:1], 52) }
	linked := api.PeerList{Items: []api.Peer{
		{Id: id("bob"), Name: "bob"},
		{Id: id("carol"), Name: "carol"},
		{Id: id("dan"), Name: "dan"},
		{Id: id("emi"), Name: "emi"},
		{Id: id("farid"), Name: "farid"},
		{Id: id("grace"), Name: "grace", Connected: true},
		{Id: id("hugo"), Name: "hugo", Connected: true},
	}}
	for _, tc := range []struct {
		missing []string
		peers   any
		want    string
	}{
		{[]string{"bob"}, linked, "shoal: bob is off: its files were not searched (exit 5)\n"},
		{[]string{"bob", "carol"}, linked, "shoal: bob and carol are off: their files were not searched (exit 5)\n"},
		{[]string{"bob", "carol", "dan", "emi"}, linked, "shoal: bob, carol, dan and emi are off: their files were not searched (exit 5)\n"},
		{[]string{"bob", "carol", "dan", "emi", "farid"}, linked, "shoal: bob, carol, dan and 2 others are off: their files were not searched (exit 5)\n"},
		{[]string{"bob", "grace", "hugo"}, linked, "shoal: bob is off: its files were not searched\nshoal: grace and hugo did not answer: their files were not searched (exit 5)\n"},
		{[]string{"bob"}, http.StatusNotFound, "shoal: bob did not answer: its files were not searched (exit 5)\n"},
		{nil, linked, "shoal: 2 of 3 nodes answered (exit 5)\n"},
	} {
		a := searchAnswer()
		a.Partial, a.NodesAsked = true, 3
		for _, name := range tc.missing {
			a.Nodes = append(a.Nodes, api.NodeAnswer{Node: id(name), NodeName: name, Error: "search: no"})
		}
		f := newFake(t, map[string]any{"GET /api/search": a, "GET /api/peers": tc.peers})
		for _, args := range []string{"search x", "search --json x"} {
			got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, strings.Fields(args)...)
			if got.code != ExitPartial || !strings.Contains(got.stdout, "Overlay") || got.stderr != tc.want {
				t.Errorf("%s without %v: %+v, want %q", args, tc.missing, got, tc.want)
			}
		}
	}
}

func TestSearchSummary(t *testing.T) {
	for _, tc := range []struct {
		hits, total int
		truncated   bool
		want        string
	}{
		{0, 0, false, "no hits"},
		{1, 1, false, "1 hit"},
		{2, 9, false, "2 of 9 hits"},
		{2, 2, true, "the best 2 hits"},
	} {
		a := api.SearchAnswer{Hits: make([]api.Hit, tc.hits), Total: tc.total, Truncated: tc.truncated}
		if got := shown(a); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

func TestSearchExplains(t *testing.T) {
	a := searchAnswer()
	a.Trace = &[]api.TraceEvent{{Topic: "search.asked", Data: map[string]any{"node": "bob\x1b"}}}
	f := newFake(t, map[string]any{"GET /api/search": a})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "--explain", "x")
	for _, want := range []string{"bob: 2 hits in 7.0 ms", `search.asked {"node":"bob\u001b"}`} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in %s", want, got.stdout)
		}
	}
	if !strings.Contains(f.asked[0], "explain=true") {
		t.Errorf("asked %s", f.asked[0])
	}
}

// What several nodes keep is one hit.
func TestSearchShowsOnce(t *testing.T) {
	hit := func(node, path string, size int64, local bool) api.Hit {
		return api.Hit{Id: path, Title: path, Folder: "f", Path: path, Node: node, NodeName: node, Local: local, Size: size}
	}
	hits, also := once([]api.Hit{hit("bob", "a", 1, false), hit("carol", "a", 2, false), hit("alice", "a", 1, true), hit("dora", "a", 1, false)})
	var got []string
	for i, h := range hits {
		got = append(got, h.NodeName+": "+strings.Join(also[i], " "))
	}
	if diff := cmp.Diff([]string{"alice: bob dora", "carol: "}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSearchFiltersAndSorts(t *testing.T) {
	a := searchAnswer()
	name := "bob"
	a.Facets = &api.Facets{
		Type: []api.FacetCount{{Value: "markdown", Count: 2}, {Value: "pdf\x1b", Count: 1}}, Folder: []api.FacetCount{{Value: "f1", Count: 2}, {Value: "unknownfolderid", Count: 1}},
		Year: []api.FacetCount{{Value: "2026", Count: 3}}, Node: []api.FacetCount{{Value: strings.Repeat("b", 52), Name: &name, Count: 3}},
	}
	f := newFake(t, map[string]any{"GET /api/search": a, "GET /api/folders": api.FolderList{Items: []api.Folder{{Id: "f1", Label: "notes"}}}})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "--filter", "type:pdf", "--sort=size", "--order", "asc", "--facets")
	want := "type: markdown 2, pdf\\x1b 1\nfolder: notes 2, unknownfolde 1\nyear: 2026 3\nnode: bob 3\n"
	if got.code != ExitOK || !strings.HasSuffix(got.stdout, want) {
		t.Errorf("exit code %d, %q; want %q at the end", got.code, got.stdout, want)
	}
	asked, err := url.Parse(strings.Fields(f.asked[0])[1])
	if err != nil {
		t.Fatal(err)
	}
	wantQuery := url.Values{"q": {""}, "filter": {"type:pdf"}, "limit": {"20"}, "via": {"auto"}, "fuzz": {"auto"}, "sort": {"size"}, "order": {"asc"}, "facets": {"true"}}
	if diff := cmp.Diff(wantQuery, asked.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

// TestSearchUnpublished: that the table has only what was published is said where it has nothing.
func TestSearchUnpublished(t *testing.T) {
	f := newFake(t, map[string]any{"GET /api/search": api.SearchAnswer{NodesAsked: 2, NodesAnswered: 2}})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "--via", "dht", "film")
	if got.code != ExitOK || !strings.HasPrefix(got.stdout, "no hits") || !strings.Contains(got.stderr, "serve --publish") {
		t.Errorf("exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "film"); got.stderr != "" {
		t.Errorf("of the mesh: %q", got.stderr)
	}
}

// TestSearchPointsOut: people see which part of what they typed was not understood.
func TestSearchPointsOut(t *testing.T) {
	parameter, expected := "q", "a size"
	p := api.Problem{Status: 400, Code: "query_invalid", Title: "Query not understood", Detail: `character 8, "x": expected a size`, Parameter: &parameter, Position: &[]int{7, 8}, Expected: &expected}
	f := newFake(t, map[string]any{"GET /api/search": p})
	got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "é", "size:x")
	want := "é size:x\n       ^\nshoal: character 8, \"x\": expected a size\n"
	if got.stderr != want || got.code != ExitError {
		t.Errorf("exit code %d, %q, want %q", got.code, got.stderr, want)
	}
	for _, position := range [][]int{{-1, 3}, {3, 99}, {4, 4}, {1}} {
		p.Position = &position
		f := newFake(t, map[string]any{"GET /api/search": p})
		if got := shoal(t, map[string]string{"SHOAL_HTTP": f.URL}, "search", "size:x"); strings.Contains(got.stderr, "^") {
			t.Errorf("%v: %q", position, got.stderr)
		}
	}
}
