package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peers is a p2p.Caller whose nodes are functions.
type peers map[p2p.ID]func(ctx context.Context, proto string, b []byte) ([]byte, error)

func (p peers) Call(ctx context.Context, to p2p.ID, proto string, b []byte) ([]byte, error) {
	f, ok := p[to]
	if !ok {
		return nil, p2p.ErrUnreachable
	}
	return f(ctx, proto, b)
}

// serve is the node of an index.
func serve(x *Index) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, proto string, b []byte) ([]byte, error) {
		switch proto {
		case Proto:
			return x.Handler(ctx, p2p.ID{}, b)
		case FetchProto:
			return x.FetchHandler(ctx, p2p.ID{}, b)
		}
		return nil, p2p.ErrNoProtocol
	}
}

func node(n byte) p2p.ID { return p2p.ID{n} }

// meshOf returns a mesh over indexes; the first is its own.
func meshOf(indexes ...*Index) (*Mesh, []Member) {
	m := &Mesh{Index: indexes[0], Self: Member{ID: node(1), Name: "node 1"}, Caller: peers{}, Timeout: time.Minute}
	var members []Member
	for i, x := range indexes[1:] {
		id := node(byte(i + 2))
		m.Caller.(peers)[id] = serve(x)
		members = append(members, Member{ID: id, Name: fmt.Sprint("node ", i+2)})
	}
	return m, members
}

func TestMesh(t *testing.T) {
	m, members := meshOf(
		indexOf(t, Document{ID: "typo", Text: "netwrok"}, Document{ID: "same", Text: "network and more"}),
		indexOf(t, Document{ID: "title", Title: "Network"}, Document{ID: "same", Text: "network and more"}),
		indexOf(t),
	)
	var parts []string
	a, err := m.Ask(t.Context(), Query{Text: "network", Fuzz: Auto}, members, func(p Part) {
		parts = append(parts, fmt.Sprintf("%s local=%v hits=%d total=%d err=%v", p.Name, p.Local, len(p.Hits), p.Total, p.Err))
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(parts)
	want := []string{
		"node 1 local=true hits=2 total=2 err=<nil>",
		"node 2 local=false hits=2 total=2 err=<nil>",
		"node 3 local=false hits=0 total=0 err=<nil>",
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	var got []string
	for _, h := range a.Hits {
		got = append(got, fmt.Sprint(h.ID, " ", h.NodeName, " ", h.Node == node(1) == h.Local))
	}
	if diff := cmp.Diff([]string{"title node 2 true", "same node 1 true", "same node 2 true", "typo node 1 true"}, got); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	if a.Total != 4 || a.NodesAsked != 3 || a.NodesAnswered != 3 || a.Partial || a.Truncated || a.Next != "" {
		t.Errorf("%+v", a)
	}
}

func TestScopes(t *testing.T) {
	m, members := meshOf(indexOf(t), indexOf(t, Document{ID: "a", Text: "network"}))
	for scope, want := range map[Scope]int{"": 1, ScopeAuto: 1, ScopeMesh: 1, ScopeLocal: 0} {
		a, err := m.Ask(t.Context(), Query{Text: "network", Scope: scope}, members, nil)
		if err != nil || len(a.Hits) != want || a.NodesAsked != 1+want {
			t.Errorf("scope %q: %d hits of %d nodes, %v", scope, len(a.Hits), a.NodesAsked, err)
		}
	}
	if _, err := m.Ask(t.Context(), Query{Text: "network", Scope: "moon"}, members, nil); err == nil {
		t.Error("a scope that does not exist")
	}
}

func TestFewerWordsCountOnlyWhenNobodyHasAll(t *testing.T) {
	some, all := indexOf(t, Document{ID: "some", Title: "alpha"}), indexOf(t, Document{ID: "all", Text: "alpha beta"})
	for _, tt := range []struct {
		indexes []*Index
		want    string
		missing int
	}{
		{[]*Index{some, all}, "all", 0},
		{[]*Index{all, some}, "all", 0},
		{[]*Index{some, indexOf(t)}, "some", 1},
	} {
		m, members := meshOf(tt.indexes...)
		a, err := m.Ask(t.Context(), Query{Text: "alpha beta", Fuzz: Auto}, members, nil)
		if err != nil || !slices.Equal(ids(a.Hits), []string{tt.want}) || a.Missing != tt.missing || a.Total != 1 {
			t.Errorf("%v, %d missing, total %d, %v", ids(a.Hits), a.Missing, a.Total, err)
		}
	}
}

func TestCorrectionsAreOfAllNodes(t *testing.T) {
	harry := indexOf(t, Document{ID: "a", Text: "harry network"})
	carry := indexOf(t, Document{ID: "b", Text: "carry networks"}, Document{ID: "c", Text: "networks"})
	for _, indexes := range [][]*Index{{harry, carry}, {carry, harry}} {
		m, members := meshOf(indexes...)
		for query, want := range map[string][]Correction{
			"carry":        {}, // a node has it, so nothing was assumed
			"netwrk":       {{"netwrk", "network", 1}},
			"netwosk":      {{"netwosk", "network", 1}},
			"nettworks xx": {{"nettworks", "networks", 1}},
		} {
			a, err := m.Ask(t.Context(), Query{Text: query, Fuzz: Auto}, members, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, a.Corrections); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	}
}

// Of words that are as near, the one is meant that is a likelier slip, though another one is
// in more documents: as on one node with all of them.
func TestCorrectionsAreRankedBySlips(t *testing.T) {
	rare := []Document{{ID: "a", Text: "receive"}}
	often := []Document{{ID: "b", Text: "relieve"}, {ID: "c", Text: "relieve"}, {ID: "d", Text: "relieve"}}
	m, members := meshOf(indexOf(t), indexOf(t, often...), indexOf(t, rare...))
	one := &Mesh{Index: indexOf(t, append(rare, often...)...)}
	for of, ask := range map[string]func() (Answer, error){
		"a mesh":   func() (Answer, error) { return m.Ask(t.Context(), Query{Text: "recieve", Fuzz: Auto}, members, nil) },
		"one node": func() (Answer, error) { return one.Ask(t.Context(), Query{Text: "recieve", Fuzz: Auto}, nil, nil) },
	} {
		a, err := ask()
		if err != nil || !slices.Equal(a.Corrections, []Correction{{"recieve", "receive", 1}}) {
			t.Errorf("%s: %v, %v", of, a.Corrections, err)
		}
	}
}

func TestNodesThatDoNotAnswer(t *testing.T) {
	m, members := meshOf(indexOf(t, Document{ID: "a", Text: "network"}), indexOf(t, Document{ID: "b", Text: "network"}))
	deaf := make(chan struct{})
	defer close(deaf)
	m.Timeout = 50 * time.Millisecond
	caller := m.Caller.(peers)
	caller[node(7)] = func(ctx context.Context, _ string, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	caller[node(8)] = func(context.Context, string, []byte) ([]byte, error) { <-deaf; return nil, nil }
	caller[node(9)] = func(context.Context, string, []byte) ([]byte, error) {
		return nil, &p2p.CallError{Code: "internal", Message: "out of order"}
	}
	members = append(members, Member{node(6), "dead"}, Member{node(7), "slow"}, Member{node(8), "deaf"}, Member{node(9), "broken"}, Member{node(9), "twice"}, m.Self)
	parts := 0
	a, err := m.Ask(t.Context(), Query{Text: "network"}, members, func(Part) { parts++ })
	if err != nil {
		t.Fatal(err)
	}
	if !a.Partial || a.NodesAsked != 6 || a.NodesAnswered != 2 || parts != 6 || len(a.Hits) != 2 {
		t.Errorf("partial %v, %d of %d nodes, %d parts, %d hits", a.Partial, a.NodesAnswered, a.NodesAsked, parts, len(a.Hits))
	}
	var why []string
	for _, n := range a.Nodes {
		why = append(why, fmt.Sprint(n.Name, ": ", n.Err))
	}
	for i, want := range []string{"node 1: <nil>", "node 2: <nil>", "dead: ", "slow: ", "deaf: ", "broken: "} {
		if !strings.HasPrefix(why[i], want) {
			t.Errorf("%q, want %q", why[i], want)
		}
	}
	if !errors.Is(a.Nodes[2].Err, p2p.ErrUnreachable) || !strings.Contains(why[4], "no answer within 50ms") || !strings.Contains(why[5], "out of order") {
		t.Errorf("%q", why)
	}
}

func TestALinkThatGoesIsAskedOverTheNext(t *testing.T) {
	m, members := meshOf(indexOf(t), indexOf(t, Document{ID: "b", Text: "network"}))
	caller := m.Caller.(peers)
	answers, asked := caller[members[0].ID], 0
	caller[members[0].ID] = func(ctx context.Context, proto string, req []byte) ([]byte, error) {
		if asked++; asked == 1 {
			return nil, fmt.Errorf("call: %w", p2p.ErrClosed)
		}
		return answers(ctx, proto, req)
	}
	if a, err := m.Ask(t.Context(), Query{Text: "network"}, members, nil); err != nil || a.Partial || len(a.Hits) != 1 || asked != 2 {
		t.Errorf("asked %d times: %+v, %v", asked, a, err)
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	m, members := meshOf(indexOf(t))
	ctx, cancel := context.WithCancel(t.Context())
	m.Caller.(peers)[node(2)] = func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	members = append(members, Member{ID: node(2)})
	if _, err := m.Ask(ctx, Query{Text: "network"}, members, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestLiars lets a member answer what it should not.
func TestLiars(t *testing.T) {
	honest := func() response {
		return response{Total: 1, Rest: 1, Hits: []wireHit{{ID: "a", Title: "A", Score: 1, Snippet: "network", Marks: []uint16{0, 7}}}}
	}
	for name, lie := range map[string]func(r *response){
		"total":              func(r *response) { r.Total = math.MaxInt; r.Rest = 1 },
		"negative total":     func(r *response) { r.Total, r.Rest = -5, -5 },
		"rest":               func(r *response) { r.Rest = 2 },
		"hits kept back":     func(r *response) { r.Total, r.Rest = 9, 9 },
		"no hits of some":    func(r *response) { r.Hits, r.Cut = nil, true },
		"too many hits":      func(r *response) { r.Hits = slices.Repeat(r.Hits, 30); r.Total, r.Rest = 30, 30 },
		"score":              func(r *response) { r.Hits[0].Score = 1e9 },
		"infinite score":     func(r *response) { r.Hits[0].Score = math.Inf(1) },
		"score that is none": func(r *response) { r.Hits[0].Score = math.NaN() },
		"distance":           func(r *response) { r.Hits[0].Distance = -1 },
		"mark outside":       func(r *response) { r.Hits[0].Marks = []uint16{0, 8} },
		"marks backwards":    func(r *response) { r.Hits[0].Marks = []uint16{3, 5, 1, 2} },
		"empty mark":         func(r *response) { r.Hits[0].Marks = []uint16{3, 3} },
		"half a mark":        func(r *response) { r.Hits[0].Marks = []uint16{3} },
		"id":                 func(r *response) { r.Hits[0].ID = "a\nb" },
		"no id":              func(r *response) { r.Hits[0].ID = "" },
		"title":              func(r *response) { r.Hits[0].Title = strings.Repeat("x", MaxTitle+1) },
		"control character":  func(r *response) { r.Hits[0].Title = "\x1b[2J" },
		"long snippet":       func(r *response) { r.Hits[0].Snippet = strings.Repeat("x", snippetMax+1) },
		"path":               func(r *response) { r.Hits[0].Path = strings.Repeat("x", MaxPath+1) },
		"path with NUL":      func(r *response) { r.Hits[0].Path = "a\x00b" },
		"path not UTF-8":     func(r *response) { r.Hits[0].Path = "a\xffb" },
		"size":               func(r *response) { r.Hits[0].Size = -1 },
		"order": func(r *response) {
			r.Hits = append(r.Hits, r.Hits[0])
			r.Hits[1].ID, r.Hits[1].Score = "b", 2
			r.Total, r.Rest = 2, 2
		},
		"same hit twice": func(r *response) { r.Hits = append(r.Hits, r.Hits[0]); r.Total, r.Rest = 2, 2 },
		"missing":        func(r *response) { r.Missing = -1 },
		"words":          func(r *response) { r.Words = slices.Repeat([]assumption{{From: "x"}}, maxWords+1) },
		"correction":     func(r *response) { r.Words = []assumption{{From: "x", To: "\x00", Distance: 1}} },
		"trace unasked":  func(r *response) { r.Expanded = []expanded{{Word: "x"}} },
		"facets unasked": func(r *response) { r.Facets = &wireFacets{} },
		"nothing":        nil,
	} {
		r := honest()
		if lie != nil {
			lie(&r)
		}
		m, members := meshOf(indexOf(t, Document{ID: "own", Text: "network"}), indexOf(t))
		m.Caller.(peers)[node(2)] = func(context.Context, string, []byte) ([]byte, error) { return wire.Marshal(r) }
		a, err := m.Ask(t.Context(), Query{Text: "network"}, members, nil)
		if err != nil {
			t.Fatal(err)
		}
		if lie == nil {
			if len(a.Hits) != 2 || a.Partial {
				t.Errorf("an honest answer: %+v", a)
			}
			continue
		}
		if !a.Partial || a.NodesAnswered != 1 || a.Total != 1 || a.Nodes[1].Err == nil || !slices.Equal(ids(a.Hits), []string{"own"}) {
			t.Errorf("%s: believed: %+v", name, a)
		}
	}
}

// TestForeignNode: whose a hit is follows from who was asked, whatever it says.
// What a member says of words decides little: it is no correction if it is not as near as
// it says, and of those that are, how often it claims to have one does not outweigh a nearer one.
func TestForgedStatistics(t *testing.T) {
	honest := indexOf(t, Document{ID: "a", Text: "network"})
	for name, test := range map[string]struct {
		typed string
		lie   []assumption
		want  []Correction
	}{
		"anything":            {"netwrk", []assumption{{From: "netwrk", To: "buy these pills", Distance: 1, Documents: maxTotal}}, []Correction{{"netwrk", "network", 1}}},
		"nearer than it is":   {"netwrk", []assumption{{From: "netwrk", To: "networks", Distance: 1, Documents: maxTotal}}, []Correction{{"netwrk", "network", 1}}},
		"farther, everywhere": {"netwrk", []assumption{{From: "netwrk", To: "networks", Distance: 2, Documents: maxTotal}}, []Correction{{"netwrk", "network", 1}}},
		"a beginning":         {"netwrk", []assumption{{From: "netwrk", To: "pillsandmore", Distance: 1, Documents: maxTotal, Prefix: true}}, []Correction{{"netwrk", "network", 1}}},
		"of other words":      {"netwrk", []assumption{{From: "pilles", To: "pills", Distance: 1, Documents: maxTotal}}, []Correction{{"netwrk", "network", 1}}},
		"a likely one":        {"netwrk", []assumption{{From: "netwrk", To: "network", Distance: 1, Documents: maxTotal}}, []Correction{{"netwrk", "network", 1}}},
	} {
		m, members := meshOf(honest, honest)
		m.Caller = peers{node(2): func(context.Context, string, []byte) ([]byte, error) {
			return wire.Marshal(response{Hits: []wireHit{}, Words: test.lie})
		}}
		a, err := m.Ask(t.Context(), Query{Text: test.typed, Fuzz: Auto}, members, nil)
		if err != nil || a.Partial || !slices.Equal(a.Corrections, test.want) {
			t.Errorf("%s: %+v, partial %v, %v", name, a.Corrections, a.Partial, err)
		}
	}
}

// Nothing that an honest node assumes is taken for a lie.
func TestHonestCorrectionsArePlausible(t *testing.T) {
	letters := rapid.StringMatching("[abé]{1,7}([- _.]?[abB]{1,7}){0,2}")
	rapid.Check(t, func(t *rapid.T) {
		x, err := Open(context.Background(), NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Put(context.Background(), []Document{{ID: "a", Text: letters.Draw(t, "text") + " " + letters.Draw(t, "more")}}); err != nil {
			t.Fatal(err)
		}
		q := letters.Draw(t, "query") + " " + letters.Draw(t, "more of it")
		r, err := x.evaluate(context.Background(), request{Text: q, Fuzz: Auto, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range r.Words {
			if !a.plausible(wordsOf(q)) {
				t.Errorf("%q: %+v", q, a)
			}
		}
	})
}

func TestForeignNode(t *testing.T) {
	type foreign struct {
		response
		Node p2p.ID `cbor:"99,keyasint"`
	}
	m, members := meshOf(indexOf(t), indexOf(t))
	m.Caller.(peers)[node(2)] = func(context.Context, string, []byte) ([]byte, error) {
		return wire.Marshal(foreign{response{Total: 1, Rest: 1, Hits: []wireHit{{ID: "a"}}}, node(1)})
	}
	a, err := m.Ask(t.Context(), Query{Text: "network"}, members, nil)
	if err != nil || len(a.Hits) != 1 || a.Hits[0].Node != node(2) || a.Hits[0].Local {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestTrace(t *testing.T) {
	m, members := meshOf(indexOf(t, Document{ID: "a", Text: "network"}), indexOf(t, Document{ID: "b", Text: "netwrok peers"}))
	a, err := m.Ask(t.Context(), Query{Text: "netwrk", Fuzz: Auto, Explain: true}, members, nil)
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]int{}
	for _, e := range a.Trace {
		topics[e.Topic()]++
		if e, ok := e.(Expanded); ok && e.Node == node(2) {
			want := Expanded{Node: node(2), Word: "netwrk", Tolerance: 3, Documents: 1, Count: 1, Candidates: []Candidate{{Word: "netwrok", Distance: 1, Documents: 1, Left: "netwrk"}}}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Errorf("expanded (-want +got):\n%s", diff)
			}
		}
	}
	want := map[string]int{"search.asked": 1, "search.expanded": 2, "search.scored": 2, "search.answered": 2, "search.merged": 1}
	if diff := cmp.Diff(want, topics); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}

// TestAnswersFitAMessage asks for more than fits.
func TestAnswersFitAMessage(t *testing.T) {
	for name, document := range map[string]func(i int) Document{
		"long snippets": func(i int) Document {
			return Document{ID: fmt.Sprintf("%03d", i), Text: strings.Repeat("network ", 500)}
		},
		"wide letters": func(i int) Document {
			return Document{ID: fmt.Sprintf("%03d", i), Title: strings.Repeat("漢", 100), Text: strings.Repeat("network 漢字漢字漢字 ", 100)}
		},
		"long paths": func(i int) Document {
			return Document{ID: fmt.Sprintf("%03d", i), Path: strings.Repeat("d/", 2000) + fmt.Sprint(i), Text: "network"}
		},
	} {
		var documents []Document
		for i := range 300 {
			documents = append(documents, document(i))
		}
		m, members := meshOf(indexOf(t), indexOf(t, documents...))
		q := Query{Text: "network", Limit: MaxLimit}
		var all []string
		for {
			a, err := m.Ask(t.Context(), q, members, nil)
			if err != nil || a.Partial || a.Total != 300 {
				t.Fatalf("%s: %+v, %v", name, a, err)
			}
			if a.Truncated != (len(a.Hits) < MaxLimit && a.Next != "") {
				t.Fatalf("%s: %d hits, truncated %v, next %q", name, len(a.Hits), a.Truncated, a.Next)
			}
			for _, h := range a.Hits {
				all = append(all, h.ID)
				checkSnippet(t, h.Snippet, snippetMax)
			}
			if q.Cursor = a.Next; q.Cursor == "" {
				break
			}
		}
		slices.Sort(all)
		if len(slices.Compact(all)) != 300 {
			t.Errorf("%s: %d different hits on all pages", name, len(all))
		}
	}
}

// TestPages goes through answers page by page and compares with the whole.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		var indexes []*Index
		for n := range rapid.IntRange(1, 4).Draw(t, "nodes") {
			x, err := Open(ctx, NewMemory())
			if err != nil {
				t.Fatal(err)
			}
			var documents []Document
			for range rapid.IntRange(0, 8).Draw(t, fmt.Sprint("documents ", n)) {
				documents = append(documents, Document{
					ID:   fmt.Sprint("d", rapid.IntRange(0, 12).Draw(t, "id")),
					Text: rapid.SampledFrom([]string{"network", "netwrok", "network peers", "peers", "networks a b c"}).Draw(t, "text"),
					Size: int64(rapid.IntRange(0, 2).Draw(t, "size")), Modified: time.Unix(rapid.Int64Range(-9, 9).Draw(t, "modified"), 5),
					Title: rapid.SampledFrom([]string{"", "a", "Ä", "B 10", strings.Repeat("ö", 200)}).Draw(t, "title"),
				})
			}
			if err := x.Put(ctx, documents); err != nil {
				t.Fatal(err)
			}
			indexes = append(indexes, x)
		}
		m, members := meshOf(indexes...)
		q := Query{Text: rapid.SampledFrom([]string{"network", "network peers", "network peers moon"}).Draw(t, "query"), Fuzz: Auto, Limit: MaxLimit}
		q.Sort = rapid.SampledFrom(append(sorts[:], "")).Draw(t, "sort")
		if q.Sort != "" && q.Sort != SortRelevance {
			q.Order = rapid.SampledFrom([]Order{"", Ascending, Descending}).Draw(t, "order")
		}
		whole, err := m.Ask(ctx, q, members, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Limit = rapid.IntRange(1, 5).Draw(t, "limit")
		hits := []Hit{}
		for range 100 {
			a, err := m.Ask(ctx, q, members, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.Total != whole.Total || a.Missing != whole.Missing || len(a.Hits) > q.Limit {
				t.Fatalf("page of %d hits, total %d, %d missing", len(a.Hits), a.Total, a.Missing)
			}
			hits = append(hits, a.Hits...)
			if q.Cursor = a.Next; q.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(whole.Hits, hits); diff != "" {
			t.Fatalf("whole (-) and pages (+) differ:\n%s", diff)
		}
		if len(hits) != whole.Total {
			t.Fatalf("%d hits, total %d", len(hits), whole.Total)
		}
		if !slices.IsSortedFunc(hits, q.sorting().hits) {
			t.Fatalf("%s %s: order of %+v", q.Sort, q.Order, hits)
		}
	})
}

func TestCursorOfAnotherQuery(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "network"}, Document{ID: "b", Text: "network"})
	a, err := x.Query(t.Context(), Query{Text: "network", Limit: 1})
	if err != nil || a.Next == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, q := range []Query{
		{Text: "networks", Cursor: a.Next},
		{Text: "network", Fuzz: 1, Cursor: a.Next},
		{Text: "network", Cursor: a.Next + "A"},
		{Text: "network", Filter: "size:0", Cursor: a.Next},
		{Text: "network", Sort: SortName, Cursor: a.Next},
		{Text: "network", Sort: SortName, Order: Descending, Cursor: a.Next},
	} {
		if _, err := x.Query(t.Context(), q); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	q := Query{Text: "network"}
	f.Add(place{query: q.fingerprint(), key: key{distance: 1, score: 2.5, id: "abc", value: 7, name: "n"}, node: node(3)}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s, q)
		if err != nil {
			if !errors.Is(err, ErrCursor) {
				t.Errorf("%v", err)
			}
			return
		}
		if p.String() != s {
			t.Errorf("%q read as %q", s, p.String())
		}
	})
}

// TestFacetLiars: what a member counts cannot be more than it has found, nor more values
// than anybody reads.
func TestFacetLiars(t *testing.T) {
	for name, f := range map[string]wireFacets{
		"more than found":      {Types: []Count{{"text", 2}}},
		"together more":        {Types: []Count{{"text", 1}, {"code", 1}}},
		"none":                 {Folders: []Count{{"f", 0}}},
		"negative":             {Folders: []Count{{"f", -1}}},
		"control character":    {Types: []Count{{"a\x1b", 1}}},
		"year":                 {Years: []Count{{"99999", 1}}},
		"no year":              {Years: []Count{{"x", 1}}},
		"year with zeros":      {Years: []Count{{"02024", 1}}},
		"too many":             {Years: slices.Repeat([]Count{{"2024", 1}}, MaxFacet+1)},
		"a value that is long": {Types: []Count{{strings.Repeat("x", maxLabel+1), 1}}},
	} {
		m, members := meshOf(indexOf(t), indexOf(t))
		m.Caller.(peers)[node(2)] = func(context.Context, string, []byte) ([]byte, error) {
			return wire.Marshal(response{Total: 1, Rest: 1, Hits: []wireHit{{ID: "a"}}, Facets: &f})
		}
		a, err := m.Ask(t.Context(), Query{Text: "network", Facets: true}, members, nil)
		if err != nil || !a.Partial || a.Total != 0 || len(a.Facets.Types)+len(a.Facets.Folders)+len(a.Facets.Years)+len(a.Facets.Nodes) > 0 {
			t.Errorf("%s: believed: %+v, %v", name, a, err)
		}
	}
}

func TestFacets(t *testing.T) {
	in := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	m, members := meshOf(
		indexOf(t, Document{ID: "a", Folder: "f", Type: TypePDF, Modified: in(2024), Text: "network"}, Document{ID: "b", Type: TypeText, Modified: in(2025), Text: "network"}),
		indexOf(t, Document{ID: "c", Folder: "f", Type: TypePDF, Modified: in(2025), Text: "network"}, Document{ID: "d", Folder: "g", Type: TypeText, Text: "other"}),
		indexOf(t, Document{ID: "e", Folder: "h", Type: TypeText, Text: "network"}),
	)
	q := Query{Text: "network", Filter: "-folder:h", Facets: true, Limit: 1}
	a, err := m.Ask(t.Context(), q, members, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Facets{
		Types: []Count{{TypePDF, 2}, {TypeText, 1}}, Folders: []Count{{"f", 2}}, Years: []Count{{"2025", 2}, {"2024", 1}},
		Nodes: []NodeCount{{node(1), "node 1", 2}, {node(2), "node 2", 1}},
	}
	if diff := cmp.Diff(want, a.Facets); diff != "" || a.Total != 3 {
		t.Errorf("%d found (-want +got):\n%s", a.Total, diff)
	}
	// Who has fewer words does not count.
	fewer, err := m.Ask(t.Context(), Query{Text: "network other", Facets: true}, members, nil)
	if err != nil || fewer.Missing != 1 || len(fewer.Facets.Nodes) != 3 {
		t.Errorf("%d missing, %+v, %v", fewer.Missing, fewer.Facets, err)
	}
	if err := m.Index.Put(t.Context(), []Document{{ID: "both", Type: TypeCode, Text: "network other"}}); err != nil {
		t.Fatal(err)
	}
	all, err := m.Ask(t.Context(), Query{Text: "network other", Facets: true}, members, nil)
	if err != nil || all.Total != 1 || len(all.Facets.Nodes) != 1 || len(all.Facets.Types) != 1 || all.Facets.Types[0].Value != TypeCode {
		t.Errorf("%d found, %+v, %v", all.Total, all.Facets, err)
	}
	if err := m.Index.Remove(t.Context(), "both"); err != nil {
		t.Fatal(err)
	}
	q.Cursor = a.Next
	if a, err = m.Ask(t.Context(), q, members, nil); err != nil || a.Facets != nil || len(a.Hits) != 1 {
		t.Errorf("the next page: %+v, %v", a, err)
	}
	var many []Document
	for i := range MaxFacet + 5 {
		many = append(many, Document{ID: fmt.Sprint(i), Folder: fmt.Sprint("folder", i), Text: "network"})
	}
	a, err = indexOf(t, many...).Query(t.Context(), Query{Text: "network", Facets: true})
	if err != nil || len(a.Facets.Folders) != MaxFacet || !a.Facets.Cut {
		t.Errorf("%d folders, cut %v, %v", len(a.Facets.Folders), a.Facets.Cut, err)
	}
}

func TestSort(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	m, members := meshOf(
		indexOf(t, Document{ID: "a", Path: "x/Zebra.txt", Title: "first", Size: 3, Modified: at(5), Text: "network"}, Document{ID: "b", Title: "Ähre", Size: 9, Modified: at(1), Text: "network"}),
		indexOf(t, Document{ID: "c", Title: "apfel", Size: 1, Modified: at(9), Text: "network"}, Document{ID: "d", Title: "aaa", Size: 99, Modified: at(99), Text: "netwrok"}),
	)
	for _, tt := range []struct {
		sort  Sort
		order Order
		want  string // d is only similar
	}{
		{SortModified, "", "c a b d"},
		{SortModified, Ascending, "b a c d"},
		{SortSize, "", "b a c d"},
		{SortSize, Ascending, "c a b d"},
		{SortName, "", "b c a d"},
		{SortName, Descending, "a c b d"},
	} {
		a, err := m.Ask(t.Context(), Query{Text: "network", Fuzz: Auto, Sort: tt.sort, Order: tt.order}, members, nil)
		if got := strings.Join(ids(a.Hits), " "); err != nil || got != tt.want {
			t.Errorf("%s %s: %s, want %s; %v", tt.sort, tt.order, got, tt.want, err)
		}
	}
	for _, text := range []string{"size:>0", "-zzz", "type:text OR size:>0"} {
		a, err := m.Ask(t.Context(), Query{Text: text, Sort: SortRelevance}, members, nil)
		if got := strings.Join(ids(a.Hits), " "); err != nil || got != "d c a b" {
			t.Errorf("%s: %s, want the newest first; %v", text, got, err)
		}
	}
	for _, q := range []Query{{Text: "a", Sort: "color"}, {Text: "a", Order: "up"}, {Text: "a", Order: Ascending}} {
		if _, err := m.Ask(t.Context(), q, nil, nil); !errors.Is(err, ErrSort) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestConditionsOnNodes: who cannot have anything is not asked.
func TestConditionsOnNodes(t *testing.T) {
	m, members := meshOf(
		indexOf(t, Document{ID: "a", Text: "network"}),
		indexOf(t, Document{ID: "b", Text: "network peers"}),
		indexOf(t, Document{ID: "c", Text: "network"}),
	)
	members[0].Name, members[1].Name = "Alice's laptop", "bob"
	for _, tt := range []struct {
		text, filter, want string
		asked              int
	}{
		{"network node:bob", "", "c", 2},
		{"network node:alice", "", "b", 2},
		{`network node:"laptop alice"`, "", "b", 2},
		{"network", "node:bob,alice", "b c", 3},
		{"network -node:bob", "", "a b", 2},
		{"(peers node:alice) OR (network node:bob)", "", "b c", 3},
		{"node:" + node(2).String()[:8], "", "b", 2},
		{"network node:nobody", "", "", 1},
		{"network node:nobody,1", "", "a", 1},
		{"network OR node:nobody", "", "a b c", 3},
		{"network -(node:bob OR node:alice)", "", "a", 1},
		{"network -(node:bob node:alice)", "", "a b c", 3},
	} {
		a, err := m.Ask(t.Context(), Query{Text: tt.text, Filter: tt.filter}, members, nil)
		found := ids(a.Hits)
		slices.Sort(found)
		if got := strings.Join(found, " "); err != nil || got != tt.want || a.NodesAsked != tt.asked || a.Partial {
			t.Errorf("%s %s: %q of %d nodes, want %q of %d; %v %+v", tt.text, tt.filter, got, a.NodesAsked, tt.want, tt.asked, err, a.Nodes)
		}
	}
}

// TestMalformedQueriesOfMembers: what a member asks is held to the same bounds as what a
// person does.
func TestMalformedQueriesOfMembers(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "network"})
	for want, all := range map[string][]request{
		"query_invalid":  {{Text: "size:x"}, {Text: "a", Filter: "size:x"}, {Text: strings.Repeat("(", 99) + "a" + strings.Repeat(")", 99)}, {Text: "node:a"}, {Text: "a", Nodes: []bool{true}}},
		"query_too_long": {{Text: strings.Repeat("a OR ", 3000) + "a"}, {Text: "a", Filter: strings.Repeat("a", MaxQuery+1)}},
		"query_empty":    {{}, {Text: "?", Filter: "()"}},
		"malformed":      {{Text: "a", Sort: 9}, {Text: "a", Sort: -1}, {Text: "a", Nodes: make([]bool, 1000)}, {Text: "a", After: &after{ID: "a", Name: strings.Repeat("x", maxSortName+1)}}},
		"<nil>":          {{Text: strings.Repeat("a OR ", 199) + "a"}, {Text: "node:a", Nodes: []bool{true}}},
	} {
		for _, q := range all {
			q.Limit = 1
			b, err := wire.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			_, err = x.Handler(t.Context(), node(2), b)
			if got := code(err); got != want {
				t.Errorf("%.40q %.40q: %s, want %s", q.Text, q.Filter, got, want)
			}
		}
	}
}

// told is what is known of others: words and in how many documents they are.
type told struct {
	documents int
	words     map[string]int
}

func (e told) Documents() int { return e.documents }

func (e told) Find(word string) (int, bool) {
	n, ok := e.words[word]
	return n, ok
}

func (e told) matches(fits func(word string) bool) (found []fastss.Match) {
	for w, n := range e.words {
		if fits(w) {
			found = append(found, fastss.Match{Word: w, Count: n})
		}
	}
	return found
}

func (e told) Within(word string, edits int) []fastss.Match {
	return e.matches(func(w string) bool { return fastss.Distance(word, w) <= edits })
}

func (e told) Prefix(prefix string) []fastss.Match {
	return e.matches(func(w string) bool { return strings.HasPrefix(w, prefix) })
}

// What a word weighs is decided by how many documents of the whole network have it, and not by
// each node for itself: a word that all documents of one node have, and nobody else, tells much.
func TestWordsAreWeighedByTheNetwork(t *testing.T) {
	var geology, office []Document
	for i := range 20 {
		geology = append(geology, Document{ID: fmt.Sprint("g", i), Text: "granite and other stones"})
		office = append(office, Document{ID: fmt.Sprint("o", i), Text: "the report of a week"})
	}
	geology = append(geology, Document{ID: "wanted", Text: "granite granite granite report"})
	office = append(office, Document{ID: "beside", Text: "report report report report granite"})
	m, members := meshOf(indexOf(t), indexOf(t, geology...), indexOf(t, office...))
	q := Query{Text: "granite report lepidolite", Fuzz: 0, Limit: 1}
	m.Elsewhere = told{42, map[string]int{"granite": 2, "report": 40}}
	a, err := m.Ask(t.Context(), q, members, nil)
	if err != nil || !slices.Equal(ids(a.Hits), []string{"wanted"}) {
		t.Fatalf("%v, %v", ids(a.Hits), err)
	}
	// What is known is another thing by the time of the next page; the order stays.
	first := a.Hits[0]
	m.Elsewhere = told{42, map[string]int{"granite": 40, "report": 2}}
	q.Cursor = a.Next
	if a, err = m.Ask(t.Context(), q, members, nil); err != nil || !slices.Equal(ids(a.Hits), []string{"beside"}) || a.Hits[0].Score > first.Score || a.Next != "" {
		t.Errorf("next page: %v, %v", ids(a.Hits), err)
	}
	q.Cursor = ""
	if a, err = m.Ask(t.Context(), q, members, nil); err != nil || !slices.Equal(ids(a.Hits), []string{"beside"}) {
		t.Errorf("the other way round: %v, %v", ids(a.Hits), err)
	}
}

// However wrong what is known of others is, the same documents are found, on whatever pages.
func TestNothingIsLostByWhatIsKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := []string{"network", "netwrk", "networks", "node", "shoal", "granite", "report", "rapport"}
		word := rapid.SampledFrom(words)
		var indexes []*Index
		for n := range 3 {
			var docs []Document
			for i := range rapid.IntRange(0, 4).Draw(t, "documents") {
				docs = append(docs, Document{ID: fmt.Sprint(n, "-", i), Text: strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, "text"), " ")})
			}
			x, err := Open(context.Background(), NewMemory())
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Put(context.Background(), docs); err != nil {
				t.Fatal(err)
			}
			indexes = append(indexes, x)
		}
		m, members := meshOf(indexes...)
		text := strings.Join(rapid.SliceOfN(word, 1, 4).Draw(t, "query"), " ")
		all := func() (found []string, corrections []Correction) {
			q := Query{Text: text, Fuzz: Auto, Limit: 2}
			for {
				a, err := m.Ask(context.Background(), q, members, nil)
				if err != nil {
					t.Fatal(err)
				}
				found, corrections = append(found, ids(a.Hits)...), a.Corrections
				if q.Cursor = a.Next; a.Next == "" {
					slices.Sort(found)
					return found, corrections
				}
				m.Elsewhere = told{rapid.IntRange(0, 100).Draw(t, "later"), map[string]int{"node": 3}}
			}
		}
		m.Elsewhere = nil
		want, wantCorrections := all()
		e := told{rapid.IntRange(0, 1000).Draw(t, "told"), map[string]int{}}
		for _, w := range words {
			e.words[w] = rapid.IntRange(0, 1<<30).Draw(t, w)
		}
		m.Elsewhere = e
		if got, corrections := all(); !slices.Equal(got, want) || !slices.Equal(corrections, wantCorrections) {
			t.Errorf("%q: %v %v, want %v %v", text, got, corrections, want, wantCorrections)
		}
	})
}

// A word that is known to be elsewhere is not taken for a mistake by those who answer first.
func TestDoubtfulCorrections(t *testing.T) {
	m, members := meshOf(indexOf(t, Document{ID: "a", Text: "harry"}))
	var parts []Correction
	ask := func() {
		t.Helper()
		parts = nil
		if _, err := m.Ask(t.Context(), Query{Text: "Carry", Fuzz: Auto}, members, func(p Part) { parts = append(parts, p.Corrections...) }); err != nil {
			t.Fatal(err)
		}
	}
	if ask(); !slices.Equal(parts, []Correction{{"Carry", "harry", 1}}) {
		t.Errorf("%v", parts)
	}
	m.Elsewhere = told{1, map[string]int{"carry": 1}}
	if ask(); len(parts) > 0 {
		t.Errorf("%v", parts)
	}
}
