package lesson

import (
	"embed"
	"fmt"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
	"github.com/shoal-p2p/shoal/p2p/paxos/lesson"
)

//go:embed stories/*.story
var files embed.FS

// Stories returns the stories of routers.
func Stories() ([]lesson.Story, error) { return lesson.Load(files) }

const (
	port     = 4747                   // every node's p2p port
	side     = 4748                   // another port of a public node
	every    = 50 * time.Millisecond  // between two checks
	checks   = 4                      // of each side
	patience = 250 * time.Millisecond // until the relay is asked
)

// Linked: two nodes have a way to each other.
type Linked struct {
	From string       `json:"from"`
	To   string       `json:"to"`
	Kind p2p.PathKind `json:"kind"`
}

// Topic implements p2p.Event.
func (Linked) Topic() string { return "peer.linked" }

// Play plays a story of public computers ("public: R S") and of homes ("homes: alice bob"). A
// step's verb is one of: behind KIND (full-cone, address-restricted, port-restricted, symmetric: which
// router a home has; port-restricted without it), asks R (how it is seen), checks (all that `shoal
// netcheck` finds out, with the help of all public computers), maps (asks the router to forward its
// port), tries X (sends to where X was seen), links X via R. It returns what happened, as lines and
// as events. Errors: lesson.ErrStory.
func Play(s lesson.Story) ([]lesson.Line, []p2p.Event, error) {
	p := &play{Stage: lesson.NewStage(), hosts: map[string]*host{}}
	for i, name := range s.Cast["public"] {
		h := &host{name: name, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), port)}
		p.add(h)
		p.public = append(p.public, h)
	}
	for i, name := range s.Cast["homes"] {
		h := &host{name: name, number: byte(i + 1), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(i + 1), 2}), port)}
		p.add(h)
		p.move(h, kinds["port-restricted"])
	}
	if len(p.public) == 0 {
		return nil, nil, fmt.Errorf("%w: nobody is public", lesson.ErrStory)
	}
	for _, step := range s.Steps {
		do, err := p.step(step)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %.60q at %v: %w", lesson.ErrStory, step.Who+" "+step.What, step.At, err)
		}
		p.After(step.At, do)
	}
	p.Run(s.End)
	return p.Lines(), p.events, nil
}

type play struct {
	*lesson.Stage
	hosts  map[string]*host
	public []*host
	events []p2p.Event
}

// host is a computer: public, or in a home.
type host struct {
	name   string
	number byte           // of the home
	addr   netip.AddrPort // of its p2p port
	router *router        // nil: it is public
	fresh  uint16         // the last port that it has taken for a check
	seen   map[string]netip.AddrPort
	// of the public one: from where each home has sent to it
	knows map[string]netip.AddrPort
	found map[string]bool           // to whom there is a way
	heard map[string]netip.AddrPort // from where somebody's check has come
}

func (p *play) add(h *host) {
	h.fresh, h.seen, h.knows, h.found = 50000, map[string]netip.AddrPort{}, map[string]netip.AddrPort{}, map[string]bool{}
	h.heard = map[string]netip.AddrPort{}
	p.hosts[h.name] = h
}

// move gives a home another router.
func (p *play) move(h *host, k kind) {
	outside := netip.AddrFrom4([4]byte{203, 0, 113, h.number})
	h.router = newRouter(h.name+"'s router", outside, k, 20000+100*uint16(h.number))
	clear(h.seen)
}

// owner returns whose address it is, as it is seen from outside.
func (p *play) owner(a netip.Addr) *host {
	for _, h := range p.hosts {
		if h.router == nil && h.addr.Addr() == a || h.router != nil && h.router.outside == a {
			return h
		}
	}
	return nil
}

// packet sends one from an address of from to another address; arrive is told where it seems to come from.
func (p *play) packet(from *host, src, to netip.AddrPort, text string, arrive func(at *host, shown netip.AddrPort)) {
	shown := src
	if from.router != nil {
		var opened bool
		if shown, opened = from.router.out(src, to); opened {
			whom := "whomever it sends to"
			if from.router.kind.mapping != nat.MappingIndependent {
				whom = to.String() + " alone"
			}
			p.Say(from.router.name, fmt.Sprintf("gives %s the outside address %s, for %s", src, shown, whom))
		}
	}
	dest := p.owner(to.Addr())
	p.Send(from.name, dest.name, text, func() {
		if dest.router != nil {
			if _, ok := dest.router.in(shown, to); !ok {
				p.Say(dest.router.name, fmt.Sprintf("throws it away: from %s to %s nobody inside has opened a way", shown, to))
				return
			}
		}
		arrive(dest, shown)
	})
}

// ask is one STUN binding: how is src seen from there? There may be another port than the p2p port.
func (p *play) ask(h *host, src, there netip.AddrPort, then func(seen netip.AddrPort)) {
	p.packet(h, src, there, fmt.Sprintf("Binding request to %s: how do you see me?", there), func(r *host, shown netip.AddrPort) {
		if src == h.addr && there == r.addr {
			r.knows[h.name] = shown
		}
		p.packet(r, there, shown, fmt.Sprintf("Binding response: as %s", shown), func(*host, netip.AddrPort) { then(shown) })
	})
}

// step checks a step and returns what it does.
func (p *play) step(s lesson.Step) (func(), error) {
	h := p.hosts[s.Who]
	if h == nil {
		return nil, fmt.Errorf("there is no %.20q", s.Who)
	}
	home := h.router != nil
	other := func(i int) (*host, error) {
		if len(s.With) <= i || p.hosts[s.With[i]] == nil || p.hosts[s.With[i]] == h {
			return nil, fmt.Errorf("%s whom?", s.What)
		}
		return p.hosts[s.With[i]], nil
	}
	switch {
	case s.What == "behind" && home && len(s.With) == 1:
		k, ok := kinds[s.With[0]]
		if !ok {
			return nil, fmt.Errorf("there is no router that is %.30q", s.With[0])
		}
		return func() {
			p.Say(h.name, "is behind a router that is "+s.With[0])
			p.move(h, k)
		}, nil
	case s.What == "asks":
		r, err := other(0)
		if err != nil || r.router != nil {
			return nil, fmt.Errorf("only public computers can be asked")
		}
		return func() { p.ask(h, h.addr, r.addr, func(seen netip.AddrPort) { h.seen[r.name] = seen }) }, nil
	case s.What == "checks" && home:
		return func() { p.check(h) }, nil
	case s.What == "maps" && home:
		return func() { p.mapPort(h) }, nil
	case s.What == "tries":
		to, err := other(0)
		return func() { p.try(h, to) }, err
	case s.What == "links" && len(s.With) == 3 && s.With[1] == "via":
		to, err := other(0)
		if err != nil {
			return nil, err
		}
		via, err := other(2)
		if err != nil || via == to || via.router != nil {
			return nil, fmt.Errorf("links %s via a public computer", to.name)
		}
		return func() { p.link(h, to, via) }, nil
	}
	return nil, fmt.Errorf("nobody can do that")
}

// outside is where a host was seen last.
func (p *play) outside(h *host) (netip.AddrPort, bool) {
	if h.router == nil {
		return h.addr, true
	}
	for port := range h.router.forwards {
		return netip.AddrPortFrom(h.router.outside, port), true
	}
	for _, r := range p.public {
		if seen, ok := h.seen[r.name]; ok {
			return seen, true
		}
	}
	return netip.AddrPort{}, false
}

func (p *play) try(h, to *host) {
	at, ok := p.outside(to)
	if !ok {
		p.Say(h.name, fmt.Sprintf("knows no address of %s", to.name))
		return
	}
	p.packet(h, h.addr, at, fmt.Sprintf("Hello, to %s", at), func(*host, netip.AddrPort) { p.Say(to.name, "gets it") })
}

// mapPort asks the router to forward the p2p port (PCP, RFC 6887).
func (p *play) mapPort(h *host) {
	p.Send(h.name, h.router.name, fmt.Sprintf("MAP: let everybody reach %s", h.addr), func() {
		h.router.forwards[port] = h.addr
		p.Send(h.router.name, h.name, fmt.Sprintf("MAP: at %s, for an hour", netip.AddrPortFrom(h.router.outside, port)), func() {
			p.Say(h.name, "asks again before that, and gives it back at the end")
		})
	})
}
