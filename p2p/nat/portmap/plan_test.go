package portmap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	homeSide  = side{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.7"), netip.MustParsePrefix("192.168.1.7/24")}
	publicIP  = netip.MustParseAddr("80.100.100.1")
	privateIP = netip.MustParseAddr("10.0.0.9")
	epoch0    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// model is a router without sockets, and a clock.
type model struct {
	now      time.Time
	p        *plan
	side     side
	sideErr  error
	external netip.Addr
	born     time.Time
	clock    func() uint32               // what it says its epoch is; nil: the truth
	refuse   [len(protocols)]error       // nil: it works
	noTCP    bool                        // PCP maps UDP only
	lifetime time.Duration               // that it grants; 0: what is asked
	has      map[[2]int]time.Time        // protocol and transport: until when
	count    map[verb]int                // steps
	asked    [len(protocols)]int         // mappings
	last     [len(protocols)][]time.Time // of asked
}

func newModel() *model {
	return &model{
		now: epoch0, p: newPlan(4747, time.Hour, realTimes), side: homeSide, external: publicIP, born: epoch0.Add(-time.Hour),
		has: map[[2]int]time.Time{}, count: map[verb]int{},
	}
}

func (m *model) restart() {
	m.born = m.now
	clear(m.has)
}

func (m *model) sight(q int) sight {
	s := sight{External: m.external}
	if protocols[q] != UPnP {
		s.Epoch, s.Heard = uint32(m.now.Sub(m.born)/time.Second), m.now
		if m.clock != nil {
			s.Epoch = m.clock()
		}
	}
	if protocols[q] == PCP {
		s.External = netip.Addr{}
	}
	return s
}

// step does what the plan says, and takes one second for it.
func (m *model) step() step {
	m.p.settle(m.now)
	s := m.p.next(m.now)
	m.count[s.do]++
	switch s.do {
	case doLook:
		m.p.look(m.side, m.sideErr, m.now)
	case doProbe:
		var r [len(protocols)]result
		for q := range r {
			if r[q].err = m.refuse[q]; r[q].err == nil {
				r[q].sight = m.sight(q)
			}
		}
		m.tick(time.Second)
		m.p.probe(r, m.now)
	case doMap:
		m.p.asking(s.jobs)
		m.tick(time.Second)
		for _, j := range s.jobs {
			m.asked[j.protocol]++
			m.last[j.protocol] = append(m.last[j.protocol], m.now)
			err := m.refuse[j.protocol]
			if m.noTCP && protocols[j.protocol] == PCP && transports[j.transport] == "tcp" {
				err = &refusal{why: "no TCP"}
			}
			if err != nil {
				m.p.mapped(j, grant{}, err, m.now)
				continue
			}
			g := grant{sight: m.sight(j.protocol), Port: j.external, Lifetime: time.Hour}
			if m.lifetime != 0 {
				g.Lifetime = m.lifetime
			}
			g.External = m.external
			m.has[[2]int{j.protocol, j.transport}] = m.now.Add(g.Lifetime)
			m.p.mapped(j, g, nil, m.now)
		}
	case doCheck:
		m.tick(time.Second)
		for _, q := range s.holds {
			r := result{err: m.refuse[q]}
			if r.err == nil {
				if r.sight = m.sight(q); protocols[q] == UPnP {
					for _, held := range m.p.heldBy(UPnP) {
						if m.has[[2]int{q, slices.Index(transports[:], held.Proto)}].Before(m.now) {
							r.Gone = append(r.Gone, held.Proto)
						}
					}
				}
			}
			m.p.check(q, r, m.now)
		}
	case doWait:
		m.tick(max(s.until.Sub(m.now), time.Millisecond))
	}
	return s
}

func (m *model) tick(d time.Duration) { m.now = m.now.Add(d) }

// live lets time pass, with the plan doing what it does, in at most steps.
func (m *model) live(d time.Duration, steps int) error {
	for end := m.now.Add(d); m.now.Before(end); steps-- {
		if steps == 0 {
			return fmt.Errorf("too many steps by %s: %v", m.now, m.count)
		}
		m.step()
	}
	return nil
}

func (m *model) mustLive(t *testing.T, d time.Duration) {
	t.Helper()
	if err := m.live(d, 2000+int(d/time.Second)); err != nil {
		t.Fatal(err)
	}
}

func (m *model) mappedBy() string {
	var out []string
	for _, s := range m.p.status().Mappings {
		out = append(out, s.Proto+" "+string(s.Protocol))
	}
	return strings.Join(out, ", ")
}

var (
	errSilent  = errors.New("192.168.1.1:5351 does not answer")
	errSilent2 = errors.New("no device answers the search")
)

func TestPreference(t *testing.T) {
	no := &refusal{why: "the router does not allow it"}
	for _, c := range []struct {
		refuse [len(protocols)]error
		want   string
	}{
		{[...]error{nil, nil, nil}, "udp pcp, tcp pcp"},
		{[...]error{errSilent, nil, nil}, "udp nat_pmp, tcp nat_pmp"},
		{[...]error{no, nil, errSilent2}, "udp nat_pmp, tcp nat_pmp"},
		{[...]error{errSilent, no, nil}, "udp upnp, tcp upnp"},
		{[...]error{errSilent, no, errSilent2}, ""},
	} {
		m := newModel()
		m.refuse = c.refuse
		m.mustLive(t, 10*time.Second)
		if got := m.mappedBy(); got != c.want {
			t.Errorf("%v: %q instead of %q", c.refuse, got, c.want)
		}
		for q, err := range c.refuse {
			want := map[bool]Verdict{true: Working, false: Absent}[err == nil]
			if err == no {
				want = Refused
			}
			if s := m.p.status().Protocols[protocols[q]]; s.Verdict != want || s.Why == "" {
				t.Errorf("%v: %s is %+v", c.refuse, protocols[q], s)
			}
		}
	}
}

// What one protocol does not map, another may.
func TestOneTransport(t *testing.T) {
	m := newModel()
	m.noTCP = true
	m.mustLive(t, 10*time.Second)
	if got := m.mappedBy(); got != "udp pcp, tcp nat_pmp" {
		t.Errorf("mapped by %q", got)
	}
	m = newModel()
	m.noTCP, m.refuse = true, [...]error{nil, errSilent, errSilent2}
	m.mustLive(t, time.Hour)
	s := m.p.status()
	if got := m.mappedBy(); got != "udp pcp" || s.Protocols[PCP].Verdict != Working || s.Why[len(s.Why)-1] != "TCP is not mapped." {
		t.Errorf("mapped by %q: %+v", got, s)
	}
	if m.asked[0] > 15 {
		t.Errorf("asked %d times in an hour", m.asked[0])
	}
}

// A mapping is renewed after half of the time, and a day costs few questions.
func TestRenewal(t *testing.T) {
	m := newModel()
	m.mustLive(t, 24*time.Hour)
	for _, q := range []int{NATPMP.index(), UPnP.index()} {
		if m.asked[q] != 0 {
			t.Errorf("%s was asked", protocols[q])
		}
	}
	// Two transports every half hour.
	if n := m.asked[PCP.index()]; n < 94 || n > 98 {
		t.Errorf("asked %d times in a day", n)
	}
	if m.count[doProbe] > 25 || m.count[doCheck] > 24*30+30 {
		t.Errorf("steps: %v", m.count)
	}
}

// The mapping is had again soon after a restart: with NAT-PMP and PCP by the epoch,
// with UPnP because the entry is missing.
func TestRestart(t *testing.T) {
	for _, only := range protocols {
		m := newModel()
		for q := range m.refuse {
			if protocols[q] != only {
				m.refuse[q] = errSilent
			}
		}
		m.mustLive(t, 10*time.Minute)
		m.restart()
		m.mustLive(t, realTimes.check+20*time.Second)
		if len(m.has) != 2 {
			t.Errorf("%s: the router has %v", only, m.has)
		}
		m.restart()
		m.p.hint(m.now)
		m.mustLive(t, 20*time.Second)
		if only != UPnP && len(m.has) != 2 {
			t.Errorf("%s: after an announcement the router has %v", only, m.has)
		}
	}
}

// A device of UPnP has another URL after a restart: the check fails, the probe
// finds it, and the mappings are looked after at once.
func TestRestartElsewhere(t *testing.T) {
	m := newModel()
	m.refuse = [...]error{errSilent, errSilent, nil}
	m.mustLive(t, time.Minute)
	m.restart()
	m.refuse[2] = errSilent2
	for m.step().do != doCheck {
	}
	m.refuse[2] = nil
	m.mustLive(t, 10*time.Second)
	if len(m.has) != 2 {
		t.Errorf("the router has %v", m.has)
	}
}

// Another outside address is noticed, and told.
func TestNewAddress(t *testing.T) {
	for _, only := range []Protocol{NATPMP, UPnP} {
		m := newModel()
		for q := range m.refuse {
			if protocols[q] != only {
				m.refuse[q] = errSilent
			}
		}
		m.mustLive(t, time.Minute)
		m.external = netip.MustParseAddr("80.200.200.2")
		m.mustLive(t, realTimes.check+10*time.Second)
		s := m.p.status()
		if s.External != m.external || len(s.Mappings) != 2 || s.Mappings[0].External.Addr() != m.external {
			t.Errorf("%s: %+v", only, s)
		}
	}
}

// A router that stops answering is tried until the mapping has expired, and then
// now and then; another protocol takes over if there is one.
func TestSilence(t *testing.T) {
	m := newModel()
	m.refuse = [...]error{nil, nil, errSilent2}
	m.mustLive(t, time.Minute)
	m.refuse[0] = errSilent
	m.mustLive(t, 40*time.Minute)
	if got := m.mappedBy(); got != "udp nat_pmp, tcp nat_pmp" {
		t.Errorf("mapped by %q", got)
	}
	m.refuse[1] = errSilent
	m.mustLive(t, 2*time.Hour)
	if got := m.mappedBy(); got != "" {
		t.Errorf("mapped by %q", got)
	}
	m.count = map[verb]int{}
	m.mustLive(t, 24*time.Hour)
	if n := m.count[doProbe]; n < 80 || n > 100 {
		t.Errorf("%d probes in a day", n)
	}
	m.refuse[0] = nil
	m.mustLive(t, realTimes.slowest+10*time.Second)
	if got := m.mappedBy(); got != "udp pcp, tcp pcp" {
		t.Errorf("mapped by %q", got)
	}
}

// The computer is carried elsewhere and back.
func TestMove(t *testing.T) {
	m := newModel()
	m.mustLive(t, time.Minute)
	m.side, m.sideErr = side{}, ErrNoGateway
	m.mustLive(t, 11*time.Second)
	s := m.p.status()
	if s.Gateway.IsValid() || len(s.Mappings) != 0 || s.External.IsValid() || len(m.p.removals()) != 0 ||
		len(s.Why) != 1 || s.Why[0] != "There is no router to ask: no default route leads over a router." {
		t.Errorf("away: %+v", s)
	}
	m.side, m.sideErr = side{netip.MustParseAddr("10.9.9.1"), netip.MustParseAddr("10.9.9.2"), netip.MustParsePrefix("10.9.9.2/8")}, nil
	m.mustLive(t, 15*time.Second)
	if s := m.p.status(); s.Gateway != m.side.Gateway || len(s.Mappings) != 2 {
		t.Errorf("elsewhere: %+v", s)
	}
}

// While a laptop sleeps, its monotonic clock stands still and the router forgets.
func TestSlept(t *testing.T) {
	for mono, want := range map[time.Duration]bool{10 * time.Second: true, 10 * time.Minute: false, 11 * time.Minute: false} {
		if slept(10*time.Minute, mono) != want {
			t.Errorf("10 minutes, and %s by the monotonic clock: %v", mono, !want)
		}
	}
	m := newModel()
	m.mustLive(t, time.Minute)
	clear(m.has)
	m.p.woke(m.now)
	m.mustLive(t, 5*time.Second)
	if len(m.has) != 2 {
		t.Errorf("the router has %v", m.has)
	}
}

// Sentences for the cases that people ask about.
func TestWhy(t *testing.T) {
	outside := &refusal{why: natPMPRefusal(3).Error(), nested: true}
	for name, c := range map[string]struct {
		change func(*model)
		double bool
		want   string
	}{
		"mapped":  {func(*model) {}, false, "The router 192.168.1.1 maps UDP port 4747 to 80.100.100.1:4747, by PCP."},
		"double":  {func(m *model) { m.external = privateIP }, true, "Double NAT: the router's own outside address 10.0.0.9 is not a public one"},
		"refused": {func(m *model) { m.refuse = [...]error{errSilent, outside, errSilent2} }, true, "Double NAT: the router's refusal"},
		"named": {func(m *model) {
			m.refuse = [...]error{&refusal{why: "x", nested: true, external: privateIP}, outside, errSilent2}
		}, true, "outside address 10.0.0.9 is not a public one"},
		"one of two": {func(m *model) { m.refuse = [...]error{errSilent, outside, nil} }, false, "by UPnP"},
		"nothing":    {func(m *model) { m.refuse = [...]error{errSilent, errSilent, errSilent2} }, false, "speaks none of the protocols"},
		"not allowed": {func(m *model) {
			m.refuse = [...]error{&refusal{why: "the router does not allow it"}, errSilent, errSilent2}
		}, false, "PCP: the router does not allow it."},
		"short": {func(m *model) { m.lifetime = 10 * time.Second }, false, "grants UDP for only 10s at a time"},
	} {
		m := newModel()
		c.change(m)
		m.mustLive(t, 10*time.Second)
		s := m.p.status()
		if s.DoubleNAT != c.double || !strings.Contains(strings.Join(s.Why, "\n"), c.want) {
			t.Errorf("%s: double NAT %v: %q", name, s.DoubleNAT, s.Why)
		}
	}
}

// A router that says always that it has just started, or whose clock jumps, is not
// asked without a pause.
func TestLyingClock(t *testing.T) {
	for name, clock := range map[string]func(m *model) uint32{
		"stands":     func(*model) uint32 { return 5 },
		"back":       func(m *model) uint32 { return uint32(1e6 - m.now.Sub(epoch0)/time.Second) },
		"jumps":      func(m *model) uint32 { return uint32(m.now.UnixNano() * 7919) },
		"grows fast": func(m *model) uint32 { return uint32(m.now.Sub(epoch0) / time.Millisecond) },
	} {
		m := newModel()
		m.clock = func() uint32 { return clock(m) }
		m.mustLive(t, time.Hour)
		m.count, m.asked = map[verb]int{}, [len(protocols)]int{}
		m.mustLive(t, 24*time.Hour)
		if n := m.asked[0] + m.asked[1] + m.asked[2] + m.count[doProbe] + m.count[doCheck]; n > 24*120 {
			t.Errorf("%s: %d questions in a day: %v", name, n, m.count)
		}
	}
}

// Whatever a router does for hours: the plan never spins, believes no impossible
// address, and when the router behaves again, the port is mapped within the longest
// pause, and stays so.
func TestPlanAlwaysRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		lives := func(d time.Duration) {
			// At worst a question in ten seconds and a look in ten seconds, with a wait each.
			if err := m.live(d, 200+int(d/time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0:
				m.restart()
			case 1:
				q := rapid.IntRange(0, 2).Draw(t, "protocol")
				m.refuse[q] = []error{nil, errSilent, &refusal{why: "no"}, &refusal{why: "no", nested: true}}[rapid.IntRange(0, 3).Draw(t, "how")]
			case 2:
				m.external = []netip.Addr{
					publicIP, privateIP, netip.MustParseAddr("127.0.0.1"), netip.IPv4Unspecified(), homeSide.Own, netip.MustParseAddr("80.0.0.2"),
				}[rapid.IntRange(0, 5).Draw(t, "address")]
			case 3:
				m.lifetime = time.Duration(rapid.SampledFrom([]int64{0, 1, 30, 120, 7200, 1<<32 - 1}).Draw(t, "lifetime")) * time.Second
			case 4:
				v := rapid.Uint32().Draw(t, "clock")
				m.clock = func() uint32 { v = v*1664525 + 1013904223; return v >> 16 }
			case 5:
				m.clock = nil
			case 6:
				m.side, m.sideErr = side{}, ErrNoGateway
			case 7:
				m.side, m.sideErr = homeSide, nil
			case 8:
				m.p.hint(m.now)
			case 9:
				m.has = map[[2]int]time.Time{} // somebody removed it by hand
			}
			lives(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			for _, s := range m.p.status().Mappings {
				if why := judgeAddress(s.External.Addr(), homeSide.Own); why != "" {
					t.Fatalf("believed: %s", why)
				}
				if s.Expires.After(m.now.Add(time.Hour)) {
					t.Fatalf("believed for %s", s.Expires.Sub(m.now))
				}
			}
		}
		m.refuse, m.external, m.lifetime, m.clock, m.side, m.sideErr = [len(protocols)]error{}, publicIP, 0, nil, homeSide, nil
		m.restart()
		lives(realTimes.slowest + time.Hour + time.Minute) // a mapping made in another protocol may have to expire first
		for range 100 {
			lives(time.Minute)
			s := m.p.status()
			if len(s.Mappings) != 2 || s.External != publicIP {
				t.Fatalf("after all that: %+v", s)
			}
			for _, held := range s.Mappings {
				k := [2]int{held.Protocol.index(), slices.Index(transports[:], held.Proto)}
				if m.has[k].Before(m.now) {
					t.Fatalf("the router has %v, and the plan %+v", m.has, held)
				}
			}
		}
	})
}
