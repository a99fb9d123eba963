package fdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/store"
)

// Txn implements [store.Txn]: one transaction of the client.
//
// It is for one task. Calls that overlap are detected, not served: they fail
// with store.ErrInvalid, and so does the commit. Cancel is the exception, and
// may be called at any time.
type Txn struct {
	engine *Engine
	ctx    context.Context
	tr     transaction // nil when over from the start

	busy    sync.Mutex  // tried, never waited for
	misused atomic.Bool // two tasks met

	// Guarded by busy.
	wrote    bool  // there is something to commit
	deferred error // of a mutation: the commit fails with it

	// mu puts cancels and the commit in one order, in which the client gets them.
	mu        sync.Mutex
	over      error // why the transaction takes no calls; nil while it does
	cause     error // why the client's transaction was canceled; nil if it was not
	sent      bool  // the commit is, or was, on its way
	settled   bool  // nothing is under way, and nothing will be
	committed store.Version
	watches   []*watch // set once the transaction has committed
	detach    []func() bool
}

var _ store.Txn = (*Txn)(nil)

// enter begins a call. Unless it returns an error, the caller unlocks busy at
// the end of the call.
func (t *Txn) enter(doing string) error {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return errTwoTasks
	}
	if err := t.usable(); err != nil {
		t.busy.Unlock()
		return fmt.Errorf("fdb: %s: %w", doing, err)
	}
	return nil
}

func (t *Txn) usable() error {
	t.mu.Lock()
	over := t.over
	t.mu.Unlock()
	switch {
	case over != nil:
		return over
	case t.misused.Load():
		return errTwoTasks
	}
	// What ends on its own is told of by another goroutine, perhaps later.
	if err := t.engine.whyCanceled(t.ctx); err != nil {
		return err
	}
	return t.deferred
}

// mutate begins a mutation and reports whether it may go on; then the caller
// unlocks busy at its end. A mutation has no error of its own to return: the
// commit runs into the same one.
func (t *Txn) mutate() bool { return t.enter("") == nil }

// abort makes the transaction refuse all calls for the reason cause, and ends
// the call that is under way.
func (t *Txn) abort(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.settled || t.cause != nil {
		return
	}
	t.cause = cause
	t.tr.cancel()
	if !t.sent {
		t.finish(cause, cause)
	}
}

// finish makes the transaction refuse all calls because of over, and decides its
// watches: they start when err, that of the commit, is nil. The caller holds mu.
func (t *Txn) finish(over, err error) {
	t.over, t.settled = over, true
	for _, stop := range t.detach {
		stop()
	}
	t.detach = nil
	for _, w := range t.watches {
		if err != nil {
			w.end(err)
		} else {
			w.start()
		}
	}
	t.watches = nil
}

// failed turns an error of the client into that of a call.
func (t *Txn) failed(doing string, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return callError(doing, err, t.cause)
}

// Cancel implements [store.Txn]. During a commit it ends the wait for the
// commit, not the commit.
func (t *Txn) Cancel() { t.abort(errGivenUp) }

// Set implements [store.Tx].
func (t *Txn) Set(key, value []byte) {
	if t.mutate() {
		defer t.busy.Unlock()
		t.tr.set(t.engine.space.key(key), value)
		t.wrote = true
	}
}

// Clear implements [store.Tx].
func (t *Txn) Clear(key []byte) {
	if t.mutate() {
		defer t.busy.Unlock()
		t.tr.clear(t.engine.space.key(key))
		t.wrote = true
	}
}

// ClearRange implements [store.Tx].
func (t *Txn) ClearRange(begin, end []byte) {
	if t.mutate() {
		defer t.busy.Unlock()
		t.tr.clearRange(t.engine.space.key(begin), t.engine.space.key(end))
		t.wrote = true
	}
}

// Add implements [store.Tx].
func (t *Txn) Add(key []byte, delta int64) {
	if t.mutate() {
		defer t.busy.Unlock()
		t.tr.add(t.engine.space.key(key), binary.LittleEndian.AppendUint64(nil, uint64(delta)))
		t.wrote = true
	}
}

// SetStamped implements [store.Tx]. FoundationDB counts four bytes for the
// offset: the longest value is that much shorter than store.MaxValueBytes.
func (t *Txn) SetStamped(key, value []byte, offset int) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if offset < 0 || offset > len(value)-store.StampBytes {
		t.deferred = invalid("no stamp of %d bytes at offset %d of a value of %d bytes", store.StampBytes, offset, len(value))
		return
	}
	operand := make([]byte, len(value), len(value)+4)
	copy(operand, value)
	t.tr.setStamped(t.engine.space.key(key), binary.LittleEndian.AppendUint32(operand, uint32(offset)))
	t.wrote = true
}

// AddReadConflict implements [store.Tx].
func (t *Txn) AddReadConflict(begin, end []byte) {
	if t.mutate() {
		defer t.busy.Unlock()
		if err := t.tr.addReadConflict(t.engine.space.key(begin), t.engine.space.key(end)); err != nil {
			t.deferred = callError("read conflict range", err, nil)
		}
	}
}

// AddWriteConflict implements [store.Tx].
func (t *Txn) AddWriteConflict(begin, end []byte) {
	if t.mutate() {
		defer t.busy.Unlock()
		if err := t.tr.addWriteConflict(t.engine.space.key(begin), t.engine.space.key(end)); err != nil {
			t.deferred = callError("write conflict range", err, nil)
		}
		t.wrote = true
	}
}

// Committed implements [store.Txn].
func (t *Txn) Committed() store.Version {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.committed
}
