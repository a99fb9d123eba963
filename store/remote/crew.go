package remote

import (
	"context"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
)

const (
	// maxIdle bounds the tasks of a crew that wait for a job.
	maxIdle = 128
	// idleTime bounds for how long they do.
	idleTime = time.Second
)

// crew runs jobs, each in a task of its own. A task that has done its job waits a
// while for another one: its stack has grown already, and growing is most of what a
// new task costs.
type crew struct {
	host host.Host

	mu    sync.Mutex
	idle  []*worker
	timer clock.Timer // not nil while any are idle: it ends all that are
}

// worker is a task that waits for a job.
type worker struct {
	called clock.Event // set when the job is there, or none will come
	job    func()      // guarded by crew.mu
}

// run runs job in a task.
func (c *crew) run(job func()) {
	c.mu.Lock()
	var w *worker
	if n := len(c.idle); n > 0 {
		w, c.idle = c.idle[n-1], c.idle[:n-1]
		w.job = job
	}
	c.mu.Unlock()
	if w != nil {
		w.called.Set()
		return
	}
	c.host.Go("remote part", func(ctx context.Context) {
		for job := job; job != nil; job = c.next(ctx) {
			job()
		}
	})
}

// next waits for the next job of a task. It returns nil when the task is to end.
func (c *crew) next(ctx context.Context) func() {
	c.mu.Lock()
	if len(c.idle) == maxIdle || ctx.Err() != nil {
		c.mu.Unlock()
		return nil
	}
	w := &worker{called: c.host.NewEvent()}
	c.idle = append(c.idle, w)
	if c.timer == nil {
		c.timer = c.host.AfterFunc(idleTime, c.rest)
	}
	c.mu.Unlock()
	if w.called.Wait(ctx) != nil {
		c.rest() // the host has ended
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return w.job
}

// rest ends the tasks that wait. Those that run may wait again.
func (c *crew) rest() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.mu.Unlock()
	for _, w := range idle {
		w.called.Set()
	}
}
