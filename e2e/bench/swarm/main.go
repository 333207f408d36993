// Command swarm measures how a file gets from one node to many, over real links whose rate the nodes limit
// themselves, against the least time in which that is possible:
//
//	go run ./e2e/bench/swarm                      all that is below
//	go run ./e2e/bench/swarm -only equal          8, 16 and 32 nodes of the same rate
//	go run ./e2e/bench/swarm -only mixed          every second one ten times as fast
//	go run ./e2e/bench/swarm -only sources        one node from one source, and from four, without limits
//	go run ./e2e/bench/swarm -only churn          a source goes, or lies, every second
//
// With F the length of the file, us the rate of who has it, ui and di those of the N others, the bound is
// max(F/us, F/min di, NF/(us+Σui)).
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/p2p/swarm"
)

type options struct {
	nodes  string
	mib    int
	mbit   float64
	rounds int
	only   string
	cpu    string
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.nodes, "n", "8,16,32", "how many want the file")
	flag.IntVar(&o.mib, "mib", 64, "length of the file in MiB")
	flag.Float64Var(&o.mbit, "mbit", 20, "rate of a node in Mbit/s, in either direction")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of each")
	flag.StringVar(&o.only, "only", "equal,mixed,sources,churn", "what is measured")
	flag.StringVar(&o.cpu, "cpu", "", "file for a profile of the processors")
	flag.Parse()
	if o.cpu != "" {
		f, err := os.Create(o.cpu)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, what := range strings.Split(o.only, ",") {
		measure := map[string]func(context.Context, options) error{"equal": equal, "mixed": mixed, "sources": sources, "churn": churn}[what]
		if measure == nil {
			log.Fatalf("swarm: nothing is called %q", what)
		}
		if err := measure(ctx, o); err != nil {
			log.Fatalf("swarm: %s: %v", what, err)
		}
	}
}

// room is a lab in which one node shares a file.
type room struct {
	*node.Lab
	dir  string
	file swarm.Status
	data []byte
}

// open starts a lab of n nodes besides the one that has a file.
func open(ctx context.Context, n, mib int) (*room, error) {
	lab, err := node.StartLab(ctx, node.LabOptions{Nodes: n + 1})
	if err != nil {
		return nil, err
	}
	r := &room{Lab: lab}
	if r.dir, err = os.MkdirTemp("", "shoal-swarm-"); err != nil {
		return r, err
	}
	r.data = make([]byte, mib<<20)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(r.data) // never fails (rand.ChaCha8)
	if err := r.meet(ctx); err != nil {
		return r, err
	}
	r.file, err = r.share(ctx, 0)
	return r, err
}

// meet waits until all are linked.
func (r *room) meet(ctx context.Context) error {
	for {
		linked := 0
		for _, n := range r.Nodes {
			linked += len(n.Peers())
			for _, p := range n.Peers() {
				if !n.Connected(p.ID) {
					linked--
				}
			}
		}
		if linked == len(r.Nodes)*(len(r.Nodes)-1) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// share has a node share the file.
func (r *room) share(ctx context.Context, i int) (swarm.Status, error) {
	dir := filepath.Join(r.dir, strconv.Itoa(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return swarm.Status{}, err
	}
	path := filepath.Join(dir, "lecture.mp4")
	if err := os.WriteFile(path, r.data, 0o600); err != nil {
		return swarm.Status{}, err
	}
	return r.Nodes[i].Swarm().Make(ctx, path, swarm.MakeOptions{})
}

// get has a node download the file.
func (r *room) get(ctx context.Context, i int) error {
	dir := filepath.Join(r.dir, strconv.Itoa(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	known, err := r.file.Seed.Link().Seed()
	if err != nil {
		return err
	}
	_, err = r.Nodes[i].Swarm().Download(ctx, swarm.GetOptions{Seed: known, Dir: dir})
	return err
}

// wait waits until a node has all, and checks it.
func (r *room) wait(ctx context.Context, i int) (swarm.Status, error) {
	for {
		st, err := r.Nodes[i].Swarm().Get(r.file.Seed.ID())
		if err != nil {
			return st, err
		}
		switch st.State {
		case swarm.StateSeeding:
			got, err := os.ReadFile(st.Path)
			if err == nil && !slices.Equal(got, r.data) {
				err = fmt.Errorf("node %d has another file", i)
			}
			return st, err
		case swarm.StateError:
			return st, fmt.Errorf("node %d: %s", i, st.Error)
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *room) close() {
	if r == nil {
		return
	}
	if err := r.Close(); err != nil {
		log.Print(err)
	}
	if r.dir != "" {
		if err := os.RemoveAll(r.dir); err != nil {
			log.Print(err)
		}
	}
}

// bytesOf is a rate in bytes per second.
func bytesOf(mbit float64) int64 { return int64(mbit * 1e6 / 8) }

// outcome is how a file got to all.
type outcome struct {
	bound, median, last float64 // the last two by the bound, which is in seconds
	sent                float64 // by who had the file first, in files
	wasted              float64 // of all that came
	cpu                 float64 // seconds of the processors for a GB that came
}

func (o outcome) row(what string, n int) string {
	return fmt.Sprintf("| %s | %d | %.1f s | %.3f | %.3f | %.2f | %.2f %% | %.1f s |", what, n, o.bound, o.median, o.last, o.sent, 100*o.wasted, o.cpu)
}

const head = "| nodes | N | bound | median / bound | last / bound | sent by the origin / F | wasted | CPU for 1 GB |\n|---|---|---|---|---|---|---|---|"

// race has all but the first download at the same time; rates are those of all.
func race(ctx context.Context, n, mib int, rates []int64) (outcome, error) {
	r, err := open(ctx, n, mib)
	defer r.close()
	if err != nil {
		return outcome{}, err
	}
	sum, least := 0.0, float64(rates[1])
	for i, rate := range rates {
		r.Nodes[i].SetLimits(link.Rates{Up: rate, Down: rate})
		if i > 0 {
			sum += float64(rate)
			least = min(least, float64(rate))
		}
	}
	cpu := used()
	began := time.Now()
	for i := range n {
		if err := r.get(ctx, i+1); err != nil {
			return outcome{}, err
		}
	}
	var took []float64
	var o outcome
	wire, wasted := int64(0), int64(0)
	for i := range n {
		st, err := r.wait(ctx, i+1)
		if err != nil {
			return outcome{}, err
		}
		took = append(took, st.Ended.Sub(began).Seconds())
		wire, wasted = wire+st.Wire, wasted+st.Wasted
	}
	o.cpu = (used() - cpu) / float64(wire) * 1e9
	slices.Sort(took)
	o.bound = swarm.Bound(int64(len(r.data)), n, float64(rates[0]), least, sum)
	o.median, o.last = took[n/2]/o.bound, took[n-1]/o.bound
	o.wasted = float64(wasted) / float64(wire)
	st, err := r.Nodes[0].Swarm().Get(r.file.Seed.ID())
	o.sent = float64(st.Sent) / float64(len(r.data))
	return o, err
}

// used returns the processor time of this process in seconds.
func used() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Print(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func counts(o options) ([]int, error) {
	var all []int
	for _, text := range strings.Split(o.nodes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n >= node.MaxLab {
			return nil, fmt.Errorf("%q: 1 to %d nodes are possible", text, node.MaxLab-1)
		}
		all = append(all, n)
	}
	return all, nil
}

func equal(ctx context.Context, o options) error {
	return races(ctx, o, fmt.Sprintf("all %g Mbit/s", o.mbit), func(int) int64 { return bytesOf(o.mbit) })
}

func mixed(ctx context.Context, o options) error {
	return races(ctx, o, fmt.Sprintf("%g and %g Mbit/s", 2.5*o.mbit, o.mbit/4), func(i int) int64 {
		if i%2 == 0 {
			return bytesOf(2.5 * o.mbit)
		}
		return bytesOf(o.mbit / 4)
	})
}

func races(ctx context.Context, o options, what string, rate func(i int) int64) error {
	all, err := counts(o)
	if err != nil {
		return err
	}
	fmt.Println(head)
	for _, n := range all {
		for range o.rounds {
			rates := make([]int64, n+1)
			for i := range rates {
				rates[i] = rate(i)
			}
			result, err := race(ctx, n, o.mib, rates)
			if err != nil {
				return err
			}
			fmt.Println(result.row(what, n))
		}
	}
	return nil
}

// sources measures a download without limits, from one source and from four.
func sources(ctx context.Context, o options) error {
	fmt.Println("| sources | MB/s |\n|---|---|")
	for range o.rounds {
		for _, n := range []int{1, 4} {
			rate, err := fetch(ctx, n, 4*o.mib)
			if err != nil {
				return err
			}
			fmt.Printf("| %d | %.0f |\n", n, rate/1e6)
		}
	}
	return nil
}

// fetch returns the rate in bytes per second of a download from n sources.
func fetch(ctx context.Context, n, mib int) (float64, error) {
	r, err := open(ctx, n, mib)
	defer r.close()
	if err != nil {
		return 0, err
	}
	for i := 1; i < n; i++ {
		if _, err := r.share(ctx, i); err != nil {
			return 0, err
		}
	}
	time.Sleep(time.Second) // all know who has it
	began := time.Now()
	if err := r.get(ctx, n); err != nil {
		return 0, err
	}
	st, err := r.wait(ctx, n)
	if err != nil {
		return 0, err
	}
	return float64(len(r.data)) / st.Ended.Sub(began).Seconds(), nil
}

// churn measures a download from sources of which one goes, or lies, every second until one is left.
func churn(ctx context.Context, o options) error {
	fmt.Println("| what | seconds | by the undisturbed | by the least that what was left could take |\n|---|---|---|---|")
	for range o.rounds {
		calm, least, err := disturbed(ctx, o, nil)
		if err != nil {
			return err
		}
		fmt.Printf("| undisturbed | %.1f | 1 | %.2f |\n", calm, calm/least)
		for name, disturb := range map[string]func(*room, int) error{"a source goes every second": leave, "a source lies every second": lie} {
			took, least, err := disturbed(ctx, o, disturb)
			if err != nil {
				return err
			}
			fmt.Printf("| %s | %.1f | %.2f | %.2f |\n", name, took, took/calm, took/least)
		}
	}
	return nil
}

const churned = 16

// disturbed returns the seconds of a download from sources that something happens to, one each second, and
// the seconds that it takes if each sends as fast as it may until that.
func disturbed(ctx context.Context, o options, disturb func(*room, int) error) (took, least float64, err error) {
	r, err := open(ctx, churned, o.mib)
	defer r.close()
	if err != nil {
		return 0, 0, err
	}
	for i := 1; i < churned; i++ {
		if _, err := r.share(ctx, i); err != nil {
			return 0, 0, err
		}
	}
	for i := range churned {
		r.Nodes[i].SetLimits(link.Rates{Up: bytesOf(o.mbit / 4)})
	}
	time.Sleep(time.Second) // all know who has it
	began := time.Now()
	if err := r.get(ctx, churned); err != nil {
		return 0, 0, err
	}
	var ends []float64 // of sources, in seconds
	within, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		for i := 1; i < churned && disturb != nil; i++ {
			select {
			case <-within.Done():
				ended <- nil
				return
			case <-time.After(time.Second):
			}
			ends = append(ends, time.Since(began).Seconds())
			if err := disturb(r, i); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	st, err := r.wait(ctx, churned)
	cancel()
	if other := <-ended; err == nil {
		err = other
	}
	return st.Ended.Sub(began).Seconds(), leastOf(float64(len(r.data)), float64(bytesOf(o.mbit/4)), ends), err
}

// leastOf returns in how many seconds sources bring so many bytes, each at a rate until it ends, in the order
// in which they end, or for ever.
func leastOf(bytes, rate float64, ends []float64) float64 {
	at := 0.0
	for i, end := range ends {
		all := rate * float64(churned-i)
		if bytes <= all*(end-at) {
			return at + bytes/all
		}
		bytes, at = bytes-all*(end-at), end
	}
	return at + bytes/(rate*float64(churned-len(ends)))
}

// leave has a source stop sharing.
func leave(r *room, i int) error { return r.Nodes[i].Close() }

// lie changes the file of a source under its feet.
func lie(r *room, i int) error {
	path := filepath.Join(r.dir, strconv.Itoa(i), "lecture.mp4")
	return os.WriteFile(path, make([]byte, len(r.data)), 0o600)
}
