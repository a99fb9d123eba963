package scale

import (
	"math"
	"slices"
	"time"
)

// Distribution is a set of measured times.
type Distribution struct {
	sorted []time.Duration
}

func distribution(times []time.Duration) Distribution {
	return Distribution{slices.Sorted(slices.Values(times))}
}

// N returns how many were measured.
func (d Distribution) N() int { return len(d.sorted) }

// Quantile returns the time that a share q, from 0 to 1, of the measured does not
// exceed, by the nearest rank: 0 is the shortest and 1 the longest. It is 0 when
// nothing was measured.
func (d Distribution) Quantile(q float64) time.Duration {
	if len(d.sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(d.sorted))))
	return d.sorted[min(max(rank, 1), len(d.sorted))-1]
}
