package memory

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// core is the optimistic part of the engine: the versioned map, the resolver
// and the watches behind one lock, and the commit that joins them. It knows
// nothing of contexts, of transactions' states or of limits; the shell ([Engine]
// and [Txn]) does.
//
// Invariant: horizon = max(0, version - window).
type core struct {
	window store.Version

	mu       sync.RWMutex  // never held across a call to the outside
	version  store.Version // of the last commit
	horizon  store.Version // the oldest version that can be read and checked
	data     versions
	resolver resolver
	watches  watchTable

	closed atomic.Bool // set under mu
}

// Errors of the core, made once: conflicts are frequent.
var (
	errConflict = fmt.Errorf("memory: commit: %w: a key that was read has changed", store.ErrConflict)
	errTooOld   = fmt.Errorf("memory: %w: the read version fell out of the window", store.ErrTooOld)
	errClosed   = fmt.Errorf("memory: %w", store.ErrClosed)
)

// current returns the version of the last commit.
func (c *core) current() store.Version {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version
}

// readable tells whether a read at version v has an answer. The caller holds
// the lock.
func (c *core) readable(v store.Version) error {
	if c.closed.Load() {
		return errClosed
	}
	if v < c.horizon {
		return errTooOld
	}
	return nil
}

// get returns a copy of the value of key at version *v, which becomes that of
// the last commit when it is zero.
func (c *core) get(key []byte, v *store.Version) ([]byte, error) {
	c.mu.RLock()
	if *v == 0 {
		*v = c.version
	}
	if err := c.readable(*v); err != nil {
		c.mu.RUnlock()
		return nil, err
	}
	value := c.data.get(key, *v)
	c.mu.RUnlock()
	if value == nil {
		return nil, nil
	}
	return clone(value), nil // the map never changes a value: no lock needed
}

// proposal is what a transaction asks the core to commit.
type proposal struct {
	readVersion store.Version // zero: nothing was read
	reads       []span        // must not have changed since readVersion
	writes      *writeSet
	conflicts   []span // count as written
}

// commit applies the proposal at a version of its own, or returns an error and
// applies nothing. It wakes the watches that the commit fires.
func (c *core) commit(p proposal) (store.Version, error) {
	c.mu.Lock()
	v, err := c.commitLocked(p)
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
	return v, err
}

func (c *core) commitLocked(p proposal) (store.Version, error) {
	if c.closed.Load() {
		return 0, errClosed
	}
	if p.readVersion != 0 {
		if p.readVersion < c.horizon {
			return 0, errTooOld
		}
		for _, s := range p.reads {
			if c.resolver.changed(s, p.readVersion) {
				return 0, errConflict
			}
		}
	}
	c.version++
	c.apply(p)
	if c.version-c.horizon > c.window {
		c.horizon = c.version - c.window
		c.data.trim(c.horizon)
		c.resolver.forget(c.horizon)
	}
	return c.version, nil
}

// order is the place of a transaction among those of one version. Here each
// transaction has a version of its own.
const order = 0

func (c *core) apply(p proposal) {
	ws := p.writes
	for _, s := range ws.cleared {
		c.watches.noteRange(s, &c.data)
		c.data.removeRange(s, c.version)
		c.resolver.write(s, c.version)
	}
	for i := range ws.order {
		w := ws.at(i)
		var base []byte
		if !w.independent() {
			base = c.data.last(w.key)
		}
		c.data.put(w.key, w.apply(base, c.version, order), c.version)
		c.resolver.writeKey(w.key, c.version)
		c.watches.noteKey(w.key)
	}
	for _, s := range p.conflicts {
		c.resolver.write(s, c.version)
	}
	c.watches.compare(&c.data)
}

// close refuses further work and ends all watches.
func (c *core) close() {
	c.mu.Lock()
	c.closed.Store(true)
	c.watches.endAll(errClosed)
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
}

func wake(events []clock.Event) {
	for _, e := range events {
		e.Set()
	}
}

// check verifies the whole structure.
func (c *core) check() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var errs []error
	if want := max(c.version, c.window) - c.window; c.horizon != want {
		errs = append(errs, fmt.Errorf("horizon is %d, want %d at version %d with a window of %d", c.horizon, want, c.version, c.window))
	}
	if err := c.data.check(c.horizon, c.version); err != nil {
		errs = append(errs, fmt.Errorf("versioned map: %w", err))
	}
	if err := c.resolver.check(c.horizon, c.version); err != nil {
		errs = append(errs, fmt.Errorf("resolver: %w", err))
	}
	if err := c.checkResolved(); err != nil {
		errs = append(errs, fmt.Errorf("resolver against versioned map: %w", err))
	}
	if err := c.watches.check(&c.data, c.closed.Load()); err != nil {
		errs = append(errs, fmt.Errorf("watches: %w", err))
	}
	return errors.Join(errs...)
}

// checkResolved verifies that the resolver knows of each change above the
// horizon that the map holds.
func (c *core) checkResolved() error {
	var errs []error
	var a arena
	c.data.entries.Scan(func(key string, e *entry) bool {
		if v := e.newest.version; v > c.horizon && !c.resolver.changed(a.key([]byte(key)), v-1) {
			errs = append(errs, fmt.Errorf("key %q changed at version %d, unknown to the resolver", key, v))
		}
		return true
	})
	return errors.Join(errs...)
}
