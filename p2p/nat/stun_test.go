package nat

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorTx is the transaction ID of the messages in RFC 5769.
var vectorTx = txID{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}

// TestVectors reads the responses of RFC 5769, sections 2.2 and 2.3.
func TestVectors(t *testing.T) {
	const tail = "08001400000000000000000000000000000000000000008028000400000000" // with other sums, which are not read here
	for name, tc := range map[string]struct {
		message string
		want    string
	}{
		"IPv4": {"0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643" + "00" + tail, "192.0.2.1:32853"},
		"IPv6": {"010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9" + "00" + tail, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
	} {
		m, err := parse(unhex(t, tc.message))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.class != classSuccess || m.tx != vectorTx || m.mapped != netip.MustParseAddrPort(tc.want) || !m.credentials || len(m.unknown) > 0 {
			t.Errorf("%s: got %+v, want the address %s", name, m, tc.want)
		}
	}
}

// TestMessages: what is written is read again, and has the bytes that other
// programs read.
func TestMessages(t *testing.T) {
	tx, nonce := txID{1, 2, 3}, Nonce{4, 5, 6}
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:32853"), netip.MustParseAddrPort("[2001:db8::1]:9")
	for name, tc := range map[string]struct {
		bytes []byte
		want  message
		size  int
	}{
		"request":      {bindingRequest(tx), message{class: classRequest, tx: tx}, paddedSize},
		"bare request": {bareRequest(tx), message{class: classRequest, tx: tx}, 20},
		"IPv4":         {bindingSuccess(tx, v4), message{class: classSuccess, tx: tx, mapped: v4}, 32},
		"IPv6":         {bindingSuccess(tx, v6), message{class: classSuccess, tx: tx, mapped: v6}, paddedSize},
		"refusal":      {bindingFailure(tx, []uint16{3}), message{class: classFailure, tx: tx, code: 420}, 36},
		"probe":        {probe(tx, nonce), message{class: classIndication, tx: tx, nonce: nonce}, probeSize},
	} {
		got, err := parse(tc.bytes)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(message{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(tc.bytes) != tc.size {
			t.Errorf("%s: %d bytes, want %d", name, len(tc.bytes), tc.size)
		}
	}
	want := unhex(t, "0101000c2112a442b7e7a701bc34d686fa87dfae002000080001a147e112a643")
	if got := bindingSuccess(vectorTx, v4); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestMalformed(t *testing.T) {
	good := bindingSuccess(txID{}, netip.MustParseAddrPort("192.0.2.1:1"))
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(good)) }
	for name, b := range map[string][]byte{
		"empty":               {},
		"cut":                 good[:19],
		"a byte more":         append(slices.Clone(good), 0),
		"another cookie":      change(func(b []byte) []byte { b[4]++; return b }),
		"DTLS":                change(func(b []byte) []byte { b[0] = 0x80; return b }),
		"TURN Allocate":       change(func(b []byte) []byte { b[1] = 3; return b }),
		"length not by four":  change(func(b []byte) []byte { b[3] = 11; return b[:31] }),
		"attribute too long":  change(func(b []byte) []byte { b[23] = 9; return b }),
		"address too short":   change(func(b []byte) []byte { b[23] = 4; b[3] = 8; return b[:28] }),
		"address of no kind":  change(func(b []byte) []byte { b[25] = 7; return b }),
		"IPv6 of four bytes":  change(func(b []byte) []byte { b[25] = 2; return b }),
		"an error of 0 bytes": appendAttr(appendHeader(nil, classFailure, txID{}, 4), attrError, nil),
		"a nonce of 8 bytes":  appendAttr(appendHeader(nil, classIndication, txID{}, 12), attrNonce, make([]byte, 8)),
	} {
		if m, err := parse(b); err == nil {
			t.Errorf("%s: read as %+v", name, m)
		}
	}
}

// TestMappedRoundTrip: every address survives being hidden from routers.
func TestMappedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tx txID
		copy(tx[:], rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "tx"))
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		ip, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "ip"))
		addr := netip.AddrPortFrom(ip.Unmap(), rapid.Uint16().Draw(t, "port"))
		m, err := parse(bindingSuccess(tx, addr))
		if err != nil || m.mapped != addr {
			t.Fatalf("%v was read as %v, %v", addr, m.mapped, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	tx := txID{1}
	for _, b := range [][]byte{
		bindingRequest(tx), bareRequest(tx), bindingSuccess(tx, netip.MustParseAddrPort("192.0.2.1:1")),
		bindingSuccess(tx, netip.MustParseAddrPort("[2001:db8::1]:1")), bindingFailure(tx, []uint16{3, 0x24, 0x25}), probe(tx, Nonce{2}),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if len(m.unknown) > maxUnknown {
			t.Errorf("%d unknown attributes are kept", len(m.unknown))
		}
		if kind := binary.BigEndian.Uint16(b); kind&^classBits != binding || len(b)%4 != 0 {
			t.Errorf("%x was taken for a binding message", b)
		}
		if m.mapped.IsValid() {
			again, err := parse(bindingSuccess(m.tx, m.mapped))
			if err != nil || again.mapped != m.mapped {
				t.Errorf("%v was read again as %v, %v", m.mapped, again.mapped, err)
			}
		}
	})
}
