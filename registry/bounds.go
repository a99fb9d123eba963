package registry

import (
	"math"
	"time"
)

// Bounds are what the options in force come to, in true time, as long as every
// clock's rate is wrong by no more than MaxDrift.
type Bounds struct {
	// Belief is how long a holder believes in its claims after the last renewal
	// that succeeded began: TTL. Its clock shows TTL·(1−MaxDrift) by then.
	Belief time.Duration
	// Silence is how long, at least, a session must have shown no renewal before
	// it is revoked: TTL as well, of which exclusion is made. The observer's clock
	// shows TTL·(1+MaxDrift).
	Silence time.Duration
	// Detection is how long, at most, a dead node's session stays live when the store
	// answers and one of its monitors lives; whether anybody wants its actors does not
	// matter. Zero without monitors.
	Detection time.Duration
	// FailOver is how long, at most, an actor of a dead node stays without an
	// owner when somebody has been waiting for it in [Session.ClaimWait] since
	// before the death, and the store answers: see [Registry.Bounds].
	FailOver time.Duration
}

// failOverSteps is how many calls of the store a fail-over waits for, one after
// the other, at most: the dead node's last renewal may be on its way (1); the look
// in which the waiter first sees it reads and sets two watches (3), and so does the
// one in which its turn has come (3); the revocation reads and commits (2); the
// claim reads and commits (2).
const failOverSteps = 11

// detectionSteps is the same for a detection: the dead node's last renewal (1), the
// look that first shows it (1) and the one in which the turn has come (1), and the
// revocation, which reads and commits (2).
const detectionSteps = 5

// transactionSteps is how many calls of the store pace is about: a read and a commit.
const transactionSteps = 2

// Bounds returns the bounds for a store whose every read, and every commit, takes
// storeTime at most and succeeds, and for so many live nodes at most. They are
//
//	Belief    = TTL
//	Silence   = TTL
//	Detection = (TTL·(1+MaxDrift) + 5/4·LookEvery + M)/(1−MaxDrift) + 5·storeTime
//	FailOver  = (TTL·(1+MaxDrift) + 5/4·Every + 2·W)/(1−MaxDrift) + 11·storeTime
//
// with M = U·(log2(Monitors) + 1/4), for more than one monitor, and
// W = U·(log2(nodes) + 1/4), below TTL. U is the unit of turns at most: Stagger, or
// 4·storeTime when that is longer, but no more than TTL/14. Every is PollEvery, or
// LookEvery if that is longer and there are monitors. In FailOver, a waiter sees
// the last renewal at most PollEvery and its jitter of an eighth after it was
// committed, on a clock that may run slow; waits out the silence, and W at most until
// its turn; looks again within another eighth, and waits W at most before it claims.
//
// Detection is the same for a monitor, which looks every LookEvery and never waits for
// longer than the last of the monitors does. It grows by two storeTimes for each
// session that dies at the same time and has the same monitor, which revokes one
// after the other.
//
// Both suppose that the monitor which marks the session as degraded, and has the first
// turn to revoke it, does not die in between. If it does, either takes longer by
// (9/8·LookEvery + U)/(1−MaxDrift), at most.
//
// U is what the processes that wait make of it by their last eight renewals. Both suppose
// that of these no more than one took longer than 2·storeTime, because the process stood
// still, or the store, at some time before.
//
// Both suppose, too, that the limit of revocations is not reached. While it is, a
// session stays until the window ends, TTL·(1+MaxDrift)/(1−MaxDrift) after it was
// opened at most and the time of one look.
func (r *Registry) Bounds(storeTime time.Duration, nodes int) Bounds {
	o := r.o
	if o.Monitors < 0 {
		nodes = 1 // nobody waits by its rank
	}
	bound := func(every, turns time.Duration, steps int) time.Duration {
		wait := float64(stretch(o.TTL, o.MaxDrift)) + 1.25*float64(every) + float64(turns)
		return time.Duration(math.Ceil(wait/(1-o.MaxDrift))) + time.Duration(steps)*storeTime
	}
	unit := o.contendedTurn(transactionSteps * storeTime)
	every := o.PollEvery
	if o.Monitors > 0 {
		every = max(every, o.LookEvery)
	}
	b := Bounds{
		Belief:   o.TTL,
		Silence:  o.TTL,
		FailOver: bound(every, 2*longestStagger(unit, nodes), failOverSteps),
	}
	if o.Monitors > 0 {
		b.Detection = bound(o.LookEvery, longestStagger(unit, o.Monitors), detectionSteps)
	}
	return b
}
