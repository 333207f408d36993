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
	m := &Mesh{Index: indexes[0], Self: Member{ID: node(1), Name: "node 1"}, Caller: peers{}}
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
		"total":              func(r *response) { r.Total = math.MaxInt64; r.Rest = 1 },
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
			want := Expanded{Node: node(2), Word: "netwrk", Tolerance: 3, Documents: 1, Count: 1, Candidates: []Candidate{{Word: "netwrok", Distance: 1, Documents: 1}}}
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
				})
			}
			if err := x.Put(ctx, documents); err != nil {
				t.Fatal(err)
			}
			indexes = append(indexes, x)
		}
		m, members := meshOf(indexes...)
		q := Query{Text: rapid.SampledFrom([]string{"network", "network peers", "network peers moon"}).Draw(t, "query"), Fuzz: Auto, Limit: MaxLimit}
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
	})
}

func TestCursorOfAnotherQuery(t *testing.T) {
	x := indexOf(t, Document{ID: "a", Text: "network"}, Document{ID: "b", Text: "network"})
	a, err := x.Query(t.Context(), Query{Text: "network", Limit: 1})
	if err != nil || a.Next == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, q := range []Query{{Text: "networks", Cursor: a.Next}, {Text: "network", Fuzz: 1, Cursor: a.Next}, {Text: "network", Cursor: a.Next + "A"}} {
		if _, err := x.Query(t.Context(), q); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	q := Query{Text: "network"}
	f.Add(place{query: q.fingerprint(), key: key{0, 1, 2.5, "abc"}, node: node(3)}.String())
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
