package sim

import "iter"

// slot is one iter.Pull: a place where exactly one coroutine is parked while
// another runs. Whoever calls into it parks there and resumes the one that was
// parked. A slot alternates between its two doors: next while the last passage
// was outward, yield while it was inward; which of the two a caller takes is
// all that iter.Pull cares about, so any coroutine can hand over directly to
// any other with a single switch.
type slot struct {
	next  func() (struct{}, bool)
	yield func(struct{}) bool
	out   bool // the last passage went through next: take yield
}

// coroutine is a stack on which tasks run, one after the other. Between tasks
// it runs the scheduler or lies idle in its arena.
//
// Of the coroutines of an arena and the driver, exactly one runs; each other
// one is parked in exactly one slot, and each slot holds exactly one.
type coroutine struct {
	arena *Arena
	slot  *slot // where it is parked; nil while it runs
	task  *task // the task it runs; nil while it is idle
	lost  bool  // runtime.Goexit was called on it: it can run no more tasks
	done  bool  // its stack is gone
}

func newCoroutine(a *Arena) *coroutine {
	s := &slot{}
	c := &coroutine{arena: a, slot: s}
	//determinism:allow this is the scheduler
	s.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		c.serve()
	})
	return c
}

// switchTo parks cur and runs to. It returns when another switches to cur.
func switchTo(cur, to *coroutine) {
	s := to.slot
	cur.slot, to.slot = s, nil
	if s.out {
		s.out = false
		s.yield(struct{}{})
		return
	}
	s.out = true
	s.next()
}

// serve is the coroutine's base: it runs the tasks it is given until the arena
// closes.
func (c *coroutine) serve() {
	returned := false
	defer func() {
		if !returned && !c.arena.closing {
			c.outlive()
		}
		c.done = true
	}()
	for !c.arena.closing {
		if c.task != nil {
			c.run()
		} else {
			c.arena.world.schedule(c)
		}
	}
	returned = true
}

// outlive keeps a coroutine going, in a deferred call, after runtime.Goexit:
// the world needs it to hand over to the next one. It gets no task any more.
func (c *coroutine) outlive() {
	c.lost, c.arena.lost = true, true
	c.task = nil
	for !c.arena.closing {
		c.arena.world.schedule(c)
	}
}

// run runs the coroutine's task to its end, however it ends.
func (c *coroutine) run() {
	t, w := c.task, c.arena.world
	returned := false
	defer func() {
		c.task = nil
		w.endTask(t, returned, recover())
	}()
	t.run()
	returned = true
}
