package plantest_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
)

// everything is a swarm of every kind there is.
func everything() faults.Swarm {
	s := faults.Swarm{
		Targets:   []string{"node-1", "node-2", "node-3"},
		Horizon:   20 * time.Second,
		HealAt:    30 * time.Second,
		MaxFaults: 20,
	}
	for _, spec := range faults.Kinds() {
		s.Kinds = append(s.Kinds, faults.Choice{Kind: spec.Kind})
	}
	return s
}

func TestPlansKeepToTheirSwarm(t *testing.T) {
	s, err := everything().Resolved()
	if err != nil {
		t.Fatal(err)
	}
	plans := plantest.Plans(s)
	rapid.Check(t, func(t *rapid.T) {
		p := plans.Draw(t, "plan")
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if len(p.Faults) > s.MaxFaults {
			t.Fatalf("%d faults", len(p.Faults))
		}
		if healed, ok := p.Healed(); !ok || healed > s.HealAt {
			t.Fatalf("healed at %v, %v", healed, ok)
		}
		for _, f := range p.Faults {
			i := slices.IndexFunc(s.Kinds, func(c faults.Choice) bool { return c.Kind == f.Kind })
			if i < 0 {
				t.Fatalf("%v: the kind is not in the swarm", f)
			}
			c := s.Kinds[i]
			if !slices.Contains(c.Targets, f.Target) || f.Amount < c.AmountMin || f.Amount > c.AmountMax || f.At >= s.Horizon {
				t.Fatalf("%v is outside %+v", f, c)
			}
		}
	})
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
