package replay_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/replay"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// world is a run that does the steps in turn; its hash is that of the steps.
func world(steps []string, end func(*scenario.Result)) replay.Runner {
	return func(c scenario.Config) (scenario.Result, error) {
		var hash uint64 = 1
		for i, step := range steps {
			for j := range len(step) {
				hash = (hash ^ uint64(step[j])) * 1099511628211
			}
			if c.Trace != nil {
				fmt.Fprintf(c.Trace, "%8d %14s  node/task  %s\n%8s %14s    more of it\n", i+1, fmt.Sprint(i+1, "ms"), step, "", "")
			}
			if c.OnEvent != nil {
				c.OnEvent(uint64(i+1), hash)
			}
		}
		res := scenario.Result{Scenario: "fake", Store: scenario.StoreMemory, Seed: c.Seed, Events: uint64(len(steps))}
		for i := range 8 {
			res.Hash[i] = byte(hash >> (8 * i))
		}
		if end != nil {
			end(&res)
		}
		return res, nil
	}
}

func fails(r *scenario.Result) {
	r.Failure = &scenario.Failure{Rule: "rule", Signature: "rule: here", Event: 2}
}

var steps = []string{"one", "two", "three", "four"}

func record(t *testing.T, run replay.Runner) *artifact.Artifact {
	t.Helper()
	res, err := run(scenario.Config{Seed: 5, Store: scenario.StoreMemory})
	if err != nil {
		t.Fatal(err)
	}
	a, err := artifact.Record(run, &res)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheSameRunIsReproduced(t *testing.T) {
	run := world(steps, fails)
	var trace strings.Builder
	out, err := replay.Run(run, record(t, run), &trace)
	if err != nil {
		t.Fatal(err)
	}
	if out.Divergence != nil {
		t.Errorf("diverged: %+v", *out.Divergence)
	}
	if n := strings.Count(trace.String(), "\n"); n != 2*len(steps) {
		t.Errorf("the trace has %d lines:\n%s", n, trace.String())
	}
}

func TestTheFirstDifferingEventIsNamed(t *testing.T) {
	for at := range steps {
		changed := slices.Clone(steps)
		changed[at] = "something else"
		out, err := replay.Run(world(changed, fails), record(t, world(steps, fails)), nil)
		if err != nil {
			t.Fatal(err)
		}
		d := out.Divergence
		if d == nil || d.Event != uint64(at+1) || d.Time != fmt.Sprint(at+1, "ms") || !strings.Contains(d.Trace, "something else") {
			t.Errorf("event %d changed, diverged: %+v", at+1, d)
			continue
		}
		if n := strings.Count(d.Trace, "\n"); n != 1 {
			t.Errorf("the event's trace has %d lines more, want its second one only:\n%s", n, d.Trace)
		}
	}
}

func TestARunThatIsShorterOrLongerDiverges(t *testing.T) {
	a := record(t, world(steps, fails))
	for _, c := range []struct {
		steps []string
		event uint64
		trace bool // the replay has that event
	}{
		{steps[:3], 4, false},
		{append(slices.Clone(steps), "five"), 5, true},
	} {
		out, err := replay.Run(world(c.steps, fails), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := out.Divergence; d == nil || d.Event != c.event || (d.Trace != "") != c.trace {
			t.Errorf("%d events, recorded 4: diverged %+v", len(c.steps), d)
		}
	}
}

func TestAnotherHashOrJudgementDiverges(t *testing.T) {
	a := record(t, world(steps, fails))
	for name, end := range map[string]func(*scenario.Result){
		"passes":           nil,
		"another hash":     func(r *scenario.Result) { fails(r); r.Hash = sim.Hash{9} },
		"another failure":  func(r *scenario.Result) { fails(r); r.Failure.Signature = "rule: there" },
		"at another event": func(r *scenario.Result) { fails(r); r.Failure.Event = 3 },
		"undecided":        func(r *scenario.Result) { r.Unknown = "too long" },
	} {
		out, err := replay.Run(world(steps, end), a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := out.Divergence; d == nil || d.Event != 0 || d.What == "" {
			t.Errorf("%s: diverged %+v, want so with no event differing", name, d)
		}
	}
}

func TestARefusedRunIsAnError(t *testing.T) {
	boom := errors.New("boom")
	refuse := func(scenario.Config) (scenario.Result, error) { return scenario.Result{}, boom }
	if _, err := replay.Run(refuse, record(t, world(steps, nil)), nil); !errors.Is(err, boom) {
		t.Errorf("error %v, want %v", err, boom)
	}
}
