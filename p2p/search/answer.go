package search

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of a query.
const (
	MaxQuery     = 1000 // code points of the text, and of the filter
	MaxLimit     = 200  // hits of one answer
	DefaultLimit = 20
)

// Auto is the fuzz that depends on the length of each word: none up to 3 letters, 1 up
// to 5, 2 up to 9, 3 beyond. Where there are any and no document has the word, words
// further away may be meant too: see Meant.
const Auto = -1

// Scope says who is asked.
type Scope string

// The scopes. ScopeAuto is the mesh while one tier is enough for everybody.
const (
	ScopeAuto  Scope = "auto"
	ScopeLocal Scope = "local"
	ScopeMesh  Scope = "mesh"
)

// Query is what somebody wants to find.
type Query struct {
	Text    string // in the language of package query
	Filter  string // what must hold besides, in the same language; it may be all that is asked
	Fuzz    int    // edits allowed for each word: 0 to 3, or Auto
	Limit   int    // hits wanted; 0: DefaultLimit, more than MaxLimit: MaxLimit
	Cursor  string // Next of the answer before; empty: from the start
	Scope   Scope  // empty: ScopeAuto; an Index looks only at itself
	Sort    Sort   // empty: SortRelevance
	Order   Order  // empty: the usual one of the Sort
	Facets  bool   // count what matches by type, folder, year and node; on the first page only
	Explain bool   // answer with a trace

	rarity string // of its words in the whole network, as in request
}

// Hit is a document that was found. By relevance, hits are ordered by Distance, then by
// Score (the larger first), then by ID and node.
type Hit struct {
	ID       string
	Title    string
	Folder   string
	Path     string
	Node     p2p.ID
	NodeName string
	Local    bool
	Type     string
	Size     int64
	Modified time.Time
	Score    float64 // 0 to MaxScore; what matched where, how often, and how rare it is
	Distance int     // edits between the query and what matched, of all words together
	Snippet  Snippet
}

// Correction is what was assumed for a word of the query that does not occur.
type Correction struct {
	From     string
	To       string
	Distance int
}

// Part is the answer of one node.
type Part struct {
	Node        p2p.ID
	Name        string
	Local       bool
	Hits        []Hit
	Total       int  // documents that match, of which Hits are some
	Missing     int  // words that none of the documents has; see Answer.Missing
	Truncated   bool // as of Answer
	Corrections []Correction
	Took        time.Duration // until the answer was here
	Err         error         // why there is none
}

// NodeReport says how a node took part in an answer.
type NodeReport struct {
	Node p2p.ID
	Name string
	Hits int // documents that match on that node and belong to the answer
	Took time.Duration
	Err  error // why it did not answer
}

// Answer is what all nodes that were asked found together.
type Answer struct {
	Query       string
	Corrections []Correction
	Hits        []Hit
	// Total counts the documents that match, on all nodes that answered. A file
	// that several nodes hold counts once for each.
	Total int
	// Missing is 0 when the hits have all words of the query. When no document
	// has, the hits have as many as any document has, and Missing is how many
	// they lack.
	Missing int
	// Truncated says that a limit other than Query.Limit cut the answer: a message
	// was full, and Next leads on, or the query asked for more work than a node
	// does for one, and words or documents that match less well may be missing.
	Truncated     bool
	Partial       bool // a node did not answer
	NodesAsked    int  // this one included
	NodesAnswered int
	Nodes         []NodeReport // this node first, then by ID
	Took          time.Duration
	Facets        *Facets     // with Query.Facets
	Next          string      // cursor of what follows; empty at the end
	Trace         []p2p.Event // with Query.Explain: how the answer came about
}

// Member is a node that can be asked.
type Member struct {
	ID   p2p.ID
	Name string
}
