package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Operations of NAT-PMP (RFC 6886 §3.2, §3.3). An answer has natPMPReply added.
const (
	natPMPAddress byte = 0
	natPMPUDP     byte = 1
	natPMPTCP     byte = 2
	natPMPReply   byte = 128
)

// natPMPOp returns the operation that maps for the transport.
func natPMPOp(transport string) byte {
	if transport == "tcp" {
		return natPMPTCP
	}
	return natPMPUDP
}

// encodeNATPMPAddress asks for the outside address.
func encodeNATPMPAddress() []byte { return []byte{0, natPMPAddress} }

// encodeNATPMPMap asks for a mapping. To remove one, external and lifetime are 0.
func encodeNATPMPMap(op byte, internal, external uint16, lifetime time.Duration) []byte {
	b := []byte{0, op, 0, 0}
	b = binary.BigEndian.AppendUint16(b, internal)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, uint32(lifetime/time.Second))
}

// natPMPAnswer is an answer to either question. Of a refusal, only Op, Result and
// Epoch count.
type natPMPAnswer struct {
	Op       byte // without natPMPReply
	Result   uint16
	Epoch    uint32     // seconds since the router forgot its mappings
	Address  netip.Addr // natPMPAddress only
	Internal uint16     // the others
	External uint16
	Lifetime time.Duration
}

var errNotNATPMP = errors.New("not an answer of NAT-PMP")

// decodeNATPMP reads an answer. Bytes after it are ignored.
func decodeNATPMP(b []byte) (natPMPAnswer, error) {
	if len(b) < 8 || b[0] != 0 || b[1] < natPMPReply {
		return natPMPAnswer{}, errNotNATPMP
	}
	a := natPMPAnswer{Op: b[1] - natPMPReply, Result: binary.BigEndian.Uint16(b[2:]), Epoch: binary.BigEndian.Uint32(b[4:])}
	switch a.Op {
	case natPMPAddress:
		if len(b) >= 12 {
			a.Address = netip.AddrFrom4([4]byte(b[8:12]))
		}
	case natPMPUDP, natPMPTCP:
		if len(b) >= 16 {
			a.Internal = binary.BigEndian.Uint16(b[8:])
			a.External = binary.BigEndian.Uint16(b[10:])
			a.Lifetime = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
		}
	default:
		return natPMPAnswer{}, fmt.Errorf("%w: operation %d", errNotNATPMP, a.Op)
	}
	// A router may leave out of a refusal what it has no value for (§3.5).
	if a.Result == 0 && (a.Op == natPMPAddress && len(b) < 12 || a.Op != natPMPAddress && len(b) < 16) {
		return natPMPAnswer{}, fmt.Errorf("%w: cut off after %d bytes", errNotNATPMP, len(b))
	}
	return a, nil
}

// natPMPRefusal says what a result means (§3.5), or returns nil for success.
func natPMPRefusal(result uint16) error {
	switch result {
	case 0:
		return nil
	case 1:
		return &refusal{why: "the router speaks another version of the protocol"}
	case 2:
		return &refusal{why: "the router does not allow it: its settings have to be changed"}
	case 3:
		return &refusal{why: "the router has no outside address that it can map: it is not connected, or behind another NAT", nested: true}
	case 4:
		return &refusal{why: "the router has no room for another mapping"}
	case 5:
		return &refusal{why: "the router does not know the operation"}
	}
	return &refusal{why: fmt.Sprintf("the router refuses with code %d", result)}
}
