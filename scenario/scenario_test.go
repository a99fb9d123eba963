package scenario_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

func run(t *testing.T, s scenario.Scenario, c scenario.Config) scenario.Result {
	t.Helper()
	r, err := s.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryScenarioHoldsAndSeesItsEvents(t *testing.T) {
	for _, s := range scenario.All() {
		for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
			t.Run(s.Name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				arena := sim.NewArena()
				defer arena.Close()
				seen := make(map[string]uint64)
				for seed := range uint64(s.MinSeeds) {
					r := run(t, s, scenario.Config{Seed: seed, Store: kind, Arena: arena})
					if r.Failure != nil {
						t.Fatalf("seed %d: %s: %s", seed, r.Failure.Signature, r.Failure.Message)
					}
					if r.Unknown != "" {
						t.Errorf("seed %d: not decided: %s", seed, r.Unknown)
					}
					if r.Virtual < time.Minute || r.Operations == 0 || r.Events == 0 {
						t.Errorf("seed %d: %d operations and %d events in %v", seed, r.Operations, r.Events, r.Virtual)
					}
					for _, c := range r.Sometimes {
						seen[c.Name] += c.N
					}
				}
				for _, name := range s.Sometimes {
					if seen[name] == 0 {
						t.Errorf("%s never happened in %d seeds", name, s.MinSeeds)
					}
				}
			})
		}
	}
}

func TestARunIsAFunctionOfItsSeed(t *testing.T) {
	for _, s := range scenario.All() {
		t.Run(s.Name, func(t *testing.T) {
			arena := sim.NewArena()
			defer arena.Close()
			hashes := make(map[sim.Hash]bool)
			for seed := range uint64(6) {
				first := run(t, s, scenario.Config{Seed: seed, Arena: arena})
				again := run(t, s, scenario.Config{Seed: seed, Plan: &first.Plan, Trace: new(strings.Builder)})
				if first.Hash != again.Hash || first.Events != again.Events {
					t.Errorf("seed %d: hash %v after %d events, then %v after %d", seed, first.Hash, first.Events, again.Hash, again.Events)
				}
				hashes[first.Hash] = true
			}
			if len(hashes) != 6 {
				t.Errorf("6 seeds have %d hashes", len(hashes))
			}
		})
	}
}

func TestBadInputIsRefused(t *testing.T) {
	_, err := scenario.Find("no-such")
	if !errors.Is(err, scenario.ErrUnknown) || !strings.Contains(err.Error(), "expired-vs-renew") {
		t.Errorf("unknown scenario: %v", err)
	}
	s, err := scenario.Find("mixed")
	if err != nil {
		t.Fatal(err)
	}
	plan := func(f faults.Fault) *faults.Plan { return &faults.Plan{Faults: []faults.Fault{f}} }
	for name, c := range map[string]scenario.Config{
		"unknown store":  {Store: "paper"},
		"unknown target": {Plan: plan(faults.Fault{Kind: faults.Pause, Target: "node-9", For: time.Second})},
		"unknown kind":   {Plan: plan(faults.Fault{Kind: "gremlins", Target: "node-1"})},
		"negative time":  {Plan: plan(faults.Fault{Kind: faults.Pause, Target: "node-1", At: -1})},
		"wrong store":    {Store: scenario.StoreMemory, Plan: plan(faults.Fault{Kind: faults.Throttle, For: time.Second, Amount: 1})},
	} {
		if _, err := s.Run(c); !errors.Is(err, scenario.ErrConfig) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// Seeds that once failed, each with what it had found.
func TestSeedsThatOnceFailed(t *testing.T) {
	for _, c := range []struct {
		scenario string
		seed     uint64
		was      string
	}{
		{"zombie-owner", 10, "the checker took the release of a lost session for an act"},
		{"expired-vs-renew", 232, "a claim after a release that had failed for sure got a new token without any release"},
		{"clock-skew-beyond", 267, "an effect outlived the workload, and the audit met a live owner"},
		{"mixed", 894, "a wait outlived the workload, and the audit compared a registry that was not at rest"},
		{"hand-off", 103, "a claim got the token back of what its session had given back by a commit in doubt, which then took effect"},
		{"rolling-restart", 932, "a drain passed on what was sent with an actor although a claim of the node had got it meanwhile"},
		{"rolling-restart", 84, "a drain cut short listed actors as kept that a session which was over did not own"},
		{"placement", 2, "a drain listed actors as kept that had been given back meanwhile"},
		{"rolling-restart", 1443, "a release that a drain had left in doubt was recorded as one that took effect when it was called again"},
		{"membership", 724, "the simulated FoundationDB gave a read version below one that it had given while idle"},
		{"join-same-id", 725, "the history did not say that a join may end the session of its own process's doubtful one"},
		{"placement", 2715, "a drain that was cut short kept an actor, which nobody had accepted, from those who asked for it"},
		{"remote", 161, "what was given back was told by the token of a record that a claim in doubt had replaced meanwhile"},
		{"join-same-id", 361760204901419, "a join in doubt that had taken effect and was overtaken answered that the id is in use"},
	} {
		s, err := scenario.Find(c.scenario)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
			if r := run(t, s, scenario.Config{Seed: c.seed, Store: kind}); r.Failure != nil {
				t.Errorf("%s, seed %d, %s (%s): %s", c.scenario, c.seed, kind, c.was, r.Failure.Message)
			}
		}
	}
}

// Programs that once failed, each with what it had found.
func TestProgramsThatOnceFailed(t *testing.T) {
	s := find(t, "mixed")
	for _, c := range []struct{ plan, program, was string }{
		{
			"v1 seed=0", "node-2/0 +7ms place actor-2\nnode-1/0 +1ms claim actor-2 within 1ms",
			"nobody took up what it was given, in a scenario that gives nothing by itself",
		},
		{
			"v1 seed=0 pause(node-1)@0s+51ms store-conflict()@0s+50ms*0.8 crash(node-1)@75ms+50ms",
			"node-1/0 +15ms place actor-2 within 29ms\nnode-3/0 +88ms wait actor-2",
			"the payload of a placement was taken for one of a transfer to somebody else",
		},
	} {
		plan, err := faults.Parse(c.plan)
		if err != nil {
			t.Fatal(err)
		}
		program, err := scenario.ParseProgram(c.program)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
				r := run(t, s, scenario.Config{Seed: seed, Store: kind, Plan: &plan, Program: &program})
				if r.Failure != nil {
					t.Errorf("seed %d, %s (%s): %s", seed, kind, c.was, r.Failure.Message)
				}
			}
		}
	}
}

func BenchmarkSeed(b *testing.B) {
	for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
		b.Run(kind, func(b *testing.B) {
			s, err := scenario.Find("expired-vs-renew")
			if err != nil {
				b.Fatal(err)
			}
			arena := sim.NewArena()
			defer arena.Close()
			b.ReportAllocs()
			seed := uint64(0)
			for b.Loop() {
				if r, err := s.Run(scenario.Config{Seed: seed, Store: kind, Arena: arena}); err != nil || r.Failure != nil {
					b.Fatal(seed, err, r.Failure)
				}
				seed++
			}
			b.ReportMetric(60*float64(b.N)/b.Elapsed().Seconds(), "simulated-s/s")
		})
	}
}
