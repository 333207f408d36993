package portmap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of a search.
const (
	maxSearchAnswers = 64 // that are read
	maxDevices       = 4  // that are asked for their description
	maxPortTries     = 4  // outside ports
)

// igd implements client for UPnP.
type igd struct {
	side     side
	group    netip.AddrPort
	patience time.Duration

	mu    sync.Mutex // guards found, which Probe sets
	found service
}

// Probe implements client. The device that is the gateway is asked as soon as it
// answers; others on the subnet only if the gateway is none.
func (c *igd) Probe(ctx context.Context) (sight, error) {
	if !c.side.Gateway.Is4() {
		return sight{}, errors.New("the protocol is used for IPv4 only")
	}
	places, err := c.search(ctx)
	if err != nil {
		return sight{}, err
	}
	why := errors.New("no device answers the search")
	for _, p := range places {
		b, status, err := fetch(ctx, c.side.Own, p, nil, nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the device at %s has no description: status %d", p.Host, status)
		}
		var services []service
		if err == nil {
			services, err = decodeDescription(b, p)
		}
		if err != nil {
			why = err
			continue
		}
		// A router can list several connections of which one is up.
		for _, s := range services {
			addr, err := c.external(ctx, s)
			if err == nil {
				if bad := judgeAddress(addr, c.side.Own); bad != "" {
					err = &refusal{why: bad, nested: !addr.IsValid() || addr.IsUnspecified()}
				}
			}
			if err != nil {
				why = err
				continue
			}
			c.mu.Lock()
			c.found = s
			c.mu.Unlock()
			return sight{External: addr}, nil
		}
	}
	return sight{}, why
}

// search returns where devices are that answered: the gateway alone, or what else
// answered in time.
func (c *igd) search(ctx context.Context) ([]place, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.side.Own, 0)))
	if err != nil {
		return nil, fmt.Errorf("a socket to search with cannot be had: %w", err)
	}
	end := func() { _ = conn.Close() } // nothing is lost with it
	defer end()
	defer context.AfterFunc(ctx, end)()

	// Routers lose datagrams, and networks filter groups: each is asked twice, and
	// the gateway alone as well.
	begin, sent := time.Now(), false
	buf := make([]byte, maxSearchAnswer+1)
	var others []place
	for round, answers := 0, 0; round < 2; round++ {
		for _, to := range []netip.AddrPort{c.group, netip.AddrPortFrom(c.side.Gateway, c.group.Port())} {
			for _, target := range searchTargets {
				_, werr := conn.WriteToUDPAddrPort(encodeSearch(c.group, target), to)
				if sent = sent || werr == nil; werr != nil {
					err = werr
				}
			}
		}
		if err := conn.SetReadDeadline(begin.Add(c.patience * time.Duration(round+1) / 2)); err != nil {
			return nil, searchEnd(ctx, err)
		}
		for ; answers < maxSearchAnswers; answers++ {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return nil, searchEnd(ctx, err)
			}
			location, err := decodeSearch(buf[:n])
			if err != nil {
				continue
			}
			p, err := c.side.locate(location, from.Addr().Unmap())
			if err != nil {
				continue
			}
			if p.Host.Addr() == c.side.Gateway {
				return []place{p}, nil
			}
			if len(others) < maxDevices && !contains(others, p) {
				others = append(others, p)
			}
		}
	}
	if !sent {
		return nil, fmt.Errorf("the search cannot be sent: %w", err)
	}
	return others, nil
}

func contains(places []place, p place) bool {
	for _, q := range places {
		if p == q {
			return true
		}
	}
	return false
}

func searchEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("no device answers the search")
	}
	return fmt.Errorf("the search: %w", err)
}

// call calls an action of s. Faults are of type fault.
func (c *igd) call(ctx context.Context, s service, action string, args ...argument) (map[string]string, error) {
	header := http.Header{
		"Content-Type": {`text/xml; charset="utf-8"`},
		"SOAPAction":   {`"` + s.Type + "#" + action + `"`}, // in this spelling, for routers that compare
	}
	b, status, err := fetch(ctx, c.side.Own, s.At, header, encodeCall(s.Type, action, args))
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK && status != http.StatusInternalServerError:
		return nil, fmt.Errorf("%s answers with status %d", s.At.Host, status)
	}
	return decodeCall(b, action)
}

// external returns the router's outside address, invalid if it has none.
func (c *igd) external(ctx context.Context, s service) (netip.Addr, error) {
	out, err := c.call(ctx, s, "GetExternalIPAddress")
	if err != nil {
		return netip.Addr{}, refused(err)
	}
	text := out["NewExternalIPAddress"]
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, &refusal{why: "the router gives something as its outside address that is none"}
	}
	return a.Unmap(), nil
}

// refused makes a fault a refusal.
func refused(err error) error {
	var f fault
	if errors.As(err, &f) {
		return &refusal{why: f.Error()}
	}
	return err
}

// entry names a mapping to the router.
func entry(transport string, external uint16) []argument {
	return []argument{
		{"NewRemoteHost", ""},
		{"NewExternalPort", strconv.Itoa(int(external))},
		{"NewProtocol", strings.ToUpper(transport)},
	}
}

// owner of a mapping.
type owner int

const (
	nobody owner = iota
	self
	another
	unknown // the router does not say
)

// owner asks whose the outside port is.
func (c *igd) owner(ctx context.Context, s service, transport string, internal, external uint16) (owner, error) {
	out, err := c.call(ctx, s, "GetSpecificPortMappingEntry", entry(transport, external)...)
	var f fault
	switch {
	case errors.As(err, &f) && f == faultNoEntry:
		return nobody, nil
	case errors.As(err, &f):
		return unknown, nil
	case err != nil:
		return unknown, err
	}
	client, err := netip.ParseAddr(out["NewInternalClient"])
	switch {
	case err != nil:
		return unknown, nil // some leave it empty
	case client == c.side.Own && out["NewInternalPort"] == strconv.Itoa(int(internal)):
		return self, nil
	}
	return another, nil
}

func (c *igd) service() (service, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found.Type == "" {
		return service{}, errors.New("no device has been found")
	}
	return c.found, nil
}

// Map implements client. If the outside port is another's, a few others are
// tried: two computers of one home have the same port inside.
func (c *igd) Map(ctx context.Context, transport string, internal, external uint16, lease time.Duration) (grant, error) {
	s, err := c.service()
	if err != nil {
		return grant{}, err
	}
	addr, err := c.external(ctx, s)
	if err != nil {
		return grant{}, err
	}
	var why error
	for range maxPortTries {
		var g grant
		g, why = c.add(ctx, s, transport, internal, external, lease)
		var f fault
		switch {
		case why == nil:
			g.External = addr
			return g, nil
		case !errors.As(why, &f) || f != faultConflict && f != faultMechanism:
			return grant{}, refused(why)
		}
		external = 1024 + uint16(rand.N(65536-1024))
	}
	return grant{}, refused(why)
}

// add makes one mapping, and looks whether the router has done what it says.
func (c *igd) add(ctx context.Context, s service, transport string, internal, external uint16, lease time.Duration) (grant, error) {
	// Some routers overwrite the mapping of another computer without a word.
	who, err := c.owner(ctx, s, transport, internal, external)
	switch {
	case err != nil:
		return grant{}, err
	case who == another:
		return grant{}, faultConflict
	}
	ask := func(lease time.Duration) error {
		args := append(entry(transport, external),
			argument{"NewInternalPort", strconv.Itoa(int(internal))},
			argument{"NewInternalClient", c.side.Own.String()},
			argument{"NewEnabled", "1"},
			argument{"NewPortMappingDescription", "shoal " + strconv.Itoa(int(internal))},
			argument{"NewLeaseDuration", strconv.Itoa(int(lease / time.Second))})
		_, err := c.call(ctx, s, "AddPortMapping", args...)
		return err
	}
	g := grant{Port: external, Lifetime: lease}
	if err = ask(lease); errors.Is(err, faultPermanent) {
		g.Lifetime, g.Permanent = 0, true
		err = ask(0)
	}
	if err != nil {
		return grant{}, err
	}
	switch who, err = c.owner(ctx, s, transport, internal, external); {
	case err != nil:
		return grant{}, err
	case who == nobody || who == another:
		return grant{}, &refusal{why: "the router says that it maps the port, and does not"}
	}
	return g, nil
}

// Unmap implements client.
func (c *igd) Unmap(ctx context.Context, transport string, internal, external uint16) error {
	s, err := c.service()
	if err != nil {
		return err
	}
	switch who, err := c.owner(ctx, s, transport, internal, external); {
	case err != nil:
		return err
	case who == nobody || who == another:
		return nil
	}
	_, err = c.call(ctx, s, "DeletePortMapping", entry(transport, external)...)
	if errors.Is(err, faultNoEntry) {
		return nil
	}
	return refused(err)
}

// Check implements client.
func (c *igd) Check(ctx context.Context, held []Mapping) (sight, error) {
	s, err := c.service()
	if err != nil {
		return sight{}, err
	}
	var out sight
	if out.External, err = c.external(ctx, s); err != nil {
		return sight{}, err
	}
	for _, m := range held {
		who, err := c.owner(ctx, s, m.Proto, m.Internal, m.External.Port())
		if err != nil {
			return sight{}, err
		}
		if who == nobody || who == another {
			out.Gone = append(out.Gone, m.Proto)
		}
	}
	return out, nil
}
