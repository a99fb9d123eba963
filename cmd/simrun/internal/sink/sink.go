// Package sink is a resource outside the store that checks fencing tokens: it
// refuses a write whose token is below the highest that it has seen for the actor.
//
// A write comes with what its writer believed: when it asked its handle whether it
// is valid, and when it had the answer. So the sink has evidence of two kinds, which
// [Judge] looks at: that no stale token got through, and, between processes with one
// clock, that no two believed at once to own an actor.
package sink

import (
	"context"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

// Write is a fenced write by one who believed to own the actor: its handle answered
// that it is valid, between Asked and Answered of the machine's clock.
type Write struct {
	Actor       registry.ActorID     `json:"actor"`
	Token       registry.Token       `json:"token"`
	Node        registry.NodeID      `json:"node"`
	Incarnation registry.Incarnation `json:"inc"`
	Asked       time.Duration        `json:"asked"`
	Answered    time.Duration        `json:"answered"`
}

// Table is a sink in memory. It is safe for use from several goroutines.
type Table struct {
	mu      sync.Mutex
	highest map[registry.ActorID]registry.Token
}

// NewTable returns a sink that has seen no token.
func NewTable() *Table { return &Table{highest: make(map[registry.ActorID]registry.Token)} }

// Write returns OutcomeOK or OutcomeRejected.
func (t *Table) Write(_ context.Context, w Write) linearizability.Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.takes(w) {
		return linearizability.OutcomeOK
	}
	return linearizability.OutcomeRejected
}

// takes decides about a write. The caller holds the lock.
func (t *Table) takes(w Write) bool {
	if w.Token < t.highest[w.Actor] {
		return false
	}
	t.highest[w.Actor] = w.Token
	return true
}
