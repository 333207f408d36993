package folder

import (
	"iter"
	"sync"
)

// queue holds what the workers of a scan still have to do. The newest task comes
// first, so that it grows with the depth of a tree, not with its size. The zero
// value works.
type queue struct {
	mu      sync.Mutex // guards all following fields
	ready   sync.Cond  // its L is set at the first use of all
	tasks   []task
	running int // tasks that were given out and are not done
	stopped bool
}

func (q *queue) push(t task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, t)
	q.ready.Signal()
}

// all gives tasks, each of which has to be followed by a call of done, until
// there are none and none can come any more.
func (q *queue) all() iter.Seq[task] {
	return func(yield func(task) bool) {
		for {
			t, ok := q.pop()
			if !ok || !yield(t) {
				return
			}
		}
	}
}

func (q *queue) pop() (task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready.L = &q.mu
	for len(q.tasks) == 0 && q.running > 0 && !q.stopped {
		q.ready.Wait()
	}
	if len(q.tasks) == 0 || q.stopped {
		return task{}, false
	}
	t := q.tasks[len(q.tasks)-1]
	q.tasks = q.tasks[:len(q.tasks)-1]
	q.running++
	return t, true
}

// done ends a task that all has given.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if q.running == 0 {
		q.ready.Broadcast()
	}
}

// stop ends all.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.ready.Broadcast()
}
