package nat

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	asker4 = netip.MustParseAddrPort("198.51.100.7:4000")
	asker6 = netip.MustParseAddrPort("[2001:db8:0:1::7]:4000")
	noon   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

func mappedIn(t *testing.T, b []byte) netip.AddrPort {
	t.Helper()
	if b == nil {
		return netip.AddrPort{}
	}
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m.mapped
}

// TestRespond: our own requests are answered at once, those of a standard client
// when it sends them again.
func TestRespond(t *testing.T) {
	for name, tc := range map[string]struct {
		request []byte
		from    netip.AddrPort
		want    int // which transmission is answered
	}{
		"IPv4":          {bindingRequest(txID{1}), asker4, 1},
		"IPv6":          {bindingRequest(txID{1}), asker6, 1},
		"mapped IPv4":   {bindingRequest(txID{1}), netip.AddrPortFrom(netip.AddrFrom16(asker4.Addr().As16()), asker4.Port()), 1},
		"bare, IPv4":    {bareRequest(txID{1}), asker4, 2},
		"bare, IPv6":    {bareRequest(txID{1}), asker6, 3},
		"with SOFTWARE": {appendAttr(appendHeader(nil, classRequest, txID{1}, 16), 0x8022, []byte("pion-client\x00")), asker4, 1},
	} {
		var r Responder
		for i := 1; i <= 3; i++ {
			got := r.Respond(tc.request, tc.from, noon.Add(time.Duration(i)*time.Second))
			if i < tc.want && got != nil {
				t.Errorf("%s: transmission %d is answered", name, i)
			}
			if i == tc.want && mappedIn(t, got) != unmap(tc.from) {
				t.Errorf("%s: transmission %d is answered with %v, want %v", name, i, mappedIn(t, got), tc.from)
			}
		}
	}
}

// TestRespondNot: what is for an ICE agent, or no request, is left alone.
func TestRespondNot(t *testing.T) {
	withUser := appendAttr(appendHeader(nil, classRequest, txID{1}, 32), attrUsername, []byte("our.ufrag:their.ufrag.and.more.."[:28]))
	for name, b := range map[string][]byte{
		"for an agent": withUser,
		"answer":       bindingSuccess(txID{1}, asker6),
		"probe":        probe(txID{1}, Nonce{1}),
		"refusal":      bindingFailure(txID{1}, []uint16{1, 2, 3, 4}),
		"nonsense":     make([]byte, 100),
	} {
		var r Responder
		if got := r.Respond(b, asker4, noon); got != nil {
			t.Errorf("%s: is answered with %x", name, got)
		}
	}
	var r Responder
	if got := r.Respond(bindingRequest(txID{1}), netip.AddrPortFrom(asker4.Addr(), 0), noon); got != nil {
		t.Errorf("port 0 is answered with %x", got)
	}
}

// TestRespondUnknown: who asks for what this server cannot do is told so, as RFC
// 5780 clients expect of servers that have one address.
func TestRespondUnknown(t *testing.T) {
	changeRequest := appendAttr(appendHeader(nil, classRequest, txID{1}, 8+24), 0x0003, []byte{0, 0, 0, 6})
	changeRequest = appendAttr(changeRequest, attrPadding, make([]byte, 20))
	var r Responder
	m, err := parse(r.Respond(changeRequest, asker4, noon))
	if err != nil || m.class != classFailure || m.code != 420 || m.tx != (txID{1}) {
		t.Errorf("got %+v, %v; want error 420", m, err)
	}
}

// TestRespondPays: whatever comes in, no household gets more bytes than came in its
// name, and no more answers than the limit.
func TestRespondPays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Responder
		now := noon
		in, out, answers := map[netip.Prefix]int{}, map[netip.Prefix]int{}, map[netip.Prefix]int{}
		n := rapid.IntRange(1, 300).Draw(t, "requests")
		for range n {
			ip := rapid.SampledFrom([]string{"198.51.100.7", "198.51.100.8", "2001:db8::1", "2001:db8::ffff", "2001:db8:1::1"}).Draw(t, "ip")
			from := netip.AddrPortFrom(netip.MustParseAddr(ip), rapid.Uint16().Draw(t, "port"))
			b := rapid.SampledFrom([][]byte{bareRequest(txID{1}), bindingRequest(txID{1}), appendAttr(appendHeader(nil, classRequest, txID{}, 8), 0x0003, []byte{0, 0, 0, 6})}).Draw(t, "request")
			now = now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "ms")) * time.Millisecond)
			house := household(from.Addr())
			in[house] += len(b)
			if got := r.Respond(b, from, now); got != nil {
				out[house] += len(got)
				answers[house]++
			}
			if out[house] > in[house] {
				t.Fatalf("%v got %d bytes for %d", house, out[house], in[house])
			}
		}
		for house, n := range answers {
			if most := 2*answersEach + int(now.Sub(noon).Seconds()*answersEach) + 6; n > most {
				t.Fatalf("%v got %d answers, more than %d", house, n, most)
			}
		}
	})
}

// TestRespondBounded: many households cost no more memory than some, and those that
// come after them are answered.
func TestRespondBounded(t *testing.T) {
	var r Responder
	for i := range 3 * maxHouseholds {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 0x0b000000+uint32(i))
		now := noon.Add(time.Duration(i) * time.Millisecond)
		if got := r.Respond(bindingRequest(txID{1}), netip.AddrPortFrom(netip.AddrFrom4(ip), 1), now); got == nil {
			t.Fatalf("asker %d has no answer", i)
		}
		if len(r.households) > maxHouseholds {
			t.Fatalf("%d households are remembered", len(r.households))
		}
	}
}

// TestRespondLimited: one household that asks without end takes nothing from
// others; all together are limited.
func TestRespondLimited(t *testing.T) {
	var r Responder
	got := 0
	for range 1000 {
		if r.Respond(bindingRequest(txID{1}), asker4, noon) != nil {
			got++
		}
	}
	if got != 2*answersEach {
		t.Errorf("%d answers at once, want %d", got, 2*answersEach)
	}
	if r.Respond(bindingRequest(txID{1}), asker6, noon) == nil {
		t.Error("another household has no answer")
	}
	var ips []netip.AddrPort
	for i := range 4000 {
		ips = append(ips, netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}), 1))
	}
	total := 0
	for _, from := range ips {
		if r.Respond(bindingRequest(txID{1}), from, noon) != nil {
			total++
		}
	}
	if total > 2*answersAll {
		t.Errorf("%d answers at once to all", total)
	}
	if r.Respond(bindingRequest(txID{1}), slices.MaxFunc(ips, netip.AddrPort.Compare), noon.Add(10*time.Second)) == nil {
		t.Error("no answer ten seconds later")
	}
}
