package server

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

const (
	attemptBurst  = 10              // wrong tokens that an address may try at once
	attemptRefill = 6 * time.Second // and then one more each
	attemptsKept  = 4096            // addresses remembered
)

// attempts bounds how fast wrong tokens can be tried: for each address (IPv6:
// each /64) a bucket. The same wrong token again is no new guess and costs
// nothing, so that a forgotten tab with yesterday's token locks nobody out.
type attempts struct {
	mu sync.Mutex // guards the following field
	by map[netip.Prefix]*attempt
}

type attempt struct {
	used time.Duration // of the burst, in refill time
	at   time.Time     // when used was true
	last [sha256.Size]byte
}

func newAttempts() *attempts { return &attempts{by: map[netip.Prefix]*attempt{}} }

// wait says how long addr has to wait before a token of it is looked at; 0: not.
func (a *attempts) wait(now time.Time, addr netip.Addr) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.by[neighbourhood(addr)]
	if t == nil {
		return 0
	}
	t.refill(now)
	return max(0, t.used+attemptRefill-attemptBurst*attemptRefill)
}

// wrong counts a wrong token, given by its hash.
func (a *attempts) wrong(now time.Time, addr netip.Addr, token [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := neighbourhood(addr)
	t := a.by[key]
	if t == nil {
		a.makeRoom()
		t = &attempt{at: now}
		a.by[key] = t
	}
	t.refill(now)
	if t.last != token {
		t.used += attemptRefill
		t.last = token
	}
}

// makeRoom forgets some address when as many are remembered as may be. Somebody
// who has thousands of addresses has thousands of bursts as well, so which one is
// forgotten makes no difference; a map begins anywhere.
func (a *attempts) makeRoom() {
	if len(a.by) < attemptsKept {
		return
	}
	for key := range a.by {
		delete(a.by, key)
		return
	}
}

func (t *attempt) refill(now time.Time) {
	t.used = max(0, t.used-max(0, now.Sub(t.at)))
	t.at = now
}

// neighbourhood is the network that one guesser can be assumed to have.
func neighbourhood(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil { // the zero Addr: a remote end that is no IP address
		return netip.Prefix{}
	}
	return p
}
