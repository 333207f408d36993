package nat

import (
	"net/netip"
	"sync"
	"time"
)

// Limits of a Responder.
const (
	maxHouseholds = 4096             // that are remembered
	creditKept    = 30 * time.Second // a client sends its request again within that time
	maxCredit     = 4 * paddedSize   // bytes
	answersEach   = 20               // a second, for one household
	answersAll    = 1000             // a second
)

// Responder answers STUN Binding requests: it tells each asker from which address
// the request came. The zero value is ready to use, by several goroutines.
//
// The source of a datagram is easily forged, and the answer goes to whoever was
// named there. Therefore a household never gets more bytes than came in its name:
// a request is answered once the requests that were not have paid for it. Those of
// shoal are long enough to be answered at once. A standard client's, of 20 bytes,
// are answered when they are sent again: the second for IPv4, the third for IPv6.
type Responder struct {
	mu         sync.Mutex // guards all that follows
	households map[netip.Prefix]account
	all        bucket
}

// account is what one household has sent and not yet got back.
type account struct {
	credit int // bytes
	rate   bucket
	at     time.Time
}

// Respond returns the answer to b, which came from the address from, or nil: b is
// no request, or one with credentials, which is for an ICE agent; or its household
// has to send more first, or asks too often.
func (r *Responder) Respond(b []byte, from netip.AddrPort, now time.Time) []byte {
	m, err := parse(b)
	if err != nil || m.class != classRequest || m.credentials {
		return nil
	}
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	if !from.IsValid() || from.Port() == 0 {
		return nil
	}
	answer := bindingSuccess(m.tx, from)
	if len(m.unknown) > 0 {
		answer = bindingFailure(m.tx, m.unknown)
	}
	if !r.pay(household(from.Addr()), len(b), len(answer), now) {
		return nil
	}
	return answer
}

// pay books a request of in bytes and reports whether out bytes may be sent.
func (r *Responder) pay(house netip.Prefix, in, out int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.households[house]
	switch {
	case !ok:
		r.makeRoom(now)
	case now.Sub(a.at) > creditKept:
		a.credit = 0
	}
	a.credit, a.at = min(a.credit+in, maxCredit), now
	paid := a.credit >= out && a.rate.take(answersEach, 2*answersEach, now) && r.all.take(answersAll, 2*answersAll, now)
	if paid {
		a.credit -= out
	}
	r.households[house] = a
	return paid
}

// makeRoom forgets households that were not heard of lately, and then any, until
// a quarter of the places is free. What is forgotten is credit: an answer comes
// later, never too much.
func (r *Responder) makeRoom(now time.Time) {
	if r.households == nil {
		r.households = map[netip.Prefix]account{}
	}
	if len(r.households) < maxHouseholds {
		return
	}
	for h, a := range r.households {
		if now.Sub(a.at) > creditKept {
			delete(r.households, h)
		}
	}
	for h := range r.households {
		if len(r.households) <= maxHouseholds*3/4 {
			return
		}
		delete(r.households, h)
	}
}

// household is what one customer of an Internet provider gets: an IPv4 address or
// an IPv6 /56.
func household(a netip.Addr) netip.Prefix {
	bits := 56
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // an invalid address
	}
	return p
}
