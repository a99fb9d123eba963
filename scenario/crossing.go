package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The steps and faults of crossing. All operations begin at the beats of its program,
// or within crossingScatter after one, and at every second beat one node, the same for
// all seeds, goes away while others give it actors and it claims some itself. So it is
// known when and by whom transactions are read and committed, and a process can be held
// in between while the others go on: whatever its transaction has read must still be
// true when it commits.

// crossingScatter is how long after a beat an operation may begin.
const crossingScatter = 300 * time.Millisecond

// The steps of a beat at which a node goes away: its first worker's, those of its others,
// and those of all other nodes.
var (
	goingAway  = mix{drain: 3, leave: 3, place: 1, use: 1}
	overtaken  = mix{claim: 4, place: 1, release: 1}
	giversThen = mix{transfer: 6, place: 4, claim: 1, release: 1}
)

// awayAt returns the node that goes away at a beat; false when none does.
func (s *shape) awayAt(beat int) (node int, ok bool) { return beat / 2 % s.nodes, beat%2 == 1 }

// crossingMix is what a worker does at a beat, and to whom it gives actors, unless to
// is below zero.
func (s *shape) crossingMix(beat, node, worker int) (m mix, to int) {
	away, ok := s.awayAt(beat)
	switch {
	case !ok:
		return s.mix, -1
	case node != away:
		return giversThen, away
	case worker == 0:
		return goingAway, -1
	}
	return overtaken, -1
}

// crossingStep draws the step of a worker at a beat. All are about one actor, but for a
// third of them.
func (s *shape) crossingStep(r *rand.Rand, beat, node, worker int) Step {
	m, to := s.crossingMix(beat, node, worker)
	st := Step{Do: m.pick(r.IntN(m.total()))}
	if st.Do.OfActor() {
		if st.Actor = beat % s.actors; r.IntN(3) == 0 {
			st.Actor = r.IntN(s.actors)
		}
	}
	switch r.IntN(3) {
	case 0:
		st.After = upTo(r, 5*time.Millisecond)
	case 1:
		st.After = upTo(r, crossingScatter)
	}
	if st.Do == Transfer {
		if st.To = to; to < 0 {
			st.To = r.IntN(s.nodes)
		}
	}
	if st.Do.IsEffect() {
		st.For = upTo(r, s.ttl/2)
	}
	st.Again = (st.Do == Release || st.Do == Transfer) && r.IntN(2) == 0
	return st
}

// crossings holds one process at each beat at which a node goes away.
func crossings(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for beat := 3; time.Duration(beat+2)*s.think < chaosEnds; beat += 2 {
		away, _ := s.awayAt(beat)
		at, giver := time.Duration(beat)*s.think, nodeName((away+1+r.IntN(s.nodes-1))%s.nodes)
		switch r.IntN(3) {
		case 0: // it stands still in the middle of what it has just begun
			fs = append(fs, faults.Fault{At: at + upTo(r, 3*time.Millisecond), For: s.think/10 + upTo(r, s.think/2), Kind: faults.Pause, Target: giver})
		case 1: // each of its messages takes a good part of the beat
			fs = append(fs, linkFaults(st.front, faults.Fault{
				At: at - s.think/100, For: s.think * 9 / 10, Kind: faults.SlowLink, Target: giver, Amount: 20 + float64(r.IntN(200)),
			})...)
		default: // some messages of the node that goes away are late: its operations overtake each other
			fs = append(fs, linkFaults(st.front, faults.Fault{
				At: at - s.think/100, For: s.think / 2, Kind: faults.Reorder, Target: nodeName(away), Amount: 0.1 + 0.2*r.Float64(),
			})...)
		}
	}
	return fs
}

// crossingFaults put commits in doubt, and little else: what is to be met are
// operations, and not their failures.
func crossingFaults(s *shape, st servers) []faults.Choice {
	return []faults.Choice{
		aroundTTL(faults.StoreUnknown, s, 0.1, 1),
		aroundTTL(faults.StoreLate, s, 0.1, 1),
		{Kind: faults.StoreConflict},
		{Kind: faults.Reset, Peers: st.front},
	}
}
