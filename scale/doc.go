// Package scale runs large simulated clusters of the production registry, and
// measures what they cost and how long they are without an owner: transactions
// of the store by kind, fail-over after a kill, in true time and in multiples of
// the TTL.
//
// A figure is a function of its configuration, seed and build, like everything in
// the simulator; only wall time and memory are the machine's. Faults other than
// the kills that a measurement is about are the subject of package scenario.
// What must hold always holds here too: no two claims of one actor are Valid at
// one instant, and records, index and load agree in the end.
package scale

import (
	"errors"
	"fmt"
)

// ErrConfig: a field of a configuration is out of its range. The text names the
// field and the limit.
var ErrConfig = errors.New("scale: bad configuration")

// Limits of configurations.
const (
	MaxNodes  = 10_000
	MaxActors = 10_000_000
	MaxSeeds  = 1_000_000
)

func between(field string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("%w: %s is %d, must be from %d to %d", ErrConfig, field, value, low, high)
	}
	return nil
}
