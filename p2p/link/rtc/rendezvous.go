package rtc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
)

// A rendezvous is a node that two others reach who cannot reach each other. It need
// not be of their network. Each of them keeps a WebSocket to it and says, signed,
// who it is; what comes for it over [signalPath] is passed on. A request is a number
// of four bytes and the sealed offer; the reply has the same number.
const rendezvousPath = "/p2p/rendezvous"

const (
	maxMeetings          = 256 // nodes that are registered at one time
	maxHouseholdMeetings = 8
	meetingSilence       = 70 * time.Second
	meetingPing          = 25 * time.Second
)

// meetings are the nodes that are registered here. The zero value is ready.
type meetings struct {
	mu    sync.Mutex // guards all that follows
	all   map[p2p.ID]*meeting
	count map[netip.Prefix]int
}

// meeting is one registered node.
type meeting struct {
	id   p2p.ID
	from netip.Prefix
	conn *websocket.Conn
	done chan struct{}

	mu      sync.Mutex // guards all that follows, and writing
	last    uint32
	waiting map[uint32]chan []byte
}

// enter registers m, in the place of an older connection of the same node.
func (ms *meetings) enter(m *meeting) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	old := ms.all[m.id]
	if old == nil && (len(ms.all) >= maxMeetings || ms.count[m.from] >= maxHouseholdMeetings) {
		return false
	}
	if ms.all == nil {
		ms.all, ms.count = map[p2p.ID]*meeting{}, map[netip.Prefix]int{}
	}
	if old != nil {
		ms.remove(old)
		_ = old.conn.Close()
	}
	ms.all[m.id] = m
	ms.count[m.from]++
	return true
}

func (ms *meetings) leave(m *meeting) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.all[m.id] == m {
		ms.remove(m)
	}
}

// remove is leave with ms.mu held.
func (ms *meetings) remove(m *meeting) {
	delete(ms.all, m.id)
	if ms.count[m.from]--; ms.count[m.from] == 0 {
		delete(ms.count, m.from)
	}
}

func (ms *meetings) of(id p2p.ID) *meeting {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.all[id]
}

var errNoMeeting = errors.New("rtc: rendezvous: no answer")

// ask passes an offer on and waits for the reply.
func (m *meeting) ask(ctx context.Context, msg []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	m.mu.Lock()
	m.last++
	n := m.last
	m.waiting[n] = reply
	_ = m.conn.SetWriteDeadline(time.Now().Add(signalTimeout))
	err := m.conn.WriteMessage(websocket.BinaryMessage, numbered(n, msg))
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiting, n)
	}()
	if err != nil {
		return nil, fmt.Errorf("rtc: rendezvous: %w", err)
	}
	select {
	case out := <-reply:
		if len(out) == 0 {
			return nil, errNoMeeting
		}
		return out, nil
	case <-m.done:
		return nil, errNoMeeting
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// replied takes a reply.
func (m *meeting) replied(b []byte) {
	n, msg, ok := number(b)
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.waiting[n]; c != nil {
		delete(m.waiting, n)
		c <- msg
	}
}

func numbered(n uint32, msg []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(msg)), n), msg...)
}

func number(b []byte) (n uint32, msg []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

// serveRendezvous registers a node as long as its WebSocket stands.
func (t *Transport) serveRendezvous(w http.ResponseWriter, r *http.Request) {
	if !t.enter() {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	defer t.running.Done()
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has replied
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
	from := household(c.RemoteAddr())
	if t.o.Relay == RelayOff || !t.perHousehold.take(from, time.Now()) {
		bye(c, closeLimited, rateLimited())
		return
	}
	id, err := t.register(c)
	if err != nil {
		bye(c, closeFailed, err)
		return
	}
	settleRequest(r)
	m := &meeting{id: id, from: from, conn: c, done: make(chan struct{}), waiting: map[uint32]chan []byte{}}
	if !t.meetings.enter(m) {
		bye(c, closeLimited, &p2p.CallError{Code: "busy", Message: "too many nodes are registered"})
		return
	}
	defer t.meetings.leave(m)
	defer close(m.done)
	t.log.Debug("a node has registered", "id", id.Short())
	c.SetPingHandler(func(data string) error {
		_ = c.SetReadDeadline(time.Now().Add(meetingSilence))
		return c.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	})
	for {
		_ = c.SetReadDeadline(time.Now().Add(meetingSilence))
		kind, msg, err := c.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			return
		}
		m.replied(msg)
	}
}

// register makes the other end of c prove who it is: it signs what nobody has signed
// before.
func (t *Transport) register(c *websocket.Conn) (p2p.ID, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return p2p.ID{}, fmt.Errorf("rtc: rendezvous: %w", err)
	}
	c.SetReadLimit(maxEnvelope + 4)
	deadline := time.Now().Add(signalTimeout)
	_ = c.SetWriteDeadline(deadline)
	_ = c.SetReadDeadline(deadline)
	if err := c.WriteMessage(websocket.BinaryMessage, nonce[:]); err != nil {
		return p2p.ID{}, fmt.Errorf("rtc: rendezvous: %w", err)
	}
	kind, msg, err := c.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage {
		return p2p.ID{}, fmt.Errorf("rtc: rendezvous: %w", errors.Join(errNoMeeting, err))
	}
	e, err := open(msg)
	if err != nil {
		return p2p.ID{}, err
	}
	if e.Kind != registration || e.Nonce != nonce {
		return p2p.ID{}, &p2p.CallError{Code: "malformed", Message: "not a registration"}
	}
	return p2p.IDOf(e.From), nil
}

// passOn gives an offer to a node that is registered here.
func (t *Transport) passOn(ctx context.Context, m *meeting, msg []byte) ([]byte, error) {
	if now := time.Now(); !t.forwarding.registered.take(m.id, now) || !t.forwarding.meetings.take(struct{}{}, now) {
		return nil, rateLimited()
	}
	out, err := m.ask(ctx, msg)
	if err != nil {
		return nil, notForwarded()
	}
	return out, nil
}
