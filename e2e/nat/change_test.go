//go:build linux

package nat

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestChanges: what the lab can do to a home while nodes run has the effect that it
// should have. No node runs.
func TestChanges(t *testing.T) {
	l := build(t, "flip")
	r1, r2, mover, cafe := l.Host("R1"), l.Host("R2"), l.Host("mover"), l.Host("cafe")
	servers := []*net.UDPConn{listen(t, r1, 7000), listen(t, r2, 7000)}
	c := listen(t, mover, 5000)
	seen := func() (at []netip.AddrPort) {
		for i, h := range []*lab.Host{r1, r2} {
			send(t, c, netip.AddrPortFrom(h.Addr, 7000))
			_, from := receive(t, servers[i], time.Second)
			at = append(at, from)
		}
		return at
	}
	before := seen()
	if before[0] != before[1] || before[0].Addr() != mover.Router.Addr() {
		t.Fatalf("behind a port-restricted NAT: seen as %v", before)
	}
	if err := mover.Router.Set(lab.Rules{NAT: lab.Symmetric}); err != nil {
		t.Fatal(err)
	}
	if at := seen(); at[0] == at[1] || at[0] == before[0] {
		t.Errorf("with a new symmetric NAT, seen as %v, before as %v", at, before)
	}
	if err := mover.Router.Set(lab.Rules{NAT: lab.PortRestricted}); err != nil {
		t.Fatal(err)
	}
	if at := seen(); at[0] != before[0] || at[1] != before[0] {
		t.Errorf("with the NAT of before, seen as %v, before as %v", at, before)
	}
	old := mover.Router.Addr()
	if err := mover.Router.Readdress(200); err != nil {
		t.Fatal(err)
	}
	if at := seen(); at[0].Addr() == old || at[0].Addr() != mover.Router.Addr() {
		t.Errorf("after the router got %v, seen as %v", mover.Router.Addr(), at)
	}
	if err := mover.Router.Set(lab.Rules{NAT: lab.PortRestricted, BlockUDP: true}); err != nil {
		t.Fatal(err)
	}
	if at := seen(); at[0].IsValid() {
		t.Errorf("where UDP is blocked, seen as %v", at)
	}
	if err := mover.Move(cafe); err != nil {
		t.Fatal(err)
	}
	if at := seen(); at[0].Addr() != cafe.Router.Addr() {
		t.Errorf("moved behind %v, seen as %v", cafe.Router.Addr(), at)
	}
}

// TestBlockedIsOnlyUDP: TCP passes where UDP is blocked.
func TestBlockedIsOnlyUDP(t *testing.T) {
	l := build(t, "blocked")
	r1, office := l.Host("R1"), l.Host("office-a")
	server, err := r1.ListenTCP(7000)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	c, err := office.Dial(ctx, "tcp4", netip.AddrPortFrom(r1.Addr, 7000).String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	at := listen(t, r1, 7000)
	send(t, listen(t, office, 5000), netip.AddrPortFrom(r1.Addr, 7000))
	if n, _ := receive(t, at, 200*time.Millisecond); n > 0 {
		t.Error("UDP passes")
	}
}

// TestForwarding: each router forwards ports by its own protocol and answers to no
// other, and what comes to the port arrives.
func TestForwarding(t *testing.T) {
	l := build(t, "mapping")
	r1 := l.Host("R1")
	for _, name := range []string{"upnp", "nat_pmp", "pcp"} {
		h := l.Host(name)
		answers := ""
		for end := time.Now().Add(5 * time.Second); answers == "" && time.Now().Before(end); { // the daemon starts
			answers = strings.Join(forwarders(t, h), " ")
		}
		if answers != name {
			t.Errorf("%s answers to %q", h.Router.Name, answers)
			continue
		}
		if name == "upnp" {
			continue // a request would be a page of XML
		}
		at := listen(t, h, 6000)
		stranger := listen(t, r1, 0)
		if passes(t, stranger, at, netip.AddrPortFrom(h.Router.Addr(), 6000)) {
			t.Errorf("%s forwards before it is asked", h.Router.Name)
		}
		request := natpmp(1, 6000)
		if name == "pcp" {
			request = pcp(h.Addr, 6000)
		}
		if answer := askRouter(t, h, request); len(answer) == 0 || answer[3] != 0 {
			t.Errorf("%s answers %x to a request for a port", h.Router.Name, answer)
		}
		if !passes(t, stranger, at, netip.AddrPortFrom(h.Router.Addr(), 6000)) {
			t.Errorf("%s does not forward a port that it says to forward", h.Router.Name)
		}
		if rules, err := h.Router.Forwarded(); err != nil || rules == "" {
			t.Errorf("%s forwards, and has no rule for it (%v)", h.Router.Name, err)
		}
	}
}

// forwarders are the protocols to which a home's router answers.
func forwarders(t *testing.T, h *lab.Host) (names []string) {
	t.Helper()
	c := listen(t, h, 0)
	search := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\r\n"
	if _, err := c.WriteToUDPAddrPort([]byte(search), netip.MustParseAddrPort("239.255.255.250:1900")); err != nil {
		t.Fatal(err)
	}
	if n, _ := receive(t, c, 700*time.Millisecond); n > 0 {
		names = append(names, "upnp")
	}
	if answer := askRouter(t, h, natpmp(0, 0)); len(answer) == 12 && answer[0] == 0 && answer[3] == 0 {
		names = append(names, "nat_pmp")
	}
	if answer := askRouter(t, h, pcp(h.Addr, 6001)); len(answer) == 60 && answer[0] == 2 && answer[3] == 0 {
		names = append(names, "pcp")
	}
	return names
}

// askRouter sends a request to the router's port for NAT-PMP and PCP.
func askRouter(t *testing.T, h *lab.Host, request []byte) []byte {
	t.Helper()
	c := listen(t, h, 0)
	gateway := h.Addr.As4()
	gateway[3] = 1
	if _, err := c.WriteToUDPAddrPort(request, netip.AddrPortFrom(netip.AddrFrom4(gateway), 5351)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1100)
	n, err := c.Read(b)
	if err != nil {
		return nil // nobody is there
	}
	return b[:n]
}

// natpmp is a request of RFC 6886: 0 for the address outside, 1 for a UDP port.
func natpmp(op byte, port uint16) []byte {
	b := []byte{0, op}
	if op == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, port)
	return binary.BigEndian.AppendUint32(b, 3600)
}

// pcp is a MAP request of RFC 6887 for a UDP port.
func pcp(own netip.Addr, port uint16) []byte {
	b := []byte{2, 1, 0, 0}
	b = binary.BigEndian.AppendUint32(b, 3600)
	mapped := own.As16()
	b = append(b, mapped[:]...)
	b = append(b, "twelve bytes"...) // the nonce
	b = append(b, 17, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, port)
	any4 := netip.IPv4Unspecified().As16()
	return append(b, any4[:]...)
}
