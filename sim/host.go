package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
)

// Host is what one life of a process may ask of its machine: a [host.Host],
// and the means to build simulated servers.
//
// When the life has ended, whatever one of its own tasks still asks for, other
// than the time, makes the task leave: deferred functions cannot touch the
// world. What others ask of such a host has no effect.
type Host struct {
	world *World
	proc  *Process
	ident uint64
	dead  bool
	root  *simContext
	clock localClock
	rand  *rand.Rand

	first, last *task // in the order of their creation
	ports       map[string]*Port
	services    map[string]*service
	endpoint    endpoint
	events      uint64 // made so far, for their names
}

var _ host.Host = (*Host)(nil)

// Process returns the process whose life this is.
func (h *Host) Process() *Process { return h.proc }

// Name returns the process's name.
func (h *Host) Name() string { return h.proc.name }

// Context returns the root of the life's contexts. It never ends: a life that
// ends takes everybody with it who could notice.
func (h *Host) Context() context.Context { return h.root }

// Now returns the wall-clock time.
func (h *Host) Now() time.Time { return epoch.Add(h.world.now + h.proc.wall) }

// Monotonic returns what the life's monotonic clock shows: the time since the
// life began, at the process's rate.
func (h *Host) Monotonic() time.Duration { return h.clock.local(h.world.now) }

// Uptime is Monotonic: a simulated machine is never suspended.
func (h *Host) Uptime() time.Duration { return h.Monotonic() }

// Rand returns the life's random stream, seeded from the world's seed, the
// process's name and the number of the life.
func (h *Host) Rand() *rand.Rand {
	if h.rand == nil {
		h.rand = newRand(mix(h.ident ^ mulB))
	}
	return h.rand
}

// Network returns the process's place on the network; its address is the
// process's name.
func (h *Host) Network() network.Network {
	h.endpoint.host = h
	return &h.endpoint
}

// Go runs f in a task of its own.
func (h *Host) Go(name string, f func(ctx context.Context)) {
	if !h.may() {
		return
	}
	t := h.spawn(name)
	t.f = f
}

// spawn makes a task that starts at the present instant.
func (h *Host) spawn(name string) *task {
	t := h.newTask(name, hashString(h.world.src.draw()^h.ident, name))
	h.world.push(&t.wake, h.world.now, t.draw())
	return t
}

// Daemon declares that the calling task may wait forever: by itself it is no
// deadlock. It is for servers' main tasks.
func (h *Host) Daemon() {
	if h.may() && h.world.task != nil {
		h.world.task.daemon = true
	}
}

// After runs f when d of the life's monotonic time has passed, as an event of
// the process that is not a task: f must not block. There is no way to stop it
// but the end of the life.
func (h *Host) After(d time.Duration, f func()) {
	if !h.may() {
		return
	}
	w := h.world
	x := w.arena.delivery()
	x.kind, x.f, x.name = kindCallback, f, "callback"
	x.host, x.proc = h, h.proc
	x.ident = w.src.draw() ^ h.ident
	w.stats.Timers++
	w.pushLocal(&x.pending, h, later(h.Monotonic(), d), mix(x.ident))
}

// Sleep implements [clock.Clock].
func (h *Host) Sleep(ctx context.Context, d time.Duration) error {
	t := h.blocking("Sleep")
	w := h.world
	if d <= 0 || ctx.Err() != nil {
		w.push(&t.wake, w.now, t.draw())
		t.block(waitSleep)
		return ctx.Err()
	}
	w.pushLocal(&t.wake, h, later(h.Monotonic(), d), t.draw())
	t.watch(ctx)
	t.block(waitSleep)
	t.onContext.remove()
	return t.ended
}

// Yield lets every other event of the present instant happen that the seed
// puts before the caller's next step.
func (h *Host) Yield() {
	t := h.blocking("Yield")
	h.world.push(&t.wake, h.world.now, t.draw())
	t.block(waitSleep)
}

// blocking returns the task that is about to wait.
func (h *Host) blocking(op string) *task {
	t := h.world.task
	if t == nil {
		panic("sim: " + op + " outside of a task: callbacks, invariants and the driver must not block")
	}
	if t.host.dead {
		t.unwind()
	}
	return t
}

// may reports whether an effect asked of the host is to take place. A task of
// an ended life does not return from it.
func (h *Host) may() bool {
	w := h.world
	if t := w.task; t != nil && t.host.dead {
		t.unwind()
	}
	return !h.dead && !w.closed
}

var (
	_ clock.Timer     = (*timer)(nil)
	_ clock.Event     = (*event)(nil)
	_ network.Network = (*endpoint)(nil)
)
