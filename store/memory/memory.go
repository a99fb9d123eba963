// Package memory is a store engine that keeps everything in memory: a
// concurrent, multi-version store with optimistic transactions, for tests, for
// the simulator and for registries that need not outlive their process.
//
// It keeps the whole promise of package store, with FoundationDB's semantics
// where the port leaves room. In particular:
//
//   - A transaction takes its read version at its first read, not before, and
//     reads that version without blocking anyone. One that never reads never
//     conflicts and is never too old.
//   - Conflicts are those of the keys that were read and written, never of
//     values: writing the value that is there already, or removing what is not,
//     is a change. There are no other conflicts. What the transaction's own
//     writes decide adds no read conflict.
//   - After a mutation that is not valid, reads return its error as the commit
//     does. So does everything after a read of an unreadable key.
//   - Each commit has a version of its own, one above the last: runs are
//     deterministic. Stamps end in order 0.
//   - A watch compares with the value at the call of Watch. It outlives the
//     transaction's context.
//   - The window is counted in versions: the last [Options.Window] of them can
//     be read and committed against; transactions with an older read version get
//     store.ErrTooOld, and what only they could see is freed. Memory is bounded
//     by the live data plus the writes of the window.
//
// An engine is safe for use by many goroutines. It also runs in the simulator:
// it starts none, blocks on nothing but the events of its clock, reads no time
// and draws no random numbers.
//
// # Structure
//
// The versioned map is a B-tree (tidwall/btree's ordered map) from key to a
// list of revisions, newest first, under one read-write lock that is held for
// one look-up, for a bounded stretch of a range, or for a commit. A persistent
// tree with a root for each version would make reads free of locks, but each
// write would copy a path of nodes, some kilobytes of garbage, and that garbage
// costs the simulator, which runs one task at a time, far more than an
// uncontended lock. The resolver keeps the keys written in the window in a
// tree of its own, so that a conflict check costs what changed lately, not what
// is stored, and so that an engine with its data elsewhere can use it as it is.
//
// The core (core.go, versions.go, resolver.go, watch.go) and the buffer of a
// transaction's own writes (writes.go, span.go) know nothing of the shell that
// this file and the txn files are.
package memory

import (
	"context"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
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
	DefaultWindow     = 1 << 18
	DefaultRangeRows  = 10_000
	DefaultMaxWatches = 1 << 20
)

// firstVersion is the version of the empty store. It is not zero, because zero
// means none.
const firstVersion store.Version = 1

// Engine implements [store.Engine].
type Engine struct {
	core      core
	clock     clock.Clock
	rangeRows int
}

var _ store.Engine = (*Engine)(nil)

// New returns an empty store.
func New(o Options) *Engine {
	e := &Engine{clock: o.Clock, rangeRows: orDefault(o.RangeRows, DefaultRangeRows)}
	if e.clock == nil {
		e.clock = clock.System()
	}
	e.core.window = store.Version(orDefault(o.Window, DefaultWindow))
	e.core.version = firstVersion
	e.core.horizon = max(firstVersion, e.core.window) - e.core.window
	e.core.watches.limit = orDefault(o.MaxWatches, DefaultMaxWatches)
	return e
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn {
	return &Txn{engine: e, ctx: ctx, buffers: takeBuffers()}
}

// Close implements [store.Engine]. Closing again does nothing.
func (e *Engine) Close() error {
	e.core.close()
	return nil
}

// Stats are the sizes of an engine's parts.
type Stats struct {
	Keys      int // keys with a value or a remembered removal
	Revisions int // remembered values and removals
	Conflicts int // remembered writes, for conflict checks
	Watches   int // watches that are not over
}

// Stats returns the sizes of the engine's parts.
func (e *Engine) Stats() Stats {
	c := &e.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Stats{
		Keys:      c.data.entries.Len(),
		Revisions: c.data.revisions,
		Conflicts: c.resolver.recent.len(),
		Watches:   c.watches.count,
	}
}

// Check verifies the whole structure: the order of the map and of its
// histories, that nothing outlived the window, that the resolver agrees with
// the map, that each watch agrees with its key. It reports all that is wrong.
// It costs as much as reading the whole store, under the lock.
func (e *Engine) Check() error { return e.core.check() }
