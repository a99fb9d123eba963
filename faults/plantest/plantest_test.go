package plantest_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
)

func TestPlansKeepToTheirSwarm(t *testing.T) {
	s, err := plantest.Everything().Resolved()
	if err != nil {
		t.Fatal(err)
	}
	plans := plantest.Plans(s)
	rapid.Check(t, func(t *rapid.T) {
		if err := plantest.Within(s, plans.Draw(t, "plan")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWithinRejects(t *testing.T) {
	s := plantest.Everything()
	s.Kinds = []faults.Choice{{Kind: faults.Pause}, {Kind: faults.Loss, AmountMin: 0.1, AmountMax: 0.2}}
	s.MaxFaults = 2
	s, err := s.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		"pause(node-1)@1s+1s loss(node-2)@2s+1s*0.1":                  true,
		"pause(node-1)@1s+1s pause(node-1)@2s+1s pause(node-1)@3s+1s": false, // too many
		"pause(node-1)@19s+12s":                                       false, // too long
		"pause(node-1)@1s":                                            false, // for ever
		"pause(node-1)@2s+1s pause(node-1)@1s+1s":                     false, // not in order
		"crash(node-1)@1s+1s":                                         false, // another kind
		"pause(node-4)@1s+1s":                                         false, // another target
		"loss(node-2)@2s+1s*0.3":                                      false, // too strong
		"pause(node-1)@20s+1s":                                        false, // begins too late
	} {
		p, err := faults.Parse("v1 seed=0 " + text)
		if err != nil {
			t.Fatal(err)
		}
		if err := plantest.Within(s, p); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPlansReachEveryKindAndBothEnds(t *testing.T) {
	s := faults.Swarm{
		Kinds:   []faults.Choice{{Kind: faults.Crash, ForMin: time.Millisecond, ForMax: 2 * time.Millisecond}, {Kind: faults.Cut}},
		Targets: []string{"a", "b"},
		Horizon: 2 * time.Millisecond,
		HealAt:  time.Second,
	}
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		for _, f := range plantest.Plans(s).Draw(t, "plan").Faults {
			f.For = min(f.For, 2*time.Millisecond)
			if f.Kind == faults.Cut {
				f.For = 0
			}
			seen[f.String()] = true
		}
	})
	for _, want := range []string{
		"crash(a)@0s+1ms", "crash(a)@0s+2ms", "crash(a)@1ms+1ms", "crash(b)@1ms+2ms",
		"cut(a)@0s", "cut(a,b)@1ms", "cut(b,a)@0s",
	} {
		if !seen[want] {
			t.Errorf("%s was never drawn", want)
		}
	}
}

func TestInvalidSwarmPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"Plans":  func() { plantest.Plans(faults.Swarm{}) },
		"Faults": func() { plantest.Faults(faults.Swarm{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
