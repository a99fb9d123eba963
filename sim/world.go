package sim

import (
	"io"
	"math/rand/v2"
	"time"
)

// Bounds of a run that [Options] leaves at zero.
const (
	DefaultMaxEvents        = 50_000_000
	DefaultMaxInstantEvents = 1_000_000
)

// Options of a [World]. The zero value is ready for use. None but the two
// bounds and Plan can change what a run does.
type Options struct {
	// Trace receives a readable trace, one line for each event, with further
	// lines for what the event did. Default: none.
	Trace io.Writer
	// OnEvent is called after each event with its index, from 1, and a digest
	// of the trace so far: the first index at which two runs differ is where
	// they parted. Default: none.
	OnEvent func(index, hash uint64)
	// MaxEvents bounds the events of the world; one more is a livelock.
	// Default: [DefaultMaxEvents].
	MaxEvents uint64
	// MaxInstantEvents bounds the events at one instant of true time; one more
	// is a livelock. Default: [DefaultMaxInstantEvents].
	MaxInstantEvents uint64
	// Arena holds the memory that the world borrows until it is closed.
	// Default: one of the world's own.
	Arena *Arena
	// Plan is a text that the world carries for the scenario, see [World.Plan].
	Plan string
}

// World is one simulated world: a few processes, their clocks, their network,
// and true time. A world and all that belongs to it are for one goroutine at a
// time.
type World struct {
	seed  uint64
	ident uint64 // hash of the seed; root of all identities
	plan  string

	now    time.Duration
	until  time.Duration
	halted bool // the run is over, for now
	inRun  bool
	closed bool

	arena    *Arena
	ownArena bool
	seq      uint64 // entries made
	dead     int    // entries in the heap that stand for nothing
	instant  uint64 // last event index allowed at this instant
	inEvent  bool   // an event began and has not been finished

	task       *task   // the task that runs; nil in callbacks and in the driver
	src        *source // on whose behalf draws are made
	driver     source  // code outside of events
	callback   source  // the callback that runs
	kills      []*task // tasks of ended lives, to be unwound
	killing    int     // index of the next of them
	inspector  *coroutine
	inspected  string
	eventHost  *Host  // life to which the present event belongs; nil: the world
	eventName  string // task or callback of the present event
	processes  []*Process
	byName     map[string]*Process
	streams    map[string]*rand.Rand
	net        Net
	invariants []invariant
	failure    *Failure

	maxEvents  uint64
	maxInstant uint64
	watch      livelockWatch
	hash       traceHash
	stats      Stats
	trace      *tracer
	onEvent    func(index, hash uint64)
}

// Stats counts what a world did.
type Stats struct {
	Events     uint64 // events run
	Switches   uint64 // hand-overs from one coroutine to another
	Tasks      uint64 // tasks created
	Timers     uint64 // timers, deadlines and callbacks scheduled
	Messages   uint64 // messages sent, those of calls included
	Delivered  uint64 // messages that reached a live receiver
	Dropped    uint64 // messages lost, cut off, or without a receiver
	Duplicated uint64 // messages delivered, or lost, a second time
	Reordered  uint64 // messages let out of the order of their link
	Calls      uint64 // calls begun
}

// NewWorld returns a world at time zero in which nothing is going on.
func NewWorld(seed uint64, o Options) *World {
	w := &World{
		seed:       seed,
		ident:      mix(seed + golden),
		plan:       o.Plan,
		arena:      o.Arena,
		byName:     make(map[string]*Process),
		streams:    make(map[string]*rand.Rand),
		maxEvents:  o.MaxEvents,
		maxInstant: o.MaxInstantEvents,
		onEvent:    o.OnEvent,
	}
	if w.maxEvents == 0 {
		w.maxEvents = DefaultMaxEvents
	}
	if w.maxInstant == 0 {
		w.maxInstant = DefaultMaxInstantEvents
	}
	if w.arena == nil {
		w.arena, w.ownArena = NewArena(), true
	}
	if w.arena.world != nil || w.arena.closing {
		panic("sim: Options.Arena is closed or in use by another world")
	}
	w.arena.world = w
	w.driver.ident = mix(w.ident ^ mulA)
	w.src = &w.driver
	w.instant = w.maxInstant
	w.hash = traceHash{a: w.ident, b: mulB}
	if o.Trace != nil {
		w.trace = &tracer{w: o.Trace}
	}
	w.net.init(w)
	return w
}

// Seed returns the seed that the world was made with.
func (w *World) Seed() uint64 { return w.seed }

// Plan returns the text of [Options].Plan, or of the last SetPlan. The package
// attaches no meaning to it.
func (w *World) Plan() string { return w.plan }

// SetPlan records the plan by which the scenario runs, so that reports can show
// it and a replay can be given it.
func (w *World) SetPlan(plan string) { w.plan = plan }

// Now returns the true time since the start of the world.
func (w *World) Now() time.Duration { return w.now }

// Net returns the network, for its settings.
func (w *World) Net() *Net { return &w.net }

// Stats returns the counts so far.
func (w *World) Stats() Stats { return w.stats }

// Hash returns the hash of all that was done so far.
func (w *World) Hash() Hash { return w.hash.sum() }

// Lookup returns the process of that name, nil when there is none.
func (w *World) Lookup(name string) *Process { return w.byName[name] }

// Processes returns the processes in the order of their creation.
func (w *World) Processes() []*Process { return append([]*Process(nil), w.processes...) }

// After runs f at true time Now()+d, as an event of no process: no crash or
// pause stops it. f must not block. Its identity is its name and its time.
func (w *World) After(d time.Duration, name string, f func()) {
	if w.mute() {
		return
	}
	at := later(w.now, d)
	x := w.arena.delivery()
	x.kind, x.name, x.f = kindCallback, name, f
	x.ident = mix(hashString(w.ident, name) + uint64(at)*golden)
	w.stats.Timers++
	w.push(&x.pending, at, mix(x.ident))
}

// Note puts a remark into the trace and its hash.
func (w *World) Note(kind, text string) {
	if w.mute() {
		return
	}
	w.hash.foldString(kind)
	w.hash.foldString(text)
	if w.trace != nil {
		w.trace.detail(w, kind+": "+text)
	}
}

// Stop ends the present Run after the present event, without a failure.
func (w *World) Stop() {
	if !w.mute() {
		w.halted = true
	}
}

// Run runs events in their order until true time `until`, inclusive, or until
// the world stops. It returns the failure, a [*Failure], or nil. After a nil a
// later Run goes on from there; after a failure Run returns the same again.
//
// It is a failure of rule "deadlock" when no event is left before the end and
// yet a task waits (see [Host.Daemon]).
func (w *World) Run(until time.Duration) error {
	switch {
	case w.closed:
		panic("sim: World.Run after Close")
	case w.inRun:
		panic("sim: World.Run from inside the world")
	case w.failure != nil:
		return w.failure
	}
	if until < w.now {
		return nil
	}
	w.until, w.halted, w.inRun = until, false, true
	defer func() {
		w.inRun = false
		w.task, w.src = nil, &w.driver
	}()
	w.schedule(&w.arena.driver)
	if w.failure != nil {
		return w.failure
	}
	return nil
}

// Close ends every task and gives the memory back to the arena. Deferred
// functions of the tasks run, and every call they make to the world has no
// effect. The world's results can still be read.
func (w *World) Close() {
	if w.closed {
		return
	}
	if w.inRun {
		panic("sim: World.Close from inside the world")
	}
	w.closed, w.halted, w.inEvent = true, true, false
	w.task, w.src = nil, &w.driver
	for _, p := range w.processes {
		if p.host != nil {
			p.end()
		}
	}
	w.schedule(&w.arena.driver)
	w.sweep(func(*pending) bool { return false })
	w.arena.world = nil
	if w.ownArena {
		w.arena.Close()
	}
}

// mute reports whether effects on the world are to be ignored: the caller is a
// task that is being unwound, or the world is closed.
func (w *World) mute() bool {
	return w.closed || w.task != nil && w.task.host.dead
}

// attribute notes to whom the present event belongs.
func (w *World) attribute(h *Host, name string) { w.eventHost, w.eventName = h, name }

// fold puts a decision into the hash.
func (w *World) fold(what string, x, y uint64) { w.hash.fold(hashString(x, what), y) }
