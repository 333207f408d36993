package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// Search implements api.StrictServerInterface.
func (a *nodeAPI) Search(ctx context.Context, r api.SearchRequestObject) (api.SearchResponseObject, error) {
	out, err := a.found(ctx, queryOf(r.Params), nil)
	if err != nil {
		return nil, err
	}
	return searchReply(out), nil
}

// question is what is asked: of members, or of the table, which has plans.
type question struct {
	search.Query
	plan string
}

// found searches: at the members, or in the table.
func (a *nodeAPI) found(ctx context.Context, q question, each func(search.Part)) (api.SearchAnswer, error) {
	if q.Scope == viaTable {
		return a.searchTable(ctx, q)
	}
	if q.plan != "" && q.plan != planAuto {
		return api.SearchAnswer{}, fmt.Errorf("%w: parameter plan: members have none, via=dht has", errInvalid)
	}
	answer, err := a.ask(ctx, q.Query, each)
	if err != nil {
		return api.SearchAnswer{}, err
	}
	out, err := apiAnswer(answer)
	if q.Explain {
		out.Range = conditionOf(q.Query)
	}
	return out, err
}

// searchReply is a SearchAnswer; the position is in the header already.
type searchReply api.SearchAnswer

// VisitSearchResponse implements api.SearchResponseObject.
func (s searchReply) VisitSearchResponse(w http.ResponseWriter) error { return writeJSON(w, s) }

// ListCompletions implements api.StrictServerInterface.
func (a *nodeAPI) ListCompletions(_ context.Context, r api.ListCompletionsRequestObject) (api.ListCompletionsResponseObject, error) {
	known := a.node.Lexicon()
	out := api.CompletionList{Items: []api.Completion{}, Members: known.Members, Words: known.Words, Truncated: known.Cut}
	for _, c := range a.node.Complete(r.Params.Q, or(r.Params.Limit, 8)) {
		out.Items = append(out.Items, api.Completion{Word: c.Word, Query: c.Query, Documents: c.Documents, Distance: c.Distance})
	}
	return api.ListCompletions200JSONResponse(out), nil
}

// ask searches and takes the time.
func (a *nodeAPI) ask(ctx context.Context, q search.Query, each func(search.Part)) (search.Answer, error) {
	began := time.Now()
	answer, err := a.node.Search(ctx, q, each)
	if err == nil {
		a.metrics.searched(time.Since(began))
	}
	return answer, err
}

// edits is the distance that a search allows for a word.
func edits(mode, fuzz string) int {
	if n, err := strconv.Atoi(fuzz); err == nil {
		return n
	}
	if mode == string(api.Similar) {
		return similarEdits
	}
	return search.Auto
}

// similarEdits is how many edits similar words are away: as many as the table looks for.
const similarEdits = keyword.MaxSimilar

// queryOf reads the parameters, which the specification has bounded.
func queryOf(p api.SearchParams) question {
	q := question{Query: search.Query{Text: p.Q, Fuzz: edits(string(valueOf(p.Mode)), string(valueOf(p.Fuzz)))}, plan: string(valueOf(p.Plan))}
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	if p.Filter != nil {
		q.Filter = *p.Filter
	}
	if p.Sort != nil {
		q.Sort = search.Sort(*p.Sort)
	}
	if p.Order != nil {
		q.Order = search.Order(*p.Order)
	}
	if p.Facets != nil {
		q.Facets = *p.Facets
	}
	if p.Cursor != nil {
		q.Cursor = *p.Cursor
	}
	if p.Explain != nil {
		q.Explain = *p.Explain
	}
	if p.Via != nil {
		q.Scope = search.Scope(*p.Via)
	}
	return q
}

// searchStream answers in parts, one for each node as it answers, and then with
// the whole. What goes wrong after the first part is an event too, named error,
// with a problem as its data.
func (a *nodeAPI) searchStream(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOfStream(r)
	if err != nil {
		return err
	}
	rep, ok := w.(*reply)
	if !ok {
		return errInternal
	}
	ctx, done, err := a.stream(r.Context())
	if err != nil {
		return err
	}
	defer done()
	var failed error
	tell := func(event string, v any) {
		if failed == nil {
			failed = writeEvent(rep, event, v)
		}
	}
	out, err := a.found(ctx, q, func(p search.Part) { tell("part", apiPart(p)) })
	if err != nil && rep.status == 0 {
		return err
	}
	if err != nil {
		tell("error", problemOf(err))
		return gone(r.Context(), failed)
	}
	tell("done", out)
	return gone(r.Context(), failed)
}

// writeEvent sends one named event.
func writeEvent(rep *reply, event string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("server: search: %w", err)
	}
	if rep.status == 0 {
		rep.Header().Set("Content-Type", "text/event-stream")
	}
	rep.deadline(time.Now().Add(sendTimeout))
	if _, err := io.WriteString(rep, "event: "+event+"\ndata: "+string(data)+"\n\n"); err != nil {
		return &goneError{err}
	}
	rep.Flush()
	return nil
}

// queryOfStream reads the parameters as the generated binding does for Search.
func queryOfStream(r *http.Request) (question, error) {
	v := r.URL.Query()
	q := question{plan: v.Get("plan"), Query: search.Query{
		Text: v.Get("q"), Filter: v.Get("filter"), Fuzz: edits(v.Get("mode"), v.Get("fuzz")), Cursor: v.Get("cursor"), Scope: search.Scope(v.Get("via")),
		Sort: search.Sort(v.Get("sort")), Order: search.Order(v.Get("order")), Facets: v.Get("facets") == "true",
	}}
	var err error
	if limit := v.Get("limit"); limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil {
			return q, fmt.Errorf("%w: parameter limit: %w", errInvalid, err)
		}
	}
	q.Explain = v.Get("explain") == "true"
	return q, nil
}

func apiAnswer(a search.Answer) (api.SearchAnswer, error) {
	out := api.SearchAnswer{
		Query: a.Query, Corrections: apiCorrections(a.Corrections), Hits: apiHits(a.Hits), Total: a.Total,
		Missing: a.Missing, Truncated: a.Truncated, Partial: a.Partial, NodesAsked: a.NodesAsked, NodesAnswered: a.NodesAnswered,
		Nodes: make([]api.NodeAnswer, len(a.Nodes)), TookMs: milliseconds(a.Took), Next: cursor(a.Next), Facets: apiFacets(a.Facets),
	}
	for i, n := range a.Nodes {
		out.Nodes[i] = api.NodeAnswer{Node: n.Node.String(), NodeName: n.Name, Hits: n.Hits, TookMs: milliseconds(n.Took), Error: text(n.Err)}
	}
	trace, err := traceOf(a.Trace)
	out.Trace = trace
	return out, err
}

func apiPart(p search.Part) api.SearchPart {
	return api.SearchPart{
		Node: p.Node.String(), NodeName: p.Name, Hits: apiHits(p.Hits), Total: p.Total,
		Corrections: apiCorrections(p.Corrections), TookMs: milliseconds(p.Took), Error: text(p.Err),
	}
}

func apiFacets(f *search.Facets) *api.Facets {
	if f == nil {
		return nil
	}
	counts := func(list []search.Count) []api.FacetCount {
		out := make([]api.FacetCount, len(list))
		for i, c := range list {
			out[i] = api.FacetCount{Value: c.Value, Count: c.Documents}
		}
		return out
	}
	nodes := make([]api.FacetCount, len(f.Nodes))
	for i, n := range f.Nodes {
		nodes[i] = api.FacetCount{Value: n.Node.String(), Count: n.Documents, Name: &n.Name}
	}
	return &api.Facets{Type: counts(f.Types), Folder: counts(f.Folders), Year: counts(f.Years), Node: nodes, Truncated: f.Cut}
}

func apiHits(hits []search.Hit) []api.Hit {
	out := make([]api.Hit, len(hits))
	for i, h := range hits {
		out[i] = api.Hit{
			Id: h.ID, Title: h.Title, Folder: h.Folder, Path: h.Path, Node: h.Node.String(), NodeName: h.NodeName,
			Local: h.Local, Type: h.Type, Size: h.Size, Modified: h.Modified.UTC(), Score: h.Score, Distance: h.Distance,
			Snippet: api.Snippet{Text: h.Snippet.Text, Marks: make([][]int, len(h.Snippet.Marks))},
		}
		for j, m := range h.Snippet.Marks {
			out[i].Snippet.Marks[j] = []int{m[0], m[1]}
		}
	}
	return out
}

func apiCorrections(cs []search.Correction) []api.Correction {
	out := make([]api.Correction, len(cs))
	for i, c := range cs {
		out[i] = api.Correction{From: c.From, To: c.To, Distance: c.Distance}
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cursor is null where nothing follows.
func cursor(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

// text is empty for no error.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// traceOf says the events of a search in the API's form.
func traceOf(events []p2p.Event) (*[]api.TraceEvent, error) {
	if len(events) == 0 {
		return nil, nil
	}
	out := make([]api.TraceEvent, len(events))
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("server: event %s: %w", e.Topic(), err)
		}
		out[i].Topic = e.Topic()
		if err := json.Unmarshal(data, &out[i].Data); err != nil {
			return nil, fmt.Errorf("server: event %s: %w", e.Topic(), err)
		}
	}
	return &out, nil
}
