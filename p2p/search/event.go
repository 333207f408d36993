package search

import "github.com/shoal-p2p/shoal/p2p"

// Candidate is a word of a node's index that a word of the query may stand for.
type Candidate struct {
	Word      string `json:"word"`
	Distance  int    `json:"distance"`
	Prefix    bool   `json:"prefix"`    // the word only begins like the query's
	Documents int    `json:"documents"` // that contain it
	// Left is what is left of both words when as many letters are deleted from each as there are
	// edits at most: the key at which they meet (fastss.Residuals). Empty where it is not told.
	Left string `json:"left,omitempty"`
}

// Expanded tells which words of a node's index were searched for a word of the
// query. Candidates are the nearest; Count is how many there were.
type Expanded struct {
	Node       p2p.ID      `json:"node"`
	Word       string      `json:"word"`
	Tolerance  int         `json:"tolerance"` // edits allowed
	Documents  int         `json:"documents"` // that have any of the candidates
	Count      int         `json:"count"`
	Candidates []Candidate `json:"candidates"`
}

// Asked tells that a member was sent the query.
type Asked struct {
	Node p2p.ID `json:"node"`
	Name string `json:"name"`
}

// Answered tells what a node answered, or why it did not.
type Answered struct {
	Node  p2p.ID  `json:"node"`
	Name  string  `json:"name"`
	Hits  int     `json:"hits"`  // that were sent
	Total int     `json:"total"` // that match
	Bytes int     `json:"bytes"` // of the answer on the wire
	MS    float64 `json:"ms"`
	Error string  `json:"error"`
}

// Scored tells how a node ranked what it found.
type Scored struct {
	Node      p2p.ID `json:"node"`
	Documents int    `json:"documents"` // in the node's index
	Matched   int    `json:"matched"`   // that match as many words as any
	Missing   int    `json:"missing"`   // words that those lack
}

// Merged tells how the parts became one answer.
type Merged struct {
	Parts   int `json:"parts"`
	Total   int `json:"total"`
	Hits    int `json:"hits"`
	Missing int `json:"missing"`
}

// Topic implements p2p.Event.
func (Expanded) Topic() string { return "search.expanded" }

// Topic implements p2p.Event.
func (Asked) Topic() string { return "search.asked" }

// Topic implements p2p.Event.
func (Answered) Topic() string { return "search.answered" }

// Topic implements p2p.Event.
func (Scored) Topic() string { return "search.scored" }

// Topic implements p2p.Event.
func (Merged) Topic() string { return "search.merged" }
