//go:build linux

package crash

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/folder/apply/fault"
)

// TestKill: nodes are killed again and again while people work, at any time and at
// the named points, and nothing is lost.
func TestKill(t *testing.T) {
	dir, r := begin(t)
	w := newWorld(t, dir, place{}, place{}, place{})
	k := &killer{world: w, r: r, writers: []*writer{w.writer(0, r), w.writer(1, r)}, hits: map[string]int{}}
	_, err := exec.LookPath("strace")
	k.slow = *long && err == nil
	stop := w.person()
	defer stop()
	n := times(25, 200)
	for i := range n {
		k.cycle(i)
		if i%20 == 19 {
			w.settle(3 * time.Minute)
			t.Logf("%d kills: all is well", i+1)
		}
	}
	w.settle(3 * time.Minute)
	written, destroyed := w.oracle.counts()
	t.Logf("%d cycles, %d contents written, %d destroyed; killed at a random time %d times, and at %v", n, written, destroyed, k.random, k.hits)
	if *long {
		for _, name := range fault.Names {
			if k.hits[name] == 0 { // some need two people at the same moment
				t.Errorf("died at %s only %d times", name, k.hits[name])
			}
		}
	}
}

// killer kills one node in each cycle.
type killer struct {
	*world
	r       *rand.Rand
	writers []*writer
	hits    map[string]int
	random  int
	slow    bool // strace can make steps slow
}

// cycle starts a node that is to die, has people work, and starts it again when it is
// dead.
func (k *killer) cycle(i int) {
	n := k.nodes[k.r.IntN(len(k.nodes))]
	point := ""
	if k.r.IntN(4) > 0 {
		point = k.rarest(i)
	}
	if point == "" {
		k.work(1, 12)
		n.ended(time.Duration(k.r.IntN(600)) * time.Millisecond)
		n.kill()
		k.random++
	} else {
		k.dieAt(n, point)
	}
	k.work(0, 8)
	n.start()
}

// rarest picks a point: in turn, or one of those at which the fewest have died.
func (k *killer) rarest(i int) string {
	if k.r.IntN(2) == 0 {
		return fault.Names[i%len(fault.Names)]
	}
	return slices.MinFunc(fault.Names, func(a, b string) int { return cmp.Compare(k.hits[a], k.hits[b]) })
}

// dieAt has a node die at a point, if it comes there within a while.
func (k *killer) dieAt(n *node, point string) {
	n.kill()
	k.work(0, 8)
	if point == "apply.put-back" || point == "apply.kept" {
		n.start(fmt.Sprintf("SHOAL_FAULT=%s:1", point))
		k.contend(n)
	} else if n.start(fmt.Sprintf("SHOAL_FAULT=%s:%d", point, 1+k.r.IntN(3))) {
		for range 30 {
			k.work(1, 4)
			if n.ended(100 * time.Millisecond) {
				break
			}
		}
	}
	if n.alive() {
		k.random++
	} else {
		k.hits[point]++
	}
	n.kill()
}

// contend has people change the same few files on two nodes while each step of node n
// takes long, so that what it takes away is sometimes not what it has looked at.
func (k *killer) contend(n *node) {
	if !k.slow {
		n.ended(time.Second)
		return
	}
	k.linked(n)
	i := slices.Index(k.nodes, n)
	other := k.writers[1-min(i, 1)]
	here := k.writer(i, k.r)
	here.small = true
	if err := other.cluster(); err != nil {
		k.t.Fatal(err)
	}
	detach := k.inject(n, "renameat2:delay_enter=20000")
	defer detach()
	for range 40 {
		path := fmt.Sprintf("hot/%d", k.r.IntN(4))
		if err := other.change(path); err != nil && !passes(err) {
			k.t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(100+k.r.IntN(250)) * time.Millisecond); time.Now().Before(end); {
			if n.ended(time.Millisecond) {
				return
			}
		}
		for range 1 + k.r.IntN(4) {
			if err := here.change(path); err != nil && !passes(err) {
				k.t.Fatal(err)
			}
			if n.ended(time.Duration(5+k.r.IntN(15)) * time.Millisecond) {
				return
			}
		}
	}
}

// work has both people do a few things at the same time.
func (k *killer) work(least, most int) {
	var wg sync.WaitGroup
	for _, w := range k.writers {
		n := least + k.r.IntN(most-least)
		wg.Go(func() { w.work(n) })
	}
	wg.Wait()
}
