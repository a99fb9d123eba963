// Package batch runs many seeds of many scenarios on several workers and adds
// them up in one order.
//
// Jobs are numbered. Workers take the next number each; results are folded in
// the order of the numbers, whatever the order in which they come in. So the
// totals, the trace hash and the order in which failures are told are a
// function of the jobs alone, not of the number of workers. A worker may be
// ahead of the fold by a bounded number of jobs, and nothing of a run is kept
// after its fold: memory does not grow with the number of seeds.
//
// A batch that is interrupted folds what it had begun. The package does not
// interrupt a run: that ends when its world does.
package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// Subject is a scenario as a batch sees it.
type Subject struct {
	Name      string
	About     string
	Sometimes []string
	MinSeeds  int
	Run       func(scenario.Config) (scenario.Result, error)
}

// Of returns s as a subject.
func Of(s scenario.Scenario) Subject {
	return Subject{Name: s.Name, About: s.About, Sometimes: s.Sometimes, MinSeeds: s.MinSeeds, Run: s.Run}
}

// Job is one run: a subject, by its index, and a seed.
type Job struct {
	Subject int
	Seed    uint64
}

// Options of a batch.
type Options struct {
	Subjects []Subject
	// Jobs returns job i, counted from 0, or false when there are no more. It
	// is called from several goroutines and must be a pure function.
	Jobs func(i uint64) (Job, bool)
	// Workers is the number of goroutines that run jobs; at least 1.
	Workers int
	// Store and Plan are those of scenario.Config.
	Store string
	Plan  *faults.Plan
	// Twice runs every job a second time, in fresh memory, and makes a
	// difference a failure of rule [RuleDeterminism].
	Twice bool
	// MaxFailures ends the batch after so many failed runs; 0 means never.
	MaxFailures uint64
	// OnResult, when not nil, is told each result in the order of the jobs. It
	// is called from the goroutine that called [Run], while workers go on.
	OnResult func(subject *Subject, r *scenario.Result)
}

// Rules that batches add to those of the scenarios.
const (
	// RuleDeterminism: two runs of one seed differed.
	RuleDeterminism = "determinism"
	// RuleHarness: the testbed itself panicked outside of any simulated task.
	RuleHarness = "harness-panic"
)

// window is how many jobs for each worker may be begun and not folded yet. It
// is what lets workers go on while one of them has a long run.
const window = 64

// outcome is one job's end.
type outcome struct {
	index  uint64
	job    Job
	result scenario.Result
	took   time.Duration
	err    error
}

// Run runs the batch. It ends early, without an error, when ctx does. The error
// is a subject's refusal of its configuration.
func Run(ctx context.Context, o Options) (*Tally, error) {
	if o.Workers < 1 {
		return nil, fmt.Errorf("batch: %d workers, there must be at least 1", o.Workers)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := window * o.Workers
	r := runner{o: o, tickets: make(chan struct{}, ahead), done: make(chan outcome, ahead)}
	var workers sync.WaitGroup
	for range o.Workers {
		workers.Go(func() { r.work(ctx) })
	}
	go func() {
		workers.Wait()
		close(r.done)
	}()
	t := newTally(o.Subjects)
	began := time.Now()
	err := r.fold(t, cancel)
	t.Wall = time.Since(began)
	return t, err
}

type runner struct {
	o       Options
	next    atomic.Uint64
	tickets chan struct{} // one for each job begun and not folded
	done    chan outcome
}

// work runs jobs until there are no more or ctx ends.
func (r *runner) work(ctx context.Context) {
	w := worker{o: &r.o}
	defer w.close()
	for {
		select {
		case <-ctx.Done():
			return
		case r.tickets <- struct{}{}:
		}
		// A number that was taken is run, so that those which come in have no gap.
		if ctx.Err() != nil {
			return
		}
		index := r.next.Add(1) - 1
		job, ok := r.o.Jobs(index)
		if !ok {
			return
		}
		out := outcome{index: index, job: job}
		began := time.Now()
		out.result, out.err = w.run(&r.o.Subjects[job.Subject], job.Seed)
		out.took = time.Since(began)
		r.done <- out
	}
}

// fold adds up the outcomes in the order of their numbers.
func (r *runner) fold(t *Tally, stop func()) error {
	early := make(map[uint64]outcome, window*r.o.Workers)
	var (
		next  uint64
		err   error
		ended bool // what comes in now is not counted
	)
	for out := range r.done {
		early[out.index] = out
		for {
			out, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			next++
			<-r.tickets
			if ended {
				continue
			}
			if out.err != nil {
				err, ended = out.err, true
				stop()
				continue
			}
			t.add(out.job.Subject, &out.result, out.took)
			if r.o.OnResult != nil {
				r.o.OnResult(&r.o.Subjects[out.job.Subject], &out.result)
			}
			if n := r.o.MaxFailures; n > 0 && t.Failed >= n {
				t.Stopped, ended = true, true
				stop()
			}
		}
	}
	return err
}

// worker runs jobs one after another in one arena.
type worker struct {
	o     *Options
	arena *sim.Arena
}

func (w *worker) close() {
	if w.arena != nil {
		w.arena.Close()
	}
}

// run runs one seed, twice if asked to.
func (w *worker) run(s *Subject, seed uint64) (scenario.Result, error) {
	c := scenario.Config{Seed: seed, Store: w.o.Store, Plan: w.o.Plan}
	if w.arena == nil {
		w.arena = sim.NewArena()
	}
	c.Arena = w.arena
	first, err := s.Guarded(c)
	if err != nil {
		return first, fmt.Errorf("scenario %s, seed %d: %w", s.Name, seed, err)
	}
	if first.Failure != nil && first.Failure.Rule == RuleHarness {
		w.arena = nil // its state is anyone's guess
		return first, nil
	}
	if !w.o.Twice {
		return first, nil
	}
	c.Arena = nil
	second, err := s.Guarded(c)
	if err != nil {
		return second, fmt.Errorf("scenario %s, seed %d, second run: %w", s.Name, seed, err)
	}
	if diff := difference(&first, &second); diff != "" {
		first.Failure = &scenario.Failure{
			Rule: RuleDeterminism, Signature: RuleDeterminism + " of " + s.Name,
			Message: "two runs of this seed differ: " + diff, At: first.Virtual, Event: first.Events,
		}
	}
	return first, nil
}

// Guarded is Run, but turns a panic of the testbed itself into a failure of rule
// [RuleHarness], so that it comes with its seed.
func (s *Subject) Guarded(c scenario.Config) (res scenario.Result, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = nil
		res = scenario.Result{Scenario: s.Name, Store: storeOf(c), Seed: c.Seed, Failure: &scenario.Failure{
			Rule: RuleHarness, Signature: fmt.Sprintf("%s: %v", RuleHarness, p),
			Message: fmt.Sprintf("the testbed panicked: %v", p), Stack: string(debug.Stack()),
		}}
		if c.Plan != nil {
			res.Plan = *c.Plan
		}
	}()
	return s.Run(c)
}

// storeOf returns the kind of store that a run of c uses.
func storeOf(c scenario.Config) string {
	switch {
	case c.Store != scenario.StoreBoth && c.Store != "":
		return c.Store
	case c.Seed%2 == 0:
		return scenario.StoreSimFDB
	}
	return scenario.StoreMemory
}

// difference says in what two runs of one seed differ; it is empty when they
// did the same.
func difference(a, b *scenario.Result) string {
	var d []string
	if a.Hash != b.Hash {
		d = append(d, fmt.Sprintf("trace hash %v and %v", a.Hash, b.Hash))
	}
	if a.Events != b.Events {
		d = append(d, fmt.Sprintf("%d and %d events", a.Events, b.Events))
	}
	if a.Operations != b.Operations {
		d = append(d, fmt.Sprintf("%d and %d operations", a.Operations, b.Operations))
	}
	if x, y := verdict(a), verdict(b); x != y {
		d = append(d, fmt.Sprintf("%s and %s", x, y))
	}
	return strings.Join(d, "; ")
}

// verdict is a run's outcome in a few words.
func verdict(r *scenario.Result) string {
	switch {
	case r.Failure != nil:
		return "failed: " + r.Failure.Signature
	case r.Unknown != "":
		return "unknown: " + r.Unknown
	}
	return "passed"
}
