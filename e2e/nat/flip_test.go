//go:build linux

package nat

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

const (
	flipGoal  = 3 * time.Second  // what is wanted, and printed
	flipLimit = 20 * time.Second // what fails: the machine may be busy
)

// TestFlip: a home gets another public address without notice, and then the computer
// goes to another network. Its links work again soon, in both directions.
func TestFlip(t *testing.T) {
	t.Parallel()
	l := build(t, "flip")
	n := join(t, l)
	linked(t, n)
	mover := l.Host("mover")
	probes := []probe{
		newProbe(t, mover, l.Host("R1")),
		newProbe(t, mover, l.Host("stayer")),
		newProbe(t, l.Host("R2"), mover),
		newProbe(t, l.Host("stayer"), mover),
	}
	flips := []struct {
		what string
		do   func() error
	}{
		{"the router got another address", func() error { return mover.Router.Readdress(200) }},
		{"the computer went to another network", func() error { return mover.Move(l.Host("cafe")) }},
	}
	for _, flip := range flips {
		again(t, n, probes, flip.what, flip.do)
	}
	linked(t, n)
}

// again changes something and fails if a probe is not answered again soon.
func again(t *testing.T, n *lab.Network, probes []probe, what string, change func() error) {
	t.Helper()
	if err := change(); err != nil {
		t.Fatal(err)
	}
	took := make([]time.Duration, len(probes))
	errs := make([]error, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { took[i], errs[i] = p.again(flipLimit) })
	}
	wg.Wait()
	for i, p := range probes {
		switch {
		case errs[i] != nil:
			t.Errorf("%s: %s does not reach %s within %v: %v\n%s", what, p.from.Name, p.to.Name, flipLimit, errs[i], n.Pair(p.from.Name, p.to.Name).Explain())
		case took[i] > flipGoal:
			t.Logf("%s: %s reaches %s again after %.1f s, which is MORE THAN THE GOAL of %v", what, p.from.Name, p.to.Name, took[i].Seconds(), flipGoal)
		default:
			t.Logf("%s: %s reaches %s again after %.1f s", what, p.from.Name, p.to.Name, took[i].Seconds())
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// probe is a question that takes a working link to answer: a document of the other node.
type probe struct {
	from, to *lab.Host
	document string
}

func newProbe(t *testing.T, from, to *lab.Host) probe {
	t.Helper()
	var made struct{ ID string }
	if err := to.Call("POST", "/api/documents", map[string]string{"title": "for " + from.Name}, &made); err != nil {
		t.Fatal(err)
	}
	p := probe{from: from, to: to, document: made.ID}
	if _, err := p.again(10 * time.Second); err != nil {
		t.Fatalf("before anything has changed: %v", err)
	}
	return p
}

// again asks again and again, without waiting for those questions that went into a
// link which is dead, and returns how long it took to the first answer.
func (p probe) again(limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	answered := make(chan time.Duration, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before it waits
	var mu sync.Mutex
	last := context.DeadlineExceeded
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for {
		wg.Go(func() {
			err := p.from.CallContext(ctx, "GET", "/api/documents/"+p.document+"?node="+p.to.ID, nil, nil)
			if err == nil {
				select {
				case answered <- time.Since(began):
				default:
				}
				return
			}
			if ctx.Err() == nil {
				mu.Lock()
				last = err
				mu.Unlock()
			}
		})
		select {
		case took := <-answered:
			return took, nil
		case <-ctx.Done():
			mu.Lock()
			defer mu.Unlock()
			return 0, last
		case <-pace.C:
		}
	}
}
