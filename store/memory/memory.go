// Package memory is a store engine that keeps everything in memory, for tests,
// for the simulator and for registries that need not outlive their process.
//
// It is package optimistic without a base, and keeps what that package
// promises: a concurrent, multi-version store with optimistic transactions and
// FoundationDB's semantics where the port leaves room. Memory is bounded by the
// live data plus the writes of the window.
//
// An engine is safe for use by many goroutines. It also runs in the simulator:
// it starts none, blocks on nothing but the events of its clock, reads no time
// and draws no random numbers.
package memory

import (
	"context"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// Options of an engine. The zero value is ready for use; a field that is zero
// or less has its default.
type Options struct {
	// Clock makes the events that watches wait on. Default: [clock.System].
	Clock clock.Clock

	// Window is the number of versions before the last one that can still be
	// read and committed against. Default: [DefaultWindow].
	Window int

	// RangeRows bounds the rows of one answer to GetRange; a longer range is
	// answered in part, with more. Default: [DefaultRangeRows].
	RangeRows int

	// MaxWatches bounds the watches that are not over. One too many ends at
	// once with store.ErrUnavailable. Default: [DefaultMaxWatches].
	MaxWatches int
}

// Defaults of [Options].
const (
	DefaultWindow     = optimistic.DefaultWindow
	DefaultRangeRows  = optimistic.DefaultRangeRows
	DefaultMaxWatches = optimistic.DefaultMaxWatches
)

// Engine implements [store.Engine].
type Engine struct {
	core *optimistic.Engine
}

var _ store.Engine = (*Engine)(nil)

// New returns an empty store.
func New(o Options) *Engine {
	return &Engine{optimistic.New(optimistic.Options{
		Clock:      o.Clock,
		Window:     o.Window,
		RangeRows:  o.RangeRows,
		MaxWatches: o.MaxWatches,
	})}
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn { return e.core.Begin(ctx) }

// Close implements [store.Engine]. Closing again does nothing.
func (e *Engine) Close() error { return e.core.Close() }

// Stats are the sizes of an engine's parts.
type Stats struct {
	Keys      int // keys with a value or a remembered removal
	Revisions int // remembered values and removals
	Conflicts int // remembered writes, for conflict checks
	Watches   int // watches that are not over
}

// Stats returns the sizes of the engine's parts.
func (e *Engine) Stats() Stats {
	s := e.core.Stats()
	return Stats{Keys: s.Keys, Revisions: s.Revisions, Conflicts: s.Conflicts, Watches: s.Watches}
}

// Check verifies the whole structure: the order of the map and of its
// histories, that nothing outlived the window, that the resolver agrees with
// the map, that each watch agrees with its key. It reports all that is wrong.
// It costs as much as reading the whole store, under the lock.
func (e *Engine) Check() error { return e.core.Check() }
