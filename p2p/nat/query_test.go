package nat

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// TestPermit: a probe goes to the address that the asker is seen at, and nowhere
// else.
func TestPermit(t *testing.T) {
	public := []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	home := append(public, netip.MustParseAddr("192.168.1.2"))
	lab := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	udp := func(remote string) p2p.Path {
		return p2p.Path{Kind: p2p.PathPunched, Proto: "udp", Remote: netip.MustParseAddrPort(remote)}
	}
	for _, tc := range []struct {
		to   string
		path p2p.Path
		own  []netip.Addr
		want error
	}{
		{"203.0.113.7:5000", udp("203.0.113.7:4747"), public, nil},
		{"203.0.113.7:5000", udp("[::ffff:203.0.113.7]:4747"), public, nil},
		{"[2001:db8::7]:5000", udp("[2001:db8::7]:4747"), public, nil},
		{"192.168.1.7:5000", udp("192.168.1.7:4747"), home, nil},
		{"127.0.0.1:5000", udp("127.0.0.1:4747"), lab, nil},

		{"203.0.113.8:5000", udp("203.0.113.7:4747"), public, errNotYours},
		{"[2001:db8::8]:5000", udp("[2001:db8::7]:4747"), public, errNotYours},
		{"192.168.1.7:5000", udp("203.0.113.7:4747"), home, errNotYours},
		{"127.0.0.1:5000", udp("203.0.113.7:4747"), lab, errNotYours},
		{"192.168.1.7:5000", udp("192.168.1.7:4747"), public, errElse},
		{"100.64.0.7:5000", udp("100.64.0.7:4747"), public, errElse},
		{"[fd00::7]:5000", udp("[fd00::7]:4747"), public, errElse},
		{"127.0.0.1:5000", udp("127.0.0.1:4747"), home, errElse},
		{"[::1]:5000", udp("[::1]:4747"), home, errElse},

		{"203.0.113.7:0", udp("203.0.113.7:4747"), public, errNowhere},
		{"0.0.0.0:5000", udp("0.0.0.0:4747"), lab, errNowhere},
		{"[::]:5000", udp("[::]:4747"), lab, errNowhere},
		{"255.255.255.255:5000", udp("255.255.255.255:4747"), public, errNowhere},
		{"240.0.0.1:5000", udp("240.0.0.1:4747"), public, errNowhere},
		{"0.1.2.3:5000", udp("0.1.2.3:4747"), public, errNowhere},
		{"224.0.0.1:5000", udp("224.0.0.1:4747"), public, errNowhere},
		{"[ff02::1]:5000", udp("[ff02::1]:4747"), public, errNowhere},
		{"169.254.169.254:5000", udp("169.254.169.254:4747"), home, errNowhere},
		{"[fe80::1%eth0]:5000", udp("[fe80::1%eth0]:4747"), home, errNowhere},

		{"203.0.113.7:5000", p2p.Path{Kind: p2p.PathRelayed, Remote: netip.MustParseAddrPort("203.0.113.7:4747")}, public, errNoPath},
		{"203.0.113.7:5000", p2p.Path{Kind: p2p.PathMemory}, public, errNoPath},
		{"203.0.113.7:5000", p2p.Path{Kind: p2p.PathDirect}, public, errNoPath},
	} {
		if got := permit(unmap(netip.MustParseAddrPort(tc.to)), tc.path, tc.own); !errors.Is(got, tc.want) {
			t.Errorf("%s for %v: got %v, want %v", tc.to, tc.path.Remote, got, tc.want)
		}
	}
}

// TestPermitOnlyTheSource: whatever is asked for, packets go to the IP address of
// the link.
func TestPermitOnlyTheSource(t *testing.T) {
	ip := rapid.Custom(func(t *rapid.T) netip.Addr {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes"))
		return a.Unmap()
	})
	rapid.Check(t, func(t *rapid.T) {
		seen := ip.Draw(t, "seen")
		to := netip.AddrPortFrom(rapid.OneOf(ip, rapid.Just(seen)).Draw(t, "to"), rapid.Uint16().Draw(t, "port"))
		kind := rapid.SampledFrom([]p2p.PathKind{p2p.PathDirect, p2p.PathMapped, p2p.PathPunched, p2p.PathRelayed, p2p.PathMemory}).Draw(t, "kind")
		own := rapid.SliceOfN(ip, 0, 3).Draw(t, "own")
		if permit(to, p2p.Path{Kind: kind, Remote: netip.AddrPortFrom(seen, 1)}, own) == nil && (to.Addr() != seen || kind == p2p.PathRelayed || scopeOf(seen) == "") {
			t.Fatalf("a probe to %v is permitted for a link of %v", to, seen)
		}
	})
}

func TestDecodeQuery(t *testing.T) {
	nonce := make([]byte, 16)
	for name, tc := range map[string]struct {
		q  query
		ok bool
	}{
		"port":           {query{Op: opPort}, true},
		"probe":          {query{Op: opProbe, To: "1.1.1.1:1", Nonce: nonce, From: SourceSame}, true},
		"IPv6":           {query{Op: opProbe, To: "[2001:db8::1]:1", Nonce: nonce, From: SourceOther}, true},
		"nothing":        {query{}, false},
		"unknown":        {query{Op: "reboot"}, false},
		"short nonce":    {query{Op: opProbe, To: "192.0.2.100:10000", Nonce: nonce[:15], From: SourceSame}, false},
		"long nonce":     {query{Op: opProbe, To: "192.0.2.100:10000", Nonce: make([]byte, 17), From: SourceSame}, false},
		"no address":     {query{Op: opProbe, To: "example.org:4747", Nonce: nonce, From: SourceSame}, false},
		"unknown source": {query{Op: opProbe, To: "192.0.2.100:10000", Nonce: nonce, From: "router"}, false},
	} {
		b, err := wire.Marshal(tc.q)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = decodeQuery(b)
		var refused *p2p.CallError
		if (err == nil) != tc.ok || err != nil && (!errors.As(err, &refused) || refused.Code != codeMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if tc.ok && tc.q.Op == opProbe && len(b) < probeSize {
			t.Errorf("%s: a request of %d bytes for a probe of %d", name, len(b), probeSize)
		}
	}
	if _, _, err := decodeQuery([]byte("nonsense")); err == nil {
		t.Error("nonsense is understood")
	}
}

func FuzzDecodeQuery(f *testing.F) {
	for _, q := range []query{{Op: opPort}, {Op: opProbe, To: "1.1.1.1:1", Nonce: make([]byte, 16), From: SourceSame}} {
		b, err := wire.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, to, err := decodeQuery(b)
		if err == nil && q.Op == opProbe && (!to.IsValid() || to.Addr().Is4In6() || len(q.Nonce) != 16 || len(b) < probeSize) {
			t.Errorf("%x is read as %+v", b, q)
		}
	})
}
