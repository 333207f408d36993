package main

import (
	"context"
	"sync"
	"time"
)

// memoryWatch looks at the memory of both sides until it is ended.
type memoryWatch struct {
	pair      pair
	stop      context.CancelFunc
	running   sync.WaitGroup
	err       error
	peak      [2]float64
	resident  [2]float64
	anonymous [2]float64
}

func watchMemory(ctx context.Context, p pair) *memoryWatch {
	ctx, stop := context.WithCancel(ctx)
	w := &memoryWatch{pair: p, stop: stop}
	w.running.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for w.err == nil {
			w.err = w.sample()
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// end returns what has hindered looking.
func (w *memoryWatch) end() error {
	w.stop()
	w.running.Wait()
	return w.err
}

func (w *memoryWatch) sample() error {
	sides, err := w.pair.processes()
	if err != nil {
		return err
	}
	for i, pids := range sides {
		if w.peak[i], err = memory(pids, "VmHWM"); err != nil {
			return err
		}
		now, err := memory(pids, "VmRSS")
		if err != nil {
			return err
		}
		anon, err := memory(pids, "RssAnon")
		if err != nil {
			return err
		}
		w.resident[i], w.anonymous[i] = max(w.resident[i], now), max(w.anonymous[i], anon)
	}
	return nil
}
