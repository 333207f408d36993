package node

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/paxos"
)

// TestRegisterWithoutFounder: the computer that made the network is off before anybody has
// used a register.
func TestRegisterWithoutFounder(t *testing.T) {
	nodes := class(t, "Ada", "Ben", "Chiara", "Dmitri")
	ctx := t.Context()
	for {
		if err := nodes[0].Registers().Tend(ctx); err != nil { // what happens by itself, every ten seconds
			t.Fatal(err)
		}
		if c, err := nodes[0].Registers().Keepers(ctx); err == nil && c.Epoch > 1 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes[1:] {
		op := paxos.NewOp()
		r, err := n.Registers().Update(ctx, dht.KeyOf("new"), &op, func(old []byte, _ bool) ([]byte, error) { return append(old, 'x'), nil })
		if err != nil || len(r.Data) != i+1 {
			t.Errorf("%s: %q, %v", n.Name(), r.Data, err)
		}
	}
}

// TestRegister: counters that several nodes increase at the same time count each step once,
// also when one of them is gone.
func TestRegister(t *testing.T) {
	nodes := class(t, "Ada", "Ben", "Chiara", "Dmitri")
	ctx := t.Context()
	key := dht.KeyOf("counter")
	increase := func(old []byte, exists bool) ([]byte, error) {
		if !exists {
			return []byte("1"), nil
		}
		n, err := strconv.Atoi(string(old))
		return strconv.AppendInt(nil, int64(n)+1, 10), err
	}
	const each = 5
	count := func(nodes []*Node) {
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				for range each {
					op := paxos.NewOp()
					if _, err := n.Registers().Update(ctx, key, &op, increase); err != nil {
						t.Errorf("%s: %v", n.Name(), err)
					}
				}
			})
		}
		wg.Wait()
	}
	count(nodes)
	if err := nodes[0].Close(); err != nil { // the founder
		t.Fatal(err)
	}
	count(nodes[1:])
	r, err := nodes[3].Registers().Read(ctx, key)
	if err != nil || string(r.Data) != strconv.Itoa(7*each) || r.Version != 7*each {
		t.Errorf("%s in version %d, want %d: %v", r.Data, r.Version, 7*each, err)
	}
}
