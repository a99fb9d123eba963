package registry

import (
	"math"
	"time"
)

// The arithmetic of a lease.
//
// A holder begins a renewal at true time t and learns that it succeeded. Its
// clock may run slow: by the time it shows TTL·(1−d), at most
// TTL·(1−d)/(1−d) = TTL of true time has passed, so it stops believing at t+TTL
// at the latest. An observer reads the renewal after it was committed, which is
// after t, and waits until its clock, which may run fast, shows TTL·(1+d) more:
// at least TTL·(1+d)/(1+d) = TTL of true time. So it revokes after t+TTL at the
// earliest. (C. Gray and D. Cheriton, "Leases", SOSP 1989, with the clock error
// taken as a bound on rates.)

// shrink returns ttl·(1−drift), rounded down.
func shrink(ttl time.Duration, drift float64) time.Duration {
	return ttl - time.Duration(math.Ceil(float64(ttl)*drift))
}

// stretch returns ttl·(1+drift), rounded up.
func stretch(ttl time.Duration, drift float64) time.Duration {
	return ttl + time.Duration(math.Ceil(float64(ttl)*drift))
}
