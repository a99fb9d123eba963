// Package registry answers one question safely: which node owns actor X right
// now?
//
// A process opens a [Registry] over a transactional store, joins it as a node
// ([Registry.Join]) and claims actors through the [Session] it got. Every node
// renews one lease, however many actors it owns. A [Claim] carries a fencing
// [Token] and answers [Claim.Valid].
//
// # What it guarantees
//
//   - Tokens are absolute. For one actor, each new ownership has a higher token
//     than all before it. A resource that refuses a token below the highest it
//     has seen is safe whatever pauses, clocks and the store do. [Guard] does
//     the same inside a transaction of the registry's own store.
//   - Exclusive in time. At any instant at most one claim of an actor is Valid,
//     as long as the rate of every node's monotonic clock is wrong by no more
//     than [Options].MaxDrift. Clocks need not agree on the time, and no
//     decision reads a wall clock.
//   - Linearizable. Join, Claim, Release, Transfer, Leave, a revocation and Lookup
//     each take effect at one instant between call and return. An operation that
//     could not learn whether it took effect says so with [ErrUnknown];
//     repeating it is safe.
//   - Live. A session that stops renewing is revoked by whoever wants one of its
//     actors and has watched it in silence for TTL·(1+MaxDrift).
//
// # What it does not
//
// A machine whose monotonic clock stands still (a suspended guest, say) breaks
// the assumption of exclusion in time, not that of the tokens. A caller who
// joins with [JoinOptions].Replace vouches that the old process is dead; if it
// is not, only tokens protect.
//
// The package asks its [host.Host] for time, tasks and chance, and so runs
// unchanged in the simulator.
package registry
