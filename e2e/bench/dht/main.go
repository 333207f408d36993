// Command dht measures the distributed table: how many records a second one author stores
// durably at three nodes, each a process with its databases on disk, and how fast others read
// them.
//
//	go run ./e2e/bench/dht [-records N] [-value BYTES] [-rounds N]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/member"
	"github.com/shoal-p2p/shoal/p2p/node"
	"github.com/shoal-p2p/shoal/store"
)

// nodes is how many there are, which all keep every record.
const nodes = 3

func main() {
	records := flag.Int("records", 60_000, "records of a round")
	value := flag.Int("value", 100, "bytes of a value")
	rounds := flag.Int("rounds", 5, "rounds")
	batch := flag.Int("batch", 2000, "records of one put")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if link := os.Getenv("SHOAL_BENCH_JOIN"); link != "" {
		err = follow(ctx, os.Getenv("SHOAL_BENCH_DATA"), link)
	} else {
		err = measure(ctx, *records, *value, *rounds, *batch)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dht:", err)
		os.Exit(1)
	}
}

// start starts a node with its databases in dir.
func start(ctx context.Context, dir, name string) (*node.Node, func() error, error) {
	s, err := store.Open(ctx, dir, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	n, err := node.Start(ctx, node.Options{Name: name, Store: s, DataDir: dir, NoLAN: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return n, func() error { return errors.Join(n.Close(), s.Close()) }, nil
}

// follow is a node that joins and keeps what it is given, until the process is told to end.
func follow(ctx context.Context, dir, link string) error {
	n, end, err := start(ctx, dir, filepath.Base(dir))
	if err != nil {
		return err
	}
	if _, err := n.Join(ctx, link); err != nil {
		return errors.Join(err, end())
	}
	<-ctx.Done()
	return end()
}

func measure(ctx context.Context, records, size, rounds, batch int) (err error) {
	dir, err := os.MkdirTemp("", "shoal-dht-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	n, end, err := start(ctx, filepath.Join(dir, "author"), "author")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	others, err := followers(ctx, n, dir)
	defer func() {
		for _, c := range others {
			err = errors.Join(err, c.Process.Signal(syscall.SIGTERM), c.Wait())
		}
	}()
	if err != nil {
		return err
	}
	for n.Status().Peers < nodes-1 {
		if err := n.Events().Wait(ctx, n.Events().Position()); err != nil {
			return err
		}
	}
	fmt.Printf("%d records of %d bytes, %d processes that keep all of them, %d in a put\n\n", records, size, nodes, batch)
	fmt.Println("| round | records/s | CPU of all, µs a record and copy | read back by the author, records/s |")
	fmt.Println("|---|---|---|---|")
	var rates []float64
	for round := range rounds {
		rate, err := one(ctx, n, others, round, records, size, batch)
		if err != nil {
			return err
		}
		rates = append(rates, rate)
	}
	slices.Sort(rates)
	fmt.Printf("\nmedian %.0f records/s (%.0f–%.0f)\n", rates[len(rates)/2], rates[0], rates[len(rates)-1])
	return nil
}

// followers starts the other processes.
func followers(ctx context.Context, n *node.Node, dir string) (all []*exec.Cmd, err error) {
	inv, err := n.Invite(ctx, member.InviteOptions{MaxUses: nodes})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for i := range nodes - 1 {
		c := exec.Command(self)
		c.Env = append(os.Environ(), "SHOAL_BENCH_JOIN="+inv.Link(""), "SHOAL_BENCH_DATA="+filepath.Join(dir, fmt.Sprint("follower-", i)))
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// one puts the records of a round, and reads them back.
func one(ctx context.Context, n *node.Node, others []*exec.Cmd, round, records, size, batch int) (rate float64, err error) {
	value := strings.Repeat("x", size)
	began, before := time.Now(), cpu(others)
	for from := 0; from < records; from += batch {
		puts := make([]dht.Put, min(batch, records-from))
		for i := range puts {
			puts[i] = dht.Put{Address: dht.Address{Location: dht.KeyOf(fmt.Sprintf("%d/%d", round, from+i))}, Value: []byte(value)}
		}
		results, _, err := n.DHT().MultiPut(ctx, puts)
		if err != nil {
			return 0, err
		}
		for _, r := range results {
			if r.Copies != nodes {
				return 0, fmt.Errorf("a record has %d copies: %v", r.Copies, r.Replicas)
			}
		}
	}
	took, used := time.Since(began), cpu(others)-before
	began = time.Now()
	for from := 0; from < records; from += batch {
		queries := make([]dht.Query, min(batch, records-from))
		for i := range queries {
			queries[i] = dht.Query{Location: dht.KeyOf(fmt.Sprintf("%d/%d", round, from+i))}
		}
		found, _, err := n.DHT().MultiGet(ctx, queries, dht.ReadOptions{})
		if err != nil {
			return 0, err
		}
		for _, f := range found {
			if len(f.Records) != 1 {
				return 0, fmt.Errorf("a record is not there")
			}
		}
	}
	read := time.Since(began)
	rate = float64(records) / took.Seconds()
	fmt.Printf("| %d | %.0f | %.1f | %.0f |\n", round+1, rate, used.Seconds()*1e6/float64(records*nodes), float64(records)/read.Seconds())
	return rate, nil
}

// cpu returns what all processes have used.
func cpu(others []*exec.Cmd) time.Duration {
	total := time.Duration(0)
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err == nil {
		total = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	for _, c := range others {
		total += used(c.Process.Pid)
	}
	return total
}

// used reads what another process has used from /proc, in ticks of 10 ms.
func used(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
