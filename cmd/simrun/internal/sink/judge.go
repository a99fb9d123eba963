package sink

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// Rules of what a sink was told.
const (
	RuleStaleWrite  = "sink-stale-write"
	RuleTwoBelieved = "two-believed"
)

// Verdict is what [Judge] found.
type Verdict struct {
	Accepted, Refused uint64
	Believers         uint64 // ownerships of which there is evidence
	Rule, Message     string // of the first violation; empty: none
}

// belief is the evidence of one token: it was valid from established on, at the
// latest, and still at last.
type belief struct {
	write             Write // the one that established it
	established, last time.Duration
}

// Judge looks at all decisions of one sink, in the order in which they were made.
//
// [RuleStaleWrite]: a token was accepted after a higher one of its actor.
//
// [RuleTwoBelieved]: a handle was asked and found valid at a time when that of a
// higher token had been found valid already. A handle that is not valid never becomes
// so again, hence both were valid at once.
func Judge(decisions []Decision) Verdict {
	var v Verdict
	highest := make(map[registry.ActorID]registry.Token)
	beliefs := make(map[registry.ActorID]map[registry.Token]*belief)
	for i := range decisions {
		d := &decisions[i]
		if d.Accepted {
			v.Accepted++
			if d.Token < highest[d.Actor] {
				v.found(RuleStaleWrite, fmt.Sprintf("token %v of %q from %q was accepted after token %v", d.Token, d.Actor, d.Node, highest[d.Actor]))
			}
			highest[d.Actor] = max(highest[d.Actor], d.Token)
		} else {
			v.Refused++
		}
		of := beliefs[d.Actor]
		if of == nil {
			of = make(map[registry.Token]*belief)
			beliefs[d.Actor] = of
		}
		b := of[d.Token]
		if b == nil {
			b = &belief{write: d.Write, established: d.Answered, last: d.Asked}
			of[d.Token] = b
			v.Believers++
		}
		b.established, b.last = min(b.established, d.Answered), max(b.last, d.Asked)
	}
	for _, actor := range sorted(beliefs) {
		v.twoBelieved(beliefs[actor])
	}
	return v
}

// twoBelieved goes from the highest token of an actor down.
func (v *Verdict) twoBelieved(of map[registry.Token]*belief) {
	earliest := &belief{established: math.MaxInt64} // of the higher tokens
	tokens := sorted(of)
	slices.Reverse(tokens)
	for _, t := range tokens {
		b := of[t]
		if b.last >= earliest.established {
			v.found(RuleTwoBelieved, fmt.Sprintf("token %v of %q was valid at %q at %v, and token %v at %q had been valid at %v",
				t, b.write.Actor, b.write.Node, b.last, earliest.write.Token, earliest.write.Node, earliest.established))
		}
		if b.established < earliest.established {
			earliest = b
		}
	}
}

func (v *Verdict) found(rule, message string) {
	if v.Rule == "" {
		v.Rule, v.Message = rule, message
	}
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
