package rtc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/ice/v4"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

var sample = description{
	Ufrag: "abcd", Pwd: strings.Repeat("p", 22), Fingerprint: [32]byte{1, 2, 0xff}, Setup: "actpass", Datagram: 8192, Repair: true,
	Candidates: []candidate{
		{Addr: netip.MustParseAddrPort("192.168.1.5:4747"), Kind: p2p.PathDirect},
		{Addr: netip.MustParseAddrPort("[2001:db8::1]:4747"), Kind: p2p.PathDirect},
		{Addr: netip.MustParseAddrPort("203.0.113.7:5000"), Kind: p2p.PathMapped},
		{Addr: netip.MustParseAddrPort("203.0.113.8:5001"), Kind: p2p.PathPunched},
		{Addr: netip.MustParseAddrPort("192.168.1.5:4747"), Kind: p2p.PathDirect, TCP: true},
		{Addr: netip.MustParseAddrPort("203.0.113.7:5000"), Kind: p2p.PathMapped, TCP: true},
		{Addr: netip.MustParseAddrPort("198.18.0.1:1024"), Kind: p2p.PathRelayed, Relay: p2p.ID{7}},
		{Addr: netip.MustParseAddrPort("203.0.113.9:40000"), Kind: p2p.PathRelayed},
	},
}

func equalDescriptions(a, b description) string {
	return cmp.Diff(a, b, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.AllowUnexported(candidate{}))
}

func TestSDPRoundTrip(t *testing.T) {
	t.Parallel()
	got, err := parseSDP(sample.sdp())
	if err != nil {
		t.Fatal(err)
	}
	if diff := equalDescriptions(sample, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSDPRefuses(t *testing.T) {
	t.Parallel()
	good := sample.sdp()
	many := sample
	for i := range maxCandidates + 1 {
		many.Candidates = append(many.Candidates, candidate{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i+1)), Kind: p2p.PathDirect})
	}
	for name, text := range map[string]string{
		"empty":               "",
		"too long":            good + strings.Repeat("a=x\r\n", maxSDP/5),
		"media":               good + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
		"two sections":        good + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
		"no section":          strings.Replace(good, "m=application", "x=application", 1),
		"no fingerprint":      strings.Replace(good, "a=fingerprint", "a=finger", 1),
		"two fingerprints":    good + "a=fingerprint:sha-256 " + colons([32]byte{9}) + "\r\n",
		"weak fingerprint":    strings.Replace(good, "sha-256", "sha-1", 1),
		"short fingerprint":   strings.Replace(good, "01:02:FF", "01:02", 1),
		"odd fingerprint":     strings.Replace(good, "01:02:FF", "0102:FF", 1),
		"no password":         strings.Replace(good, "a=ice-pwd", "a=pwd", 1),
		"short password":      strings.Replace(good, strings.Repeat("p", 22), "p", 1),
		"colon in a fragment": strings.Replace(good, "abcd", "ab:d", 1),
		"setup":               strings.Replace(good, "actpass", "holdconn", 1),
		"small messages":      strings.Replace(good, fmt.Sprint("size:", maxMessage), "size:1000", 1),
		"too many candidates": many.sdp(),
		"half a candidate":    good + "a=candidate:1 1 udp\r\n",
	} {
		if _, err := parseSDP(text); !errors.Is(err, errSDP) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestParseSDPSkips(t *testing.T) {
	t.Parallel()
	text := sample.sdp()
	for _, c := range []string{
		"7 1 udp 1 0a1b2c3d-0000.local 4747 typ host", "7 1 tcp 1 10.0.0.1 9 typ host tcptype active",
		"7 2 udp 1 10.0.0.1 4747 typ host", "7 1 udp 1 10.0.0.1 99999 typ host", "7 1 udp 1 192.168.1.5 4747 typ srflx",
	} {
		text += "a=candidate:" + c + "\r\n"
	}
	got, err := parseSDP(text + "a=unheard-of:1\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := equalDescriptions(sample, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseSDP(f *testing.F) {
	f.Add(sample.sdp())
	f.Add("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=candidate:1 1 udp 1 ::1 1 typ host")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSDP(text)
		if err != nil {
			return
		}
		again, err := parseSDP(d.sdp())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := equalDescriptions(d, again); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	who := newIdentity(f, 1)
	msg, err := seal(who, envelope{Kind: offer, To: p2p.ID{1}, Issued: 5, SDP: sample.sdp(), MAC: []byte{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, err := open(msg)
		if err != nil {
			return
		}
		var s sealed
		if err := wire.Unmarshal(msg, &s); err != nil || !p2p.Verify(e.From, signalContext, s.Body, s.Sig) {
			t.Error("an envelope was opened that nobody signed")
		}
		if _, err := knock(e); err != nil {
			t.Error(err)
		}
	})
}

// Whatever bit of an envelope is turned over, it does not open.
func TestEnvelopeBits(t *testing.T) {
	t.Parallel()
	msg, err := seal(newIdentity(t, 1), envelope{Kind: offer, To: p2p.ID{1}, Issued: 5, SDP: "v=0"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(msg) {
		bad := slices.Clone(msg)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := open(bad); err == nil {
			t.Errorf("bit %d", i)
		}
	}
	for i := range msg {
		if _, err := open(msg[:i]); err == nil {
			t.Errorf("the first %d bytes", i)
		}
	}
	if _, err := open(make([]byte, maxEnvelope+1)); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := seal(newIdentity(t, 1), envelope{SDP: strings.Repeat("x", maxEnvelope)}); !errors.Is(err, p2p.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestOpenReply(t *testing.T) {
	t.Parallel()
	me, peer, other := newIdentity(t, 1), newIdentity(t, 2), newIdentity(t, 3)
	sent, err := seal(me, envelope{Kind: offer, To: peer.ID()})
	if err != nil {
		t.Fatal(err)
	}
	good := envelope{Kind: answer, To: me.ID(), Offer: sha256.Sum256(sent)}
	for name, c := range map[string]struct {
		by     p2p.Identity
		change func(*envelope)
		want   bool
	}{
		"the answer":      {peer, func(*envelope) {}, true},
		"a refusal":       {peer, func(e *envelope) { e.Kind = refusal }, true},
		"an offer":        {peer, func(e *envelope) { e.Kind = offer }, false},
		"no kind":         {peer, func(e *envelope) { e.Kind = 9 }, false},
		"of another":      {other, func(*envelope) {}, false},
		"to another":      {peer, func(e *envelope) { e.To = other.ID() }, false},
		"of another call": {peer, func(e *envelope) { e.Offer[0] ^= 1 }, false},
	} {
		e := good
		c.change(&e)
		msg, err := seal(c.by, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openReply(msg, sent, peer.ID(), me.ID()); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOwnAddrs(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr
	lo := netInterface{"lo", true, true, []netip.Addr{a("127.0.0.1"), a("::1")}}
	eth := netInterface{"eth0", true, false, []netip.Addr{a("2001:db8::5"), a("192.168.1.5"), a("fe80::1%eth0")}}
	down := netInterface{"wlan0", false, false, []netip.Addr{a("192.168.2.5")}}
	docker := netInterface{"docker0", true, false, []netip.Addr{a("172.17.0.1")}}
	for name, c := range map[string]struct {
		bound string
		all   []netInterface
		want  []string
	}{
		"one address":        {"127.0.0.1", []netInterface{lo, eth}, []string{"127.0.0.1"}},
		"all":                {"::", []netInterface{lo, eth, down, docker}, []string{"192.168.1.5", "2001:db8::5"}},
		"all of IPv4":        {"0.0.0.0", []netInterface{lo, eth}, []string{"192.168.1.5"}},
		"nothing else up":    {"::", []netInterface{lo, down, docker}, []string{"127.0.0.1", "::1"}},
		"no interface":       {"::", nil, nil},
		"address of its own": {"192.168.1.5", []netInterface{lo}, []string{"192.168.1.5"}},
	} {
		var got []string
		for _, x := range ownAddrs(a(c.bound), c.all) {
			got = append(got, x.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{ // without and with loopback
		"10.0.0.1:1": {true, true}, "192.168.0.9:4747": {true, true}, "[2001:db8::1]:9": {true, true}, "8.8.8.8:53": {true, true},
		"127.0.0.1:80": {false, true}, "[::1]:80": {false, true}, "127.9.9.9:80": {false, true}, "[::ffff:127.0.0.1]:80": {false, true},
		"0.0.0.0:80": {}, "[::]:80": {}, "224.0.0.1:80": {}, "[ff02::1]:80": {}, "169.254.169.254:80": {}, "[fe80::1]:80": {},
		"255.255.255.255:80": {}, "[::ffff:169.254.169.254]:80": {}, "10.0.0.1:0": {}, "[fe80::1%lo]:80": {}, "[::ffff:0.0.0.0]:1": {},
	} {
		a := netip.MustParseAddrPort(text)
		if got := [2]bool{reachable(a, false), reachable(a, true)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if reachable(netip.AddrPort{}, true) {
		t.Error("nothing is reachable")
	}
}

func TestPathOf(t *testing.T) {
	t.Parallel()
	local := netip.MustParseAddrPort("192.168.1.9:4747")
	unknown := netip.MustParseAddrPort("198.51.100.1:33333")
	tr := &Transport{mux: newMux(&pipeSocket{}, nil)}
	var targets []target
	for _, c := range sample.Candidates[:4] {
		targets = append(targets, target{c, c.Addr})
	}
	for remote, want := range map[netip.AddrPort]p2p.PathKind{
		sample.Candidates[0].Addr: p2p.PathDirect, sample.Candidates[2].Addr: p2p.PathMapped,
		sample.Candidates[3].Addr: p2p.PathPunched, unknown: p2p.PathPunched,
	} {
		p := tr.pathOf(targets, local, remote, []tried{
			{local, remote, ice.CandidatePairStateSucceeded},
			{local, netip.MustParseAddrPort("10.1.1.1:1"), ice.CandidatePairStateFailed},
			{local, netip.MustParseAddrPort("10.1.1.2:1"), ice.CandidatePairStateWaiting},
			{local, netip.MustParseAddrPort("10.1.1.3:1"), ice.CandidatePairStateSucceeded},
		})
		var results []string
		for _, c := range p.Tried {
			results = append(results, c.Result)
		}
		if p.Kind != want || !strings.Contains(p.Why, remote.String()) || !slices.Equal(results, []string{"selected", "failed", "waiting", "succeeded"}) {
			t.Errorf("%s: %+v", remote, p)
		}
	}
}

// A bucket never gives more than burst plus what time brings.
func TestBuckets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 100).Draw(t, "rate")
		burst := float64(rapid.IntRange(1, 50).Draw(t, "burst"))
		l := buckets[int]{rate: rate, burst: burst}
		start := time.Unix(1000, 0)
		now, taken := start, 0.0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 200).Draw(t, "ms")) * time.Millisecond)
			if l.take(1, now) {
				taken++
			}
		}
		latest := 200 * 200 * time.Millisecond
		if taken > burst+rate*latest.Seconds() {
			t.Errorf("%v tokens at rate %v, burst %v", taken, rate, burst)
		}
	})
	l := buckets[int]{rate: 1, burst: 2}
	now := time.Unix(1000, 0)
	for i, want := range []bool{true, true, false} {
		if l.take(1, now) != want {
			t.Errorf("token %d of a burst of two", i)
		}
	}
	if !l.take(2, now) || !l.take(1, now.Add(time.Second)) {
		t.Error("one a second, each key for itself")
	}
	for i := range 2 * maxBuckets {
		l.take(i, now)
	}
	if len(l.all) > maxBuckets {
		t.Errorf("%d buckets", len(l.all))
	}
	if (&buckets[int]{}).take(1, now) {
		t.Error("the zero value gives")
	}
}

func TestHousehold(t *testing.T) {
	t.Parallel()
	of := func(ip string) netip.Prefix { return household(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1}) }
	if of("10.0.0.1") == of("10.0.0.2") || of("10.0.0.1") != of("::ffff:10.0.0.1") {
		t.Error("IPv4 addresses")
	}
	if of("2001:db8:1:100::1") != of("2001:db8:1:1ff::9") || of("2001:db8:1:100::1") == of("2001:db8:1:200::1") {
		t.Error("IPv6 prefixes")
	}
	if household(&net.UnixAddr{}).IsValid() {
		t.Error("no address")
	}
}

func TestRepliesAndFloors(t *testing.T) {
	t.Parallel()
	var r replies
	now := time.Unix(1000, 0)
	if _, first := r.enter([32]byte{1}, now); !first {
		t.Error("not the first")
	}
	if _, first := r.enter([32]byte{1}, now.Add(time.Second)); first {
		t.Error("twice the first")
	}
	if _, first := r.enter([32]byte{1}, now.Add(2*replyLife)); !first {
		t.Error("remembered for ever")
	}
	for i := range 2 * maxReplies {
		r.enter([32]byte{2, byte(i), byte(i >> 8)}, now.Add(2*replyLife))
	}
	if len(r.all) > maxReplies || len(r.order) != len(r.all) {
		t.Errorf("%d replies, %d in order", len(r.all), len(r.order))
	}
	var f floors
	for i := range maxFloors + 10 {
		f.set(p2p.ID{byte(i), byte(i >> 8), byte(i >> 16)}, int64(i))
	}
	if len(f.last) > maxFloors || f.get(p2p.ID{200, 200, 200}) != 0 {
		t.Errorf("%d floors", len(f.last))
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	var tr Transport
	a, b := tr.number(0), tr.number(0)
	far := time.Now().Add(time.Hour).UnixNano()
	c, d := tr.number(far), tr.number(0)
	if !(a < b && c == far+1 && b < d && d < far) {
		t.Errorf("numbers %d %d %d %d", a, b, c, d)
	}
}
