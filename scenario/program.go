package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Program is the workload of a run as data: what each worker of each node does,
// one step after the other. A seed draws one (see [Scenario.Program]), a property
// test generates them, and [ParseProgram] reads one.
//
// Joining is part of it only where a program joins once more: the first worker of
// a node joins by itself, and again when the session is over, and the others wait
// for that. A crash of the node loses the step under way; the next life goes on
// with the one after. The workload ends with the faults, whatever is left.
type Program struct {
	// Beat, when not 0, makes all workers begin their steps at its multiples, in
	// true time: at the n-th, from 0 on, each that is not busy begins its n-th
	// step, with the pause Step.After.
	Beat    time.Duration
	Scripts []Script // each worker at most once
}

// Script is what one worker does.
type Script struct {
	Node   int // from 0 on
	Worker int // of the node, from 0 on
	Steps  []Step
}

// Step is one operation of a worker. Fields that its action does not use must be
// zero.
type Step struct {
	After  time.Duration // pause before it, on the node's clock
	Do     Action
	Actor  int           // from 0 on; see OfActor
	To     int           // transfer: the node, from 0 on
	Within time.Duration // see MayGiveUp: give up after so long; 0: be patient
	For    time.Duration // write, guard: the work between asking Valid and the effect
	Again  bool          // release: when it is not released for sure, claim it at once; transfer: do it once more, or claim the actor
}

// Action is what a step does.
type Action uint8

// The actions.
const (
	Think     Action = iota // nothing, after the pause
	Join                    // join once more, without waiting: in use while the session lives
	Claim                   // claim the actor
	Wait                    // claim the actor, and wait while it is held
	Use                     // ask the handle whether it is valid
	Write                   // write to the fenced resource
	Guard                   // commit a guarded transaction
	Release                 // give the actor up
	Transfer                // give the actor to another node
	Place                   // find or make an owner
	Drain                   // give everything away, and leave
	Rebalance               // give away what is too much
	Lookup                  // look the owner up
	Leave                   // end the session
	actionCount
)

var actionNames = [actionCount]string{
	"think", "join", "claim", "wait", "use", "write", "guard", "release", "transfer", "place", "drain", "rebalance", "lookup", "leave",
}

func (a Action) String() string {
	if a < actionCount {
		return actionNames[a]
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// OfActor reports whether the action is about an actor.
func (a Action) OfActor() bool { return a > Join && a < Leave && a != Drain && a != Rebalance }

// MayGiveUp reports whether the action uses Step.Within.
func (a Action) MayGiveUp() bool {
	return a == Claim || a == Release || a == Transfer || a == Place || a == Drain || a == Rebalance
}

// IsEffect reports whether the action uses Step.For.
func (a Action) IsEffect() bool { return a == Write || a == Guard }

// Limits of a [Program].
const (
	MaxSteps        = 10_000      // of a script
	MaxStepDuration = time.Minute // After, Within, For and Beat
)

// Limits returns how many nodes the scenario has, workers each node, and actors.
func (s Scenario) Limits() (nodes, workers, actors int) {
	return s.shape.nodes, s.shape.workers, s.shape.actors
}

// has reports whether some step is one of the actions.
func (p *Program) has(actions ...Action) bool {
	for _, s := range p.Scripts {
		if slices.ContainsFunc(s.Steps, func(st Step) bool { return slices.Contains(actions, st.Do) }) {
			return true
		}
	}
	return false
}

// check returns an error that names what does not fit the shape, and its limit.
func (p *Program) check(s *shape) error {
	if err := checkStepDuration("Beat", p.Beat); err != nil {
		return err
	}
	for i, script := range p.Scripts {
		switch {
		case script.Node < 0 || script.Node >= s.nodes:
			return fmt.Errorf("its Scripts[%d].Node is %d, must be from 0 to %d", i, script.Node, s.nodes-1)
		case script.Worker < 0 || script.Worker >= s.workers:
			return fmt.Errorf("its Scripts[%d].Worker is %d, must be from 0 to %d", i, script.Worker, s.workers-1)
		case len(script.Steps) > MaxSteps:
			return fmt.Errorf("its Scripts[%d] has %d steps, at most %d are allowed", i, len(script.Steps), MaxSteps)
		case slices.ContainsFunc(p.Scripts[:i], func(o Script) bool { return o.Node == script.Node && o.Worker == script.Worker }):
			return fmt.Errorf("its Scripts[%d] is the second of worker %d of node %d", i, script.Worker, script.Node)
		}
		for j := range script.Steps {
			if err := script.Steps[j].check(s); err != nil {
				return fmt.Errorf("its Scripts[%d].Steps[%d]: %w", i, j, err)
			}
		}
	}
	return nil
}

func (st *Step) check(s *shape) error {
	switch {
	case st.Do >= actionCount:
		return fmt.Errorf("its Do is %v, there is no such action", st.Do)
	case !st.Do.OfActor() && st.Actor != 0:
		return fmt.Errorf("its Actor is %d, %v uses none", st.Actor, st.Do)
	case st.Actor < 0 || st.Actor >= s.actors:
		return fmt.Errorf("its Actor is %d, must be from 0 to %d", st.Actor, s.actors-1)
	case st.Do != Transfer && st.To != 0:
		return fmt.Errorf("its To is %d, %v uses none", st.To, st.Do)
	case st.To < 0 || st.To >= s.nodes:
		return fmt.Errorf("its To is %d, must be from 0 to %d", st.To, s.nodes-1)
	case !st.Do.MayGiveUp() && st.Within != 0:
		return fmt.Errorf("its Within is %v, %v uses none", st.Within, st.Do)
	case !st.Do.IsEffect() && st.For != 0:
		return fmt.Errorf("its For is %v, %v uses none", st.For, st.Do)
	case st.Do != Release && st.Do != Transfer && st.Again:
		return fmt.Errorf("its Again is set, %v uses none", st.Do)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"After", st.After}, {"Within", st.Within}, {"For", st.For}} {
		if err := checkStepDuration(d.name, d.value); err != nil {
			return err
		}
	}
	return nil
}

func checkStepDuration(name string, d time.Duration) error {
	if d < 0 || d > MaxStepDuration {
		return fmt.Errorf("its %s is %v, must be from 0 to %v", name, d, MaxStepDuration)
	}
	return nil
}

// workStream keeps the draws of programs apart from all others of the seed.
const workStream = 0x776f726b

// Program returns the program that a seed draws. Each worker has a stream of its
// own.
func (s Scenario) Program(seed uint64) Program {
	sh := &s.shape
	p := Program{Scripts: make([]Script, 0, sh.nodes*sh.workers)}
	if sh.together {
		p.Beat = sh.think
	}
	// A step takes half of the mean pause at least.
	steps := int(2*chaosEnds/sh.think) + 1
	all := make([]Step, steps*sh.nodes*sh.workers)
	for node := range sh.nodes {
		for worker := range sh.workers {
			r := rand.New(rand.NewPCG(seed, workStream+uint64(node)<<40+uint64(worker)<<32))
			var script []Step
			script, all = all[:steps:steps], all[steps:]
			for i := range script {
				switch {
				case sh.crossing:
					script[i] = sh.crossingStep(r, i, node, worker)
				case sh.cutShort:
					script[i] = sh.cutShortStep(r, i, node, worker)
				default:
					script[i] = sh.step(r, i)
				}
			}
			p.Scripts = append(p.Scripts, Script{Node: node, Worker: worker, Steps: script})
		}
	}
	return p
}

// program returns the run's program: the given one, or the one that the seed
// draws.
func (s Scenario) program(c Config) (Program, error) {
	if c.Program == nil {
		return s.Program(c.Seed), nil
	}
	if err := c.Program.check(&s.shape); err != nil {
		return Program{}, fmt.Errorf("%w: Program: %w", ErrConfig, err)
	}
	return *c.Program, nil
}

// impatience bounds how long a hasty worker waits for an answer that it does not
// wait for.
const impatience = 20 * time.Millisecond

// step draws the step with an index.
func (s *shape) step(r *rand.Rand, i int) Step {
	st := Step{Do: s.mix.pick(r.IntN(s.mix.total()))}
	if st.Do.OfActor() {
		st.Actor = r.IntN(s.actors)
	}
	if s.together {
		if st.Do.OfActor() {
			st.Actor = i % s.actors
		}
	} else {
		st.After = s.think/2 + time.Duration(r.Int64N(int64(s.think)))
	}
	if st.Do == Transfer {
		st.To = r.IntN(s.nodes)
	}
	if st.Do.MayGiveUp() && s.hasty && r.IntN(3) == 0 {
		st.Within = upTo(r, impatience)
	}
	if st.Do.IsEffect() {
		st.For = upTo(r, s.ttl/2)
	}
	// Much real code wants back at once what it could not give up, or tries again.
	st.Again = (st.Do == Release || st.Do == Transfer) && r.IntN(2) == 0
	return st
}
