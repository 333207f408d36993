package node

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var sameAddr = cmpopts.EquateComparable(netip.AddrPort{})

// Two linked nodes tell each other how they see the link, with all that led to it.
func TestPathFromBothEnds(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	got, err := alice.PathTo(t.Context(), bob.ID())
	if err != nil {
		t.Fatal(err)
	}
	if got.There == nil || got.Error != "" || !got.Connected || got.Name != "bob" {
		t.Fatalf("%+v", got)
	}
	again, err := bob.PathTo(t.Context(), alice.ID())
	if err != nil || again.There == nil {
		t.Fatalf("%+v, %v", again, err)
	}
	for _, v := range []struct{ own, told View }{{got.Here, *again.There}, {again.Here, *got.There}} {
		if diff := cmp.Diff(v.own.Path, v.told.Path, sameAddr); diff != "" {
			t.Errorf("told another path (-own +told):\n%s", diff)
		}
		micro := cmp.Transformer("micro", func(d time.Duration) int64 { return d.Microseconds() })
		if diff := cmp.Diff(v.own.Trace.Steps, v.told.Trace.Steps, sameAddr, micro); diff != "" {
			t.Errorf("told another trace (-own +told):\n%s", diff)
		}
		if d := v.told.Trace.Began.Sub(v.own.Trace.Began).Abs(); d > time.Second {
			t.Errorf("told of a trace that began %v apart", d)
		}
		if !slices.ContainsFunc(v.own.Trace.Steps, func(s p2p.Step) bool { return s.Kind == p2p.StepLinked }) {
			t.Errorf("no link in the trace: %+v", v.own.Trace)
		}
	}
	for _, id := range []p2p.ID{alice.ID(), {1}} {
		if _, err := alice.PathTo(t.Context(), id); !errors.Is(err, member.ErrUnknownMember) {
			t.Errorf("path to %s: %v", id.Short(), err)
		}
	}
	bob.transport.(interface{ Close() error }).Close()
	await(t, alice, "the end of the link", linkedTo(alice, 0))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if got, err = alice.PathTo(t.Context(), bob.ID()); err != nil {
			t.Fatal(err)
		}
		if len(got.Here.Trace.Steps) > 0 || time.Now().After(deadline) {
			break
		}
	}
	if steps := got.Here.Trace.Steps; got.There != nil || got.Connected || len(steps) == 0 || steps[len(steps)-1].Kind != p2p.StepFailed {
		t.Errorf("of a peer that is off: %+v", got)
	}
}

// After a moment both ends show the same kind: the worse one. What was said before does
// not replace what was said later.
func TestEndsAgree(t *testing.T) {
	nodes := class(t, "alice", "bob")
	alice, bob := nodes[0], nodes[1]
	heard := func(n *Node, of p2p.ID) func() bool {
		return func() bool {
			n.links.mu.Lock()
			defer n.links.mu.Unlock()
			return n.links.peers[of].there.kind == p2p.PathDirect
		}
	}
	for deadline := time.Now().Add(5 * time.Second); !heard(alice, bob.ID())() || !heard(bob, alice.ID())(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the ends have not told each other of what kind the link is")
		}
	}
	l, err := alice.links.to(bob.ID())
	if err != nil {
		t.Fatal(err)
	}
	say := func(number uint64, kind p2p.PathKind) {
		req, err := wire.Marshal(pathAsk{Number: number, Kind: string(kind)})
		if err == nil {
			_, err = alice.paths.handle(t.Context(), l, req)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start := alice.Events().Position()
	say(1000, p2p.PathPunched)
	say(999, p2p.PathRelayed)
	p := alice.links.state(bob.ID()).Path
	if p.Kind != p2p.PathPunched || !strings.Contains(p.Why, "counts as punched") {
		t.Errorf("%s: %s", p.Kind, p.Why)
	}
	if own := l.Path(); own.Kind != p2p.PathDirect {
		t.Errorf("what the other end says has changed this end's own view to %s", own.Kind)
	}
	say(1001, p2p.PathDirect)
	if p := alice.links.state(bob.ID()).Path; p.Kind != p2p.PathDirect {
		t.Errorf("%s", p.Kind)
	}
	var kinds []p2p.PathKind
	after, _, _ := alice.Events().Since(start)
	for _, m := range after {
		if e, ok := m.Data.(Rerouted); ok {
			kinds = append(kinds, e.Path)
		}
	}
	if !slices.Equal(kinds, []p2p.PathKind{p2p.PathPunched, p2p.PathDirect}) {
		t.Errorf("events %v", kinds)
	}
}

// fakeLink answers calls with bytes.
type fakeLink struct {
	p2p.Link
	answer []byte
	err    error
}

func (fakeLink) Peer() p2p.ID                                           { return p2p.ID{9} }
func (fakeLink) Path() p2p.Path                                         { return p2p.Path{Kind: p2p.PathDirect, Why: "So."} }
func (f fakeLink) Call(context.Context, string, []byte) ([]byte, error) { return f.answer, f.err }

// What hostile peers say of a path is refused, or shown as what it is.
func TestHostilePaths(t *testing.T) {
	good := pathTold{
		Number: 1, Kind: "direct", Proto: "udp", Local: packAddr(netip.MustParseAddrPort("192.0.2.1:1")), Why: "So.", Age: 5,
		Tried: []pathTried{{Kind: "mapped", Result: "failed"}}, Steps: []pathStep{{At: 7, Kind: "ask"}, {At: 3, Kind: "offer"}},
	}
	ps := newPaths(newLinks(p2p.ID{1}, nil, nil))
	ask := func(change func(*pathTold)) (View, error) {
		told := good
		told.Tried, told.Steps = slices.Clone(good.Tried), slices.Clone(good.Steps)
		change(&told)
		b, err := wire.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		return ps.ask(t.Context(), fakeLink{answer: b}, true)
	}
	v, err := ask(func(*pathTold) {})
	if err != nil || v.Trace.Steps[0].Kind != p2p.StepOffer {
		t.Errorf("what is good, in any order: %+v, %v", v, err)
	}
	zone, _ := netip.MustParseAddrPort("[fe80::1%<b>x</b>]:1").MarshalBinary()
	if v, err := ask(func(p *pathTold) { p.Remote = zone }); err != nil || v.Path.Remote.String() != "[fe80::1]:1" {
		t.Errorf("a zone: %v, %v", v.Path.Remote, err)
	}
	for name, change := range map[string]func(*pathTold){
		"kind":          func(p *pathTold) { p.Kind = "splendid" },
		"no kind":       func(p *pathTold) { p.Kind = "" },
		"proto":         func(p *pathTold) { p.Proto = "sctp" },
		"address":       func(p *pathTold) { p.Remote = []byte{1} },
		"long address":  func(p *pathTold) { p.Remote = append(zone, make([]byte, 100)...) },
		"relay":         func(p *pathTold) { p.Relay = []byte{1} },
		"why":           func(p *pathTold) { p.Why = strings.Repeat("x", maxPathWhy+1) },
		"age":           func(p *pathTold) { p.Age = 1 << 63 },
		"pairs":         func(p *pathTold) { p.Tried = slices.Repeat(p.Tried, maxPathTried+1) },
		"pair's kind":   func(p *pathTold) { p.Tried[0].Kind = "x" },
		"pair's result": func(p *pathTold) { p.Tried[0].Result = "x" },
		"steps":         func(p *pathTold) { p.Steps = slices.Repeat(p.Steps, maxPathSteps) },
		"step":          func(p *pathTold) { p.Steps[0].Kind = "x" },
		"step's time":   func(p *pathTold) { p.Steps[0].At = 1 << 60 },
		"step's way":    func(p *pathTold) { p.Steps[0].Way = "x" },
		"step's note":   func(p *pathTold) { p.Steps[0].Note = strings.Repeat("x", maxPathNote+1) },
		"step's member": func(p *pathTold) { p.Steps[0].Via = []byte{1} },
	} {
		if _, err := ask(change); !errors.Is(err, wire.ErrMalformed) || notTold(err) != "What it says of the path makes no sense." {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, answer := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "large": bytes.Repeat([]byte{0xff}, 64<<10), "not UTF-8": []byte("\xa2\x01\x01\x02\x61\xff"),
	} {
		if _, err := ps.ask(t.Context(), fakeLink{answer: answer}, true); err == nil || !strings.Contains(notTold(err), "no sense") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, req := range map[string][]byte{
		"nothing": nil, "large": make([]byte, maxPathAsk+1), "kind": {0xa2, 1, 1, 2, 0x61, 'x'},
	} {
		var refused *p2p.CallError
		if _, err := ps.handle(t.Context(), fakeLink{}, req); !errors.As(err, &refused) || refused.Code != "malformed" {
			t.Errorf("call of %s: %v", name, err)
		}
	}
	if got := notTold(p2p.ErrNoProtocol); !strings.Contains(got, "older") {
		t.Error(got)
	}
}

// Whatever a node knows of a path fits into an answer and is understood.
func TestPathMessages(t *testing.T) {
	kinds := []p2p.PathKind{p2p.PathDirect, p2p.PathMapped, p2p.PathPunched, p2p.PathRelayed, p2p.PathMemory}
	addr := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr")
		a, _ := netip.AddrFromSlice(b[:rapid.SampledFrom([]int{4, 16}).Draw(t, "family")])
		return netip.AddrPortFrom(a.Unmap(), rapid.Uint16().Draw(t, "port"))
	})
	id := rapid.Custom(func(t *rapid.T) (id p2p.ID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "id"))
		return id
	})
	rapid.Check(t, func(t *rapid.T) {
		v := View{Path: p2p.Path{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Proto: "udp", Local: addr.Draw(t, "local"), Remote: addr.Draw(t, "remote"),
			Relay: id.Draw(t, "relay"), Why: rapid.String().Draw(t, "why"),
		}}
		for range rapid.IntRange(0, 2*maxPathTried).Draw(t, "tried") {
			v.Path.Tried = append(v.Path.Tried, p2p.Candidate{Kind: p2p.PathRelayed, Proto: "udp", Local: v.Path.Local, Remote: v.Path.Remote, Relay: v.Path.Relay, Result: "succeeded"})
		}
		now := time.Now()
		v.Trace.Began = now.Add(-time.Hour)
		for i := range rapid.IntRange(0, 2*maxPathSteps).Draw(t, "steps") {
			v.Trace.Steps = append(v.Trace.Steps, p2p.Step{
				At: time.Duration(i) * time.Millisecond, Kind: p2p.StepUnasked, Way: p2p.PathPunched, Proto: "tcp", Remote: v.Path.Remote, Via: v.Path.Relay, Note: strings.Repeat("ä", maxPathNote),
			})
		}
		b, err := packTold(3, v, now)
		if err != nil || len(b) > maxPathTold {
			t.Fatal(len(b), err)
		}
		got, s, err := unpackTold(b, now)
		if err != nil {
			t.Fatal(err)
		}
		if s.number != 3 || s.kind != v.Path.Kind || s.relay != v.Path.Relay || got.Path.Remote != v.Path.Remote || got.Path.Why != cut(v.Path.Why, maxPathWhy) ||
			len(got.Trace.Steps) != min(len(v.Trace.Steps), maxPathSteps) || len(got.Path.Tried) != min(len(v.Path.Tried), maxPathTried) {
			t.Fatalf("%+v", got)
		}
	})
}

func FuzzPathTold(f *testing.F) {
	b, err := packTold(1, View{Path: p2p.Path{Kind: p2p.PathDirect}}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := unpackTold(b, time.Now())
		if err == nil && (!v.Path.Kind.Known() || len(v.Trace.Steps) > maxPathSteps || len(v.Path.Tried) > maxPathTried || len(v.Path.Why) > maxPathWhy) {
			t.Errorf("%+v", v)
		}
	})
}

func TestWorse(t *testing.T) {
	order := []p2p.PathKind{"", p2p.PathMemory, p2p.PathDirect, p2p.PathMapped, p2p.PathPunched, p2p.PathRelayed}
	for i, a := range order {
		for j, b := range order {
			if got := a.Worse(b); got != order[max(i, j)] {
				t.Errorf("the worse of %q and %q is %q", a, b, got)
			}
		}
	}
}
