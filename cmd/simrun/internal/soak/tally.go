package soak

import (
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

// failovers counts the actors that came to another node although nobody gave them up.
func failovers(h *linearizability.History) (n uint64) {
	for _, all := range Ownerships(h) {
		for i := 1; i < len(all); i++ {
			if all[i].Node != all[i-1].Node && !all[i-1].GivenUp {
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
