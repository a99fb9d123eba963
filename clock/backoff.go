package clock

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Backoff spaces out attempts exponentially with full jitter: the delay before
// retry n (n = 0, 1, …) is uniform in [0, min(Max, Initial·2^n)]. Full jitter
// keeps the least competing work among contenders that failed together (M.
// Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
//
// The zero value is not useful; see [Backoff.Validate].
type Backoff struct {
	Initial time.Duration // bound of the first delay; > 0
	Max     time.Duration // bound of every delay; >= Initial
}

// Validate returns an error that names the field and the limit it breaks.
func (b Backoff) Validate() error {
	if b.Initial <= 0 {
		return fmt.Errorf("clock: Backoff.Initial is %v, must be above 0", b.Initial)
	}
	if b.Max < b.Initial {
		return fmt.Errorf("clock: Backoff.Max is %v, must be at least Initial (%v)", b.Max, b.Initial)
	}
	return nil
}

// Bound returns the largest delay before retry n. A negative n counts as zero.
func (b Backoff) Bound(n int) time.Duration {
	d := b.Initial
	for ; n > 0 && d < b.Max; n-- {
		if d > b.Max/2 {
			return b.Max
		}
		d *= 2
	}
	return min(d, b.Max)
}

// Delay draws the delay before retry n from r.
func (b Backoff) Delay(n int, r *rand.Rand) time.Duration {
	return time.Duration(r.Uint64N(uint64(b.Bound(n)) + 1))
}
