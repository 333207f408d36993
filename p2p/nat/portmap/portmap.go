package portmap

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Options of a Mapper. Only Port is needed.
type Options struct {
	// Port is the p2p port. It is mapped for UDP and for TCP.
	Port uint16
	// Gateway returns the router and the own address on that side. Nil asks the
	// system for the IPv4 default route, see [Gateway4]. It is asked every few
	// seconds, so that a change is noticed.
	Gateway func() (gateway, own netip.Addr, err error)
	// Lease is how long a mapping lives unless it is renewed, in whole seconds;
	// 0: one hour. It is renewed after half of the time.
	Lease time.Duration
	// Logger; nil: none.
	Logger *slog.Logger
}

// Protocol is a way to ask a router for a mapping.
type Protocol string

// The protocols, in the order in which they are preferred.
const (
	PCP    Protocol = "pcp"
	NATPMP Protocol = "nat_pmp"
	UPnP   Protocol = "upnp"
)

// protocols has all of them; [Protocol.index] is the inverse.
var protocols = [...]Protocol{PCP, NATPMP, UPnP}

func (p Protocol) index() int {
	for i, q := range protocols {
		if p == q {
			return i
		}
	}
	panic("portmap: no such protocol: " + string(p))
}

// name is how a sentence calls the protocol.
func (p Protocol) name() string {
	return [...]string{"PCP", "NAT-PMP", "UPnP"}[p.index()]
}

// transports are what is mapped.
var transports = [...]string{"udp", "tcp"}

// Verdict is what came of asking a router in one protocol.
type Verdict string

// Verdicts.
const (
	Unknown Verdict = ""        // not asked yet
	Absent  Verdict = "absent"  // nobody answers
	Working Verdict = "working" // it answers sensibly, and grants what it was asked for
	Refused Verdict = "refused" // it answers, but not with a mapping that can be used
)

// State is what is known of one protocol.
type State struct {
	Verdict Verdict
	Why     string // a sentence
}

// Mapping is what a router has granted.
type Mapping struct {
	Protocol Protocol
	Proto    string // "udp" or "tcp"
	Internal uint16
	External netip.AddrPort
	Expires  time.Time // zero: when it is removed
}

// Status is what a Mapper knows. Its values are not shared with the Mapper.
type Status struct {
	Protocols map[Protocol]State // has all three
	Mappings  []Mapping          // at most one for each of UDP and TCP
	External  netip.Addr         // the router's outside address, if it said one that can be
	DoubleNAT bool               // there is probably another NAT behind the router
	Gateway   netip.Addr         // invalid if there is none
	Why       []string           // sentences for a person
	Checked   time.Time          // when the router was last asked
}

// Mapper keeps the mappings of one port on one router.
type Mapper struct {
	opts    Options
	times   times
	clients func(side) [len(protocols)]client
	listen  func(ctx context.Context, s side, hint func())

	changed chan struct{}

	mu      sync.Mutex // guards what follows
	status  Status
	running bool
}

// New returns a Mapper that does nothing until Run.
func New(o Options) *Mapper {
	if o.Gateway == nil {
		o.Gateway = Gateway4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Lease = cmp.Or(o.Lease.Truncate(time.Second), time.Hour)
	m := &Mapper{opts: o, times: realTimes, changed: make(chan struct{}, 1)}
	m.clients = func(s side) [len(protocols)]client { return newClients(s, realPorts) }
	m.listen = m.listenAnnouncements
	m.status = newPlan(o.Port, o.Lease, m.times).status()
	return m
}

// Status returns what is known now.
func (m *Mapper) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status.clone()
}

// Changed is signalled after Status has changed in more than times. Signals that
// nobody waits for become one; there is one channel, for one reader.
func (m *Mapper) Changed() <-chan struct{} { return m.changed }

// start notes that Run runs.
func (m *Mapper) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.running:
		return errors.New("portmap: the mapper runs already")
	case m.opts.Port == 0:
		return errors.New("portmap: there is no port 0 to map")
	case m.opts.Lease < 0 || m.opts.Lease > maxLease:
		return errors.New("portmap: a lease is between one second and 24 hours")
	}
	m.running = true
	return nil
}
