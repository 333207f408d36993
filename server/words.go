package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/server/api"
)

// SearchWords implements api.StrictServerInterface.
func (a *nodeAPI) SearchWords(ctx context.Context, r api.SearchWordsRequestObject) (api.SearchWordsResponseObject, error) {
	p := r.Params
	q := keyword.Query{Any: valueOf(p.Any), Similar: valueOf(p.Similar), Limit: ranges.MaxLimit}
	if plan := valueOf(p.Plan); plan != "" && plan != "auto" {
		q.Plan = keyword.Plan(plan)
	}
	for t := range search.Tokens(p.Q) {
		if !slices.Contains(q.Terms, t.Term) {
			q.Terms = append(q.Terms, t.Term)
		}
	}
	if len(q.Terms) == 0 {
		return nil, fmt.Errorf("query %.40q: %w", p.Q, search.ErrEmpty)
	}
	ctx, leave, err := a.node.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, err := a.node.Words().Search(ctx, q)
	if err != nil {
		return nil, err
	}
	return api.SearchWords200JSONResponse(a.wordsAnswer(p.Q, q.Any, or(p.Limit, 20), found)), nil
}

// wordsAnswer ranks what was found, and shows the best. What members have put that is no note
// of a document is not shown.
func (a *nodeAPI) wordsAnswer(text string, any bool, limit int, found keyword.Answer) api.WordsAnswer {
	names := a.memberNames()
	out := api.WordsAnswer{
		Query: text, Any: any, Plan: api.WordsAnswerPlan(found.Plan), Truncated: found.Truncated, Partial: found.Partial,
		Total: found.Total, Trace: apiTrace(found.Trace, names),
	}
	self := a.node.ID().String()
	for _, h := range found.Hits {
		note, err := publish.ReadNote(h.Value)
		if err != nil || note.Node != h.Author.String() {
			out.Total--
			continue
		}
		var own *map[string]float64
		if len(note.Numbers) > 0 {
			own = &note.Numbers
		}
		out.Hits = append(out.Hits, api.WordsHit{
			Id: note.ID, Title: note.Title, Folder: note.Folder, Path: note.Path, Node: note.Node, NodeName: nameIn(names, h.Author),
			Local: note.Node == self, Type: note.Type, Size: note.Size, Modified: time.Unix(note.Modified, 0).UTC(),
			Score: score(note, h.Terms, found.Terms), Terms: h.Terms, Fields: own,
		})
	}
	slices.SortStableFunc(out.Hits, func(a, b api.WordsHit) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return strings.Compare(a.Path+a.Id, b.Path+b.Id)
	})
	if len(out.Hits) > limit {
		out.Hits, out.Truncated = out.Hits[:limit], true
	}
	if out.Hits == nil {
		out.Hits = []api.WordsHit{}
	}
	for _, t := range found.Terms {
		term := api.WordsTerm{Word: t.Word, Dropped: t.Dropped, Failed: t.Failed, Residuals: t.Residuals}
		if t.Documents >= 0 {
			term.Documents = new(t.Documents)
		}
		term.Similar = make([]api.WordsSimilar, len(t.Similar))
		for i, w := range t.Similar {
			term.Similar[i] = api.WordsSimilar{Word: w.Word, Distance: w.Distance, Left: w.Left}
		}
		out.Terms = append(out.Terms, term)
	}
	out.Steps = make([]api.WordsStep, 0, len(found.Steps))
	for _, s := range found.Steps {
		step := api.WordsStep{
			What: s.What, Keys: s.Keys, Rounds: s.Rounds, Messages: s.Messages, Bytes: s.Bytes, Got: s.Got, Filters: append([]int{}, s.Filters...),
			Drawn: make([]api.WordsFilter, len(s.Drawn)),
		}
		for i, f := range s.Drawn {
			step.Drawn[i] = api.WordsFilter{Word: f.Word, Bytes: f.Bytes, Hashes: f.K, Fill: f.Fill, Bits: f.Bits, Found: f.Found}
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// score is larger for what has more of the words, rarer ones, exactly as they were typed, in
// its title, and not among many others. The lists do not say how often a word occurs.
func score(n publish.Note, has []string, terms []keyword.Term) float64 {
	title := map[string]bool{}
	for t := range search.Tokens(n.Title + " " + n.Path) {
		title[t.Term] = true
	}
	sum := 0.0
	for _, t := range terms {
		best := 0.0
		weight := func(word string, distance int) {
			if !slices.Contains(has, word) {
				return
			}
			w := math.Log(1+10_000/float64(max(t.Documents, 1))) / float64(1+3*distance)
			if title[word] {
				w *= 2
			}
			best = max(best, w)
		}
		weight(t.Word, 0)
		for _, s := range t.Similar {
			weight(s.Word, s.Distance)
		}
		sum += best
	}
	return sum / (1 + math.Log1p(float64(n.Words))/20)
}

// GetPublished implements api.StrictServerInterface.
func (a *nodeAPI) GetPublished(context.Context, api.GetPublishedRequestObject) (api.GetPublishedResponseObject, error) {
	s, on := a.node.Published()
	out := api.Published{
		Enabled: on, Documents: s.Documents, Published: s.Published, Words: s.Words, Skipped: s.Skipped, Waiting: s.Waiting,
		Failed: known(s.Failed), TtlS: s.TTL.Seconds(),
	}
	if !s.Last.IsZero() {
		out.Last = &s.Last
	}
	return api.GetPublished200JSONResponse(out), nil
}
