//go:build linux

package nat

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestLoss: where three packets of ten are lost, on the way there and on the way back,
// files still arrive, twenty times out of twenty: one after the other, on several links
// at the same time. The links are made under loss too.
func TestLoss(t *testing.T) {
	const (
		files = 20
		size  = 10_000_000
		each  = time.Minute
	)
	t.Parallel()
	l := build(t, "loss")
	began := time.Now()
	results := make([]result, lab.LossPairs)
	var wg sync.WaitGroup
	for i := range results {
		from, to := l.Host(fmt.Sprintf("from-%d", i)), l.Host(fmt.Sprintf("to-%d", i))
		wg.Go(func() { results[i] = transfer(from, to, files/lab.LossPairs, size, each) })
	}
	wg.Wait()
	arrived, failed := 0, ""
	var took []time.Duration
	for _, r := range results {
		arrived += len(r.took)
		took = append(took, r.took...)
		if failed == "" {
			failed = r.failed
		}
	}
	said := fmt.Sprintf("%d of %d files of 10 MB arrived in %.1f s, each in %s s, %d at the same time, %d %% of packets lost each way",
		arrived, files, time.Since(began).Seconds(), lab.Span(took), lab.LossPairs, lab.LossPercent)
	if failed != "" {
		t.Fatalf("%s\nsuch as %s", said, failed)
	}
	t.Log(said)
}

// result is how long each file took, and why there were no more.
type result struct {
	took   []time.Duration
	failed string
}

// transfer makes a network of two and has files arrive, one after the other.
func transfer(from, to *lab.Host, files, size int, each time.Duration) (r result) {
	n, err := lab.Join(from, to)
	if err != nil {
		r.failed = err.Error()
		return r
	}
	f, err := lab.Share(from, to)
	for i := 0; i < files && err == nil; i++ {
		name := fmt.Sprintf("file-%02d", i)
		began := time.Now()
		var want []byte
		if want, err = f.Write(name, size, uint64(i)); err == nil {
			err = f.Await(name, want, each)
		}
		if err == nil {
			r.took = append(r.took, time.Since(began))
		}
	}
	if err != nil {
		r.failed = fmt.Sprintf("%v\n%s", err, n.Pair(from.Name, to.Name).Explain())
	}
	return r
}
