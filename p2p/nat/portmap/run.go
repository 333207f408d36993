package portmap

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Run looks for the router and keeps the port mapped until ctx ends; then it
// removes the mappings, for at most two seconds, and returns nil. It returns an
// error at once if the options cannot be or Run runs already. Problems with the
// router are no errors: they are told by Status.
func (m *Mapper) Run(ctx context.Context) error {
	if err := m.start(); err != nil {
		return err
	}
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.running = false
	}()

	p := newPlan(m.opts.Port, m.opts.Lease, m.times)
	var clients [len(protocols)]client
	hints := make(chan struct{}, 1)
	unlisten := func() {}
	for ctx.Err() == nil {
		now := time.Now()
		p.settle(now)
		m.publish(p.status())
		switch s := p.next(now); s.do {
		case doLook:
			to, err := m.look()
			if !p.look(to, err, time.Now()) {
				continue
			}
			unlisten()
			if unlisten = func() {}; p.side.Gateway.IsValid() {
				clients = m.clients(p.side)
				unlisten = m.hear(ctx, p.side, hints)
			}
		case doProbe:
			p.probe(m.probe(ctx, clients), time.Now())
		case doMap:
			p.asking(s.jobs)
			for i, a := range m.ask(ctx, clients, s.jobs) {
				if p.mapped(s.jobs[i], a.grant, a.err, time.Now()) {
					m.remove(ctx, clients, []job{{s.jobs[i].transport, s.jobs[i].protocol, a.grant.Port}}, m.times.call)
				}
			}
		case doCheck:
			for i, r := range m.check(ctx, clients, s.holds, p) {
				p.check(s.holds[i], r, time.Now())
			}
		case doWait:
			if wait(ctx, hints, s.until.Sub(now)) {
				p.hint(time.Now())
			}
		}
	}
	unlisten()
	m.remove(context.WithoutCancel(ctx), clients, p.removals(), m.times.leave)
	gone := newPlan(m.opts.Port, m.opts.Lease, m.times)
	m.publish(gone.status())
	return nil
}

// wait pauses for d, or until ctx ends or there is a hint, which it reports.
func wait(ctx context.Context, hints <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-hints:
		return true
	}
	return false
}

// look asks for the present side.
func (m *Mapper) look() (side, error) {
	gateway, own, err := m.opts.Gateway()
	if err != nil {
		return side{}, err
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		m.opts.Logger.Debug("portmap: the subnet is not known", "err", err)
	}
	own = own.Unmap()
	return side{Gateway: gateway.Unmap(), Own: own, Subnet: subnet(own, addrs)}, nil
}

// sideBySide calls each for 0 … n-1 and waits.
func sideBySide(n int, each func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { each(i) })
	}
	wg.Wait()
}

func (m *Mapper) probe(ctx context.Context, clients [len(protocols)]client) [len(protocols)]result {
	ctx, cancel := context.WithTimeout(ctx, m.times.probe)
	defer cancel()
	var out [len(protocols)]result
	sideBySide(len(clients), func(i int) { out[i].sight, out[i].err = clients[i].Probe(ctx) })
	return out
}

// granted is what came of a job.
type granted struct {
	grant
	err error
}

func (m *Mapper) ask(ctx context.Context, clients [len(protocols)]client, jobs []job) []granted {
	ctx, cancel := context.WithTimeout(ctx, m.times.call)
	defer cancel()
	out := make([]granted, len(jobs))
	sideBySide(len(jobs), func(i int) {
		j := jobs[i]
		out[i].grant, out[i].err = clients[j.protocol].Map(ctx, transports[j.transport], m.opts.Port, j.external, m.opts.Lease)
	})
	return out
}

func (m *Mapper) check(ctx context.Context, clients [len(protocols)]client, holds []int, p *plan) []result {
	ctx, cancel := context.WithTimeout(ctx, m.times.call)
	defer cancel()
	out := make([]result, len(holds))
	sideBySide(len(holds), func(i int) {
		out[i].sight, out[i].err = clients[holds[i]].Check(ctx, p.heldBy(protocols[holds[i]]))
	})
	return out
}

// remove removes what the jobs name.
func (m *Mapper) remove(ctx context.Context, clients [len(protocols)]client, jobs []job, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	sideBySide(len(jobs), func(i int) {
		j := jobs[i]
		err := clients[j.protocol].Unmap(ctx, transports[j.transport], m.opts.Port, j.external)
		m.opts.Logger.Debug("portmap: mapping removed", "protocol", protocols[j.protocol], "proto", transports[j.transport], "err", err)
	})
}

// publish makes s the status, and signals if it is news.
func (m *Mapper) publish(s Status) {
	m.mu.Lock()
	news := !same(m.status, s)
	m.status = s
	m.mu.Unlock()
	if !news {
		return
	}
	m.opts.Logger.Info("portmap: changed", slog.Any("why", s.Why))
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// hear listens for the router's announcements until the returned function is
// called.
func (m *Mapper) hear(ctx context.Context, s side, hints chan<- struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.listen(ctx, s, func() {
			select {
			case hints <- struct{}{}:
			default:
			}
		})
	}()
	return func() {
		cancel()
		<-done
	}
}

// announcements is where routers say that they have started (RFC 6886 §3.2.1, RFC
// 6887 §14.1.1).
var announcements = net.UDPAddr{IP: net.IPv4(224, 0, 0, 1), Port: 5350}

// listenAnnouncements calls hint for what comes from the router, until ctx ends.
// Nothing is read of it: anybody on the same wire can send it. Where it cannot
// listen, restarts are found by the checks, later.
func (m *Mapper) listenAnnouncements(ctx context.Context, s side, hint func()) {
	if !s.Own.Is4() {
		return
	}
	ifi, err := interfaceOf(s.Own)
	if err != nil {
		m.opts.Logger.Debug("portmap: announcements are not heard", "err", err)
		return
	}
	conn, err := net.ListenMulticastUDP("udp4", ifi, &announcements)
	if err != nil {
		m.opts.Logger.Debug("portmap: announcements are not heard", "err", err)
		return
	}
	end := func() { _ = conn.Close() } // nothing is lost with it
	defer end()
	defer context.AfterFunc(ctx, end)()
	buf := make([]byte, 2048) // some systems fail on what is longer
	for {
		_, from, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.opts.Logger.Debug("portmap: announcements are not heard any more", "err", err)
			return
		}
		if from.Addr().Unmap() == s.Gateway {
			hint()
			wait(ctx, nil, time.Second) // whoever floods the group costs nothing
		}
	}
}
