package dht

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Step is one message of an operation and what came of it: what a page draws, and a
// story tells. It is an event too.
type Step struct {
	Operation string `json:"operation"` // "put", "get", "digest", "remove", "repair", …
	Number    uint64 `json:"number"`    // of the operation, at the node that began it
	Round     int    `json:"round"`     // messages of one round travel at the same time
	From      p2p.ID `json:"from"`
	To        p2p.ID `json:"to"`
	Proto     string `json:"proto"`
	Items     int    `json:"items"` // records or queries
	Out       int    `json:"bytes_out"`
	In        int    `json:"bytes_in"`
	// Outcome counts what the other side said, such as "3 ok, 1 stale"; of a failure, why.
	Outcome string        `json:"outcome"`
	Failed  bool          `json:"failed,omitempty"`
	At      time.Duration `json:"at_ns"` // since the operation began
	Took    time.Duration `json:"took_ns"`
}

// Topic implements p2p.Event.
func (Step) Topic() string { return "dht.step" }

// Stored is the event that records of another member came to this node.
type Stored struct {
	From    p2p.ID `json:"from"`
	Records int    `json:"records"`
	Outcome string `json:"outcome"`
}

// Topic implements p2p.Event.
func (Stored) Topic() string { return "dht.stored" }

// Repaired is the event that this node and another one have compared what both should
// keep, and found differences.
type Repaired struct {
	With     p2p.ID `json:"with"`
	Sent     int    `json:"sent"`     // records
	Received int    `json:"received"` // records
	Messages int    `json:"messages"`
	Bytes    int    `json:"bytes"` // both ways
}

// Topic implements p2p.Event.
func (Repaired) Topic() string { return "dht.repaired" }

// Resized is the event that Auto has changed how many members are to keep each record.
type Resized struct {
	From     int `json:"from"`
	To       int `json:"to"`
	Expected int `json:"expected"` // departures in the next interval
	Members  int `json:"members"`  // that can be asked
}

// Topic implements p2p.Event.
func (Resized) Topic() string { return "dht.resized" }

// Trace is how an operation went.
type Trace struct {
	Rounds   int           `json:"rounds"`
	Messages int           `json:"messages"`          // requests to other nodes
	Bytes    int           `json:"bytes"`             // of requests and answers
	Crowded  int           `json:"crowded,omitempty"` // keys around which members sit nearer than by chance
	Took     time.Duration `json:"took_ns"`
	Steps    []Step        `json:"steps"`
}

// Add adds what another operation took, whose steps come after these.
func (t *Trace) Add(o Trace) {
	for i := range o.Steps {
		o.Steps[i].Round += t.Rounds
		o.Steps[i].At += t.Took
	}
	t.Crowded += o.Crowded
	t.Rounds, t.Messages, t.Bytes, t.Took = t.Rounds+o.Rounds, t.Messages+o.Messages, t.Bytes+o.Bytes, t.Took+o.Took
	t.Steps = append(t.Steps, o.Steps...)
}
