package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
)

// setupRow is how long it takes until a new link has carried a byte there and back.
type setupRow struct {
	P50, P95 time.Duration
	Links    int
}

func measureSetup(ctx context.Context, _ options, r *report) error {
	fmt.Fprintln(logTo, "setup")
	return runNear(ctx, &r.Setup, nil, "setup", "200")
}

func nearSetup(ctx context.Context, args []string) (any, error) {
	n := number(args, 1)
	_, contacts, end, err := startMany(ctx, spread(n))
	if err != nil {
		return nil, err
	}
	tr, _, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for i := range n {
		start := time.Now()
		if err := dialAndEcho(ctx, tr, contacts[i%len(contacts)]); err != nil {
			return nil, fmt.Errorf("link %d: %w", i, err)
		}
		took = append(took, time.Since(start))
	}
	if err := tr.Close(); err != nil {
		return nil, err
	}
	return setupRow{quantile(took, 0.5), quantile(took, 0.95), len(took)}, end()
}

// dialAndEcho makes a link, sends a byte over a stream, and closes the link when it has
// come back.
func dialAndEcho(ctx context.Context, tr *rtc.Transport, to p2p.Contact) error {
	l, err := tr.Dial(ctx, to, nil)
	if err != nil {
		return err
	}
	c, err := l.Open(ctx, "echo/1")
	if err != nil {
		return err
	}
	b := []byte{1}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	return l.Close()
}

// idleRow is what links that do nothing cost one of their ends.
type idleRow struct {
	Links      int
	Goroutines float64 // of each
	Heap       float64 // bytes of each
	Stacks     float64 // bytes of each
	CPU        float64 // share of a core, of all
}

func measureIdle(ctx context.Context, o options, r *report) error {
	for i := range min(o.rounds, 3) {
		fmt.Fprintf(logTo, "idle, round %d\n", i+1)
		var row idleRow
		args := []string{"idle", strconv.Itoa(o.peers)}
		if o.prof != "" {
			args = append(args, o.prof)
		}
		if err := runNear(ctx, &row, nil, args...); err != nil {
			return err
		}
		r.Idle = append(r.Idle, row)
	}
	return nil
}

// idleTime is how long nothing is done.
const idleTime = 20 * time.Second

// nearIdle is a node with links to as many others as args[1] says, which are all in the
// other process.
func nearIdle(ctx context.Context, args []string) (any, error) {
	n := number(args, 1)
	_, contacts, end, err := startMany(ctx, n)
	if err != nil {
		return nil, err
	}
	tr, _, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	before := stateNow()
	links := make([]p2p.Link, n)
	var (
		dialling sync.WaitGroup
		mu       sync.Mutex
		failed   error
	)
	next := make(chan int)
	for range 8 {
		dialling.Go(func() {
			for i := range next {
				l, err := tr.Dial(ctx, contacts[i], nil)
				if err == nil {
					_, err = l.Call(ctx, "echo/1", []byte("hello"))
				}
				mu.Lock()
				if links[i] = l; err != nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	dialling.Wait()
	if failed != nil {
		return nil, failed
	}
	time.Sleep(6 * time.Second) // what a new link has to do besides is done
	quiet := stateNow()
	time.Sleep(time.Second)
	stop, err := profile(args[2:], "idle")
	if err != nil {
		return nil, err
	}
	cpu, begun := cpuNow(), time.Now()
	time.Sleep(idleTime)
	share := float64(cpuNow()-cpu) / float64(time.Since(begun))
	stop()
	for i, l := range links {
		if err := l.Err(); err != nil {
			return nil, fmt.Errorf("link %d: %w", i, err)
		}
	}
	row := idleRow{
		Links:      n,
		Goroutines: float64(quiet.Goroutines-before.Goroutines) / float64(n),
		Heap:       (float64(quiet.Heap) - float64(before.Heap)) / float64(n),
		Stacks:     (float64(quiet.Stacks) - float64(before.Stacks)) / float64(n),
		CPU:        share,
	}
	if err := tr.Close(); err != nil {
		return nil, err
	}
	return row, end()
}

// warmCycles are links that are made and closed before it counts: as many as are made in
// the half minute for which a node remembers its answers.
const warmCycles = 2500

// spread is how many nodes have to be dialled in turn, so that none of them finds that n
// offers are too many from one computer.
func spread(n int) int { return n/40 + 1 }

// startMany starts a process of n nodes.
func startMany(ctx context.Context, n int) (*talk, []p2p.Contact, func() error, error) {
	t, end, err := startFar(ctx, "many", strconv.Itoa(n))
	if err != nil {
		return nil, nil, nil, err
	}
	var contacts []p2p.Contact
	err = t.in.Decode(&contacts)
	return t, contacts, end, err
}

// farMany serves args[0] nodes.
func farMany(ctx context.Context, t *talk, args []string) error {
	var contacts []p2p.Contact
	for range number(args, 0) {
		tr, c, err := listen(ctx)
		if err != nil {
			return err
		}
		go serve(ctx, tr)
		contacts = append(contacts, c)
	}
	if err := t.out.Encode(contacts); err != nil {
		return err
	}
	return t.answer()
}

// cycleRow is what both ends have before and after many links came and went.
type cycleRow struct {
	Links     int
	Seconds   float64
	Near, Far [2]state
}

func measureCycles(ctx context.Context, o options, r *report) error {
	fmt.Fprintln(logTo, "cycles")
	return runNear(ctx, &r.Cycles, nil, "cycles", strconv.Itoa(o.cycles))
}

func nearCycles(ctx context.Context, args []string) (any, error) {
	row := cycleRow{Links: number(args, 1)}
	t, contacts, end, err := startMany(ctx, spread(row.Links+warmCycles))
	if err != nil {
		return nil, err
	}
	tr, _, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	done := 0
	cycle := func(n int) error {
		for range n {
			if err := dialAndEcho(ctx, tr, contacts[done%len(contacts)]); err != nil {
				return fmt.Errorf("link %d: %w", done, err)
			}
			if done++; done%1000 == 0 {
				fmt.Fprintf(logTo, "cycles: %d\n", done)
			}
		}
		time.Sleep(3 * time.Second) // the last ones are let go
		return nil
	}
	look := func(i int) error {
		var err error
		row.Near[i] = stateNow()
		row.Far[i], err = t.ask()
		return err
	}
	if err := cycle(warmCycles); err != nil { // what is kept is made
		return nil, err
	}
	if err := look(0); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := cycle(row.Links); err != nil {
		return nil, err
	}
	row.Seconds = time.Since(start).Seconds()
	if err := look(1); err != nil {
		return nil, err
	}
	if err := tr.Close(); err != nil {
		return nil, err
	}
	return row, end()
}

// logTo is where progress is told.
var logTo = os.Stderr
