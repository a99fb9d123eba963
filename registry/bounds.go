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
	// FailOver is how long, at most, an actor of a dead node stays without an
	// owner when somebody has been waiting for it in [Session.ClaimWait] since
	// before the death, and the store answers: see [Registry.Bounds].
	FailOver time.Duration
}

// failOverSteps is how many calls of the store a fail-over waits for, one after
// the other, at most: the dead node's last renewal may be on its way (1); the
// waiter's cycle in which it is first seen has a read of the actor, one of the
// session and one that sets a watch (3); so has the one in which the silence is
// complete (2); the revocation reads and commits (2), and so does the claim (2).
const failOverSteps = 10

// Bounds returns the bounds for a store whose every read, and every commit, takes
// storeTime at most and succeeds. They are
//
//	Belief   = TTL
//	Silence  = TTL
//	FailOver = (TTL·(1+MaxDrift) + 5/4·PollEvery)/(1−MaxDrift) + 10·storeTime
//
// In FailOver, a waiter sees the last renewal at most PollEvery and its jitter of
// an eighth after it was committed, on a clock that may run slow; waits out the
// silence; and looks again within another eighth.
func (r *Registry) Bounds(storeTime time.Duration) Bounds {
	o := r.o
	wait := float64(stretch(o.TTL, o.MaxDrift)) + 1.25*float64(o.PollEvery)
	return Bounds{
		Belief:   o.TTL,
		Silence:  o.TTL,
		FailOver: time.Duration(math.Ceil(wait/(1-o.MaxDrift))) + failOverSteps*storeTime,
	}
}
