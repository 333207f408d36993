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
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// Query looks for documents in this index alone. Errors: ErrEmpty, ErrTooLong,
// ErrCursor. Node and NodeName of the hits are empty; a Mesh without members
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
	case err != nil:
		return nil, err
	}
	return r.encode()
}

// evaluate answers a request that has been checked.
func (x *Index) evaluate(ctx context.Context, q request) (response, error) {
	units, err := parse(q.Text)
	if err != nil {
		return response{}, err
	}
	r, show, err := x.match(ctx, units, q)
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
func (x *Index) match(ctx context.Context, units []unit, q request) (response, *wanted, error) {
	s, _ := x.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer x.scratch.Put(s)
	for {
		r, all, err := x.attempt(ctx, s, units, q)
		if errors.Is(err, errRenumbered) {
			continue // which happens only after many documents have gone
		}
		if err != nil {
			return response{}, nil, err
		}
		show := new(wanted)
		for i := range all {
			for m := range all[i].words {
				show.add(m.Word, i, m.Distance)
			}
			r.tell(&all[i], q)
		}
		return r, show, ctx.Err()
	}
}

// attempt is match but for what needs no look at the index, which it returns the
// expansions for. The error may also be errRenumbered.
func (x *Index) attempt(ctx context.Context, s *scratch, units []unit, q request) (response, []expansion, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	hidden, less := x.hidden(q)
	rank := ranking{hidden: hidden, reading: x.read(ctx), scratch: s, average: max(float64(x.words)/float64(max(len(x.slots), 1)), 1)}
	r := response{Hits: []wireHit{}}
	documents := len(x.slots) - less
	rank.secret = len(hidden) > 0
	edits := rank.tolerances(units, q.Fuzz)
	all := make([]expansion, len(units))
	lists := make([][]match, len(units))
	for i, u := range units {
		all[i] = rank.expansion(u, edits[i])
		lists[i] = rank.unit(&all[i])
		all[i].documents = len(lists[i])
		if rank.err != nil {
			return response{}, nil, rank.err
		}
	}
	found := lists[0]
	if len(lists) > 1 {
		found = rank.join(lists, rarities(lists, max(documents, longest(lists))))
	}
	rank.pick(&r, found, len(units), q)
	if q.Explain {
		r.Documents = documents
	}
	r.Shortened = rank.shortened
	if len(hidden) > 0 {
		for i := range all {
			all[i].only(rank.visible)
		}
	}
	return r, all, rank.err
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
	most := 0
	for m, d := range r.documents(found) {
		if d.id != "" {
			most = max(most, int(m.units))
		}
	}
	if q.After != nil {
		most = units - q.After.Missing
	}
	if most > 0 {
		to.Missing = units - most
	}
	best := top{limit: q.Limit}
	for m, d := range r.documents(found) {
		if int(m.units) != most || d.id == "" {
			continue
		}
		to.Total++
		k := key{to.Missing, int(m.distance), m.rounded(), d.id}
		if q.After == nil || q.After.precedes(k) {
			to.Rest++
			if best.wants(k) {
				best.add(ranked{k, *d})
			}
		}
	}
	if q.After != nil {
		to.Missing = q.After.Missing
	}
	for i := range best.list {
		to.Hits = append(to.Hits, best.list[i].hit())
	}
}

// documents yields what was found with its documents, as they are now, until the
// query ends early.
func (r *ranking) documents(found []match) iter.Seq2[match, *doc] {
	return func(yield func(match, *doc) bool) {
		for some := range slices.Chunk(found, stepSize) {
			if !r.step(len(some)) {
				return
			}
			docs := r.index.docs
			for _, m := range some {
				if !yield(m, &docs[m.slot]) {
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
		if e.exact() {
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

// place is a cursor: the query it belongs to and the last hit that was shown.
type place struct {
	query uint32
	key
	node p2p.ID
}

const placeVersion = 1

// fingerprint tells queries apart that cannot continue each other.
func (q Query) fingerprint() uint32 {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s\x00%d\x00%t", q.Text, q.Fuzz, q.Scope == ScopeLocal) // a hash never fails
	return h.Sum32()
}

// String returns the cursor's text: all fields at fixed places, the ID last.
func (p place) String() string {
	b := []byte{placeVersion}
	b = binary.BigEndian.AppendUint32(b, p.query)
	b = binary.BigEndian.AppendUint16(b, uint16(p.missing))
	b = binary.BigEndian.AppendUint16(b, uint16(p.distance))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.score))
	b = append(append(b, p.node[:]...), p.id...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePlace reads the cursor of q. It accepts only what String writes.
func parsePlace(text string, q Query) (place, error) {
	const fixed = 1 + 4 + 2 + 2 + 8 + 32
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) <= fixed || b[0] != placeVersion {
		return place{}, fmt.Errorf("search: cursor %.40q: %w", text, ErrCursor)
	}
	p := place{query: binary.BigEndian.Uint32(b[1:])}
	p.missing, p.distance = int(binary.BigEndian.Uint16(b[5:])), int(binary.BigEndian.Uint16(b[7:]))
	p.score = math.Float64frombits(binary.BigEndian.Uint64(b[9:]))
	p.node, p.id = p2p.ID(b[17:fixed]), string(b[fixed:])
	a := p.after(p2p.ID{})
	if a.check() != nil || p.query != q.fingerprint() || p.String() != text {
		return place{}, fmt.Errorf("search: cursor %.40q: %w", text, ErrCursor)
	}
	return p, nil
}

// after returns what to ask of a node. Among equal hits the smaller node ID
// comes first, so of a node behind p's the equal hit is yet to come.
func (p place) after(node p2p.ID) *after {
	return &after{Missing: p.missing, Distance: p.distance, Score: p.score, ID: p.id, Again: node.Compare(p.node) > 0}
}

// request returns what a node is asked for q, from the start or after p.
func (q Query) request(p *place, node p2p.ID) request {
	r := request{Text: q.Text, Fuzz: q.Fuzz, Limit: q.Limit, Explain: q.Explain}
	if p != nil {
		r.After = p.after(node)
	}
	return r
}

// normal returns q with its defaults filled in, or why it cannot be asked.
func (q Query) normal() (Query, error) {
	if _, err := parse(q.Text); err != nil {
		return q, err
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
		return q, fmt.Errorf("search: scope %.20q: not auto, local or mesh", q.Scope)
	}
	return q, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
