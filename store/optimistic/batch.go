package optimistic

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// ErrFailed: a write of the base failed, so that nobody knows what it holds.
// The engine refuses everything from then on; opened again it goes on from what
// the base kept. It is a store.ErrClosed.
var ErrFailed = fmt.Errorf("optimistic: a write of the base failed: %w", store.ErrClosed)

// batch are commits that the base gets in one piece.
type batch struct {
	done    clock.Event
	err     error // of every commit in it; read once done is set
	last    store.Version
	txns    int
	bytes   int
	entries []*entry // that the commits changed, some of them several times
}

// wait blocks until the batch is durable, or refused.
func (b *batch) wait(ctx context.Context) error {
	if err := b.done.Wait(ctx); err != nil {
		return fmt.Errorf("optimistic: commit under way: %w: %w", store.ErrCommitUnknown, err)
	}
	return b.err
}

// batchQueue are the batches that wait for the base. The core's lock guards it.
//
// Invariants: only the first batch may be under way; a batch has at least one
// commit; the versions of the batches rise.
type batchQueue struct {
	limitTxns  int
	limitBytes int
	wake       func()
	wakeAt     int // commits at which to wake

	queue    queue[*batch]
	underWay bool
	waiting  int // commits in the queue
}

// join returns the batch that takes a commit of so many bytes, which has the
// event done if it is a new one, and whether it is time to wake who flushes.
func (q *batchQueue) join(done clock.Event, bytes int) (b *batch, woken bool) {
	first := 0
	if q.underWay {
		first = 1
	}
	if n := q.queue.len(); n > first {
		b = *q.queue.at(n - 1)
	}
	if b == nil || b.txns >= q.limitTxns || b.bytes >= q.limitBytes {
		b = &batch{done: done}
		q.queue.push(b)
	}
	b.txns++
	b.bytes += bytes
	q.waiting++
	return b, q.wake != nil && q.waiting == q.wakeAt
}

// WakeAt sets the number of commits, at least 1, of which [Options.Wake] tells
// that they wait, and returns how many wait already. It is 1 at first.
func (e *Engine) WakeAt(commits int) (waiting int) {
	c := &e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches.wakeAt = commits
	return c.batches.waiting
}

// Flush hands the batch that has waited longest to the base, and returns the
// number of its commits, zero when none waits, once they have their answers.
// The error is that of the base; the engine has failed then. Flush works on a
// closed engine too. One task calls it at a time.
func (e *Engine) Flush() (int, error) {
	c := &e.core
	c.mu.Lock()
	if c.batches.queue.len() == 0 {
		c.mu.Unlock()
		return 0, nil
	}
	b := *c.batches.queue.at(0)
	c.batches.underWay = true
	c.mu.Unlock()

	err := c.base.Commit(b.last, c.changes(b))

	c.mu.Lock()
	c.batches.underWay = false
	c.batches.queue.pop()
	c.batches.waiting -= b.txns
	ended := []clock.Event{b.done}
	if err != nil {
		b.err = fmt.Errorf("optimistic: commit: %w: %w: %w", store.ErrCommitUnknown, ErrFailed, err)
		ended = append(ended, c.failLocked(err)...)
	} else {
		c.publish(b.last, b.entries)
	}
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
	wake(ended)
	return b.txns, err
}

// changes returns what a batch did, and sorts its entries, each once.
func (c *core) changes(b *batch) []Change {
	slices.SortFunc(b.entries, func(x, y *entry) int { return cmp.Compare(x.key, y.key) })
	b.entries = slices.Compact(b.entries)
	changes := make([]Change, 0, len(b.entries))
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range b.entries {
		ch := Change{Key: e.key, Old: e.at(c.visible), New: e.at(b.last)}
		if ch.Old != nil || ch.New != nil {
			changes = append(changes, ch)
		}
	}
	return changes
}

// Fail makes the engine refuse everything, as after a failed write, and ends
// the commits that wait with [ErrFailed]. A write must not be under way.
func (e *Engine) Fail(cause error) {
	c := &e.core
	c.mu.Lock()
	ended := c.failLocked(cause)
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
	wake(ended)
}

// failLocked refuses everything from now on and returns the events of the
// commits that this ends. The caller holds the lock.
func (c *core) failLocked(cause error) []clock.Event {
	failure := fmt.Errorf("%w: %w", ErrFailed, cause)
	c.refuseLocked(failure)
	var ended []clock.Event
	for c.batches.queue.len() > 0 {
		b := c.batches.queue.pop()
		b.err = failure
		c.batches.waiting -= b.txns
		ended = append(ended, b.done)
	}
	return ended
}
