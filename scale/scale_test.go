package scale_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/scale"
)

func TestRenewalsDoNotDependOnHowManyActorsThereAre(t *testing.T) {
	var writes []uint64
	for _, actors := range []int{0, 100, 2000} {
		f, err := scale.MeasureLoad(t.Context(), scale.LoadConfig{Nodes: 10, Actors: actors, Kill: 2})
		if err != nil {
			t.Fatal(err)
		}
		if want := min(actors, 2); f.FailOver.N() != want {
			t.Errorf("%d actors: %d fail-overs, want %d", actors, f.FailOver.N(), want)
		}
		if f.FailOver.Quantile(1) > f.Bound {
			t.Errorf("%d actors: a fail-over took %v, the bound is %v", actors, f.FailOver.Quantile(1), f.Bound)
		}
		writes = append(writes, f.AtRest.Writes)
	}
	for _, n := range writes {
		if n != writes[0] {
			t.Fatalf("writes at rest are %v, must be the same for any number of actors", writes)
		}
	}
	if want := uint64(10 * 10); writes[0] != want { // ten nodes, ten renewals each
		t.Errorf("%d writes at rest, want %d", writes[0], want)
	}
}

func TestFailOverStaysWithinItsBound(t *testing.T) {
	f, err := scale.MeasureFailOver(t.Context(), scale.FailOverConfig{Nodes: 4, Seeds: 50})
	if err != nil {
		t.Fatal(err)
	}
	longest := f.Took.Quantile(1)
	if limit := f.Bound + 10*time.Millisecond; longest > limit { // the write comes after the claim
		t.Errorf("the longest took %v, the bound is %v", longest, f.Bound)
	}
	if f.Took.Quantile(0) < f.TTL/2 {
		t.Errorf("the shortest took %v: the lease of %v cannot have run out", f.Took.Quantile(0), f.TTL)
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"Nodes is 0", func() error { return loadError(scale.LoadConfig{}) }},
		{"Actors is -1", func() error { return loadError(scale.LoadConfig{Nodes: 1, Actors: -1}) }},
		{"Kill is 3", func() error { return loadError(scale.LoadConfig{Nodes: 3, Kill: 3}) }},
		{"For is 1ms", func() error { return loadError(scale.LoadConfig{Nodes: 3, For: time.Millisecond}) }},
		{"Nodes is 1", func() error { return failOverError(scale.FailOverConfig{Nodes: 1, Seeds: 1}) }},
		{"Nodes is 1", func() error { return rollingError(scale.RollingConfig{Nodes: 1, Actors: 1}) }},
		{"Actors is 0", func() error { return rollingError(scale.RollingConfig{Nodes: 2}) }},
		{"Seeds is 0", func() error { return failOverError(scale.FailOverConfig{Nodes: 2}) }},
	} {
		err := c.run()
		if !errors.Is(err, scale.ErrConfig) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := loadError(scale.LoadConfig{Nodes: 1, Options: registry.Options{TTL: -1}}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("a TTL of -1: %v", err)
	}
}

func loadError(c scale.LoadConfig) error {
	_, err := scale.MeasureLoad(context.Background(), c)
	return err
}

func rollingError(c scale.RollingConfig) error {
	_, err := scale.MeasureRolling(context.Background(), c)
	return err
}

func failOverError(c scale.FailOverConfig) error {
	_, err := scale.MeasureFailOver(context.Background(), c)
	return err
}

func TestMeasurementsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scale.MeasureLoad(ctx, scale.LoadConfig{Nodes: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("load: %v", err)
	}
	if _, err := scale.MeasureFailOver(ctx, scale.FailOverConfig{Nodes: 2, Seeds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("fail-over: %v", err)
	}
}

func TestARollingRestartMovesEveryActorAndLosesNone(t *testing.T) {
	f, err := scale.MeasureRolling(t.Context(), scale.RollingConfig{Nodes: 4, Actors: 60})
	if err != nil {
		t.Fatal(err)
	}
	// A node that is restarted late has got actors of those before it.
	if f.Moved < 60 || f.Released != 0 || f.Drains.N() != 4 {
		t.Errorf("%d moved, %d released, %d drains", f.Moved, f.Released, f.Drains.N())
	}
	if most := f.Without.Quantile(1); most <= 0 || most > f.TTL/10 {
		t.Errorf("an actor was without an owner for %v", most)
	}
}

// TestTheAuditWaitsForTheSweep: what a dead node leaves is cleared in the background, and
// counts do not agree while it is.
func TestTheAuditWaitsForTheSweep(t *testing.T) {
	_, err := scale.MeasureLoad(t.Context(), scale.LoadConfig{
		Nodes: 3, Actors: 20_000, Kill: 1, Seed: 1, Options: registry.Options{LookEvery: 100 * time.Millisecond, SweepRate: 4000},
	})
	if err != nil {
		t.Error(err)
	}
}
