package delta

import "sync"

// inOrder fills one item after the other, works on several at the same time, and
// drains them in the order in which they were filled. fill reports whether
// another item may follow; its error, the first of any, ends everything and is
// returned after what was filled before has been drained. An item is used again
// when it has been drained. When inOrder returns nothing is running any more.
//
// Whoever has filled an item works on it, so that it is in the cache of that core.
// The caller is the first of the workers: one that only drained would wait for a
// processor whenever there is something to drain, and the others for it.
func inOrder[T any](items []*T, workers int, fill func(*T) (more bool, err error), work func(worker int, item *T), drain func(*T) error) error {
	o := &ordered[T]{
		fill: fill, work: work,
		// No channel ever holds more than all items, and one job for an error.
		free: make(chan *T, len(items)), jobs: make(chan job[T], len(items)+1),
	}
	for _, item := range items {
		o.free <- item
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(stop)
	for worker := 1; worker < workers; worker++ {
		running.Go(func() {
			for more := true; more; {
				select {
				case <-stop:
					return
				case item := <-o.free:
					more = o.one(worker, item)
				}
			}
		})
	}
	for more := true; ; {
		var j job[T]
		select {
		case j = <-o.jobs:
		default: // nothing is filled
			if more {
				select {
				case item := <-o.free:
					more = o.one(0, item)
					continue
				default:
				}
			}
			j = <-o.jobs
		}
		for done := false; !done; {
			select {
			case <-j.done:
				done = true
				continue
			default:
			}
			select {
			case <-j.done:
				done = true
			case item := <-o.free:
				if more {
					more = o.one(0, item)
				}
			}
		}
		if j.item == nil {
			return j.err
		}
		if err := drain(j.item); err != nil {
			return err
		}
		o.free <- j.item
	}
}

// ordered is what the workers of inOrder share.
type ordered[T any] struct {
	fill func(*T) (more bool, err error)
	work func(worker int, item *T)
	free chan *T
	jobs chan job[T] // in the order in which they were filled

	filling sync.Mutex
	ended   bool // nothing more is filled
}

// A job without an item is the end.
type job[T any] struct {
	item *T
	err  error
	done chan struct{} // closed when it has been worked on
}

// one fills an item and works on it. It reports whether there may be more.
func (o *ordered[T]) one(worker int, item *T) (more bool) {
	j, more := o.next(item)
	if j.item == nil {
		return false
	}
	o.work(worker, j.item)
	close(j.done)
	return more
}

// next fills an item, unless something else was the last.
func (o *ordered[T]) next(item *T) (j job[T], more bool) {
	o.filling.Lock()
	defer o.filling.Unlock()
	if o.ended {
		return j, false
	}
	more, err := o.fill(item)
	if err == nil {
		j = job[T]{item: item, done: make(chan struct{})}
		o.jobs <- j
	}
	if err != nil || !more {
		o.ended = true
		end := job[T]{err: err, done: make(chan struct{})}
		close(end.done)
		o.jobs <- end
	}
	return j, more && err == nil
}
