package swarm

import (
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/swarm/seed"
)

// Added: a seed is kept here from now on.
type Added struct {
	Seed  seed.ID `json:"seed"`
	Name  string  `json:"name"`
	Size  int64   `json:"size"`
	Whole bool    `json:"whole"` // all of it is here already
}

// Topic implements p2p.Event.
func (Added) Topic() string { return "seed.added" }

// Finished: all of a download is here.
type Finished struct {
	Seed    seed.ID `json:"seed"`
	Name    string  `json:"name"`
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	Seconds float64 `json:"seconds"`
	Sources int     `json:"sources"` // members and servers that pieces came from
}

// Topic implements p2p.Event.
func (Finished) Topic() string { return "seed.finished" }

// Failed: a download stands still until a person does something.
type Failed struct {
	Seed   seed.ID `json:"seed"`
	Name   string  `json:"name"`
	Reason string  `json:"reason"`
}

// Topic implements p2p.Event.
func (Failed) Topic() string { return "seed.failed" }

// Changed: a shared file is not any more what it was, and nobody is served from it.
type Changed struct {
	Seed   seed.ID `json:"seed"`
	Name   string  `json:"name"`
	Reason string  `json:"reason"`
}

// Topic implements p2p.Event.
func (Changed) Topic() string { return "seed.changed" }

// Bad: a source sent a piece that is another one, and is not asked for this seed any more.
type Bad struct {
	Seed   seed.ID `json:"seed"`
	Name   string  `json:"name"`
	Member p2p.ID  `json:"member,omitzero"` // zero: a server
	URL    string  `json:"url,omitempty"`
	Piece  int     `json:"piece"`
}

// Topic implements p2p.Event.
func (Bad) Topic() string { return "seed.bad_source" }

// Guest: a pass that this node has made has let somebody in who is no member, for the first time.
type Guest struct {
	Seed    seed.ID   `json:"seed"`
	Name    string    `json:"name"`
	Guest   p2p.ID    `json:"guest"`
	Link    string    `json:"link"` // the ID of the pass
	Uses    int       `json:"uses"` // of it so far
	MaxUses int       `json:"max_uses"`
	Expires time.Time `json:"expires"`
}

// Topic implements p2p.Event.
func (Guest) Topic() string { return "seed.guest" }

// Removed: a seed is not kept here any more.
type Removed struct {
	Seed seed.ID `json:"seed"`
	Name string  `json:"name"`
}

// Topic implements p2p.Event.
func (Removed) Topic() string { return "seed.removed" }
