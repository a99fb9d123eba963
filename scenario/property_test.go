package scenario_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/scenario/programtest"
	"github.com/kelpie-registry/kelpie/sim"
)

// drawCase draws the seed, the plan, of at most so many faults, and the workload,
// of at most so many steps, of a run. Plan and workload print as text that parses
// back.
func drawCase(t *rapid.T, s scenario.Scenario, most, steps int) scenario.Config {
	var targets []string
	nodes, _, _ := s.Limits()
	for i := range nodes {
		targets = append(targets, fmt.Sprintf("node-%d", i+1))
	}
	swarm := faults.Swarm{
		Kinds: []faults.Choice{
			{Kind: faults.Crash},
			{Kind: faults.Pause},
			{Kind: faults.Cut},
			{Kind: faults.Partition},
			{Kind: faults.SlowLink},
			{Kind: faults.Loss},
			{Kind: faults.WallJump},
			{Kind: faults.StoreUnknown},
			{Kind: faults.StoreConflict},
		},
		Targets: targets,
		Peers:   []string{"sink"},
		Horizon: 37 * time.Second,
		HealAt:  38 * time.Second,

		MaxFaults: most,
	}
	plan := plantest.Plans(swarm).Draw(t, "plan")
	program := programtest.Programs(s, steps).Draw(t, "program")
	return scenario.Config{
		Seed:  rapid.Uint64Max(1<<20).Draw(t, "seed"),
		Store: rapid.SampledFrom([]string{scenario.StoreMemory, scenario.StoreSimFDB}).Draw(t, "store"),
		Plan:  &plan, Program: &program, KeepHistory: true,
	}
}

// describe shows a case as what a test needs to run it again: faults.Parse and
// scenario.ParseProgram read the texts.
func describe(c scenario.Config) string {
	return fmt.Sprintf("seed %d on %s\nplan: %s\nprogram:\n%s", c.Seed, c.Store, c.Plan, c.Program)
}

// Whatever nodes do and whatever strikes them and their ways to the store, what
// must hold holds. rapid draws plans and operations, and takes a failing case
// apart by itself.
func TestAnyPlanAndProgramHold(t *testing.T) {
	s := find(t, "mixed")
	arena := sim.NewArena()
	defer arena.Close()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCase(t, s, faults.DefaultMaxFaults, 60)
		c.Arena = arena
		r, err := s.Run(c)
		if err != nil {
			t.Fatalf("%v\n%s", err, describe(c))
		}
		if r.Failure != nil {
			t.Fatalf("%s: %s\n%s", r.Failure.Signature, r.Failure.Message, describe(c))
		}
	})
}

// A judgement that is wrong, in that it takes the second claim of an actor for a
// violation, must be taken apart to two claims: no faults, no other operations.
func TestWrongJudgementShrinksToTwoClaims(t *testing.T) {
	s := find(t, "commit-unknown")
	arena := sim.NewArena()
	defer arena.Close()
	last := shrunk(t, func(t *rapid.T, note func(scenario.Config)) {
		c := drawCase(t, s, 2, 8)
		c.Arena = arena
		r, err := s.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		claims := make(map[string]int)
		for _, op := range r.History.Ops {
			if op.Kind != linearizability.KindClaim || !strings.HasPrefix(op.Client, "node-") {
				continue
			}
			if claims[op.Actor]++; claims[op.Actor] == 2 {
				note(c)
				t.Fatalf("two claims of %s\n%s", op.Actor, describe(c))
			}
		}
	})
	var left []scenario.Action
	for _, script := range last.Program.Scripts {
		for _, st := range script.Steps {
			left = append(left, st.Do)
		}
	}
	claim := func(a scenario.Action) bool { return a == scenario.Claim || a == scenario.Wait }
	if len(last.Plan.Faults) != 0 || len(left) != 2 || !claim(left[0]) || !claim(left[1]) {
		t.Errorf("left over:\n%s", describe(last))
	}
}

// shrunk runs a property that is false under rapid and returns the last case that
// it noted: the one that rapid reports.
func shrunk(t *testing.T, property func(t *rapid.T, note func(scenario.Config))) (last scenario.Config) {
	t.Helper()
	// The clock must not end the search.
	for name, value := range map[string]string{"rapid.seed": "4", "rapid.nofailfile": "true", "rapid.shrinktime": "1h"} {
		f := flag.Lookup(name)
		before := f.Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := flag.Set(name, before); err != nil {
				t.Error(err)
			}
		})
	}
	tb := &expectant{T: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(tb) {
				panic(r)
			}
		}()
		rapid.Check(tb, func(t *rapid.T) { property(t, func(c scenario.Config) { last = c }) })
	}()
	if !tb.failed {
		t.Fatal("rapid found nothing")
	}
	return last
}

// expectant stands in for a test that is expected to fail.
type expectant struct {
	*testing.T
	failed bool
}

func (e *expectant) Errorf(format string, args ...any) {
	e.Logf(format, args...)
	e.failed = true
}
func (e *expectant) Error(args ...any)                 { e.Errorf("%s", fmt.Sprint(args...)) }
func (e *expectant) Fatalf(format string, args ...any) { e.Errorf(format, args...); e.FailNow() }
func (e *expectant) Fatal(args ...any)                 { e.Error(args...); e.FailNow() }
func (e *expectant) Fail()                             { e.failed = true }
func (e *expectant) Failed() bool                      { return e.failed }
func (e *expectant) FailNow()                          { e.failed = true; panic(e) }
