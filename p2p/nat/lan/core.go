package lan

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/time/rate"

	"github.com/shoal-p2p/shoal/p2p"
)

const (
	announcements = 3 // RFC 6762 §8.3: two to eight, further and further apart
	firstGap      = time.Second
	longestGap    = time.Hour // RFC 6762 §5.2
	// quietAfter is for how long at least nothing is said again in a network (§6).
	quietAfter = time.Second
	// urgeEvery is how often questions may begin anew because a node is missed.
	urgeEvery = time.Minute
	// maxSeek bounds the nodes that are asked for by name at one time.
	maxSeek = 16

	packetsPerSecond = 100 // about shoal that are read, whoever sends them
	packetBurst      = 1000
)

// core decides what is said and believed, without sockets and clocks.
type core struct {
	self    p2p.ID
	version string
	jitter  func() time.Duration // 20 to 120 ms (RFC 6762 §6)
	network p2p.ID
	places  []*presence
	table   table
	limit   *rate.Limiter
	urged   time.Time
	seek    []p2p.ID // asked for by name with the next packet
}

// presence is what is to be said in one local network, and when.
type presence struct {
	subnet
	announce int // how many are left
	list     bool
	gap      time.Duration // before the announcement or question after the next
	sayAt    time.Time     // zero: nothing is to be said
	said     time.Time
	askAt    time.Time
	askGap   time.Duration
	since    time.Time // who was not heard since then is asked for as if unknown
}

// datagram is a packet that goes to everybody in a network.
type datagram struct {
	Index  int // of the interface
	V4, V6 bool
	Msg    []byte
}

// packet is one that has come.
type packet struct {
	Index int // of the interface; 0: unknown
	From  netip.AddrPort
	Msg   []byte
}

// Found is a node of the own network that has an address that was not known.
type Found struct {
	ID    p2p.ID
	Addrs []netip.AddrPort // all that are known, the one heard last first
}

func newCore(self p2p.ID, version string, jitter func() time.Duration) *core {
	return &core{self: self, version: version, jitter: jitter, table: table{}, limit: rate.NewLimiter(packetsPerSecond, packetBurst)}
}

// look compares the local networks and the own network with those before: what is new
// is announced, and others are asked for there.
func (c *core) look(network p2p.ID, now []subnet, at time.Time) {
	joined := network != c.network
	if joined {
		c.network = network
		c.table.moved(network)
	}
	moved := false
	var next []*presence
	for _, n := range now {
		p := c.presence(n.Index)
		if p == nil || !p.equal(n) || joined {
			p = &presence{subnet: n, announce: announcements, gap: firstGap, sayAt: at.Add(c.jitter())}
			p.ask(at, c.jitter())
			moved = true
		}
		next = append(next, p)
	}
	moved = moved || len(next) != len(c.places)
	c.places = next
	if moved {
		c.table.retain(func(a netip.Addr) bool {
			return slices.ContainsFunc(next, func(p *presence) bool { return p.allows(a) })
		})
	}
}

// ask begins to ask, as if nobody were known: what was heard before may not be so any
// more.
func (p *presence) ask(now time.Time, wait time.Duration) {
	p.askAt, p.askGap, p.since = now.Add(wait), firstGap, now
}

func (c *core) presence(index int) *presence {
	for _, p := range c.places {
		if p.Index == index {
			return p
		}
	}
	return nil
}

// where finds the network that a packet came through.
func (c *core) where(in packet) *presence {
	for _, p := range c.places {
		if (in.Index == 0 || p.Index == in.Index) && p.hears(in.From.Addr()) {
			return p
		}
	}
	return nil
}

// receive takes a packet in. It returns a node that is to be passed on.
func (c *core) receive(in packet, now time.Time) (found Found, ok bool) {
	p := c.where(in)
	if p == nil || in.From.Port() != port || !concerns(in.Msg) || !c.limit.AllowN(now, 1) {
		return Found{}, false
	}
	m, err := parse(in.Msg)
	switch {
	case err != nil:
		return Found{}, false // most packets are somebody else's talk, the rest is noise
	case !m.IsAnswer:
		c.asked(p, m, now)
		return Found{}, false
	case m.Card.ID == c.self:
		return Found{}, false // its own voice, which comes back
	}
	own := m.Card.Tag == tagOf(c.network, m.Card.ID)
	if !c.table.learn(m.Card, p.subnet, own, now) || !c.table.tell(m.Card.ID, now) {
		return Found{}, false
	}
	return Found{ID: m.Card.ID, Addrs: c.table.addrs(m.Card.ID, m.Card.Tag, now)}, true
}

// asked plans the answer to a question: after a moment, since others answer too, and
// at once where only this node can.
func (c *core) asked(p *presence, m message, now time.Time) {
	for _, q := range m.Questions {
		if q.Type != dnsmessage.TypeALL && q.Type != dnsmessage.TypePTR && q.Name != instance(c.self) && q.Name != host(c.self) {
			continue
		}
		switch q.Name {
		case service:
			// Who knows this node, and for long enough, needs no answer (§7.1).
			if m.Known[instance(c.self)] < lifetime/2 {
				p.say(now.Add(c.jitter()))
			}
		case listing:
			p.list = true
			p.say(now.Add(c.jitter()))
		case instance(c.self), host(c.self):
			p.say(now)
		}
	}
}

// say plans that the node says who it is, at the time at or before.
func (p *presence) say(at time.Time) {
	if soonest := p.said.Add(quietAfter); at.Before(soonest) {
		at = soonest
	}
	if p.sayAt.IsZero() || at.Before(p.sayAt) {
		p.sayAt = at
	}
}

// urge begins to ask anew, as at the start: a node is missed.
func (c *core) urge(now time.Time) {
	if now.Sub(c.urged) < urgeEvery {
		return
	}
	c.urged = now
	for _, p := range c.places {
		p.ask(now, c.jitter())
	}
}

// seekNow asks for a node by its name with the next packets, which are due at once.
func (c *core) seekNow(id p2p.ID) {
	if len(c.seek) < maxSeek {
		c.seek = append(c.seek, id)
	}
}

// due returns what is to be sent now, and when to ask again. The error is of messages
// that could not be made.
func (c *core) due(now time.Time) (out []datagram, next time.Time, err error) {
	next = now.Add(longestGap)
	var o outbox
	for _, p := range c.places {
		if len(c.seek) > 0 {
			o.to(p).add(packQuestion(c.seek, nil))
		}
		if !p.sayAt.IsZero() && !now.Before(p.sayAt) {
			o.to(p).add(c.card(p, lifetime).pack(p.list))
			p.afterSaying(now)
		}
		if !now.Before(p.askAt) {
			// The question comes back, and must not be answered from here.
			have := append([]known{{c.self, lifetime}}, c.table.known(p.since, now)...)
			o.to(p).add(packQuestion(nil, have))
			p.askAt = now.Add(p.askGap)
			p.askGap = min(2*p.askGap, longestGap)
		}
		if !p.sayAt.IsZero() && p.sayAt.Before(next) {
			next = p.sayAt
		}
		if p.askAt.Before(next) {
			next = p.askAt
		}
	}
	c.seek = nil
	return o.list, next, o.err
}

// afterSaying plans the next announcement, if one is left.
func (p *presence) afterSaying(now time.Time) {
	p.said, p.sayAt, p.list = now, time.Time{}, false
	if p.announce = max(p.announce-1, 0); p.announce > 0 {
		p.sayAt = now.Add(p.gap)
		p.gap *= 2
	}
}

// goodbye is what is to be sent at the end.
func (c *core) goodbye() ([]datagram, error) {
	var o outbox
	for _, p := range c.places {
		if !p.said.IsZero() {
			o.to(p).add(c.card(p, 0).pack(false))
		}
	}
	return o.list, o.err
}

func (c *core) card(p *presence, ttl time.Duration) card {
	return card{ID: c.self, Tag: tagOf(c.network, c.self), Port: p.Port, Version: c.version, Addrs: p.Addrs, TTL: ttl}
}

// outbox gathers what is to be sent to the network of at.
type outbox struct {
	at   *presence
	list []datagram
	err  error
}

func (o *outbox) to(p *presence) *outbox {
	o.at = p
	return o
}

// add adds a message. It goes by both families where there are both: somebody may have
// one only.
func (o *outbox) add(msg []byte, err error) {
	if err != nil {
		o.err = errors.Join(o.err, err)
		return
	}
	o.list = append(o.list, datagram{Index: o.at.Index, V4: o.at.has(true), V6: o.at.has(false), Msg: msg})
}
