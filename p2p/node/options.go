package node

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/extract"
	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/paxos"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/search"
	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/pass"
	"github.com/shoal-p2p/shoal/p2p/swarm/tracker"
)

// Options configure a node. The zero value makes a new node that forgets all when
// it is closed and can be reached from this computer only.
type Options struct {
	// Name is what people call this node. Empty: the first part of its ID.
	Name string
	// Store keeps what must outlive the node. Nil: memory.
	Store Store
	// DataDir is where the store's files are, if it has any: no folder may be
	// shared that contains it or lies in it.
	DataDir string
	// Downloads is where files come that are downloaded to no other place. Empty: below DataDir, if there is
	// one.
	Downloads string
	// Listen is the address of the p2p port, UDP and TCP. Empty: any free port of
	// 127.0.0.1.
	Listen string
	// AnyPort takes any free port when the one of Listen is in use.
	AnyPort bool
	// Announce lists addresses at which others reach the p2p port besides those
	// that the node sees itself, such as a forwarded port of a router.
	Announce []netip.AddrPort
	// NoLAN neither announces the node in the local network nor looks for others there.
	// Both is done only when Listen is an address that others can reach.
	NoLAN bool
	// NoPortMap leaves the router alone: it is not asked to forward the p2p port. It
	// is asked only when Listen is an address that others can reach.
	NoPortMap bool
	// STUN are servers, "name:port", that are asked how they see this node, besides
	// its peers; TURN are servers that relay to it. Both are for homes that have no
	// member in between.
	STUN []string
	TURN []rtc.TURNServer
	// Rendezvous are nodes, "name:port", of any network, at which this one registers
	// so that members find it. They are asked as STUN servers too.
	Rendezvous []string
	// Relay says whether this node relays for members that cannot be reached.
	Relay rtc.RelayMode
	// Mode is that of the network which a node makes for itself when it starts for the first
	// time. Empty: closed.
	Mode member.Mode
	// Roster is how many members a network has at most in which this node reckons with all
	// of them to find who keeps a key of the table. In a larger one it asks its way. 0: 2000.
	// The network that a node makes for itself names so many members in its roster; who comes later
	// carries a certificate. 0: 2000, in an open network 256.
	Roster int
	// Transport makes the links. Nil: WebRTC on Listen. Simulations give their own.
	Transport func(link.Local) (p2p.Transport, error)
	// Publish keeps the documents that all members may see at their words in the table.
	Publish bool
	// Replicas is how many members are to keep each record of the distributed table, and Auto
	// raises that where many leave. The zero values are those of dht.Options.
	Replicas int
	Auto     dht.Auto
	// Limits bound how fast streams are carried.
	Limits link.Rates
	// Logger receives what the owner of the node should know. Nil: nothing.
	Logger *slog.Logger
	// Busy is told when the node begins and ends to synchronise folders, or to bring
	// others what they need for that. It must not wait. Nil: nobody is told.
	Busy func(busy bool)
	// Extract is the command of a child that reads documents: a program that calls
	// extract.Main, and its arguments. Empty: documents are found by their names.
	Extract []string
	// Version is what the node says it is.
	Version string
}

// Store is what a node keeps.
type Store interface {
	// Identity returns the node's key pair, made durable before the first return.
	Identity(ctx context.Context) (p2p.Identity, error)
	Member() member.Store
	Folder() folder.Store
	Replica() replica.Store
	Search() search.Store
	Unread() extract.Store
	DHT() dht.Store
	Registers() paxos.Store
	Tracker() tracker.Store
	Seeds() swarm.Store
	Published() publish.Store
	Passes() pass.Store
}
