package sim

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// exact is what a clock shows after it ran for each given time at each rate.
func exact(spans []time.Duration, rates []int64) time.Duration {
	sum := new(big.Int)
	for i, s := range spans {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(s)), big.NewInt(rates[i])))
	}
	return time.Duration(sum.Quo(sum, big.NewInt(billion)).Int64())
}

func TestLocalClockIsExactOverAnyNumberOfRateChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var spans []time.Duration
		var rates []int64
		var c localClock
		now := time.Duration(r.Int64N(int64(time.Hour)))
		c.since, c.rate = now, billion
		for range 1 + r.IntN(50) {
			rate := 1 + r.Int64N(2*billion-1)
			if r.IntN(4) == 0 {
				rate = billion
			}
			c.setRate(now, rate)
			span := time.Duration(r.Int64N(1 << (1 + r.IntN(50))))
			spans, rates = append(spans, span), append(rates, rate)
			now += span
			if got, want := c.local(now), exact(spans, rates); got != want {
				t.Fatalf("clock shows %d after %v at %v, want %d", got, spans, rates, want)
			}
		}
	}
}

func TestTrueTimeIsTheFirstAtWhichTheClockShowsIt(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		c := localClock{rate: 1 + r.Int64N(2*billion-1), since: time.Duration(r.Int64N(1e12))}
		c.setRate(c.since+time.Duration(r.Int64N(1e6)), 1+r.Int64N(2*billion-1))
		shown := c.base + time.Duration(r.Int64N(1<<40))
		at := c.trueTime(shown)
		if got := c.local(at); got < shown {
			t.Fatalf("%+v: shows %d at %d, want at least %d", c, got, at, shown)
		}
		if at > c.since && c.local(at-1) >= shown {
			t.Fatalf("%+v: shows %d at %d already", c, c.local(at-1), at-1)
		}
	}
}

func TestTrueTimeOfWhatTheClockShowedAlreadyIsItsStart(t *testing.T) {
	c := localClock{rate: 2, since: 100, base: 50}
	for _, shown := range []time.Duration{-5, 0, 50} {
		if got := c.trueTime(shown); got != 100 {
			t.Errorf("trueTime(%d) = %d, want 100", shown, got)
		}
	}
}

func TestLocalClockSaturatesAtTheEndOfTime(t *testing.T) {
	for _, rate := range []int64{1, billion / 2, billion, 2*billion - 1} {
		c := localClock{rate: rate, since: 10, base: 20}
		if got := c.local(math.MaxInt64); got < 0 {
			t.Errorf("rate %d: clock shows %d at the end of time", rate, got)
		}
		if got := c.trueTime(math.MaxInt64); got < 0 {
			t.Errorf("rate %d: the clock's last time is at %d", rate, got)
		}
	}
}

func TestSlowClockReachesNoFarTime(t *testing.T) {
	c := localClock{rate: 1}
	if got := c.trueTime(time.Hour); got != math.MaxInt64 {
		t.Errorf("a clock at 1 ppb shows an hour at %v, want the end of time", got)
	}
}
