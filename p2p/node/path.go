package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// pathProto is the call by which the two ends of a link tell each other how they
// see it. It is for people: nothing is decided by what a peer says.
const pathProto = "path/1"

// Limits of what a peer may say of a path. What this node says keeps within them.
const (
	maxPathAsk   = 256 // bytes of a call
	maxPathTold  = 60 << 10
	maxPathTried = 96
	maxPathSteps = 192
	maxPathWhy   = 512 // bytes
	maxPathNote  = 160
	maxPathAge   = 10 * 365 * 24 * time.Hour
)

const (
	pathTimeout = 5 * time.Second
	// pathPause lets changes of a path that come together be told as one.
	pathPause = 200 * time.Millisecond
	// pathTries is how often the other end is told, a second or two apart.
	pathTries = 3
)

// pathAsk tells the other end how this one sees the link, and asks for the same.
type pathAsk struct {
	Number uint64 `cbor:"1,keyasint"` // larger than of everything that was said before
	Kind   string `cbor:"2,keyasint"`
	Relay  []byte `cbor:"3,keyasint,omitempty"`
	Whole  bool   `cbor:"4,keyasint,omitempty"` // with all that is below Relay in the answer
}

// pathTold is the answer.
type pathTold struct {
	Number  uint64      `cbor:"1,keyasint"`
	Kind    string      `cbor:"2,keyasint"`
	Relay   []byte      `cbor:"3,keyasint,omitempty"`
	Proto   string      `cbor:"4,keyasint,omitempty"`
	Local   []byte      `cbor:"5,keyasint,omitempty"`
	Remote  []byte      `cbor:"6,keyasint,omitempty"`
	Why     string      `cbor:"7,keyasint,omitempty"`
	Tried   []pathTried `cbor:"8,keyasint,omitempty"`
	Age     uint64      `cbor:"9,keyasint,omitempty"` // microseconds since the trace began: no clocks are compared
	Steps   []pathStep  `cbor:"10,keyasint,omitempty"`
	Dropped uint16      `cbor:"11,keyasint,omitempty"`
}

type pathTried struct {
	Local  []byte `cbor:"1,keyasint,omitempty"`
	Remote []byte `cbor:"2,keyasint,omitempty"`
	Kind   string `cbor:"3,keyasint"`
	Proto  string `cbor:"4,keyasint,omitempty"`
	Relay  []byte `cbor:"5,keyasint,omitempty"`
	Result string `cbor:"6,keyasint"`
}

type pathStep struct {
	At     uint64 `cbor:"1,keyasint,omitempty"` // microseconds since the trace began
	Kind   string `cbor:"2,keyasint"`
	Remote []byte `cbor:"3,keyasint,omitempty"`
	Way    string `cbor:"4,keyasint,omitempty"`
	Proto  string `cbor:"5,keyasint,omitempty"`
	Via    []byte `cbor:"6,keyasint,omitempty"`
	New    bool   `cbor:"7,keyasint,omitempty"`
	Note   string `cbor:"8,keyasint,omitempty"`
}

// View is how one end sees a link.
type View struct {
	Path  p2p.Path // Kind is empty while there is no link
	Trace p2p.Trace
}

// PeerPath is how a peer is linked, seen from both ends.
type PeerPath struct {
	Peer
	Here  View  // without a link: the last attempt to get one
	There *View // nil: not known
	Error string
}

// viewOf is how this node sees a link.
func viewOf(l p2p.Link) View {
	v := View{Path: l.Path()}
	if t, ok := l.(interface{ Trace() p2p.Trace }); ok {
		v.Trace = t.Trace()
	}
	return v
}

// said is what the other end has said last of a link.
type said struct {
	number uint64
	kind   p2p.PathKind
	relay  p2p.ID
}

// paths keeps both ends of each link in agreement of what kind it is.
type paths struct {
	links  *links
	number atomic.Uint64 // of what was said last
	more   chan struct{} // has room for one: due is not empty

	mu  sync.Mutex // guards due
	due map[p2p.ID]bool
}

func newPaths(ls *links) *paths {
	return &paths{links: ls, more: make(chan struct{}, 1), due: map[p2p.ID]bool{}}
}

// moved says that the link to a peer has another path. It does not wait.
func (ps *paths) moved(peer p2p.ID) {
	ps.mu.Lock()
	ps.due[peer] = true
	ps.mu.Unlock()
	select {
	case ps.more <- struct{}{}:
	default:
	}
}

// run tells the other ends of changes until ctx ends.
func (ps *paths) run(ctx context.Context) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ps.more:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pathPause):
		}
		ps.mu.Lock()
		due := ps.due
		ps.due = map[p2p.ID]bool{}
		ps.mu.Unlock()
		for peer := range due {
			if l, err := ps.links.to(peer); err == nil {
				ps.links.settle(l, nil)
				telling.Go(func() { ps.tell(ctx, l) })
			}
		}
	}
}

// tell exchanges with the other end of l of what kind it is.
func (ps *paths) tell(ctx context.Context, l p2p.Link) {
	for try := range pathTries {
		_, err := ps.ask(ctx, l, false)
		if err == nil || errors.Is(err, p2p.ErrNoProtocol) {
			return
		}
		ps.links.log.Debug("the path was not agreed on", "peer", l.Peer().Short(), "error", err)
		select {
		case <-time.After(time.Duration(try+1) * time.Second):
		case <-l.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// ask tells the other end how this one sees l, and returns how it does.
func (ps *paths) ask(ctx context.Context, l p2p.Link, whole bool) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, pathTimeout)
	defer cancel()
	number := ps.number.Add(1) // before the path is looked at, so that what is newer is not older
	path := l.Path()
	req, err := wire.Marshal(pathAsk{Number: number, Kind: string(path.Kind), Relay: packID(path.Relay), Whole: whole})
	if err != nil {
		return View{}, err
	}
	b, err := l.Call(ctx, pathProto, req)
	if err != nil {
		return View{}, err
	}
	v, s, err := unpackTold(b, time.Now())
	if err != nil {
		return View{}, err
	}
	ps.links.settle(l, &s)
	return v, nil
}

// handle answers such a call.
func (ps *paths) handle(_ context.Context, from p2p.Link, req []byte) ([]byte, error) {
	var ask pathAsk
	err := errTooLong
	if len(req) <= maxPathAsk {
		err = wire.Unmarshal(req, &ask)
	}
	kind := p2p.PathKind(ask.Kind)
	relay, bad := unpackID(ask.Relay)
	if err = errors.Join(err, bad); err != nil || !kind.Known() {
		return nil, &p2p.CallError{Code: "malformed", Message: "not a path"}
	}
	ps.links.settle(from, &said{ask.Number, kind, relay})
	number := ps.number.Add(1)
	if !ask.Whole {
		path := from.Path()
		return wire.Marshal(pathTold{Number: number, Kind: string(path.Kind), Relay: packID(path.Relay)})
	}
	return packTold(number, viewOf(from), time.Now())
}

var errTooLong = errors.New("it is too long")

// packTold writes a view, cut to what the other end takes.
func packTold(number uint64, v View, now time.Time) ([]byte, error) {
	p := v.Path
	told := pathTold{
		Number: number, Kind: string(p.Kind), Relay: packID(p.Relay), Proto: p.Proto,
		Local: packAddr(p.Local), Remote: packAddr(p.Remote), Why: cut(p.Why, maxPathWhy),
		Dropped: uint16(min(v.Trace.Dropped, 1<<16-1)),
	}
	for _, c := range p.Tried[:min(len(p.Tried), maxPathTried)] {
		told.Tried = append(told.Tried, pathTried{
			packAddr(c.Local), packAddr(c.Remote), string(c.Kind), c.Proto, packID(c.Relay), c.Result,
		})
	}
	if !v.Trace.Began.IsZero() {
		told.Age = uint64(max(now.Sub(v.Trace.Began), 0) / time.Microsecond)
	}
	steps := v.Trace.Steps
	for _, s := range steps[max(0, len(steps)-maxPathSteps):] {
		told.Steps = append(told.Steps, pathStep{
			uint64(s.At / time.Microsecond), string(s.Kind), packAddr(s.Remote), string(s.Way), s.Proto, packID(s.Via), s.New, cut(s.Note, maxPathNote),
		})
	}
	b, err := wire.Marshal(told)
	if err != nil || len(b) > maxPathTold { // not with what this program writes
		told.Tried, told.Steps = nil, nil
		return wire.Marshal(told)
	}
	return b, nil
}

// unpackTold reads what a peer says of the path. It takes nothing that could not be
// so, and of addresses the numbers only.
func unpackTold(b []byte, now time.Time) (View, said, error) {
	if len(b) > maxPathTold {
		return View{}, said{}, fmt.Errorf("node: a path of %d bytes: %w", len(b), p2p.ErrTooLarge)
	}
	var told pathTold
	if err := wire.Unmarshal(b, &told); err != nil {
		return View{}, said{}, fmt.Errorf("node: path: %w", err)
	}
	v, err := told.view(now)
	if err != nil {
		return View{}, said{}, fmt.Errorf("node: path: %w: %w", wire.ErrMalformed, err)
	}
	return v, said{told.Number, v.Path.Kind, v.Path.Relay}, nil
}

func (told pathTold) view(now time.Time) (View, error) {
	u := unpacker{}
	p := p2p.Path{
		Kind: u.kind(told.Kind), Proto: u.proto(told.Proto), Local: u.addr(told.Local), Remote: u.addr(told.Remote),
		Relay: u.id(told.Relay), Why: u.text(told.Why, maxPathWhy),
	}
	if len(told.Tried) > maxPathTried || len(told.Steps) > maxPathSteps {
		return View{}, errTooLong
	}
	for _, c := range told.Tried {
		p.Tried = append(p.Tried, p2p.Candidate{
			Local: u.addr(c.Local), Remote: u.addr(c.Remote), Kind: u.kind(c.Kind), Proto: u.proto(c.Proto), Relay: u.id(c.Relay),
			Result: u.one("result", c.Result, results),
		})
	}
	v := View{Path: p, Trace: p2p.Trace{Dropped: int(told.Dropped)}}
	if age := u.duration(told.Age); len(told.Steps) > 0 {
		v.Trace.Began = now.Add(-age)
	}
	for _, s := range told.Steps {
		step := p2p.Step{
			At: u.duration(s.At), Kind: p2p.StepKind(u.one("step", s.Kind, stepKinds)), Remote: u.addr(s.Remote),
			Proto: u.proto(s.Proto), Via: u.id(s.Via), New: s.New, Note: u.text(s.Note, maxPathNote),
		}
		if s.Way != "" {
			step.Way = u.kind(s.Way)
		}
		v.Trace.Steps = append(v.Trace.Steps, step)
	}
	slices.SortStableFunc(v.Trace.Steps, func(a, b p2p.Step) int { return int(min(max(a.At-b.At, -1), 1)) })
	return v, u.err
}

var (
	results   = []string{"selected", "succeeded", "failed", "waiting"}
	stepKinds = []string{
		string(p2p.StepOffer), string(p2p.StepRestart), string(p2p.StepOffered), string(p2p.StepAsk), string(p2p.StepUnasked),
		string(p2p.StepAnswer), string(p2p.StepAnswered), string(p2p.StepSent), string(p2p.StepHeard), string(p2p.StepReply),
		string(p2p.StepRelay), string(p2p.StepNoRelay), string(p2p.StepPath), string(p2p.StepEncrypted), string(p2p.StepLinked), string(p2p.StepFailed),
	}
)

// unpacker checks one value after the other and keeps the first error.
type unpacker struct{ err error }

func (u *unpacker) fail(format string, args ...any) {
	if u.err == nil {
		u.err = fmt.Errorf(format, args...)
	}
}

func (u *unpacker) one(what, value string, of []string) string {
	if !slices.Contains(of, value) {
		u.fail("no %s is called %.20q", what, value)
	}
	return value
}

func (u *unpacker) kind(text string) p2p.PathKind {
	k := p2p.PathKind(text)
	if !k.Known() {
		u.fail("no kind of path is called %.20q", text)
	}
	return k
}

func (u *unpacker) proto(text string) string {
	if text != "" && text != "udp" && text != "tcp" {
		u.fail("no protocol is called %.20q", text)
	}
	return text
}

func (u *unpacker) text(text string, most int) string {
	if len(text) > most {
		u.fail("a text of %d bytes", len(text))
	}
	return text
}

func (u *unpacker) id(b []byte) p2p.ID {
	id, err := unpackID(b)
	if err != nil {
		u.fail("%w", err)
	}
	return id
}

func (u *unpacker) addr(b []byte) netip.AddrPort {
	var a netip.AddrPort
	if len(b) == 0 {
		return a
	}
	if err := a.UnmarshalBinary(b); err != nil || len(b) > 64 {
		u.fail("no address: %d bytes", len(b))
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().WithZone("").Unmap(), a.Port())
}

func (u *unpacker) duration(micros uint64) time.Duration {
	if micros > uint64(maxPathAge/time.Microsecond) {
		u.fail("%d microseconds", micros)
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}

func packAddr(a netip.AddrPort) []byte {
	if !a.IsValid() {
		return nil
	}
	b, err := a.MarshalBinary()
	if err != nil {
		return nil // it never fails
	}
	return b
}

func packID(id p2p.ID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

func unpackID(b []byte) (id p2p.ID, err error) {
	if len(b) != 0 && len(b) != len(id) {
		return id, fmt.Errorf("an ID of %d bytes", len(b))
	}
	copy(id[:], b)
	return id, nil
}

// cut shortens a text to n bytes of whole characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n]
}

// settle takes what the other end of a link says of it, if anything, and tells people
// when the link has become one of another kind by that.
func (ls *links) settle(l p2p.Link, there *said) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	p := ls.peers[l.Peer()]
	if p == nil || p.link != l {
		return // a guest's, or one that was replaced
	}
	if there != nil && there.number > p.there.number {
		p.there = *there
	}
	if kind := l.Path().Kind.Worse(p.there.kind); kind != p.kind {
		p.kind = kind
		ls.publish.Emit(Rerouted{ID: l.Peer(), Name: ls.roster.nameOf(l.Peer()), Path: kind})
	}
}

// agree makes of the path of a link, as this end sees it, the one that both ends show:
// of the worse kind of the two.
func agree(own p2p.Path, there said) p2p.Path {
	kind := own.Kind.Worse(there.kind)
	if kind == own.Kind {
		return own
	}
	own.Kind = kind
	switch kind {
	case p2p.PathMapped:
		own.Why += " The other end sends to an address that a router forwards, so that the link counts as mapped."
	case p2p.PathPunched:
		own.Why += " The other end sends to an address that a router opened for the two, so that the link counts as punched."
	case p2p.PathRelayed:
		own.Relay = there.relay
		own.Why += " The other end sends through a relay, so that the link counts as relayed."
	}
	return own
}

// PathTo tells how a member is linked and what both ends know of it; of one that is
// not linked, what was tried last. Errors: member.ErrUnknownMember.
func (n *Node) PathTo(ctx context.Context, id p2p.ID) (PeerPath, error) {
	m, ok := n.members.Member(id)
	if !ok || m.Self {
		return PeerPath{}, fmt.Errorf("node: path to %s: %w", id.Short(), member.ErrUnknownMember)
	}
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return PeerPath{}, err
	}
	defer leave()
	out := PeerPath{}
	if l, err := n.links.to(id); err == nil {
		there, err := n.paths.ask(ctx, l, true)
		if out.Here = viewOf(l); err == nil {
			out.There = &there
		} else {
			out.Error = notTold(err)
		}
	} else if t, ok := n.transport.(interface {
		Failure(p2p.ID) (p2p.Trace, bool)
	}); ok {
		out.Here.Trace, _ = t.Failure(id)
	}
	out.Peer = n.links.state(id)
	out.Name = m.Name
	return out, nil
}

// notTold says why the other end's view is missing.
func notTold(err error) string {
	switch {
	case errors.Is(err, p2p.ErrNoProtocol):
		return "It runs an older version, which does not tell."
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, p2p.ErrTooLarge):
		return "What it says of the path makes no sense."
	case errors.Is(err, p2p.ErrClosed):
		return "The link is gone."
	}
	return "It did not answer in time."
}
