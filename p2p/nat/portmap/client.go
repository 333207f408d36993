package portmap

import (
	"context"
	"net/netip"
	"time"
)

// side is a router and the own address that it sees. Comparable; the zero side is
// none.
type side struct {
	Gateway netip.Addr
	Own     netip.Addr
	Subnet  netip.Prefix // of Own; just Own if it is not known
}

// client speaks one protocol with the router of one side. All methods end soon
// after their context does. Errors are a *refusal if the router answered and
// said no; anything else means that there was no proper answer. Map and Unmap may
// be called by several goroutines for several transports.
type client interface {
	// Probe finds out whether the router speaks the protocol.
	Probe(ctx context.Context) (sight, error)
	// Map asks for a mapping, or for the renewal of the one that there is.
	// external is the outside port that is wished.
	Map(ctx context.Context, transport string, internal, external uint16, lease time.Duration) (grant, error)
	// Unmap removes a mapping, and nobody else's.
	Unmap(ctx context.Context, transport string, internal, external uint16) error
	// Check asks whether the mappings still hold.
	Check(ctx context.Context, held []Mapping) (sight, error)
}

// sight is what an answer tells beside what was asked.
type sight struct {
	External netip.Addr // invalid: it does not tell
	Epoch    uint32
	Heard    time.Time // when the router said Epoch; zero: it did not
	Gone     []string  // transports of Check whose mappings the router does not know any more
}

// grant is what a router granted.
type grant struct {
	sight
	Port      uint16 // outside
	Lifetime  time.Duration
	Permanent bool // until it is removed
}

// ports are where the protocols live; tests have others.
type ports struct {
	pmp      uint16         // NAT-PMP and PCP
	ssdp     netip.AddrPort // UPnP's group, and the port at which a router is asked alone
	patience time.Duration  // with which answers to the search are awaited
}

var realPorts = ports{pmp: 5351, ssdp: netip.MustParseAddrPort("239.255.255.250:1900"), patience: 1500 * time.Millisecond}

func newClients(s side, at ports) [len(protocols)]client {
	router := netip.AddrPortFrom(s.Gateway, at.pmp)
	return [...]client{newPCP(s, router), &natPMP{side: s, router: router}, &igd{side: s, group: at.ssdp, patience: at.patience}}
}
