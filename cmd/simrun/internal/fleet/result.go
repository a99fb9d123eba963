package fleet

import (
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// Result is what a soak did. Whether it held is for the checkers to say, of History,
// and for Violation.
type Result struct {
	Processes, Nodes, Actors int
	TTL                      time.Duration
	Seed                     uint64
	Described                string        // what the store says that it is; may be empty
	Elapsed                  time.Duration // of the workload
	Audited                  time.Duration // until the auditor had every actor
	Interrupted              bool
	Violation                *soak.Violation // nil: none
	Counts                   soak.Counts
	Faults                   Faults
	Accounted                soak.Accounted
	Sink                     SinkCounts
	Failovers                Failovers
	Server                   *ServerUsage // nil: no process of ours
	History                  *linearizability.History
}

// Faults says how often things were done.
type Faults struct {
	Kills         int               `json:"kills"`          // of processes with nodes
	Freezes       int               `json:"freezes"`        // of them
	LongFreezes   int               `json:"long_freezes"`   // of those, for at least a TTL
	Thawed        uint64            `json:"thawed_handles"` // times a handle from before a long freeze was asked after it
	ServerKills   int               `json:"server_kills"`
	ServerFreezes int               `json:"server_freezes"`
	Cuts          map[string]uint64 `json:"cuts"`               // of a process's connections to all members of the store, by how
	OneMember     map[string]uint64 `json:"cuts_of_one_member"` // and to one of several
	DroppedBytes  uint64            `json:"dropped_bytes"`
	Resets        uint64            `json:"reset_connections"`
}

// SinkCounts is what the sink was told.
type SinkCounts struct {
	Accepted  uint64 `json:"accepted"`
	Refused   uint64 `json:"refused"`   // for a stale token
	Believers uint64 `json:"believers"` // ownerships of which there is evidence, none at once with another
}

// Failovers are times in TTLs.
type Failovers struct {
	Node        Spread `json:"node"`         // from the kill of a process to the next owner of an actor
	Server      Spread `json:"server"`       // from the kill of the server to the first commit after it
	ServerStart Spread `json:"server_start"` // from its restart to that
}
