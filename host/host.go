// Package host gathers all that a node may ask of its machine: time, network,
// randomness, tasks and waiting.
//
// Code that takes a [Host] and asks nothing else of the outside can run in
// production on [System] and in the simulator on sim.Host, unchanged: that is
// how the code that is simulated is the production code.
package host

import (
	"context"
	"math/rand/v2"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
)

// Host is one process's view of its machine. Methods may be called from
// several tasks at once.
type Host interface {
	clock.Clock

	// Name names the process in logs and traces.
	Name() string

	// Network returns the process's place on the network.
	Network() network.Network

	// Rand returns a random source that may be shared between tasks. It is not
	// for secrets.
	Rand() *rand.Rand

	// Go runs f in a task of its own. The name is for traces and must not
	// depend on chance. f's context ends when the host does.
	Go(name string, f func(ctx context.Context))

	// Context ends when the host does. Tasks derive theirs from it.
	Context() context.Context
}
