//go:build linux

package nat

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/e2e/nat/lab"
)

// TestLoss: where three packets of ten are lost, on the way there and on the way back,
// files still arrive, every time.
func TestLoss(t *testing.T) {
	const (
		files   = 20
		size    = 10_000_000
		percent = 30
		each    = 280 * time.Second
	)
	t.Parallel()
	l := build(t, "loss")
	n := join(t, l)
	linked(t, n)
	f, err := lab.Share(l.Host("R1"), l.Host("R2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range l.Hosts() {
		if err := h.Lose(percent); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for i := range files {
		name := fmt.Sprintf("file-%02d", i)
		b, err := f.Write(name, size, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Await(name, b, each); err != nil {
			t.Fatalf("%d of %d files have arrived in %.1f s; then %v\n%s", i, files, time.Since(began).Seconds(), err, n.Pair("R1", "R2").Explain())
		}
		t.Logf("%s after %.1f s", name, time.Since(began).Seconds())
	}
	t.Logf("%d of %d files of 10 MB arrived in %.1f s: %.2f MB/s with %d %% loss", files, files, time.Since(began).Seconds(),
		files*size/1e6/time.Since(began).Seconds(), percent)
}
