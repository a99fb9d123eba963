package sim

import (
	"context"
	"runtime"
	"time"
)

// waiting says what a task waits for.
type waiting uint8

const (
	waitNothing waiting = iota // it runs, or is about to
	waitSleep
	waitEvent
	waitCall
)

// task is one line of execution of a process. It runs on a coroutine from its
// first event to its end. Tasks are pooled.
type task struct {
	source
	name string
	host *Host
	co   *coroutine // nil until the first event
	wake pending

	// Exactly one of these is its code.
	main    func(ctx context.Context, h *Host)
	f       func(ctx context.Context)
	plain   func()
	serving *serving

	prev, next *task // in host.tasks
	daemon     bool
	killed     bool // unwind instead of going on
	refusals   int  // times it was refused after its life ended

	waits     waiting
	since     time.Duration // true time at which the wait began
	event     *event
	call      *call
	onEvent   node  // in the event's waiters
	onContext node  // in the context's children
	ended     error // why the context ended the wait; nil when it did not
}

// maxRefusals bounds how often a task of a dead life may recover from being
// refused and try again before it is ended for good.
const maxRefusals = 64

// crashed is the value with which a task of a dead life is unwound.
type crashed struct{ process string }

func (c crashed) Error() string  { return "sim: process " + c.process + " has crashed" }
func (c crashed) String() string { return c.Error() }

func (t *task) init() {
	t.wake.task = t
	t.onEvent.task, t.onContext.task = t, t
}

func (t *task) run() {
	switch {
	case t.main != nil:
		t.main(t.host.root, t.host)
	case t.f != nil:
		t.f(t.host.root)
	case t.plain != nil:
		t.plain()
	default:
		t.serving.run(t)
	}
}

// unwind panics out of the task's code, whose life has ended. Code that
// recovers and asks again is asked to leave again, in the end by Goexit.
func (t *task) unwind() {
	t.refusals++
	if t.refusals > maxRefusals {
		runtime.Goexit() //determinism:allow ends a coroutine of the scheduler
	}
	panic(crashed{t.host.proc.name})
}

// newTask creates a task of h. It starts when its wake event comes.
func (h *Host) newTask(name string, ident uint64) *task {
	t := h.world.arena.task()
	t.source = source{ident: ident}
	t.name = name
	t.host = h
	t.wake.host, t.wake.proc = h, h.proc
	t.prev = h.last
	if h.last != nil {
		h.last.next = t
	} else {
		h.first = t
	}
	h.last = t
	h.world.stats.Tasks++
	return t
}

// release takes a task that has ended, or will never start, out of its life.
func (t *task) release() {
	h := t.host
	h.world.cancel(&t.wake)
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		h.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		h.last = t.prev
	}
	h.world.arena.release(t)
}

// endTask is called on the task's coroutine after its code returned, panicked
// with value r, or called runtime.Goexit (r is nil then).
func (w *World) endTask(t *task, returned bool, r any) {
	if !returned && !t.killed && !t.host.dead && !w.closed {
		w.task = t
		w.caught(r)
	}
	w.task = nil
	t.release()
}

// ready makes a blocked task go on at the present instant.
func (t *task) ready() {
	w := t.host.world
	t.unlink()
	if t.killed {
		return
	}
	w.cancel(&t.wake)
	w.push(&t.wake, w.now, t.draw())
}

// unlink takes the task off the lists of what it waits for.
func (t *task) unlink() {
	t.onEvent.remove()
	t.onContext.remove()
}

// block parks the task until something makes it ready. Whoever calls it has
// arranged for that.
func (t *task) block(why waiting) {
	w := t.host.world
	t.waits, t.since, t.ended = why, w.now, nil
	c := t.co
	w.schedule(c)
	for w.inspector != nil {
		// Not woken: only asked where it stands.
		asker := w.inspector
		w.inspector = nil
		w.inspected = caller()
		switchTo(c, asker)
	}
	if t.killed {
		t.unlink()
		t.unwind()
	}
	t.waits = waitNothing
	t.event, t.call = nil, nil
}

// watch makes the end of ctx wake the task from its next wait.
func (t *task) watch(ctx context.Context) {
	if c, _ := simulated(ctx); c != nil && c.parent != nil {
		c.children.append(&t.onContext)
	}
}

// endWait wakes the task because its context ended.
func (t *task) endWait(err error) {
	t.ended = err
	t.ready()
}

// nextKilled returns the next task to unwind, nil when there is none.
func (w *World) nextKilled() *task {
	if w.killing == len(w.kills) {
		return nil
	}
	t := w.kills[w.killing]
	w.kills[w.killing] = nil
	w.killing++
	if w.killing == len(w.kills) {
		w.kills, w.killing = w.kills[:0], 0
	}
	return t
}
