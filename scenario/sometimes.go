package scenario

// event is something that a scenario may declare to happen sometimes.
type event int

const (
	evHeld              event = iota // a claim met a live owner
	evMoved                          // an actor came to another node
	evTakeover                       // … whose last owner had not released it
	evReleased                       // an actor was released
	evLeft                           // a node left
	evSilent                         // a session was silent for long enough to be revoked
	evRevoked                        // … and was revoked
	evRenewedFirst                   // … but a renewal came first
	evDegraded                       // a session was degraded
	evRefused                        // … and refused a claim
	evRecovered                      // … and became healthy again
	evLost                           // a node was told that its session is lost
	evRejoined                       // a process joined again after a session had ended
	evInUse                          // a join met a live session of its node id
	evReplaced                       // a join ended a live session of another process
	evDoubtApplied                   // a commit in doubt turned out to have taken effect
	evDoubtDropped                   // … or not to have
	evUnknown                        // the outcome of a claim stayed unknown
	evGivenBack                      // … and what it had got was given back
	evLateDoubt                      // a holder stopped being sure between asking and acting
	evStaleRefused                   // the fenced resource refused a stale token
	evGuardRefused                   // the guard refused a claim that no longer held
	evCrashed                        // a node's process crashed
	evOverlap                        // two claims of one actor were valid at once (clocks beyond their bound)
	evTransferred                    // an actor was given to another node
	evAccepted                       // … and the node took it up
	evClaimedGiven                   // … or found by a claim that it has it
	evGivenLost                      // … or came to its end before that
	evTransferUnknown                // the outcome of a transfer stayed unknown
	evTransferRepeated               // … until the same was done once more
	evTransferFound                  // a transfer in doubt turned out to have taken effect
	evTransferRedone                 // … or not to have
	evTargetRefused                  // the target took no actors
	evCrashedInTransfer              // a node's process crashed with a transfer under way
	evBatchSplit                     // a batch of claims got some actors and not others
	evToldJoining                    // a watcher was told of a node that is not ready yet
	evToldReady                      // … and that it is
	evToldLeft                       // … of one that left
	evToldFailed                     // … of one that was revoked
	evToldDegraded                   // … of one whose renewals were missed
	evToldRecovered                  // … and came again
	evToldDraining                   // … of one that gives its actors away
	evToldForgotten                  // … of one that is not remembered any more
	evResumed                        // a process went on watching where its last life had stopped
	evCompacted                      // … and was so far behind that it was given a snapshot
	evLateRow                        // a change's row came at a position that a watcher had read past
	evAgreed                         // two watchers had been told up to one point
	evSnapshotAgreed                 // … one of them by a snapshot, the other by changes
	evMonitorRevoked                 // a monitor revoked a session
	evMarked                         // a monitor marked a session as degraded
	evUnmarked                       // … and a renewal took that back
	evSwept                          // records that a session had left were cleared
	evForgotten                      // a node was forgotten
	evConflicted                     // a claim conflicted, in a world that counts them
	evLimited                        // a silent session was not revoked, because the limit was reached
	evLimitOver                      // … and then there was room again
	evPlaced                         // a placement made a node an owner
	evFound                          // … or found one
	evNoNode                         // … or found no node that takes actors
	evFull                           // a node was full when it was to be given an actor
	evDrained                        // a session has given everything away
	evDrainMoved                     // a drain moved an actor
	evDrainFreed                     // … or released it
	evDrainKept                      // … or ended with actors left
	evDrainResumed                   // … and another has finished its work
	evDrainGivenUp                   // … or nobody has, and the node went on
	evDrainedAtLast                  // … but at the end of the workload
	evDrainRefused                   // a session that drains refused a claim
	evPassedOn                       // a drain moved an actor that nobody had accepted
	evRebalanced                     // a rebalance moved an actor
	evCopied                         // a server between nodes and store got a commit twice, and committed once
	evStranger                       // … or did not know a client any more
	evSwitched                       // a client went to another such server
	evRemoteDoubt                    // … or a commit there stayed without an answer
	evBatched                        // … or sent several small requests as one
	evAskedAgain                     // … or asked again for an answer that did not come with those of its batch
	evBatchLost                      // … or got no answer to a batch of commits
	evServerEnded                    // a server between nodes and store ended in order
	evServerWaited                   // … after it had waited for commits under way
	evWatchFired                     // a watch of the store fired
	evWatchEnded                     // … or ended with an error
	evWatchResumed                   // a wait for one was answered after an answer to it had been lost
	evAudited                        // the audit claimed every actor
	eventCount
)

var eventNames = [eventCount]string{
	"held", "moved", "takeover", "released", "left", "silent", "revoked",
	"renewed-first", "degraded", "claim-refused", "recovered", "lost",
	"rejoined", "in-use", "replaced", "doubt-applied", "doubt-dropped", "unknown", "given-back",
	"late-doubt", "stale-refused", "guard-refused", "crashed", "overlap",
	"transferred", "accepted", "claimed-given", "given-lost", "transfer-unknown", "transfer-repeated",
	"transfer-found", "transfer-redone", "target-refused", "crashed-in-transfer", "batch-split",
	"told-joining", "told-ready", "told-left", "told-failed", "told-degraded", "told-recovered", "told-draining", "told-forgotten",
	"resumed", "compacted", "late-row", "agreed", "snapshot-agreed", "monitor-revoked", "marked", "unmarked", "swept", "forgotten", "conflicted", "revoke-limited", "revoke-limit-over",
	"placed", "found", "no-node", "full", "drained", "drain-moved", "drain-freed", "drain-kept", "drain-resumed", "drain-given-up", "drained-at-last",
	"draining-refused", "passed-on", "rebalanced",
	"copied", "stranger", "switched", "remote-doubt", "batched", "asked-again", "batch-lost", "server-ended", "server-waited", "watch-fired", "watch-ended", "watch-resumed", "audited",
}

func (r *run) happened(e event) { r.events[e]++ }

// counts returns the counts of the declared events, in the order of their
// declaration.
func (r *run) counts(declared []string) []Count {
	cs := make([]Count, 0, len(declared))
	for _, name := range declared {
		for e, known := range eventNames {
			if known == name {
				cs = append(cs, Count{Name: name, N: r.events[e]})
			}
		}
	}
	return cs
}
