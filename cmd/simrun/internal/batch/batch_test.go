package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// passes is a scenario's run that depends on the seed alone and holds.
func passes(c scenario.Config) (scenario.Result, error) {
	res := scenario.Result{
		Scenario: "fake", Store: scenario.StoreMemory, Seed: c.Seed, Events: c.Seed % 7, Operations: 2,
		Virtual:   time.Second,
		Sometimes: []scenario.Count{{Name: "seen", N: 1}, {Name: "unseen", N: 0}},
		Faults:    []scenario.Count{{Name: "crash", N: 3}},
	}
	if c.Seed%2 == 0 {
		res.Store = scenario.StoreSimFDB
	}
	res.Hash = sim.Hash{byte(c.Seed), byte(c.Seed >> 8), byte(c.Seed >> 16)}
	return res, nil
}

// failsEach makes every n-th seed fail.
func failsEach(n uint64) func(scenario.Config) (scenario.Result, error) {
	return func(c scenario.Config) (scenario.Result, error) {
		res, err := passes(c)
		if c.Seed%n == 0 {
			res.Failure = &scenario.Failure{Rule: "rule", Signature: "rule: here"}
		}
		return res, err
	}
}

func subjects(runs ...func(scenario.Config) (scenario.Result, error)) []batch.Subject {
	var list []batch.Subject
	for i, run := range runs {
		list = append(list, batch.Subject{Name: fmt.Sprintf("fake-%d", i), Sometimes: []string{"seen"}, MinSeeds: 10, Run: run})
	}
	return list
}

// each returns the jobs of so many seeds for each of n subjects.
func each(n int, seeds uint64) func(uint64) (batch.Job, bool) {
	return func(i uint64) (batch.Job, bool) {
		return batch.Job{Subject: int(i / seeds), Seed: i % seeds}, i < seeds*uint64(n)
	}
}

func TestTotalsDoNotDependOnTheNumberOfWorkers(t *testing.T) {
	slow := func(c scenario.Config) (scenario.Result, error) {
		if c.Seed%50 == 0 {
			time.Sleep(time.Millisecond) // others overtake
		}
		return failsEach(13)(c)
	}
	var want string
	for _, workers := range []int{1, 2, 7} {
		var order []uint64
		tally, err := batch.Run(t.Context(), batch.Options{
			Subjects: subjects(passes, slow), Jobs: each(2, 500), Workers: workers,
			OnResult: func(_ *batch.Subject, r *scenario.Result) { order = append(order, r.Seed) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, seed := range order {
			if seed != uint64(i%500) {
				t.Fatalf("%d workers: result %d is of seed %d: out of order", workers, i, seed)
			}
		}
		got := fmt.Sprint(tally.TraceHash(), tally.Rows[0].TraceHash(), tally.Rows[1].TraceHash(),
			tally.Seeds, tally.Passed, tally.Failed, tally.Operations, tally.Events, tally.Virtual, tally.Sometimes, tally.Faults)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%d workers: %s, want %s", workers, got, want)
		}
		if tally.Seeds != 1000 || tally.Failed != 39 || tally.Passed != 961 {
			t.Errorf("%d workers: %d seeds, %d failed, %d passed", workers, tally.Seeds, tally.Failed, tally.Passed)
		}
	}
}

func TestTraceHashKnowsEveryRun(t *testing.T) {
	hash := func(run func(scenario.Config) (scenario.Result, error)) string {
		tally, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(run), Jobs: each(1, 50), Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		return tally.TraceHash()
	}
	same := hash(passes)
	for name, change := range map[string]func(*scenario.Result){
		"hash":    func(r *scenario.Result) { r.Hash[15]++ },
		"events":  func(r *scenario.Result) { r.Events++ },
		"failure": func(r *scenario.Result) { r.Failure = &scenario.Failure{Rule: "x", Signature: "x"} },
		"unknown": func(r *scenario.Result) { r.Unknown = "x" },
		"store":   func(r *scenario.Result) { r.Store = "x" },
	} {
		got := hash(func(c scenario.Config) (scenario.Result, error) {
			r, err := passes(c)
			if c.Seed == 49 {
				change(&r)
			}
			return r, err
		})
		if got == same {
			t.Errorf("a change of the last run's %s leaves the trace hash as it was", name)
		}
	}
}

func TestMaxFailuresEndsTheBatchAtTheSameRunForAnyWorkers(t *testing.T) {
	for _, workers := range []int{1, 4} {
		tally, err := batch.Run(t.Context(), batch.Options{
			Subjects: subjects(failsEach(10)), Jobs: each(1, 10_000), Workers: workers, MaxFailures: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		// Seeds 0, 10 and 20 fail.
		if tally.Failed != 3 || tally.Seeds != 21 || !tally.Stopped {
			t.Errorf("%d workers: %d failed of %d, stopped %v; want 3 of 21, stopped", workers, tally.Failed, tally.Seeds, tally.Stopped)
		}
	}
}

func TestUnknownIsNotPassed(t *testing.T) {
	undecided := func(c scenario.Config) (scenario.Result, error) {
		r, err := passes(c)
		r.Unknown = "too long"
		return r, err
	}
	tally, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(undecided), Jobs: each(1, 5), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Unknown != 5 || tally.Passed != 0 || tally.Failed != 0 {
		t.Errorf("%d unknown, %d passed, %d failed; want 5, 0, 0", tally.Unknown, tally.Passed, tally.Failed)
	}
}

func TestAnInterruptedBatchFoldsWhatItHadBegun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var begun atomic.Uint64
	run := func(c scenario.Config) (scenario.Result, error) {
		begun.Add(1)
		if c.Seed == 100 {
			cancel()
		}
		return passes(c)
	}
	tally, err := batch.Run(ctx, batch.Options{Subjects: subjects(run), Jobs: each(1, 1_000_000), Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Seeds != begun.Load() || tally.Seeds < 101 || tally.Seeds > 1000 {
		t.Errorf("%d runs begun, %d folded", begun.Load(), tally.Seeds)
	}
}

func TestARefusedConfigurationEndsTheBatch(t *testing.T) {
	refuse := func(scenario.Config) (scenario.Result, error) {
		return scenario.Result{}, fmt.Errorf("%w: no such target", scenario.ErrConfig)
	}
	_, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(refuse), Jobs: each(1, 100), Workers: 2})
	if !errors.Is(err, scenario.ErrConfig) || !strings.Contains(err.Error(), "fake-0, seed 0") {
		t.Errorf("error %v, want %v with the first scenario and seed", err, scenario.ErrConfig)
	}
	if _, err := batch.Run(t.Context(), batch.Options{}); err == nil {
		t.Error("no workers are accepted")
	}
}

func TestAPanicOfTheTestbedComesWithItsSeed(t *testing.T) {
	run := func(c scenario.Config) (scenario.Result, error) {
		if c.Seed == 3 {
			panic("boom")
		}
		return passes(c)
	}
	var failed []*scenario.Result
	tally, err := batch.Run(t.Context(), batch.Options{
		Subjects: subjects(run), Jobs: each(1, 10), Workers: 2, Plan: &faults.Plan{Seed: 5},
		OnResult: func(_ *batch.Subject, r *scenario.Result) {
			if r.Failure != nil {
				failed = append(failed, r)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Failed != 1 || tally.Passed != 9 {
		t.Fatalf("%d failed, %d passed; want 1 and 9", tally.Failed, tally.Passed)
	}
	r := failed[0]
	if r.Seed != 3 || r.Store != scenario.StoreMemory || r.Failure.Rule != batch.RuleHarness ||
		!strings.Contains(r.Failure.Message, "boom") || r.Failure.Stack == "" || r.Plan.Seed != 5 {
		t.Errorf("result %+v with failure %+v", r, r.Failure)
	}
}

func TestCheckDeterminismRejectsARunThatDiffers(t *testing.T) {
	for name, change := range map[string]func(r *scenario.Result, n uint64){
		"hash":       func(r *scenario.Result, n uint64) { r.Hash[0] = byte(n) },
		"events":     func(r *scenario.Result, n uint64) { r.Events = n },
		"operations": func(r *scenario.Result, n uint64) { r.Operations = int(n) },
		"verdict":    func(r *scenario.Result, n uint64) { r.Unknown = fmt.Sprint(n) },
	} {
		var calls atomic.Uint64
		run := func(c scenario.Config) (scenario.Result, error) {
			r, err := passes(c)
			if c.Seed == 4 {
				change(&r, calls.Add(1))
			}
			return r, err
		}
		tally, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(run), Jobs: each(1, 10), Workers: 1, Twice: true})
		if err != nil {
			t.Fatal(err)
		}
		if tally.Failed != 1 {
			t.Errorf("two runs that differ in their %s: %d failures, want 1", name, tally.Failed)
		}
	}
	tally, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(failsEach(2)), Jobs: each(1, 10), Workers: 2, Twice: true})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Failed != 5 {
		t.Errorf("%d failures of runs that repeat themselves, want their own 5", tally.Failed)
	}
}

func TestMissingEventsAreJudgedOnEachStoreFromMinSeedsOn(t *testing.T) {
	run := func(c scenario.Config) (scenario.Result, error) {
		r, err := passes(c)
		if r.Store == scenario.StoreMemory {
			r.Sometimes[0].N = 0
		}
		return r, err
	}
	missing := func(seeds uint64) []batch.Missing {
		tally, err := batch.Run(t.Context(), batch.Options{Subjects: subjects(run), Jobs: each(1, seeds), Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		return tally.Missing()
	}
	if m := missing(18); len(m) != 0 {
		t.Errorf("9 seeds on each store, fewer than MinSeeds, and yet missing: %v", m)
	}
	want := batch.Missing{Scenario: "fake-0", Store: scenario.StoreMemory, Event: "seen", Seeds: 10}
	if m := missing(20); len(m) != 1 || m[0] != want {
		t.Errorf("missing %v, want %v", m, want)
	}
}

func TestMemoryIsFlat(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	n := 0
	_, err := batch.Run(t.Context(), batch.Options{
		Subjects: subjects(passes), Jobs: each(1, 100_000), Workers: 2,
		OnResult: func(*batch.Subject, *scenario.Result) {
			switch n++; n {
			case 1000:
				early = heap()
			case 100_000:
				late = heap()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if late > early+1<<20 {
		t.Errorf("the heap holds %d bytes after 100,000 runs, %d after 1,000", late, early)
	}
}
