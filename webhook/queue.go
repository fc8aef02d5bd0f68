package webhook

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// drainTime is how long what is queued at the end may take.
const drainTime = 5 * time.Second

// queue holds so many jobs, and no more.
type queue struct {
	jobs    chan func(ctx context.Context)
	workers int
	drain   time.Duration

	mu    sync.RWMutex
	ended bool
}

func newQueue(size, workers int) *queue {
	return &queue{jobs: make(chan func(context.Context), size), workers: workers, drain: drainTime}
}

// offer says whether there was room. It doesn't wait.
func (q *queue) offer(job func(ctx context.Context)) bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.ended {
		return false
	}
	select {
	case q.jobs <- job:
		return true
	default:
		return false
	}
}

// crowded says that jobs wait for a worker.
func (q *queue) crowded() bool { return len(q.jobs) > 0 }

// end takes no more jobs.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		close(q.jobs)
	}
}

// run does the jobs until ctx ends, and then those that are left. A job that panics ends no other; fault hears of it.
func (q *queue) run(ctx context.Context, fault func(cause string, stack []byte)) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		q.end()
		time.AfterFunc(q.drain, cancel)
	})()
	do := func(job func(context.Context)) {
		defer func() {
			if cause := recover(); cause != nil {
				fault(fmt.Sprintf("%T", cause), debug.Stack())
			}
		}()
		job(work)
	}
	var all sync.WaitGroup
	for range q.workers {
		all.Go(func() {
			for job := range q.jobs {
				if work.Err() == nil {
					do(job)
				}
			}
		})
	}
	all.Wait()
}
