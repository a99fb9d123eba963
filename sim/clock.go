package sim

import (
	"math"
	"math/bits"
	"time"
)

const billion = 1_000_000_000

// epoch is the wall-clock time at which every world starts.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// localClock is a monotonic clock that runs at rate/10⁹ of true time. It is
// exact: what a division leaves over is kept in frac, so that no change of the
// rate, however frequent, makes it drift.
//
//	local(t) = base + ⌊((t−since)·rate + frac) / 10⁹⌋
type localClock struct {
	rate  int64         // > 0; 10⁹ is the true rate
	since time.Duration // true time at which base was taken
	base  time.Duration // what the clock showed then
	frac  uint64        // and how much more, in 10⁻⁹ ns; < 10⁹
}

// setRate changes the rate from true time now on.
func (c *localClock) setRate(now time.Duration, rate int64) {
	c.base, c.frac = c.split(now)
	c.since, c.rate = now, rate
}

// local returns what the clock shows at true time now, not before c.since.
func (c *localClock) local(now time.Duration) time.Duration {
	if c.rate == billion {
		return later(c.base, now-c.since)
	}
	shown, _ := c.split(now)
	return shown
}

func (c *localClock) split(now time.Duration) (shown time.Duration, frac uint64) {
	hi, lo := bits.Mul64(uint64(now-c.since), uint64(c.rate))
	lo, carry := bits.Add64(lo, c.frac, 0)
	hi += carry
	if hi >= billion {
		return math.MaxInt64, 0 // beyond 292 years
	}
	q, r := bits.Div64(hi, lo, billion)
	if q > uint64(math.MaxInt64-c.base) {
		return math.MaxInt64, 0
	}
	return c.base + time.Duration(q), r
}

// trueTime returns the first true time, not before c.since, at which the clock
// shows at least shown.
func (c *localClock) trueTime(shown time.Duration) time.Duration {
	if shown <= c.base {
		return c.since
	}
	if c.rate == billion {
		return later(c.since, shown-c.base)
	}
	hi, lo := bits.Mul64(uint64(shown-c.base), billion)
	lo, borrow := bits.Sub64(lo, c.frac, 0)
	hi -= borrow
	rate := uint64(c.rate)
	lo, carry := bits.Add64(lo, rate-1, 0) // round up
	hi += carry
	if hi >= rate {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, rate)
	if q > math.MaxInt64 {
		return math.MaxInt64
	}
	return later(c.since, time.Duration(q))
}
