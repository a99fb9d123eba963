package soak

import (
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/stall"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// Result is what a soak did. Whether it held is for the checkers to say, of
// History, and for Violation.
type Result struct {
	Options     Options
	Described   string        // what the store says that it is; may be empty
	Elapsed     time.Duration // of the workload
	Audited     time.Duration // until the auditor had every actor
	Interrupted bool
	Violation   *Violation // of the gifts or the audit; nil: none
	Counts      Counts
	Stalls      Stalls
	History     *linearizability.History
}

// Counts says how often things happened.
type Counts struct {
	Joins    uint64 `json:"joins"`
	Claims   uint64 `json:"claims"`
	Uses     uint64 `json:"uses"`
	Writes   uint64 `json:"writes"`
	Guards   uint64 `json:"guards"`
	Releases uint64 `json:"releases"`
	Lookups  uint64 `json:"lookups"`
	Leaves   uint64 `json:"leaves"`

	Transfers uint64 `json:"transfers"`
	Places    uint64 `json:"places"`
	Drains    uint64 `json:"drains"`

	Killed        uint64 `json:"killed"`            // lives that ended without a word
	Degraded      uint64 `json:"sessions_degraded"` // sessions that their node was told are degraded
	Lost          uint64 `json:"sessions_lost"`     // sessions that their node was told are over
	Revoked       uint64 `json:"revoked"`           // sessions ended by an observer
	Failovers     uint64 `json:"failovers"`         // actors that came to another node unreleased
	Given         uint64 `json:"given"`             // actors transferred, placed or drained to a node
	Accepted      uint64 `json:"accepted"`          // by nodes that were given them
	RefusedWrites uint64 `json:"refused_writes"`    // by the sink, for a stale token
	RefusedGuards uint64 `json:"refused_guards"`

	Doubts         uint64 `json:"doubts"`         // commits whose end was unknown
	ResolvedThere  uint64 `json:"doubts_applied"` // operations found to have taken effect
	ResolvedAbsent uint64 `json:"doubts_dropped"` // and found not to
}

// Stalls counts the calls that met one.
type Stalls struct {
	Delayed       uint64 `json:"delayed"`
	Frozen        uint64 `json:"frozen"`
	Refused       uint64 `json:"refused"`
	HiddenApplied uint64 `json:"commits_applied_unseen"`
	LateSent      uint64 `json:"commits_late"`
	Dropped       uint64 `json:"commits_dropped"`
}

// Operations is the sum of what workers called.
func (c *Counts) Operations() uint64 {
	return c.Joins + c.Claims + c.Uses + c.Writes + c.Guards + c.Releases + c.Lookups + c.Leaves +
		c.Transfers + c.Places + c.Drains
}

func (r *Result) addStalls(s stall.Stats) {
	r.Stalls.Delayed += s.Delayed
	r.Stalls.Frozen += s.Frozen
	r.Stalls.Refused += s.Refused
	r.Stalls.HiddenApplied += s.HiddenApplied
	r.Stalls.Dropped += s.Dropped
	r.Stalls.LateSent += s.LateSent
}
