package ranges_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/ranges"
	"github.com/shoal-p2p/shoal/p2p/sim"
)

// tables starts a network of real tables. What stops a node takes it away for good.
func tables(t *testing.T, n int) (all []*dht.Table, stop func(i int), end func()) {
	calls := sim.NewCalls(sim.CallOptions{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var members []dht.Member
	var who []p2p.Identity
	for i := range n {
		seed := sha256.Sum256(fmt.Append(nil, "node ", i))
		id, err := p2p.IdentityFromSeed(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		who = append(who, id)
		members = append(members, dht.Member{ID: id.ID(), Position: sha256.Sum256(append(seed[:], 1)), PublicKey: id.PublicKey(), Name: fmt.Sprint("node ", i)})
	}
	stops := make([]context.CancelFunc, n)
	var running sync.WaitGroup
	for i, id := range who {
		var table *dht.Table
		ready := make(chan struct{})
		o := dht.Options{
			Identity: id, Store: dht.NewMemory(), Alive: calls.Up,
			Network: func() p2p.ID { return p2p.ID{1} },
			Members: func() []dht.Member { return members },
		}
		o.Caller = calls.Add(id.ID(), func(ctx context.Context, from p2p.ID, proto string, req []byte) ([]byte, error) {
			<-ready
			return table.Handlers()[proto](ctx, from, req)
		})
		table = dht.New(o)
		close(ready)
		all = append(all, table)
		var run context.Context
		run, stops[i] = context.WithCancel(ctx)
		running.Go(func() {
			if err := table.Run(run); err != nil {
				t.Error(err)
			}
		})
	}
	stop = func(i int) {
		calls.Crash(members[i].ID)
		stops[i]()
		for j, table := range all {
			if j != i {
				table.Changed()
			}
		}
	}
	return all, stop, func() {
		cancel()
		running.Wait()
		calls.Wait()
	}
}

// TestOnTables: several members put entries into one part of the domain at the same time,
// while others ask and a member is lost: what was said to be kept is in every answer that
// was asked for afterwards, and nothing is twice.
func TestOnTables(t *testing.T) {
	if raced {
		t.Skip("not with the race detector, which crashes in large bubbles: run it without")
	}
	for _, name := range []string{"dst", "pht", "buckets"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, stop, end := tables(t, 8)
				defer end()
				open := func(i int) *ranges.Index {
					return ranges.New(ranges.Options{Table: all[i], Name: "x", Scheme: schemes[name], Capacity: 4})
				}
				var mu sync.Mutex
				kept := map[string]bool{}
				var writers, reader sync.WaitGroup
				for i := range 3 {
					writers.Go(func() {
						x := open(i)
						for j := range 20 {
							e := entry(uint64(j%7)<<58|uint64(i*20+j), i)
							r, _, err := x.Insert(t.Context(), []ranges.Entry{e})
							if err != nil {
								t.Error(err)
							} else if r[0].Status.Stored() {
								mu.Lock()
								kept[string(e.Value)] = true
								mu.Unlock()
							}
						}
					})
				}
				check := func(i int) (rounds int) {
					mu.Lock()
					want := make([]string, 0, len(kept))
					for v := range kept {
						want = append(want, v)
					}
					mu.Unlock()
					a, err := open(i).Query(t.Context(), ranges.Range{To: math.MaxUint64})
					if err != nil {
						t.Error(err)
						return
					}
					got := map[string]bool{}
					for _, e := range a.Entries {
						if got[string(e.Value)] {
							t.Errorf("%s is there twice", e.Value)
						}
						got[string(e.Value)] = true
					}
					for _, v := range want {
						if !got[v] {
							t.Errorf("%s is missing", v)
						}
					}
					return a.Trace.Rounds
				}
				reader.Go(func() {
					for range 20 {
						check(5)
						time.Sleep(50 * time.Millisecond)
					}
				})
				time.Sleep(300 * time.Millisecond)
				stop(7)
				reader.Wait()
				writers.Wait()
				check(3)
				if len(kept) != 60 {
					t.Errorf("%d of 60 are kept", len(kept))
				}
				time.Sleep(time.Minute)
				if rounds := check(4); rounds > 3 { // the last one says above what is full
					t.Errorf("%d rounds", rounds)
				}
			})
		})
	}
}
