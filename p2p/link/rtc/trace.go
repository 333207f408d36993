package rtc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// Bounds of one attempt in a trace: peers name addresses, and packets come from
// anywhere. The last steps of an attempt always have room.
const (
	maxSignalling = 24 // offers, answers and the ways that they took
	maxSightings  = 36 // first packets to and from addresses
	maxOtherSteps = 16
	maxNote       = 120 // bytes
)

// trace is what really happened while a session looked for a path: the last attempt
// and the one before. It hears of STUN only, so that data costs nothing. The methods
// of a nil trace do nothing.
type trace struct {
	t     *Transport
	began time.Time

	mu      sync.Mutex // guards all that follows; nothing is called with it held
	before  []p2p.Step // of the attempt before
	steps   []p2p.Step
	counts  [3]int // of signalling, sightings and others
	dropped int
	targets []target // what the peer offers, as it is tried
	met     map[netip.AddrPort]uint8
	chosen  netip.AddrPort
}

// What was seen of an address.
const (
	metSent uint8 = 1 << iota
	metHeard
	metReply
)

func newTrace(t *Transport, now time.Time) *trace {
	return &trace{t: t, began: now, met: map[netip.AddrPort]uint8{}}
}

// begin starts an attempt with its first steps.
func (tr *trace) begin(steps ...p2p.Step) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.before, tr.steps = tr.steps, nil
	tr.counts, tr.dropped, tr.targets = [3]int{}, 0, nil
	tr.met, tr.chosen = map[netip.AddrPort]uint8{}, netip.AddrPort{}
	for _, s := range steps {
		tr.append(s)
	}
}

// add appends a step, if there is room for one of its kind.
func (tr *trace) add(s p2p.Step) {
	if tr == nil {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.append(s)
}

// append is add with mu held.
func (tr *trace) append(s p2p.Step) {
	s.At, s.Note = time.Since(tr.began), clip(s.Note)
	group, most := 2, maxOtherSteps
	switch s.Kind {
	case p2p.StepOffer, p2p.StepRestart, p2p.StepOffered, p2p.StepAsk, p2p.StepUnasked, p2p.StepAnswer, p2p.StepAnswered:
		group, most = 0, maxSignalling
	case p2p.StepSent, p2p.StepHeard, p2p.StepReply:
		group, most = 1, maxSightings
	}
	switch {
	case tr.counts[group] < most:
		tr.counts[group]++
		tr.steps = append(tr.steps, s)
	case s.Kind == p2p.StepLinked || s.Kind == p2p.StepFailed:
		tr.steps[len(tr.steps)-1] = s
	default:
		tr.dropped++
	}
}

// clip shortens a text to maxNote bytes of whole characters.
func clip(text string) string {
	if len(text) <= maxNote {
		return text
	}
	return strings.ToValidUTF8(text[:maxNote], "")
}

// describe begins an attempt of this node.
func (tr *trace) describe(kind p2p.StepKind, own []candidate) {
	tr.begin(p2p.Step{Kind: kind, Note: tally(own)})
}

// offered begins an attempt of the peer, which this node answers.
func (tr *trace) offered(theirs, own []candidate) {
	tr.begin(p2p.Step{Kind: p2p.StepOffered, Note: tally(theirs)}, p2p.Step{Kind: p2p.StepAnswered, Note: tally(own)})
}

// carried says who has brought the offer.
func (tr *trace) carried(by courier) {
	tr.mend(p2p.StepOffered, func(s *p2p.Step) { s.Via = by.peer })
	tr.mend(p2p.StepAnswered, func(s *p2p.Step) { s.Via = by.peer })
}

// answered says what the answer that has come offers.
func (tr *trace) answered(theirs []candidate) {
	tr.mend(p2p.StepAnswer, func(s *p2p.Step) { s.Note = tally(theirs) })
}

// mend changes the last step of a kind.
func (tr *trace) mend(kind p2p.StepKind, change func(*p2p.Step)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range slices.Backward(tr.steps) {
		if tr.steps[i].Kind == kind {
			change(&tr.steps[i])
			return
		}
	}
}

// tally counts addresses by kind.
func tally(all []candidate) string {
	names := []string{"of its own", "forwarded to it", "seen from outside", "of relays", "over TCP"}
	counts := make([]int, len(names))
	for _, c := range all {
		switch {
		case c.TCP:
			counts[4]++
		case c.Kind == p2p.PathMapped:
			counts[1]++
		case c.Kind == p2p.PathPunched:
			counts[2]++
		case c.Kind == p2p.PathRelayed:
			counts[3]++
		default:
			counts[0]++
		}
	}
	var parts []string
	for i, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, names[i]))
		}
	}
	if parts == nil {
		return "no address"
	}
	return strings.Join(parts, ", ")
}

// follow returns ways that tell when they are tried and what came of them.
func (tr *trace) follow(ways []way) []way {
	out := slices.Clone(ways)
	for i, w := range ways {
		step := p2p.Step{Via: w.via, Remote: w.addr}
		if w.via.IsZero() {
			step.Note = w.name
		}
		note := func(kind p2p.StepKind, why string) {
			s := step
			s.Kind = kind
			if why != "" {
				s.Note = why
			}
			tr.add(s)
		}
		out[i].send = func(ctx context.Context, msg []byte) ([]byte, error) {
			note(p2p.StepAsk, "")
			return w.send(ctx, msg)
		}
		out[i].end = func(err error) {
			if err == nil {
				note(p2p.StepAnswer, "")
			} else {
				note(p2p.StepUnasked, brief(err))
			}
			if w.end != nil {
				w.end(err)
			}
		}
	}
	return out
}

// know takes what the peer offers, as it is tried.
func (tr *trace) know(targets []target) {
	if tr == nil {
		return
	}
	tr.mu.Lock()
	tr.targets = targets
	for i := range tr.steps { // packets may come before the answer does
		s := &tr.steps[i]
		for _, g := range targets {
			if s.Kind == p2p.StepHeard && g.at == s.Remote {
				s.Way, s.New = g.Kind, false
			}
		}
	}
	tr.mu.Unlock()
	var told []*relayed
	for _, g := range targets {
		if r := tr.t.relayOf(g.at); r != nil && r.address().IsValid() && !slices.Contains(told, r) {
			told = append(told, r)
			tr.relay(r, nil)
		}
	}
}

// sent hears of a STUN request to an address as ICE knows it.
func (tr *trace) sent(b []byte, to netip.AddrPort) {
	if tr == nil {
		return
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if tr.first(to, metSent) && !tr.t.mux.early(to, b) {
		tr.sight(p2p.StepSent, metSent, to)
	}
}

// came hears of a STUN request or response from an address.
func (tr *trace) came(class uint16, from netip.AddrPort) {
	kind, what := p2p.StepHeard, metHeard
	if class == stunResponse {
		kind, what = p2p.StepReply, metReply
	}
	if tr != nil && tr.first(from, what) {
		tr.sight(kind, what, from)
	}
}

// first reports whether something of an address is news.
func (tr *trace) first(at netip.AddrPort, what uint8) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.met[at]&what == 0 && (tr.met[at] != 0 || len(tr.met) < 2*maxSightings)
}

func (tr *trace) sight(kind p2p.StepKind, what uint8, at netip.AddrPort) {
	tr.mu.Lock()
	if tr.met == nil || tr.met[at]&what != 0 {
		tr.mu.Unlock()
		return
	}
	tr.met[at] |= what
	targets := tr.targets
	tr.mu.Unlock()
	s := tr.at(targets, at)
	s.Kind = kind
	tr.add(s)
}

// at describes an address.
func (tr *trace) at(targets []target, at netip.AddrPort) p2p.Step {
	c, offered := tr.t.reveal(targets, at)
	s := p2p.Step{Remote: c.Addr, Way: c.Kind, Proto: "udp", Via: c.Relay, New: !offered}
	if c.TCP {
		s.Proto = "tcp"
	}
	if r := tr.t.relayOf(at); r != nil {
		s.Via = r.id
	}
	return s
}

// path hears which address ICE has chosen.
func (tr *trace) path(remote netip.AddrPort) {
	if tr == nil {
		return
	}
	tr.mu.Lock()
	same := tr.chosen == remote
	tr.chosen = remote
	targets := tr.targets
	tr.mu.Unlock()
	if same {
		return
	}
	s := tr.at(targets, remote)
	s.Kind = p2p.StepPath
	tr.add(s)
}

// relay hears that a relay forwards for this node, or that it does not.
func (tr *trace) relay(r *relayed, err error) {
	s := p2p.Step{Kind: p2p.StepRelay, Via: r.id}
	if s.Remote, s.Proto = r.where(); err != nil {
		s.Kind, s.Note = p2p.StepNoRelay, brief(err)
	}
	tr.add(s)
}

// fail ends an attempt.
func (tr *trace) fail(err error) { tr.add(p2p.Step{Kind: p2p.StepFailed, Note: innermost(err)}) }

// innermost is the part of an error that says why.
func innermost(err error) string {
	switch {
	case errors.Is(err, errApart):
		return "one of the two has IPv4 only, the other IPv6 only"
	case errors.Is(err, errNoPath):
		return "the peer answered, but no packets went through in " + handshakeTimeout.String()
	case errors.Is(err, p2p.ErrRefused):
		return "refused by the peer"
	case errors.Is(err, p2p.ErrUnreachable):
		return "the offer did not reach the peer"
	}
	return brief(err)
}

func (tr *trace) view() p2p.Trace {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return p2p.Trace{Began: tr.began, Steps: slices.Concat(tr.before, tr.steps), Dropped: tr.dropped}
}

// traceRelay tells those who wait for a relay what has become of it.
func (t *Transport) traceRelay(r *relayed, err error) {
	t.mu.Lock()
	var all []*session
	for s := range t.sessions {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		targets := s.targets
		s.mu.Unlock()
		if slices.ContainsFunc(targets, func(g target) bool { return t.relayOf(g.at) == r }) {
			s.trace.relay(r, err)
		}
	}
}

// moved tells that a link has another path.
func (t *Transport) moved(s *session) {
	if t.o.Moved == nil {
		return
	}
	t.mu.Lock()
	var peer p2p.ID
	for id, cur := range t.current {
		if cur == s {
			peer = id
		}
	}
	t.mu.Unlock()
	if !peer.IsZero() {
		t.o.Moved(peer)
	}
}

// failures are the traces of the last attempts that came to nothing. The zero value
// is ready; Transport.mu guards it.
type failures struct{ last map[p2p.ID]p2p.Trace }

// maxFailures bounds the peers of which an attempt is kept.
const maxFailures = 256

func (f *failures) set(peer p2p.ID, tr p2p.Trace) {
	if f.last == nil {
		f.last = map[p2p.ID]p2p.Trace{}
	}
	if _, known := f.last[peer]; !known && len(f.last) >= maxFailures {
		for id := range f.last {
			delete(f.last, id)
			break
		}
	}
	f.last[peer] = tr
}

func (f *failures) forget(peer p2p.ID) { delete(f.last, peer) }

// failed keeps the trace of an attempt, unless another one goes on in its place.
func (t *Transport) failed(peer p2p.ID, s *session, err error) {
	if errors.Is(err, errGlare) || errors.Is(err, errStale) || errors.Is(err, errBusy) {
		return
	}
	s.trace.fail(err)
	view := s.trace.view()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current[peer] == nil && !t.closed {
		t.failures.set(peer, view)
	}
}

// Failure returns the trace of the last attempt to link a peer that has come to
// nothing since there was a link.
func (t *Transport) Failure(peer p2p.ID) (p2p.Trace, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr, ok := t.failures.last[peer]
	return tr, ok
}
