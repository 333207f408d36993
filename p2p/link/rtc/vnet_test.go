package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4/vnet"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/nat"
)

// The same matrix as in e2e/nat, for people without root: pion's vnet carries the p2p
// ports' datagrams, and its routers translate and filter them, in this process. All else
// is what runs in a node. There is no TCP in it.

// natKind is a kind of NAT, in the words of RFC 3489, as RFC 4787 describes it.
type natKind struct {
	name               string
	mapping, filtering vnet.EndpointDependencyType
}

var natKinds = []natKind{
	{name: "none"},
	{"full cone", vnet.EndpointIndependent, vnet.EndpointIndependent},
	{"address-restricted", vnet.EndpointIndependent, vnet.EndpointAddrDependent},
	{"port-restricted", vnet.EndpointIndependent, vnet.EndpointAddrPortDependent},
	{"symmetric", vnet.EndpointAddrPortDependent, vnet.EndpointAddrPortDependent},
}

// needsRelay reports whether neither can know from which port the other's packets come.
func needsRelay(a, b natKind) bool {
	names := []string{a.name, b.name}
	return slices.Contains(names, "symmetric") && (a.name == b.name || slices.Contains(names, "port-restricted"))
}

// TestNATs: nodes behind any two kinds of NAT are linked, directly if packets can pass at
// all, else through a member.
func TestNATs(t *testing.T) {
	t.Parallel()
	w := newVirtual(t)
	relay := w.node(t, 1, natKinds[0])
	relay.SetReach(ReachOpen) // it relays at once
	eventually(t, "relay", func() bool {
		relay.Transport.mu.Lock()
		defer relay.Transport.mu.Unlock()
		return relay.relayServer != nil
	})
	var nodes [][2]*testNode
	for i, kind := range natKinds {
		nodes = append(nodes, [2]*testNode{w.node(t, byte(10+i), kind), w.node(t, byte(20+i), kind)})
	}
	var joining sync.WaitGroup
	for i, pair := range nodes {
		for _, n := range pair {
			joining.Go(func() { w.join(t, n, relay, natKinds[i].name != "none") })
		}
	}
	joining.Wait()
	if t.Failed() {
		return
	}
	for i, a := range natKinds {
		for j, b := range natKinds[i:] {
			t.Run(a.name+" × "+b.name, func(t *testing.T) {
				t.Parallel()
				from, to := nodes[i][0], nodes[i+j][1]
				l := from.mustDial(t, to.hidden(relay.id))
				if relayed := l.Path().Kind == p2p.PathRelayed; relayed != needsRelay(a, b) {
					t.Errorf("relayed: %v; %s", relayed, l.Path().Why)
				}
			})
		}
	}
}

// virtualNet is an internet in this process.
type virtualNet struct {
	internet *vnet.Router
	log      logging.LoggerFactory
	homes    int
}

func newVirtual(t *testing.T) *virtualNet {
	t.Helper()
	log := logging.NewDefaultLoggerFactory()
	log.DefaultLogLevel = logging.LogLevelDisabled
	r, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "203.0.113.0/24", QueueSize: 4096, LoggerFactory: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &virtualNet{internet: r, log: log}
}

// node starts a node in a home of its own, or with a public address.
func (w *virtualNet) node(t *testing.T, i byte, kind natKind) *testNode {
	t.Helper()
	w.homes++
	router, at := w.internet, netip.AddrFrom4([4]byte{203, 0, 113, byte(w.homes)})
	if kind.name != "none" {
		inside, err := vnet.NewRouter(&vnet.RouterConfig{
			CIDR: fmt.Sprintf("10.0.%d.0/24", w.homes), StaticIPs: []string{at.String()}, QueueSize: 4096, LoggerFactory: w.log,
			NATType: &vnet.NATType{MappingBehavior: kind.mapping, FilteringBehavior: kind.filtering, MappingLifeTime: time.Minute},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.internet.AddRouter(inside); err != nil {
			t.Fatal(err)
		}
		if err := inside.Start(); err != nil {
			t.Fatal(err)
		}
		router, at = inside, netip.AddrFrom4([4]byte{10, 0, byte(w.homes), 2})
	}
	wire, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{at.String()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := router.AddNet(wire); err != nil {
		t.Fatal(err)
	}
	var answers nat.Responder
	return newAnyNode(t, i, silence, func(o *Options) {
		o.Listen = "0.0.0.0:0"
		o.STUN = func(b []byte, from netip.AddrPort) []byte { return answers.Respond(b, from, time.Now()) }
	}, system{
		wrap: func(real socket) socket {
			port := real.LocalAddr().(*net.UDPAddr).Port
			c, err := wire.ListenUDP("udp4", &net.UDPAddr{IP: at.AsSlice(), Port: port})
			if err != nil {
				t.Fatal(err)
			}
			return virtualSocket{PacketConn: c, unused: real}
		},
		interfaces: func() ([]netInterface, error) {
			return []netInterface{{Name: "eth0", Up: true, Addrs: []netip.Addr{at}}}, nil
		},
		dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.ErrUnsupported },
	})
}

// join links a node to the relay without signalling, which there is none of yet, and
// waits until the relay has taken the link, and the node, at home, knows how it is seen and
// has a relayed address.
func (w *virtualNet) join(t *testing.T, n, relay *testNode, home bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*handshakeTimeout)
	defer cancel()
	l, err := n.knock(ctx, relay.id, relay.Addrs()[0])
	for err != nil && ctx.Err() == nil { // its patience is short, and this computer may be busy
		l, err = n.knock(ctx, relay.id, relay.Addrs()[0])
	}
	if err != nil {
		t.Errorf("%v: %v", n.Addrs(), err)
		return
	}
	n.keep(l)
	for !slices.Contains(relay.linked(), n.id) || home && (len(n.Reflexive()) == 0 || len(n.relays.addrs(1)) == 0) {
		select {
		case <-ctx.Done():
			t.Errorf("%v: linked %v, seen at %v, relayed at %v", n.Addrs(), slices.Contains(relay.linked(), n.id), n.Reflexive(), n.relays.addrs(1))
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// virtualSocket is a socket of a vnet in place of the system's.
type virtualSocket struct {
	net.PacketConn
	unused socket
}

// Read implements socket.
func (s virtualSocket) Read(each func(b []byte, from netip.AddrPort)) error {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := s.ReadFrom(buf)
		if err != nil {
			return err
		}
		each(buf[:n], from.(*net.UDPAddr).AddrPort())
	}
}

// WriteTo implements socket.
func (s virtualSocket) WriteTo(b []byte, to netip.AddrPort) error {
	if !to.Addr().Unmap().Is4() {
		return net.InvalidAddrError("vnet has no IPv6")
	}
	_, err := s.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	if err != nil && strings.Contains(err.Error(), "closed") {
		return net.ErrClosed
	}
	return err
}

// Whole implements socket.
func (virtualSocket) Whole() bool { return false }

// Close implements socket.
func (s virtualSocket) Close() error { return errors.Join(s.PacketConn.Close(), s.unused.Close()) }
