package rtc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/nat/relay"
)

// Limits of a description.
const (
	maxSDP        = 8 << 10
	maxCandidates = 40
	// maxMessage is announced as the longest message of a data channel.
	maxMessage = link.MaxFrame + 256
)

// mapped is the foundation by which a candidate says that it is an announced
// address: one that somebody forwards, of which the sockets know nothing.
const mapped = "mapped"

// datagramAttribute names the longest datagram that a node reads, in bytes. Others have
// their own limits and do not say them.
const datagramAttribute = "shoal-datagram"

// description is what the two ends must know of each other. It is read from the
// SDP that arrives and written as a new one for pion, so that pion never sees
// text that somebody else wrote.
type description struct {
	Ufrag, Pwd  string
	Fingerprint [32]byte
	Setup       string // "actpass" in an offer, "active" or "passive" in an answer
	Datagram    int    // bytes of the longest datagram that is read; 0: unknown
	Candidates  []candidate
	Repair      bool // losses are repaired if both say so (see package repair)
}

// candidate is an address at which a node may be reached.
type candidate struct {
	Addr netip.AddrPort
	Kind p2p.PathKind // direct, mapped, punched or relayed
	TCP  bool         // over TCP, else UDP
	// Relay is the member that relays to Addr, which then is an address of its
	// switch. It is zero for other relays, whose addresses are reached as any.
	Relay p2p.ID
	// virtual is set if Addr is known to this node's mux only.
	virtual bool
}

var errSDP = errors.New("malformed session description")

// sdp writes d as RFC 8841 describes a data channel.
func (d description) sdp() string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
	fmt.Fprintf(&b, "a=fingerprint:sha-256 %s\r\na=group:BUNDLE 0\r\n", colons(d.Fingerprint))
	b.WriteString("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n")
	fmt.Fprintf(&b, "a=setup:%s\r\na=mid:0\r\na=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:%d\r\n", d.Setup, maxMessage)
	if d.Datagram > 0 {
		fmt.Fprintf(&b, "a=%s:%d\r\n", datagramAttribute, d.Datagram)
	}
	fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", d.Ufrag, d.Pwd)
	if d.Repair {
		fmt.Fprintf(&b, "a=%s:%s\r\n", repairKey, repairVersion)
	}
	for i, c := range d.Candidates {
		fmt.Fprintf(&b, "a=candidate:%s\r\n", c.line(i))
	}
	b.WriteString("a=end-of-candidates\r\n")
	return b.String()
}

// line is the candidate attribute of RFC 8839; the i-th of a description has the
// i-th local preference. Whose relay an address belongs to stands behind it as an
// extension of ours.
func (c candidate) line(i int) string {
	foundation, typ, preference, proto, rest := strconv.Itoa(i+1), "host", 126, "udp", ""
	switch c.Kind {
	case p2p.PathMapped:
		foundation = mapped
	case p2p.PathPunched:
		typ, preference, rest = "srflx", 100, " raddr 0.0.0.0 rport 0"
	case p2p.PathRelayed:
		typ, preference, rest = "relay", 0, " raddr 0.0.0.0 rport 0"
	}
	if c.TCP {
		proto, rest = "tcp", rest+" tcptype passive"
	}
	if c.TCP || c.virtual {
		preference /= 2 // RFC 6544, section 4.2: below all that goes over UDP
	}
	if !c.Relay.IsZero() {
		rest += " " + relayedBy + " " + c.Relay.String()
	}
	priority := uint32(preference)<<24 | uint32(65535-i)<<8 | 255
	return fmt.Sprintf("%s 1 %s %d %s %d typ %s%s", foundation, proto, priority, c.Addr.Addr(), c.Addr.Port(), typ, rest)
}

// repairKey is the attribute by which a node says that it repairs losses, and how.
// Nobody else knows it, and who does not is told nothing by it.
const (
	repairKey     = "shoal-repair"
	repairVersion = "1"
)

// relayedBy names the extension of a candidate.
const relayedBy = "shoal-relay"

func colons(sum [32]byte) string {
	parts := make([]string, len(sum))
	for i, c := range sum {
		parts[i] = fmt.Sprintf("%02X", c)
	}
	return strings.Join(parts, ":")
}

// parseSDP reads a description with exactly one section, which is a data channel
// over UDP. Attributes that it does not know are skipped, and so are candidates
// that are no addresses to send to.
func parseSDP(text string) (description, error) {
	var d description
	if len(text) > maxSDP {
		return d, fmt.Errorf("rtc: sdp: %d bytes, at most %d: %w", len(text), maxSDP, errSDP)
	}
	sections := 0
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if media, ok := strings.CutPrefix(line, "m="); ok {
			sections++
			if !strings.HasPrefix(media, "application ") || !strings.HasSuffix(media, " UDP/DTLS/SCTP webrtc-datachannel") {
				return d, fmt.Errorf("rtc: sdp: media %.40q: %w", media, errSDP)
			}
		}
		attr, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		key, value, _ := strings.Cut(attr, ":")
		if err := d.attribute(key, value, seen); err != nil {
			return d, err
		}
	}
	if sections != 1 {
		return d, fmt.Errorf("rtc: sdp: %d media sections: %w", sections, errSDP)
	}
	for _, key := range []string{"fingerprint", "ice-ufrag", "ice-pwd", "setup"} {
		if !seen[key] {
			return d, fmt.Errorf("rtc: sdp: no %s: %w", key, errSDP)
		}
	}
	return d, nil
}

// attribute takes one attribute. What would decide whom the other end is may
// stand there only once.
func (d *description) attribute(key, value string, seen map[string]bool) error {
	var err error
	switch key {
	case "fingerprint":
		d.Fingerprint, err = parseFingerprint(value)
	case "ice-ufrag":
		d.Ufrag, err = iceChars(value, 4)
	case "ice-pwd":
		d.Pwd, err = iceChars(value, 22)
	case "setup":
		d.Setup = value
		if value != "actpass" && value != "active" && value != "passive" {
			err = fmt.Errorf("%.20q", value)
		}
	case "max-message-size":
		n, bad := strconv.ParseUint(value, 10, 64)
		if bad != nil || n != 0 && n < link.MaxFrame {
			err = fmt.Errorf("%.20q", value)
		}
	case datagramAttribute:
		n, bad := strconv.ParseUint(value, 10, 16)
		if d.Datagram = int(n); bad != nil {
			err = fmt.Errorf("%.20q", value)
		}
	case "candidate":
		return d.candidate(value)
	case repairKey:
		d.Repair = d.Repair || value == repairVersion
		return nil
	default:
		return nil
	}
	if err == nil && seen[key] {
		err = errors.New("twice")
	}
	if err != nil {
		return fmt.Errorf("rtc: sdp: %s: %w: %w", key, err, errSDP)
	}
	seen[key] = true
	return nil
}

func (d *description) candidate(value string) error {
	f := strings.Fields(value)
	if len(f) < 8 || f[6] != "typ" {
		return fmt.Errorf("rtc: sdp: candidate %.60q: %w", value, errSDP)
	}
	addr, err := netip.ParseAddr(f[4])
	port, bad := strconv.ParseUint(f[5], 10, 16)
	more := extensions(f[8:])
	tcp := strings.EqualFold(f[2], "tcp") && more["tcptype"] == "passive"
	if err != nil || bad != nil || f[1] != "1" || !strings.EqualFold(f[2], "udp") && !tcp {
		return nil // a name, another protocol, or the component that data channels do not have
	}
	if len(d.Candidates) == maxCandidates {
		return fmt.Errorf("rtc: sdp: more than %d candidates: %w", maxCandidates, errSDP)
	}
	c := candidate{Addr: netip.AddrPortFrom(addr.Unmap(), uint16(port)), Kind: p2p.PathPunched, TCP: tcp}
	switch {
	case f[7] == "relay":
		c.Kind = p2p.PathRelayed
		if id, ok := more[relayedBy]; ok {
			if c.Relay, err = p2p.ParseID(id); err != nil {
				return fmt.Errorf("rtc: sdp: candidate %.120q: %w", value, errSDP)
			}
		}
	case f[7] == "host" && f[0] == mapped:
		c.Kind = p2p.PathMapped
	case f[7] == "host":
		c.Kind = p2p.PathDirect
	}
	if !slices.ContainsFunc(d.Candidates, c.same) {
		d.Candidates = append(d.Candidates, c)
	}
	return nil
}

// same reports whether o leads to the same place in the same way.
func (c candidate) same(o candidate) bool {
	return c.Addr == o.Addr && c.TCP == o.TCP && c.Relay == o.Relay
}

// extensions are the pairs of names and values at the end of a candidate.
func extensions(f []string) map[string]string {
	m := map[string]string{}
	for ; len(f) >= 2; f = f[2:] {
		m[f[0]] = f[1]
	}
	return m
}

func parseFingerprint(value string) (sum [32]byte, err error) {
	algorithm, digest, _ := strings.Cut(value, " ")
	b, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
	if err != nil || len(b) != len(sum) || !strings.EqualFold(algorithm, "sha-256") {
		return sum, fmt.Errorf("%.80q", value)
	}
	copy(sum[:], b)
	if !bytes.EqualFold([]byte(colons(sum)), []byte(digest)) {
		return sum, fmt.Errorf("%.120q", value)
	}
	return sum, nil
}

// iceChars checks a user name fragment or password (RFC 8839, section 5.4).
func iceChars(value string, least int) (string, error) {
	if len(value) < least || len(value) > 256 {
		return "", fmt.Errorf("%d characters", len(value))
	}
	for _, c := range []byte(value) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/') {
			return "", fmt.Errorf("%.40q", value)
		}
	}
	return value, nil
}

// usable drops the candidates at which nobody should send packets just because a
// peer says so.
func usable(all []candidate, loopback bool) []candidate {
	var kept []candidate
	for _, c := range all {
		switch {
		case !c.Relay.IsZero() && c.Addr.Addr() == relay.Switch && c.Kind == p2p.PathRelayed && !c.TCP:
		case !c.Relay.IsZero() || !reachable(c.Addr, loopback) || c.TCP && privileged(c.Addr.Port()):
			continue
		}
		kept = append(kept, c)
	}
	return kept
}
