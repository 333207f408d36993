package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

func traceOf(l p2p.Link) p2p.Trace { return l.(interface{ Trace() p2p.Trace }).Trace() }

// story is the kinds of the steps that begin with the last one of a kind, each once.
func story(tr p2p.Trace, from p2p.StepKind) []p2p.StepKind {
	var out []p2p.StepKind
	for _, s := range tr.Steps {
		if s.Kind == from {
			out = nil
		}
		if !slices.Contains(out, s.Kind) {
			out = append(out, s.Kind)
		}
	}
	return out
}

func inOrder(t *testing.T, tr p2p.Trace) {
	t.Helper()
	for i, s := range tr.Steps {
		if i > 0 && s.At < tr.Steps[i-1].At {
			t.Errorf("step %d, %s, comes before the one before it", i, s.Kind)
		}
	}
	if tr.Began.IsZero() || time.Since(tr.Began) > time.Minute || tr.Dropped != 0 {
		t.Errorf("began %v, %d dropped", tr.Began, tr.Dropped)
	}
}

// follows checks that each kind comes after the one before it.
func follows(t *testing.T, tr p2p.Trace, kinds ...p2p.StepKind) {
	t.Helper()
	last := -1
	for _, k := range kinds {
		at := slices.IndexFunc(tr.Steps, func(s p2p.Step) bool { return s.Kind == k })
		if at <= last {
			t.Errorf("%s at %d, not after %d, of %v", k, at, last, story(tr, ""))
		}
		last = at
	}
}

// A link remembers at both ends how it came about, all of it and in order.
func TestTrace(t *testing.T) {
	t.Parallel()
	a, b, la, lb := linkedPair(t)
	here, there := traceOf(la), traceOf(lb)
	for _, tr := range []p2p.Trace{here, there} {
		inOrder(t, tr)
		follows(t, tr, p2p.StepSent, p2p.StepReply, p2p.StepPath, p2p.StepEncrypted, p2p.StepLinked)
		for _, s := range tr.Steps {
			if s.Kind == p2p.StepPath && (s.Way != p2p.PathDirect || s.New) {
				t.Errorf("path %+v", s)
			}
		}
	}
	follows(t, here, p2p.StepOffer, p2p.StepAsk, p2p.StepAnswer, p2p.StepSent)
	follows(t, there, p2p.StepOffered, p2p.StepAnswered, p2p.StepSent)
	for _, s := range here.Steps {
		switch s.Kind {
		case p2p.StepAsk, p2p.StepSent, p2p.StepReply, p2p.StepPath:
			if s.Remote != b.port.addr() {
				t.Errorf("%s %v, not %v", s.Kind, s.Remote, b.port.addr())
			}
		case p2p.StepOffer, p2p.StepAnswer:
			if s.Note != "1 of its own, 1 over TCP" {
				t.Errorf("%s: %q", s.Kind, s.Note)
			}
		}
	}
	a.mustRestart(t, b.id, true)
	mustEcho(t, la)
	eventually(t, "another path", func() bool {
		here, there = traceOf(la), traceOf(lb)
		return slices.Contains(story(here, p2p.StepRestart), p2p.StepPath) && slices.Contains(story(there, p2p.StepOffered), p2p.StepPath)
	})
	inOrder(t, here)
	inOrder(t, there)
	// The first check of the peer may overtake its answer.
	if s := story(here, p2p.StepRestart); s[0] != p2p.StepRestart || s[1] != p2p.StepAsk || !slices.Contains(s, p2p.StepAnswer) {
		t.Errorf("restart: %v", s)
	}
	if !slices.Contains(story(here, ""), p2p.StepOffer) {
		t.Error("the attempt before is forgotten")
	}
	for _, s := range there.Steps[len(there.Steps)-len(story(there, p2p.StepOffered)):] {
		if s.Kind == p2p.StepOffered && s.Via != a.id {
			t.Errorf("the offer of a restart came over %v", s.Via)
		}
	}
}

// The trace names the member that passed the offer on, at both ends.
func TestTraceOfRendezvous(t *testing.T) {
	t.Parallel()
	a, b, middle := newNode(t, 1, nil), newNode(t, 2, nil), newNode(t, 3, nil)
	a.mustDial(t, middle.contact())
	b.mustDial(t, middle.contact())
	mustAccept(t, middle)
	mustAccept(t, middle)
	la := a.mustDial(t, p2p.Contact{PublicKey: b.identity.PublicKey(), Relays: []p2p.ID{middle.id}})
	lb := mustAccept(t, b)
	for _, s := range append(traceOf(la).Steps, traceOf(lb).Steps...) {
		switch s.Kind {
		case p2p.StepAsk, p2p.StepAnswer, p2p.StepOffered, p2p.StepAnswered:
			if s.Via != middle.id {
				t.Errorf("%s through %v", s.Kind, s.Via)
			}
		}
	}
}

// What a failed dial has tried is kept until there is a link.
func TestTraceOfFailure(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	to := b.contact()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to.Addrs = []netip.AddrPort{closed.Addr().(*net.TCPAddr).AddrPort()}
	_ = closed.Close()
	if _, err := a.Dial(t.Context(), to, nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Fatal(err)
	}
	tr, ok := a.Failure(b.id)
	if !ok {
		t.Fatal("nothing is kept")
	}
	inOrder(t, tr)
	follows(t, tr, p2p.StepOffer, p2p.StepAsk, p2p.StepUnasked, p2p.StepFailed)
	for _, s := range tr.Steps {
		if s.Kind == p2p.StepUnasked && s.Note != "connection refused" {
			t.Errorf("why: %q", s.Note)
		}
	}
	mustAcceptAfter(t, a, b)
	if _, ok := a.Failure(b.id); ok {
		t.Error("the failure outlives the link")
	}
}

func mustAcceptAfter(t *testing.T, a, b *testNode) {
	t.Helper()
	a.mustDial(t, b.contact())
	mustAccept(t, b)
}

// However many addresses a peer names, and from however many packets come, a trace
// stays small and tells how it ended.
func TestTraceIsBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t, 1, nil)
	tr := newTrace(n.Transport, time.Now())
	for round := range 3 {
		tr.describe(p2p.StepOffer, nil)
		var ways []way
		for i := range 50 {
			ways = append(ways, way{
				addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)),
				send: func(context.Context, []byte) ([]byte, error) { return nil, errors.New(strings.Repeat("no é", 100)) },
			})
		}
		_ = race(t.Context(), tr.follow(ways), nil, nil, nil)
		for i := range 2000 {
			tr.came(stunRequest, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(i+1)))
		}
		tr.fail(fmt.Errorf("round %d", round))
	}
	v := tr.view()
	if len(v.Steps) > 2*(maxSignalling+maxSightings+maxOtherSteps) || v.Dropped == 0 || len(tr.met) > 2*maxSightings {
		t.Errorf("%d steps, %d dropped, %d addresses", len(v.Steps), v.Dropped, len(tr.met))
	}
	if last := v.Steps[len(v.Steps)-1]; last.Kind != p2p.StepFailed || last.Note != "round 2" {
		t.Errorf("last %+v", last)
	}
	for _, s := range v.Steps {
		if len(s.Note) > maxNote || strings.ToValidUTF8(s.Note, "") != s.Note {
			t.Errorf("note %q", s.Note)
		}
	}
	for i := range maxFailures + 10 {
		n.failed(p2p.ID{byte(i), byte(i >> 8)}, &session{trace: tr}, errNoPath)
	}
	if len(n.failures.last) > maxFailures {
		t.Errorf("%d failures", len(n.failures.last))
	}
}

// An address that nobody has offered is marked, also if its packets came first.
func TestTraceMarksWhatIsNew(t *testing.T) {
	t.Parallel()
	n := newNode(t, 1, nil)
	tr := newTrace(n.Transport, time.Now())
	tr.describe(p2p.StepOffer, nil)
	offered, fresh := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	tr.came(stunRequest, offered)
	tr.came(stunRequest, fresh)
	tr.came(stunRequest, fresh)
	tr.know([]target{{candidate{Addr: offered, Kind: p2p.PathMapped}, offered}})
	tr.sent(stunMessage(stunRequest, 1, "a:b"), offered)
	steps := tr.view().Steps[1:]
	if len(steps) != 3 || steps[0].New || steps[0].Way != p2p.PathMapped || !steps[1].New || steps[1].Way != p2p.PathPunched || steps[2].New {
		t.Errorf("%+v", steps)
	}
}
