package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/server/api"
)

func TestNodeAPI(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n, Lab: []*node.Node{n}, Addr: "127.0.0.1:8080"})
	var about api.Node
	w := call(t, s, get, "/api/node", "", 200, &about)
	if about.Id != n.ID().String() || about.Position != w.Header().Get(positionHeader) || about.Http != "127.0.0.1:8080" || about.Members != 1 {
		t.Errorf("got %+v", about)
	}
	call(t, s, get, "/n/0/api/node", "", 200, nil)
	var lab api.Lab
	call(t, s, get, "/api/lab", "", 200, &lab)
	if len(lab.Items) != 1 || lab.Items[0].Api != "/n/0" {
		t.Errorf("got %+v", lab)
	}
	call(t, s, get, "/healthz", "", 200, nil)
	if w := do(t, s, good(t, route{method: get, path: "/api/openapi.yaml"})); !bytes.Equal(w.Body.Bytes(), api.Spec) || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("another specification: %d %v", w.Code, w.Header())
	}
	ordinary := newServer(t, Options{Node: n})
	if w := call(t, ordinary, get, "/api/lab", "", 404, nil); codeOf(t, w) != "not_a_lab" {
		t.Errorf("got %s", w.Body)
	}
	var members api.MemberList
	call(t, s, get, "/api/members", "", 200, &members)
	if len(members.Items) != 1 || !members.Items[0].Self || members.Items[0].By != "" || members.Items[0].Role != "admin" {
		t.Errorf("got %+v", members)
	}
	call(t, s, get, "/api/peers", "", 200, nil)
	if w := do(t, s, good(t, route{method: http.MethodHead, path: "/api/node"})); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestDocumentsAPI(t *testing.T) {
	s := newServer(t, Options{})
	var samples api.Samples
	call(t, s, post, "/api/samples", "", 201, &samples)
	if samples.Documents == 0 {
		t.Error("no samples")
	}
	call(t, s, post, "/api/samples", "", 201, nil)
	var ref api.DocumentRef
	call(t, s, post, "/api/documents", `{"title":"Peering","text":"All about zebrafish","fields":{"year":2026.25,"big":9007199254740991,"kind":"note"}}`, 201, &ref)
	var d api.Document
	call(t, s, get, "/api/documents/"+ref.Id, "", 200, &d)
	if d.Title != "Peering" || !d.Local || d.Text != "All about zebrafish" {
		t.Errorf("got %+v", d)
	}
	if fields, err := json.Marshal(d.Fields); err != nil || string(fields) != `{"big":9007199254740991,"kind":"note","year":2026.25}` {
		t.Errorf("fields %s, %v", fields, err)
	}
	call(t, s, get, "/api/documents/"+ref.Id+"?node="+d.Node, "", 200, nil)
	var answer api.SearchAnswer
	call(t, s, get, "/api/search?q=zebrafihs&explain=true&fuzz=2&limit=5", "", 200, &answer)
	if len(answer.Hits) != 1 || answer.Hits[0].Id != ref.Id || len(answer.Corrections) != 1 || answer.Trace == nil || len(answer.Nodes) != 1 {
		t.Errorf("got %+v", answer)
	}
	answer = api.SearchAnswer{}
	call(t, s, get, "/api/search?q=%22about+zebrafish%22&filter=type:document&sort=modified&order=asc&facets=true", "", 200, &answer)
	if len(answer.Hits) != 1 || answer.Facets == nil || len(answer.Facets.Type) != 1 || answer.Facets.Type[0] != (api.FacetCount{Value: "document", Count: 1}) ||
		len(answer.Facets.Year) != 1 || len(answer.Facets.Node) != 1 || answer.Facets.Node[0].Value != d.Node || len(answer.Facets.Folder) != 0 {
		t.Errorf("got %+v with %+v", answer, answer.Facets)
	}
	call(t, s, get, "/api/search?q=&filter=-type:document", "", 200, &answer)
	if len(answer.Hits) != 0 {
		t.Errorf("got %+v", answer.Hits)
	}
	call(t, s, remove, "/api/documents/"+ref.Id, "", 204, nil)
	for _, path := range []string{ref.Id, "nothing", "%00", "a%2Fb", strings.Repeat("a", 64)} {
		want := "not_found"
		if path == "%00" {
			want = "request_invalid"
		}
		r := good(t, route{method: get, path: "/api/documents/" + path})
		if w := do(t, s, r); codeOf(t, w) != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	call(t, s, remove, "/api/documents/"+ref.Id, "", 404, nil)
}

// TestQueryErrorsSayWhere: a program can point at the mistake, also in a stream.
// TestCompletions: what is typed is completed by the words there are.
func TestCompletions(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	for _, text := range []string{"network and networks", "network"} {
		call(t, s, post, "/api/documents", fmt.Sprintf(`{"title":"Peers","text":%q}`, text), 201, nil)
	}
	var list api.CompletionList
	call(t, s, get, "/api/search/completions?q=peer%20netw", "", 200, &list)
	want := []api.Completion{{Word: "network", Query: "peer network", Documents: 2}, {Word: "networks", Query: "peer networks", Documents: 1}}
	if !slices.Equal(list.Items, want) || list.Members != 0 || list.Truncated {
		t.Errorf("got %+v", list)
	}
	call(t, s, get, "/api/search/completions?q=netwrok&limit=1", "", 200, &list)
	if !slices.Equal(list.Items, []api.Completion{{Word: "network", Query: "network", Documents: 2, Distance: 1}}) {
		t.Errorf("got %+v", list)
	}
	call(t, s, get, "/api/search/completions?q=", "", 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("got %+v", list)
	}
	call(t, s, get, "/api/search/completions?q=a&limit=51", "", 400, nil)
	call(t, s, get, "/api/search/completions", "", 400, nil)
}

func TestQueryErrorsSayWhere(t *testing.T) {
	s := newServer(t, Options{})
	for target, want := range map[string]string{
		"/api/search?q=%C3%BC+size:big": `q [7 10] a size such as 10mb, a comparison such as >10mb, or a range such as 1mb..20mb`,
		"/api/search?q=a&filter=size:x": `filter [5 6] a size such as 10mb, a comparison such as >10mb, or a range such as 1mb..20mb`,
	} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			r := good(t, route{method: get, path: target})
			r.Header.Set("Accept", accept)
			w := do(t, s, r)
			var p api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 400 || p.Parameter == nil || p.Position == nil || p.Expected == nil {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
				continue
			}
			if got := fmt.Sprint(*p.Parameter, " ", *p.Position, " ", *p.Expected); got != want {
				t.Errorf("%s: %s, want %s", target, got, want)
			}
		}
	}
}

// TestOddQueries: whatever is asked for, wherever, is answered, or refused with what is wrong with it.
func TestOddQueries(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	call(t, s, post, "/api/documents", `{"title":"Pie","text":"apple pie \u202e and e\u0301te"}`, 201, nil)
	for _, text := range []string{
		strings.Repeat("a ", 5000), strings.Repeat("x", 10_000), strings.Repeat("(", 10_000), `"`, `"pie`, `"""`, "((((", "))))", `^(?:\d+|[^"]*)\s*$`, `pie'; DROP TABLE document; --`,
		"pie\x00apple", "\x00", "\x1b[2J pie", "\u202eeip", "\u2066pie", "e\u0301\u0301\u0301te", strings.Repeat("\u0301", 500), "שלום pie", "\xff\xfe", "pie\xff", "\ufeff", "\U0001f967",
		"-", "--", "AND OR NOT", "NOT", "OR", ":", "type:", "size:..", "name:\"", "pie*", "*", strings.Repeat("pie OR ", 140) + "pie", strings.Repeat("NOT ", 200) + "pie",
	} {
		for _, target := range []string{"/api/search?explain=true&facets=true&q=", "/api/search?via=dht&q=", "/api/search?q=pie&filter=", "/api/search/completions?q=", "/api/words?similar=2&q="} {
			for _, accept := range []string{"application/json", "text/event-stream"} {
				r := httptest.NewRequest(get, target+url.QueryEscape(text), nil)
				r.Host, r.RemoteAddr = "localhost:8080", "127.0.0.1:54321"
				r.Header.Set("Accept", accept)
				w := do(t, s, r)
				var p api.Problem
				switch {
				case w.Code == 200 && utf8.Valid(w.Body.Bytes()):
				case w.Code >= 400 && w.Code < 500 && json.Unmarshal(w.Body.Bytes(), &p) == nil && p.Code != "" && p.Detail != "":
				default:
					t.Errorf("%s%.30q as %s: %d %.200s", target, text, accept, w.Code, w.Body)
				}
			}
		}
	}
}

// TestTableRange: what is published is found by its size, alone and beside words, exactly, by either
// tree; and the answer says what was asked.
func TestTableRange(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	ctx, leave, err := n.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	var documents []keyword.Document
	year := func(i int) float64 { return float64(i) - 49.9999999 } // some begin alike
	for i := range 100 {
		d := keyword.Document{
			ID: fmt.Sprint("x/", i), Terms: []string{"every", "not"}[:1+i%2],
			Value:   fmt.Appendf(nil, `{"i":"d%d","n":%q,"t":"Title %d","s":%d,"m":%d,"v":{"year":%g}}`, i, n.ID(), i, i<<20, 1_700_000_000+i*86_400, year(i)),
			Numbers: []keyword.Number{{Field: "fields.year", Value: publish.OwnKey(query.Order(year(i)))}, {Field: "size", Value: int64(i) << 20}, {Field: "modified", Value: 1_700_000_000 + int64(i)*86_400}},
		}
		documents = append(documents, d)
	}
	huge := keyword.Document{
		ID: "x/huge", Terms: []string{"every"}, Value: fmt.Appendf(nil, `{"i":"huge","n":%q,"s":%d,"m":-5}`, n.ID(), int64(1)<<40),
		Numbers: []keyword.Number{{Field: "size", Value: 1 << 40}, {Field: "modified", Value: -5}},
	}
	if p, err := n.Words().Publish(ctx, append(documents, huge), 0, time.Hour); err != nil || p.Failed > 0 {
		t.Fatal(p, err)
	}
	for _, row := range []struct {
		q     string
		total int
	}{
		{"size:10mib..19mib", 10},
		{"size:<=4mib", 5},
		{"size:>90mib", 10},
		{"size:>5gib", 1}, // beyond the last key
		{"size:4gib..5gib", 0},
		{"modified:<1970-01-01", 1},
		{"modified:2023-11-14..2023-11-23", 10},
		{"size:>90mib modified:2023..2024", 9}, // one by the tree, the other by the note
		{"fields.year:-39.9999999..-30.9999999", 10},
		{"fields.year:>0", 50},
		{"fields.year:0", 0},
		{"fields.Year:>0", 0},
		{"every fields.year:..-30.9999999 size:10mib..", 10},
		{"every size:10mib..19mib", 10},
		{"not size:10mib..19mib", 5},
		{"every not size:>5gib", 0},
	} {
		for _, plan := range []string{"", "&plan=pht", "&plan=dst", "&plan=buckets"} {
			var a api.SearchAnswer
			call(t, s, get, "/api/search?via=dht&limit=200&explain=true&q="+url.QueryEscape(row.q)+plan, "", 200, &a)
			if a.Total != row.total || len(a.Hits) != row.total || a.Partial || a.Truncated {
				t.Errorf("%s%s: %d of %d, want %d", row.q, plan, len(a.Hits), a.Total, row.total)
			}
			if a.Range == nil || a.Range.From > a.Range.To {
				t.Errorf("%s%s: range %+v", row.q, plan, a.Range)
			}
			if a.Table == nil || (a.Table.Tree != nil) != (plan != "" || !strings.HasPrefix(row.q, "every") && !strings.HasPrefix(row.q, "not")) {
				t.Errorf("%s%s: %+v", row.q, plan, a.Table)
			} else if tree := a.Table.Tree; tree != nil && (len(tree.Segments) == 0 || tree.From != a.Range.From || tree.To != a.Range.To || plan == "&plan=dst" && tree.Via != "dst") {
				t.Errorf("%s%s: %+v", row.q, plan, tree)
			}
		}
	}
	// Whoever published it without a number is not in the tree, and the tree is what was asked.
	old := keyword.Document{ID: "x/old", Terms: []string{"ancient"}, Value: fmt.Appendf(nil, `{"i":"old","n":%q,"s":5}`, n.ID())}
	if _, err := n.Words().Publish(ctx, []keyword.Document{old}, 0, time.Hour); err != nil {
		t.Fatal(err)
	}
	for plan, total := range map[string]int{"auto": 1, "lists": 1, "pht": 0, "dst": 0} {
		var a api.SearchAnswer
		call(t, s, get, "/api/search?via=dht&q=ancient+size:5&plan="+plan, "", 200, &a)
		if a.Total != total {
			t.Errorf("%s: %d, want %d", plan, a.Total, total)
		}
	}
	for target, total := range map[string]int{
		"field=size&from=10mib&to=19mib&via=dst": 10, "field=size&to=4mib&via=pht": 5, "field=modified&from=2023-11-14&to=2023-11-23&via=dst": 10,
		"field=modified&from=2023-11-14T00:00:00Z&to=2023-11-23T23:59Z&via=pht": 10, "field=size&from=0": 0, "field=size&from=0&via=local": 0,
		"field=year&from=-39.9999999&to=-30.9999999&via=buckets": 10, "field=year&to=0&via=dst&limit=60": 50, "field=size&from=10mib&to=19mib&via=buckets": 10,
	} {
		var a api.SearchAnswer
		call(t, s, get, "/api/range?explain=true&"+target, "", 200, &a)
		if a.Total != total || len(a.Hits) != total || a.Range == nil || (a.Table != nil) != (total > 0) {
			t.Errorf("%s: %d of %d, %+v", target, len(a.Hits), a.Total, a.Range)
		}
	}
	var page api.SearchAnswer
	call(t, s, get, "/api/range?field=size&from=0&via=pht&limit=60", "", 200, &page)
	first := page.Hits[0].Id
	if first != "d99" || page.Hits[59].Id != "d40" {
		t.Errorf("from %s to %s, want the newest first", first, page.Hits[59].Id)
	}
	call(t, s, get, "/api/range?field=size&from=0&via=pht&limit=60&cursor="+*page.Next, "", 200, &page)
	if len(page.Hits) != 41 || page.Next != nil || page.Hits[0].Id == first {
		t.Errorf("the second page has %d documents of %d", len(page.Hits), page.Total)
	}
	var a api.SearchAnswer
	call(t, s, get, "/api/search?explain=true&q=pie+size:%3E1mib&filter=modified:2024", "", 200, &a)
	if a.Range == nil || a.Range.Field != "size" || a.Range.From != 1<<20+1 || a.Range.To != 1<<32-1 || a.Table != nil {
		t.Errorf("%+v", a.Range)
	}
	var words api.SearchAnswer
	call(t, s, get, "/api/search?via=dht&explain=true&plan=sequential&q=every+not", "", 200, &words)
	if words.Table == nil || words.Table.Words == nil || words.Table.Words.Plan != "sequential" || len(words.Table.Words.Steps) < 3 || words.Range != nil || words.Table.Tree != nil {
		t.Errorf("%+v", words.Table)
	}
}

// TestForgedPostings: what a member puts at a word is shown only as its own, and not at all if it is
// no note of a document.
func TestForgedPostings(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	note := func(node, more string) []byte {
		return fmt.Appendf(nil, `{"i":"d","n":%q,"t":"Title"%s}`, node, more)
	}
	other := strings.Repeat("b", 52)
	values := [][]byte{
		note(other, ""), note("nobody", ""), note("", ""), nil, []byte("{"), []byte("<script>"), make([]byte, keyword.MaxValue),
		note(n.ID().String(), `,"s":-1`), note(n.ID().String(), `,"m":9223372036854775807`), note(n.ID().String(), `,"w":-5`),
		note(n.ID().String(), ""), // as it should be
	}
	ctx, leave, err := n.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	for i, v := range values {
		if _, err := n.Words().Publish(ctx, []keyword.Document{{ID: fmt.Sprint("x/", i), Terms: []string{"forged", fmt.Sprint("only", i)}, Value: v}}, 0, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	var words api.WordsAnswer
	call(t, s, get, "/api/words?q=forged", "", 200, &words)
	if len(words.Hits) != 1 || words.Total != 1 || words.Hits[0].Node != n.ID().String() {
		t.Errorf("%d of %d: %+v", len(words.Hits), words.Total, words.Hits)
	}
	var found api.SearchAnswer
	call(t, s, get, "/api/search?via=dht&q=forged", "", 200, &found)
	if len(found.Hits) != 1 || found.Total != 1 {
		t.Errorf("%d of %d: %+v", len(found.Hits), found.Total, found.Hits)
	}
	for i, v := range values {
		d := keyword.Document{ID: fmt.Sprint("x/", i), Numbers: []keyword.Number{{Field: "size", Value: 0}}, Value: v}
		if _, err := n.Words().Publish(ctx, []keyword.Document{d}, 0, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, plan := range []string{"pht", "dst"} {
		call(t, s, get, "/api/search?via=dht&explain=true&q=size:0&plan="+plan, "", 200, &found)
		if len(found.Hits) != 1 || found.Total != 1 || len(found.Table.Tree.Items) != 1 {
			t.Errorf("by size: %d of %d: %+v", len(found.Hits), found.Total, found.Hits)
		}
	}
}

// TestRefusals: what is asked wrongly is answered by a problem that helps.
func TestRefusals(t *testing.T) {
	s := newServer(t, Options{})
	dir := t.TempDir()
	for _, row := range []struct {
		method, target, body string
		status               int
		code, detail         string
	}{
		{get, "/api/search?q=", "", 400, "query_empty", ""},
		{get, "/api/search?q=%20%20", "", 400, "query_empty", ""},
		{get, "/api/search", "", 400, "query_empty", ""},
		{get, "/api/search?q=" + strings.Repeat("a", 1001), "", 400, "query_too_long", ""},
		{get, "/api/search?q=" + strings.Repeat("%C3%BC", 1001), "", 400, "query_too_long", ""},
		{get, "/api/search?q=a&limit=0", "", 400, "request_invalid", "parameter limit"},
		{get, "/api/search?q=a&limit=201", "", 400, "request_invalid", "parameter limit"},
		{get, "/api/search?q=a&limit=many", "", 400, "request_invalid", "parameter limit: not of type integer"},
		{get, "/api/search?q=a&limit=5&limit=6", "", 400, "request_invalid", "parameter limit comes 2 times"},
		{get, "/api/search?q=a&fuzz=4", "", 400, "request_invalid", "parameter fuzz"},
		{get, "/api/search?q=a&via=pigeon", "", 400, "request_invalid", "parameter via"},
		{get, "/api/search?q=a&mode=psychic", "", 400, "request_invalid", "parameter mode"},
		{get, "/api/search?q=a&plan=dst", "", 400, "request_invalid", "parameter plan: members have none"},
		{get, "/api/search?q=a&plan=magic&via=dht", "", 400, "request_invalid", "parameter plan"},
		{get, "/api/search?q=a&plan=dst&via=dht", "", 400, "query_invalid", "no range of numbers"},
		{get, "/api/search?q=type:pdf&via=dht", "", 400, "query_empty", ""},
		{get, "/api/range?field=size", "", 400, "request_invalid", "neither from nor to"},
		{get, "/api/range?field=two%20words&from=1", "", 400, "request_invalid", "parameter field"},
		{get, "/api/range?field=colour&from=red", "", 400, "request_invalid", `parameter from: "red" is no number`},
		{get, "/api/range?field=colour&from=inf", "", 400, "request_invalid", `parameter from: "inf" is no number`},
		{get, "/api/range?field=colour&from=2&to=-1", "", 400, "query_invalid", "a range that begins before it ends"},
		{get, "/api/range?field=size&from=1%20OR%20pie", "", 400, "request_invalid", `parameter from: "1 OR pie" is no size`},
		{get, "/api/range?field=modified&from=2026&to=12mb", "", 400, "request_invalid", `parameter to: "12mb" is no date`},
		{get, "/api/range?field=size&from=2mb&to=1mb", "", 400, "query_invalid", "a range that begins before it ends"},
		{get, "/api/search?q=a&explain=maybe", "", 400, "request_invalid", "parameter explain"},
		{get, "/api/search?q=a&cursor=junk", "", 400, "cursor_invalid", ""},
		{get, "/api/search?q=size:big", "", 400, "query_invalid", `character 6, "big": expected a size`},
		{get, "/api/search?q=a&filter=modified:soon", "", 400, "query_invalid", `filter: character 10, "soon": expected a date`},
		{get, "/api/search?q=%28a%20OR%20b", "", 400, "query_invalid", `character 1, "(": expected a ) that closes it`},
		{get, "/api/search?q=a&filter=" + strings.Repeat("a", 1001), "", 400, "query_too_long", ""},
		{get, "/api/search?q=%3F%21&filter=%20", "", 400, "query_empty", ""},
		{get, "/api/search?q=a&sort=color", "", 400, "request_invalid", "parameter sort"},
		{get, "/api/search?q=a&order=asc", "", 400, "request_invalid", "ascending"},
		{get, "/api/search?q=a&facets=2", "", 400, "request_invalid", "parameter facets"},
		{get, "/api/search?q=a&limt=5", "", 400, "request_invalid", "there are q, filter, mode, via, plan, fuzz, limit, sort, order, facets, cursor, explain"},
		{get, "/api/search?q=%FF", "", 400, "request_invalid", "not UTF-8"},
		{get, "/api/events?timeout=301", "", 400, "request_invalid", "parameter timeout"},
		{get, "/api/events?timeout=-1", "", 400, "request_invalid", "parameter timeout"},
		{get, "/api/node?x=1", "", 400, "request_invalid", "there are none here"},
		{post, "/api/documents", "", 400, "request_invalid", "the body is missing"},
		{post, "/api/documents", `{}`, 400, "request_invalid", "title"},
		{post, "/api/documents", `{"title":""}`, 400, "request_invalid", "field title"},
		{post, "/api/documents", `{"title":7}`, 400, "request_invalid", "field title"},
		{post, "/api/documents", `{"Title":"a"}`, 400, "request_invalid", "Title"},
		{post, "/api/documents", `{"title":"a","surprise":1}`, 400, "request_invalid", "there are fields, text, title"},
		{post, "/api/documents", `{"title":"a","fields":{"x":[1]}}`, 400, "request_invalid", "field fields.x"},
		{post, "/api/documents", `[]`, 400, "request_invalid", "object"},
		{post, "/api/documents", `null`, 400, "request_invalid", ""},
		{post, "/api/documents", `{"title":"` + strings.Repeat("a", 513) + `"}`, 400, "request_invalid", "field title"},
		{post, "/api/invites", `{"expires_in":59}`, 400, "request_invalid", "field expires_in"},
		{post, "/api/invites", `{"max_uses":0}`, 400, "request_invalid", "field max_uses"},
		{post, "/api/invites", `{"role":"king"}`, 400, "request_invalid", "field role"},
		{post, "/api/join", `{"link":"http://localhost:8080/#join=AAAA"}`, 400, "invite_malformed", ""},
		{post, "/api/join", `{"link":""}`, 400, "invite_malformed", ""},
		{patch, "/api/members/x", `{"role":"member"}`, 404, "not_found", ""},
		{remove, "/api/members/" + strings.Repeat("a", 52), "", 404, "not_found", ""},
		{patch, "/api/members/" + s.options.Node.ID().String(), `{"role":"member"}`, 409, "last_admin", ""},
		{post, "/api/folders", `{"path":"` + dir + `/nothing"}`, 422, "path_unusable", ""},
		{post, "/api/folders", `{"path":"relative"}`, 422, "path_unusable", ""},
		{post, "/api/folders", `{"path":""}`, 400, "request_invalid", "field path"},
		{post, "/api/folders", `{}`, 400, "request_invalid", "field path: required without id"},
		{post, "/api/folders", `{"label":"notes"}`, 400, "request_invalid", "field path"},
		{post, "/api/folders", `{"path":"/x","node":"a"}`, 400, "request_invalid", "only with id"},
		{post, "/api/folders", `{"path":"/x","preview":true}`, 400, "request_invalid", "only with id"},
		{post, "/api/folders", `{"id":"x","label":"notes"}`, 400, "request_invalid", "only without id"},
		{post, "/api/folders", `{"id":"x","access":"read"}`, 400, "request_invalid", "only without id"},
		{post, "/api/folders", `{"path":"/x","grants":{"bob":"read"}}`, 400, "request_invalid", "grants"},
		{post, "/api/folders", `{"path":"/x","grants":{"` + strings.Repeat("a", 52) + `":"read"}}`, 400, "request_invalid", "is not a member"},
		{post, "/api/folders", `{"path":"/x","grants":{"` + strings.Repeat("a", 52) + `":"all"}}`, 400, "request_invalid", ""},
		{post, "/api/folders", `{"id":""}`, 400, "request_invalid", "field id"},
		{post, "/api/folders", `{"id":"x","node":"nobody"}`, 400, "request_invalid", "parameter node"},
		{post, "/api/folders/preview", `{}`, 400, "request_invalid", "id"},
		{post, "/api/folders/preview", `{"id":"x","node":"nobody"}`, 400, "request_invalid", "parameter node"},
		{post, "/api/folders/preview", `{"id":"x","path":""}`, 400, "request_invalid", "field path"},
		{get, "/api/folders/preview", "", 404, "not_found", ""},
		{patch, "/api/folders/nothing", `{"release":true}`, 404, "not_found", ""},
		{patch, "/api/folders/nothing", `{"release":"yes"}`, 400, "request_invalid", "field release"},
		{get, "/api/folders/nothing/held", "", 404, "not_found", ""},
		{post, "/api/folders/nothing/held", `{"decision":"release"}`, 404, "not_found", ""},
		{post, "/api/folders/nothing/held", `{"decision":"wait"}`, 400, "request_invalid", "field decision"},
		{post, "/api/folders/nothing/held", `{}`, 400, "request_invalid", "decision"},
		{get, "/api/folders/nothing/conflicts", "", 404, "not_found", ""},
		{post, "/api/folders/nothing/conflicts", `{"keep":"ours"}`, 404, "not_found", ""},
		{post, "/api/folders/nothing/conflicts", `{"keep":"mine"}`, 400, "request_invalid", "field keep"},
		{post, "/api/folders/nothing/conflicts", `{"keep":"ours","numbers":[]}`, 400, "request_invalid", "field numbers"},
		{post, "/api/folders/nothing/conflicts", `{"keep":"ours","numbers":[-1]}`, 400, "request_invalid", "field numbers.0"},
		{post, "/api/folders/nothing/conflicts", `{"keep":"ours","numbers":[1,1]}`, 400, "request_invalid", "field numbers"},
		{post, "/api/folders/nothing/conflicts", `{"keep":"ours","numbers":[9007199254740992]}`, 400, "request_invalid", "field numbers.0"},
		{post, "/api/folders/nothing/conflicts/7", `{"keep":"ours"}`, 404, "not_found", ""},
		{post, "/api/folders/nothing/conflicts/x", `{"keep":"ours"}`, 400, "request_invalid", "parameter n"},
		{post, "/api/folders/nothing/conflicts/-1", `{"keep":"ours"}`, 400, "request_invalid", "parameter n"},
		{post, "/api/folders/nothing/conflicts/1e3", `{"keep":"ours"}`, 400, "request_invalid", "parameter n"},
		{get, "/api/folders/nothing/trash", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/trash?limit=0", "", 400, "request_invalid", "parameter limit"},
		{get, "/api/folders/nothing/trash?limit=1001", "", 400, "request_invalid", "parameter limit"},
		{post, "/api/folders/nothing/restore", `{"numbers":[1]}`, 404, "not_found", ""},
		{post, "/api/folders/nothing/restore", `{"numbers":[]}`, 400, "request_invalid", "field numbers"},
		{post, "/api/folders/nothing/restore", `{"numbers":["1"]}`, 400, "request_invalid", "field numbers.0"},
		{post, "/api/folders/nothing/restore", "", 400, "request_invalid", "the body is missing"},
		{get, "/api/folders/nothing/changes", "", 404, "not_found", ""},
		{post, "/api/folders/nothing/revert", "", 404, "not_found", ""},
		{post, "/api/folders/nothing/revert", `{"paths":[]}`, 400, "request_invalid", "field paths"},
		{post, "/api/folders/nothing/revert", `{"paths":[""]}`, 400, "request_invalid", "field paths.0"},
		{get, "/api/folders/nothing", "", 404, "not_found", ""},
		{patch, "/api/folders/nothing", `{"paused":true}`, 404, "not_found", ""},
		{patch, "/api/folders/nothing", `{}`, 400, "request_invalid", ""},
		{remove, "/api/folders/nothing", "", 404, "not_found", ""},
		{post, "/api/folders/nothing/scan", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/entries", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/skipped", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/unread", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/unread?reason=because", "", 400, "request_invalid", ""},
		{get, "/api/folders/nothing/content?path=a", "", 404, "not_found", ""},
		{get, "/api/folders/nothing/content", "", 400, "request_invalid", "parameter path is missing"},
		{get, "/api/folders/nothing/content?path=", "", 400, "request_invalid", "parameter path"},
	} {
		w := call(t, s, row.method, row.target, row.body, row.status, nil)
		p := problemIn(t, w)
		if p.Code != row.code || !strings.Contains(p.Detail, row.detail) {
			t.Errorf("%s %.80s %.80s: %s %q, want %s with %q", row.method, row.target, row.body, p.Code, p.Detail, row.code, row.detail)
		}
	}
}

func TestFoldersAPI(t *testing.T) {
	n := startNode(t)
	s := newServer(t, Options{Node: n})
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"ten.txt": "0123456789", "sub/Ünï \"q\".md": "# Heading\n\nA network of computers.", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("ten.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	since := n.Events().Position()
	body, err := json.Marshal(map[string]string{"path": dir, "label": "papers"})
	if err != nil {
		t.Fatal(err)
	}
	var f, again api.Folder
	call(t, s, post, "/api/folders", string(body), 201, &f)
	call(t, s, post, "/api/folders", string(body), 201, &again)
	if f.Id != again.Id || f.Label != "papers" || f.Node != n.ID().String() {
		t.Errorf("got %+v, then %+v", f, again)
	}
	if w := call(t, s, post, "/api/folders", fmt.Sprintf(`{"path":%q}`, filepath.Join(dir, "sub")), 409, nil); codeOf(t, w) != "folder_overlap" {
		t.Errorf("got %s", w.Body)
	}
	for m := range n.Events().Subscribe(t.Context(), since) {
		if m.Topic == "folder.scanned" {
			break
		}
	}
	call(t, s, get, "/api/folders/"+f.Id, "", 200, &f)
	if f.Files != 3 || f.Scanned == nil || f.Skipped != 1 {
		t.Errorf("got %+v", f)
	}
	call(t, s, get, "/api/folders/papers", "", 200, nil)
	var folders api.FolderList
	call(t, s, get, "/api/folders", "", 200, &folders)
	if len(folders.Items) != 1 {
		t.Errorf("got %+v", folders)
	}
	var names []string
	cursor := ""
	for {
		var entries api.EntryList
		call(t, s, get, "/api/folders/papers/entries?limit=2&cursor="+url.QueryEscape(cursor), "", 200, &entries)
		for _, e := range entries.Items {
			names = append(names, e.Path)
		}
		if entries.Next == nil {
			break
		}
		cursor = *entries.Next
	}
	if want := []string{"empty", "sub", "sub/Ünï \"q\".md", "ten.txt"}; !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	var skipped api.SkippedList
	call(t, s, get, "/api/folders/papers/skipped", "", 200, &skipped)
	if skipped.Total != 1 || len(skipped.Items) != 1 {
		t.Errorf("got %+v", skipped)
	}
	content(t, s)
	var answer api.SearchAnswer
	until(t, "the search finds what was scanned", func() bool {
		call(t, s, get, "/api/search?q=netwrk", "", 200, &answer)
		return len(answer.Hits) > 0
	})
	if len(answer.Hits) != 1 || answer.Hits[0].Path != "sub/Ünï \"q\".md" {
		t.Errorf("got %+v", answer)
	}
	call(t, s, patch, "/api/folders/papers", `{"label":"articles","paused":true}`, 200, &f)
	if f.Label != "articles" || f.State != api.FolderStatePaused {
		t.Errorf("got %+v", f)
	}
	call(t, s, patch, "/api/folders/articles", `{"paused":false}`, 200, nil)
	call(t, s, post, "/api/folders/articles/scan", "", 202, nil)
	call(t, s, remove, "/api/folders/articles", "", 204, nil)
	if _, err := os.Stat(filepath.Join(dir, "ten.txt")); err != nil {
		t.Error(err)
	}
}

// content asks for the files of TestFoldersAPI.
func content(t *testing.T, s *Server) {
	t.Helper()
	ask := func(method, file string, header ...string) *httptest.ResponseRecorder {
		r := good(t, route{method: method, path: "/api/folders/papers/content?path=" + url.QueryEscape(file)})
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code >= 400 {
			checkProblem(t, r, w)
		}
		return w
	}
	w := ask(get, "ten.txt")
	etag := w.Header().Get("Etag")
	if w.Code != 200 || w.Body.String() != "0123456789" || len(etag) != 66 {
		t.Errorf("%d %s %s", w.Code, w.Body, etag)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Length": "10", "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": `attachment; filename="ten.txt"; filename*=UTF-8''ten.txt`, "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, row := range []struct {
		method, file string
		header       []string
		status       int
		body, ranges string
	}{
		{get, "ten.txt", []string{"Range", "bytes=3-5"}, 206, "345", "bytes 3-5/10"},
		{get, "ten.txt", []string{"Range", "bytes=-2"}, 206, "89", "bytes 8-9/10"},
		{get, "ten.txt", []string{"Range", "bytes=3-5", "If-Range", etag}, 206, "345", "bytes 3-5/10"},
		{get, "ten.txt", []string{"Range", "bytes=3-5", "If-Range", `"old"`}, 200, "0123456789", ""},
		{get, "ten.txt", []string{"Range", "bytes=20-"}, 416, "", "bytes */10"},
		{get, "ten.txt", []string{"Range", "bytes=0-1,4-5"}, 416, "", "bytes */10"},
		{get, "ten.txt", []string{"If-None-Match", etag}, 304, "", ""},
		{get, "ten.txt", []string{"If-Match", `"old"`}, 412, "", ""},
		{http.MethodHead, "ten.txt", nil, 200, "", ""},
		{http.MethodHead, "ten.txt", []string{"Range", "bytes=3-5"}, 200, "", ""},
		{get, "empty", nil, 200, "", ""},
		{get, "sub/Ünï \"q\".md", nil, 200, "# Heading\n\nA network of computers.", ""},
	} {
		w := ask(row.method, row.file, row.header...)
		body := w.Body.String()
		if w.Code >= 400 {
			body = ""
		}
		if w.Code != row.status || body != row.body || w.Header().Get("Content-Range") != row.ranges {
			t.Errorf("%s %s %v: %d %q %q", row.method, row.file, row.header, w.Code, body, w.Header().Get("Content-Range"))
		}
	}
	for _, file := range []string{"../ten.txt", "/etc/passwd", "sub/../ten.txt", "sub", "link", "nothing", ".shoal/id", "ten.txt/", "./ten.txt", "\x00"} {
		if w := ask(get, file); w.Code != 404 && w.Code != 400 {
			t.Errorf("%q: %d %s", file, w.Code, w.Body)
		}
	}
}

// TestJoinAPI: two nodes become one network, and find each other's documents.
func TestJoinAPI(t *testing.T) {
	a, b := newServer(t, Options{Node: startNode(t)}), newServer(t, Options{Node: startNode(t)})
	var inv api.Invite
	call(t, a, post, "/api/invites", `{"expires_in":3600,"role":"member"}`, 201, &inv)
	if !strings.HasPrefix(inv.Link, "http://localhost:8080/#join=") || inv.MaxUses != 1 || inv.Role != "member" {
		t.Errorf("got %+v", inv)
	}
	call(t, a, post, "/api/invites", "", 201, nil)
	body, err := json.Marshal(api.JoinNew{Link: inv.Link})
	if err != nil {
		t.Fatal(err)
	}
	since := b.options.Node.Events().Position()
	var joined api.Joined
	call(t, b, post, "/api/join", string(body), 200, &joined)
	if joined.Members != 2 || len(joined.Words) != 4 {
		t.Errorf("got %+v", joined)
	}
	call(t, a, post, "/api/documents", `{"title":"Zebrafish"}`, 201, nil)
	for m := range b.options.Node.Events().Subscribe(t.Context(), since) {
		if m.Topic == "peer.linked" {
			break
		}
	}
	var peers api.PeerList
	call(t, b, get, "/api/peers", "", 200, &peers)
	if len(peers.Items) != 1 || !peers.Items[0].Connected || peers.Items[0].Path == nil {
		t.Errorf("got %+v", peers)
	}
	var answer api.SearchAnswer
	call(t, b, get, "/api/search?q=zebrafish&via=mesh", "", 200, &answer)
	if len(answer.Hits) != 1 || answer.Hits[0].Local || answer.NodesAnswered != 2 {
		t.Errorf("got %+v", answer)
	}
	call(t, b, get, "/api/documents/"+answer.Hits[0].Id+"?node="+answer.Hits[0].Node, "", 200, nil)
	if w := call(t, b, post, "/api/invites", `{}`, 403, nil); codeOf(t, w) != "not_admin" {
		t.Errorf("got %s", w.Body)
	}
	id := b.options.Node.ID().String()
	var m api.Member
	call(t, a, patch, "/api/members/"+id, `{"role":"admin"}`, 200, &m)
	if m.Role != "admin" || m.By == "" {
		t.Errorf("got %+v", m)
	}
	call(t, a, remove, "/api/members/"+id, "", 204, nil)
	call(t, a, get, "/api/members", "", 200, nil)
}

func TestSearchStream(t *testing.T) {
	s := newServer(t, Options{})
	call(t, s, post, "/api/documents", `{"title":"Zebrafish"}`, 201, nil)
	h := running(t, s)
	r, stop := openStream(t, h.URL, "/api/search?q=zebrafihs&explain=true&limit=3&fuzz=2")
	defer stop()
	var events []string
	for {
		_, event, data, err := sse(r)
		if err != nil {
			break
		}
		events = append(events, event)
		switch event {
		case "part":
			var p api.SearchPart
			if err := json.Unmarshal([]byte(data), &p); err != nil || p.Node != s.options.Node.ID().String() {
				t.Errorf("part %s: %v", data, err)
			}
		case "done":
			var a api.SearchAnswer
			if err := json.Unmarshal([]byte(data), &a); err != nil || len(a.Hits) != 1 {
				t.Errorf("done %s: %v", data, err)
			}
		}
	}
	if !slices.Equal(events, []string{"part", "done"}) {
		t.Errorf("events %q", events)
	}
	req := good(t, route{method: get, path: "/api/search?q="})
	req.Header.Set("Accept", "text/event-stream")
	if w := do(t, s, req); w.Code != 400 || codeOf(t, w) != "query_empty" {
		t.Errorf("empty: %d %s", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	s := newServer(t, Options{Version: "1.2.3"})
	call(t, s, get, "/api/search?q=a", "", 200, nil)
	do(t, s, good(t, route{method: get, path: "/nothing/" + strings.Repeat("x", 50)}))
	text := do(t, s, good(t, route{method: get, path: "/metrics"})).Body.String()
	for _, want := range []string{
		`shoal_build_info{goversion="go`, `version="1.2.3"} 1`, "shoal_members 1\n", "shoal_peers_linked 0\n", "shoal_documents ",
		"shoal_folders 0\n", "shoal_files 0\n", "shoal_events_total ", "shoal_received_bytes_total 0\n", "shoal_sent_bytes_total 0\n",
		`shoal_http_requests_total{code="200",route="/api/search"} 1`, `shoal_http_requests_total{code="404",route="/*"} 1`,
		"shoal_search_seconds_count 1\n", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text, "xxxx") {
		t.Error("a path is a label")
	}
}

// TestProblems: every row of the table is as it should be, and is found.
func TestProblems(t *testing.T) {
	for _, f := range failures {
		p := problemOf(fmt.Errorf("tried this: %w", f.err))
		if p.Code != f.code || p.Status != f.status || f.title == "" || f.status < 400 || strings.Trim(f.code, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%v: %+v", f.err, p)
		}
	}
	if p := problemOf(errors.New("dial tcp: secret")); p.Code != "internal" || strings.Contains(p.Detail, "secret") {
		t.Errorf("unexpected: %+v", p)
	}
}

// TestSecretsStayOutOfTheLog: neither the token nor an invitation.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{Logger: textLogger(&log)})
	secret := strings.Repeat("aB3-_", 40)
	w := httptest.NewRecorder()
	s.fail(&reply{ResponseWriter: w}, good(t, route{method: post, path: "/api/join"}),
		fmt.Errorf("join http://localhost:8080/#join=%s with %s", secret, testToken))
	if !strings.Contains(log.String(), "[secret]") || strings.Contains(log.String(), secret) || strings.Contains(log.String(), testToken) {
		t.Errorf("log: %s", &log)
	}
	log.Reset()
	call(t, s, post, "/api/join", `{"link":"http://localhost:8080/#join=`+secret+`"}`, 400, nil)
	if strings.Contains(log.String(), secret) {
		t.Errorf("log: %s", &log)
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"q=a", "q=&limit=1", "q=a&limit=99999999999999999999", "since=%00", "timeout=1e9", "q=%zz", "a;b", "q=a&q=b", "explain=1", "cursor=%F0%9F",
		"limit=0x10", "limit=%2B1", "limit=1.0", "fuzz=01", "topics=,,.,", "prefix=../..", "q=" + strings.Repeat("%22", 400),
	} {
		f.Add(q)
	}
	n, err := node.Start(context.Background(), node.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = n.Close() })
	s := newServer(f, Options{Node: n})
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/api/search", "/api/folders/x/entries", "/api/folders/x/content", "/api/documents/x", "/api/node"} {
			r := good(t, route{method: get, path: path})
			r.URL.RawQuery = query
			if w := do(t, s, r); w.Code >= 500 {
				t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
		r := good(t, route{method: get, path: "/api/events"})
		r.URL.RawQuery = "timeout=0&" + query
		if w := do(t, s, r); w.Code >= 500 {
			t.Errorf("events?%s: %d %s", query, w.Code, w.Body)
		}
	})
}

// TestFolderOfWhom: two members offer a folder with the same id. Nobody's is taken
// for the other's, and one of this node goes before both.
func TestFolderOfWhom(t *testing.T) {
	alice, mallory, bob := startNode(t), startNode(t), startNode(t)
	inv, err := alice.Invite(t.Context(), member.InviteOptions{MaxUses: 2})
	if err != nil {
		t.Fatal(err)
	}
	var id, copied string
	for _, n := range []*node.Node{alice, mallory} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "plan.txt"), []byte(n.ID().String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if copied != "" {
			// The marker alone: what else is there comes and goes while the folder is kept.
			id, err := os.ReadFile(filepath.Join(copied, ".shoal", "id"))
			if err == nil {
				err = os.Mkdir(filepath.Join(dir, ".shoal"), 0o700)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, ".shoal", "id"), id, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		since := n.Events().Position()
		f, err := n.AddFolder(t.Context(), folder.AddOptions{Path: dir, Label: "plans"})
		if err != nil {
			t.Fatal(err)
		}
		for m := range n.Events().Subscribe(t.Context(), since) {
			if m.Topic == "folder.scanned" {
				break
			}
		}
		id, copied = f.ID, dir
	}
	for _, n := range []*node.Node{mallory, bob} {
		if _, err := n.Join(t.Context(), inv.Link("")); err != nil {
			t.Fatal(err)
		}
	}
	for position := bob.Events().Position(); len(bob.Folders()) < 2 || !bob.Connected(alice.ID()) || !bob.Connected(mallory.ID()); position = bob.Events().Position() {
		if err := bob.Events().Wait(t.Context(), position); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, Options{Node: bob})
	for _, path := range []string{"?", "/entries?", "/content?path=plan.txt&"} {
		base := "/api/folders/" + id + path
		w := call(t, s, get, base, "", 409, nil)
		if p := problemIn(t, w); p.Code != "folder_ambiguous" || !strings.Contains(p.Detail, alice.ID().String()) || !strings.Contains(p.Detail, mallory.ID().String()) {
			t.Errorf("%s: %s", base, w.Body)
		}
		if w := call(t, s, get, base+"node=nobody", "", 400, nil); codeOf(t, w) != "request_invalid" {
			t.Errorf("%s of nobody: %s", base, w.Body)
		}
		if w := call(t, s, get, base+"node="+bob.ID().String(), "", 404, nil); codeOf(t, w) != "not_found" {
			t.Errorf("%s of bob: %s", base, w.Body)
		}
		for _, n := range []*node.Node{alice, mallory} {
			w := call(t, s, get, base+"node="+n.ID().String(), "", 200, nil)
			if body := w.Body.String(); !strings.Contains(body, n.ID().String()) {
				t.Errorf("%s of %s: %s", base, n.ID(), body)
			}
		}
	}
	own := newServer(t, Options{Node: alice})
	if w := call(t, own, get, "/api/folders/"+id+"/content?path=plan.txt", "", 200, nil); w.Body.String() != alice.ID().String() {
		t.Errorf("alice's own: %s", w.Body)
	}
	var seen api.Node
	call(t, own, get, "/api/node", "", 200, &seen)
	if seen.Revoked {
		t.Error("alice counts as removed")
	}
	position := bob.Events().Position()
	if err := alice.Revoke(t.Context(), bob.ID()); err != nil {
		t.Fatal(err)
	}
	for !bob.Status().Revoked {
		if err := bob.Events().Wait(t.Context(), position); err != nil {
			t.Fatal(err)
		}
		position = bob.Events().Position()
	}
	call(t, s, get, "/api/node", "", 200, &seen)
	if !seen.Revoked || seen.Members != 1 {
		t.Errorf("bob was removed: %+v", seen)
	}
}

// TestUnread: what search cannot read is counted and listed, with the reason.
func TestUnread(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	dir := t.TempDir()
	for name, content := range map[string]string{"old.doc": "x", "binary.txt": "\x00\x01", "fine.txt": "text"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var f api.Folder
	call(t, s, post, "/api/folders", fmt.Sprintf(`{"path":%q,"label":"papers"}`, dir), 201, &f)
	until(t, "two files are unread", func() bool {
		call(t, s, get, "/api/folders/papers", "", 200, &f)
		return f.Unread == 2
	})
	var list api.UnreadList
	call(t, s, get, "/api/folders/papers/unread?limit=1", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Path != "binary.txt" || list.Items[0].Reason != "not_text" || list.Next == nil || list.Total != 2 || len(list.Counts) != 2 {
		t.Fatalf("got %+v", list)
	}
	call(t, s, get, "/api/folders/papers/unread?cursor="+url.QueryEscape(*list.Next), "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Path != "old.doc" || list.Items[0].Reason != "unsupported" || list.Items[0].Detail == "" || list.Next != nil {
		t.Errorf("got %+v", list)
	}
	call(t, s, get, "/api/folders/papers/unread?reason=not_text", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Path != "binary.txt" {
		t.Errorf("got %+v", list)
	}
}

// TestOwnFields: documents are found by the numbers in their own fields.
func TestOwnFields(t *testing.T) {
	s := newServer(t, Options{Node: startNode(t)})
	for _, d := range []string{`"Dune","fields":{"year":1965,"stars":4.5}`, `"Neuromancer","fields":{"year":1984,"author":"Gibson"}`, `"Ice","text":"no year"`} {
		call(t, s, post, "/api/documents", `{"title":`+d+`}`, 201, nil)
	}
	for target, want := range map[string]string{
		"/api/range?field=year&from=1960&to=1970":                  "Dune",
		"/api/range?field=year&from=1960&via=local":                "Neuromancer Dune",
		"/api/range?field=stars&from=4.5&to=4.5":                   "Dune",
		"/api/range?field=author&from=0":                           "",
		"/api/search?q=fields.year:%3E1980":                        "Neuromancer",
		"/api/search?q=neuromancer&filter=fields.year:%3C1980":     "",
		"/api/search?q=duze":                                       "Dune",
		"/api/search?q=ibe":                                        "", // of three letters, as it is
		"/api/search?q=ibe&mode=similar":                           "Ice",
		"/api/search?q=dxze&mode=similar":                          "Dune",
		"/api/search?q=dxze&mode=similar&fuzz=1":                   "",
		"/api/search?q=dune+OR+ice&filter=-fields.year:1900..2000": "Ice",
	} {
		var a api.SearchAnswer
		call(t, s, get, target, "", 200, &a)
		var got []string
		for _, h := range a.Hits {
			got = append(got, h.Title)
		}
		if len(got) == 2 && got[0] == "Dune" { // both are of the same second
			slices.Reverse(got)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
