package route

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// ForwardProtocol is the call by which an envelope travels one hop.
const ForwardProtocol = "forward/1"

const (
	// Tries is how many members a node hands somebody else's request to at most, one after the
	// other, and OwnTries how many its own: its peers may all be farther from the target
	// than it is itself, and only some of them have a link to it.
	Tries    = 3
	OwnTries = 8
	// defaultPatience is how long a call takes at most whose context has no end.
	defaultPatience = 10 * time.Second
	// longestSilence is how long the first of the tries may say nothing before the next one
	// begins beside it; see silence.
	longestSilence = time.Second
	// callsTo is how many forwarded calls of this node are on their way over one link; others
	// wait. It is less than the link's other end takes.
	callsTo = linkFlights / 2
	// Requests of others that are served here at once: of all origins, and of each.
	servedAtOnce = 128
	servedOfEach = 16
)

// Codes of a p2p.CallError of a hop. They are hearsay: only the target signs.
const (
	codeMalformed   = "malformed"
	codeForbidden   = "forbidden"
	codeBusy        = "busy"
	codeSeen        = "seen"
	codeUnreachable = "unreachable"
	codeNoProtocol  = "no_protocol"
	codeInternal    = "internal"
	codeTooLarge    = "too_large"
)

// ErrLost: the request may have been served, but no answer came back. It is not sent again,
// so that nothing is done twice.
var ErrLost = errors.New("the answer was lost")

// Member is who can be called, and where it is.
type Member struct {
	ID       p2p.ID
	Position p2p.Key
	Key      ed25519.PublicKey
}

// Handler answers one call of the member from: the one who made it, never the one
// who passed it on. What it returns as error reaches the caller as a *p2p.CallError.
type Handler func(ctx context.Context, from p2p.ID, req []byte) ([]byte, error)

// Direct makes of h a handler of calls that come over a link.
func Direct(h Handler) p2p.Handler {
	return func(ctx context.Context, l p2p.Link, req []byte) ([]byte, error) { return h(ctx, l.Peer(), req) }
}

// Options say what a Router knows. All functions may be called by several goroutines at
// once, and must not wait.
type Options struct {
	Identity p2p.Identity
	Network  func() p2p.ID                  // that this node is in now
	Member   func(p2p.ID) (Member, bool)    // those of now, this node included; nobody who was revoked
	Links    func() []p2p.Link              // to members, one each
	Link     func(p2p.ID) (p2p.Link, error) // one of them; p2p.ErrUnreachable: there is none
	// Prove returns what shows to others that somebody is a member, where not all members know that;
	// nil: nothing needs to be shown. Present takes in what was shown of somebody, or does
	// not: afterwards Member knows it, if it proves anything. Both are nil where all know all.
	Prove   func(p2p.ID) []byte
	Present func(id p2p.ID, proof []byte)
	Nearest func(p2p.Key, int) []Member // members that this node knows, nearest first; nil: it knows those with links
	Heard   func(Member)                // told of each member that asks whom this node knows; nil: nobody is
	// Relays returns the members at which a member says that it is reached; nil: none. They are asked in
	// its place who is near a key.
	Relays func(p2p.ID) []p2p.ID
	// Client reports whether this node relays for a member now, and for how long there has been no
	// link to it, 0: there is one. Nil: it relays for nobody.
	Client  func(p2p.ID) (gone time.Duration, ok bool)
	Publish p2p.Publish  // nil: events are discarded
	Logger  *slog.Logger // nil: nothing is logged
}

// Router calls members over links that exist. All methods but Handle may be used by
// several goroutines at once.
type Router struct {
	o           Options
	self        p2p.ID
	incarnation Nonce
	secret      *ecdh.PrivateKey // of this run
	handlers    map[string]Handler
	limits      *limits
	served      *turns // forwarded requests that are served
	sent        *turns // forwarded requests of this node, by first hop
	exchanges   *turns // streams that are served

	mu      sync.Mutex // guards all following fields
	guard   *guard
	toward  map[p2p.ID]*toward
	highest uint64 // number that any call has had

	stand       sync.Mutex // guards all following fields; it is not taken while mu is held
	standIns    standIns   // of this node's clients
	held        held       // of others
	snapshotsOf p2p.ID     // network of both
}

// toward is what the origin remembers of a target. An entry is never forgotten while
// the target is a member: its numbers must go on growing.
type toward struct {
	epoch   Nonce
	public  []byte   // key of the target's run; nil: no epoch is known
	keys    *secrets // for the epoch; nil: not computed yet
	network p2p.ID   // for which keys are
	seq     uint64   // of the last call
}

// New returns a Router that answers FindProtocol, SnapshotProtocol, StandInProtocol and nothing else.
func New(o Options) *Router {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	r := &Router{
		o: o, self: o.Identity.ID(), incarnation: NewNonce(), secret: newSecret(), handlers: map[string]Handler{},
		limits: newLimits(), served: newTurns(servedOfEach, servedAtOnce), sent: newTurns(callsTo, 0), exchanges: newTurns(exchangesOfEach, exchangesAtOnce),
		guard: newGuard(key), toward: map[p2p.ID]*toward{},
	}
	r.Handle(FindProtocol, r.handleFind)
	r.Handle(SnapshotProtocol, r.handleSnapshot)
	r.Handle(StandInProtocol, r.handleStandIn)
	return r
}

// Handle sets who answers the calls of a protocol, whichever way they come. It is called
// before the first call.
func (r *Router) Handle(proto string, h Handler) { r.handlers[proto] = h }

// Handlers returns the handlers of calls over links: the Router's own, and those that
// were set.
func (r *Router) Handlers() map[string]p2p.Handler {
	all := map[string]p2p.Handler{ForwardProtocol: r.handleForward}
	for proto, h := range r.handlers {
		all[proto] = Direct(h)
	}
	return all
}

// Limit returns how many bytes a request to a member can have now; see Exchange for its
// answer.
func (r *Router) Limit(to p2p.ID) int {
	if to != r.self {
		if _, err := r.o.Link(to); err != nil {
			return MaxForwarded
		}
	}
	return MaxExchange
}

// Call asks a member and returns its answer, of at most 72 KiB (over a link 80 KiB): over the link to it
// if there is one, as a stream if the request is too long for a message; otherwise
// by way of others. It implements p2p.Caller.
//
// Errors: *p2p.CallError if the member itself refused or failed (also p2p.ErrNoProtocol),
// p2p.ErrUnreachable, p2p.ErrTooLarge, ErrLost, those of the link and of the context.
func (r *Router) Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error) {
	b, _, err := r.Ask(ctx, to, proto, req)
	return b, err
}

// Way is how a request came to its target.
type Way struct {
	Via  p2p.ID // the first member on the way; the target itself over a link
	Hops int    // how many links it went over, as the target says; 0: none, or not known
}

// Ask is Call, and says which way the request went that was answered.
func (r *Router) Ask(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, Way, error) {
	if to == r.self {
		b, err := r.serve(ctx, r.self, proto, req)
		return b, Way{}, err
	}
	l, err := r.o.Link(to)
	switch {
	case err == nil && len(req) > streamAt:
		b, err := r.exchange(ctx, l, proto, req)
		return b, Way{to, 1}, err
	case err == nil:
		b, err := l.Call(ctx, proto, req)
		return b, Way{to, 1}, err
	}
	b, way, err := r.send(ctx, to, proto, req)
	if err != nil {
		return nil, way, fmt.Errorf("route: %s at %s: %w", proto, to.Short(), err)
	}
	return b, way, nil
}

// serve answers a request of the member from.
func (r *Router) serve(ctx context.Context, from p2p.ID, proto string, req []byte) (resp []byte, err error) {
	h := r.handlers[proto]
	if h == nil {
		return nil, &p2p.CallError{Code: codeNoProtocol, Message: proto}
	}
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("a handler panicked", "proto", proto, "from", from.Short(), "panic", p, "stack", string(debug.Stack()))
			resp, err = nil, &p2p.CallError{Code: codeInternal, Message: "the handler failed"}
		}
	}()
	return h(ctx, from, req)
}

// send makes a forwarded call: twice, if the target does not know the first one's epoch.
func (r *Router) send(ctx context.Context, to p2p.ID, proto string, req []byte) (b []byte, way Way, err error) {
	m, ok := r.o.Member(to)
	if !ok {
		return nil, way, fmt.Errorf("%w: it is no member", p2p.ErrUnreachable)
	}
	if len(req) > MaxForwarded {
		return nil, way, fmt.Errorf("request of %d bytes, at most %d without a link: %w", len(req), MaxForwarded, p2p.ErrTooLarge)
	}
	if _, ends := ctx.Deadline(); !ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultPatience)
		defer cancel()
	}
	for again := false; ; again = true {
		network := r.o.Network()
		e, keys, err := r.envelope(m, proto, req, network)
		if err != nil {
			return nil, way, err
		}
		d := e.sign(r.o.Identity, network)
		h, err := r.pass(ctx, e, d, p2p.ID{})
		if err != nil {
			return nil, way, err
		}
		way.Via = h.via
		a := h.a
		switch a.Outcome {
		case outcomeDone:
			if keys == nil {
				return nil, way, fmt.Errorf("an answer to nothing: %w", wire.ErrMalformed)
			}
			got, err := keys.open(a.Sealed, e.Seq)
			if err == nil && got.Code != "" {
				err = refusal(got.Code, got.Text)
			}
			way.Hops = min(int(got.Hops), MaxHops)
			return got.Body, way, err
		case outcomeBusy:
			return nil, way, refusal(codeBusy, "too many requests are being served")
		case outcomeEpoch:
			r.learn(to, a.Epoch, a.Public)
			if again {
				return nil, way, fmt.Errorf("%w: its epoch changed twice", p2p.ErrUnreachable)
			}
		default:
			return nil, way, ErrLost
		}
	}
}

// refusal is what the target itself said.
func refusal(code, text string) error {
	err := &p2p.CallError{Code: code, Message: text}
	if code == codeNoProtocol {
		return fmt.Errorf("%w (%w)", p2p.ErrNoProtocol, err)
	}
	return err
}

// envelope writes a request, with the next number, sealed for its target. Without an epoch
// it asks for one: it has no request, and there are no keys.
func (r *Router) envelope(to Member, proto string, req []byte, network p2p.ID) (*Envelope, *secrets, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.toward[to.ID]
	if t == nil {
		r.forget()
		t = &toward{seq: r.highest} // above all that it ever had
		r.toward[to.ID] = t
	}
	t.seq++
	r.highest = max(r.highest, t.seq)
	e := &Envelope{
		To: to.ID, Position: to.Position, Origin: r.o.Identity.PublicKey(), Incarnation: r.incarnation, Epoch: t.epoch, Seq: t.seq,
		Proto: proto, Hops: MaxHops, Public: r.secret.PublicKey().Bytes(), Proof: r.prove(r.self),
	}
	if t.public == nil {
		return e, nil, nil
	}
	if t.keys == nil || t.network != network {
		keys, err := share(r.secret, t.public, t.public, network, e)
		if err != nil {
			t.epoch, t.public = Nonce{}, nil // it may have a better one
			return nil, nil, err
		}
		t.keys, t.network = keys, network
	}
	e.Request = t.keys.request.Seal(nil, nonceOf(e.Seq), req, nil)
	return e, t.keys, nil
}

// forget drops what is known of targets that are no members any more, whenever there are
// twice as many as there were after the last time. The caller holds r.mu.
func (r *Router) forget() {
	if n := len(r.toward); n < 1024 || n&(n-1) != 0 {
		return
	}
	for id := range r.toward {
		if _, ok := r.o.Member(id); !ok {
			delete(r.toward, id)
		}
	}
}

func (r *Router) learn(to p2p.ID, epoch Nonce, public []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.toward[to]; t != nil {
		t.epoch, t.public, t.keys = epoch, public, nil
	}
}

// ByDistance sorts linked members by their distance to a target, and returns those to
// whom its origin hands a request, best first.
func ByDistance(target p2p.Key, linked []Member) []Member {
	slices.SortFunc(linked, func(a, b Member) int {
		return cmp.Or(a.Position.Distance(target).Compare(b.Position.Distance(target)), a.ID.Compare(b.ID))
	})
	return linked[:min(len(linked), OwnTries)]
}

// Ahead sorts linked members likewise, and returns those to whom somebody else's request is
// passed on: they are strictly nearer to the target than the position here. So, once it
// has left its origin, which gets it from nobody, no request returns to where it was.
func Ahead(here, target p2p.Key, linked []Member) []Member {
	best := here.Distance(target)
	linked = slices.DeleteFunc(linked, func(m Member) bool { return m.Position.Distance(target).Compare(best) >= 0 })
	ahead := ByDistance(target, linked)
	return ahead[:min(len(ahead), Tries)]
}

// way is a member to whom a request can be handed.
type way struct {
	Member
	link p2p.Link
}

// ways returns the best ways to a target: not back to whom it came from, nor to its origin.
func (r *Router) ways(e *Envelope, from p2p.ID) ([]way, error) {
	self, ok := r.o.Member(r.self)
	if !ok {
		return nil, errors.New("this node is no member")
	}
	links := map[p2p.ID]p2p.Link{}
	var linked []Member
	origin := e.From()
	for _, l := range r.o.Links() {
		m, ok := r.o.Member(l.Peer())
		switch {
		case !ok || m.ID == from || m.ID == origin:
			continue
		case m.ID == e.To:
			m.Position = e.Position // it may have got another one since the origin heard
		}
		linked, links[m.ID] = append(linked, m), l
	}
	all := len(linked)
	if from.IsZero() {
		linked = ByDistance(e.Position, linked)
	} else {
		linked = Ahead(self.Position, e.Position, linked)
	}
	if len(linked) == 0 {
		return nil, fmt.Errorf("none of %d linked members is nearer to it", all)
	}
	ways := make([]way, len(linked))
	for i, m := range linked {
		ways[i] = way{m, links[m.ID]}
	}
	return ways, nil
}

// silence is how long the member that was asked last may say nothing before the next one
// is asked as well: a quarter of the patience, less with every hop, so that whoever is
// nearest to the one that hangs notices first.
func silence(patience time.Duration, hops uint8) time.Duration {
	return min(patience/4, longestSilence) * time.Duration(hops) / MaxHops
}

// heard is what came of one way.
type heard struct {
	way int
	via p2p.ID // to whom it was handed
	raw []byte
	a   *answer
	err error
}

// pass hands e to the best ways until one of them brings an answer that the target has
// signed, if this node can tell, and returns it as it came, too. from is the member whose
// link brought e, or zero. One that fails is followed at once by the next, one that says
// nothing after a while. The error is that of a hop, or the context's.
func (r *Router) pass(ctx context.Context, e *Envelope, d digest, from p2p.ID) (heard, error) {
	if e.Hops == 0 {
		return heard{}, fmt.Errorf("%w: more than %d hops", p2p.ErrUnreachable, MaxHops)
	}
	ways, err := r.ways(e, from)
	if err != nil {
		return heard{}, fmt.Errorf("%w: %w", p2p.ErrUnreachable, err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait := silence(patienceOf(ctx), e.Hops)
	hurry := time.NewTimer(wait)
	defer hurry.Stop()
	results := make(chan heard, len(ways)) // sends never block
	next, pending := 0, 0
	ask := func() {
		i := next
		next, pending = next+1, pending+1
		hurry.Reset(wait)
		running.Go(func() { results <- r.hop(ctx, e, d, from, i, ways[i]) })
	}
	ask()
	var failures []string
	var lost *heard
	for pending > 0 {
		// The target's own link brings the answer, or the end of the link: nobody else
		// would bring it sooner.
		late := hurry.C
		if next == len(ways) || ways[next-1].ID == e.To {
			late = nil
		}
		select {
		case h := <-results:
			pending--
			switch {
			case h.err == nil && (h.a == nil || h.a.Outcome != outcomeSeen):
				return h, nil
			case h.err == nil:
				lost = &h // another way was faster, and may still bring the answer
			default:
				failures = append(failures, fmt.Sprintf("by %s: %v", ways[h.way].ID.Short(), h.err))
			}
			if lost == nil && next < len(ways) && ctx.Err() == nil {
				ask()
			}
		case <-late:
			ask()
		case <-ctx.Done():
			return heard{}, ctx.Err()
		}
	}
	if lost != nil {
		return *lost, nil
	}
	return heard{}, fmt.Errorf("%w: %s", p2p.ErrUnreachable, strings.Join(failures, "; "))
}

// patienceOf is how long a context lasts.
func patienceOf(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return defaultPatience
	}
	return min(time.Until(end), maxPatience*time.Millisecond)
}

// hop hands e to one member and waits for what comes of it.
func (r *Router) hop(ctx context.Context, e *Envelope, d digest, from p2p.ID, i int, w way) heard {
	fail := func(err error) heard { return heard{way: i, via: w.ID, err: err} }
	out := *e
	out.Hops--
	// What is kept back is for the way of the answer, and for another try.
	out.Patience = uint32(max(patienceOf(ctx)*7/8, 0) / time.Millisecond)
	if from.IsZero() {
		leave, err := r.sent.enter(ctx, w.ID)
		if err != nil {
			return fail(err)
		}
		defer leave()
	} else if i > 0 && !r.limits.again(from, len(e.Request), time.Now()) {
		return fail(errors.New("no more tries"))
	}
	b, err := out.encode()
	if err != nil {
		return fail(err)
	}
	r.o.Publish.Emit(Hop{From: e.From(), To: e.To, Via: w.ID, Proto: e.Proto, Hops: MaxHops - int(e.Hops) + 1})
	raw, err := w.link.Call(ctx, ForwardProtocol, b)
	if err != nil {
		return fail(err)
	}
	target, ok := r.o.Member(e.To)
	if !ok && !from.IsZero() {
		return heard{way: i, via: w.ID, raw: raw} // the origin will know
	}
	a, err := openAnswer(raw, target.Key, r.o.Network(), d)
	if err != nil {
		return fail(err)
	}
	return heard{way: i, via: w.ID, raw: raw, a: a}
}

// handleForward takes an envelope in that a member has sent over its link: of its own, or
// of somebody else.
func (r *Router) handleForward(ctx context.Context, from p2p.Link, b []byte) (resp []byte, err error) {
	e, err := decodeEnvelope(b)
	if err != nil {
		return nil, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	network := r.o.Network()
	d := e.digest(network)
	switch r.limits.enter(from.Peer(), d, len(b), time.Now()) {
	case overRate:
		return nil, &p2p.CallError{Code: codeBusy, Message: "too much to pass on"}
	case alreadyHere:
		return nil, &p2p.CallError{Code: codeSeen, Message: "it is on its way from here"}
	case admitted:
	}
	defer func() { r.limits.leave(from.Peer(), d, len(resp)) }()
	if origin, ok := r.present(e.From(), e.Proof); !ok || !bytes.Equal(origin.Key, e.Origin) {
		return nil, &p2p.CallError{Code: codeForbidden, Message: "the origin is no member"}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.Patience)*time.Millisecond)
	defer cancel()
	if e.To == r.self {
		a, err := r.answer(ctx, e, network)
		if err != nil {
			return nil, err
		}
		return a.seal(r.o.Identity, network, d)
	}
	h, err := r.pass(ctx, e, d, from.Peer())
	if err != nil {
		return nil, &p2p.CallError{Code: codeUnreachable, Message: brief(err)}
	}
	return h.raw, nil
}

// brief keeps an explanation short, which grows with every hop.
func brief(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

// answer serves a request that was forwarded to this node. The error, which nobody signs,
// is for requests that nobody has signed.
func (r *Router) answer(ctx context.Context, e *Envelope, network p2p.ID) (answer, error) {
	if !e.verify(network) {
		return answer{}, &p2p.CallError{Code: codeForbidden, Message: "not signed by its origin for this network"}
	}
	from := e.From()
	leave, ok := r.served.tryEnter(from)
	if !ok {
		return answer{Outcome: outcomeBusy}, nil
	}
	defer leave()
	r.mu.Lock()
	ok, seen, epoch := r.guard.admit(from, e.Incarnation, e.Epoch, e.Seq)
	r.mu.Unlock()
	switch {
	case seen:
		return answer{Outcome: outcomeSeen}, nil
	case !ok:
		return answer{Outcome: outcomeEpoch, Epoch: epoch, Public: r.secret.PublicKey().Bytes()}, nil
	}
	keys, err := share(r.secret, e.Public, r.secret.PublicKey().Bytes(), network, e)
	if err != nil {
		return answer{}, &p2p.CallError{Code: codeMalformed, Message: err.Error()}
	}
	sealed, err := keys.seal(r.result(ctx, e, keys), e.Seq)
	return answer{Outcome: outcomeDone, Sealed: sealed}, err
}

// result serves an opened request.
func (r *Router) result(ctx context.Context, e *Envelope, keys *secrets) result {
	req, err := keys.request.Open(nil, nonceOf(e.Seq), e.Request, nil)
	if err != nil {
		return result{Code: codeMalformed, Text: "sealed for somebody else"}
	}
	body, err := r.serve(ctx, e.From(), e.Proto, req)
	if err == nil && len(body) > MaxForwarded {
		err = &p2p.CallError{Code: codeTooLarge, Message: fmt.Sprintf("answer of %d bytes, at most %d without a link", len(body), MaxForwarded)}
	}
	hops := MaxHops - e.Hops
	if err == nil {
		return result{Body: body, Hops: hops}
	}
	code, text := failure(err)
	return result{Code: code, Text: text, Hops: hops}
}

// failure is how an error of a handler travels: as over a link.
func failure(err error) (code, text string) {
	var refused *p2p.CallError
	if !errors.As(err, &refused) || refused.Code == "" {
		return codeInternal, brief(err)
	}
	return refused.Code[:min(len(refused.Code), wire.MaxProto)], strings.ToValidUTF8(refused.Message[:min(len(refused.Message), maxText)], "")
}
