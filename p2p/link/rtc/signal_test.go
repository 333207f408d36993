package rtc

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// triangle links a and b to c, and to nobody else.
func triangle(t *testing.T) (a, b, c *testNode) {
	a, b, c = newNode(t, 1, nil), newNode(t, 2, nil), newNode(t, 3, nil)
	for _, n := range []*testNode{a, b} {
		n.mustDial(t, c.contact())
		mustAccept(t, c)
	}
	return a, b, c
}

func TestRelayThroughMember(t *testing.T) {
	t.Parallel()
	a, b, c := triangle(t)
	l := a.mustDial(t, b.hidden(c.id))
	if p := l.Path(); p.Kind != p2p.PathDirect || p.Remote != b.port.addr() {
		t.Errorf("the link itself does not go past the relay: %+v", p)
	}
	mustEcho(t, mustAccept(t, b))
}

func TestRelayWithoutLinkToPeer(t *testing.T) {
	t.Parallel()
	a, c := newNode(t, 1, nil), newNode(t, 3, nil)
	stranger := newNode(t, 4, nil)
	a.mustDial(t, c.contact())
	_, err := a.Dial(t.Context(), stranger.hidden(c.id), nil)
	if !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "via "+c.id.Short()+": not_linked") {
		t.Errorf("error %v", err)
	}
}

// An invitation names members that have links to the inviter: the joiner has no
// link to anybody yet and asks them over their WebSockets.
func TestRelayThroughSocketOfMember(t *testing.T) {
	t.Parallel()
	b, c := newNode(t, 2, nil), newNode(t, 3, nil)
	b.mustDial(t, c.contact())
	mustAccept(t, c)
	a := newNode(t, 1, nil)
	l, err := a.DialVia(t.Context(), b.hidden(), nil, []p2p.Contact{c.contact()})
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, l)
}

func TestUnreachableSaysWhatWasTried(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	contact := b.contact()
	_ = b.Close()
	_, err := a.Dial(t.Context(), contact, nil)
	if !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "ws "+contact.Addrs[0].String()+": connection refused") {
		t.Errorf("error %v", err)
	}
	if _, err = a.Dial(t.Context(), b.hidden(), nil); !errors.Is(err, p2p.ErrUnreachable) || !strings.Contains(err.Error(), "no address") {
		t.Errorf("error %v", err)
	}
	if _, err = a.Dial(t.Context(), a.contact(), nil); err == nil {
		t.Error("a node dialled itself")
	}
	waitNoneLive(t, a)
}

// waitNoneLive waits until n has no PeerConnection.
func waitNoneLive(t *testing.T, n *testNode) { waitLive(t, n, 0) }

func waitLive(t *testing.T, n *testNode, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); n.Live() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d PeerConnections, want %d", n.Live(), want)
		}
	}
}

// invitationGate admits who proves to know pass, and counts everybody.
func invitationGate(pass p2p.Pass, knocks *atomic.Int32) p2p.Gate {
	return func(k p2p.Knock) error {
		knocks.Add(1)
		h := hmac.New(sha256.New, pass.Key[:])
		h.Write(k.Message)
		if k.Invite != pass.Invite || !hmac.Equal(h.Sum(nil), k.MAC) {
			return p2p.ErrRefused
		}
		return nil
	}
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	pass := p2p.Pass{Network: testNetwork, Invite: [16]byte{7}, Key: [32]byte{8}}
	var knocks atomic.Int32
	b := newNode(t, 2, func(o *Options) { o.Local.Gate = invitationGate(pass, &knocks) })
	// The joiner is still of a network of its own.
	a := newNode(t, 1, func(o *Options) { o.Local.Network = func() p2p.ID { return p2p.ID{99} } })

	for name, wrong := range map[string]*p2p.Pass{
		"none":         nil,
		"wrong secret": {Network: pass.Network, Invite: pass.Invite, Key: [32]byte{9}},
		"wrong number": {Network: pass.Network, Invite: [16]byte{6}, Key: pass.Key},
		"other net":    {Network: p2p.ID{5}, Invite: pass.Invite, Key: pass.Key},
	} {
		if _, err := a.Dial(t.Context(), b.contact(), wrong); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if b.Live() != 0 {
			t.Errorf("%s: a PeerConnection was made for somebody who is not admitted", name)
		}
	}
	l, err := a.Dial(t.Context(), b.contact(), &pass)
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, l)
	if n := knocks.Load(); n != 3 { // two of the right network without the proof, and the last
		t.Errorf("the gate was asked %d times", n)
	}
	waitLive(t, a, 1)
}

// A relay that alters what it carries gets nothing but a dial that fails.
func TestTamperingRelay(t *testing.T) {
	t.Parallel()
	mallory := newIdentity(t, 66)
	reseal := func(change func(*envelope)) func(string, []byte) []byte {
		return func(_ string, msg []byte) []byte {
			e, err := open(msg)
			if err != nil {
				return msg
			}
			change(&e)
			out, err := seal(mallory, e)
			if err != nil {
				return msg
			}
			return out
		}
	}
	keepSignature := func(change func(*envelope)) func(string, []byte) []byte {
		return func(_ string, msg []byte) []byte {
			var s sealed
			var e envelope
			if wire.Unmarshal(msg, &s) != nil || wire.Unmarshal(s.Body, &e) != nil {
				return msg
			}
			change(&e)
			s.Body, _ = wire.Marshal(e)
			out, _ := wire.Marshal(s)
			return out
		}
	}
	onReply := func(alter func(string, []byte) []byte) func(string, []byte) []byte {
		return func(what string, msg []byte) []byte {
			if what == "request" {
				return msg
			}
			return alter(what, msg)
		}
	}
	swapFingerprint := func(e *envelope) {
		d, err := parseSDP(e.SDP)
		if err == nil {
			d.Fingerprint[0] ^= 1
			e.SDP = d.sdp()
		}
	}
	var seen []byte
	for name, alter := range map[string]func(string, []byte) []byte{
		"flip a bit":                 func(_ string, m []byte) []byte { m[len(m)/2] ^= 1; return m },
		"cut":                        func(_ string, m []byte) []byte { return m[:len(m)-1] },
		"empty":                      func(string, []byte) []byte { return nil },
		"swap fingerprint":           keepSignature(swapFingerprint),
		"swap it in the answer":      onReply(keepSignature(swapFingerprint)),
		"swap and sign the answer":   onReply(reseal(swapFingerprint)),
		"swap and sign as itself":    reseal(swapFingerprint),
		"sign as itself":             reseal(func(*envelope) {}),
		"raise number":               keepSignature(func(e *envelope) { e.Issued++ }),
		"make it a refusal":          onReply(keepSignature(func(e *envelope) { e.Kind, e.Code = refusal, codeRefused })),
		"refuse in the peer's name":  onReply(reseal(func(e *envelope) { e.Kind, e.Code = refusal, codeRefused })),
		"reflect the request":        func(what string, m []byte) []byte { seen = pick(what == "request", m, seen); return seen },
		"answer of an earlier offer": nil,
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := triangle(t)
			if alter == nil {
				var first []byte
				alter = func(what string, m []byte) []byte {
					if what == "reply" && first == nil {
						first = m
					}
					return pick(what == "reply", first, m)
				}
				a.mustDial(t, b.hidden(c.id))
				_ = mustAccept(t, b).Close()
			}
			c.mu.Lock()
			c.alter = alter
			c.mu.Unlock()
			if name == "answer of an earlier offer" {
				// The relay has an answer to learn first.
				l, err := a.Dial(t.Context(), b.hidden(c.id), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = l.Close()
			}
			if _, err := a.Dial(t.Context(), b.hidden(c.id), nil); !errors.Is(err, p2p.ErrUnreachable) {
				t.Errorf("error %v", err)
			}
			waitLive(t, a, 1) // the link to c
		})
	}
}

func pick(first bool, a, b []byte) []byte {
	if first {
		return a
	}
	return b
}

// A recorded offer that is sent again gets the recorded reply, then none, and the
// link that the two have does not notice.
func TestReplayedOffer(t *testing.T) {
	t.Parallel()
	a, b, c := triangle(t)
	offers := make(chan []byte, 10)
	c.mu.Lock()
	c.alter = func(what string, m []byte) []byte {
		if what == "request" {
			offers <- bytes.Clone(m)
		}
		return m
	}
	c.mu.Unlock()
	l := a.mustDial(t, b.hidden(c.id))
	mustAccept(t, b)
	offer := <-offers
	made := b.Live()
	reply, err := askSocket(t.Context(), b.port.addr().String(), offer)
	if e, bad := open(reply); err != nil || bad != nil || e.Kind != answer {
		t.Fatalf("the same offer got %v, %v, %v", e.Kind, bad, err)
	}
	b.Transport.mu.Lock()
	b.replies = replies{}
	b.Transport.mu.Unlock()
	reply, err = askSocket(t.Context(), b.port.addr().String(), offer)
	if e, bad := open(reply); err != nil || bad != nil || e.Kind != refusal || e.Code != codeStale {
		t.Fatalf("the old offer got %+v, %v, %v", e, bad, err)
	}
	if b.Live() != made {
		t.Errorf("a replay made a PeerConnection")
	}
	mustEcho(t, l)
	// A process that has just started knows no numbers. It makes a PeerConnection,
	// which finds nobody; the link stays.
	b.Transport.mu.Lock()
	b.replies, b.floors = replies{}, floors{}
	b.Transport.mu.Unlock()
	reply, err = askSocket(t.Context(), b.port.addr().String(), offer)
	if e, bad := open(reply); err != nil || bad != nil || e.Kind != answer {
		t.Fatalf("the offer got %v, %v, %v", e.Kind, bad, err)
	}
	for range 20 {
		mustEcho(t, l)
	}
	select {
	case <-l.Done():
		t.Errorf("the link ended: %v", l.Err())
	default:
	}
}

// A node whose clock was set back can dial all the same.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	b.Transport.mu.Lock()
	b.floors.set(a.id, time.Now().Add(1000*time.Hour).UnixNano())
	b.Transport.mu.Unlock()
	a.mustDial(t, b.contact())
}

func TestGarbageOverSocket(t *testing.T) {
	t.Parallel()
	b := newNode(t, 2, nil)
	url := "ws://" + b.port.addr().String() + signalPath
	good := envelope{Kind: offer, To: b.id, Network: testNetwork, Issued: 1, SDP: "v=0\r\n"}
	badSDP, err := seal(newIdentity(t, 1), good)
	if err != nil {
		t.Fatal(err)
	}
	good.Kind = answer
	notOffer, err := seal(newIdentity(t, 1), good)
	if err != nil {
		t.Fatal(err)
	}
	for name, msg := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "oversized": make([]byte, maxEnvelope+1),
		"bad sdp": badSDP, "not an offer": notOffer,
	} {
		c, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.WriteMessage(websocket.BinaryMessage, msg)
		if _, reply, err := c.ReadMessage(); err == nil {
			t.Errorf("%s: reply of %d bytes", name, len(reply))
		}
		_ = c.Close()
	}
	if b.Live() != 0 {
		t.Errorf("%d PeerConnections", b.Live())
	}
}

func TestPagesAreTurnedAway(t *testing.T) {
	t.Parallel()
	b := newNode(t, 2, nil)
	_, res, err := websocket.DefaultDialer.Dial("ws://"+b.port.addr().String()+signalPath, http.Header{"Origin": {"http://" + b.port.addr().String()}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a page got in: %v", err)
	}
	for _, path := range []string{"/", "/p2p", "/p2p/signal/x", "/api/status"} {
		res, err := http.Get("http://" + b.port.addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// While one household floods the port, a member gets through over its link, and
// the flood gets no PeerConnection.
// TestFlood: thousands who open connections and say nothing, or half of something, do
// not keep an honest node out.
func TestFlood(t *testing.T) {
	t.Parallel()
	a, b, _ := triangle(t)
	addr := b.port.addr().String()
	var idle []net.Conn
	var over atomic.Int32
	for i := range 5000 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		half := []string{"", "GET /p2p/signal HTTP/1.1\r\nHost: x\r\n", "\x00\x03\x00\x00\x21\x12\xa4\x42 half of TURN", "\x00\x40\x00\x01\x00"}[i%4]
		if _, err := conn.Write([]byte(half)); err != nil {
			over.Add(1) // it has made room already
		}
		if idle = append(idle, conn); len(idle) > 400 {
			_ = idle[0].Close()
			idle = idle[1:]
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	l, err := a.Dial(ctx, b.contact(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.keep(l)
	mustEcho(t, l)
	t.Logf("linked in %v", time.Since(start))
	if n := len(b.conns()); n > maxHouseholdConns {
		t.Errorf("%d connections are open", n)
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
}

func (n *testNode) conns() []*cappedConn {
	l := n.splitter.Listener.(*cappedListener)
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.conns)
}

func TestSignalRate(t *testing.T) {
	t.Parallel()
	b := newNode(t, 2, nil)
	b.perHousehold.rate = 10
	msg := []byte("no envelope")
	var last error
	for range 100 {
		if _, last = askSocket(t.Context(), b.port.addr().String(), msg); strings.Contains(fmt.Sprint(last), "rate_limited") {
			return
		}
	}
	t.Errorf("a hundred offers in a row were read; the last got %v", last)
}

// TestAskedOverAnotherConnection: of a connection that brings nothing, as where its first packets were lost, nobody
// waits for the end.
func TestAskedOverAnotherConnection(t *testing.T) {
	t.Parallel()
	dead := make(chan struct{})
	defer close(dead)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			select {
			case <-dead:
			case <-r.Context().Done():
			}
			return
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, msg, err := c.ReadMessage()
		if err == nil {
			_ = c.WriteMessage(websocket.BinaryMessage, append([]byte("reply to "), msg...))
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), signalTimeout)
	defer cancel()
	began := time.Now()
	reply, err := askSockets(ctx, server.Listener.Addr().String(), []byte("offer"))
	if took := time.Since(began); err != nil || string(reply) != "reply to offer" || took > signalTimeout-time.Second {
		t.Errorf("%q after %v, %v", reply, took, err)
	}
	// Who refuses is not asked again.
	began = time.Now()
	server.CloseClientConnections()
	server.Close()
	if _, err := askSockets(ctx, server.Listener.Addr().String(), []byte("offer")); err == nil || time.Since(began) > askAgain/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
