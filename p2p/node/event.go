package node

import (
	"net/netip"

	"github.com/shoal-p2p/shoal/p2p"
)

// Linked: a link to a member came up.
type Linked struct {
	ID   p2p.ID       `json:"id"`
	Name string       `json:"name"`
	Path p2p.PathKind `json:"path"`
}

// Topic implements p2p.Event.
func (Linked) Topic() string { return "peer.linked" }

// Lost: the link to a member went down.
type Lost struct {
	ID    p2p.ID `json:"id"`
	Name  string `json:"name"`
	Error string `json:"error"`
}

// Topic implements p2p.Event.
func (Lost) Topic() string { return "peer.lost" }

// Rerouted: the link to a member, which stays, is of another kind now.
type Rerouted struct {
	ID   p2p.ID       `json:"id"`
	Name string       `json:"name"`
	Path p2p.PathKind `json:"path"`
}

// Topic implements p2p.Event.
func (Rerouted) Topic() string { return "peer.path" }

// Found: somebody says that a member is at addresses that were not known.
type Found struct {
	ID    p2p.ID           `json:"id"`
	Name  string           `json:"name"`
	Addrs []netip.AddrPort `json:"addrs"` // all that were found, the last one first
	Via   string           `json:"via"`   // "lan"
}

// Topic implements p2p.Event.
func (Found) Topic() string { return "peer.found" }

// Published: documents of this node can be found from now on.
type Published struct {
	ID    string `json:"id"` // of the document; empty when there are several
	Title string `json:"title"`
	Count int    `json:"count"`
}

// Topic implements p2p.Event.
func (Published) Topic() string { return "document.published" }

// Withdrawn: a document of this node cannot be found any more.
type Withdrawn struct {
	ID string `json:"id"`
}

// Topic implements p2p.Event.
func (Withdrawn) Topic() string { return "document.withdrawn" }

// Mapped: the router forwards an address to this node's p2p port.
type Mapped struct {
	Protocol string `json:"protocol"` // "upnp", "nat_pmp" or "pcp"
	External string `json:"external"`
}

// Topic implements p2p.Event.
func (Mapped) Topic() string { return "nat.mapped" }

// Unmapped: the router does so no more.
type Unmapped struct {
	External string `json:"external"`
}

// Topic implements p2p.Event.
func (Unmapped) Topic() string { return "nat.unmapped" }
