// Package programtest generates workloads for property tests with
// pgregory.net/rapid, which shrinks a failing one by itself: to fewer steps, of
// the first nodes, workers and actors, with short pauses.
//
// It is for tests; package scenario itself does not import rapid.
package programtest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/scenario"
)

// Bounds of what is generated. All are in whole milliseconds.
const (
	afterMax  = 5 * time.Second
	withinMax = 30 * time.Millisecond
	forMax    = 3 * time.Second
)

// actions that may be generated, those that do least first.
var actions = []scenario.Action{
	scenario.Think, scenario.Lookup, scenario.Use, scenario.Claim, scenario.Release, scenario.Wait,
	scenario.Write, scenario.Guard, scenario.Transfer, scenario.Place, scenario.Rebalance, scenario.Drain, scenario.Leave, scenario.Join,
}

// Programs returns a generator of programs that fit the scenario, of at most so
// many steps in all.
func Programs(s scenario.Scenario, steps int) *rapid.Generator[scenario.Program] {
	nodes, workers, actors := s.Limits()
	type placed struct {
		node, worker int
		step         scenario.Step
	}
	one := rapid.Custom(func(t *rapid.T) placed {
		return placed{
			node:   rapid.IntRange(0, nodes-1).Draw(t, "node"),
			worker: rapid.IntRange(0, workers-1).Draw(t, "worker"),
			step:   Steps(nodes, actors).Draw(t, "step"),
		}
	})
	return rapid.Custom(func(t *rapid.T) scenario.Program {
		var p scenario.Program
		for _, x := range rapid.SliceOfN(one, 0, steps).Draw(t, "steps") {
			i := slices.IndexFunc(p.Scripts, func(s scenario.Script) bool { return s.Node == x.node && s.Worker == x.worker })
			if i < 0 {
				i = len(p.Scripts)
				p.Scripts = append(p.Scripts, scenario.Script{Node: x.node, Worker: x.worker})
			}
			p.Scripts[i].Steps = append(p.Scripts[i].Steps, x.step)
		}
		return p
	})
}

// Steps returns a generator of single steps on so many nodes and actors.
func Steps(nodes, actors int) *rapid.Generator[scenario.Step] {
	return rapid.Custom(func(t *rapid.T) scenario.Step {
		st := scenario.Step{
			After: milliseconds(afterMax).Draw(t, "after"),
			Do:    rapid.SampledFrom(actions).Draw(t, "do"),
		}
		if st.Do.OfActor() {
			st.Actor = rapid.IntRange(0, actors-1).Draw(t, "actor")
		}
		if st.Do == scenario.Transfer {
			st.To = rapid.IntRange(0, nodes-1).Draw(t, "to")
		}
		if st.Do.MayGiveUp() {
			st.Within = milliseconds(withinMax).Draw(t, "within")
		}
		if st.Do.IsEffect() {
			st.For = milliseconds(forMax).Draw(t, "for")
		}
		if st.Do == scenario.Release || st.Do == scenario.Transfer {
			st.Again = rapid.Bool().Draw(t, "again")
		}
		return st
	})
}

func milliseconds(most time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64Range(0, most.Milliseconds()), func(ms int64) time.Duration {
		return time.Duration(ms) * time.Millisecond
	})
}
