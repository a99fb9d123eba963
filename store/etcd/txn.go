package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/store"
)

var (
	errUsed       = fmt.Errorf("etcd: %w", store.ErrUsed)
	errCancelled  = fmt.Errorf("etcd: %w: the transaction was cancelled", store.ErrUsed)
	errTwoTasks   = fmt.Errorf("etcd: %w: two tasks use one transaction", store.ErrInvalid)
	errUnreadable = fmt.Errorf("etcd: %w: the key was stamped in this transaction", store.ErrUnreadable)
	errClosed     = fmt.Errorf("etcd: %w", store.ErrClosed)
)

// Txn implements [store.Txn] and [store.Guesser].
//
// It is for one task. Calls that overlap are detected, not served: they fail
// with store.ErrInvalid, and so does the commit.
type Txn struct {
	engine *Engine
	ctx    context.Context

	busy    sync.Mutex  // tried, never waited for, but by Committed
	misused atomic.Bool // two tasks met

	// Guarded by busy.
	over      bool
	broken    error // of an invalid mutation or a read of the unreadable
	committed store.Version
	revision  int64 // that reads see; zero before the first real one
	guessing  bool  // guesses are allowed
	guessedAt int64 // a revision not above that of the first guess; zero when none was made
	writes    writeSet
	points    map[string]*pointRead
	ranges    spanSet // read conflicts but those of points
	readSize  int     // bytes of points and ranges
	watches   []*watch
}

var (
	_ store.Txn     = (*Txn)(nil)
	_ store.Guesser = (*Txn)(nil)
)

// pointRead is what a transaction read, or supposed, of one key. The commit
// demands that no row of the key is younger than rows, and that no record and
// no removal of tombstones younger than since has anything to do with it.
type pointRead struct {
	value   []byte // nil for none
	rows    int64
	since   int64
	guessed bool
}

// enter begins a call. Unless it returns an error, the caller unlocks busy at
// the end of the call.
func (t *Txn) enter() error {
	if err := t.enterBroken(); err != nil {
		return err
	}
	if t.broken != nil {
		t.busy.Unlock()
		return t.broken
	}
	return nil
}

// enterBroken is enter that lets a broken transaction in.
func (t *Txn) enterBroken() error {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return errTwoTasks
	}
	if err := t.alive(); err != nil {
		t.busy.Unlock()
		return err
	}
	return nil
}

func (t *Txn) alive() error {
	switch {
	case t.over:
		return errUsed
	case t.misused.Load():
		return errTwoTasks
	case t.engine.closed.Load():
		return errClosed
	}
	if err := t.ctx.Err(); err != nil {
		return ended(err)
	}
	return nil
}

// ended describes the error of a context that is over.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("etcd: %w: %w", store.ErrTimedOut, err)
	}
	return fmt.Errorf("etcd: %w", err)
}

// mutate begins a mutation and reports whether it may go on; then the caller
// unlocks busy at its end. A mutation has no error of its own to return: the
// commit runs into the same one.
func (t *Txn) mutate() bool {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return false
	}
	if t.over || t.broken != nil {
		t.busy.Unlock()
		return false
	}
	return true
}

// fail makes the transaction refuse everything from then on, its commit too.
func (t *Txn) fail(err error) error {
	t.broken = err
	return err
}

// Guess implements [store.Guesser].
func (t *Txn) Guess() {
	if t.mutate() {
		t.guessing = t.engine.recall != nil
		t.busy.Unlock()
	}
}

// ReadVersion implements [store.Tx].
func (t *Txn) ReadVersion() (store.Version, error) {
	if err := t.enter(); err != nil {
		return 0, err
	}
	defer t.busy.Unlock()
	if t.revision == 0 {
		if err := t.takeRevision(); err != nil {
			return 0, err
		}
	}
	return store.Version(t.revision), nil
}

// Snapshot implements [store.Tx].
func (t *Txn) Snapshot() store.Reader { return snapshot{t} }

// Watch implements [store.Tx].
func (t *Txn) Watch(key []byte) (store.Watch, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.busy.Unlock()
	seen, err := t.get(string(key), false)
	if err != nil {
		return nil, err
	}
	revision := t.revision
	if t.writes.touch(string(key)) {
		// What the transaction saw is nowhere in the store, and what becomes of it before
		// the commit may leave no trace there.
		revision = 0
	}
	w := t.engine.watches.add(t.engine, string(key), seen, revision)
	t.watches = append(t.watches, w)
	return w, nil
}

// Committed implements [store.Txn].
func (t *Txn) Committed() store.Version {
	t.busy.Lock()
	defer t.busy.Unlock()
	return t.committed
}

// Cancel implements [store.Txn].
func (t *Txn) Cancel() { t.end(errCancelled) }

// end gives the transaction up, and its watches for the reason err. It does
// nothing when the transaction is over, and leaves one that another task is
// using to that task.
func (t *Txn) end(err error) {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return
	}
	defer t.busy.Unlock()
	t.drop(err)
}

// drop ends the transaction and the watches that it has not started.
func (t *Txn) drop(err error) {
	for _, w := range t.watches {
		w.end(err)
	}
	t.over, t.watches = true, nil
	t.writes, t.points, t.ranges = writeSet{}, nil, nil
}
