package direct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// The protocols: of messages, and of streams.
const (
	Proto       = "direct/1"
	StreamProto = "direct-stream/1"
)

// Limits. The first two are part of the protocol.
const (
	MaxData = 48 << 10 // bytes of a message and of its answer
	MaxPort = 64       // bytes of a port's name
	// MaxWait is how long a message waits for an answer at most.
	MaxWait    = 60 * time.Second
	inboxSize  = 256 // messages that wait at once
	inboxBytes = 4 << 20
	ofEach     = 16 // messages of one member that wait at once
	backlog    = 8  // streams of a port that nobody has accepted yet
)

// Errors that callers tell apart.
var (
	// ErrNobody: nothing at the other side takes streams of the port.
	ErrNobody = errors.New("nobody listens")
	// ErrDenied: who listens there wants streams of others only.
	ErrDenied = errors.New("whoever listens there wants somebody else")
	// ErrFull: too many messages wait there.
	ErrFull = errors.New("the inbox is full")
	// ErrUnknown: no message with this number waits, or not any more.
	ErrUnknown = errors.New("no such message waits")
	// ErrPort: a port's name that is none, or is taken.
	ErrPort = errors.New("port cannot be used")
)

// The codes of refusals.
const (
	codeNobody = "nobody_listens"
	codeDenied = "denied"
	codeFull   = "inbox_full"
)

// Handler answers messages of one port.
type Handler func(ctx context.Context, from p2p.ID, data []byte) ([]byte, error)

// Caller asks members (package route).
type Caller interface {
	Call(ctx context.Context, to p2p.ID, proto string, req []byte) ([]byte, error)
}

// Options of a Service.
type Options struct {
	Caller  Caller
	Link    func(context.Context, p2p.ID) (p2p.Link, error) // makes one if it has to
	Publish p2p.Publish
}

// Message is one that waits for an answer here.
type Message struct {
	Number uint64    `json:"number"`
	From   p2p.ID    `json:"from"`
	Port   string    `json:"port"`
	Data   []byte    `json:"-"`
	Size   int       `json:"size"`
	At     time.Time `json:"at"`
}

// Received is the event that a message came.
type Received struct {
	Message
	Handled bool `json:"handled"` // a program has answered it; else it waits in the inbox
}

// Topic implements p2p.Event.
func (Received) Topic() string { return "direct.received" }

// Service sends and receives. Its methods may be used by several goroutines at once.
type Service struct {
	o Options

	mu       sync.Mutex // guards all following fields
	handlers map[string]Handler
	streams  map[string]*Listener
	number   uint64
	inbox    map[uint64]*waiting
	bytes    int
}

type waiting struct {
	Message
	answer chan []byte // has room for one
}

// Stream is one that a member has opened.
type Stream struct {
	From p2p.ID
	Conn net.Conn
}

// New returns a service without handlers.
func New(o Options) *Service {
	return &Service{o: o, handlers: map[string]Handler{}, streams: map[string]*Listener{}, inbox: map[uint64]*waiting{}}
}

// request is a message on its way.
type request struct {
	Port string `cbor:"1,keyasint,omitempty"`
	Data []byte `cbor:"2,keyasint,omitempty"`
	Wait uint32 `cbor:"3,keyasint,omitempty"` // milliseconds that the sender waits
}

// response is the answer to it.
type response struct {
	Data     []byte `cbor:"1,keyasint,omitempty"`
	Answered bool   `cbor:"2,keyasint,omitempty"` // false: it was received, and nobody has answered in time
}

// Answer is what came back for a message.
type Answer struct {
	Data     []byte
	Answered bool // somebody has answered; else the message has only been received
	Took     time.Duration
}

// Send brings data to a port of a member and waits for the answer, at most for wait (0: only
// until it has been received) or until ctx ends. Errors: ErrFull, p2p.ErrTooLarge,
// p2p.ErrUnreachable, those of the handler as *p2p.CallError.
func (s *Service) Send(ctx context.Context, to p2p.ID, port string, data []byte, wait time.Duration) (Answer, error) {
	if len(port) > MaxPort {
		return Answer{}, fmt.Errorf("direct: port %.20q…: %w", port, ErrPort)
	}
	if len(data) > MaxData {
		return Answer{}, fmt.Errorf("direct: message of %d bytes, at most %d: %w", len(data), MaxData, p2p.ErrTooLarge)
	}
	req, err := wire.Marshal(request{Port: port, Data: data, Wait: uint32(min(max(wait, 0), MaxWait).Milliseconds())})
	if err != nil {
		return Answer{}, fmt.Errorf("direct: %w", err)
	}
	began := time.Now()
	b, err := s.o.Caller.Call(ctx, to, Proto, req)
	if err != nil {
		return Answer{}, fmt.Errorf("direct: message to %s: %w", to.Short(), named(err))
	}
	var r response
	if err := wire.Unmarshal(b, &r); err != nil {
		return Answer{}, fmt.Errorf("direct: answer of %s: %w", to.Short(), err)
	}
	return Answer{Data: r.Data, Answered: r.Answered, Took: time.Since(began)}, nil
}

// named gives a refusal its name.
func named(err error) error {
	var refused *p2p.CallError
	if errors.As(err, &refused) && refused.Code == codeFull {
		return errors.Join(ErrFull, err)
	}
	return err
}

// Handle sets who answers messages of a port; nil: nobody, so that they wait in the inbox.
func (s *Service) Handle(port string, h Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == nil {
		delete(s.handlers, port)
	} else {
		s.handlers[port] = h
	}
}

// HandleCall answers Proto.
func (s *Service) HandleCall(ctx context.Context, from p2p.ID, req []byte) ([]byte, error) {
	var r request
	if err := wire.Unmarshal(req, &r); err != nil {
		return nil, &p2p.CallError{Code: "malformed", Message: err.Error()}
	}
	if len(r.Port) > MaxPort || len(r.Data) > MaxData {
		return nil, &p2p.CallError{Code: "malformed", Message: fmt.Sprintf("a port of %d bytes, a message of %d", len(r.Port), len(r.Data))}
	}
	s.mu.Lock()
	h := s.handlers[r.Port]
	s.mu.Unlock()
	m := Message{From: from, Port: r.Port, Data: r.Data, Size: len(r.Data), At: time.Now()}
	if h != nil {
		data, err := h(ctx, from, r.Data)
		s.o.Publish.Emit(Received{m, true})
		if err != nil {
			return nil, err
		}
		return wire.Marshal(response{Data: data, Answered: true})
	}
	data, answered, err := s.wait(ctx, m, min(time.Duration(r.Wait)*time.Millisecond, MaxWait))
	if err != nil {
		return nil, err
	}
	return wire.Marshal(response{Data: data, Answered: answered})
}

// wait keeps a message until somebody answers it or the sender gives up.
func (s *Service) wait(ctx context.Context, m Message, patience time.Duration) (data []byte, answered bool, err error) {
	w, err := s.enter(m)
	if err != nil {
		return nil, false, err
	}
	s.o.Publish.Emit(Received{w.Message, false})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case data = <-w.answer:
		return data, true, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbox[w.Number] == w {
		s.remove(w)
		return nil, false, nil
	}
	return <-w.answer, true, nil // it came at the last moment
}

// enter puts a message into the inbox.
func (s *Service) enter(m Message) (*waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := 0
	for _, w := range s.inbox {
		if w.From == m.From {
			same++
		}
	}
	if len(s.inbox) >= inboxSize || same >= ofEach || s.bytes+m.Size > inboxBytes {
		return nil, &p2p.CallError{Code: codeFull, Message: ErrFull.Error()}
	}
	s.number++
	m.Number = s.number
	w := &waiting{Message: m, answer: make(chan []byte, 1)}
	s.inbox[m.Number] = w
	s.bytes += m.Size
	return w, nil
}

// remove takes a message out of the inbox. The caller holds s.mu.
func (s *Service) remove(w *waiting) {
	delete(s.inbox, w.Number)
	s.bytes -= w.Size
}

// Inbox returns the messages that wait, oldest first.
func (s *Service) Inbox() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Message, 0, len(s.inbox))
	for _, w := range s.inbox {
		out = append(out, w.Message)
	}
	slices.SortFunc(out, func(a, b Message) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// Reply answers a message that waits. Errors: ErrUnknown, p2p.ErrTooLarge.
func (s *Service) Reply(number uint64, data []byte) error {
	if len(data) > MaxData {
		return fmt.Errorf("direct: answer of %d bytes, at most %d: %w", len(data), MaxData, p2p.ErrTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.inbox[number]
	if w == nil {
		return fmt.Errorf("direct: message %d: %w", number, ErrUnknown)
	}
	s.remove(w)
	w.answer <- data
	return nil
}
