package sim

import (
	"math"
	"time"
)

// kind says what a pending event does when its time comes.
type kind uint8

const (
	kindTask     kind = iota // a task starts, or goes on
	kindTimer                // the function of AfterFunc, as a new task
	kindDeadline             // a context ends
	kindCallback             // the function of Host.After or World.After
	kindMessage              // a message reaches a port
	kindRequest              // a call reaches its handler
	kindReply                // an answer reaches its caller
	kindAbort                // a handler learns that its caller gave up
)

// pending is an event to come. It is part of the object that it is about: a
// task, a timer, a context or a [delivery].
type pending struct {
	seq   uint64 // of its entry in the heap; 0 when it is not scheduled
	kind  kind
	held  bool          // kept by the paused process instead of the heap
	proc  *Process      // stands still while this process does; nil: never
	host  *Host         // dies with this life; nil: never
	clock *Host         // whose monotonic clock due is on; nil: true time
	due   time.Duration // when it is to happen, on that clock

	task     *task
	timer    *timer
	ctx      *simContext
	delivery *delivery
}

// delivery is a pending event that carries something: a function, or a message.
// Deliveries are pooled; nobody keeps one.
type delivery struct {
	pending
	ident uint64
	name  string
	f     func()

	link     *link
	ordinal  uint64 // of the message on its link
	from, to *Port
	toName   string // process, when the port is found on arrival
	toPort   string
	body     any
	call     *call
	answer   answer
	arrived  bool // it is the subject of the present event
}

// schedule runs events on the stack of c until c itself is to go on: a task
// that blocks calls it on its own coroutine, and hands over to the next task
// without a scheduler in between. It returns when
//
//   - c's task is due, or is to be unwound (task.killed), or
//   - c was idle and has been given a task (or its arena closes), or
//   - c is the driver and the world halted.
func (w *World) schedule(c *coroutine) {
	for {
		if t := w.nextKilled(); t != nil {
			w.task, w.src = t, &t.source
			w.leave(c, t.co)
			return
		}
		if w.inEvent {
			w.finishEvent()
			continue // an invariant may have crashed a process
		}
		if w.halted {
			w.leave(c, &w.arena.driver)
			return
		}
		if next := w.step(c); next != nil {
			w.leave(c, next)
			return
		}
	}
}

// leave hands over from c to next and returns when c is to go on.
func (w *World) leave(c, next *coroutine) {
	if c == next {
		return
	}
	if c.task == nil && !c.lost && c != &w.arena.driver {
		w.arena.idle = append(w.arena.idle, c)
	}
	w.stats.Switches++
	switchTo(c, next)
}

// step runs the next event, up to the point where a task's own code has to go
// on, and returns the coroutine for that; nil when there is nothing to go on
// with. It halts the world when no event is left before the end of the run.
func (w *World) step(c *coroutine) *coroutine {
	e, ok := w.take()
	if !ok {
		w.rest(c)
		return nil
	}
	if e.at != w.now {
		w.now = e.at
		w.beginInstant()
	}
	w.stats.Events++
	w.hash.fold(uint64(e.at), e.prio)
	w.inEvent = true
	p := e.p
	p.seq = 0
	if w.stats.Events >= w.watchFrom() {
		w.watchLivelock(c, p)
		if w.failure != nil {
			return nil
		}
	}
	t := w.dispatch(p)
	if t == nil {
		return nil
	}
	w.task, w.src = t, &t.source
	if t.co == nil {
		if c.task == nil && !c.lost && c != &w.arena.driver {
			t.co = c
		} else {
			t.co = w.arena.coroutine()
		}
		t.co.task = t
	}
	return t.co
}

// take removes the first event that is due before the end of the run. Dead
// entries are dropped, and those of paused processes put aside.
func (w *World) take() (entry, bool) {
	h := &w.arena.heap
	for len(*h) > 0 {
		first := &(*h)[0]
		p := first.p
		switch {
		case p.seq != first.seq:
			h.pop()
			w.dead--
		case first.at > w.until:
			return entry{}, false
		case p.proc != nil && p.proc.paused:
			p.held = true
			p.proc.held = append(p.proc.held, h.pop())
		default:
			return h.pop(), true
		}
	}
	return entry{}, false
}

// rest ends a run in which nothing is left to do before its end.
func (w *World) rest(c *coroutine) {
	w.halted = true
	if len(w.arena.heap) == 0 && w.checkDeadlock(c) {
		return
	}
	if w.now != w.until {
		w.now = w.until
		w.beginInstant()
	}
}

// dispatch does what a pending event is for. It returns the task that is to go
// on, if there is one.
func (w *World) dispatch(p *pending) *task {
	switch p.kind {
	case kindTask:
		w.attribute(p.host, p.task.name)
		if w.trace != nil {
			w.trace.task(w, p.task)
		}
		return p.task
	case kindTimer:
		return p.timer.fire()
	case kindDeadline:
		p.ctx.expire()
		return nil
	case kindRequest:
		p.delivery.arrived = true
		return w.net.request(p.delivery)
	default:
		w.deliver(p.delivery)
		return nil
	}
}

// deliver runs the event of a delivery that needs no task of its own.
func (w *World) deliver(d *delivery) {
	d.arrived = true
	switch d.kind {
	case kindCallback:
		w.attribute(d.host, d.name)
		if w.trace != nil {
			w.trace.line(w, d.proc, d.name, "runs")
		}
		w.guard(d)
	case kindMessage:
		w.net.arrive(d)
	case kindReply:
		w.net.reply(d)
	case kindAbort:
		w.net.abort(d)
	default:
		panic("sim: an event that is no delivery was delivered")
	}
	w.arena.recycle(d)
}

// finishEvent ends an event: what must hold is checked, and the hash shown.
func (w *World) finishEvent() {
	w.inEvent = false
	w.task, w.src = nil, &w.driver
	for i := 0; i < len(w.invariants) && w.failure == nil; i++ {
		w.checkInvariant(w.invariants[i])
	}
	if w.onEvent != nil {
		w.onEvent(w.stats.Events, w.hash.short())
	}
}

// push schedules p at true time at.
func (w *World) push(p *pending, at time.Duration, prio uint64) {
	w.seq++
	p.seq = w.seq
	p.clock = nil
	w.arena.heap.push(entry{at: max(at, w.now), prio: prio, seq: w.seq, p: p})
}

// pushLocal schedules p for when h's monotonic clock shows due.
func (w *World) pushLocal(p *pending, h *Host, due time.Duration, prio uint64) {
	w.push(p, h.clock.trueTime(due), prio)
	p.clock, p.due = h, due
}

// cancel takes p off the schedule, and reports whether it was on it.
func (w *World) cancel(p *pending) bool {
	if p.seq == 0 {
		return false
	}
	p.seq = 0
	if p.held {
		p.held = false
		return true
	}
	w.dead++
	if w.dead > 64 && w.dead > len(w.arena.heap)/2 {
		w.sweep(func(*pending) bool { return true })
	}
	return true
}

// sweep rebuilds the heap without its dead entries and without the events that
// keep refuses.
func (w *World) sweep(keep func(*pending) bool) {
	h := w.arena.heap
	kept := h[:0]
	for _, e := range h {
		if e.p.seq != e.seq {
			continue
		}
		if keep(e.p) {
			kept = append(kept, e)
		} else {
			w.discard(e.p)
		}
	}
	clear(h[len(kept):])
	w.arena.heap = kept
	w.arena.heap.init()
	w.dead = 0
}

// discard drops an event that has left the heap.
func (w *World) discard(p *pending) {
	p.seq = 0
	p.held = false
	if p.delivery != nil {
		w.arena.recycle(p.delivery)
	}
}

// later returns now+d, or the end of time when that is beyond it.
func later(now, d time.Duration) time.Duration {
	if d <= 0 {
		return now
	}
	if now > math.MaxInt64-d {
		return math.MaxInt64
	}
	return now + d
}
