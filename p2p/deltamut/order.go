package delta

import "sync"

// inOrder fills one item after the other, works on several at the same time, and
// drains them in the order in which they were filled. fill reports whether
// another item may follow; its error, the first of any, ends everything and is
// returned after what was filled before has been drained. An item is used again
// when it has been drained. When inOrder returns nothing is running any more.
func inOrder[T any](items []*T, workers int, fill func(*T) (more bool, err error), work func(worker int, item *T), drain func(*T) error) error {
	type job struct {
		item *T
		err  error
		done chan struct{}
	}
	// No channel ever holds more than all items, and one job for an error.
	free, jobs, order := make(chan *T, len(items)), make(chan job, len(items)), make(chan job, len(items)+1)
	for _, item := range items {
		free <- item
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(stop)
	running.Go(func() {
		defer close(order)
		defer close(jobs)
		for {
			select {
			case <-stop:
				return
			case item := <-free:
				more, err := fill(item)
				j := job{item, err, make(chan struct{})}
				order <- j
				if err != nil {
					return
				}
				jobs <- j
				if !more {
					return
				}
			}
		}
	})
	for worker := range workers {
		running.Go(func() {
			for j := range jobs {
				select {
				case <-stop:
				default:
					work(worker, j.item)
				}
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
