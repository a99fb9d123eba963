// Package plantest generates fault plans for property tests with
// pgregory.net/rapid, which shrinks a failing one by itself: to fewer faults,
// that begin earlier, last less long and are weaker.
//
// It is for tests; package faults itself does not import rapid.
package plantest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/faults"
)

// Everything returns a swarm of every kind of fault that there is, on three
// processes, node-1 to node-3.
func Everything() faults.Swarm {
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

// Within returns why p is not a plan that a swarm, with its defaults filled in,
// may draw; nil when it is.
func Within(s faults.Swarm, p faults.Plan) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if len(p.Faults) > s.MaxFaults {
		return fmt.Errorf("%d faults, at most %d are allowed", len(p.Faults), s.MaxFaults)
	}
	if healed, ok := p.Healed(); !ok || healed > s.HealAt {
		return fmt.Errorf("healed at %v (%v), must be at %v", healed, ok, s.HealAt)
	}
	if !slices.IsSortedFunc(p.Faults, func(a, b faults.Fault) int { return cmp.Compare(a.At, b.At) }) {
		return fmt.Errorf("not in order: %v", p)
	}
	for _, f := range p.Faults {
		i := slices.IndexFunc(s.Kinds, func(c faults.Choice) bool { return c.Kind == f.Kind })
		if i < 0 {
			return fmt.Errorf("%v: the kind is not in the swarm", f)
		}
		c := s.Kinds[i]
		spec, _ := f.Kind.Spec()
		inFor := !spec.Lasts || f.For >= min(c.ForMin, s.HealAt-f.At) && f.For <= c.ForMax
		if !slices.Contains(c.Targets, f.Target) || f.Amount < c.AmountMin || f.Amount > c.AmountMax || f.At >= s.Horizon || !inFor {
			return fmt.Errorf("%v is outside %+v", f, c)
		}
	}
	return nil
}

// Plans returns a generator of the plans that faults.Generate may draw from the
// swarm, in that each is valid, keeps to the swarm's kinds, targets and ranges,
// has at most MaxFaults faults, and is over at HealAt. It panics with the error
// of faults.Swarm.Resolved when the swarm is invalid.
func Plans(swarm faults.Swarm) *rapid.Generator[faults.Plan] {
	s, err := swarm.Resolved()
	if err != nil {
		panic(err)
	}
	one := Faults(s)
	return rapid.Custom(func(t *rapid.T) faults.Plan {
		p := faults.Plan{Version: faults.Version}
		p.Faults = rapid.SliceOfN(one, 0, s.MaxFaults).Draw(t, "faults")
		slices.SortStableFunc(p.Faults, func(a, b faults.Fault) int { return cmp.Compare(a.At, b.At) })
		return p.Heal(s.HealAt)
	})
}

// Faults returns a generator of the single faults of a swarm.
func Faults(swarm faults.Swarm) *rapid.Generator[faults.Fault] {
	s, err := swarm.Resolved()
	if err != nil {
		panic(err)
	}
	return rapid.Custom(func(t *rapid.T) faults.Fault {
		c := rapid.SampledFrom(s.Kinds).Draw(t, "kind")
		spec, _ := c.Kind.Spec()
		f := faults.Fault{
			Kind:   c.Kind,
			Target: rapid.SampledFrom(c.Targets).Draw(t, "target"),
			At:     wholeMilliseconds(0, min(s.Horizon, s.HealAt)-time.Millisecond).Draw(t, "at"),
		}
		if spec.Peer {
			others := slices.DeleteFunc(slices.Clone(c.Peers), func(p string) bool { return p == f.Target })
			f.Peer = rapid.SampledFrom(append(others, "")).Draw(t, "peer")
		}
		if spec.Lasts {
			f.For = wholeMilliseconds(c.ForMin, c.ForMax).Draw(t, "for")
		}
		if spec.Unit != "" {
			f.Amount = amounts(c.AmountMin, c.AmountMax).Draw(t, "amount")
		}
		return f
	})
}

// wholeMilliseconds generates times from least to most, but for least itself in
// milliseconds.
func wholeMilliseconds(least, most time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64Range(int64(least/time.Millisecond), int64(most/time.Millisecond)), func(ms int64) time.Duration {
		return max(least, time.Duration(ms)*time.Millisecond)
	})
}

// amounts generates amounts from least to most but 0, with three significant
// digits.
func amounts(least, most float64) *rapid.Generator[float64] {
	fallback := most
	if fallback == 0 {
		fallback = least
	}
	return rapid.Map(rapid.Float64Range(least, most), func(x float64) float64 {
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
		if err != nil || rounded == 0 || math.IsInf(rounded, 0) {
			return fallback
		}
		return max(least, min(most, rounded))
	})
}
