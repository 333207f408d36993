package portmap

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeClient is a client that grants, and counts.
type fakeClient struct {
	mu      sync.Mutex
	mapped  map[string]int // times, by transport
	removed []string
	hang    bool // Map and Unmap end with their context
	silent  bool // nothing is answered
}

func (c *fakeClient) answer(ctx context.Context, hang bool) error {
	c.mu.Lock()
	silent := c.silent
	c.mu.Unlock()
	if silent || hang {
		<-ctx.Done()
		return errors.New("no answer")
	}
	time.Sleep(time.Millisecond)
	return nil
}

func (c *fakeClient) Probe(ctx context.Context) (sight, error) {
	return sight{External: publicIP}, c.answer(ctx, false)
}

func (c *fakeClient) Check(ctx context.Context, _ []Mapping) (sight, error) { return c.Probe(ctx) }

func (c *fakeClient) Map(ctx context.Context, transport string, _, external uint16, lease time.Duration) (grant, error) {
	c.mu.Lock()
	c.mapped[transport]++
	c.mu.Unlock()
	if err := c.answer(ctx, c.hang); err != nil {
		return grant{}, err
	}
	return grant{sight: sight{External: publicIP}, Port: external, Lifetime: lease}, nil
}

func (c *fakeClient) Unmap(ctx context.Context, transport string, _, _ uint16) error {
	if err := c.answer(ctx, c.hang); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = append(c.removed, transport)
	return nil
}

// newFakes returns a Mapper whose router is made of clients.
func newFakes(o Options) (*Mapper, [len(protocols)]*fakeClient) {
	var fakes [len(protocols)]*fakeClient
	var clients [len(protocols)]client
	for i := range fakes {
		fakes[i] = &fakeClient{mapped: map[string]int{}}
		clients[i] = fakes[i]
	}
	if o.Gateway == nil {
		o.Gateway = func() (netip.Addr, netip.Addr, error) { return homeSide.Gateway, homeSide.Own, nil }
	}
	m := New(o)
	m.clients = func(side) [len(protocols)]client { return clients }
	m.listen = func(ctx context.Context, _ side, _ func()) { <-ctx.Done() }
	return m, fakes
}

func TestRunMapsRenewsAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, fakes := newFakes(Options{Port: 4747, Lease: 10 * time.Minute})
		r := runMapper(t, m)
		begin := time.Now()
		r.until(func(s Status) bool { return len(s.Mappings) == 2 })
		if took := time.Since(begin); took > time.Second {
			t.Errorf("mapped after %s", took)
		}
		if err := m.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		pcp := fakes[PCP.index()]
		if pcp.mapped["udp"] != 12 || pcp.mapped["tcp"] != 12 {
			t.Errorf("asked %v times in an hour", pcp.mapped)
		}
		r.end()
		if len(pcp.removed) != 2 {
			t.Errorf("removed %v", pcp.removed)
		}
		for _, q := range []Protocol{NATPMP, UPnP} {
			if f := fakes[q.index()]; len(f.mapped) != 0 || len(f.removed) != 0 {
				t.Errorf("%s was used: %+v", q, f)
			}
		}
		if s := m.Status(); len(s.Mappings) != 0 || s.External.IsValid() {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// A protocol that hangs costs its own time-out.
func TestRunWithHangingProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, fakes := newFakes(Options{Port: 4747})
		fakes[PCP.index()].silent = true
		fakes[NATPMP.index()].hang = true
		r := runMapper(t, m)
		begin := time.Now()
		r.until(func(s Status) bool { return len(s.Mappings) == 2 })
		if took := time.Since(begin); took > realTimes.probe+realTimes.call+time.Second {
			t.Errorf("mapped after %s", took)
		}
		s := m.Status()
		if s.Mappings[0].Protocol != UPnP || s.Protocols[PCP].Verdict != Absent || s.Protocols[NATPMP].Verdict != Refused {
			t.Errorf("status: %+v", s)
		}
		// NAT-PMP may have mapped without saying so, and hangs again.
		begin = time.Now()
		r.end()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("ended after %s", took)
		}
		if got := fakes[UPnP.index()].removed; len(got) != 2 {
			t.Errorf("removed %v", got)
		}
	})
}

// What is asked for while the end comes is removed too.
func TestRunEndsWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, fakes := newFakes(Options{Port: 4747})
		pcp := fakes[PCP.index()]
		pcp.hang = true
		r := runMapper(t, m)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(pcp.mapped) != 2 {
			t.Fatalf("not asking: %+v", pcp)
		}
		r.cancel()
		synctest.Wait()
		pcp.hang = false // the removals began before, and hang
		begin := time.Now()
		r.end()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m, fakes := newFakes(Options{Port: 4747})
		upnp := fakes[UPnP.index()]
		fakes[PCP.index()].silent, fakes[NATPMP.index()].silent = true, true
		r := runMapper(t, m)
		time.Sleep(realTimes.probe + time.Millisecond/2)
		r.end()
		if len(upnp.mapped) != 2 || len(upnp.removed) != 2 {
			t.Errorf("mapped %v, removed %v", upnp.mapped, upnp.removed)
		}
	})
}

// Changed tells what Status says, and renewals are no news.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		side := homeSide.Gateway
		var mu sync.Mutex
		m, _ := newFakes(Options{Port: 4747, Gateway: func() (netip.Addr, netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if !side.IsValid() {
				return netip.Addr{}, netip.Addr{}, ErrNoGateway
			}
			return side, homeSide.Own, nil
		}})
		r := runMapper(t, m)
		time.Sleep(10 * time.Second)
		<-m.Changed()
		before := m.Status()
		time.Sleep(2 * time.Hour)
		select {
		case <-m.Changed():
			t.Errorf("news:\n%+v\n%+v", before, m.Status())
		default:
		}
		if !m.Status().Mappings[0].Expires.After(before.Mappings[0].Expires) {
			t.Error("not renewed")
		}
		m.Status().Protocols[PCP] = State{} // a copy
		if m.Status().Protocols[PCP].Verdict != Working {
			t.Error("a caller has changed the status")
		}
		mu.Lock()
		side = netip.Addr{}
		mu.Unlock()
		time.Sleep(realTimes.look)
		<-m.Changed()
		if s := m.Status(); s.Gateway.IsValid() || len(s.Mappings) != 0 || len(s.Why) != 1 {
			t.Errorf("without a route: %+v", s)
		}
		r.end()
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Port: 1, Lease: -time.Second}, {Port: 1, Lease: 25 * time.Hour}} {
		m, _ := newFakes(o)
		if err := m.Run(t.Context()); err == nil {
			t.Errorf("%+v runs", o)
		}
	}
	if s := New(Options{Port: 1}).Status(); len(s.Protocols) != len(protocols) || len(s.Why) != 1 {
		t.Errorf("before Run: %+v", s)
	}
}

const testPort = 4747

// runningMapper is a Mapper that runs.
type runningMapper struct {
	*Mapper
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	ended  bool
}

func runMapper(t *testing.T, m *Mapper) *runningMapper {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningMapper{Mapper: m, t: t, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- m.Run(ctx) }()
	t.Cleanup(r.end)
	return r
}

// end ends Run and waits.
func (m *runningMapper) end() {
	if m.ended {
		return
	}
	m.ended = true
	m.cancel()
	if err := <-m.done; err != nil {
		m.t.Errorf("Run: %v", err)
	}
}

// until waits for a status, and only for signals.
func (m *runningMapper) until(ok func(Status) bool) Status {
	m.t.Helper()
	timeout := time.After(12 * time.Second)
	for {
		if s := m.Status(); ok(s) {
			return s
		}
		select {
		case <-m.Changed():
		case <-timeout:
			m.t.Fatalf("the status stays %+v", m.Status())
		}
	}
}

// want waits until both transports are mapped by the protocol.
func (m *runningMapper) want(q Protocol) {
	m.t.Helper()
	s := m.until(func(s Status) bool { return len(s.Mappings) == 2 })
	if slices.ContainsFunc(s.Mappings, func(x Mapping) bool {
		return x.Protocol != q || x.External.Port() != testPort || time.Until(x.Expires) < 59*time.Minute
	}) {
		m.t.Errorf("not by %s: %+v", q, s)
	}
}
