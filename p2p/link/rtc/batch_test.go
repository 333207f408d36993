package rtc

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Cut into runs and apart again, a batch is what it was, in order, and each run is
// one that the kernel takes.
func TestRuns(t *testing.T) {
	addrs := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[2001:db8::1]:1")}
	rapid.Check(t, func(t *rapid.T) {
		var b batch
		var want, got []string
		for i := range rapid.IntRange(0, 200).Draw(t, "datagrams") {
			p := bytes.Repeat([]byte{byte(i)}, rapid.SampledFrom([]int{1, 100, 1228, 1228, 1228, 1228, 2000}).Draw(t, "size"))
			to := addrs[rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "to")]
			b.bytes = append(b.bytes, p...)
			b.items = append(b.items, item{len(p), to})
			want = append(want, to.String()+string(p))
		}
		b.runs(func(r run) {
			if r.count > maxRun || len(r.bytes) > maxRunBytes || r.count != (len(r.bytes)+r.size-1)/r.size {
				t.Errorf("a run of %d datagrams of %d, %d bytes", r.count, r.size, len(r.bytes))
			}
			for p := range slices.Chunk(r.bytes, r.size) {
				got = append(got, r.to.String()+string(p))
			}
		})
		if !slices.Equal(got, want) {
			t.Error("the datagrams are not the same")
		}
	})
}

func TestBatcherCloses(t *testing.T) {
	release := make(chan struct{})
	sent := 0
	b := newBatcher(func(r run) {
		<-release
		sent += r.count
	})
	go b.run()
	to := netip.MustParseAddrPort("10.0.0.1:1")
	const each = 1000
	added := 0
	var writers sync.WaitGroup
	var mu sync.Mutex
	for range 4 {
		writers.Go(func() { // more than fits: they wait for room
			for range 400 {
				if err := b.add(make([]byte, each), to); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				added++
				mu.Unlock()
			}
		})
	}
	close(release)
	writers.Wait()
	b.close()
	if sent != added || added != 1600 {
		t.Errorf("%d of %d datagrams were sent", sent, added)
	}
	if err := b.add([]byte{1}, to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// What one socket sends in a burst another receives, whatever the kernel makes of
// it on the way.
func TestSockets(t *testing.T) {
	open := func() socket {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return newSocket(c)
	}
	a, b := open(), open()
	from := a.LocalAddr().(*net.UDPAddr).AddrPort()
	to := b.LocalAddr().(*net.UDPAddr).AddrPort()
	got := make(chan []byte, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		_ = b.Read(func(p []byte, by netip.AddrPort) {
			if netip.AddrPortFrom(by.Addr().Unmap(), by.Port()) != from {
				t.Errorf("from %s", by)
			}
			got <- slices.Clone(p)
		})
	})
	for i := range 100 {
		p := bytes.Repeat([]byte{byte(i)}, []int{1228, 1228, 1228, 60}[i%4])
		if err := a.WriteTo(p, to); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		select {
		case p := <-got:
			if len(p) != []int{1228, 1228, 1228, 60}[i%4] || p[0] != byte(i) {
				t.Errorf("datagram %d: %d bytes of %d", i, len(p), p[0])
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("datagram %d did not arrive", i)
		}
	}
	for _, s := range []socket{a, b} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	reading.Wait()
}
