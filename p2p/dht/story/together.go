package story

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
)

// Those of a block "together" take turns: one of them goes on until it has read, or has sent
// all of one round, then the next is drawn. So what happens is one of the orders in which it
// can happen, and the same one each time.

// turn is where one of them waits.
type turn struct {
	waits chan<- int // its number, when it waits; the complement when it is done
	goes  chan struct{}
	n     int
}

// pause lets others go on.
func (n *node) pause() {
	if n.turn != nil {
		n.turn.waits <- n.turn.n
		<-n.turn.goes
	}
}

// gated is a store whose node takes its turn before it writes: a sequence number is drawn
// before each message that has to be signed.
type gated struct {
	dht.Store
	n *node
}

// NextSeq implements dht.Store.
func (g *gated) NextSeq(ctx context.Context, atLeast uint64, n int) (uint64, error) {
	g.n.pause()
	return g.Store.NextSeq(ctx, atLeast, n)
}

// writing is one of those that write together.
type writing struct {
	n  *node
	do func(context.Context) error
}

// together lets all of them write, and returns the first error.
func (w *world) together(ctx context.Context, all []writing) error {
	random := rand.New(rand.NewPCG(w.seed, 1))
	waits := make(chan int)
	turns := make([]*turn, len(all))
	errs := make([]error, len(all))
	var ready []int
	for i, a := range all {
		turns[i] = &turn{waits: waits, goes: make(chan struct{}), n: i}
		a.n.turn = turns[i]
		ready = append(ready, i)
		go func() {
			<-turns[i].goes
			errs[i] = a.do(ctx)
			waits <- ^i
		}()
	}
	for len(ready) > 0 {
		at := random.IntN(len(ready))
		turns[ready[at]].goes <- struct{}{}
		if done := <-waits; done < 0 {
			ready = append(ready[:at], ready[at+1:]...)
		}
		w.flush()
		w.pass(time.Millisecond)
	}
	for i, a := range all {
		a.n.turn = nil
		if errs[i] != nil {
			return errs[i]
		}
	}
	return nil
}
