package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Errors that callers tell apart. Packages wrap them with what was attempted.
var (
	// ErrClosed: the link, stream or node is closed.
	ErrClosed = errors.New("closed")
	// ErrUnreachable: no way to the peer was found.
	ErrUnreachable = errors.New("peer not reachable")
	// ErrNoPath: the peer has answered, but no packets go between the two, or too many are lost. It is
	// ErrUnreachable, too.
	ErrNoPath = fmt.Errorf("%w", ErrUnreachable)
	// ErrRefused: the peer, or this node, does not admit the other side.
	ErrRefused = errors.New("refused")
	// ErrNoProtocol: the peer does not serve the named protocol.
	ErrNoProtocol = errors.New("protocol not served")
	// ErrTooLarge: a message or value exceeds its limit.
	ErrTooLarge = errors.New("too large")
)

// Link is one authenticated connection to one peer. All methods may be used by
// several goroutines at once.
type Link interface {
	Peer() ID
	PublicKey() ed25519.PublicKey
	// Path says over which way the link runs and why over this one.
	Path() Path
	// Stats returns counters since the link came up.
	Stats() Stats
	// Binding is a value that both ends share and that nobody in between can
	// know or choose: what people compare as words.
	Binding() [32]byte

	// Call sends a request of at most 80 KiB to the peer's handler of proto
	// ("noun/1") and returns its answer. An error of the handler arrives as a
	// *CallError.
	Call(ctx context.Context, proto string, req []byte) ([]byte, error)
	// Open starts a stream. The connection also has CloseWrite() error
	// (half-close) and Reset(code uint64) error.
	Open(ctx context.Context, proto string) (net.Conn, error)
	// Accept waits for a stream that the peer opens.
	Accept(ctx context.Context) (proto string, c net.Conn, err error)

	// Done is closed when the link has ended; Err then says why.
	Done() <-chan struct{}
	Err() error
	Close() error
}

// Transport makes links. p2p/link/rtc and p2p/sim implement it.
type Transport interface {
	// Dial returns an authenticated link to exactly the node of the contact.
	// A member dials with a nil pass, a node that holds an invitation with its
	// pass.
	Dial(ctx context.Context, to Contact, pass *Pass) (Link, error)
	// Accept waits for a link that somebody else dialled.
	Accept(ctx context.Context) (Link, error)
	// Addrs are the addresses at which the p2p port can be tried, best first.
	Addrs() []netip.AddrPort
	Close() error
}

// Pass lets a node that is not yet a member knock at a network's door.
type Pass struct {
	Network ID       // of the invitation; the link authenticates for this network
	Invite  [16]byte // which invitation; not secret
	Key     [32]byte // MAC key derived from the invitation's secret
}

// Knock is the first thing a transport learns of somebody who wants a link,
// before it spends anything on him. From is proven by a signature already.
type Knock struct {
	From    ed25519.PublicKey
	Network ID
	Invite  [16]byte // zero without a pass
	MAC     []byte   // HMAC-SHA256(Pass.Key, Message); empty without a pass
	Message []byte   // what the MAC covers
	Proof   []byte   // what From shows to who does not know it; empty: nothing
}

// Gate decides whether a knock gets a link. An error refuses; its text goes to
// the log, never to the one who knocked.
type Gate func(Knock) error

// Caller asks any member, over its link. Errors: ErrUnreachable when there is
// no link to it.
type Caller interface {
	Call(ctx context.Context, to ID, proto string, req []byte) ([]byte, error)
}

// Handler answers one call that came over the link from. What it returns as error reaches the
// caller as a *CallError with the error's text; return a *CallError to set a
// code that programs can tell apart.
type Handler func(ctx context.Context, from Link, req []byte) ([]byte, error)

// CallError is the refusal or failure of a call by the peer itself.
type CallError struct {
	Code    string // stable, snake_case: "not_found", "forbidden", "no_protocol", "internal"
	Message string
}

func (e *CallError) Error() string { return e.Code + ": " + e.Message }

// PathKind says how directly two nodes are linked.
type PathKind string

// The kinds of path, best first.
const (
	PathMemory  PathKind = "memory"  // both nodes live in one process
	PathDirect  PathKind = "direct"  // an address that the peer itself has
	PathMapped  PathKind = "mapped"  // a port that a router forwards
	PathPunched PathKind = "punched" // an address that only this pair's traffic opened
	PathRelayed PathKind = "relayed" // through another computer
)

// Worse returns the less direct one of two kinds. A kind that does not exist is
// better than any.
func (k PathKind) Worse(o PathKind) PathKind {
	if slices.Index(kinds[:], o) > slices.Index(kinds[:], k) {
		return o
	}
	return k
}

// Known reports whether the kind exists.
func (k PathKind) Known() bool { return slices.Contains(kinds[:], k) }

var kinds = [...]PathKind{PathMemory, PathDirect, PathMapped, PathPunched, PathRelayed}

// Path explains a link.
type Path struct {
	Kind   PathKind
	Proto  string // "udp" or "tcp"; empty for memory
	Local  netip.AddrPort
	Remote netip.AddrPort // of a relayed path the relay's
	Relay  ID             // the member that relays; zero for none, and for a relay that is no member
	Tried  []Candidate
	Why    string // one sentence for people
}

// Candidate is an address pair that was tried for a path.
type Candidate struct {
	Local, Remote netip.AddrPort
	Kind          PathKind
	Proto         string // "udp" or "tcp"
	Relay         ID     // as of a path
	Result        string // "selected", "succeeded", "failed", "waiting"
}

// Trace is what really happened while one end of a link looked for a way to the
// other: the last attempt, and the one before it. The two ends have one each.
type Trace struct {
	Began   time.Time // zero: there is no trace
	Steps   []Step    // in the order in which they happened
	Dropped int       // steps that were too many to be kept
}

// Step is one thing that happened in an attempt, for the first time. Of the fields,
// those are set that say something about its kind.
type Step struct {
	At     time.Duration // since the trace began
	Kind   StepKind
	Remote netip.AddrPort // of the peer; of a relay, where it relays
	Way    PathKind       // of which kind Remote is
	Proto  string         // "udp" or "tcp", to Remote
	Via    ID             // the member that carried the offer, or relays
	New    bool           // nobody had offered Remote: it is where the peer's packets came from
	Note   string         // what was offered, or why something failed
}

// StepKind says what happened.
type StepKind string

// The kinds of step. An attempt begins with one of the first three.
const (
	StepOffer     StepKind = "offer"     // this node wrote an offer: its addresses
	StepRestart   StepKind = "restart"   // the same, to find another path for a link that there is
	StepOffered   StepKind = "offered"   // an offer of the peer came
	StepAsk       StepKind = "ask"       // the offer went out, over one of several ways
	StepUnasked   StepKind = "unasked"   // nothing came of that way
	StepAnswer    StepKind = "answer"    // the peer's answer came: its addresses
	StepAnswered  StepKind = "answered"  // this node answered the offer
	StepSent      StepKind = "sent"      // the first check went to an address
	StepHeard     StepKind = "heard"     // the first check came from an address
	StepReply     StepKind = "reply"     // an address answered a check
	StepRelay     StepKind = "relay"     // a relay forwards for this node
	StepNoRelay   StepKind = "no_relay"  // it does not, or no more
	StepPath      StepKind = "path"      // an address was chosen
	StepEncrypted StepKind = "encrypted" // both ends have the keys (DTLS)
	StepLinked    StepKind = "linked"    // both ends know who the other is
	StepFailed    StepKind = "failed"    // the attempt has come to nothing
)

// Stats are a link's counters.
type Stats struct {
	RTT      time.Duration // smoothed; 0 while unknown
	BytesIn  uint64        // datagram payload
	BytesOut uint64
	Since    time.Time
}
