package scenario

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/sim"
)

// seen is what an observer outside of the world sees of a run.
type seen struct {
	ops   []linearizability.Op
	stats sim.Stats
	wall  []time.Time // of the nodes at the end
}

// observe runs a scenario on a plan of its own.
func observe(t *testing.T, s Scenario, kind string, seed uint64, fs ...faults.Fault) (seen, Result) {
	t.Helper()
	r, err := s.newRun(Config{Seed: seed, Store: kind, Plan: &faults.Plan{Version: faults.Version, Faults: fs}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.world.Close()
	res := r.toEnd(true)
	if res.Failure != nil {
		t.Fatalf("seed %d with %v: %s", seed, fs, res.Failure.Message)
	}
	o := seen{ops: r.history.History().Ops, stats: r.world.Stats()}
	for _, n := range r.nodes {
		if h := n.proc.Host(); h != nil {
			o.wall = append(o.wall, h.Now())
		}
	}
	return o, res
}

// Every fault that a scenario may draw does something on each store: a plan of
// it alone is counted, and the run differs from the one without.
func TestEveryFaultOfTheMenusHasAnEffect(t *testing.T) {
	const seed = 1
	for _, kind := range []string{StoreSimFDB, StoreMemory} {
		tried := make(map[faults.Kind]bool)
		for _, s := range All() {
			for _, c := range s.choices(kind) {
				if tried[c.Kind] {
					continue
				}
				tried[c.Kind] = true
				t.Run(fmt.Sprintf("%s/%s", kind, c.Kind), func(t *testing.T) {
					without, _ := observe(t, s, kind, seed)
					for _, op := range commits(without.ops) {
						f := strong(c, op)
						with, res := observe(t, s, kind, seed, f)
						if len(res.Faults) == 0 {
							if differs(c.Kind, without, with) {
								t.Fatalf("%v has an effect that is not counted", f)
							}
							continue
						}
						if res.Faults[0] != (Count{Name: string(c.Kind), N: 1}) {
							t.Fatalf("%v is counted as %v", f, res.Faults)
						}
						if !differs(c.Kind, without, with) {
							t.Fatalf("%v is counted, and nothing differs", f)
						}
						return
					}
					t.Fatal("no effect at any time")
				})
			}
		}
		if len(tried) < 12 {
			t.Errorf("%s: only %d kinds of faults", kind, len(tried))
		}
	}
}

// commits returns the operations of nodes that committed something in the end.
func commits(ops []linearizability.Op) []linearizability.Op {
	return slices.DeleteFunc(slices.Clone(ops), func(op linearizability.Op) bool {
		return op.Outcome != linearizability.OutcomeOK || op.Return > chaosEnds ||
			op.Kind != linearizability.KindClaim && op.Kind != linearizability.KindRelease
	})
}

// strong returns a fault of a choice, as strong as it may be, that begins while
// the node waits for the commit of an operation.
func strong(c faults.Choice, op linearizability.Op) faults.Fault {
	spec, _ := c.Kind.Spec()
	f := faults.Fault{Kind: c.Kind, At: op.Return - 300*time.Microsecond}
	switch {
	case len(c.Targets) > 0:
		f.Target = c.Targets[0]
	case !spec.Store:
		f.Target = op.Client
	}
	if spec.Lasts && c.Kind != faults.WallJump {
		f.For = 10 * time.Second
	}
	if spec.Unit != "" {
		if f.Amount = c.AmountMax; f.Amount == 0 {
			f.Amount = spec.UsualMax
		}
	}
	return f
}

// differs reports whether a run that ended well was another with the fault than
// without. A copy of a message is dropped by who gets it; and no decision ever
// reads a wall clock, so that a jump may change the clock and nothing else.
func differs(k faults.Kind, without, with seen) bool {
	same := slices.Equal(without.ops, with.ops)
	switch k {
	case faults.Duplicate:
		return with.stats.Duplicated > without.stats.Duplicated
	case faults.WallJump:
		return same && !slices.EqualFunc(without.wall, with.wall, time.Time.Equal)
	default:
		return !same || with.stats.Messages != without.stats.Messages
	}
}
