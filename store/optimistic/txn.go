package optimistic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/store"
)

var (
	errUsed       = fmt.Errorf("optimistic: %w", store.ErrUsed)
	errCancelled  = fmt.Errorf("optimistic: %w: the transaction was cancelled", store.ErrUsed)
	errTwoTasks   = fmt.Errorf("optimistic: %w: two tasks use one transaction", store.ErrInvalid)
	errUnreadable = fmt.Errorf("optimistic: %w: the key was stamped in this transaction", store.ErrUnreadable)
)

// Txn implements [store.Txn].
//
// It is for one task. Calls that overlap are detected, not served: they fail
// with store.ErrInvalid, and so does the commit.
type Txn struct {
	engine *Engine
	ctx    context.Context

	busy    sync.Mutex            // tried, never waited for, but by Committed
	misused atomic.Bool           // two tasks met
	givenUp atomic.Pointer[error] // why, by a task that met another one

	// Guarded by busy.
	*buffers                  // nil once the transaction is over
	readVersion store.Version // zero before the first read
	committed   store.Version // zero before the commit and after an empty one
	broken      error         // of an invalid mutation or a read of the unreadable
	watches     []*watch      // set once the transaction has committed
}

var _ store.Txn = (*Txn)(nil)

// buffers are the parts of a transaction that serve many, one after the other.
type buffers struct {
	arena     arena
	writes    writeSet
	reads     spanList // read conflicts
	conflicts spanList // explicit write conflicts
}

var pool = sync.Pool{New: func() any { return new(buffers) }}

// keepWrites bounds the writes and the spans for which buffers are kept room.
const keepWrites = 1024

func takeBuffers() *buffers { return pool.Get().(*buffers) }

func (b *buffers) release() {
	if max(cap(b.writes.log), cap(b.writes.cleared), cap(b.reads.spans), cap(b.conflicts.spans)) > keepWrites {
		return
	}
	b.arena.reset()
	b.writes.reset()
	b.reads.reset()
	b.conflicts.reset()
	pool.Put(b)
}

// enter begins a call. Unless it returns an error, the caller leaves at the end
// of the call.
func (t *Txn) enter() error {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return errTwoTasks
	}
	if err := t.usable(); err != nil {
		t.busy.Unlock()
		return err
	}
	return nil
}

func (t *Txn) usable() error {
	switch {
	case t.buffers == nil:
		return errUsed
	case t.misused.Load():
		return errTwoTasks
	}
	if err := t.engine.core.refused(); err != nil {
		return err
	}
	if err := t.ctx.Err(); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("optimistic: %w: %w", store.ErrTimedOut, err)
		}
		return fmt.Errorf("optimistic: %w", err)
	}
	return t.broken
}

// mutate begins a mutation and reports whether it may go on; then the caller
// leaves at its end. A mutation has no error of its own to return: the
// commit runs into the same one.
func (t *Txn) mutate() bool {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return false
	}
	if t.buffers == nil || t.broken != nil {
		t.busy.Unlock()
		return false
	}
	return true
}

// ReadVersion implements [store.Tx].
func (t *Txn) ReadVersion() (store.Version, error) {
	if err := t.enter(); err != nil {
		return 0, err
	}
	defer t.leave()
	if t.readVersion == 0 {
		t.readVersion = t.engine.core.current()
	}
	return t.readVersion, nil
}

// Snapshot implements [store.Tx].
func (t *Txn) Snapshot() store.Reader { return snapshot{t} }

// Watch implements [store.Tx].
func (t *Txn) Watch(key []byte) (store.Watch, error) {
	event := t.engine.core.clock.NewEvent() // before busy is taken
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	seen, err := t.get(key, false)
	if err != nil {
		return nil, err
	}
	w := &watch{core: &t.engine.core, key: string(key), seen: seen, event: event}
	t.engine.core.addWatch(w)
	t.watches = append(t.watches, w)
	return w, nil
}

// Commit implements [store.Txn].
func (t *Txn) Commit() error {
	if err := t.commit(); err != nil {
		t.end(err)
		return err
	}
	return nil
}

func (t *Txn) commit() error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	size := t.writes.size + t.reads.size + t.conflicts.size
	if size > store.MaxTxnBytes {
		return fmt.Errorf("optimistic: %w: the transaction has %d bytes, limit %d", store.ErrTooLarge, size, store.MaxTxnBytes)
	}
	if len(t.writes.order) > 0 || len(t.writes.cleared) > 0 || len(t.conflicts.spans) > 0 {
		v, b, err := t.engine.core.commit(proposal{
			readVersion: t.readVersion,
			reads:       t.reads.spans,
			writes:      &t.writes,
			conflicts:   t.conflicts.spans,
			size:        size,
		})
		switch {
		case err == nil && b != nil:
			err = b.wait(t.ctx)
		case b != nil:
			// Until then a retry would run into the same conflict.
			_ = b.done.Wait(t.ctx)
		}
		if err != nil {
			return err
		}
		t.committed = v
	}
	if len(t.watches) > 0 {
		t.engine.core.activate(t.watches)
		t.watches = nil
	}
	t.drop()
	return nil
}

// Committed implements [store.Txn].
func (t *Txn) Committed() store.Version {
	t.busy.Lock()
	defer t.leave()
	return t.committed
}

// Cancel implements [store.Txn].
func (t *Txn) Cancel() { t.end(errCancelled) }

// end gives the transaction up, and its watches for the reason err. It does
// nothing when the transaction is over. One that another task is using ends when
// that task leaves it.
func (t *Txn) end(err error) {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		why := err
		t.givenUp.Store(&why)
		if !t.busy.TryLock() { // it may have left before it could see that
			return
		}
	}
	defer t.busy.Unlock()
	if t.buffers == nil {
		return
	}
	for _, w := range t.watches {
		t.engine.core.endWatch(w, err)
	}
	t.watches = nil
	t.drop()
}

// leave ends a call.
func (t *Txn) leave() {
	t.busy.Unlock()
	if err := t.givenUp.Load(); err != nil {
		t.end(*err)
	}
}

func (t *Txn) drop() {
	t.buffers.release()
	t.buffers = nil
}

// fail makes the transaction refuse everything from now on, its commit too.
func (t *Txn) fail(err error) error {
	t.broken = err
	return err
}
