package optimistic

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

var (
	errWatchCancelled = fmt.Errorf("optimistic: the watch was cancelled: %w", context.Canceled)
	errTooManyWatches = fmt.Errorf("optimistic: %w: too many watches", store.ErrUnavailable)
)

// watchState is where a watch stands. It only moves forward.
type watchState uint8

const (
	watchPending watchState = iota // its transaction has not committed
	watchActive                    // compared with each commit
	watchOver                      // fired, or ended with an error
)

// watch implements [store.Watch].
type watch struct {
	core  *core
	key   string
	seen  []byte      // what the transaction saw, nil for none
	event clock.Event // set when the watch is over

	// Guarded by core.mu.
	state      watchState
	err        error  // why it ended; nil when it fired
	prev, next *watch // all watches, by age
	left       *watch // active watches of the same key, by time of activation
	right      *watch
}

// Wait implements [store.Watch].
func (w *watch) Wait(ctx context.Context) error {
	if err := w.event.Wait(ctx); err != nil {
		return fmt.Errorf("optimistic: watch: %w", err)
	}
	w.core.mu.RLock()
	defer w.core.mu.RUnlock()
	return w.err
}

// Cancel implements [store.Watch].
func (w *watch) Cancel() { w.core.endWatch(w, errWatchCancelled) }

// watchTable holds the watches that are not over. The core's lock guards it.
//
// Invariants: first to last are linked by age; byKey holds the active ones and
// no empty list; the seen value of an active watch is the key's newest value,
// and so it is until a commit changes the key.
type watchTable struct {
	limit       int
	count       int
	first, last *watch
	byKey       map[string]watchList
	fired       []clock.Event
}

// watchList are the active watches of one key.
type watchList struct {
	first, last *watch
}

// addWatch registers a watch that awaits its transaction's commit. Past the
// limit, or on a core that refuses everything, it is over at once.
func (c *core) addWatch(w *watch) {
	c.mu.Lock()
	t := &c.watches
	switch {
	case c.refused() != nil:
		w.state, w.err = watchOver, c.refused()
	case t.count >= t.limit:
		w.state, w.err = watchOver, errTooManyWatches
	default:
		w.prev = t.last
		if t.last != nil {
			t.last.next = w
		} else {
			t.first = w
		}
		t.last = w
		t.count++
	}
	over := w.state == watchOver
	c.mu.Unlock()
	if over {
		w.event.Set()
	}
}

// activate starts the watches of a transaction that has committed. Those whose
// key has changed already fire.
func (c *core) activate(watches []*watch) {
	below, at, err := c.belowWatches(watches)
	c.mu.Lock()
	t := &c.watches
	for i, w := range watches {
		if w.state != watchPending {
			continue
		}
		var value []byte
		e := c.data.find([]byte(w.key))
		switch {
		case e != nil:
			value = e.at(c.visible)
		case err != nil:
			t.end(w, err)
			continue
		case c.base != nil && at < c.horizon:
			// The key may have changed in a window that has passed. A watch may fire
			// although the value is as before.
			t.end(w, nil)
			continue
		case c.base != nil:
			value = below[i]
		}
		if !equalValue(value, w.seen) {
			t.end(w, nil)
			continue
		}
		if t.byKey == nil {
			t.byKey = map[string]watchList{}
		}
		l := t.byKey[w.key]
		w.state, w.left = watchActive, l.last
		if l.last != nil {
			l.last.right = w
		} else {
			l.first = w
		}
		l.last = w
		t.byKey[w.key] = l
	}
	woken := t.takeFired()
	c.mu.Unlock()
	wake(woken)
}

// belowWatches returns what the base has for the watched keys, as of version at
// or later.
func (c *core) belowWatches(watches []*watch) (values [][]byte, at store.Version, err error) {
	if c.base == nil {
		return nil, 0, nil
	}
	keys := make([][]byte, len(watches))
	for i, w := range watches {
		keys[i] = []byte(w.key)
	}
	at = c.current()
	values, err = c.base.Values(keys)
	if err != nil {
		err = c.baseError(err)
	}
	return values, at, err
}

// endWatch ends a watch that is not over yet.
func (c *core) endWatch(w *watch, err error) {
	c.mu.Lock()
	c.watches.end(w, err)
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
}

// end unlinks a watch and notes that it is to be woken.
func (t *watchTable) end(w *watch, err error) {
	if w.state == watchOver {
		return
	}
	if w.state == watchActive {
		t.unlinkKey(w)
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		t.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		t.last = w.prev
	}
	w.prev, w.next = nil, nil
	t.count--
	w.state, w.err = watchOver, err
	t.fired = append(t.fired, w.event)
}

func (t *watchTable) unlinkKey(w *watch) {
	l := t.byKey[w.key]
	if w.left != nil {
		w.left.right = w.right
	} else {
		l.first = w.right
	}
	if w.right != nil {
		w.right.left = w.left
	} else {
		l.last = w.left
	}
	w.left, w.right = nil, nil
	if l.first == nil {
		delete(t.byKey, w.key)
	} else {
		t.byKey[w.key] = l
	}
}

func (t *watchTable) endAll(err error) {
	for t.first != nil {
		t.end(t.first, err)
	}
}

// takeFired returns the events to set once the lock is free.
func (t *watchTable) takeFired() []clock.Event {
	f := t.fired
	t.fired = nil
	return f
}

// compare fires the watches of the keys that a commit changed, if their value
// at version v is a different one.
func (t *watchTable) compare(changed []*entry, v store.Version) {
	if len(t.byKey) == 0 {
		return
	}
	for _, e := range changed {
		l, ok := t.byKey[e.key]
		if !ok {
			continue
		}
		value := e.at(v)
		for w := l.first; w != nil; {
			next := w.right
			if !equalValue(value, w.seen) {
				t.end(w, nil)
			}
			w = next
		}
	}
}

// check verifies the invariants. value returns the visible value of a key.
func (t *watchTable) check(value func(key string) []byte, refused bool) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	count, active := 0, 0
	for w := t.first; w != nil; w = w.next {
		count++
		if (w.next != nil && w.next.prev != w) || (w.next == nil && t.last != w) {
			fail("watch of %q: broken links", w.key)
		}
		if w.state == watchOver || w.event.IsSet() || refused {
			fail("watch of %q: over, and still in the table", w.key)
		}
		if w.state == watchActive {
			active++
			if !equalValue(value(w.key), w.seen) {
				fail("watch of %q: its key has changed, it did not fire", w.key)
			}
		}
	}
	listed := 0
	for key, l := range t.byKey { //determinism:allow counts only
		if l.first == nil || l.last == nil || l.first.left != nil || l.last.right != nil {
			fail("watches of %q: broken list", key)
		}
		for w := l.first; w != nil; w = w.right {
			listed++
			if w.key != key || w.state != watchActive || (w.right != nil && w.right.left != w) {
				fail("watch of %q: in the list of %q, in state %d", w.key, key, w.state)
			}
		}
	}
	if count != t.count || listed != active || count > t.limit {
		fail("%d watches of at most %d, counted %d; %d active, listed %d", count, t.limit, t.count, active, listed)
	}
	return errors.Join(errs...)
}
