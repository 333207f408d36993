package portmap

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"time"
)

// natPMP implements client.
type natPMP struct {
	side   side
	router netip.AddrPort
}

// ask returns the answer to a request of the operation op about the port
// internal, or a refusal.
func (c *natPMP) ask(ctx context.Context, request []byte, op byte, internal uint16) (natPMPAnswer, error) {
	if !c.side.Gateway.Is4() {
		return natPMPAnswer{}, errors.New("the protocol is for IPv4 only")
	}
	var a natPMPAnswer
	err := ask(ctx, c.side.Own, c.router, request, func(b []byte) bool {
		var err error
		a, err = decodeNATPMP(b)
		return err == nil && a.Op == op && (a.Result != 0 || a.Internal == internal)
	})
	if err == nil {
		err = natPMPRefusal(a.Result)
	}
	return a, err
}

// Probe implements client.
func (c *natPMP) Probe(ctx context.Context) (sight, error) {
	a, err := c.ask(ctx, encodeNATPMPAddress(), natPMPAddress, 0)
	if err != nil {
		return sight{}, err
	}
	return sight{External: a.Address, Epoch: a.Epoch, Heard: time.Now()}, nil
}

// Check implements client.
func (c *natPMP) Check(ctx context.Context, _ []Mapping) (sight, error) { return c.Probe(ctx) }

// Map implements client.
func (c *natPMP) Map(ctx context.Context, transport string, internal, external uint16, lease time.Duration) (grant, error) {
	op := natPMPOp(transport)
	a, err := c.ask(ctx, encodeNATPMPMap(op, internal, external, lease), op, internal)
	if err != nil {
		return grant{}, err
	}
	// The grant does not name the address, and it may have changed.
	s, err := c.Probe(ctx)
	if err != nil {
		return grant{}, err
	}
	return grant{sight: s, Port: a.External, Lifetime: a.Lifetime}, nil
}

// Unmap implements client.
func (c *natPMP) Unmap(ctx context.Context, transport string, internal, _ uint16) error {
	op := natPMPOp(transport)
	_, err := c.ask(ctx, encodeNATPMPMap(op, internal, 0, 0), op, internal)
	return err
}

// pcp implements client.
type pcp struct {
	side   side
	router netip.AddrPort
	nonces [len(transports)][12]byte
}

// newPCP draws the nonces: who does not know them cannot remove the mappings.
func newPCP(s side, router netip.AddrPort) *pcp {
	c := &pcp{side: s, router: router}
	for i := range c.nonces {
		_, _ = rand.Read(c.nonces[i][:]) // never fails
	}
	return c
}

// ask returns the answer to a request that accept knows, or a refusal.
func (c *pcp) ask(ctx context.Context, request []byte, accept func(pcpAnswer) bool) (pcpAnswer, error) {
	var a pcpAnswer
	var older error
	err := ask(ctx, c.side.Own, c.router, request, func(b []byte) bool {
		var err error
		if a, err = decodePCP(b); errors.Is(err, errOlderThan) {
			older = errors.New("the router knows NAT-PMP only")
			return true
		}
		return err == nil && accept(a)
	})
	switch {
	case err != nil:
		return a, err
	case older != nil:
		return a, older
	}
	return a, pcpRefusal(a)
}

// Probe implements client. A router that maps need not know ANNOUNCE.
func (c *pcp) Probe(ctx context.Context) (sight, error) {
	a, err := c.ask(ctx, encodePCP(pcpAnnounce, 0, c.side.Own), func(a pcpAnswer) bool { return a.Op == pcpAnnounce })
	if err != nil && (a.Result != pcpNoSuchOp || !isRefusal(err)) {
		return sight{}, err
	}
	return sight{Epoch: a.Epoch, Heard: time.Now()}, nil
}

// Check implements client.
func (c *pcp) Check(ctx context.Context, _ []Mapping) (sight, error) { return c.Probe(ctx) }

// askMap asks for a mapping of the given lifetime.
func (c *pcp) askMap(ctx context.Context, transport string, internal, external uint16, lease time.Duration) (pcpAnswer, error) {
	m := pcpMapping{Protocol: pcpProtocol(transport), Internal: internal, Nonce: c.nonces[0]}
	if transport == "tcp" {
		m.Nonce = c.nonces[1]
	}
	none := netip.IPv4Unspecified()
	if c.side.Own.Is6() {
		none = netip.IPv6Unspecified()
	}
	m.External = netip.AddrPortFrom(none, external)
	return c.ask(ctx, encodePCPMap(c.side.Own, lease, m), func(a pcpAnswer) bool {
		return a.Op == pcpMap && a.Map.Nonce == m.Nonce && a.Map.Protocol == m.Protocol && a.Map.Internal == internal
	})
}

// Map implements client.
func (c *pcp) Map(ctx context.Context, transport string, internal, external uint16, lease time.Duration) (grant, error) {
	a, err := c.askMap(ctx, transport, internal, external, lease)
	if err != nil {
		return grant{}, err
	}
	return grant{
		sight: sight{External: a.Map.External.Addr(), Epoch: a.Epoch, Heard: time.Now()},
		Port:  a.Map.External.Port(), Lifetime: a.Lifetime,
	}, nil
}

// Unmap implements client.
func (c *pcp) Unmap(ctx context.Context, transport string, internal, _ uint16) error {
	_, err := c.askMap(ctx, transport, internal, 0, 0)
	return err
}
