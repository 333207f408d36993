package rtc

import (
	"sync"
	"time"
)

const (
	tailLength = 32
	tailLife   = 4 * time.Second
)

// tail keeps the last datagrams that were sent to a peer which says nothing: when it
// turns out that the path was gone, they are sent again over the next one. Otherwise
// SCTP would do so, but not before its timer has run out, which takes seconds. The
// peer's DTLS drops those that it knows.
type tail struct {
	mu   sync.Mutex
	kept []kept // oldest first
}

type kept struct {
	b  []byte
	at time.Time
}

// keep copies b.
func (t *tail) keep(b []byte, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := kept{at: now}
	if len(t.kept) == tailLength {
		k.b = t.kept[0].b[:0]
		t.kept = append(t.kept[:0], t.kept[1:]...)
	}
	k.b = append(k.b, b...)
	t.kept = append(t.kept, k)
}

// take returns what was kept lately, and keeps nothing any more.
func (t *tail) take(now time.Time) [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out [][]byte
	for _, k := range t.kept {
		if now.Sub(k.at) < tailLife {
			out = append(out, k.b)
		}
	}
	t.kept = nil
	return out
}

// trim forgets what nobody wants any more.
func (t *tail) trim(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.kept); n > 0 && now.Sub(t.kept[n-1].at) >= tailLife {
		t.kept = nil
	}
}

// since is how old the oldest datagram is that is kept and not forgotten.
func (t *tail) since(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kept {
		if age := now.Sub(k.at); age < tailLife {
			return age
		}
	}
	return 0
}
