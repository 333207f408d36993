package portmap

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// times are the paces of a Mapper; tests have faster ones.
type times struct {
	look    time.Duration // between looks at the system's routes
	probe   time.Duration // the most that a probe of all protocols takes
	call    time.Duration // the most that one mapping takes
	leave   time.Duration // the most that the removal of all takes
	check   time.Duration // between questions whether the mappings hold
	reprobe time.Duration // between probes when all is well
	retry   time.Duration // before the first of the probes that may find what was not there, doubled each time
	slowest time.Duration // and the most between them
	gap     time.Duration // between probes that failed checks and restarts demand, doubled each time
	floor   time.Duration // the least between renewals
}

var realTimes = times{
	look: 10 * time.Second, probe: 3 * time.Second, call: 3 * time.Second, leave: 1900 * time.Millisecond,
	check: 2 * time.Minute, reprobe: time.Hour, retry: time.Minute, slowest: 16 * time.Minute,
	gap: 10 * time.Second, floor: 20 * time.Second,
}

// plan is what a Mapper knows, and decides what it does next. It has no clock: its
// methods are told the time.
type plan struct {
	port  uint16
	lease time.Duration
	times times

	side    side
	sideWhy string    // why there is none
	looked  time.Time // zero: never

	probed    time.Time // zero: not on this side
	again     time.Time // when a probe is demanded; zero: none is
	fruitless int       // probes in a row that left a transport without a protocol
	alarms    int       // restarts and failed checks of late, which make the next wait longer
	alarmed   time.Time // the last of them

	checked time.Time // when the router was last asked anything
	checkAt time.Time // when the mappings are to be checked

	seen  [len(protocols)]sighting
	slots [len(transports)]slot
}

const mapsThePort = "the router maps the port"

// sighting is what is known of a protocol.
type sighting struct {
	State
	external netip.Addr // a possible one
	nested   bool       // it refused, probably because of another NAT
	epoch    uint32
	epochAt  time.Time // zero: it has said none
}

// slot is what is known of the mapping for one transport.
type slot struct {
	held  bool
	m     Mapping
	short time.Duration         // the lifetime, if it is too short to be renewed in time
	renew time.Time             // when it has to be asked for, held or not; zero: at once
	wish  uint16                // outside port
	tried [len(protocols)]bool  // in vain, since the last probe
	asked [len(protocols)]asked // on this side: may have to be removed
}

// asked is the last mapping that a router was asked for.
type asked struct {
	yes      bool
	external uint16
}

func newPlan(port uint16, lease time.Duration, t times) *plan {
	p := &plan{port: port, lease: lease, times: t}
	p.move(side{}, "")
	return p
}

// step is what to do next.
type step struct {
	do    verb
	jobs  []job     // of doMap
	holds []int     // of doCheck: protocols
	until time.Time // of doWait
}

type verb int

const (
	doWait verb = iota
	doLook
	doProbe
	doMap
	doCheck
)

// job is to ask for one mapping in one protocol; both are indices.
type job struct {
	transport, protocol int
	external            uint16
}

// next decides what to do.
func (p *plan) next(now time.Time) step {
	wake := p.looked.Add(p.times.look)
	if p.looked.IsZero() || !now.Before(wake) {
		return step{do: doLook}
	}
	if !p.side.Gateway.IsValid() {
		return step{until: wake}
	}
	probe := p.probeAt(now)
	if !now.Before(probe) {
		return step{do: doProbe}
	}
	wake = earlier(wake, probe)

	var jobs []job
	for i := range p.slots {
		s := &p.slots[i]
		if now.Before(s.renew) {
			wake = earlier(wake, s.renew)
		} else if q, ok := p.choose(s); ok {
			jobs = append(jobs, job{i, q, s.wish})
		}
		if s.held && !s.m.Expires.IsZero() {
			wake = earlier(wake, s.m.Expires)
		}
	}
	if jobs != nil {
		return step{do: doMap, jobs: jobs}
	}
	if holds := p.holds(); holds != nil {
		if !now.Before(p.checkAt) {
			return step{do: doCheck, holds: holds}
		}
		wake = earlier(wake, p.checkAt)
	}
	return step{until: wake}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lose notes that the router does not have the mapping any more.
func (s *slot) lose() { s.held, s.renew = false, time.Time{} }

// choose returns the protocol in which the slot's mapping is to be asked for: the
// one that it has, else the best that works and was not tried in vain.
func (p *plan) choose(s *slot) (int, bool) {
	works := func(q int) bool { return p.seen[q].Verdict == Working && !s.tried[q] }
	// After a restart the probe comes first: without it, a router that always says
	// that it has just started would be asked without a pause.
	if !s.held && !p.again.IsZero() {
		return 0, false
	}
	if s.held && works(s.m.Protocol.index()) {
		return s.m.Protocol.index(), true
	}
	for q := range protocols {
		if works(q) {
			return q, true
		}
	}
	return 0, false
}

// stuck reports whether a mapping is due and no protocol is left to ask for it.
func (p *plan) stuck(now time.Time) bool {
	for i := range p.slots {
		if _, ok := p.choose(&p.slots[i]); !ok && !now.Before(p.slots[i].renew) {
			return true
		}
	}
	return false
}

// probeAt returns when all protocols are to be probed.
func (p *plan) probeAt(now time.Time) time.Time {
	switch {
	case p.probed.IsZero():
		return now
	case !p.again.IsZero():
		return p.again
	case p.stuck(now):
		return p.probed.Add(min(p.times.retry<<min(p.fruitless, 16), p.times.slowest))
	}
	return p.probed.Add(p.times.reprobe)
}

// holds returns the protocols that hold a mapping.
func (p *plan) holds() []int {
	var out []int
	for q, name := range protocols {
		if len(p.heldBy(name)) > 0 {
			out = append(out, q)
		}
	}
	return out
}

func (p *plan) heldBy(q Protocol) []Mapping {
	var out []Mapping
	for _, s := range p.slots {
		if s.held && s.m.Protocol == q {
			out = append(out, s.m)
		}
	}
	return out
}

// settle forgets what has expired.
func (p *plan) settle(now time.Time) {
	for i := range p.slots {
		if s := &p.slots[i]; s.held && !s.m.Expires.IsZero() && !now.Before(s.m.Expires) {
			s.held = false // and s.renew stands: what lives for a second is not renewed every second
		}
	}
}

// move forgets what was known of another side. Its mappings cannot be removed any
// more: what has its address now may be another router.
func (p *plan) move(to side, why string) {
	*p = plan{port: p.port, lease: p.lease, times: p.times, looked: p.looked, side: to, sideWhy: why}
	for i := range p.slots {
		p.slots[i].wish = p.port
	}
}

// look takes what the system says, and reports whether the side is another.
func (p *plan) look(to side, err error, now time.Time) bool {
	why := ""
	if err == nil && (to.Gateway.Is4() != to.Own.Is4() || !to.Own.IsValid()) {
		err = fmt.Errorf("the router %s and the own address %s do not go together", to.Gateway, to.Own)
	}
	if err != nil {
		to, why = side{}, err.Error()
	}
	if !p.looked.IsZero() && slept(now.Round(0).Sub(p.looked.Round(0)), now.Sub(p.looked)) {
		p.woke(now)
	}
	p.looked = now
	if to == p.side {
		p.sideWhy = why
		return false
	}
	p.move(to, why)
	return true
}

// woke takes it that the computer has slept, nobody knows for how long.
func (p *plan) woke(now time.Time) {
	for i := range p.slots {
		p.slots[i].lose()
	}
	p.again = now
}

// result is what a client returned for a probe or a check.
type result struct {
	sight
	err error
}

// probe takes the results of all protocols.
func (p *plan) probe(results [len(protocols)]result, now time.Time) {
	if !p.probed.IsZero() && p.stuck(now) {
		p.fruitless++
	}
	p.probed, p.checked, p.again = now, now, time.Time{}
	for i := range p.slots {
		p.slots[i].tried = [len(protocols)]bool{}
	}
	for q, r := range results {
		p.sight(q, r, now)
		if len(p.heldBy(protocols[q])) > 0 && r.err == nil {
			p.checkAt = now // the router answers, but does it still know?
		}
	}
}

// sight takes an answer that is not about one mapping, and reports whether it is
// one that can be.
func (p *plan) sight(q int, r result, now time.Time) bool {
	s := &p.seen[q]
	var no *refusal
	switch {
	case errors.As(r.err, &no):
		s.refuse(no)
		return false
	case r.err != nil:
		s.State, s.external, s.nested = State{Absent, r.err.Error()}, netip.Addr{}, false
		return false
	case r.External.IsValid():
		if why := judgeAddress(r.External, p.side.Own); why != "" {
			s.refuse(&refusal{why: why, nested: r.External.IsUnspecified()})
			return false
		}
	}
	s.State, s.nested = State{Working, "the router answers"}, false
	if len(p.heldBy(protocols[q])) > 0 {
		s.Why = mapsThePort
	}
	if r.External.IsValid() {
		s.external = r.External
	}
	p.heard(q, r.sight, now)
	return true
}

func (s *sighting) refuse(no *refusal) {
	s.State, s.nested, s.external = State{Refused, no.why}, no.nested, netip.Addr{}
	if nested(no.external) {
		s.external = no.external // it explains the refusal; of a public one nothing follows
	}
}

// heard compares the router's clock with what it said before. If the router was
// restarted, its mappings are gone.
func (p *plan) heard(q int, r sight, now time.Time) {
	if r.Heard.IsZero() {
		return
	}
	s := &p.seen[q]
	lost := !s.epochAt.IsZero() && epochLost(protocols[q], s.epoch, r.Epoch, r.Heard.Sub(s.epochAt))
	s.epoch, s.epochAt = r.Epoch, r.Heard
	if !lost || len(p.heldBy(protocols[q])) == 0 {
		return
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.held && s.m.Protocol == protocols[q] {
			s.lose()
		}
	}
	p.alarm(now)
}

// alarm demands a probe: the first at once, more of them with growing pauses.
func (p *plan) alarm(now time.Time) {
	const forgiven = time.Hour
	if now.Sub(p.alarmed) > forgiven {
		p.alarms = 0
	}
	p.again = now
	if p.alarms > 0 {
		p.again = later(now, p.probed.Add(p.times.gap<<min(p.alarms-1, 5)))
	}
	p.alarms++
	p.alarmed = now
}

// asking notes what the router is about to be asked for, so that it can be removed
// even if no answer comes.
func (p *plan) asking(jobs []job) {
	for _, j := range jobs {
		p.slots[j.transport].asked[j.protocol] = asked{true, j.external}
	}
}

// mapped takes the answer to a job. It reports whether the router has granted what
// cannot be used and is to be removed at once.
func (p *plan) mapped(j job, g grant, err error, now time.Time) (remove bool) {
	s, seen := &p.slots[j.transport], &p.seen[j.protocol]
	p.checked = now
	if err == nil {
		p.heard(j.protocol, g.sight, now)
		if why := judgeGrant(g, p.side.Own); why != "" {
			err, remove = &refusal{why: why, nested: !g.External.IsValid() || g.External.IsUnspecified()}, true
		}
	}
	if err != nil {
		s.tried[j.protocol] = true
		var no *refusal
		if !errors.As(err, &no) {
			no = &refusal{why: "the router answers, but not when it is asked to map: " + err.Error()}
		}
		if len(p.heldBy(protocols[j.protocol])) == 0 {
			seen.refuse(no)
		}
		return remove
	}
	s.asked[j.protocol].external = g.Port
	s.held, s.wish, s.short = true, g.Port, 0
	s.m = Mapping{
		Protocol: protocols[j.protocol], Proto: transports[j.transport], Internal: p.port,
		External: netip.AddrPortFrom(g.External, g.Port),
	}
	life := p.lease
	if !g.Permanent {
		life = believe(g.Lifetime, p.lease)
		s.m.Expires = now.Add(life)
	}
	if life/2 < p.times.floor {
		s.short = life
	}
	s.renew = now.Add(max(life/2, p.times.floor))
	s.tried = [len(protocols)]bool{}
	seen.State = State{Working, mapsThePort}
	seen.external, seen.nested = g.External, false
	p.fruitless = 0
	p.checkAt = now.Add(p.times.check)
	return false
}

// check takes the answer to the question whether the mappings of a protocol hold.
func (p *plan) check(q int, r result, now time.Time) {
	p.checked, p.checkAt = now, now.Add(p.times.check)
	if !p.sight(q, r, now) {
		p.alarm(now)
		return
	}
	for i := range p.slots {
		s := &p.slots[i]
		if !s.held || s.m.Protocol != protocols[q] {
			continue
		}
		for _, t := range r.Gone {
			if t == s.m.Proto {
				s.lose()
			}
		}
		if r.External.IsValid() && r.External != s.m.External.Addr() {
			s.renew = now
		}
	}
}

// hint takes the news, from anybody, that the router has something to say. It can
// bring forward what will be done anyway, and not often.
func (p *plan) hint(now time.Time) {
	if !p.side.Gateway.IsValid() || p.probed.IsZero() {
		return
	}
	soon := later(now, p.checked.Add(p.times.gap/2))
	if p.holds() != nil {
		p.checkAt = earlier(p.checkAt, soon)
	} else if p.again.IsZero() || soon.Before(p.again) {
		p.again = soon
	}
}

// removals returns all that may be left at the router.
func (p *plan) removals() []job {
	var out []job
	for i, s := range p.slots {
		for q, a := range s.asked {
			if a.yes {
				out = append(out, job{i, q, a.external})
			}
		}
	}
	return out
}
