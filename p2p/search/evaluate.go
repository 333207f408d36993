package search

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search/query"
)

// Query looks for documents in this index alone. Errors: ErrEmpty, ErrTooLong,
// ErrCursor, *query.Error, *FilterError. Node and NodeName of the hits are empty; a Mesh without members
// fills them in.
func (x *Index) Query(ctx context.Context, q Query) (Answer, error) {
	m := Mesh{Index: x}
	q.Scope = ScopeLocal
	return m.Ask(ctx, q, nil, nil)
}

// Handler answers "search/1" to the member that asks, whichever way its question has come. Of each member two queries run at once, and of all
// together about as many as there are processors; others wait a moment and are
// then refused with the code "busy". Query does not wait for them.
func (x *Index) Handler(ctx context.Context, from p2p.ID, b []byte) ([]byte, error) {
	leave, err := x.gate.enter(ctx, from)
	if err != nil {
		return nil, err
	}
	defer leave()
	q, err := decodeRequest(b)
	if err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	var all bool
	q.readable, all = x.seenBy(from)
	q.restricted = !all
	r, err := x.evaluate(ctx, q)
	switch {
	case errors.Is(err, ErrEmpty):
		return nil, &p2p.CallError{Code: "query_empty", Message: err.Error()}
	case errors.Is(err, ErrTooLong):
		return nil, &p2p.CallError{Code: "query_too_long", Message: err.Error()}
	case errors.Is(err, query.ErrInvalid) || errors.Is(err, errNodes):
		return nil, &p2p.CallError{Code: "query_invalid", Message: err.Error()}
	case err != nil:
		return nil, err
	}
	return r.encode()
}

// evaluate answers a request that has been checked.
func (x *Index) evaluate(ctx context.Context, q request) (response, error) {
	p, err := newPlan(q.Text, q.Filter, q.Nodes)
	if err != nil {
		return response{}, err
	}
	r, show, err := x.match(ctx, p, q)
	if err != nil {
		return response{}, err
	}
	if err := x.snippets(ctx, &r, show); err != nil {
		return response{}, err
	}
	return r, nil
}

// match finds and ranks; it returns the response without snippets and what they
// are to show. The error is that of ctx.
func (x *Index) match(ctx context.Context, p *plan, q request) (response, *wanted, error) {
	s, _ := x.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer x.scratch.Put(s)
	named := x.foldersNamed(p)
	for {
		r, all, err := x.attempt(ctx, s, p, q, named)
		if errors.Is(err, errRenumbered) {
			continue // which happens only after many documents have gone
		}
		if err != nil {
			return response{}, nil, err
		}
		show := new(wanted)
		for i := range all {
			if all[i].unit.quiet {
				continue
			}
			for m := range all[i].words {
				show.add(m.Word, i, m.Distance)
			}
			r.tell(&all[i], q)
		}
		for ph := range p.phrases {
			for i, w := range slices.Concat(ph.parts, ph.other) {
				show.add(w, len(all)+i, 0)
			}
		}
		return r, show, ctx.Err()
	}
}

// attempt is match but for what needs no look at the index, which it returns the
// expansions for. The error may also be errRenumbered.
func (x *Index) attempt(ctx context.Context, s *scratch, p *plan, q request, named map[string]map[string]bool) (response, []expansion, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	hidden, less := x.hidden(q)
	rank := ranking{
		restricted: q.restricted, hidden: hidden, named: named, reading: x.read(ctx), scratch: s,
		average: max(float64(x.words)/float64(max(len(x.slots), 1)), 1),
	}
	r := response{Hits: []wireHit{}}
	documents := len(x.slots) - less
	rank.secret = len(hidden) > 0
	rank.expandAll(p, q.Fuzz)
	if rank.err != nil {
		return response{}, nil, rank.err
	}
	rank.pick(&r, rank.found(p, documents, q.Rarity), len(p.words), q)
	if q.Explain {
		r.Documents = documents
	}
	r.Shortened = rank.shortened
	// The words of what was put meanwhile, or is being put, are there before it is known who may see them.
	if now, _ := x.hidden(q); len(hidden) > 0 || len(now) > 0 || q.restricted && len(x.docs) > x.filled {
		for i := range rank.all {
			rank.all[i].only(rank.visible)
		}
	}
	return r, rank.all, rank.err
}

// longest returns the length of the longest list.
func longest(lists [][]match) int {
	n := 0
	for _, list := range lists {
		n = max(n, len(list))
	}
	return n
}

// pick sets the hits and counts of r: of what was found, the documents with all
// units or, when there are none, with as many as any document has.
func (r *ranking) pick(to *response, found []match, units int, q request) {
	most := -1
	for m := range r.documents(found) {
		most = max(most, int(m.units))
	}
	if q.After != nil {
		most = units - q.After.Missing
	}
	if most >= 0 {
		to.Missing = units - most
	}
	best := top{sorting: q.sorting(), limit: q.Limit}
	groups, sizes := r.index.groups.all, r.index.sizes
	var counts []int // of documents by group
	if q.Facets {
		counts = make([]int, len(groups))
	}
	for m, d := range r.documents(found) {
		if int(m.units) != most {
			continue
		}
		to.Total++
		if q.Facets {
			counts[sizes[m.slot].group]++
		}
		score := m.rounded()
		if q.After == nil && best.rejects(int(m.distance), score) {
			to.Rest++
			continue
		}
		k := key{missing: to.Missing, distance: int(m.distance), score: score, id: d.id}
		best.set(&k, d.size, d.modified, d.title, d.path)
		if q.After == nil || q.After.precedes(k, best.sorting) {
			to.Rest++
			if best.wants(k) {
				best.add(ranked{k, *d})
			}
		}
	}
	if q.After != nil {
		to.Missing = q.After.Missing
	}
	if q.Facets {
		facets := newFacetCounter()
		for i, n := range counts {
			facets.add(groups[i], n)
		}
		w := facets.result()
		to.Facets = &w
	}
	for i := range best.list {
		to.Hits = append(to.Hits, best.list[i].hit())
	}
}

// documents yields what was found and is there now with its documents, until the
// query ends early.
func (r *ranking) documents(found []match) iter.Seq2[match, *doc] {
	return func(yield func(match, *doc) bool) {
		for some := range slices.Chunk(found, stepSize) {
			if !r.step(len(some)) {
				return
			}
			docs, sizes := r.index.docs, r.index.sizes
			for _, m := range some {
				if sizes[m.slot].there && !yield(m, &docs[m.slot]) {
					return
				}
			}
		}
	}
}

func (k *ranked) hit() wireHit {
	d := &k.doc
	return wireHit{
		ID: d.id, Title: d.title, Folder: d.folder, Path: d.path, Type: d.kind,
		Size: d.size, Modified: d.modified, Score: k.score, Distance: k.distance,
	}
}

// tell adds to r what was made of a unit.
func (r *response) tell(e *expansion, q request) {
	if len(r.Words) < maxWords {
		if e.joined == nil && !e.second && e.exact() {
			r.Words = append(r.Words, assumption{From: e.unit.typed})
		} else {
			found := e.assumed()
			r.Words = append(r.Words, found[:min(len(found), maxWords-len(r.Words))]...)
		}
	}
	if !q.Explain || len(r.Expanded) == maxWords {
		return
	}
	told := expanded{Word: e.unit.typed, Tolerance: e.edits, Documents: e.documents}
	var words []fastss.Match
	for m := range e.words {
		words = append(words, m)
	}
	typed := e.unit.words()
	words = nearest(typed[len(typed)-1], words)
	told.Count = len(words)
	for _, m := range words[:min(len(words), maxCandidates)] {
		told.Candidates = append(told.Candidates, candidate{Word: m.Word, Distance: m.Distance, Prefix: m.Prefix, Documents: m.Count})
	}
	r.Expanded = append(r.Expanded, told)
}

// Bounds of the snippets of one query.
const (
	// textsAtOnce is the number of texts in memory.
	textsAtOnce = 32
	// longTexts is the number of bytes that are read of texts after the first
	// enough of each.
	longTexts = 8 << 20
)

// snippets adds the snippets to the hits. A document that was removed since it
// was found has none, nor has one whose text is damaged: the others are shown.
func (x *Index) snippets(ctx context.Context, r *response, show *wanted) error {
	left := longTexts
	for hits := range slices.Chunk(r.Hits, textsAtOnce) {
		ids := make([]string, len(hits))
		for i := range hits {
			ids[i] = hits[i].ID
		}
		texts, err := x.store.Texts(ctx, ids)
		if err != nil {
			return fmt.Errorf("search: texts of %d hits: %w", len(ids), err)
		}
		for i := range hits {
			if err := ctx.Err(); err != nil {
				return err
			}
			h := &hits[i]
			text, err := x.codec.expand(texts[h.ID])
			if err != nil {
				continue
			}
			markup := hasMarkup(h.Type)
			text = cutBytes(body(text, h.Title, markup), enough+left)
			left -= max(len(text)-enough, 0)
			h.setSnippet(show.snippet(text, markup, h.Title, h.Path))
		}
	}
	return nil
}

// place is a cursor: the query it belongs to, the last hit that was shown, and what the
// query's words weigh, by which it was ranked.
type place struct {
	query uint32
	key
	node   p2p.ID
	rarity string
}

const placeVersion = 3

// fingerprint tells queries apart that cannot continue each other.
func (q Query) fingerprint() uint32 {
	h := fnv.New32a()
	// A hash never fails.
	_, _ = fmt.Fprintf(h, "%q %q %d %t %v", q.Text, q.Filter, q.Fuzz, q.Scope == ScopeLocal, q.sorting())
	return h.Sum32()
}

// String returns the cursor's text: all fields at fixed places, the rarity, the name and
// the ID last.
func (p place) String() string {
	b := []byte{placeVersion}
	b = binary.BigEndian.AppendUint32(b, p.query)
	b = binary.BigEndian.AppendUint16(b, uint16(p.missing))
	b = binary.BigEndian.AppendUint16(b, uint16(p.distance))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.score))
	b = binary.BigEndian.AppendUint64(b, uint64(p.value))
	b = append(append(b, p.node[:]...), byte(len(p.rarity)), byte(len(p.name)))
	b = append(append(append(b, p.rarity...), p.name...), p.id...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePlace reads the cursor of q. It accepts only what String writes.
func parsePlace(text string, q Query) (place, error) {
	const fixed = 1 + 4 + 2 + 2 + 8 + 8 + 32 + 2
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) <= fixed || b[0] != placeVersion || len(b) <= fixed+int(b[fixed-2])+int(b[fixed-1]) {
		return place{}, fmt.Errorf("search: cursor %.40q: %w", text, ErrCursor)
	}
	p := place{query: binary.BigEndian.Uint32(b[1:])}
	p.missing, p.distance = int(binary.BigEndian.Uint16(b[5:])), int(binary.BigEndian.Uint16(b[7:]))
	p.score = math.Float64frombits(binary.BigEndian.Uint64(b[9:]))
	p.value = int64(binary.BigEndian.Uint64(b[17:]))
	p.node = p2p.ID(b[25 : fixed-2])
	name, id := fixed+int(b[fixed-2]), fixed+int(b[fixed-2])+int(b[fixed-1])
	p.rarity, p.name, p.id = string(b[fixed:name]), string(b[name:id]), string(b[id:])
	a := p.after(p2p.ID{})
	if a.check() != nil || len(p.rarity) > maxRarity || p.query != q.fingerprint() || p.String() != text {
		return place{}, fmt.Errorf("search: cursor %.40q: %w", text, ErrCursor)
	}
	return p, nil
}

// after returns what to ask of a node. Among equal hits the smaller node ID
// comes first, so of a node behind p's the equal hit is yet to come.
func (p place) after(node p2p.ID) *after {
	return &after{
		Missing: p.missing, Distance: p.distance, Score: p.score, ID: p.id, Value: p.value, Name: p.name,
		Again: node.Compare(p.node) > 0,
	}
}

// request returns what a node is asked for q, from the start or after p, and whether
// it can have anything.
func (q Query) request(p *place, node Member, questions []query.Match) (r request, hopeful bool) {
	r = request{
		Text: q.Text, Filter: q.Filter, Fuzz: q.Fuzz, Limit: q.Limit, Explain: q.Explain, Facets: q.Facets && p == nil,
		Rarity: []byte(q.rarity),
	}
	by := q.sorting()
	r.Sort, r.Descending = max(slices.Index(sorts[:], by.by), 0), by.descending
	for _, m := range questions {
		r.Nodes = append(r.Nodes, node.isOneOf(m.Values))
	}
	if p != nil {
		r.After = p.after(node.ID)
	}
	if len(questions) == 0 {
		return r, true
	}
	plan, err := newPlan(q.Text, q.Filter, r.Nodes)
	return r, err == nil && !plan.hopeless()
}

// isOneOf reports whether any of values is the node's ID, how an ID begins, or has
// only words that the node's name has.
func (n Member) isOneOf(values []string) bool {
	id := n.ID.String()
	words := make(map[string]bool)
	for t := range Tokens(n.Name) {
		words[t.Term] = true
	}
	for _, v := range values {
		if len(v) >= minNodePrefix && strings.HasPrefix(strings.ToLower(id), strings.ToLower(v)) || hasWords(words, v) {
			return true
		}
	}
	return false
}

// minNodePrefix is how much of a node's ID must be given.
const minNodePrefix = 6

// normal returns q with its defaults filled in and its conditions on nodes, or why it
// cannot be asked.
func (q Query) normal() (Query, []query.Match, error) {
	wanted, besides, err := expressions(q.Text, q.Filter)
	if err != nil {
		return q, nil, err
	}
	questions := nodeQuestions(wanted, besides)
	plan, err := newPlan(q.Text, q.Filter, make([]bool, len(questions)))
	if err != nil {
		return q, nil, err
	}
	if err := q.checkSort(); err != nil {
		return q, nil, err
	}
	if (q.Sort == "" || q.Sort == SortRelevance) && !plan.ranks() {
		q.Sort, q.Order = SortModified, ""
	}
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	q.Fuzz = min(max(q.Fuzz, Auto), maxFuzz)
	switch q.Scope {
	case "":
		q.Scope = ScopeAuto
	case ScopeAuto, ScopeLocal, ScopeMesh:
	default:
		return q, nil, fmt.Errorf("search: scope %.20q: not auto, local or mesh", q.Scope)
	}
	return q, questions, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
