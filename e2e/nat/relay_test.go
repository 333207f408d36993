//go:build linux

package nat

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestRelayVanishes: the relay of a transfer is killed, and the transfer goes on by
// another way.
func TestRelayVanishes(t *testing.T) {
	const (
		size = 8 << 20
		mbit = 8 // that is 8 s for all
	)
	t.Parallel()
	l := build(t, "relay")
	n := join(t, l)
	relayed(t, n)
	from, to := l.Host("symmetric-a"), l.Host("symmetric-b")
	f, err := lab.Share(from, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := from.Shape(mbit); err != nil {
		t.Fatal(err)
	}
	start := traffic(t, l)
	want, err := f.Write("large", size, 1)
	if err != nil {
		t.Fatal(err)
	}
	await(t, 60*time.Second, "a quarter of the file has arrived", func() (bool, string) {
		now := traffic(t, l)
		_, says := f.Done("large")
		return now[to]-start[to] > size/4, says
	})
	// Whoever has passed on most of it is the relay.
	now := traffic(t, l)
	victim := l.Host("R1")
	if r2 := l.Host("R2"); now[r2]-start[r2] > now[victim]-start[victim] {
		victim = r2
	}
	if n := now[victim] - start[victim]; n < size/8 {
		t.Fatalf("a quarter of the file is there, but only %d bytes came by way of %s", n, victim.Name)
	}
	victim.Kill()
	killed := time.Now()
	if err := f.Await("large", want, 90*time.Second); err != nil {
		t.Fatalf("%s, which relayed, was killed: %v\n%s", victim.Name, err, n.Pair(from.Name, to.Name).Explain())
	}
	came := traffic(t, l)[to] - start[to]
	t.Logf("%s was killed; the rest arrived within %.1f s; %.2f × the file's length came in all", victim.Name, time.Since(killed).Seconds(), float64(came)/size)
	if came > size*3/2 {
		t.Errorf("%d bytes came for a file of %d: it began anew", came, size)
	}
}

// TestRelayedBecomesDirect: two nodes that need a relay need none any more when one of
// them gets a better router, and find out by themselves.
func TestRelayedBecomesDirect(t *testing.T) {
	const patience = 90 * time.Second
	t.Parallel()
	l := build(t, "relay")
	n := join(t, l)
	relayed(t, n)
	if err := l.Host("symmetric-a").Router.Set(lab.Rules{NAT: lab.FullCone}); err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	_, ok := n.Until(patience, func([]lab.Pair) bool {
		p := n.Pair("symmetric-a", "symmetric-b")
		return p.Linked() && !p.Relayed()
	})
	p := n.Pair("symmetric-a", "symmetric-b")
	if !ok {
		t.Fatalf("%v after the router was replaced by one with a full cone:\n%s", patience, p.Explain())
	}
	t.Logf("direct %.1f s after the router was replaced: %v", time.Since(changed).Seconds(), p)
}

// relayed waits until all are linked, and the two behind symmetric NATs by a relay.
func relayed(t *testing.T, n *lab.Network) {
	t.Helper()
	settle(t, n, fault)
}

// traffic is what has come to each computer, in bytes.
func traffic(t *testing.T, l *lab.Lab) map[*lab.Host]uint64 {
	t.Helper()
	all := map[*lab.Host]uint64{}
	for _, h := range l.Hosts() {
		in, err := h.Received()
		if err != nil {
			t.Fatal(err)
		}
		all[h] = in
	}
	return all
}

// await asks until it is so, and fails with what was said last.
func await(t *testing.T, limit time.Duration, what string, ask func() (bool, string)) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		ok, says := ask()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v that %s: %s", limit, what, says)
		}
	}
}
