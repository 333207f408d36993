package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/p2p/keyword"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/server/api"
)

// FindRange implements api.StrictServerInterface: a search for nothing but a range.
func (a *nodeAPI) FindRange(ctx context.Context, r api.FindRangeRequestObject) (api.FindRangeResponseObject, error) {
	p := r.Params
	ends := [2]string{valueOf(p.From), valueOf(p.To)}
	if ends[0] == "" && ends[1] == "" {
		return nil, fmt.Errorf("%w: neither from nor to is given", errInvalid)
	}
	field, kind := p.Field, "size"
	is := func(end string) bool { _, ok := query.Size(end); return ok }
	switch p.Field {
	case publish.FieldSize:
	case publish.FieldModified:
		kind, is = "date", func(end string) bool { _, _, ok := query.Span(end); return ok }
	default:
		var ok bool
		if field, ok = query.Of(p.Field); !ok {
			return nil, fmt.Errorf("%w: parameter field: %.40q is neither size nor modified, and no field of a document is called so", errInvalid, p.Field)
		}
		kind, is = "number", func(end string) bool { _, ok := query.Float(end); return ok }
	}
	for i, end := range ends {
		if end != "" && !is(end) {
			return nil, fmt.Errorf("%w: parameter %s: %.40q is no %s", errInvalid, [2]string{"from", "to"}[i], end, kind)
		}
	}
	q := question{Query: search.Query{
		Filter: field + ":" + ends[0] + ".." + ends[1], Fuzz: search.Auto,
		Limit: valueOf(p.Limit), Cursor: valueOf(p.Cursor), Explain: valueOf(p.Explain), Scope: search.Scope(valueOf(p.Via)),
	}}
	if tree := string(q.Scope); slices.Contains(keyword.Trees[:], keyword.Tree(tree)) {
		q.Scope, q.plan = viaTable, tree
	}
	out, err := a.found(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	return api.FindRange200JSONResponse(out), nil
}

// conditionOf returns the first range that all hits of a query must be in; nil: there is none.
func conditionOf(q search.Query) *api.SearchRange {
	for _, text := range []string{q.Text, q.Filter} {
		e, err := query.Parse(text)
		if err != nil {
			continue // the search has said so
		}
		all, is := e.(query.And)
		if !is {
			all = query.And{e}
		}
		if between, ok := betweenOf(all); ok {
			return apiRange(between)
		}
	}
	return nil
}

// betweenOf returns the first range among conditions that must all hold.
func betweenOf(conditions []query.Expr) (keyword.Between, bool) {
	for _, c := range conditions {
		r, is := c.(query.Range)
		if !is {
			continue
		}
		between := keyword.Between{Field: r.Field, From: r.From, To: r.To, Tree: keyword.TreePHT, Limit: ranges.MaxLimit}
		if r.Field == publish.FieldModified {
			between.From, between.To = r.From/int64(time.Second), r.To/int64(time.Second)
		} else if _, own := query.Own(r.Field); own {
			between.From, between.To = publish.OwnKey(r.From), publish.OwnKey(r.To)
		}
		return between, true
	}
	return keyword.Between{}, false
}

// apiRange says which keys are asked.
func apiRange(b keyword.Between) *api.SearchRange {
	return &api.SearchRange{Field: b.Field, From: int64(keyword.KeyOf(b.From)), To: int64(keyword.KeyOf(b.To))}
}
