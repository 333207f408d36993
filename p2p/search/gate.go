package search

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
)

// codeBusy refuses a query of which too many are running.
const codeBusy = "busy"

const (
	// maxEach is the number of queries that one peer may have running.
	maxEach = 2
	// maxWait is how long a peer's query waits for others to end: long enough for a
	// burst, or a computer that has other work, to pass; short enough for an asker
	// that gives up after DefaultTimeout to hear that this node was busy.
	maxWait = 1500 * time.Millisecond
)

// gate bounds how many queries run at once: queries are all computation, so more
// than there are processors would only slow each other. A peer's queries wait for
// each other first and only then with those of all others, in the order in which
// they came: so a peer that asks without end delays others by one query, not by
// all of its own.
type gate struct {
	all  chan struct{} // one element for each query that runs
	each int
	wait time.Duration

	mu    sync.Mutex
	peers map[p2p.ID]*line // of those with a query that runs or waits
}

// line is where the queries of one peer wait.
type line struct {
	running chan struct{}
	users   int // that run or wait; guarded by the gate's mu
}

func newGate(each int, wait time.Duration) *gate {
	return &gate{
		all: make(chan struct{}, max(runtime.GOMAXPROCS(0), 2)), each: each, wait: wait,
		peers: make(map[p2p.ID]*line),
	}
}

// enter waits for a peer's turn; leave ends it. The error is that of ctx or a
// refusal because the wait was too long.
func (g *gate) enter(ctx context.Context, peer p2p.ID) (leave func(), err error) {
	l := g.join(peer)
	limit := time.NewTimer(g.wait)
	defer limit.Stop()
	if err := take(ctx, l.running, limit.C); err != nil {
		g.quit(peer, l)
		return nil, err
	}
	if err := take(ctx, g.all, limit.C); err != nil {
		<-l.running
		g.quit(peer, l)
		return nil, err
	}
	return func() {
		<-g.all
		<-l.running
		g.quit(peer, l)
	}, nil
}

// take puts an element into slots once there is room.
func take(ctx context.Context, slots chan struct{}, limit <-chan time.Time) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-limit:
		return &p2p.CallError{Code: codeBusy, Message: "search: too many queries are running"}
	}
}

func (g *gate) join(peer p2p.ID) *line {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.peers[peer]
	if l == nil {
		l = &line{running: make(chan struct{}, g.each)}
		g.peers[peer] = l
	}
	l.users++
	return l
}

func (g *gate) quit(peer p2p.ID, l *line) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(g.peers, peer)
	}
}
