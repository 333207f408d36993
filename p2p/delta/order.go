package delta

import "sync"

// inOrder fills one item after the other, works on several at the same time, and
// drains them in the order in which they were filled. fill reports whether
// another item may follow; its error, the first of any, ends everything and is
// returned after what was filled before has been drained. An item is used again
// when it has been drained. When inOrder returns nothing is running any more.
//
// Whoever has filled an item works on it, so that it is in the cache of that core.
func inOrder[T any](items []*T, workers int, fill func(*T) (more bool, err error), work func(worker int, item *T), drain func(*T) error) error {
	type job struct {
		item *T
		err  error
		done chan struct{}
	}
	// No channel ever holds more than all items, and one job for an error.
	free, order := make(chan *T, len(items)), make(chan job, len(items)+1)
	for _, item := range items {
		free <- item
	}
	stop := make(chan struct{})
	var (
		filling sync.Mutex
		ended   bool // nothing more is filled
	)
	next := func() (j job, ok bool) {
		filling.Lock()
		defer filling.Unlock()
		if ended {
			return j, false
		}
		select {
		case <-stop:
			return j, false
		case j.item = <-free:
		}
		more, err := fill(j.item)
		j.err, j.done = err, make(chan struct{})
		order <- j
		if ended = err != nil || !more; ended {
			close(order)
		}
		return j, err == nil
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer close(stop)
	for worker := range workers {
		running.Go(func() {
			for {
				j, ok := next()
				if !ok {
					return
				}
				work(worker, j.item)
				close(j.done)
			}
		})
	}
	for j := range order {
		if j.err != nil {
			return j.err
		}
		<-j.done
		if err := drain(j.item); err != nil {
			return err
		}
		free <- j.item
	}
	return nil
}
