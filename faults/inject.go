package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// Handler shows the faults of a kind of the store, see [Spec].
type Handler struct {
	// Targets are the targets that the handler knows; an empty one stands for all
	// and is always known. Default: the processes of the world.
	Targets []string
	// Apply is called when a fault on target begins or ends, with the faults of
	// the kind that now last on that target, in the order in which they began:
	// none means that all is well again. It is a function of these faults alone
	// that says what the store does from now on, so that overlapping faults need
	// no counting. It must not block. It reports whether anything changed.
	Apply func(target string, lasting []Fault) bool
	// Struck returns how often a fault of the kind has done something to a call
	// of target so far. Default: a fault strikes when Apply reports a change at
	// its beginning.
	Struck func(target string) uint64
}

// Handlers are the handlers of a scenario, by kind.
type Handlers map[Kind]Handler

// Count is what became of the faults of a kind.
type Count struct {
	Kind      Kind
	Planned   uint64 // in the plan
	Fired     uint64 // begun
	Effective uint64 // changed the world when they began
	Struck    uint64 // did something to somebody, see [Injector]
}

// Injector brings the faults of a plan about.
//
// A fault is effective when it changed something at its beginning. A crash of a
// process that is down already, or a cut of a link that is cut, is not: it holds
// the state in place for its own time.
//
// A fault strikes when it does something to somebody: one of a link when, while
// it lasts, the link stops, loses, doubles, disorders or delays a message as the
// fault says, be it one of several faults on the link that do so; a reset when
// it breaks a call; one of the store when the store does so to a call, see
// [Handler]; the others when they are effective.
type Injector struct {
	world    *sim.World
	plan     Plan
	handlers Handlers
	state    []state // by index in the plan
	lasting  []int   // indices of the faults that last, in the order of their beginning
	stopped  bool

	links     map[pair]*linkState
	processes map[string]*processState
}

// state is what became of one fault.
type state struct {
	fired, effective bool
	struck           bool   // known when it has ended
	before           uint64 // effects so far when it began
	pairs            []pair // the links that it is on, fixed when it begins
}

// PlanFor returns the plan that a world is to run by: the one whose text the
// world carries (see sim.World.Plan), as a replay does, or else the one that the
// world's seed draws from the swarm.
func PlanFor(w *sim.World, s Swarm) (Plan, error) {
	if text := w.Plan(); text != "" {
		return Parse(text)
	}
	if _, err := s.Resolved(); err != nil {
		return Plan{}, err
	}
	return Generate(w.Seed(), s), nil
}

// Inject schedules the faults of p in w, as events of no process, and gives the
// world the plan's text, so that a failure can print it. It returns an
// error that wraps [ErrInvalid], and schedules nothing, when the plan is
// invalid, a fault would begin before the present time, a target or peer is not
// known, or a kind of the store has no handler.
func Inject(w *sim.World, p Plan, handlers Handlers) (*Injector, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	for i, f := range p.Faults {
		if err := fits(w, f, handlers); err != nil {
			return nil, fmt.Errorf("%w: faults[%d]: %w", ErrInvalid, i, err)
		}
	}
	w.SetPlan(p.String())
	in := &Injector{
		world:     w,
		plan:      Plan{Version: p.Version, Seed: p.Seed, Faults: slices.Clone(p.Faults)},
		handlers:  handlers,
		state:     make([]state, len(p.Faults)),
		links:     map[pair]*linkState{},
		processes: map[string]*processState{},
	}
	for i, f := range p.Faults {
		w.After(f.At-w.Now(), "fault "+f.String(), func() { in.begin(i) })
	}
	return in, nil
}

// fits returns an error that names the field of f that does not fit the world.
func fits(w *sim.World, f Fault, handlers Handlers) error {
	if f.At < w.Now() {
		return fmt.Errorf("at is %v, the world is at %v already", f.At, w.Now())
	}
	spec, _ := f.Kind.Spec()
	if !spec.Store {
		for _, n := range []struct{ field, name string }{{"target", f.Target}, {"peer", f.Peer}} {
			if n.name != "" && w.Lookup(n.name) == nil {
				return unknownName(n.field, n.name, processNames(w))
			}
		}
		return nil
	}
	h, ok := handlers[f.Kind]
	if !ok || h.Apply == nil {
		return fmt.Errorf("kind is %s, for which the scenario has no handler", f.Kind)
	}
	known := h.Targets
	if known == nil {
		known = processNames(w)
	}
	if f.Target != "" && !slices.Contains(known, f.Target) {
		return unknownName("target", f.Target, known)
	}
	return nil
}

func processNames(w *sim.World) []string {
	var names []string
	for _, p := range w.Processes() {
		names = append(names, p.Name())
	}
	return names
}

func unknownName(field, name string, known []string) error {
	return fmt.Errorf("%s is %q, must be one of %s", field, name, clip(strings.Join(known, ", ")))
}

// begin starts the fault with index i.
func (in *Injector) begin(i int) {
	if in.stopped {
		return
	}
	f, s := in.plan.Faults[i], &in.state[i]
	in.world.Note("fault begins", f.String())
	s.fired = true
	if f.Kind == Reset {
		s.pairs = in.both(f)
		s.effective = len(s.pairs) > 0
		s.struck = in.reset(s.pairs)
		return
	}
	in.lasting = append(in.lasting, i)
	s.effective = in.apply(i, true)
	s.before = in.effects(i)
	if f.For > 0 {
		in.world.After(f.For, "fault ends "+f.String(), func() { in.end(i) })
	}
}

// end ends the fault with index i, unless it has ended.
func (in *Injector) end(i int) {
	at := slices.Index(in.lasting, i)
	if at < 0 {
		return
	}
	in.state[i].struck = in.strikes(i)
	in.lasting = slices.Delete(in.lasting, at, at+1)
	in.world.Note("fault ends", in.plan.Faults[i].String())
	in.apply(i, false)
}

// apply makes the world follow in.lasting, to or from which fault i has just
// been added or taken. It reports whether the beginning of i changed anything.
func (in *Injector) apply(i int, begins bool) bool {
	f, s := in.plan.Faults[i], &in.state[i]
	switch f.Kind {
	case Crash:
		return in.crash(f.Target, begins)
	case Pause:
		return in.pause(f.Target)
	case WallJump:
		return in.jump(f, begins)
	case ClockRate:
		return in.rate(f.Target)
	case Cut:
		if begins {
			s.pairs = in.oneWay(f)
		}
		return in.cut(s.pairs)
	case Partition:
		if begins {
			s.pairs = in.both(f)
		}
		return in.cut(s.pairs)
	case SlowLink, Loss, Duplicate, Reorder:
		if begins {
			s.pairs = in.both(f)
		}
		return in.degrade(s.pairs)
	default:
		return in.handlers[f.Kind].Apply(f.Target, in.on(f.Kind, f.Target))
	}
}

// strikes reports whether the fault with index i, which has begun, has done
// something to somebody.
func (in *Injector) strikes(i int) bool {
	s := &in.state[i]
	if s.struck || !slices.Contains(in.lasting, i) {
		return s.struck
	}
	switch f := in.plan.Faults[i]; f.Kind {
	case Crash, Pause, WallJump, ClockRate:
		return s.effective
	default:
		if h := in.handlers[f.Kind]; h.Apply != nil && h.Struck == nil {
			return s.effective
		}
		return in.effects(i) > s.before
	}
}

// effects returns how often what the fault with index i does was done so far,
// where the fault is.
func (in *Injector) effects(i int) (n uint64) {
	f := in.plan.Faults[i]
	if h := in.handlers[f.Kind]; h.Struck != nil {
		return h.Struck(f.Target)
	}
	for _, p := range in.state[i].pairs {
		n += effectsOf(f.Kind, in.world.Net().Counts(p.from, p.to))
	}
	return n
}

// on returns the faults of a kind that last on a target, in the order of their
// beginning.
func (in *Injector) on(k Kind, target string) []Fault {
	var on []Fault
	for _, i := range in.lasting {
		if f := in.plan.Faults[i]; f.Kind == k && f.Target == target {
			on = append(on, f)
		}
	}
	return on
}

// Plan returns the plan that is being injected.
func (in *Injector) Plan() Plan { return in.plan.only(func(int) bool { return true }) }

// Heal ends every fault that lasts and keeps those to come from beginning.
func (in *Injector) Heal() {
	in.stopped = true
	for len(in.lasting) > 0 {
		in.end(in.lasting[len(in.lasting)-1])
	}
}

// Lasting returns the faults that last, in the order of their beginning.
func (in *Injector) Lasting() []Fault {
	var lasting []Fault
	for _, i := range in.lasting {
		lasting = append(lasting, in.plan.Faults[i])
	}
	return lasting
}

// Unfired returns the planned faults that have not begun, in the order of the
// plan.
func (in *Injector) Unfired() []Fault {
	return in.plan.only(func(i int) bool { return !in.state[i].fired }).Faults
}

// Ineffective returns the faults that began and changed nothing, in the order
// of the plan.
func (in *Injector) Ineffective() []Fault {
	return in.plan.only(func(i int) bool { return in.state[i].fired && !in.state[i].effective }).Faults
}

// Counts returns the counts of each kind that is in the plan, in the order of
// [Kinds].
func (in *Injector) Counts() []Count {
	all := make([]Count, len(table))
	for i, f := range in.plan.Faults {
		c, s := &all[f.Kind.index()], in.state[i]
		c.Kind = f.Kind
		c.Planned++
		if s.fired {
			c.Fired++
		}
		if s.effective {
			c.Effective++
		}
		if s.fired && in.strikes(i) {
			c.Struck++
		}
	}
	return slices.DeleteFunc(all, func(c Count) bool { return c.Planned == 0 })
}

// duration converts an amount in a unit to a time.
func duration(amount float64, unit time.Duration) time.Duration {
	return time.Duration(amount * float64(unit))
}
