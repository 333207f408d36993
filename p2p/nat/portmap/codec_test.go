package portmap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var cmpAddrs = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s:\n got %x\nwant %s", what, got, strings.ReplaceAll(want, " ", ""))
	}
}

// The layouts are those of RFC 6886 §3.2 and §3.3; the answers are miniupnpd's.
func TestNATPMP(t *testing.T) {
	wantHex(t, "address", encodeNATPMPAddress(), "00 00")
	wantHex(t, "map UDP", encodeNATPMPMap(natPMPOp("udp"), 4747, 4748, time.Hour), "00 01 0000 128b 128c 00000e10")
	wantHex(t, "remove TCP", encodeNATPMPMap(natPMPOp("tcp"), 4747, 0, 0), "00 02 0000 128b 0000 00000000")
	for in, want := range map[string]natPMPAnswer{
		"00 80 0000 00000102 50646401": {Op: 0, Epoch: 258, Address: netip.MustParseAddr("80.100.100.1")},
		"00 80 0003 00000002 00000000": {Op: 0, Epoch: 2, Result: 3, Address: netip.IPv4Unspecified()},
		"00 80 0003 00000002":          {Op: 0, Epoch: 2, Result: 3}, // an error may be short
		"00 81 0000 00000002 0fa2 0fa3 00000e10": {
			Op: 1, Epoch: 2, Internal: 4002, External: 4003, Lifetime: time.Hour,
		},
		"00 82 0000 00000002 0fa2 0fa3 ffffffff ff": {
			Op: 2, Epoch: 2, Internal: 4002, External: 4003, Lifetime: (1<<32 - 1) * time.Second,
		},
	} {
		got, err := decodeNATPMP(unhex(t, in))
		if diff := cmp.Diff(want, got, cmpAddrs); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", in, err, diff)
		}
	}
	for _, in := range []string{
		"", "00", "00 80 0000 000001", "00 80 0000 00000102 506464", "00 81 0000 00000002 0fa2 0fa3 00000e",
		"01 80 0000 00000102 50646401", "00 00 0000 00000102 50646401", "00 83 0000 00000002 0fa2 0fa3 00000e10",
	} {
		if a, err := decodeNATPMP(unhex(t, in)); !errors.Is(err, errNotNATPMP) {
			t.Errorf("%s is %+v, %v", in, a, err)
		}
	}
}

// The layouts are those of RFC 6887 §7 and §11.1; the answers are miniupnpd's.
func TestPCP(t *testing.T) {
	own := netip.MustParseAddr("10.1.0.2")
	nonce := [12]byte(unhex(t, "6fd6ff0f05fc154235e1c80a"))
	wantHex(t, "announce", encodePCP(pcpAnnounce, 0, own), "02 00 0000 00000000 00000000000000000000ffff0a010002")
	m := pcpMapping{Nonce: nonce, Protocol: pcpProtocol("udp"), Internal: 4002, External: netip.MustParseAddrPort("0.0.0.0:4003")}
	wantHex(t, "map", encodePCPMap(own, time.Hour, m),
		"02 01 0000 00000e10 00000000000000000000ffff0a010002"+
			"6fd6ff0f05fc154235e1c80a 11 000000 0fa2 0fa3 00000000000000000000ffff00000000")
	m = pcpMapping{Nonce: nonce, Protocol: pcpProtocol("tcp"), Internal: 4002, External: netip.MustParseAddrPort("[::]:4002")}
	wantHex(t, "map of IPv6", encodePCPMap(netip.MustParseAddr("2001:db8::2"), time.Hour, m),
		"02 01 0000 00000e10 20010db8000000000000000000000002"+
			"6fd6ff0f05fc154235e1c80a 06 000000 0fa2 0fa2 00000000000000000000000000000000")

	const header, payload = "02 81 00 %s 00000e10 00000007 000000000000000000000000", "6fd6ff0f05fc154235e1c80a 11 000000 0fa2 0fa3 00000000000000000000ffff50646401"
	for in, want := range map[string]pcpAnswer{
		"02 80 00 00 00000000 00000002 000000000000000000000000": {Op: pcpAnnounce, Epoch: 2},
		fmt.Sprintf(header, "08") + payload + "deadbeef 00000000": {
			Op: pcpMap, Result: 8, Epoch: 7, Lifetime: time.Hour,
			Map: pcpMapping{nonce, 17, 4002, netip.MustParseAddrPort("80.100.100.1:4003")},
		},
	} {
		got, err := decodePCP(unhex(t, in))
		if diff := cmp.Diff(want, got, cmpAddrs); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", in, err, diff)
		}
	}
	whole := unhex(t, fmt.Sprintf(header, "00")+payload)
	request := bytes.Clone(whole)
	request[1] = pcpMap
	other := bytes.Clone(whole)
	other[0] = 1
	for _, in := range [][]byte{nil, whole[:20], whole[:56], whole[:59], request, other, append(whole, make([]byte, pcpMaxSize)...)} {
		if a, err := decodePCP(in); !errors.Is(err, errNotPCP) {
			t.Errorf("%x is %+v, %v", in, a, err)
		}
	}
	if _, err := decodePCP(unhex(t, "0081 0001 00000002")); !errors.Is(err, errOlderThan) {
		t.Errorf("a router with NAT-PMP only: %v", err)
	}
}

// Every refusal has a sentence of its own kind.
func TestRefusals(t *testing.T) {
	for code := range 20 {
		if err := natPMPRefusal(uint16(code)); (err == nil) != (code == 0) {
			t.Errorf("NAT-PMP %d: %v", code, err)
		}
		if err := pcpRefusal(pcpAnswer{Result: byte(code)}); (err == nil) != (code == 0) {
			t.Errorf("PCP %d: %v", code, err)
		}
	}
}

func TestSearch(t *testing.T) {
	got := string(encodeSearch(realPorts.ssdp, searchTargets[0]))
	want := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
	if got != want {
		t.Errorf("search: %q", got)
	}
	const good = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\nEXT:\r\nSERVER: x\r\nLocation: http://10.1.0.1:36063/rootDesc.xml\r\n\r\n"
	if got, err := decodeSearch([]byte(good)); err != nil || got != "http://10.1.0.1:36063/rootDesc.xml" {
		t.Errorf("answer: %q, %v", got, err)
	}
	for _, bad := range []string{
		"", "x", good[:20], strings.Replace(good, "200", "404", 1), strings.Replace(good, "Location", "Elsewhere", 1),
		strings.Replace(good, "InternetGatewayDevice", "MediaServer", 1), strings.Replace(good, "x\r\n", strings.Repeat("x", maxSearchAnswer)+"\r\n", 1),
	} {
		if got, err := decodeSearch([]byte(bad)); err == nil {
			t.Errorf("%q leads to %q", bad, got)
		}
	}
}

// A device cannot send this computer anywhere but to itself.
func TestLocate(t *testing.T) {
	s := side{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.7"), netip.MustParsePrefix("192.168.1.7/24")}
	for location, from := range map[string]string{
		"http://192.168.1.1:5000/d.xml?x=1": "192.168.1.1",
		"http://192.168.1.1":                "192.168.1.1", // port 80, path /
		"http://192.168.1.2:80/d":           "192.168.1.2", // another box on the same wire
	} {
		if p, err := s.locate(location, netip.MustParseAddr(from)); err != nil || p.Host.Addr().String() != from {
			t.Errorf("%s: %+v, %v", location, p, err)
		}
	}
	for location, from := range map[string]string{
		"http://127.0.0.1:8080/api":          "192.168.1.1",
		"http://[::1]:8080/":                 "192.168.1.1",
		"http://localhost:8080/":             "192.168.1.1",
		"http://0.0.0.0:8080/":               "192.168.1.1",
		"http://192.168.1.2/":                "192.168.1.1", // of another than who answered
		"http://192.168.1.7:8080/":           "192.168.1.7", // this computer
		"http://169.254.169.254/latest":      "169.254.169.254",
		"http://192.168.2.1/":                "192.168.2.1", // not on this subnet
		"http://80.100.100.1/":               "80.100.100.1",
		"https://192.168.1.1/":               "192.168.1.1",
		"ftp://192.168.1.1/":                 "192.168.1.1",
		"file:///etc/passwd":                 "192.168.1.1",
		"http://u:p@192.168.1.1/":            "192.168.1.1",
		"http://192.168.1.1:0/":              "192.168.1.1",
		"http://192.168.1.1:99999/":          "192.168.1.1",
		"http://[fe80::1%25eth0]/":           "192.168.1.1",
		"http://0300.0250.1.1/":              "192.168.1.1",
		"http://3232235777/":                 "192.168.1.1",
		"//192.168.1.1/":                     "192.168.1.1",
		"/d.xml":                             "192.168.1.1",
		"http://192.168.1.1/\r\nX: y":        "192.168.1.1",
		"http://192.168.1.1/" + long(600):    "192.168.1.1",
		"http://192.168.1.1.evil.example/":   "192.168.1.1",
		"http:192.168.1.1/":                  "192.168.1.1",
		"http://[::ffff:127.0.0.1]:80/":      "192.168.1.1",
		"http://192.168.1.1\\@127.0.0.1:80/": "192.168.1.1",
	} {
		if p, err := s.locate(location, netip.MustParseAddr(from)); err == nil {
			t.Errorf("%q from %s leads to %s", location, from, p.URL())
		}
	}
	base := place{netip.MustParseAddrPort("192.168.1.1:5000"), "/a/d.xml"}
	for text, want := range map[string]string{
		"/ctl": "http://192.168.1.1:5000/ctl", "ctl": "http://192.168.1.1:5000/a/ctl", "?q": "http://192.168.1.1:5000/a/d.xml?q",
		"http://192.168.1.1:81/c": "http://192.168.1.1:81/c", "": "http://192.168.1.1:5000/a/d.xml",
	} {
		if p, err := parsePlace(text, &base); err != nil || p.URL() != want {
			t.Errorf("%q: %s, %v", text, p.URL(), err)
		}
	}
	for _, text := range []string{"http://127.0.0.1/ctl", "//127.0.0.1/ctl", "https:/ctl", "http://192.168.1.2/ctl", "mailto:x"} {
		if p, err := parsePlace(text, &base); err == nil {
			t.Errorf("%q leads to %s", text, p.URL())
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

const description = `<?xml version="1.0" encoding="ISO-8859-1"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">%s<device><friendlyName>F` + "\xfc" + `r &amp; x</friendlyName>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/ctl/L3F</controlURL></service></serviceList>
<deviceList><device><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/ctl/ppp</controlURL></service>
<service><serviceType> urn:schemas-upnp-org:service:WANIPConnection:1 </serviceType><serviceId>x</serviceId>
<controlURL>%s</controlURL></service></serviceList></device></deviceList></device></deviceList></device></root>`

func TestDescription(t *testing.T) {
	at := place{netip.MustParseAddrPort("10.1.0.1:5000"), "/d/root.xml"}
	for base, want := range map[string]string{
		"":                                       "http://10.1.0.1:5000/d/ip",
		"<URLBase>http://10.1.0.1:81/</URLBase>": "http://10.1.0.1:81/ip",
		"<URLBase>http://127.0.0.1/</URLBase>":   "http://10.1.0.1:5000/d/ip", // ignored
	} {
		got, err := decodeDescription(fmt.Appendf(nil, description, base, "ip"), at)
		if err != nil || len(got) != 2 || got[0].Type != serviceTypes[1] || got[0].At.URL() != want || got[1].Type != serviceTypes[2] {
			t.Errorf("%s: %+v, %v", base, got, err)
		}
	}
	// What is controlled elsewhere is left out.
	got, err := decodeDescription(fmt.Appendf(nil, description, "", "http://127.0.0.1:8080/api"), at)
	if err != nil || len(got) != 1 || got[0].Type != serviceTypes[2] {
		t.Errorf("controlled elsewhere: %+v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"empty": "", "text": "hello", "cut": description[:300], "no service": "<root></root>", "crossed": "<a><b></a></b>",
		"deep": strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40), "many": "<root>" + strings.Repeat("<a/>", maxXMLTokens) + "</root>",
		"entities": `<!DOCTYPE x [<!ENTITY a "aaaa">]><root>&a;</root>`,
	} {
		if got, err := decodeDescription([]byte(bad), at); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	many := "<root>" + strings.Repeat("<service><serviceType>"+serviceTypes[1]+"</serviceType><controlURL>/c</controlURL></service>", 100) + "</root>"
	if got, err := decodeDescription([]byte(many), at); err != nil || len(got) != maxServices {
		t.Errorf("%d services: %v", len(got), err)
	}
}

func TestCall(t *testing.T) {
	got := string(encodeCall("urn:x:1", "Add", []argument{{"A", ""}, {"B", "<&>"}}))
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:Add xmlns:u="urn:x:1"><A></A><B>&lt;&amp;&gt;</B></u:Add></s:Body></s:Envelope>`
	if got != want {
		t.Errorf("call:\n%s", got)
	}
	const envelope = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>`
	out, err := decodeCall(fmt.Appendf(nil, envelope, `<u:AddResponse xmlns:u="urn:x:1"><A>1</A><B> b </B></u:AddResponse>`), "Add")
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "b"}, out); err != nil || diff != "" {
		t.Errorf("answer: %v\n%s", err, diff)
	}
	if out, err = decodeCall(fmt.Appendf(nil, envelope, `<u:AddResponse/>`), "Add"); err != nil || len(out) != 0 {
		t.Errorf("empty answer: %v, %v", out, err)
	}
	fails := `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>725</errorCode><errorDescription>x</errorDescription></UPnPError></detail></s:Fault>`
	if _, err = decodeCall(fmt.Appendf(nil, envelope, fails), "Add"); !errors.Is(err, faultPermanent) {
		t.Errorf("fault: %v", err)
	}
	for _, bad := range []string{"", "<html>hello</html>", `<u:OtherResponse/>`, `<u:AddResponse>`} {
		if out, err := decodeCall([]byte(bad), "Add"); err == nil {
			t.Errorf("%q: %v", bad, out)
		}
	}
}

func FuzzNATPMP(f *testing.F) {
	f.Add(unhex(f, "00 81 0000 00000002 0fa2 0fa3 00000e10"))
	f.Add(unhex(f, "00 80 0003 00000002"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeNATPMP(b)
		if err == nil && a.Result == 0 && a.Op != natPMPAddress {
			again := encodeNATPMPMap(a.Op, a.Internal, a.External, a.Lifetime)
			if !bytes.Equal(again[4:], b[8:16]) {
				t.Errorf("%x became %x", b, again)
			}
		}
	})
}

func FuzzPCP(f *testing.F) {
	f.Add(unhex(f, "02 81 00 00 00000e10 00000007 000000000000000000000000 6fd6ff0f05fc154235e1c80a 11 000000 0fa2 0fa3 00000000000000000000ffff50646401"))
	f.Add(unhex(f, "02 80 00 00 00000000 00000002 000000000000000000000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodePCP(b)
		if err == nil && a.Op == pcpMap {
			again := encodePCPMap(netip.IPv6Unspecified(), a.Lifetime, a.Map)
			if !bytes.Equal(again[24:37], b[24:37]) || !bytes.Equal(again[40:], b[40:60]) || !bytes.Equal(again[4:8], b[4:8]) {
				t.Errorf("%x became %x", b, again)
			}
		}
	})
}

func FuzzSearch(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\nLocation: http://10.1.0.1:36063/rootDesc.xml\r\n\r\n"))
	s := side{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2"), netip.MustParsePrefix("10.1.0.2/24")}
	f.Fuzz(func(t *testing.T, b []byte) {
		location, err := decodeSearch(b)
		if err != nil {
			return
		}
		if p, err := s.locate(location, s.Gateway); err == nil && p.Host.Addr() != s.Gateway {
			t.Errorf("%q leads to %s", b, p.URL())
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add(fmt.Appendf(nil, description, "", "/ip"))
	f.Add(fmt.Appendf(nil, description, "<URLBase>http://10.1.0.1:81/</URLBase>", "//10.1.0.1/x"))
	at := place{netip.MustParseAddrPort("10.1.0.1:5000"), "/d/root.xml"}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeDescription(b, at)
		if err == nil && len(got) == 0 || len(got) > maxServices {
			t.Errorf("%d services, %v", len(got), err)
		}
		for _, s := range got {
			if s.At.Host.Addr() != at.Host.Addr() {
				t.Errorf("controlled at %s", s.At.URL())
			}
		}
	})
}

func FuzzCall(f *testing.F) {
	f.Add([]byte(`<s:Envelope><s:Body><u:AddResponse><A>1</A></u:AddResponse></s:Body></s:Envelope>`))
	f.Add([]byte(`<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>725</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := decodeCall(b, "Add"); err != nil && out != nil || len(out) > maxSOAPArguments {
			t.Errorf("%d arguments, %v", len(out), err)
		}
	})
}
