package soak

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kelpie-registry/kelpie/linearizability"
)

// Clients of what a registry does by itself, behind the node's id.
const (
	byRegistry = "/registry"
	byKeeper   = "/keeper"
)

// addHistory counts what is in a history. A placement is a look-up there, and is
// taken out by [Ledger.fill].
func (c *Counts) addHistory(h *linearizability.History) {
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind == linearizability.KindLost {
			c.Lost++
		}
		if op.Kind == linearizability.KindRevoke && op.Outcome == linearizability.OutcomeOK {
			c.Revoked++
		}
		if strings.HasSuffix(op.Client, byRegistry) || strings.HasSuffix(op.Client, byKeeper) {
			continue
		}
		if n := c.of(op.Kind); n != nil {
			*n++
		}
		rejected := op.Outcome == linearizability.OutcomeRejected
		if rejected && op.Kind == linearizability.KindWrite {
			c.RefusedWrites++
		}
		if rejected && op.Kind == linearizability.KindGuard {
			c.RefusedGuards++
		}
	}
	c.Failovers = failovers(h)
}

// of returns the count of calls of a kind, nil when there is none.
func (c *Counts) of(k linearizability.Kind) *uint64 {
	switch k {
	case linearizability.KindJoin:
		return &c.Joins
	case linearizability.KindClaim:
		return &c.Claims
	case linearizability.KindUse:
		return &c.Uses
	case linearizability.KindWrite:
		return &c.Writes
	case linearizability.KindGuard:
		return &c.Guards
	case linearizability.KindRelease:
		return &c.Releases
	case linearizability.KindLookup:
		return &c.Lookups
	case linearizability.KindLeave:
		return &c.Leaves
	case linearizability.KindTransfer:
		return &c.Transfers
	default:
		return nil
	}
}

// ownership is one token of an actor, as far as a history tells.
type ownership struct {
	token uint64
	node  string
}

// failovers counts the actors that came to another node although nobody gave them up.
func failovers(h *linearizability.History) (n uint64) {
	type owned struct {
		actor string
		token uint64
	}
	freed := make(map[owned]bool)
	by := make(map[string][]ownership)
	for i := range h.Ops {
		op := &h.Ops[i]
		ok := op.Outcome == linearizability.OutcomeOK
		maybe := ok || op.Outcome == linearizability.OutcomeUnknown || op.Outcome == linearizability.OutcomePending
		switch op.Kind {
		case linearizability.KindClaim:
			if ok {
				by[op.Actor] = append(by[op.Actor], ownership{token: op.Token, node: op.Node})
			}
		case linearizability.KindTransfer:
			if ok {
				by[op.Actor] = append(by[op.Actor], ownership{token: op.NewToken, node: op.OwnerNode})
			}
			freed[owned{op.Actor, op.Token}] = freed[owned{op.Actor, op.Token}] || maybe
		case linearizability.KindRelease:
			freed[owned{op.Actor, op.Token}] = freed[owned{op.Actor, op.Token}] || maybe
		default: // does not change owners
		}
	}
	for actor, all := range by {
		slices.SortFunc(all, func(a, b ownership) int { return cmp.Compare(a.token, b.token) })
		for i := 1; i < len(all); i++ {
			if all[i].node != all[i-1].node && !freed[owned{actor, all[i-1].token}] {
				n++
			}
		}
	}
	return n
}

// Count counts what many processes did, whose notes are in the ledger.
func Count(h *linearizability.History, l *Ledger) Counts {
	var c Counts
	c.addHistory(h)
	l.fill(&c)
	return c
}
