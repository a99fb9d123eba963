package scenario_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
	"github.com/kelpie-registry/kelpie/scenario"
)

// Whatever a plan does to nodes and their ways to the store, what must hold
// holds. rapid draws the plans, and takes a failing one apart by itself.
func TestAnyPlanHolds(t *testing.T) {
	s, err := scenario.Find("mixed")
	if err != nil {
		t.Fatal(err)
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
		Targets: []string{"node-1", "node-2", "node-3", "node-4", "node-5"},
		Peers:   []string{"sink"},
		Horizon: 37 * time.Second,
		HealAt:  38 * time.Second,
	}
	plans := plantest.Plans(swarm)
	rapid.Check(t, func(t *rapid.T) {
		plan := plans.Draw(t, "plan")
		seed := rapid.Uint64Max(1<<20).Draw(t, "seed")
		r, err := s.Run(scenario.Config{Seed: seed, Plan: &plan})
		if err != nil {
			t.Fatal(err)
		}
		if r.Failure != nil {
			t.Fatalf("%s on %s: %s", r.Failure.Signature, r.Store, r.Failure.Message)
		}
	})
}
