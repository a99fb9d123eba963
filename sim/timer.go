package sim

import (
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

// timer is a pending call of AfterFunc.
type timer struct {
	pending
	ident uint64
	f     func()
}

// AfterFunc implements [clock.Clock].
func (h *Host) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &timer{f: f}
	if !h.may() {
		return t
	}
	w := h.world
	t.kind, t.host, t.proc = kindTimer, h, h.proc
	t.pending.timer = t
	t.ident = w.src.draw() ^ h.ident
	w.stats.Timers++
	w.pushLocal(&t.pending, h, later(h.Monotonic(), d), mix(t.ident))
	return t
}

// Stop implements [clock.Timer].
func (t *timer) Stop() bool {
	if t.host == nil || !t.host.may() {
		return false
	}
	return t.host.world.cancel(&t.pending)
}

// fire turns the timer into the task that runs its function.
func (t *timer) fire() *task {
	h := t.host
	n := h.newTask("timer", mix(t.ident^mulA))
	n.plain = t.f
	h.world.attribute(h, n.name)
	if h.world.trace != nil {
		h.world.trace.line(h.world, h.proc, n.name, "fires")
	}
	return n
}
