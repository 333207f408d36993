package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Sizes and numbers of PCP (RFC 6887 §7, §11.1).
const (
	pcpVersion  = 2
	pcpHeader   = 24
	pcpMapSize  = 36
	pcpMaxSize  = 1100
	pcpReply    = 0x80
	pcpAnnounce = 0
	pcpMap      = 1
	pcpNoSuchOp = 4 // a result
)

// pcpProtocol returns the IANA number of the transport.
func pcpProtocol(transport string) byte {
	if transport == "tcp" {
		return 6
	}
	return 17
}

// pcpMapping is the payload of MAP. The nonce says whose mapping it is; both
// sides repeat it.
type pcpMapping struct {
	Nonce    [12]byte
	Protocol byte
	Internal uint16
	External netip.AddrPort // wished, or assigned
}

// encodePCP begins a request of the client, which names its own address so that
// the router notices a NAT between the two.
func encodePCP(op byte, lifetime time.Duration, client netip.Addr) []byte {
	b := []byte{pcpVersion, op, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
	a := client.As16()
	return append(b, a[:]...)
}

// encodePCPMap asks for a mapping, or, with lifetime 0, for its removal.
func encodePCPMap(client netip.Addr, lifetime time.Duration, m pcpMapping) []byte {
	b := encodePCP(pcpMap, lifetime, client)
	b = append(b, m.Nonce[:]...)
	b = append(b, m.Protocol, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.Internal)
	b = binary.BigEndian.AppendUint16(b, m.External.Port())
	a := m.External.Addr().As16()
	return append(b, a[:]...)
}

// pcpAnswer is an answer to ANNOUNCE or MAP.
type pcpAnswer struct {
	Op       byte
	Result   byte
	Lifetime time.Duration // of a refusal: how long it will be the same
	Epoch    uint32        // seconds since the router forgot its mappings
	Map      pcpMapping    // of pcpMap
}

var (
	errNotPCP    = errors.New("not an answer of PCP")
	errOlderThan = fmt.Errorf("%w: the router speaks NAT-PMP only", errNotPCP)
)

// decodePCP reads an answer. Options are skipped: none was asked for.
func decodePCP(b []byte) (pcpAnswer, error) {
	switch {
	case len(b) >= 4 && b[0] == 0 && b[1] >= natPMPReply:
		return pcpAnswer{}, errOlderThan // RFC 6886 §3.5: the answer to an unknown version
	case len(b) < pcpHeader || len(b) > pcpMaxSize || len(b)%4 != 0:
		return pcpAnswer{}, fmt.Errorf("%w: %d bytes", errNotPCP, len(b))
	case b[0] != pcpVersion:
		return pcpAnswer{}, fmt.Errorf("%w: version %d", errNotPCP, b[0])
	case b[1]&pcpReply == 0:
		return pcpAnswer{}, fmt.Errorf("%w: a request", errNotPCP)
	}
	a := pcpAnswer{
		Op:       b[1] &^ pcpReply,
		Result:   b[3],
		Lifetime: time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second,
		Epoch:    binary.BigEndian.Uint32(b[8:]),
	}
	switch b = b[pcpHeader:]; a.Op {
	case pcpAnnounce:
	case pcpMap:
		if len(b) < pcpMapSize {
			return pcpAnswer{}, fmt.Errorf("%w: a mapping of %d bytes", errNotPCP, len(b))
		}
		addr := netip.AddrFrom16([16]byte(b[20:36])).Unmap()
		a.Map = pcpMapping{
			Nonce: [12]byte(b[:12]), Protocol: b[12], Internal: binary.BigEndian.Uint16(b[16:]),
			External: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[18:])),
		}
	default:
		return pcpAnswer{}, fmt.Errorf("%w: operation %d", errNotPCP, a.Op)
	}
	return a, nil
}

// pcpRefusal says what a result means (§7.4), or returns nil for success.
func pcpRefusal(a pcpAnswer) error {
	r := &refusal{external: a.Map.External.Addr()}
	switch a.Result {
	case 0:
		return nil
	case 1:
		r.why = "the router speaks another version of the protocol"
	case 2:
		r.why = "the router does not allow it: its settings have to be changed, or the mapping is of an earlier run and has to expire"
	case pcpNoSuchOp, 9:
		r.why = "the router does not map ports"
	case 7:
		r.why, r.nested = "the router has no outside address that it can map: it is not connected, or behind another NAT", true
	case 8:
		// miniupnpd says so when its outside address is a private one.
		r.why, r.nested = "the router has nothing to map: it is full, or behind another NAT", true
	case 10:
		r.why = "this computer has all the mappings that the router allows it"
	case 11:
		r.why = "the router cannot give the outside port"
	case 12:
		r.why, r.nested = "there is another NAT between this computer and the router", true
	default:
		r.why = fmt.Sprintf("the router refuses with code %d", a.Result)
	}
	return r
}
