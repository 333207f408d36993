package rtc

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"sync"
	"time"
)

// This file finds out how long the datagrams may be that a path carries (RFC 8899):
// it is asked with STUN requests that are as long. They go out when ICE has found the
// path, beside the handshake of DTLS, and cost no time. Each packet costs a link about
// the same, so that bytes cost less in longer ones.

const (
	// baseDatagram is what every path carries: pion's own figure of 1191 bytes for
	// SCTP, which DTLS, UDP and IPv6 make 1276.
	baseDatagram = baseMTU + recordOverhead
	baseMTU      = 1191
	// longDatagram is the longest that is sent: at 8164 bytes two packets are a
	// message of a link.
	longDatagram = 8164
	// probeAgain is when what was not answered is asked once more.
	probeAgain = 60 * time.Millisecond
)

// probed are the lengths that are tried: jumbo frames and loopback, an Ethernet, the
// same through PPPoE, and through the usual tunnels.
func probed(to netip.Addr, most int) []int {
	sizes := []int{longDatagram, 1472, 1464, 1392}
	if to.Is6() {
		sizes = []int{longDatagram, 1452, 1444, 1372}
	}
	for len(sizes) > 0 && sizes[0] > most {
		sizes = sizes[1:]
	}
	return sizes
}

// prober knows which requests were answered.
type prober struct {
	mu   sync.Mutex
	out  map[txID]int  // bytes of requests without an answer
	most int           // bytes of the longest that was answered
	done chan struct{} // closed and replaced at each answer
}

func newProber() *prober { return &prober{out: map[txID]int{}, done: make(chan struct{})} }

// sent enters a request.
func (p *prober) sent(id txID, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) < maxPending {
		p.out[id] = size
	}
}

// answered reports whether the STUN message b answers one of the requests.
func (p *prober) answered(b []byte) bool {
	if class, ok := stunClass(b); !ok || class != stunResponse {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := txID(b[8:20])
	size, mine := p.out[id]
	if mine {
		delete(p.out, id)
		p.most = max(p.most, size)
		close(p.done)
		p.done = make(chan struct{})
	}
	return mine
}

// longest returns the length of the longest request that was answered, and what is
// closed at the next answer.
func (p *prober) longest() (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most, p.done
}

// forget drops what is known: the path may be another.
func (p *prober) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = 0
	clear(p.out)
}

// probe asks whether the path carries datagrams of the sizes.
func (p *peer) probe(sizes []int) {
	r := p.path.Load()
	if r == nil || r.conn == nil {
		return
	}
	for _, n := range sizes {
		id, msg := p.request(n)
		p.probes.sent(id, n)
		_, _ = r.conn.WriteToAddrPort(msg, r.to) // what is too long for the interface is lost here
	}
}

// explore finds out what the path carries until ctx ends.
func (p *peer) explore(ctx context.Context, sizes []int) {
	p.probe(sizes)
	select {
	case <-time.After(probeAgain):
	case <-ctx.Done():
		return
	}
	most, _ := p.probes.longest()
	for len(sizes) > 0 && sizes[len(sizes)-1] <= most {
		sizes = sizes[:len(sizes)-1]
	}
	p.probe(sizes)
}

// Verifying that a path still carries long datagrams: at most so many requests, so far
// apart.
const (
	verifyTries = 8
	verifyPause = 300 * time.Millisecond
)

// verify ends the connection if its path carries its packets no more: as when it is
// another one now. They cannot be made shorter; the next connection's will be.
func (p *peer) verify() {
	if p.association() == nil || p.mtu() == baseMTU || !p.verifying.CompareAndSwap(false, true) {
		return
	}
	defer p.verifying.Store(false)
	p.probes.forget()
	for range verifyTries {
		_, answer := p.probes.longest()
		p.probe([]int{p.mtu() + recordOverhead})
		p.heartbeat() // is it the length, or is it the path?
		select {
		case <-answer:
			return
		case <-time.After(verifyPause):
		case <-p.ctx.Done():
			return
		}
	}
	if !p.pulse.alive(verifyTries * verifyPause) {
		return // nothing gets through
	}
	p.gone(fmt.Errorf("rtc: the path no longer carries packets of %d bytes: %w", p.mtu()+recordOverhead, errPeerGone))
}

// request is a binding request of n bytes, a multiple of four (RFC 8489), as the
// peer's agent answers it.
func (p *peer) request(n int) (id txID, msg []byte) {
	const (
		username, integrity, fingerprint = 0x0006, 0x0008, 0x8028
		padding                          = 0xfff0 // unknown to everybody and not to be minded
		tail                             = 4 + sha1.Size + 4 + 4
	)
	_, _ = rand.Read(id[:]) // never fails
	p.mu.Lock()
	name, pwd := p.remote.Ufrag+":"+p.ufrag, p.remote.Pwd
	p.mu.Unlock()
	b := make([]byte, 20, n)
	binary.BigEndian.PutUint16(b, 0x0001)
	binary.BigEndian.PutUint32(b[4:], 0x2112a442)
	copy(b[8:], id[:])
	b = appendAttribute(b, username, []byte(name))
	b = appendAttribute(b, padding, make([]byte, max(0, n-tail-len(b)-4)))
	// The length that is summed up is that up to the end of the sum.
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20+4+sha1.Size))
	mac := hmac.New(sha1.New, []byte(pwd))
	mac.Write(b)
	b = appendAttribute(b, integrity, mac.Sum(nil))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20+8))
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)^0x5354554e)
	return id, appendAttribute(b, fingerprint, sum)
}

func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
