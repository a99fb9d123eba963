package faults

import (
	"slices"
	"time"
)

// MinimizeTries bounds the plans that [Minimize] tries.
const MinimizeTries = 1_000

// Minimize returns a small plan, made of the faults of p, for which failing
// reports true. It is p itself when failing(p) is false.
//
// It first leaves out faults by delta debugging (A. Zeller and R. Hildebrandt,
// "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002): when it
// ends by itself, leaving out any one fault more makes the failure go away. Then
// it halves the time that each fault lasts as long as the failure stays. It
// tries no more than [MinimizeTries] plans; failing must be a pure function of
// the plan.
func Minimize(p Plan, failing func(Plan) bool) Plan {
	m := minimizer{left: MinimizeTries, failing: failing}
	if !m.fails(p) {
		return p
	}
	return m.shorten(m.reduce(p))
}

// minimizer counts the tries.
type minimizer struct {
	left    int
	failing func(Plan) bool
}

// fails tries a plan; false when no tries are left.
func (m *minimizer) fails(p Plan) bool {
	if m.left == 0 {
		return false
	}
	m.left--
	return m.failing(p)
}

// reduce is ddmin: it cuts the plan into ever more parts, keeps one part, or all
// but one, that fails, and ends when the parts are single faults and all needed.
func (m *minimizer) reduce(p Plan) Plan {
	if none := p.only(func(int) bool { return false }); len(p.Faults) > 0 && m.fails(none) {
		return none
	}
	for parts := 2; len(p.Faults) >= 2 && m.left > 0; {
		n := len(p.Faults)
		parts = min(parts, n)
		inPart := func(i, part int) bool { return i*parts/n == part }
		smaller, next := m.firstFailing(parts, func(part int) Plan {
			return p.only(func(i int) bool { return inPart(i, part) })
		}), 2
		if smaller == nil {
			smaller, next = m.firstFailing(parts, func(part int) Plan {
				return p.only(func(i int) bool { return !inPart(i, part) })
			}), max(parts-1, 2)
		}
		switch {
		case smaller != nil:
			p, parts = *smaller, next
		case parts == n:
			return p
		default:
			parts *= 2
		}
	}
	return p
}

// firstFailing returns the first of n plans that fails, nil when none does.
func (m *minimizer) firstFailing(n int, plan func(int) Plan) *Plan {
	for i := range n {
		if p := plan(i); m.fails(p) {
			return &p
		}
	}
	return nil
}

// shorten halves the time that each fault lasts, down to a millisecond.
func (m *minimizer) shorten(p Plan) Plan {
	for i := range p.Faults {
		for p.Faults[i].For >= 2*time.Millisecond {
			q := p
			q.Faults = slices.Clone(p.Faults)
			q.Faults[i].For = (q.Faults[i].For / 2).Truncate(time.Millisecond)
			if !m.fails(q) {
				break
			}
			p = q
		}
	}
	return p
}
