package clock_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/clock"
)

// backoffs draws every valid Backoff, the extremes included.
func backoffs() *rapid.Generator[clock.Backoff] {
	return rapid.Custom(func(t *rapid.T) clock.Backoff {
		first := rapid.Int64Range(1, math.MaxInt64).Draw(t, "Initial")
		most := rapid.Int64Range(first, math.MaxInt64).Draw(t, "Max")
		return clock.Backoff{Initial: time.Duration(first), Max: time.Duration(most)}
	})
}

func TestBackoffBoundDoublesUpToMax(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := backoffs().Draw(t, "backoff")
		if err := b.Validate(); err != nil {
			t.Fatalf("a valid backoff was refused: %v", err)
		}
		n := rapid.IntRange(-3, 200).Draw(t, "n")
		want := float64(b.Initial) * math.Pow(2, float64(max(n, 0)))
		want = min(want, float64(b.Max))
		// float64 has 53 bits: compare with that precision.
		if got := b.Bound(n); math.Abs(float64(got)-want) > want*1e-12 || got > b.Max || got < b.Initial {
			t.Fatalf("Bound(%d) = %v, want about %v", n, got, time.Duration(want))
		}
		if b.Bound(n+1) < b.Bound(n) {
			t.Fatalf("Bound shrinks from %v to %v", b.Bound(n), b.Bound(n+1))
		}
	})
}

func TestBackoffDelayStaysInsideItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := backoffs().Draw(t, "backoff")
		n := rapid.IntRange(-1, 80).Draw(t, "n")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if d := b.Delay(n, r); d < 0 || d > b.Bound(n) {
			t.Fatalf("Delay(%d) = %v, outside [0, %v]", n, d, b.Bound(n))
		}
	})
}

func TestBackoffDelayReachesBothEnds(t *testing.T) {
	b := clock.Backoff{Initial: 3, Max: 3}
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[time.Duration]int{}
	for range 4000 {
		seen[b.Delay(0, r)]++
	}
	for d := range time.Duration(4) {
		// 1,000 are expected, with a standard deviation of 27.
		if seen[d] < 800 || seen[d] > 1200 {
			t.Errorf("delay %d was drawn %d times out of 4000, want about 1000", d, seen[d])
		}
	}
}

func TestBackoffValidateNamesTheFieldAndTheLimit(t *testing.T) {
	for _, c := range []struct {
		name    string
		backoff clock.Backoff
		want    []string // parts of the error; none: accepted
	}{
		{"smallest", clock.Backoff{Initial: 1, Max: 1}, nil},
		{"zero value", clock.Backoff{}, []string{"Initial", "above 0"}},
		{"negative Initial", clock.Backoff{Initial: -time.Second, Max: 1}, []string{"Initial", "-1s"}},
		{"Max under Initial", clock.Backoff{Initial: 2 * time.Second, Max: time.Second}, []string{"Max", "1s", "Initial (2s)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.backoff.Validate()
			if (err != nil) != (len(c.want) > 0) {
				t.Fatalf("Validate() = %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}
