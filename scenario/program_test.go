package scenario_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/scenario/programtest"
)

func find(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a seed draws and what is given as data run the same way.
func TestTheDrawnProgramIsTheOneThatRuns(t *testing.T) {
	for _, s := range scenario.All() {
		drawn := run(t, s, scenario.Config{Seed: 3})
		p := s.Program(3)
		if given := run(t, s, scenario.Config{Seed: 3, Program: &p}); given.Hash != drawn.Hash {
			t.Errorf("%s: hash %v, then %v with its own program", s.Name, drawn.Hash, given.Hash)
		}
		read, err := scenario.ParseProgram(p.String())
		if err != nil {
			t.Fatal(err)
		}
		if again := run(t, s, scenario.Config{Seed: 3, Program: &read}); again.Hash != drawn.Hash {
			t.Errorf("%s: another hash with the program's text", s.Name)
		}
		other := s.Program(4)
		if run(t, s, scenario.Config{Seed: 3, Program: &other}).Hash == drawn.Hash {
			t.Errorf("%s: the program makes no difference", s.Name)
		}
	}
}

func TestProgramTextIsReadBack(t *testing.T) {
	programs := programtest.Programs(find(t, "mixed"), 30)
	rapid.Check(t, func(t *rapid.T) {
		p := programs.Draw(t, "program")
		p.Beat = time.Duration(rapid.IntRange(0, 1000).Draw(t, "beat")) * time.Millisecond
		got, err := scenario.ParseProgram(p.String())
		if err != nil {
			t.Fatal(err)
		}
		same := slices.EqualFunc(got.Scripts, p.Scripts, func(a, b scenario.Script) bool {
			return a.Node == b.Node && a.Worker == b.Worker && slices.Equal(a.Steps, b.Steps)
		})
		if !same || got.Beat != p.Beat {
			t.Fatalf("read back as\n%v", got)
		}
	})
}

func TestMalformedProgramTextIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"node-1/0 +1s claim actor-1\nnode-1 +1s claim actor-1": "line 2",
		"node-0/0 +1s think":                        "node-N/WORKER",
		"node-1/x +1s think":                        "node-N/WORKER",
		"node-1/0 1s think":                         "+PAUSE",
		"node-1/0":                                  "+PAUSE",
		"node-1/0 +soon think":                      `"+soon"`,
		"node-1/0 +1s dance":                        `"dance"`,
		"node-1/0 +1s claim":                        "needs an actor",
		"node-1/0 +1s claim actor-0":                "actor-N",
		"node-1/0 +1s claim actor-99999":            "actor-N",
		"node-1/0 +1s transfer actor-1":             "needs a node",
		"node-1/0 +1s transfer actor-1 to somebody": "node-N",
		"node-1/0 +1s release actor-1 to node-2":    `"to"`,
		"node-1/0 +1s think actor-1":                `"actor-1"`,
		"node-1/0 +1s claim actor-1 within":         `"within"`,
		"node-1/0 +1s claim actor-1 within many":    `"many"`,
		"node-1/0 +1s write actor-1 until 1s":       `"until"`,
		"beat":                                      "one duration",
		"beat never":                                `"never"`,
		"beat -1s":                                  `"-1s"`,
		"node-1/0 +1s think\nbeat 1s":               "first line",
	} {
		if _, err := scenario.ParseProgram(text); !errors.Is(err, scenario.ErrProgram) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func FuzzParseProgram(f *testing.F) {
	s, err := scenario.Find("commit-unknown")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Program(1).String())
	f.Add("beat 1s\nnode-1/0 +1s release actor-1 within 5ms again\nnode-2/3 +0s guard actor-2 for 1h")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := scenario.ParseProgram(text)
		if err != nil {
			return
		}
		again, err := scenario.ParseProgram(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q is read as %q, and that as %q: %v", text, p, again, err)
		}
	})
}

func TestProgramThatDoesNotFitIsRefused(t *testing.T) {
	s := find(t, "commit-unknown") // 3 nodes, 1 worker, 3 actors
	step := func(st scenario.Step) scenario.Program {
		return scenario.Program{Scripts: []scenario.Script{{Steps: []scenario.Step{st}}}}
	}
	for says, p := range map[string]scenario.Program{
		"Scripts[0].Node is 3":                 {Scripts: []scenario.Script{{Node: 3}}},
		"Scripts[0].Worker is 1":               {Scripts: []scenario.Script{{Worker: 1}}},
		"Scripts[1] is the second":             {Scripts: []scenario.Script{{}, {}}},
		"Scripts[0] has 10001 steps":           {Scripts: []scenario.Script{{Steps: make([]scenario.Step, scenario.MaxSteps+1)}}},
		"Beat is -1ns":                         {Beat: -1},
		"Steps[0]: its Do is Action(99)":       step(scenario.Step{Do: 99}),
		"Steps[0]: its Actor is 3":             step(scenario.Step{Do: scenario.Claim, Actor: 3}),
		"Steps[0]: its To is 3":                step(scenario.Step{Do: scenario.Transfer, To: 3}),
		"Steps[0]: its To is 1, claim":         step(scenario.Step{Do: scenario.Claim, To: 1}),
		"Steps[0]: its Actor is 1, leave":      step(scenario.Step{Do: scenario.Leave, Actor: 1}),
		"Steps[0]: its Within is 1ns, write":   step(scenario.Step{Do: scenario.Write, Within: 1}),
		"Steps[0]: its For is 1ns, use":        step(scenario.Step{Do: scenario.Use, For: 1}),
		"Steps[0]: its Again is set, claim":    step(scenario.Step{Do: scenario.Claim, Again: true}),
		"Steps[0]: its After is 1m0.000000001": step(scenario.Step{After: scenario.MaxStepDuration + 1}),
	} {
		if _, err := s.Run(scenario.Config{Program: &p}); !errors.Is(err, scenario.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// Every action of a program leaves its mark in the history: those that the registry
// makes by itself, for a placement, a rebalance and a drain, too.
func TestEveryActionIsDone(t *testing.T) {
	const seeds = 3
	for _, x := range []struct {
		program string
		want    map[string]int // at least so many, in all seeds together
	}{
		{`
			node-1/0 +1s claim actor-1
			node-1/0 +1s use actor-1
			node-1/0 +1s write actor-1 for 10ms
			node-1/0 +1s guard actor-1 for 10ms
			node-1/0 +1s join
			node-1/0 +1s release actor-1
			node-1/0 +1s lookup actor-1
			node-1/0 +1s leave
			node-2/1 +1500ms wait actor-1
			node-2/1 +0s think
			node-3/0 +2s claim actor-1 within 1ms
			node-3/1 +1s claim actor-2
			node-3/1 +1s transfer actor-2 to node-2`, map[string]int{
			"node-1 claim ok": 1, "node-1 use valid": 1, "node-1 write ok": 1, "node-1 guard ok": 1, "node-1 join in-use": 1,
			"node-1 release ok": 1, "node-1 lookup ok": 1, "node-1 leave ok": 1, "node-1 join ok": 2, "node-2 claim ok": 1,
			"node-3 claim failed": 1, "node-3 transfer ok": 1,
		}},
		// The share of each of five nodes is one actor: the rebalance moves two, the drain
		// the third, unless the hand-off takes too long, and then the node leaves.
		{`
			node-1/0 +1s claim actor-1
			node-1/0 +100ms claim actor-2
			node-1/0 +100ms claim actor-3
			node-1/0 +1s rebalance
			node-1/0 +2s drain
			node-2/0 +1s place actor-4`, map[string]int{
			"node-2 lookup ok": seeds, "node-2 claim ok": seeds, "node-1 claim ok": 3 * seeds, "node-1 transfer ok": 2*seeds + 1, "node-1 leave ok": seeds, "node-1 join ok": 2 * seeds,
		}},
	} {
		p, err := scenario.ParseProgram(x.program)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
			did := make(map[string]int)
			for seed := range uint64(seeds) {
				c := scenario.Config{Seed: seed, Store: kind, Plan: &faults.Plan{Version: faults.Version}, Program: &p, KeepHistory: true}
				r := run(t, find(t, "mixed"), c)
				if r.Failure != nil {
					t.Fatal(r.Failure.Message)
				}
				for _, op := range r.History.Ops {
					if op.Call < 8500*time.Millisecond && op.Kind != linearizability.KindRevoke && strings.HasPrefix(op.Client, "node-") {
						did[op.Client+" "+op.Kind.String()+" "+op.Outcome.String()]++
					}
				}
			}
			for what, n := range x.want {
				if did[what] < n {
					t.Errorf("%s: %q %d times, want %d; there are %v", kind, what, did[what], n, did)
				}
			}
		}
	}
}
