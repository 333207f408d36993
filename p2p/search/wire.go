package search

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search/query"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// Proto is the call by which a member is asked.
const Proto = "search/2"

// request asks a member what its index has.
type request struct {
	Text    string `cbor:"1,keyasint"`
	Fuzz    int    `cbor:"2,keyasint"`
	Limit   int    `cbor:"3,keyasint"`
	After   *after `cbor:"4,keyasint,omitempty"`
	Explain bool   `cbor:"5,keyasint,omitempty"`
	Filter  string `cbor:"6,keyasint,omitempty"`
	Nodes   []bool `cbor:"7,keyasint,omitempty"` // how each condition on nodes comes out for who is asked
	// Sort is the number of the sort in sorts.
	Sort       int  `cbor:"8,keyasint,omitempty"`
	Descending bool `cbor:"9,keyasint,omitempty"`
	Facets     bool `cbor:"10,keyasint,omitempty"`
	// Rarity says how rare each of the words that should occur is in the whole network: its
	// IDF, in steps of 1/rarityStep; empty: each node goes by its own documents.
	Rarity []byte `cbor:"11,keyasint,omitempty"`

	restricted bool            // the asker sees only documents without a folder, and of
	readable   map[string]bool // these
}

// after is where the page before has ended.
type after struct {
	Missing  int     `cbor:"1,keyasint"`
	Distance int     `cbor:"2,keyasint"`
	Score    float64 `cbor:"3,keyasint"`
	ID       string  `cbor:"4,keyasint"`
	// Again says that the document of exactly this key was not on that page, as
	// it was another node's.
	Again bool   `cbor:"5,keyasint,omitempty"`
	Value int64  `cbor:"6,keyasint,omitempty"`
	Name  string `cbor:"7,keyasint,omitempty"`
}

// response is what an index has for a request.
type response struct {
	Hits    []wireHit    `cbor:"1,keyasint"`
	Total   int          `cbor:"2,keyasint"`           // documents that match
	Rest    int          `cbor:"3,keyasint"`           // of those, how many are not before After: at least len(Hits)
	Missing int          `cbor:"4,keyasint,omitempty"` // units of the query that each of them lacks
	Words   []assumption `cbor:"5,keyasint,omitempty"`
	Cut     bool         `cbor:"6,keyasint,omitempty"` // there would be more hits, but a message is full
	// Shortened says that more words or documents may match: the query asked for
	// more work than a node does for one.
	Shortened bool        `cbor:"9,keyasint,omitempty"`
	Facets    *wireFacets `cbor:"10,keyasint,omitempty"`
	// With Explain:
	Expanded  []expanded `cbor:"7,keyasint,omitempty"`
	Documents int        `cbor:"8,keyasint,omitempty"` // in the index
}

// wireHit is a Hit without what the asker knows by itself: whose it is.
type wireHit struct {
	ID       string   `cbor:"1,keyasint"`
	Title    string   `cbor:"2,keyasint"`
	Folder   string   `cbor:"3,keyasint,omitempty"`
	Path     string   `cbor:"4,keyasint,omitempty"`
	Type     string   `cbor:"5,keyasint,omitempty"`
	Size     int64    `cbor:"6,keyasint,omitempty"`
	Modified int64    `cbor:"7,keyasint"` // nanoseconds since 1970
	Score    float64  `cbor:"8,keyasint"`
	Distance int      `cbor:"9,keyasint,omitempty"`
	Snippet  string   `cbor:"10,keyasint,omitempty"`
	Marks    []uint16 `cbor:"11,keyasint,omitempty"` // start, end, start, end …
}

// expanded is the part of Expanded that a member knows.
type expanded struct {
	Word       string      `cbor:"1,keyasint"`
	Tolerance  int         `cbor:"2,keyasint,omitempty"`
	Documents  int         `cbor:"3,keyasint,omitempty"`
	Count      int         `cbor:"4,keyasint,omitempty"`
	Candidates []candidate `cbor:"5,keyasint,omitempty"`
}

type candidate struct {
	Word      string `cbor:"1,keyasint"`
	Distance  int    `cbor:"2,keyasint,omitempty"`
	Prefix    bool   `cbor:"3,keyasint,omitempty"`
	Documents int    `cbor:"4,keyasint,omitempty"`
}

// Bounds of a response.
const (
	maxWords      = 64       // words and expansions that are told
	maxCandidates = 20       // of an expansion
	maxFuzz       = 3        // edits of a word
	maxResponse   = 55 << 10 // bytes: what a forwarded call can bring back, and a little less
)

func decodeRequest(b []byte) (request, error) {
	var q request
	if err := wire.Unmarshal(b, &q); err != nil {
		return q, err
	}
	if err := q.check(); err != nil {
		return q, err
	}
	return q, nil
}

func (q *request) sorting() sorting {
	if q.Sort == 0 {
		return sorting{}
	}
	return sorting{by: sorts[q.Sort], descending: q.Descending}
}

// check bounds what a peer may ask. What the text says is newPlan's business.
func (q *request) check() error {
	switch {
	case !utf8.ValidString(q.Text) || !utf8.ValidString(q.Filter):
		return fmt.Errorf("search: request: text is not UTF-8")
	case q.Fuzz < Auto || q.Fuzz > maxFuzz:
		return fmt.Errorf("search: request: fuzz %d: not between %d and %d", q.Fuzz, Auto, maxFuzz)
	case len(q.Nodes) > 2*query.MaxValues:
		return fmt.Errorf("search: request: %d conditions on nodes, at most %d", len(q.Nodes), 2*query.MaxValues)
	case q.Sort < 0 || q.Sort >= len(sorts):
		return fmt.Errorf("search: request: sort %d: not below %d", q.Sort, len(sorts))
	case q.Limit < 1 || q.Limit > MaxLimit:
		return fmt.Errorf("search: request: limit %d: not between 1 and %d", q.Limit, MaxLimit)
	case len(q.Rarity) > maxRarity:
		return fmt.Errorf("search: request: %d words weighed, at most %d", len(q.Rarity), maxRarity)
	case q.After != nil:
		return q.After.check()
	}
	return nil
}

func (a *after) check() error {
	if a.Missing < 0 || a.Missing > MaxQuery || a.Distance < 0 || a.Distance > maxDistance ||
		!validScore(a.Score) || !validID(a.ID) || len(a.Name) > maxSortName || !utf8.ValidString(a.Name) {
		return fmt.Errorf("search: cursor out of bounds: %w", ErrCursor)
	}
	return nil
}

func (a *after) key() key {
	return key{missing: a.Missing, distance: a.Distance, score: a.Score, id: a.ID, value: a.Value, name: a.Name}
}

// maxDistance bounds the distance of a hit: so many edits in so many words.
const maxDistance = maxFuzz * MaxQuery

func validScore(x float64) bool { return x >= 0 && x <= MaxScore } // not NaN

// decodeResponse reads what a member answered to q. Members are not trusted with
// anything but what they claim to have: whatever breaks a bound makes the whole
// answer invalid.
func decodeResponse(b []byte, q request) (response, error) {
	var r response
	if err := wire.Unmarshal(b, &r); err != nil {
		return r, err
	}
	if err := r.check(q); err != nil {
		return r, fmt.Errorf("search: answer: %w", err)
	}
	return r, nil
}

func (r *response) check(q request) error {
	switch {
	case r.Total < 0 || r.Total > maxTotal || r.Rest < 0 || r.Rest > r.Total:
		return fmt.Errorf("%d documents, %d of them left", r.Total, r.Rest)
	case len(r.Hits) > q.Limit || len(r.Hits) > r.Rest:
		return fmt.Errorf("%d hits, asked for %d of %d", len(r.Hits), q.Limit, r.Rest)
	case len(r.Hits) == 0 && r.Rest > 0:
		return fmt.Errorf("no hits of %d", r.Rest)
	case len(r.Hits) < min(q.Limit, r.Rest) && !r.Cut:
		return fmt.Errorf("%d hits of %d and no reason", len(r.Hits), r.Rest)
	case r.Missing < 0 || r.Missing >= MaxQuery || q.After != nil && r.Missing != q.After.Missing:
		return fmt.Errorf("%d words missing", r.Missing)
	case len(r.Words) > maxWords || len(r.Expanded) > maxWords || len(r.Expanded) > 0 && !q.Explain || r.Documents < 0 || r.Documents > maxTotal:
		return fmt.Errorf("too much about words")
	case r.Facets != nil && !q.Facets:
		return fmt.Errorf("facets that nobody has asked for")
	case r.Facets != nil:
		if err := r.Facets.check(r.Total); err != nil {
			return err
		}
	}
	for i := range r.Words {
		if err := r.Words[i].check(); err != nil {
			return err
		}
	}
	for i := range r.Expanded {
		if err := r.Expanded[i].check(); err != nil {
			return err
		}
	}
	return r.checkHits(q)
}

func (r *response) checkHits(q request) error {
	by := q.sorting()
	var before key
	for i := range r.Hits {
		h := &r.Hits[i]
		if err := h.check(); err != nil {
			return fmt.Errorf("hit %d: %w", i, err)
		}
		k := h.key(r.Missing, by)
		if i > 0 && by.compare(before, k) >= 0 {
			return fmt.Errorf("hit %d: not behind the one before", i)
		}
		if q.After != nil && !q.After.precedes(k, by) {
			return fmt.Errorf("hit %d: of a page before", i)
		}
		before = k
	}
	return nil
}

// precedes reports whether k belongs to the pages after a.
func (a *after) precedes(k key, by sorting) bool {
	c := by.compare(a.key(), k)
	return c < 0 || c == 0 && a.Again
}

func (h *wireHit) key(missing int, by sorting) key {
	k := key{missing: missing, distance: h.Distance, score: h.Score, id: h.ID}
	by.set(&k, h.Size, h.Modified, h.Title, h.Path)
	return k
}

func (h *wireHit) check() error {
	switch {
	case !validID(h.ID):
		return fmt.Errorf("id %.80q", h.ID)
	case !validLabel(h.Title, 4*MaxTitle) || utf8.RuneCountInString(h.Title) > MaxTitle:
		return fmt.Errorf("title %.40q", h.Title)
	case !validLabel(h.Folder, maxLabel) || !validLabel(h.Type, maxLabel) || !validPath(h.Path):
		return fmt.Errorf("folder, type or path")
	case h.Size < 0 || h.Size > maxSize:
		return fmt.Errorf("size %d", h.Size)
	case !validScore(h.Score) || h.Distance < 0 || h.Distance > maxDistance:
		return fmt.Errorf("score %g, distance %d", h.Score, h.Distance)
	case !validLabel(h.Snippet, 4*snippetMax):
		return fmt.Errorf("snippet of %d bytes", len(h.Snippet))
	}
	length := utf8.RuneCountInString(h.Snippet)
	if length > snippetMax || len(h.Marks) > 2*maxMarks || len(h.Marks)%2 != 0 {
		return fmt.Errorf("snippet of %d characters with %d ends of marks", length, len(h.Marks))
	}
	for i, at := range h.Marks {
		// Marks may touch each other but not be empty.
		if int(at) > length || i > 0 && (at < h.Marks[i-1] || i%2 == 1 && at == h.Marks[i-1]) {
			return fmt.Errorf("mark outside of the snippet or out of order")
		}
	}
	return nil
}

// validLabel reports whether s is a line of at most n bytes that shows what it
// says, wherever it is shown.
func validLabel(s string, n int) bool {
	return len(s) <= n && utf8.ValidString(s) && !containsControl(s)
}

// validPath reports whether s can name a file. It may well hold characters that
// show something else: it is used to read the file, so it must stay as it is, and
// who shows it cleans it.
func validPath(s string) bool {
	return len(s) <= MaxPath && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

func containsControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || isDirection(r) {
			return true
		}
	}
	return false
}

func (a *assumption) check() error {
	if !utf8.ValidString(a.From) || len(a.From) > 4*MaxQuery || !validLabel(a.To, maxTermBytes) || a.Distance < 0 || a.Distance > maxDistance ||
		a.Documents < 0 || a.Documents > maxTotal || (a.To == "") != (a.Distance == 0) {
		return fmt.Errorf("assumption %.40q for %.40q", a.To, a.From)
	}
	return nil
}

// wordsOf returns the words of a text.
func wordsOf(text string) map[string]bool {
	words := make(map[string]bool)
	for t := range Tokens(text) {
		words[t.Term] = true
	}
	return words
}

// plausible reports whether what a member assumes is about words that it was asked for, and
// as near as it says: people are shown it as what they meant.
func (a *assumption) plausible(asked map[string]bool) bool {
	for _, word := range strings.Fields(a.From) {
		if !asked[Fold(word)] {
			return false
		}
	}
	if a.To == "" {
		return true
	}
	typed := fastss.OSA.Compile(Fold(a.From)) // at most MaxToken letters
	if a.Prefix {
		return typed.PrefixDistance(a.To, a.Distance) <= a.Distance
	}
	return typed.Distance(a.To, a.Distance) <= a.Distance
}

func (e *expanded) check() error {
	if !utf8.ValidString(e.Word) || len(e.Word) > 4*MaxQuery || e.Tolerance < 0 || e.Tolerance > maxEdits || e.Documents < 0 || e.Documents > maxTotal ||
		e.Count < len(e.Candidates) || e.Count > maxTotal || len(e.Candidates) > maxCandidates {
		return fmt.Errorf("expansion of %.40q", e.Word)
	}
	for _, c := range e.Candidates {
		if !validLabel(c.Word, maxTermBytes) || c.Distance < 0 || c.Distance > maxEdits || c.Documents < 0 || c.Documents > maxTotal {
			return fmt.Errorf("candidate %.40q for %.40q", c.Word, e.Word)
		}
	}
	return nil
}

// encode returns r in at most a message: if it does not fit, first the snippets
// get shorter, then they go, then hits at the end go and Cut says so.
func (r *response) encode() ([]byte, error) {
	room := maxResponse - r.aside()
	for _, length := range []int{60, 0} {
		if r.fit(room) == len(r.Hits) {
			break
		}
		r.shorten(length)
	}
	if n := r.fit(room); n < len(r.Hits) {
		r.Hits, r.Cut = r.Hits[:n], true
	}
	return wire.Marshal(r)
}

// aside returns the bytes of everything but the hits, at most.
func (r *response) aside() int {
	n := 64
	if r.Facets != nil {
		for _, c := range slices.Concat(r.Facets.Types, r.Facets.Folders, r.Facets.Years) {
			n += len(c.Value) + 16
		}
	}
	for _, w := range r.Words {
		n += len(w.From) + len(w.To) + 32
	}
	for _, e := range r.Expanded {
		n += len(e.Word) + 48
		for _, c := range e.Candidates {
			n += len(c.Word) + 24
		}
	}
	return n
}

// fit returns how many hits need at most room bytes, but at least one.
func (r *response) fit(room int) int {
	for i, h := range r.Hits {
		room -= len(h.ID) + len(h.Title) + len(h.Folder) + len(h.Path) + len(h.Type) + len(h.Snippet) + 3*len(h.Marks) + 64
		if room < 0 {
			return max(i, 1)
		}
	}
	return len(r.Hits)
}

func (r *response) shorten(length int) {
	for i := range r.Hits {
		h := &r.Hits[i]
		if length == 0 {
			h.Snippet, h.Marks = "", nil
			continue
		}
		h.setSnippet(h.snippet().shortened(length))
	}
}

func (h *wireHit) setSnippet(s Snippet) {
	h.Snippet, h.Marks = s.Text, nil
	for _, m := range s.Marks {
		h.Marks = append(h.Marks, uint16(m[0]), uint16(m[1]))
	}
}

func (h *wireHit) snippet() Snippet {
	s := Snippet{Text: h.Snippet, Marks: [][2]int{}}
	for m := range slices.Chunk(h.Marks, 2) {
		s.Marks = append(s.Marks, [2]int{int(m[0]), int(m[1])})
	}
	return s
}

// hit returns the Hit of a node.
func (h *wireHit) hit(node Member, local bool) Hit {
	return Hit{
		ID: h.ID, Title: h.Title, Folder: h.Folder, Path: h.Path,
		Node: node.ID, NodeName: node.Name, Local: local,
		Type: h.Type, Size: h.Size, Modified: time.Unix(0, h.Modified).UTC(),
		Score: h.Score, Distance: h.Distance, Snippet: h.snippet(),
	}
}

// Bounds of what is told of how words meet: a word of n letters has some n³/6 residuals.
const (
	maxMeetings  = 5
	maxMeetingOf = 20 // letters
)

// meeting returns a residual that both words have, with as few letters deleted as there are.
func meeting(typed, meant string, edits int) string {
	if edits <= 0 || utf8.RuneCountInString(typed) > maxMeetingOf || utf8.RuneCountInString(meant) > maxMeetingOf {
		return ""
	}
	has := make(map[string]bool)
	for _, r := range fastss.Residuals(meant, edits) {
		has[r] = true
	}
	longest := ""
	for _, r := range fastss.Residuals(typed, edits) {
		if has[r] && len(r) > len(longest) {
			longest = r
		}
	}
	return longest
}

func (e *expanded) event(node p2p.ID) Expanded {
	all := make([]Candidate, len(e.Candidates))
	for i, c := range e.Candidates {
		all[i] = Candidate{Word: c.Word, Distance: c.Distance, Prefix: c.Prefix, Documents: c.Documents}
		if i < maxMeetings && !c.Prefix {
			all[i].Left = meeting(Fold(e.Word), c.Word, c.Distance)
		}
	}
	return Expanded{Node: node, Word: e.Word, Tolerance: e.Tolerance, Documents: e.Documents, Count: e.Count, Candidates: all}
}
