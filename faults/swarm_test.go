package faults_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
)

func TestGeneratedPlansAreValidAndWithinTheSwarm(t *testing.T) {
	s, err := plantest.Everything().Resolved()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(500) {
		p := faults.Generate(seed, s)
		if p.Seed != seed || len(p.Faults) == 0 {
			t.Fatalf("seed %d: %v", seed, p)
		}
		if err := plantest.Within(s, p); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// A change of these lines is a change of what every recorded seed means.
func TestGenerateIsAFunctionOfItsSeed(t *testing.T) {
	s := faults.Swarm{
		Kinds: []faults.Choice{
			{Kind: faults.Crash},
			{Kind: faults.Partition},
			{Kind: faults.Loss},
			{Kind: faults.ClockRate},
			{Kind: faults.StoreUnknown},
		},
		Targets:   []string{"node-1", "node-2", "node-3"},
		Horizon:   30 * time.Second,
		MaxFaults: 5,
	}
	for seed, want := range map[uint64]string{
		1: "v1 seed=1 clock-rate(node-1)@14.294s+720ms*-62500 crash(node-3)@16.295s+514ms " +
			"crash(node-2)@16.419s+2.682s clock-rate(node-3)@18.162s+82ms*879000",
		2: "v1 seed=2 clock-rate(node-2)@14.73s+342ms*-45200",
		3: "v1 seed=3 loss(node-3,node-1)@2.124s+225ms*0.0267 partition(node-1,node-3)@9.687s+1.09s " +
			"loss(node-1)@16.853s+689ms*0.229 loss(node-2,node-1)@17.825s+379ms*0.186 " +
			"loss(node-1,node-3)@27.688s+2.312s*0.0428",
	} {
		if got := faults.Generate(seed, s).String(); got != want {
			t.Errorf("seed %d:\n%s, want\n%s", seed, got, want)
		}
	}
}

func TestSwarmLeavesOutHalfOfTheKinds(t *testing.T) {
	s := plantest.Everything()
	const seeds = 2000
	with := map[faults.Kind]int{}
	s.MaxFaults = 200 // so that few are left out for want of room
	for seed := range uint64(seeds) {
		kinds := map[faults.Kind]bool{}
		for _, f := range faults.Generate(seed, s).Faults {
			kinds[f.Kind] = true
		}
		for k := range kinds {
			with[k]++
		}
	}
	for _, c := range s.Kinds {
		// A binomial with p = 1/2 has a standard deviation of 22; small rooms
		// take a few away.
		if n := with[c.Kind]; n < seeds/2-250 || n > seeds/2+110 {
			t.Errorf("%s is in %d plans of %d", c.Kind, n, seeds)
		}
	}
}

func TestEveryKindTargetAndExtremeIsDrawn(t *testing.T) {
	s := plantest.Everything()
	seen := map[string]bool{}
	for seed := range uint64(2000) {
		for _, f := range faults.Generate(seed, s).Faults {
			spec, _ := f.Kind.Spec()
			seen[string(f.Kind)+" of "+f.Target] = true
			seen[string(f.Kind)+" with "+f.Peer] = true
			seen[string(f.Kind)+" least"] = seen[string(f.Kind)+" least"] || f.Amount == spec.UsualMin
			seen[string(f.Kind)+" most"] = seen[string(f.Kind)+" most"] || f.Amount == spec.UsualMax
			seen[string(f.Kind)+" between"] = seen[string(f.Kind)+" between"] || f.Amount > spec.UsualMin && f.Amount < spec.UsualMax
			seen[string(f.Kind)+" short"] = seen[string(f.Kind)+" short"] || f.For < 200*time.Millisecond
			seen[string(f.Kind)+" long"] = seen[string(f.Kind)+" long"] || f.For > 5*time.Second
		}
	}
	for _, spec := range faults.Kinds() {
		want := []string{" least", " most", " short"}
		if spec.Unit != "" {
			want = append(want, " between")
		}
		if spec.Lasts {
			want = append(want, " long")
		}
		if spec.Store {
			want = append(want, " of ")
		}
		for _, name := range s.Targets {
			if !spec.Store {
				want = append(want, " of "+name)
			}
			if spec.Peer {
				want = append(want, " with "+name, " with ")
			}
		}
		for _, w := range want {
			if !seen[string(spec.Kind)+w] {
				t.Errorf("%q was never drawn", string(spec.Kind)+w)
			}
		}
	}
}

// Taking a kind out of a swarm leaves the faults of the others as they were.
func TestFaultsOfOneKindDependOnNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		s := plantest.Everything()
		gone := rapid.SampledFrom(s.Kinds).Draw(t, "gone").Kind
		less := s
		less.Kinds = slices.DeleteFunc(slices.Clone(s.Kinds), func(c faults.Choice) bool { return c.Kind == gone })
		got := faults.Generate(seed, less).Faults
		for _, f := range faults.Generate(seed, s).Faults {
			if f.Kind != gone && !slices.Contains(got, f) {
				t.Fatalf("%v is gone together with %s", f, gone)
			}
		}
	})
}

func TestWeightsShiftTheShares(t *testing.T) {
	s := faults.Swarm{
		Kinds:     []faults.Choice{{Kind: faults.Crash, Weight: 4}, {Kind: faults.Pause, Weight: 1}},
		Targets:   []string{"a"},
		Horizon:   time.Minute,
		MaxFaults: 20,
	}
	both := map[faults.Kind]int{}
	for seed := range uint64(1000) {
		mine := map[faults.Kind]int{}
		for _, f := range faults.Generate(seed, s).Faults {
			mine[f.Kind]++
		}
		if len(mine) == 2 {
			both[faults.Crash] += mine[faults.Crash]
			both[faults.Pause] += mine[faults.Pause]
		}
	}
	if ratio := float64(both[faults.Crash]) / float64(both[faults.Pause]); ratio < 2 || ratio > 6 {
		t.Errorf("%d crashes and %d pauses, want about 4 to 1", both[faults.Crash], both[faults.Pause])
	}
}

func TestSwarmDefaults(t *testing.T) {
	s, err := faults.Swarm{
		Kinds:   []faults.Choice{{Kind: faults.Loss}, {Kind: faults.Reset}, {Kind: faults.StoreSlow}, {Kind: faults.Cut, ForMin: time.Minute}},
		Targets: []string{"a", "b"},
		Horizon: time.Minute,
	}.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	if s.HealAt != time.Minute || s.MaxFaults != faults.DefaultMaxFaults || !slices.Equal(s.Peers, s.Targets) {
		t.Errorf("%+v", s)
	}
	loss, reset, slow, cut := s.Kinds[0], s.Kinds[1], s.Kinds[2], s.Kinds[3]
	if loss.Weight != 1 || loss.ForMin != faults.DefaultForMin || loss.ForMax != faults.DefaultForMax ||
		loss.AmountMax != 0.6 || !slices.Equal(loss.Peers, s.Targets) || !slices.Equal(loss.Targets, s.Targets) {
		t.Errorf("%+v", loss)
	}
	if reset.ForMax != 0 || reset.AmountMax != 0 {
		t.Errorf("%+v", reset)
	}
	if !slices.Equal(slow.Targets, []string{""}) || slow.Peers != nil {
		t.Errorf("%+v", slow)
	}
	if cut.ForMax != time.Minute {
		t.Errorf("%+v", cut)
	}
}

func TestInvalidSwarmsAreRefused(t *testing.T) {
	ok := faults.Swarm{Kinds: []faults.Choice{{Kind: faults.Loss}}, Targets: []string{"a"}, Horizon: time.Second}
	with := func(change func(s *faults.Swarm, c *faults.Choice)) faults.Swarm {
		s := ok
		s.Kinds = slices.Clone(ok.Kinds)
		change(&s, &s.Kinds[0])
		return s
	}
	if _, err := ok.Resolved(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		swarm faults.Swarm
		parts []string
	}{
		{"no kinds", with(func(s *faults.Swarm, _ *faults.Choice) { s.Kinds = nil }), []string{"Kinds is empty"}},
		{"kind twice", with(func(s *faults.Swarm, c *faults.Choice) { s.Kinds = append(s.Kinds, *c) }), []string{"Kinds[1]", "twice"}},
		{"unknown kind", with(func(_ *faults.Swarm, c *faults.Choice) { c.Kind = "x" }), []string{"Kinds[0]", `"x"`}},
		{"no Horizon", with(func(s *faults.Swarm, _ *faults.Choice) { s.Horizon = 0 }), []string{"Horizon is 0s", "1ms"}},
		{"negative HealAt", with(func(s *faults.Swarm, _ *faults.Choice) { s.HealAt = -1 }), []string{"HealAt is -1ns"}},
		{"negative MaxFaults", with(func(s *faults.Swarm, _ *faults.Choice) { s.MaxFaults = -1 }), []string{"MaxFaults is -1", "10000"}},
		{"no Targets", with(func(s *faults.Swarm, _ *faults.Choice) { s.Targets = nil }), []string{"Targets is empty"}},
		{"bad target", with(func(s *faults.Swarm, _ *faults.Choice) { s.Targets = []string{"a b"} }), []string{"target"}},
		{"empty target", with(func(s *faults.Swarm, _ *faults.Choice) { s.Targets = []string{""} }), []string{"target is empty"}},
		{"bad peer", with(func(s *faults.Swarm, _ *faults.Choice) { s.Peers = []string{"("} }), []string{"peer"}},
		{"negative Weight", with(func(_ *faults.Swarm, c *faults.Choice) { c.Weight = -1 }), []string{"Weight is -1"}},
		{"NaN Weight", with(func(_ *faults.Swarm, c *faults.Choice) { c.Weight = math.NaN() }), []string{"Weight is NaN"}},
		{"huge Weight", with(func(_ *faults.Swarm, c *faults.Choice) { c.Weight = 101 }), []string{"Weight is 101", "100"}},
		{"ForMin too small", with(func(_ *faults.Swarm, c *faults.Choice) { c.ForMin = 1 }), []string{"ForMin", "1ms"}},
		{"ForMax under ForMin", with(func(_ *faults.Swarm, c *faults.Choice) { c.ForMax = 2 * time.Millisecond }), []string{"ForMax", "50ms and 2ms"}},
		{"For of a reset", with(func(_ *faults.Swarm, c *faults.Choice) { c.Kind, c.ForMax = faults.Reset, time.Second }), []string{"ForMax", "over at once"}},
		{"amounts reversed", with(func(_ *faults.Swarm, c *faults.Choice) { c.AmountMin = 0.5; c.AmountMax = 0.1 }), []string{"AmountMin is 0.5"}},
		{"amount out of range", with(func(_ *faults.Swarm, c *faults.Choice) { c.AmountMax = 2 }), []string{"amount is 2", "0 to 1"}},
		{"NaN amount", with(func(_ *faults.Swarm, c *faults.Choice) { c.AmountMax = math.NaN() }), []string{"amount is NaN"}},
		{"amount of a crash", with(func(_ *faults.Swarm, c *faults.Choice) { c.Kind, c.AmountMax = faults.Crash, 1 }), []string{"amount is 1", "uses none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.swarm.Resolved()
			if !errors.Is(err, faults.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			defer func() {
				if p, _ := recover().(error); !errors.Is(p, faults.ErrInvalid) {
					t.Errorf("Generate panicked with %v", p)
				}
			}()
			faults.Generate(1, c.swarm)
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	s := plantest.Everything()
	b.ReportAllocs()
	for seed := uint64(0); b.Loop(); seed++ {
		faults.Generate(seed, s)
	}
}
