package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The steps and faults of drain-cut-short. Its beats come in rounds of five. In each
// round one node, the same for all seeds, claims the actor of the round, and the outcome
// stays in doubt since all commits of the node do; others give it that actor
// meanwhile; it drains, which is cut short, and claims the actor again; and at the last
// beat it may drain once more. The doubts end at some moment from the drain on. So what a
// drain passes on because nobody has accepted it is met by a claim in doubt that is being
// settled, by another drain, and by whoever asks for what the session was given.

// The beats of a round.
const (
	cutShortFrees  = iota // whoever has the actor releases it
	cutShortDoubts        // the node that is to drain claims it
	cutShortGives         // the others give it to that node
	cutShortDrains        // it drains
	cutShortAgain         // and drains again, or goes on
	cutShortBeats
)

// How long a drain that is cut short may take at most, and a claim beside it, or before
// it, whose outcome nobody waits for.
const (
	cutShortDrainWithin = 60 * time.Millisecond
	cutShortClaimWithin = 8 * time.Millisecond
)

// cutShortRoles are who does what at a beat: the first worker of the node that drains,
// its others, the workers of the node that gives it the actor, and all others.
const (
	cutShortDrainer = iota
	cutShortClaimant
	cutShortGiver
	cutShortOther
	cutShortRoles
)

// cutShortMixes are the steps of each role at a beat.
var cutShortMixes = [cutShortBeats][cutShortRoles]mix{
	cutShortFrees:  {{leave: 2, drain: 1, lookup: 1}, {use: 1}, {release: 1}, {release: 1}},
	cutShortDoubts: {{claim: 1}, {use: 1}, {claim: 1}, {use: 1, lookup: 1}},
	cutShortGives:  {{use: 1}, {use: 1}, {transfer: 4, place: 1}, {place: 1, use: 2, lookup: 2}},
	cutShortDrains: {{drain: 1}, {claim: 3, lookup: 1}, {lookup: 1}, {place: 1, use: 2, lookup: 2}},
	cutShortAgain:  {{drain: 2, use: 1, lookup: 1}, {claim: 1, release: 1, lookup: 1}, {use: 1}, {place: 1, use: 2, lookup: 2}},
}

// cutShortRound returns the beat's place in its round, the node that drains in it, and
// the actor that it is about.
func (s *shape) cutShortRound(beat int) (phase, node, actor int) {
	round := beat / cutShortBeats
	return beat % cutShortBeats, round % s.nodes, round % s.actors
}

// cutShortStep draws the step of a worker at a beat.
func (s *shape) cutShortStep(r *rand.Rand, beat, node, worker int) Step {
	phase, drains, actor := s.cutShortRound(beat)
	role := cutShortOther
	switch {
	case node == drains && worker == 0:
		role = cutShortDrainer
	case node == drains:
		role = cutShortClaimant
	case node == (drains+1)%s.nodes:
		role = cutShortGiver
	}
	m := cutShortMixes[phase][role]
	st := Step{Do: m.pick(r.IntN(m.total()))}
	if st.Do.OfActor() {
		st.Actor = actor
	}
	switch {
	case phase == cutShortDoubts && role == cutShortDrainer:
		st.After, st.Within = upTo(r, s.think/8), upTo(r, cutShortClaimWithin)
	case phase == cutShortDoubts && role == cutShortGiver:
		st.After = s.think/2 + upTo(r, s.think/4)
	case phase == cutShortGives && st.Do == Transfer:
		st.To = drains
	case phase == cutShortDrains && role == cutShortDrainer:
		st.After, st.Within = upTo(r, impatience), upTo(r, cutShortDrainWithin)
	case phase == cutShortDrains && st.Do == Claim && role == cutShortClaimant:
		st.After, st.Within = impatience+upTo(r, cutShortDrainWithin), upTo(r, cutShortClaimWithin)
	}
	return st
}

// cutShorts leaves all commits of the node that drains in doubt, from its claim to its
// drain, or some time later, and makes its way to the store slow in a third of the
// rounds.
func cutShorts(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for beat := cutShortDoubts; time.Duration(beat+cutShortBeats)*s.think < chaosEnds; beat += cutShortBeats {
		_, node, _ := s.cutShortRound(beat)
		at, name := time.Duration(beat)*s.think, nodeName(node)
		drains := time.Duration(cutShortDrains-cutShortDoubts) * s.think
		fs = append(fs, faults.Fault{At: at - s.think/20, For: drains + s.think/20 + upTo(r, s.think/2), Kind: faults.StoreUnknown, Target: name, Amount: 1})
		if r.IntN(3) == 0 {
			fs = append(fs, linkFaults(st.front, faults.Fault{
				At: at + drains, For: s.think, Kind: faults.SlowLink, Target: name, Amount: 2 + float64(r.IntN(20)),
			})...)
		}
	}
	return fs
}
