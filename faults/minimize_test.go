package faults_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
)

// crashes returns a plan of n crashes of the targets "0" to n-1.
func crashes(n int, lasting time.Duration) faults.Plan {
	p := faults.Plan{Version: faults.Version, Seed: 5}
	for i := range n {
		p.Faults = append(p.Faults, faults.Fault{
			Kind: faults.Crash, Target: fmt.Sprint(i), At: time.Duration(i) * time.Second, For: lasting,
		})
	}
	return p
}

// hits returns the targets in a plan.
func hits(p faults.Plan) []string {
	targets := []string{}
	for _, f := range p.Faults {
		targets = append(targets, f.Target)
	}
	return targets
}

func TestMinimizeFindsTheFaultsThatMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "faults")
		need := rapid.SliceOfNDistinct(rapid.IntRange(0, max(n-1, 0)), 0, min(n, 5), rapid.ID[int]).Draw(t, "needed")
		slices.Sort(need)
		want := []string{}
		for _, i := range need {
			want = append(want, fmt.Sprint(i))
		}
		tries := 0
		got := faults.Minimize(crashes(n, time.Millisecond), func(p faults.Plan) bool {
			tries++
			have := hits(p)
			return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
		})
		if !slices.Equal(hits(got), want) {
			t.Fatalf("minimized to %v, want %v", hits(got), want)
		}
		if got.Seed != 5 || tries > faults.MinimizeTries {
			t.Fatalf("seed %d after %d tries", got.Seed, tries)
		}
	})
}

// When the failure is not monotone the result still fails, and leaving out any
// one fault more ends that.
func TestMinimizeEndsWhereEveryFaultIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salt := rapid.Uint64().Draw(t, "salt")
		n := rapid.IntRange(1, 12).Draw(t, "faults")
		whole := crashes(n, time.Millisecond)
		failing := func(p faults.Plan) bool {
			if len(p.Faults) == n {
				return true
			}
			h := salt
			for _, target := range hits(p) {
				h = (h ^ uint64(target[0])) * 0x100000001b3
			}
			return h>>60 < 4
		}
		got := faults.Minimize(whole, failing)
		if !failing(got) {
			t.Fatalf("%v does not fail", got)
		}
		for i := range got.Faults {
			if failing(got.Without(i)) {
				t.Fatalf("%v still fails without fault %d", got, i)
			}
		}
	})
}

func TestMinimizeShortensFaults(t *testing.T) {
	p := crashes(3, 10*time.Second)
	got := faults.Minimize(p, func(p faults.Plan) bool {
		return slices.ContainsFunc(p.Faults, func(f faults.Fault) bool { return f.Target == "1" && f.For > 900*time.Millisecond })
	})
	if want := "v1 seed=5 crash(1)@1s+1.25s"; got.String() != want {
		t.Errorf("minimized to %v, want %s", got, want)
	}
	if p.Faults[1].For != 10*time.Second {
		t.Error("the plan itself changed")
	}
}

func TestMinimizeLeavesAPlanThatDoesNotFail(t *testing.T) {
	p := crashes(4, time.Second)
	if got := faults.Minimize(p, func(faults.Plan) bool { return false }); !got.Equal(p) {
		t.Errorf("minimized to %v", got)
	}
}

func TestMinimizeIsBounded(t *testing.T) {
	tries := 0
	got := faults.Minimize(crashes(5_000, time.Second), func(p faults.Plan) bool {
		tries++
		return len(p.Faults) > 4_000 || len(p.Faults) > 0 && tries%7 == 0
	})
	if tries > faults.MinimizeTries || len(got.Faults) == 0 {
		t.Errorf("%d tries, %d faults", tries, len(got.Faults))
	}
}
