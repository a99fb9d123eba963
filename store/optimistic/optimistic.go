// Package optimistic is the part that the engines of one process share: a
// concurrent, multi-version store with optimistic transactions, in memory or
// over a [Base] that keeps the data elsewhere.
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
//     store.ErrTooOld, and what only they could see is freed.
//
// # In memory
//
// [New] keeps everything in the versioned map. A commit is applied and visible
// when it returns. Memory is bounded by the live data plus the writes of the
// window.
//
// # Over a base
//
// [Over] keeps in the versioned map only what changed in the window, over a base
// that holds the newest durable state. A commit is resolved and gets its version
// at once, then waits in a batch; the engine's owner calls [Engine.Flush], which
// hands one batch after the other to the base, and only once the base says that
// a batch is durable do its versions become visible, its watches fire and its
// commits return. So nobody sees what a crash could undo, and one write of the
// base serves all commits that came while the last one was under way.
//
// Later commits are resolved against those that still wait. That is right
// because there is no way for a batch to fail and for the next to succeed: when
// the base fails, the engine refuses everything from then on with
// [ErrFailed]. The commits of the batch that was being written end with
// store.ErrCommitUnknown, since the base cannot tell how far it came, and those
// behind it with [ErrFailed]: they were never written.
//
// A key that is not in the versioned map has not changed in the window, so a
// read may look into the base first, without the lock, and then look whether the
// key has got into the map meanwhile. A write takes the key's value along from
// the base as its oldest revision, for the transactions that still read it. A
// removal of a range does so for each key in it: it costs memory for what it
// removes until the window has passed.
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
// is stored.
//
// The core (core.go, versions.go, resolver.go, watch.go, batch.go) and the
// buffer of a transaction's own writes (writes.go, span.go) know nothing of
// contexts, of the states of transactions or of limits; the shell ([Engine] and
// [Txn]) does.
//
// An engine is safe for use by many goroutines. It also runs in the simulator:
// it starts none, blocks on nothing but the events of its clock, reads no time
// and draws no random numbers.
package optimistic

import (
	"context"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Options of an engine. The zero value is ready for use; a field that is zero
// or less has its default.
type Options struct {
	// Clock makes the events that watches and commits wait on. Default:
	// [clock.System].
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

	// BatchTxns and BatchBytes bound the commits that wait in one batch for the
	// base: one that has reached either bound takes no more. The bytes are those
	// that count towards store.MaxTxnBytes. Used by [Over] only. Defaults:
	// [DefaultBatchTxns], [DefaultBatchBytes].
	BatchTxns  int
	BatchBytes int

	// Wake is called, without any lock, when the number of commits that wait for
	// [Engine.Flush] rises to 1, or to what [Engine.WakeAt] set. It must not
	// block. Used by [Over] only. Default: nothing.
	Wake func()
}

// Defaults of [Options].
const (
	DefaultWindow     = 1 << 18
	DefaultRangeRows  = 10_000
	DefaultMaxWatches = 1 << 20
	DefaultBatchTxns  = 4096
	DefaultBatchBytes = 16 << 20
)

// firstVersion is the version of the empty store. It is not zero, because zero
// means none.
const firstVersion store.Version = 1

// Engine implements [store.Engine].
type Engine struct {
	core      core
	rangeRows int
}

var _ store.Engine = (*Engine)(nil)

// New returns an empty store in memory.
func New(o Options) *Engine {
	e := open(o)
	e.core.version, e.core.visible = firstVersion, firstVersion
	e.core.horizon = max(firstVersion, e.core.window) - e.core.window
	return e
}

// Over returns a store over a base whose last commit has version last, zero
// for an empty one. The caller calls [Engine.Flush].
func Over(base Base, last store.Version, o Options) *Engine {
	e := open(o)
	c := &e.core
	c.base, c.data.layered = base, true
	c.version = max(last, firstVersion)
	c.visible, c.horizon, c.origin = c.version, c.version, c.version
	c.batches.limitTxns = orDefault(o.BatchTxns, DefaultBatchTxns)
	c.batches.limitBytes = orDefault(o.BatchBytes, DefaultBatchBytes)
	c.batches.wake, c.batches.wakeAt = o.Wake, 1
	return e
}

func open(o Options) *Engine {
	e := &Engine{rangeRows: orDefault(o.RangeRows, DefaultRangeRows)}
	e.core.clock = o.Clock
	if e.core.clock == nil {
		e.core.clock = clock.System()
	}
	e.core.window = store.Version(orDefault(o.Window, DefaultWindow))
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

// Close implements [store.Engine]. Closing again does nothing. Over a base,
// commits that wait go on waiting: flush them afterwards.
func (e *Engine) Close() error {
	e.core.refuse(errClosed)
	return nil
}

// Err returns why the engine refuses everything, store.ErrClosed or [ErrFailed],
// or nil.
func (e *Engine) Err() error { return e.core.refused() }

// Stats are the sizes of an engine's parts.
type Stats struct {
	Keys      int           // keys in the versioned map: with a value or a remembered removal
	Revisions int           // remembered values and removals
	Conflicts int           // remembered writes, for conflict checks
	Watches   int           // watches that are not over
	Waiting   int           // commits that wait for the base
	Version   store.Version // of the last visible commit
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
		Waiting:   c.batches.waiting,
		Version:   c.visible,
	}
}

// Check verifies the whole structure: the order of the map and of its
// histories, that nothing outlived the window, that the resolver agrees with
// the map, that each watch agrees with its key, and, unless a batch is just
// being written, that the base agrees with the map. It reports all that is
// wrong. It costs as much as reading the whole map, under the lock.
func (e *Engine) Check() error { return e.core.check() }
