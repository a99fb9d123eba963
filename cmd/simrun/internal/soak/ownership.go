package soak

import (
	"cmp"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
)

// Ownership is one token of an actor, as far as a history tells.
type Ownership struct {
	Token       uint64
	Node        string
	Incarnation uint64
	Got         time.Duration // it was acknowledged
	GivenUp     bool          // there was an attempt that may have succeeded
}

// Ownerships returns those of each actor that were acknowledged, in the order of their
// tokens.
func Ownerships(h *linearizability.History) map[string][]Ownership {
	type id struct {
		actor string
		token uint64
	}
	given := make(map[id]bool)
	by := make(map[string][]Ownership)
	for i := range h.Ops {
		op := &h.Ops[i]
		ok := op.Outcome == linearizability.OutcomeOK
		switch {
		case op.Kind == linearizability.KindClaim && ok:
			by[op.Actor] = append(by[op.Actor], Ownership{Token: op.Token, Node: op.Node, Incarnation: op.Incarnation, Got: op.Return})
		case op.Kind == linearizability.KindTransfer || op.Kind == linearizability.KindRelease:
			if ok || op.Outcome == linearizability.OutcomeUnknown || op.Outcome == linearizability.OutcomePending {
				given[id{op.Actor, op.Token}] = true
			}
			if ok && op.Kind == linearizability.KindTransfer {
				by[op.Actor] = append(by[op.Actor], Ownership{Token: op.NewToken, Node: op.OwnerNode, Incarnation: op.OwnerIncarnation, Got: op.Return})
			}
		default: // does not change owners
		}
	}
	for actor, all := range by {
		slices.SortFunc(all, func(a, b Ownership) int {
			return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.Got, b.Got))
		})
		all = slices.CompactFunc(all, func(a, b Ownership) bool { return a.Token == b.Token })
		for i := range all {
			all[i].GivenUp = given[id{actor, all[i].Token}]
		}
		by[actor] = all
	}
	return by
}
