package rtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// unasked is a node whose TCP port does not answer, so that there is no signalling.
func unasked(t *testing.T, i byte, change func(*Options)) *testNode {
	n := newNode(t, i, change)
	_ = n.splitter.Close()
	return n
}

// A member gets in where only the p2p port's UDP answers.
func TestDirect(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), unasked(t, 2, nil)
	l, err := a.Dial(t.Context(), b.contact(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.keep(l)
	mustEcho(t, l)
	mustEcho(t, mustAccept(t, b))
	if l.Peer() != b.id || l.Path().Kind != p2p.PathDirect {
		t.Errorf("%s over %+v", l.Peer().Short(), l.Path())
	}
}

// Who is no member, is not whom the dialling node wants, or is of another network,
// gets no link.
func TestDirectKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	a := newNode(t, 1, nil)
	closed := unasked(t, 2, func(o *Options) { o.Local.Gate = closedGate(t, p2p.Pass{}, 5) })
	if l, err := a.Dial(t.Context(), closed.contact(), nil); err == nil {
		select {
		case <-l.Done(): // it was told at once
		case <-time.After(10 * time.Second):
			t.Error("a stranger has a link")
		}
	}
	elsewhere := unasked(t, 3, func(o *Options) { o.Local.Network = func() p2p.ID { return p2p.ID{7} } })
	if _, err := a.Dial(t.Context(), elsewhere.contact(), nil); err == nil {
		t.Error("a link between two networks")
	}
	other := unasked(t, 4, nil)
	contact := other.contact()
	contact.PublicKey = newIdentity(t, 44).PublicKey()
	if _, err := a.Dial(t.Context(), contact, nil); err == nil {
		t.Error("a link to somebody else")
	}
	if _, err := a.Dial(t.Context(), other.hidden(), nil); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("without an address: %v", err)
	}
}

// Thousands of first checks cost a handful of handshakes, and an honest node gets in
// beside them.
func TestDirectFlood(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, 1, nil), newNode(t, 2, nil)
	c, err := net.Dial("udp", b.port.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for i := range 5000 {
		if _, err := c.Write(firstCheck(fmt.Sprintf("%s%022d:abcd%d", directPrefix, i, i))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "handshake", func() bool { return b.Live() > 0 })
	if n := b.Live(); n > maxHouseholdDirect {
		t.Errorf("%d connections were begun", n)
	}
	start := time.Now()
	a.mustDial(t, b.contact())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("an honest node took %v", took)
	}
}

// Who repeats a check before it is answered begins one handshake, and no other that would
// take the first one's name and end with it.
func TestDirectRepeated(t *testing.T) {
	t.Parallel()
	n := newNode(t, 1, nil)
	from := netip.MustParseAddrPort("127.0.0.1:9")
	b := firstCheck(directPrefix + strings.Repeat("p", 22) + ":abcd")
	for range 3 {
		n.knocked(b, from)
	}
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	if n.direct.all != 1 {
		t.Errorf("%d handshakes were begun", n.direct.all)
	}
}

func firstCheck(user string) []byte {
	b := stunMessage(stunRequest, 1, user)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
	return b
}

func TestDirectTarget(t *testing.T) {
	t.Parallel()
	password := strings.Repeat("p", 22)
	for user, want := range map[string]bool{
		directPrefix + password + ":abcd": true, directPrefix + "short:abcd": false, password + ":abcd": false,
		directPrefix + password: false, directPrefix + password + ":a": false, directPrefix + password + "!:abcd": false,
		directPrefix + strings.Repeat("p", 100) + ":abcd": false,
	} {
		if _, _, ok := directTarget(firstCheck(user)); ok != want {
			t.Errorf("%q: %v", user, ok)
		}
	}
}
