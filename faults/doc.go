// Package faults holds fault plans: what goes wrong in a simulated world, as
// data that is generated, printed, parsed, injected and shrunk.
//
// A [Plan] is a list of faults, each with a kind, a target, the true time at
// which it begins and how long it lasts. [Kinds] is the table of what there is
// and of the limits of every field. A plan prints as JSON and as one line of
// text ([Plan.String]), and both parse back to an equal plan.
//
//	v1 seed=7 crash(node-1)@1.5s+2s cut(node-1,node-2)@3s loss(node-2)@2s+4s*0.25
//
// [Inject] schedules a plan in a world. Faults may overlap: of one kind on one
// target the effect ends with the last of them, degradations of a link add up,
// and what was there before (a cut, a link, a clock's rate that the scenario
// set) is restored. The [Injector] counts each fault that was planned, that
// fired, that changed anything, and that did something to somebody: a fault that
// exists and never strikes tests nothing.
//
// [Generate] draws a plan from a seed as swarm testing does: each seed leaves
// out about half of the kinds, since kinds hide each other's bugs. [Plan.Heal]
// ends all faults by a given time, after which a scenario may demand
// convergence. [Minimize] finds a small plan that still fails.
//
// What becomes of one fault depends on no other: a generated fault is a
// function of the seed, its kind and its ordinal, and an injected one draws no
// random number. So taking one fault away leaves the others as they were.
//
// The package does not break anything by itself: processes, clocks and links
// are the work of package sim, and the faults of a store are the work of the
// [Handler] that the scenario registers for their kind.
package faults
