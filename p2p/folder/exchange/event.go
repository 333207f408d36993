package exchange

import (
	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/folder/reconcile"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
)

// maxNamed is how many paths an event names.
const maxNamed = 20

// Applied tells that changes of other members were done on this disk.
type Applied struct {
	ID      string   `json:"id"`
	Count   int      `json:"count"`
	Members []p2p.ID `json:"members"`
	Paths   []string `json:"paths"` // at most 20
}

// Recorded tells that changes of a person here have been made known.
type Recorded struct {
	ID    string   `json:"id"`
	Count int      `json:"count"`
	Paths []string `json:"paths"` // at most 20
}

// Refused tells that a member has sent what is not taken over.
type Refused struct {
	ID     string `json:"id"`
	Member p2p.ID `json:"member"`
	Path   string `json:"path"`
	Why    string `json:"why"`
}

// Topic implements p2p.Event.
func (Applied) Topic() string { return "folder.applied" }

// Topic implements p2p.Event.
func (Recorded) Topic() string { return "folder.recorded" }

// Topic implements p2p.Event.
func (Refused) Topic() string { return "folder.refused" }

func appliedOf(id string, done []replica.Installed) Applied {
	e := Applied{ID: id, Count: len(done), Members: []p2p.ID{}, Paths: []string{}}
	seen := map[p2p.ID]bool{}
	for _, x := range done {
		if !x.Member.IsZero() && !seen[x.Member] {
			seen[x.Member] = true
			e.Members = append(e.Members, x.Member)
		}
		if len(e.Paths) < maxNamed {
			e.Paths = append(e.Paths, x.Path)
		}
	}
	return e
}

func changedOf(id string, changes []reconcile.Change) Recorded {
	e := Recorded{ID: id, Count: len(changes), Paths: []string{}}
	for _, c := range changes[:min(len(changes), maxNamed)] {
		e.Paths = append(e.Paths, c.Path)
	}
	return e
}
