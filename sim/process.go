package sim

import (
	"context"
	"fmt"
	"time"
)

// ProcessOptions of a [Process]. The zero value is a process with true clocks.
type ProcessOptions struct {
	// WallOffset is the wall clock minus true time, at the start.
	WallOffset time.Duration
	// RatePPB is the error of the monotonic clock's rate in parts per billion,
	// above zero when it runs fast; between -MaxRatePPB and MaxRatePPB.
	RatePPB int64
}

// MaxRatePPB bounds the error of a clock's rate, in parts per billion: a clock
// runs at more than zero and less than twice the true rate.
const MaxRatePPB = 999_999_999

// Validate returns an error that names the field and the limit it breaks.
func (o ProcessOptions) Validate() error { return validateRate(o.RatePPB) }

func validateRate(ppb int64) error {
	if ppb < -MaxRatePPB || ppb > MaxRatePPB {
		return fmt.Errorf("sim: ProcessOptions.RatePPB is %d, must be within ±%d", ppb, MaxRatePPB)
	}
	return nil
}

// Process is a process with its machine: a name, a clock, and one life after
// another. A life has tasks, timers, ports and handlers, and loses all of them
// when it ends.
type Process struct {
	world  *World
	name   string
	index  int
	rate   int64         // of the monotonic clock, see localClock
	wall   time.Duration // wall clock minus true time
	main   func(ctx context.Context, h *Host)
	life   uint64
	host   *Host // the present life; nil when there is none
	paused bool
	held   []entry // events that came while it was paused, in their order
	links  []*link // to other processes, by their index; filled on use
}

// Process creates a process, which has no life until it is started. The name
// must be new; a name that exists, an empty name or options out of range panic.
func (w *World) Process(name string, o ProcessOptions) *Process {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	if name == "" || w.byName[name] != nil {
		panic(fmt.Errorf("sim: process name %q is empty or taken", name))
	}
	p := &Process{world: w, name: name, index: len(w.processes), wall: o.WallOffset, rate: billion + o.RatePPB}
	w.processes = append(w.processes, p)
	w.byName[name] = p
	return p
}

// Name returns the process's name.
func (p *Process) Name() string { return p.name }

// World returns the world that the process is in.
func (p *Process) World() *World { return p.world }

// Host returns the host of the present life, nil when there is none.
func (p *Process) Host() *Host { return p.host }

// Alive reports whether the process has a life, be it paused.
func (p *Process) Alive() bool { return p.host != nil }

// Paused reports whether the process stands still.
func (p *Process) Paused() bool { return p.paused }

// RatePPB returns the present error of the monotonic clock's rate, see
// [ProcessOptions].
func (p *Process) RatePPB() int64 { return p.rate - billion }

// Life returns the number of lives begun.
func (p *Process) Life() uint64 { return p.life }

// Start begins a life whose first task is main, and remembers main for
// Restart. The process must not be alive.
func (p *Process) Start(main func(ctx context.Context, h *Host)) {
	if p.world.mute() {
		return
	}
	if p.host != nil {
		panic(fmt.Errorf("sim: Start of process %s, which is alive", p.name))
	}
	p.main = main
	p.begin()
}

func (p *Process) begin() {
	w := p.world
	p.life++
	h := &Host{world: w, proc: p, ident: mix(hashString(w.ident^p.life*golden, p.name))}
	h.root = &simContext{host: h}
	h.clock = localClock{rate: p.rate, since: w.now}
	p.host = h
	p.mark("start", p.life)
	t := h.newTask("main", mix(h.ident^mulA))
	t.main = p.main
	w.push(&t.wake, w.now, t.draw())
}

// Crash ends the life at once: its tasks are unwound before the next event,
// its timers and the calls it was serving are dropped, its ports unbound. What
// the tasks' deferred functions ask of the world has no effect. A message that
// it sent before is on its way still. Crash does nothing when there is no life.
//
// Called by a task of the process itself it does not return.
func (p *Process) Crash() {
	w := p.world
	if w.mute() || p.host == nil {
		return
	}
	p.end()
	if w.mute() {
		w.task.unwind()
	}
}

// Restart begins a life with the main of the last Start, after a Crash if the
// process is alive. Its monotonic clock starts at zero; rate and wall offset
// stay.
func (p *Process) Restart() {
	w := p.world
	if w.mute() {
		return
	}
	if p.main == nil {
		panic(fmt.Errorf("sim: Restart of process %s, which was never started", p.name))
	}
	if p.host != nil {
		p.end()
	}
	p.begin()
	if w.mute() {
		w.task.unwind()
	}
}

// end ends the present life.
func (p *Process) end() {
	w, h := p.world, p.host
	p.mark("crash", p.life)
	h.dead = true
	p.host = nil
	p.paused = false
	for _, e := range p.held {
		// A message that nobody received yet is lost with the machine.
		if e.p.seq == e.seq {
			w.discard(e.p)
		}
	}
	p.clearHeld()
	w.sweep(func(x *pending) bool { return x.host != h })
	w.net.drop(h)
	for t := h.first; t != nil; {
		next := t.next
		switch {
		case t == w.task:
			t.killed = true // it leaves by itself
		case t.co == nil:
			t.release()
		default:
			t.killed = true
			w.kills = append(w.kills, t)
		}
		t = next
	}
}

// Pause makes the process stand still while its clocks go on: events that come
// for it are kept until Resume. The task that runs, if it is one of the
// process's own, stops where it next waits.
func (p *Process) Pause() {
	if p.world.mute() || p.host == nil || p.paused {
		return
	}
	p.paused = true
	p.mark("pause", p.life)
}

// Resume lets the process go on. Events that came in the meantime run now, in
// an order of their own, except that the messages of one link keep theirs.
func (p *Process) Resume() {
	w := p.world
	if w.mute() || !p.paused {
		return
	}
	p.paused = false
	p.mark("resume", p.life)
	w.net.epoch++
	for _, e := range p.held {
		x := e.p
		if x.seq != e.seq {
			continue
		}
		prio := mix(e.prio ^ golden)
		if x.delivery != nil && x.delivery.link != nil {
			prio = x.delivery.link.resume(w.net.epoch, prio)
		}
		x.held = false
		w.push(x, w.now, prio)
	}
	p.clearHeld()
}

func (p *Process) clearHeld() {
	clear(p.held)
	p.held = p.held[:0]
}

// JumpWall moves the wall clock by d, which may be negative.
func (p *Process) JumpWall(d time.Duration) {
	if p.world.mute() {
		return
	}
	p.wall += d
	p.mark("jump wall", uint64(d))
}

// SetRate changes the rate of the monotonic clock from now on, see
// [ProcessOptions]. Timers that are pending fire when the clock shows their
// time. A rate out of range panics.
func (p *Process) SetRate(ppb int64) {
	w := p.world
	if w.mute() {
		return
	}
	if err := validateRate(ppb); err != nil {
		panic(err)
	}
	p.rate = billion + ppb
	p.mark("set rate", uint64(ppb))
	if p.host == nil {
		return
	}
	clock := &p.host.clock
	clock.setRate(w.now, p.rate)
	h := w.arena.heap
	for i := range h {
		e := &h[i]
		if e.p.seq == e.seq && e.p.clock == p.host {
			e.at = max(w.now, clock.trueTime(e.p.due))
		}
	}
	h.init()
}

// mark puts a change of the process's state into the trace and its hash.
func (p *Process) mark(what string, x uint64) {
	w := p.world
	if w.closed {
		return
	}
	w.fold(what, uint64(p.index), x)
	if w.trace != nil {
		w.trace.detail(w, fmt.Sprintf("%s of %s (%d)", what, p.name, int64(x)))
	}
}
