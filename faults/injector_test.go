package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/faults/plantest"
	"github.com/kelpie-registry/kelpie/sim"
)

func TestInjectRefusesWhatDoesNotFitTheWorld(t *testing.T) {
	apply := func(string, []faults.Fault) bool { return true }
	handlers := faults.Handlers{
		faults.StoreConflict: {Apply: apply},
		faults.ServerCrash:   {Apply: apply, Targets: []string{"log"}},
		faults.StoreSlow:     {},
	}
	for _, c := range []struct {
		name  string
		fault faults.Fault
		parts []string
	}{
		{"invalid fault", faults.Fault{Kind: "flood"}, []string{"faults[1]", "kind"}},
		{"unknown target", faults.Fault{Kind: faults.Crash, Target: "x", At: second}, []string{"faults[1]", `target is "x"`, "a, b, c"}},
		{"unknown peer", faults.Fault{Kind: faults.Cut, Target: "a", Peer: "x", At: second}, []string{`peer is "x"`, "a, b, c"}},
		{"in the past", faults.Fault{Kind: faults.Crash, Target: "a", At: half - 1}, []string{"at is 499.999999ms", "500ms already"}},
		{"no handler", faults.Fault{Kind: faults.Throttle, Amount: 1, At: second}, []string{"throttle", "no handler"}},
		{"handler without function", faults.Fault{Kind: faults.StoreSlow, Amount: 1, At: second}, []string{"store-slow", "no handler"}},
		{"target not of the world", faults.Fault{Kind: faults.StoreConflict, Target: "log", Amount: 1, At: second}, []string{`target is "log"`, "a, b, c"}},
		{"target not of the handler", faults.Fault{Kind: faults.ServerCrash, Target: "a", At: second}, []string{`target is "a"`, "log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nodes(t)
			if err := w.Run(half); err != nil {
				t.Fatal(err)
			}
			good := faults.Fault{Kind: faults.Crash, Target: "b", At: second}
			in, err := faults.Inject(w, faults.Plan{Faults: []faults.Fault{good, c.fault}}, handlers)
			if in != nil || !errors.Is(err, faults.ErrInvalid) {
				t.Fatalf("injector %v, error %v", in, err)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if err := w.Run(3 * second); err != nil {
				t.Fatal(err)
			}
			if !w.Lookup("b").Alive() {
				t.Error("a fault of a refused plan fired")
			}
		})
	}
}

func TestCountsTellPlannedFiredAndEffectiveApart(t *testing.T) {
	w := nodes(t)
	in := inject(t, w, "pause(a)@1s+1s crash(a)@2s+9s crash(a)@3s+1s pause(a)@4s+1s crash(b)@20s cut(a,b)@5s+1s cut(a,b)@5s+1s", nil)
	if err := w.Run(10 * second); err != nil {
		t.Fatal(err)
	}
	want := []faults.Count{
		{Kind: faults.Crash, Planned: 3, Fired: 2, Effective: 1, Struck: 1},
		{Kind: faults.Pause, Planned: 2, Fired: 2, Effective: 1, Struck: 1},
		{Kind: faults.Cut, Planned: 2, Fired: 2, Effective: 1},
	}
	if got := in.Counts(); !slices.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
	if got := fmt.Sprint(in.Unfired()); got != "[crash(b)@20s]" {
		t.Errorf("unfired %s", got)
	}
	if got := fmt.Sprint(in.Ineffective()); got != "[crash(a)@3s+1s pause(a)@4s+1s cut(a,b)@5s+1s]" {
		t.Errorf("ineffective %s", got)
	}
	if got := fmt.Sprint(in.Lasting()); got != "[crash(a)@2s+9s]" {
		t.Errorf("lasting %s", got)
	}
}

func TestHealEndsWhatLastsAndKeepsTheRestFromBeginning(t *testing.T) {
	w := nodes(t)
	in := inject(t, w, "crash(a)@1s pause(b)@1s+9s partition(c)@1s clock-rate(c)@1s*9 loss(a)@1s*0.5 crash(b)@3s", nil)
	w.After(2*second, "heal", in.Heal)
	if err := w.Run(20 * second); err != nil {
		t.Fatal(err)
	}
	wantHealthy(t, w)
	if got := fmt.Sprint(in.Lasting(), in.Unfired()); got != "[] [crash(b)@3s]" {
		t.Errorf("lasting and unfired: %s", got)
	}
}

func TestInjectorKeepsItsOwnCopyOfThePlan(t *testing.T) {
	w := nodes(t)
	p, err := faults.Parse("v1 seed=4 crash(a)@1s")
	if err != nil {
		t.Fatal(err)
	}
	in, err := faults.Inject(w, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Faults[0].Target = "b"
	in.Plan().Faults[0].Target = "c"
	if err := w.Run(2 * second); err != nil {
		t.Fatal(err)
	}
	if w.Lookup("a").Alive() || !w.Lookup("b").Alive() || !w.Lookup("c").Alive() {
		t.Error("the wrong process is down")
	}
}

// failer is what rapid's and testing's T have in common here.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// wantHealthy fails unless nothing of what faults do is left in the world.
func wantHealthy(t failer, w *sim.World) {
	t.Helper()
	for _, p := range w.Processes() {
		if !p.Alive() || p.Paused() || p.RatePPB() != 0 {
			t.Errorf("%s: alive %v, paused %v, rate %d", p.Name(), p.Alive(), p.Paused(), p.RatePPB())
		}
		for _, q := range w.Processes() {
			link, own := w.Net().Link(p.Name(), q.Name())
			if p != q && (own || link != sim.DefaultLink || w.Net().IsCut(p.Name(), q.Name())) {
				t.Errorf("link %s to %s: %+v, own %v", p.Name(), q.Name(), link, own)
			}
		}
	}
}

// complaints counts the errors of wantHealthy.
type complaints int

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { *c++ }

func TestHealthCheckSeesEachFaultThatLasts(t *testing.T) {
	for _, plan := range []string{
		"crash(a)@1s", "pause(a)@1s", "cut(a,b)@1s", "partition(a)@1s", "slow-link(a,b)@1s*5", "loss(a,b)@1s*0.5",
		"duplicate(a,b)@1s*0.5", "reorder(a,b)@1s*0.5", "clock-rate(a)@1s*5",
	} {
		w := nodes(t)
		inject(t, w, plan, nil)
		if err := w.Run(2 * second); err != nil {
			t.Fatal(err)
		}
		var n complaints
		if wantHealthy(&n, w); n == 0 {
			t.Errorf("%s goes unseen", plan)
		}
	}
}

// chaos runs a world of three chattering processes by a plan.
func chaos(plan faults.Plan, seed uint64) (*sim.World, *faults.Injector, error) {
	w := sim.NewWorld(seed, sim.Options{})
	for _, name := range []string{"a", "b", "c"} {
		w.Process(name, sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
			port := h.Bind("talk", func(sim.Message) {})
			for h.Sleep(ctx, 250*time.Millisecond) == nil {
				for _, to := range []string{"a", "b", "c"} {
					h.SendTo(port, to, "talk", name)
				}
			}
		})
	}
	handlers := faults.Handlers{}
	for _, s := range faults.Kinds() {
		if s.Store {
			handlers[s.Kind] = faults.Handler{Apply: func(string, []faults.Fault) bool { return true }}
		}
	}
	in, err := faults.Inject(w, plan, handlers)
	if err != nil {
		return w, nil, err
	}
	return w, in, w.Run(40 * second)
}

// swarmOfAll is a swarm of all kinds whose wall-jumps end.
func swarmOfAll() faults.Swarm {
	s := plantest.Everything()
	s.Targets = []string{"a", "b", "c"}
	return s
}

func TestWorldIsHealthyAfterAHealedPlan(t *testing.T) {
	plans := plantest.Plans(swarmOfAll())
	rapid.Check(t, func(t *rapid.T) {
		p := plans.Draw(t, "plan")
		w, in, err := chaos(p, rapid.Uint64Range(0, 3).Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		wantHealthy(t, w)
		if len(in.Unfired()) > 0 || len(in.Lasting()) > 0 {
			t.Errorf("unfired %v, lasting %v", in.Unfired(), in.Lasting())
		}
		for _, q := range w.Processes() {
			if wall := q.Host().Now().Sub(w.Lookup("a").Host().Now()); wall != 0 {
				t.Errorf("the wall clock of %s is off by %v", q.Name(), wall)
			}
		}
	})
}

func TestOneSeedGivesOneRun(t *testing.T) {
	for seed := range uint64(20) {
		var hashes [2]sim.Hash
		for i := range hashes {
			w, _, err := chaos(faults.Generate(seed, swarmOfAll()), seed)
			if err != nil {
				t.Fatal(err)
			}
			hashes[i] = w.Hash()
			w.Close()
		}
		if hashes[0] != hashes[1] {
			t.Errorf("seed %d: %v and %v", seed, hashes[0], hashes[1])
		}
	}
}

func TestPlanForPrefersTheWorldsPlan(t *testing.T) {
	s := swarmOfAll()
	w := sim.NewWorld(9, sim.Options{})
	defer w.Close()
	drawn, err := faults.PlanFor(w, s)
	if err != nil || !drawn.Equal(faults.Generate(9, s)) {
		t.Errorf("plan %v, error %v", drawn, err)
	}
	w.SetPlan("v1 seed=3 crash(a)@1s")
	given, err := faults.PlanFor(w, s)
	if err != nil || given.String() != w.Plan() {
		t.Errorf("plan %v, error %v", given, err)
	}
	w.SetPlan("nonsense")
	if _, err := faults.PlanFor(w, s); !errors.Is(err, faults.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	w.SetPlan("")
	if _, err := faults.PlanFor(w, faults.Swarm{}); !errors.Is(err, faults.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestInjectGivesTheWorldThePlansText(t *testing.T) {
	w := nodes(t)
	in := inject(t, w, "crash(a)@1s", nil)
	if w.Plan() != in.Plan().String() {
		t.Errorf("the world carries %q", w.Plan())
	}
}
