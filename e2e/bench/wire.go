package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/link"
	"github.com/shoal-p2p/shoal/p2p/link/rtc"
)

// network is the one that both ends of the measured link claim to be in.
var network = p2p.ID{1}

func listen(ctx context.Context) (*rtc.Transport, p2p.Identity, error) {
	identity, err := p2p.NewIdentity(rand.Reader)
	if err != nil {
		return nil, identity, err
	}
	t, err := rtc.Listen(ctx, rtc.Options{Listen: "127.0.0.1:0", Local: link.Local{
		Identity: identity,
		Network:  func() p2p.ID { return network },
		Handler: func(string) p2p.Handler {
			return func(_ context.Context, _ p2p.Link, req []byte) ([]byte, error) { return req, nil }
		},
	}})
	return t, identity, err
}

// farEnd is the other process: it says how to reach it, then takes what comes
// until its standard input ends.
func farEnd(string) error {
	ctx := context.Background()
	t, identity, err := listen(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(p2p.Contact{PublicKey: identity.PublicKey(), Addrs: t.Addrs()}); err != nil {
		return err
	}
	go func() {
		for {
			l, err := t.Accept(ctx)
			if err != nil {
				return
			}
			go swallow(ctx, l)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// swallow reads every stream to its end and answers with one byte.
func swallow(ctx context.Context, l p2p.Link) {
	for {
		_, c, err := l.Accept(ctx)
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := io.Copy(io.Discard, c); err == nil {
				_, _ = c.Write([]byte{1})
			}
		}()
	}
}

// linked starts the far end and links to it.
func linked(ctx context.Context) (p2p.Link, *exec.Cmd, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "far-end", "-")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, err
	}
	var contact p2p.Contact
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&contact); err != nil {
		return nil, nil, nil, err
	}
	t, _, err := listen(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := t.Dial(ctx, contact, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	return l, cmd, func() error {
		if err := t.Close(); err != nil {
			return err
		}
		if err := in.Close(); err != nil {
			return err
		}
		return cmd.Wait()
	}, nil
}

// streaming measures one stream of 1 GiB between two processes.
func streaming(ctx context.Context, _ *bench) error {
	l, far, done, err := linked(ctx)
	if err != nil {
		return err
	}
	const size = 1 << 30
	farBefore, err := cpu(far.Process.Pid)
	if err != nil {
		return err
	}
	before, began := ownCPU(), time.Now()
	c, err := l.Open(ctx, "bench/1")
	if err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for sent := 0; sent < size; sent += len(buf) {
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return fmt.Errorf("the far end's receipt: %w", err)
	}
	took := time.Since(began)
	farAfter, err := cpu(far.Process.Pid)
	if err != nil {
		return err
	}
	used := ownCPU() - before + farAfter - farBefore
	report("stream of 1 GiB between two processes", "%.0f MB/s, %.1f ns of CPU per byte, both ends", size/1e6/took.Seconds(), float64(used)/size)
	return done()
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// calling measures 100,000 calls of 64 bytes with 1000 in flight all the time, and
// then one at a time.
func calling(ctx context.Context, _ *bench) error {
	l, far, done, err := linked(ctx)
	if err != nil {
		return err
	}
	for _, flight := range []int{1000, 1} {
		total := 100 * max(flight, 50)
		took := make([]time.Duration, total)
		next := make(chan int, total)
		for i := range total {
			next <- i
		}
		close(next)
		errs := make([]error, flight)
		farBefore, err := cpu(far.Process.Pid)
		if err != nil {
			return err
		}
		before, start := ownCPU(), time.Now()
		var wg sync.WaitGroup
		for w := range flight {
			wg.Go(func() {
				req := make([]byte, 64)
				for i := range next {
					began := time.Now()
					if _, err := l.Call(ctx, "bench/1", req); err != nil {
						errs[w] = err
						return
					}
					took[i] = time.Since(began)
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		lasted := time.Since(start)
		farAfter, err := cpu(far.Process.Pid)
		if err != nil {
			return err
		}
		used := ownCPU() - before + farAfter - farBefore
		report(fmt.Sprintf("calls of 64 bytes, %d in flight", flight), "p50 %.2f ms, p99 %.2f ms of %d; %.0f per second, %.1f µs of CPU each, both ends",
			ms(quantile(took, .5)), ms(quantile(took, .99)), total, float64(total)/lasted.Seconds(), float64(used)/float64(total)/1e3)
	}
	return done()
}
