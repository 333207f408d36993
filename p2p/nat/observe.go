package nat

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Limits of one check.
const (
	checkTimeout  = 25 * time.Second
	helpTimeout   = 4 * time.Second // of one call to a member
	maxPortTrials = 3               // members that are asked for another port
	maxControls   = 2               // members with which the filtering is tried
	maxStrangers  = 2               // members at other IP addresses that try to get in
	maxCallers    = 2               // members that call the p2p port back
)

// A probe that does not come is asked for again: after a second, and given up 1.5
// seconds later. With the calls that is less than five seconds.
var probeWaits = [...]time.Duration{time.Second, 1500 * time.Millisecond}

// system is what a check needs of the computer.
type system struct {
	own    func() []netip.Addr                                  // addresses of this computer that the p2p port has
	listen func(ctx context.Context) (net.PacketConn, error)    // a fresh socket beside the p2p port
	dial   func(ctx context.Context, addr netip.AddrPort) error // whether a TCP connection comes up
}

// trial is one check that runs. What fresh sockets and the p2p port look like to
// witness i is at i; invalid: it did not answer.
type trial struct {
	sys       system
	port      *pending // of the p2p port
	send      func([]byte, netip.AddrPort) error
	witnesses []witness
	fresh     []netip.AddrPort
	seen      []netip.AddrPort
	tooOften  atomic.Bool
}

// observe fills in what can be found out by asking witnesses.
func (t *trial) observe(ctx context.Context, o *Observations) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	conn, err := t.sys.listen(ctx)
	if err != nil {
		return // the computer has no UDP, or no ports: nothing was observed
	}
	ear := openEar(conn)
	defer func() {
		_ = conn.Close()
		<-ear.done
	}()
	t.look(ctx, ear, o)
	var wg sync.WaitGroup
	wg.Go(func() { o.Mapping = t.tryMapping(ctx, ear) })
	wg.Go(func() { o.Filtering = t.tryFiltering(ctx) })
	wg.Go(func() { o.Reach = t.callBacks(ctx, o.forwards()) })
	wg.Wait()
	o.TooOften = t.tooOften.Load()
}

// forwards are the addresses that somebody says are forwarded to the p2p port.
func (o *Observations) forwards() []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range append([]netip.AddrPort{o.PortMapping.External}, o.Announced...) {
		if a = unmap(a); scopeOf(a.Addr()) != "" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// look asks all witnesses at once how they see a fresh socket and the p2p port.
func (t *trial) look(ctx context.Context, ear *ear, o *Observations) {
	t.fresh, t.seen = make([]netip.AddrPort, len(t.witnesses)), make([]netip.AddrPort, len(t.witnesses))
	var tcp atomic.Bool
	var wg sync.WaitGroup
	for i, w := range t.witnesses {
		wg.Go(func() { t.fresh[i], _, _ = ear.ask(ctx, w.addr) })
		wg.Go(func() { t.seen[i], _, _ = t.port.ask(ctx, t.send, w.addr) })
		wg.Go(func() {
			if t.sys.dial(ctx, w.addr) == nil {
				tcp.Store(true)
			}
		})
	}
	wg.Wait()
	o.TCP = outcome(tcp.Load())
	o.UDP = Silent
	for i, w := range t.witnesses {
		answered := t.fresh[i].IsValid() || t.seen[i].IsValid()
		if answered || w.proto == "udp" {
			o.UDP = Came
		}
		family := &o.IPv6
		if w.addr.Addr().Is4() {
			family = &o.IPv4
		}
		if *family != Came && (answered || !w.guess) { // where nobody may be, silence says nothing
			*family = outcome(answered || w.proto == "udp")
		}
		if t.seen[i].IsValid() {
			o.Seen = append(o.Seen, Sighting{By: w.addr, At: t.seen[i]})
		}
	}
	// IPv4 first: that is where addresses are translated.
	slices.SortStableFunc(o.Seen, func(a, b Sighting) int { return a.At.Addr().BitLen() - b.At.Addr().BitLen() })
}

func outcome(came bool) Outcome {
	if came {
		return Came
	}
	return Silent
}

// answering are the witnesses that answer fresh sockets, of one address family:
// IPv4 if any does.
func (t *trial) answering() []int {
	var out []int
	for _, v4 := range []bool{true, false} {
		for i, w := range t.witnesses {
			if t.fresh[i].IsValid() && w.addr.Addr().Is4() == v4 {
				out = append(out, i)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// tryMapping looks at the ear's socket from another port of a witness. Some have
// none that can be reached from outside, so several are asked.
func (t *trial) tryMapping(ctx context.Context, ear *ear) MappingTrial {
	from := t.answering()
	if len(from) == 0 {
		return MappingTrial{}
	}
	others := make([]netip.AddrPort, min(len(from), maxPortTrials))
	var wg sync.WaitGroup
	for k := range others {
		wg.Go(func() {
			w := t.witnesses[from[k]]
			if port, err := t.callPort(ctx, w); err == nil {
				others[k], _, _ = ear.ask(ctx, netip.AddrPortFrom(w.addr.Addr(), port))
			}
		})
	}
	wg.Wait()
	first := max(0, slices.IndexFunc(others, netip.AddrPort.IsValid))
	m := MappingTrial{First: t.fresh[from[first]], OtherPort: others[first]}
	for _, i := range from {
		if t.witnesses[i].addr.Addr() != t.witnesses[from[first]].addr.Addr() {
			m.OtherAddr = t.fresh[i]
			break
		}
	}
	return m
}

// tryFiltering sends from a fresh socket to one witness only, and lets others try
// to get in.
func (t *trial) tryFiltering(ctx context.Context) FilteringTrial {
	from := t.answering()
	for _, i := range from[:min(len(from), maxControls)] {
		if f := t.filteringBy(ctx, t.witnesses[i]); f.Control == Came {
			return f
		}
	}
	return FilteringTrial{}
}

func (t *trial) filteringBy(ctx context.Context, w witness) (f FilteringTrial) {
	conn, err := t.sys.listen(ctx)
	if err != nil {
		return f
	}
	ear := openEar(conn)
	defer func() {
		_ = conn.Close()
		<-ear.done
	}()
	at, _, err := ear.ask(ctx, w.addr)
	if err != nil {
		return f
	}
	f.Control = t.callBack(ctx, &ear.pending, w, at, SourceSame, func(from netip.AddrPort) bool { return from == w.addr })
	if f.Control != Came {
		return f
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		f.OtherPort = t.callBack(ctx, &ear.pending, w, at, SourceOther, func(from netip.AddrPort) bool { return from.Addr() == w.addr.Addr() && from != w.addr })
	})
	strangers := t.strangers(w)
	came := make([]Outcome, len(strangers))
	for k, s := range strangers {
		wg.Go(func() {
			came[k] = t.callBack(ctx, &ear.pending, s, at, SourceSame, func(from netip.AddrPort) bool { return from.Addr() == s.addr.Addr() })
		})
	}
	wg.Wait()
	f.OtherAddr = best(came)
	return f
}

// strangers are witnesses to whose IP addresses a socket that has sent to w only
// has not sent anything.
func (t *trial) strangers(w witness) []witness {
	var out []witness
	for _, s := range t.witnesses {
		known := func(o witness) bool { return o.addr.Addr() == s.addr.Addr() }
		if s.proto == "udp" && s.addr.Addr().Is4() == w.addr.Addr().Is4() && !known(w) && !slices.ContainsFunc(out, known) && len(out) < maxStrangers {
			out = append(out, s)
		}
	}
	return out
}

// best is Came if any is, else Silent if any is.
func best(all []Outcome) Outcome {
	out := Outcome("")
	for _, o := range all {
		if o == Came || out == "" {
			out = o
		}
	}
	return out
}

// callBacks lets witnesses call the p2p port, at the addresses that somebody is
// said to forward, and where they see it themselves.
func (t *trial) callBacks(ctx context.Context, forwarded []netip.AddrPort) []CallBack {
	var out []CallBack
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	add := func(c CallBack) {
		mu.Lock()
		defer mu.Unlock()
		if i := slices.IndexFunc(out, func(o CallBack) bool { return o.To == c.To }); i >= 0 {
			out[i].Outcome = best([]Outcome{out[i].Outcome, c.Outcome})
			return
		}
		out = append(out, c)
	}
	callers := t.callers()
	for _, to := range forwarded {
		add(CallBack{To: to}) // in this order
	}
	for _, i := range callers {
		w, targets := t.witnesses[i], slices.Clone(forwarded)
		if seen := t.seen[i]; !slices.Contains(targets, seen) {
			targets = append(targets, seen)
			add(CallBack{To: seen})
		}
		for _, to := range targets {
			if to.Addr().Is4() != w.addr.Addr().Is4() {
				continue
			}
			wg.Go(func() {
				fits := func(from netip.AddrPort) bool { return from.Addr() == w.addr.Addr() && from != w.addr }
				add(CallBack{To: to, Outcome: t.callBack(ctx, t.port, w, to, SourceOther, fits)})
			})
		}
	}
	wg.Wait()
	return out
}

// callers are witnesses that see the p2p port, at different IP addresses, and one
// of them for each address family if there is one.
func (t *trial) callers() []int {
	var out []int
	for _, v4 := range []bool{true, false} {
		n := 0
		for i, w := range t.witnesses {
			known := slices.ContainsFunc(out, func(o int) bool { return t.witnesses[o].addr.Addr() == w.addr.Addr() })
			if w.link != nil && t.seen[i].IsValid() && w.addr.Addr().Is4() == v4 && !known && n < maxCallers {
				out = append(out, i)
				n++
			}
		}
	}
	return out
}

// callBack asks w to send a probe to to, which arrives at p if at all, from an
// address that fits.
func (t *trial) callBack(ctx context.Context, p *pending, w witness, to netip.AddrPort, source Source, fits func(from netip.AddrPort) bool) Outcome {
	var n Nonce
	rand.Read(n[:]) // never fails (crypto/rand)
	came, forget := p.expect(n)
	defer forget()
	out := Outcome("")
	for _, wait := range probeWaits {
		if err := t.callProbe(ctx, w, to, n, source); err != nil {
			return out
		}
		out = Silent
		if awaitProbe(ctx, came, wait, fits) {
			return Came
		}
	}
	return out
}

func awaitProbe(ctx context.Context, came <-chan netip.AddrPort, wait time.Duration, fits func(netip.AddrPort) bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case from := <-came:
			if fits(from) {
				return true
			}
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// errServer: a STUN server cannot be asked for more.
var errServer = errors.New("not a member")

func (t *trial) callPort(ctx context.Context, w witness) (uint16, error) {
	if w.link == nil {
		return 0, errServer
	}
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	port, err := callPort(ctx, w.link)
	t.note(err)
	return port, err
}

func (t *trial) callProbe(ctx context.Context, w witness, to netip.AddrPort, n Nonce, source Source) error {
	if w.link == nil {
		return errServer
	}
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	err := callProbe(ctx, w.link, to, n, source)
	t.note(err)
	return err
}

func (t *trial) note(err error) {
	if errors.Is(err, errTooOften) {
		t.tooOften.Store(true)
	}
}

// witnesses finds who can be asked now: the peers of links, and STUN servers. Those of
// the same links are few who say that they are on the Internet with a protocol, IPv4 or
// IPv6, that own has and no link goes over.
func witnesses(links []p2p.Link, addrs func(p2p.ID) []netip.AddrPort, servers []netip.AddrPort, own []netip.Addr) ([]witness, Scope) {
	var all []witness
	for _, l := range links {
		if w, ok := witnessOf(l, addrs(l.Peer())); ok {
			all = append(all, w)
		}
	}
	for _, a := range servers {
		if a = unmap(a); scopeOf(a.Addr()) != "" {
			all = append(all, witness{addr: a, kind: p2p.PathDirect})
		}
	}
	chosen, scope := choose(all)
	if scope != ScopePublic {
		return chosen, scope
	}
	for _, v4 := range []bool{true, false} {
		have := slices.ContainsFunc(own, func(a netip.Addr) bool { return a.Is4() == v4 && scopeOf(a) != "" && scopeOf(a) != ScopeLoopback })
		used := slices.ContainsFunc(chosen, func(w witness) bool { return w.addr.Addr().Is4() == v4 })
		if have && !used {
			chosen = append(chosen, guesses(links, addrs, v4)...)
		}
	}
	return chosen, scope
}

// maxGuesses bounds the addresses that are asked because members name them.
const maxGuesses = 3

// guesses are members where they say that they are.
func guesses(links []p2p.Link, addrs func(p2p.ID) []netip.AddrPort, v4 bool) (out []witness) {
	for _, l := range links {
		all := addrs(l.Peer())
		i := slices.IndexFunc(all, func(a netip.AddrPort) bool {
			a = unmap(a)
			return a.Addr().Is4() == v4 && scopeOf(a.Addr()) == ScopePublic && a.Port() >= 1024
		})
		if i >= 0 && len(out) < maxGuesses {
			out = append(out, witness{addr: unmap(all[i]), kind: p2p.PathDirect, guess: true})
		}
	}
	return out
}
