package sim

import (
	"context"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

// simContext is a context of one life. Its children, the tasks that wait on it
// and the functions registered with it are told of its end in the order in
// which they came.
//
// It can be wrapped by context.WithValue. A parent of a foreign kind that can
// end is looked at when somebody asks for Err, Cause or begins to wait, and
// wakes nobody.
type simContext struct {
	host        *Host
	parent      context.Context // nil for the root of a life
	foreign     bool            // parent may end without telling
	err, cause  error
	done        chan struct{} // made when somebody asks for it
	deadline    time.Time
	hasDeadline bool
	children    nodeList
	self        node // in the children of the nearest simulated ancestor
	timeout     pending
	ident       uint64 // of the timeout
}

// simulated returns the simulated context through which ctx learns of its end,
// nil when there is none, and whether ctx may also end without that.
func simulated(ctx context.Context) (c *simContext, foreign bool) {
	if own, ok := ctx.(*simContext); ok {
		return own, false
	}
	done := ctx.Done()
	if done == nil {
		return nil, false
	}
	c, _ = ctx.Value(clock.CauseKey{}).(*simContext)
	return c, c == nil || c.Done() != done
}

// WithCancel implements [clock.Clock].
func (h *Host) WithCancel(parent context.Context) (context.Context, context.CancelCauseFunc) {
	c := h.derive(parent)
	return c, func(cause error) { c.end(context.Canceled, cause) }
}

// WithTimeout implements [clock.Clock].
func (h *Host) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	c := h.derive(parent)
	deadline := h.Now().Add(d)
	if !c.hasDeadline || deadline.Before(c.deadline) {
		c.deadline, c.hasDeadline = deadline, true
	}
	switch {
	case c.err != nil:
	case d <= 0:
		c.end(context.DeadlineExceeded, nil)
	default:
		w := h.world
		p := &c.timeout
		p.kind, p.host, p.proc, p.ctx = kindDeadline, h, h.proc, c
		w.stats.Timers++
		c.ident = w.src.draw() ^ h.ident
		w.pushLocal(p, h, later(h.Monotonic(), d), mix(c.ident))
	}
	return c, func() { c.end(context.Canceled, nil) }
}

// derive makes a child of parent.
func (h *Host) derive(parent context.Context) *simContext {
	c := &simContext{host: h, parent: parent}
	c.self.ctx = c
	c.deadline, c.hasDeadline = parent.Deadline()
	if !h.may() {
		c.err, c.cause = context.Canceled, context.Canceled
		return c
	}
	if err := parent.Err(); err != nil {
		c.err, c.cause = err, clock.Cause(parent)
		return c
	}
	up, foreign := simulated(parent)
	c.foreign = foreign
	if up != nil {
		c.foreign = c.foreign || up.foreign
		if up.parent != nil {
			up.children.append(&c.self)
		}
	}
	return c
}

// expire ends the context because its time has come.
func (c *simContext) expire() {
	w := c.host.world
	w.attribute(c.host, "deadline")
	w.callback = source{ident: c.ident}
	w.task, w.src = nil, &w.callback
	if w.trace != nil {
		w.trace.line(w, c.host.proc, "deadline", "passes")
	}
	c.end(context.DeadlineExceeded, nil)
}

// end ends the context and all that depend on it. Only the first end counts,
// and none of a life that is over.
func (c *simContext) end(err, cause error) {
	w := c.host.world
	if c.err != nil || c.host.dead || w.mute() {
		return
	}
	if cause == nil {
		cause = err
	}
	c.err, c.cause = err, cause
	if c.done != nil {
		close(c.done) //determinism:allow for code outside of the simulation
	}
	w.cancel(&c.timeout)
	c.self.remove()
	for n := c.children.first; n != nil; n = c.children.first {
		n.remove()
		switch {
		case n.ctx != nil:
			n.ctx.end(err, cause)
		case n.task != nil:
			n.task.endWait(err)
		default:
			c.run(n.f)
		}
	}
}

func (c *simContext) run(f func()) {
	c.host.spawn("context").plain = f
}

// Deadline implements [context.Context].
func (c *simContext) Deadline() (time.Time, bool) { return c.deadline, c.hasDeadline }

// Done implements [context.Context], for code outside of the simulation.
func (c *simContext) Done() <-chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{}) //determinism:allow for code outside of the simulation
		if c.err != nil {
			close(c.done) //determinism:allow for code outside of the simulation
		}
	}
	return c.done
}

// Err implements [context.Context].
func (c *simContext) Err() error {
	if c.foreign && c.err == nil {
		if err := c.parent.Err(); err != nil {
			c.end(err, clock.Cause(c.parent))
		}
	}
	return c.err
}

// Cause returns why the context ended, nil while it has not.
func (c *simContext) Cause() error {
	_ = c.Err()
	return c.cause
}

// Value implements [context.Context]. Under [clock.CauseKey] the nearest
// simulated context is found inside those derived from it.
func (c *simContext) Value(key any) any {
	if key == (clock.CauseKey{}) {
		return c
	}
	if c.parent == nil {
		return nil
	}
	return c.parent.Value(key)
}

// AfterFunc runs f in a task of its own once the context has ended. The
// returned function prevents that and reports whether it did. Child contexts
// of the standard library look for this method and use it instead of a
// goroutine; context.AfterFunc uses it too, but starts a goroutine for f.
func (c *simContext) AfterFunc(f func()) (stop func() bool) {
	if !c.host.may() {
		return func() bool { return false }
	}
	if c.Err() != nil {
		c.run(f)
		return func() bool { return false }
	}
	n := &node{f: f}
	c.children.append(n)
	return n.remove
}

// String names the context in reports.
func (c *simContext) String() string {
	if c.parent == nil {
		return "sim.Host.Context(" + c.host.proc.name + ")"
	}
	return "sim.Context(" + c.host.proc.name + ")"
}
