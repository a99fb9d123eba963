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
)

// anyPlan generates every valid plan: all kinds, times to the nanosecond, all
// amounts.
func anyPlan() *rapid.Generator[faults.Plan] {
	name := rapid.StringMatching(`[a-zA-Z0-9.:_/-]{1,12}`)
	one := rapid.Custom(func(t *rapid.T) faults.Fault {
		spec := rapid.SampledFrom(faults.Kinds()).Draw(t, "kind")
		f := faults.Fault{Kind: spec.Kind, At: anyTime().Draw(t, "at"), Target: name.Draw(t, "target")}
		if spec.Store && rapid.Bool().Draw(t, "all") {
			f.Target = ""
		}
		if spec.Peer && rapid.Bool().Draw(t, "one peer") {
			f.Peer = f.Target + "x"
		}
		if spec.Lasts {
			f.For = anyTime().Draw(t, "for")
		}
		if spec.Unit != "" {
			f.Amount = rapid.Float64Range(spec.AmountMin, spec.AmountMax).
				Filter(func(x float64) bool { return x != 0 }).Draw(t, "amount")
		}
		return f
	})
	return rapid.Custom(func(t *rapid.T) faults.Plan {
		return faults.Plan{
			Version: faults.Version,
			Seed:    rapid.Uint64().Draw(t, "seed"),
			Faults:  rapid.SliceOfN(one, 0, 8).Draw(t, "faults"),
		}
	})
}

func anyTime() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(faults.MaxTime)).Draw(t, "time"))
	})
}

func TestTableOfKindsIsSound(t *testing.T) {
	constants := []faults.Kind{
		faults.Crash, faults.Pause, faults.Cut, faults.Partition, faults.SlowLink, faults.Loss, faults.Duplicate,
		faults.Reorder, faults.Reset, faults.WallJump, faults.ClockRate, faults.StoreUnknown, faults.StoreLate,
		faults.StoreConflict, faults.StoreUnavailable, faults.StoreSlow, faults.ServerCrash, faults.ServerDrain, faults.Throttle,
	}
	var rows []faults.Kind
	for _, s := range faults.Kinds() {
		rows = append(rows, s.Kind)
		if s.About == "" || s.Store && s.Peer {
			t.Errorf("%+v", s)
		}
		if s.Unit == "" {
			if s.AmountMin != 0 || s.AmountMax != 0 || s.UsualMin != 0 || s.UsualMax != 0 {
				t.Errorf("%s has no unit and yet a range", s.Kind)
			}
			continue
		}
		if !(s.AmountMin <= s.UsualMin && s.UsualMin < s.UsualMax && s.UsualMax <= s.AmountMax) {
			t.Errorf("%s: the usual range is not inside the allowed one", s.Kind)
		}
		if strings.Contains(s.About, "Amount") != (s.Unit != "") || strings.Contains(s.About, "Peer") != s.Peer {
			t.Errorf("%s: the text does not speak of the fields: %s", s.Kind, s.About)
		}
	}
	if !slices.Equal(rows, constants) {
		t.Errorf("rows %v, constants %v", rows, constants)
	}
}

func TestInvalidFaultsAreRefusedByField(t *testing.T) {
	ok := faults.Fault{Kind: faults.Loss, Target: "a", Peer: "b", At: 1, For: 1, Amount: 0.5}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(f *faults.Fault)) faults.Fault {
		f := ok
		change(&f)
		return f
	}
	for _, c := range []struct {
		name  string
		fault faults.Fault
		parts []string
	}{
		{"no kind", with(func(f *faults.Fault) { f.Kind = "" }), []string{"kind", `""`, "crash", "throttle"}},
		{"unknown kind", with(func(f *faults.Fault) { f.Kind = "flood" }), []string{"kind", `"flood"`}},
		{"negative At", with(func(f *faults.Fault) { f.At = -1 }), []string{"at is -1ns", "1000h0m0s"}},
		{"late At", with(func(f *faults.Fault) { f.At = faults.MaxTime + 1 }), []string{"at is", "1000h0m0s"}},
		{"negative For", with(func(f *faults.Fault) { f.For = -time.Second }), []string{"for is -1s"}},
		{"long For", with(func(f *faults.Fault) { f.For = math.MaxInt64 }), []string{"for is", "1000h0m0s"}},
		{"no Target", with(func(f *faults.Fault) { f.Target = "" }), []string{"target is empty"}},
		{"long Target", with(func(f *faults.Fault) { f.Target = strings.Repeat("a", 129) }), []string{"target", "129", "128"}},
		{"space in Target", with(func(f *faults.Fault) { f.Target = "a b" }), []string{"target", "' '"}},
		{"bad byte in Peer", with(func(f *faults.Fault) { f.Peer = "b)" }), []string{"peer", "')'"}},
		{"Peer is Target", with(func(f *faults.Fault) { f.Peer = "a" }), []string{"peer", "target itself"}},
		{"no Amount", with(func(f *faults.Fault) { f.Amount = 0 }), []string{"amount is 0"}},
		{"Amount too small", with(func(f *faults.Fault) { f.Amount = -0.1 }), []string{"amount is -0.1", "0 to 1 probability"}},
		{"Amount too large", with(func(f *faults.Fault) { f.Amount = 1.1 }), []string{"amount is 1.1", "0 to 1"}},
		{"Amount is NaN", with(func(f *faults.Fault) { f.Amount = math.NaN() }), []string{"amount is NaN", "0 to 1"}},
		{"Amount is infinite", with(func(f *faults.Fault) { f.Amount = math.Inf(1) }), []string{"amount is +Inf"}},
		{"Peer of a pause", faults.Fault{Kind: faults.Pause, Target: "a", Peer: "b"}, []string{"peer", "pause uses none"}},
		{"Amount of a crash", faults.Fault{Kind: faults.Crash, Target: "a", Amount: 1}, []string{"amount", "crash uses none"}},
		{"NaN of a crash", faults.Fault{Kind: faults.Crash, Target: "a", Amount: math.NaN()}, []string{"amount", "crash uses none"}},
		{"For of a reset", faults.Fault{Kind: faults.Reset, Target: "a", For: 1}, []string{"for", "reset is over at once"}},
		{"rate too high", faults.Fault{Kind: faults.ClockRate, Target: "a", Amount: 1e9}, []string{"amount is 1e+09", "9.99999999e+08"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.fault.Validate()
			if !errors.Is(err, faults.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			planErr := faults.Plan{Faults: []faults.Fault{ok, c.fault}}.Validate()
			if !errors.Is(planErr, faults.ErrInvalid) || !strings.Contains(planErr.Error(), "faults[1]") {
				t.Errorf("error of the plan %v", planErr)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestInvalidPlansAreRefused(t *testing.T) {
	for _, c := range []struct {
		plan faults.Plan
		part string
	}{
		{faults.Plan{Version: 2}, "version is 2, must be 1"},
		{faults.Plan{Version: -1}, "version is -1"},
		{faults.Plan{Faults: make([]faults.Fault, faults.MaxFaults+1)}, "10001 faults, at most 10000"},
	} {
		if err := c.plan.Validate(); !errors.Is(err, faults.ErrInvalid) || !strings.Contains(err.Error(), c.part) {
			t.Errorf("error %v, want one that says %q", err, c.part)
		}
	}
	if err := (faults.Plan{}).Validate(); err != nil {
		t.Errorf("the zero plan: %v", err)
	}
}

func TestHealEndsEveryFaultByItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan().Draw(t, "plan")
		at := anyTime().Draw(t, "heal at")
		h := p.Heal(at)
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		if healed, ok := h.Healed(); !ok || healed > at {
			t.Fatalf("healed at %v, %v", healed, ok)
		}
		if !h.Heal(at).Equal(h) {
			t.Fatal("healing twice is not healing once")
		}
		kept := slices.Clone(p.Faults)
		kept = slices.DeleteFunc(kept, func(f faults.Fault) bool { return f.At >= at })
		if len(kept) != len(h.Faults) {
			t.Fatalf("%d faults stayed, want %d", len(h.Faults), len(kept))
		}
		for i, f := range h.Faults {
			if g := kept[i]; f.For != g.For {
				if g.For != 0 && f.For > g.For || f.At+f.For != at {
					t.Fatalf("%v became %v", g, f)
				}
				g.For = f.For
				kept[i] = g
			}
		}
		if !slices.Equal(kept, h.Faults) {
			t.Fatalf("%v became %v", kept, h.Faults)
		}
	})
}

func TestHealedSeesWhatLastsForEver(t *testing.T) {
	for _, c := range []struct {
		plan string
		want time.Duration
		ok   bool
	}{
		{"v1 seed=0", 0, true},
		{"v1 seed=0 reset(a)@3s", 3 * time.Second, true},
		{"v1 seed=0 crash(a)@3s+2s pause(a)@1s+1s", 5 * time.Second, true},
		{"v1 seed=0 crash(a)@3s+2s crash(b)@1s", 0, false},
	} {
		p, err := faults.Parse(c.plan)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Healed(); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", c.plan, got, ok)
		}
	}
}

func TestWithoutAndHalvesAreParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan().Draw(t, "plan")
		before := p.String()
		first, second := p.Halves()
		if got := slices.Concat(first.Faults, second.Faults); !slices.Equal(got, p.Faults) || len(second.Faults)-len(first.Faults) > 1 {
			t.Fatalf("halves %v and %v", first, second)
		}
		if len(p.Faults) > 0 {
			i := rapid.IntRange(0, len(p.Faults)-1).Draw(t, "i")
			want := slices.Delete(slices.Clone(p.Faults), i, i+1)
			if got := p.Without(i); !slices.Equal(got.Faults, want) || got.Seed != p.Seed {
				t.Fatalf("Without(%d) = %v", i, got)
			}
		}
		if got := p.Without(-1, len(p.Faults)); !got.Equal(p) {
			t.Fatalf("Without of no fault = %v", got)
		}
		if p.String() != before {
			t.Fatal("the plan itself changed")
		}
	})
}
