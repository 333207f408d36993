//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Network is what the nodes of a lab have become by joining, looked at from all sides.
type Network struct {
	Hosts []*Host

	mu     sync.Mutex // guards the following
	joined map[*Host]time.Time
	linked map[[2]*Host]time.Time // when a pair was first seen linked from both ends
}

// Join starts a node on each computer and makes one network of them, by an invitation
// of the first. It returns when all have joined, whether they are linked or not.
func Join(hosts ...*Host) (*Network, error) {
	err := each(hosts, func(h *Host) error { return h.Start() })
	if err != nil {
		return nil, err
	}
	var invite struct{ Link string }
	if err := hosts[0].Call("POST", "/api/invites", map[string]int{"max_uses": 100}, &invite); err != nil {
		return nil, err
	}
	n := &Network{Hosts: hosts, joined: map[*Host]time.Time{hosts[0]: time.Now()}, linked: map[[2]*Host]time.Time{}}
	all := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { // links come up while others still join
		for {
			select {
			case <-all:
				return
			case <-time.After(pace):
				n.Pairs()
			}
		}
	})
	err = each(hosts[1:], func(h *Host) error {
		if _, err := h.CLI("join", invite.Link); err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.joined[h] = time.Now()
		return nil
	})
	close(all)
	watching.Wait()
	return n, err
}

// pace is how often links are looked at.
const pace = 200 * time.Millisecond

// each does f for all hosts at the same time. The error has the first few that failed.
func each(hosts []*Host, f func(*Host) error) error {
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = f(h) })
	}
	wg.Wait()
	const few = 3
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if n := len(errs); n > few {
		errs = append(errs[:few], fmt.Errorf("and %d more", n-few))
	}
	return errors.Join(errs...)
}

// Pair is a link as both of its ends see it.
type Pair struct {
	A, B   *Host
	AB, BA Peer          // what A says of B, and B of A
	After  time.Duration // since the later one joined, until both said that they are linked
}

// Linked reports whether both ends say so.
func (p Pair) Linked() bool { return p.AB.Connected && p.BA.Connected }

// Relayed reports whether an end says that the link is relayed.
func (p Pair) Relayed() bool { return p.AB.Path.Kind == "relayed" || p.BA.Path.Kind == "relayed" }

// Disagreement says in what the two ends' reports cannot both be true. Empty: in
// nothing.
func (p Pair) Disagreement() string {
	switch {
	case p.AB.Connected != p.BA.Connected:
		return "one end is linked"
	case !p.AB.Connected:
		return ""
	case !p.Relayed() && p.AB.Path.Proto != p.BA.Path.Proto: // each has its own way to a relay
		return "two protocols"
	case p.AB.Path.Kind != p.BA.Path.Kind:
		return "two kinds"
	case !p.Relayed() && !p.B.has(p.AB.Path.Remote):
		return p.AB.Path.Remote + " is not an address of " + p.B.Name
	case !p.Relayed() && !p.A.has(p.BA.Path.Remote):
		return p.BA.Path.Remote + " is not an address of " + p.A.Name
	}
	return ""
}

// has reports whether an address with a port is the computer's own, or one of the
// routers that it is behind.
func (h *Host) has(addr string) bool {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return false
	}
	if a.Addr() == h.Addr || a.Addr() == h.Addr6 || a.Addr() == h.Local6 {
		return true
	}
	for r := h.Router; r != nil; r = h.lab.routerOf(r.outer) {
		if a.Addr() == r.addr {
			return true
		}
	}
	return false
}

func (p Pair) String() string {
	return fmt.Sprintf("%s × %s: %s", p.A.Name, p.B.Name, p.Seen())
}

// Seen is a few words for what both ends say.
func (p Pair) Seen() string {
	a, b := p.AB.seen(), p.BA.seen()
	if a > b {
		a, b = b, a // so that the same pairs look the same
	}
	if a == b {
		return a
	}
	return a + " | " + b
}

func (p Peer) seen() string {
	if !p.Connected {
		return "NO LINK"
	}
	return p.Path.Kind + " " + p.Path.Proto
}

// Pairs asks all nodes. A node that does not answer is linked to nobody.
func (n *Network) Pairs() []Pair {
	peers := make(map[*Host]map[string]Peer)
	var mu sync.Mutex
	_ = each(n.Hosts, func(h *Host) error { // who does not answer shows in the pairs
		ps, err := h.Peers()
		mu.Lock()
		defer mu.Unlock()
		peers[h] = ps
		return err
	})
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	var pairs []Pair
	for i, a := range n.Hosts {
		for _, b := range n.Hosts[i+1:] {
			p := Pair{A: a, B: b, AB: peers[a][b.ID], BA: peers[b][a.ID]}
			key := [2]*Host{a, b}
			if _, known := n.linked[key]; !known && p.Linked() {
				n.linked[key] = now
			}
			if at, known := n.linked[key]; known {
				p.After = max(0, at.Sub(n.later(a, b)))
			}
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// later is when the later one of two joined. The caller holds n.mu.
func (n *Network) later(a, b *Host) time.Time {
	if n.joined[a].After(n.joined[b]) {
		return n.joined[a]
	}
	return n.joined[b]
}

// Pair asks both ends of one link.
func (n *Network) Pair(a, b string) Pair {
	for _, p := range n.Pairs() {
		if p.A.Name == a && p.B.Name == b || p.A.Name == b && p.B.Name == a {
			return p
		}
	}
	panic("lab: no pair " + a + ", " + b)
}

// Until looks at all pairs again and again, until done says so or the limit has come,
// and returns what it saw last.
func (n *Network) Until(limit time.Duration, done func([]Pair) bool) ([]Pair, bool) {
	for end := time.Now().Add(limit); ; time.Sleep(pace) {
		pairs := n.Pairs()
		if done(pairs) {
			return pairs, true
		}
		if time.Now().After(end) {
			return pairs, false
		}
	}
}

// AllLinked reports whether all pairs are linked.
func AllLinked(pairs []Pair) bool {
	for _, p := range pairs {
		if !p.Linked() {
			return false
		}
	}
	return true
}

// Table is one line for each pair of NATs and for each thing that was seen of it.
func Table(pairs []Pair) string {
	order := map[NAT]int{}
	for i, k := range append(NATs(), Firewall) {
		order[k] = i
	}
	type line struct {
		nats, want string
		seen       map[string]int
		after      []time.Duration
	}
	lines := map[string]*line{}
	var keys []string
	for _, p := range pairs {
		a, b := p.A.NAT, p.B.NAT
		if order[a] > order[b] {
			a, b = b, a
		}
		key := fmt.Sprint(order[a], order[b])
		l := lines[key]
		if l == nil {
			l = &line{nats: string(a) + " × " + string(b), want: "not relayed", seen: map[string]int{}}
			if NeedsRelay(a, b) {
				l.want = "relayed"
			}
			lines[key] = l
			keys = append(keys, key)
		}
		l.seen[p.Seen()]++
		if p.Linked() {
			l.after = append(l.after, p.After)
		}
	}
	sort.Strings(keys)
	var out strings.Builder
	fmt.Fprintf(&out, "%-39s %-11s %-11s %s\n", "pair of NATs", "wanted", "s since join", "seen from both ends")
	for _, k := range keys {
		l := lines[k]
		var seen []string
		for s, n := range l.seen {
			seen = append(seen, fmt.Sprintf("%d of %s", n, s))
		}
		sort.Strings(seen)
		fmt.Fprintf(&out, "%-39s %-11s %-11s %s\n", l.nats, l.want, Span(l.after), strings.Join(seen, ", "))
	}
	return out.String()
}

// Span is the shortest and the longest of some times.
func Span(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return fmt.Sprintf("%.1f – %.1f", times[0].Seconds(), times[len(times)-1].Seconds())
}

// Explain says of a pair why it is as it is: the reasons that both nodes give, and
// what they have logged last.
func (p Pair) Explain() string {
	var out strings.Builder
	fmt.Fprintln(&out, p)
	for _, side := range []struct {
		self, other *Host
		says        Peer
	}{{p.A, p.B, p.AB}, {p.B, p.A, p.BA}} {
		why := side.says.Error
		if side.says.Connected {
			why = fmt.Sprintf("%s → %s: %s", side.says.Path.Local, side.says.Path.Remote, side.says.Path.Why)
		}
		if why == "" {
			why = "nothing"
		}
		fmt.Fprintf(&out, "  %s says: %s\n", side.self.Name, why)
		id := side.other.ID
		for line := range strings.Lines(side.self.Tail(2, side.other.Name, id[:min(len(id), 8)])) {
			fmt.Fprintf(&out, "    log: %s\n", strings.TrimSpace(line))
		}
	}
	return out.String()
}
