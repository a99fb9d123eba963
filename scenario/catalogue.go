package scenario

import (
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// catalogue is every scenario, in the order of reports.
var catalogue = []Scenario{
	{
		Name:      "expired-vs-renew",
		About:     "a lease runs out while its holder renews it, and others revoke the session and claim its actors",
		Sometimes: []string{"silent", "revoked", "takeover", "degraded", "recovered", "lost", "rejoined", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 900 * time.Millisecond, faults: 10, menu: expiryFaults,
			mix: mix{claim: 2, wait: 10, use: 2, write: 3, guard: 2, release: 1, lookup: 2},
		},
	},
	{
		Name:      "photo-finish",
		About:     "renewals, looks and revocations are delayed so that they meet within milliseconds of the end of a lease",
		Sometimes: []string{"silent", "revoked", "renewed-first", "takeover", "lost", "audited"},
		MinSeeds:  200,
		shape: shape{
			nodes: 3, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.01, exclusive: true,
			think: 500 * time.Millisecond, faults: 2, menu: pauseFaults, also: photoFinish,
			mix: mix{claim: 2, wait: 12, use: 2, write: 1, lookup: 1},
		},
	},
	{
		Name:      "concurrent-claims",
		About:     "all nodes claim the same free actor at the same instants",
		Sometimes: []string{"held", "moved", "released", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 4, workers: 2, actors: 2, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: time.Second, faults: 8, menu: contentionFaults, together: true,
			mix: mix{claim: 8, use: 1, guard: 1, release: 6, lookup: 2},
		},
	},
	{
		Name:      "zombie-owner",
		About:     "an owner stands still past its TTL and then goes on with what it was doing, at a fenced resource",
		Sometimes: []string{"takeover", "late-doubt", "stale-refused", "guard-refused", "lost", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 2, actors: 4, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 600 * time.Millisecond, faults: 8, menu: pauseFaults,
			mix: mix{wait: 5, use: 1, write: 10, guard: 5, release: 1},
		},
	},
	{
		Name:      "commit-unknown",
		About:     "the store says that a commit may or may not have happened, and both are true at times",
		Sometimes: []string{"doubt-applied", "doubt-dropped", "unknown", "given-back", "moved", "released", "left", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 3, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 800 * time.Millisecond, faults: 10, menu: doubtFaults, hasty: true,
			mix: mix{claim: 6, wait: 2, use: 1, write: 1, guard: 2, release: 5, lookup: 3, leave: 1},
		},
	},
	{
		Name:      "clock-skew",
		About:     "clocks run as fast and as slow as MaxDrift allows, and wall clocks jump",
		Sometimes: []string{"silent", "revoked", "takeover", "lost", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.1, rate: 100_000_000, exclusive: true,
			think: 1200 * time.Millisecond, faults: 10, menu: skewFaults,
			mix: mix{claim: 2, wait: 6, use: 2, write: 3, guard: 1, release: 1, lookup: 1},
		},
	},
	{
		Name:      "clock-skew-beyond",
		About:     "clocks run three times as wrong as MaxDrift allows: two may believe at once, tokens still hold",
		Sometimes: []string{"revoked", "takeover", "overlap", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.1, rate: 300_000_000,
			think: 1200 * time.Millisecond, faults: 10, menu: skewFaults,
			mix: mix{claim: 2, wait: 6, use: 2, write: 6, guard: 1, release: 1, lookup: 1},
		},
	},
	{
		Name:      "silent-renewal",
		About:     "one node cannot reach the store, or cannot hear it, while it believes to own actors",
		Sometimes: []string{"degraded", "claim-refused", "recovered", "lost", "revoked", "takeover", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 3, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 800 * time.Millisecond, faults: 8, menu: cutOff,
			mix: mix{claim: 5, wait: 4, use: 2, write: 2, guard: 1, release: 2, lookup: 2},
		},
	},
	{
		Name:      "join-same-id",
		About:     "several processes join as one node id, crash, stand still and come back",
		Sometimes: []string{"in-use", "crashed", "revoked", "lost", "rejoined", "left", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 600 * time.Millisecond, faults: 10, menu: joinFaults, also: firstJoin, sharedID: true,
			mix: mix{claim: 5, use: 1, write: 2, guard: 2, release: 2, lookup: 2, leave: 2},
		},
	},
	{
		Name:      "replaced",
		About:     "an operator ends the session of a node that still runs: two may believe for a while, tokens still hold",
		Sometimes: []string{"replaced", "in-use", "lost", "guard-refused", "overlap", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 3, workers: 2, actors: 2, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000,
			think: 600 * time.Millisecond, faults: 8, menu: joinFaults, sharedID: true, replace: true,
			mix: mix{claim: 5, use: 3, write: 4, guard: 3, release: 1, lookup: 2, leave: 1},
		},
	},
	{
		Name:  "membership",
		About: "nodes join, get ready, drain, leave, crash and are revoked, while everybody follows the changes",
		Sometimes: []string{
			"told-joining", "told-ready", "told-left", "told-failed", "told-degraded", "told-recovered", "told-draining", "told-forgotten",
			"resumed", "compacted", "late-row", "agreed", "snapshot-agreed", "crashed", "rejoined", "audited",
		},
		MinSeeds: 100,
		shape: shape{
			nodes: 5, workers: 1, actors: 2, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 1200 * time.Millisecond, faults: 12, menu: membershipFaults, watch: true, batches: true, monitors: 2,
			tune: func(o *registry.Options) { o.LogKeep, o.NodeRetention = registry.MinLogKeep, o.TTL },
			mix:  mix{claim: 2, wait: 3, release: 2, leave: 3, drain: 1},
		},
	},
	{
		Name:  "hand-off",
		About: "nodes give actors to each other, with a payload, while commits stay in doubt and givers and takers crash",
		Sometimes: []string{
			"transferred", "accepted", "claimed-given", "given-lost", "transfer-unknown", "transfer-repeated", "transfer-found", "transfer-redone",
			"target-refused", "crashed-in-transfer", "batch-split", "given-back", "held", "revoked", "left", "audited",
		},
		MinSeeds: 200,
		shape: shape{
			nodes: 3, workers: 2, actors: 3, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 600 * time.Millisecond, faults: 10, menu: handOffFaults, also: handOffStrikes, hasty: true, batches: true,
			mix: mix{claim: 5, wait: 2, use: 2, write: 2, guard: 3, release: 2, transfer: 10, lookup: 3, leave: 1},
		},
	},
	{
		Name:  "herd",
		About: "nine nodes want the same few actors, and many of them die at once",
		Sometimes: []string{
			"silent", "revoked", "monitor-revoked", "revoke-limited", "revoke-limit-over", "marked", "unmarked", "swept", "forgotten", "conflicted",
			"takeover", "crashed", "lost", "rejoined", "audited",
		},
		MinSeeds: 100,
		shape: shape{
			nodes: 9, workers: 2, actors: 4, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 1500 * time.Millisecond, faults: 5, menu: herdFaults, also: deaths, monitors: 3, tune: herdOptions, herd: true,
			mix: mix{wait: 10, use: 1, write: 1, release: 2},
		},
	},
	{
		Name:      "placement",
		About:     "everybody places actors, on nodes that are small, not ready, drain, leave and die",
		Sometimes: []string{"placed", "found", "no-node", "full", "target-refused", "accepted", "claimed-given", "doubt-applied", "takeover", "drained", "passed-on", "crashed", "audited"},
		MinSeeds:  200,
		shape: shape{
			nodes: 4, workers: 2, actors: 5, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 500 * time.Millisecond, faults: 10, menu: placementFaults, hasty: true, batches: true, lateReady: true,
			capacities: []int64{1, 2, 1, 0},
			mix:        mix{claim: 1, use: 1, write: 2, guard: 2, release: 5, place: 14, drain: 1, lookup: 2, leave: 1},
		},
	},
	{
		Name:  "rolling-restart",
		About: "nodes drain, leave and come back one after the other, and level out what they own, while actors are placed and used",
		Sometimes: []string{
			"drained", "drain-moved", "drain-freed", "drain-kept", "drain-resumed", "draining-refused", "passed-on", "rebalanced",
			"accepted", "target-refused", "left", "rejoined", "doubt-applied", "audited",
		},
		MinSeeds: 200,
		shape: shape{
			nodes: 4, workers: 2, actors: 6, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 500 * time.Millisecond, faults: 8, menu: placementFaults, hasty: true, batches: true,
			mix: mix{claim: 2, use: 1, write: 2, guard: 2, release: 1, place: 8, drain: 3, rebalance: 3, lookup: 2},
		},
	},
	{
		Name:  "crossing",
		About: "operations on an actor and on its nodes begin at the same instants, some so slow that others are done between their read and their commit",
		Sometimes: []string{
			"placed", "found", "full", "transferred", "accepted", "target-refused", "transfer-found", "held", "moved", "released",
			"drained", "drain-moved", "draining-refused", "left", "rejoined", "doubt-applied", "audited",
		},
		MinSeeds: 200,
		shape: shape{
			nodes: 4, workers: 2, actors: 5, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: time.Second, faults: 6, menu: crossingFaults, also: crossings, together: true, crossing: true,
			capacities: []int64{0, 2},
			mix:        mix{claim: 3, use: 1, write: 1, guard: 1, release: 3, transfer: 2, place: 10, lookup: 1},
		},
	},
	{
		Name:  "drain-cut-short",
		About: "drains are cut short while claims of what the node is given are in doubt, and are taken up again, or not",
		Sometimes: []string{
			"unknown", "given-back", "placed", "transferred", "accepted", "claimed-given", "drained", "drain-moved", "drain-kept", "drain-given-up",
			"drained-at-last", "draining-refused", "passed-on", "left", "rejoined", "doubt-applied", "doubt-dropped", "audited",
		},
		MinSeeds: 200,
		shape: shape{
			nodes: 4, workers: 2, actors: 3, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: 400 * time.Millisecond, faults: 3, menu: crossingFaults, also: cutShorts, together: true, cutShort: true,
			mix: mix{use: 1, lookup: 1},
		},
	},
	{
		Name:  "remote",
		About: "the store is behind two servers, which crash, and whose requests and answers are lost, late and doubled",
		Sometimes: []string{
			"copied", "stranger", "switched", "remote-doubt", "batched", "asked-again", "batch-lost", "server-ended", "server-waited",
			"watch-fired", "watch-ended", "watch-resumed", "doubt-applied", "doubt-dropped",
			"takeover", "revoked", "recovered", "lost", "rejoined", "moved", "released", "audited",
		},
		MinSeeds: 100,
		shape: shape{
			nodes: 4, remotes: 2, workers: 2, actors: 4, ttl: 3 * time.Second, drift: 0.01, rate: 10_000_000, exclusive: true,
			think: time.Second, faults: 14, menu: remoteFaults, also: remoteStrikes, batches: true, crowds: true, hasty: true,
			mix: mix{claim: 5, wait: 4, use: 2, write: 3, guard: 3, release: 4, transfer: 1, lookup: 3, leave: 1},
		},
	},
	{
		Name:      "mixed",
		About:     "everything at once: five nodes, all operations, every kind of fault",
		Sometimes: []string{"held", "moved", "takeover", "released", "left", "silent", "revoked", "degraded", "recovered", "lost", "rejoined", "doubt-applied", "doubt-dropped", "crashed", "audited"},
		MinSeeds:  100,
		shape: shape{
			nodes: 5, workers: 2, actors: 4, ttl: 3 * time.Second, drift: 0.05, rate: 50_000_000, exclusive: true,
			think: 1500 * time.Millisecond, faults: 16, menu: everything, monitors: 3,
			mix: mix{claim: 5, wait: 4, use: 2, write: 3, guard: 2, release: 3, lookup: 3, leave: 1},
		},
	},
}
