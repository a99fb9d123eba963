package optimistic

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// core is the optimistic part of the engine: the versioned map, the resolver,
// the watches and the batches behind one lock, and the commit that joins them.
// It knows nothing of contexts, of transactions' states or of limits; the shell
// ([Engine] and [Txn]) does.
//
// Invariants: horizon <= visible <= version; horizon = max(origin, visible -
// window), with 0 for a negative difference; without a base, visible = version;
// with one, version - visible is the number of commits that wait.
type core struct {
	clock  clock.Clock
	window store.Version
	base   Base // nil: the map holds everything

	mu       sync.RWMutex  // never held across a call to the outside, but see refetch
	origin   store.Version // of the base when the engine was opened
	version  store.Version // of the last commit
	visible  store.Version // of the last commit that reads may see
	horizon  store.Version // the oldest version that can be read and checked
	data     versions
	resolver resolver
	watches  watchTable
	batches  batchQueue
	touched  []*entry // that the commit under way changed; scratch

	refusal atomic.Pointer[error] // why nothing is served any more; set under mu
}

// Errors of the core, made once: conflicts are frequent.
var (
	errConflict = fmt.Errorf("optimistic: commit: %w: a key that was read has changed", store.ErrConflict)
	errTooOld   = fmt.Errorf("optimistic: %w: the read version fell out of the window", store.ErrTooOld)
	errClosed   = fmt.Errorf("optimistic: %w", store.ErrClosed)
)

// refused returns why the engine serves nothing any more, or nil.
func (c *core) refused() error {
	if err := c.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

// current returns the version of the last visible commit.
func (c *core) current() store.Version {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.visible
}

// readable tells whether a read at version v has an answer. The caller holds
// the lock.
func (c *core) readable(v store.Version) error {
	if err := c.refused(); err != nil {
		return err
	}
	if v < c.horizon {
		return errTooOld
	}
	return nil
}

// lookUp returns the value of key at version v as the map has it, and whether
// it knows: without a base it always does. The map never changes a value: the
// caller may read it without the lock.
func (c *core) lookUp(key []byte, v *store.Version) (value []byte, known bool, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if *v == 0 {
		*v = c.visible
	}
	if err := c.readable(*v); err != nil {
		return nil, false, err
	}
	e := c.data.find(key)
	if e == nil {
		return nil, c.base == nil, nil
	}
	return e.at(*v), true, nil
}

// get returns a copy of the value of key at version *v, which becomes that of
// the last visible commit when it is zero.
func (c *core) get(key []byte, v *store.Version) ([]byte, error) {
	value, known, err := c.lookUp(key, v)
	if err != nil {
		return nil, err
	}
	if !known {
		below, err := c.base.Values([][]byte{key})
		if err != nil {
			return nil, c.baseError(err)
		}
		// The key may have got into the map meanwhile; then the base may have been
		// too new.
		if value, known, err = c.lookUp(key, v); err != nil {
			return nil, err
		}
		if !known {
			return below[0], nil
		}
	}
	if value == nil {
		return nil, nil
	}
	return clone(value), nil
}

// baseError returns the error of a read of the base, or why the engine, and
// maybe the base with it, is over.
func (c *core) baseError(err error) error {
	if refusal := c.refused(); refusal != nil {
		return refusal
	}
	return err
}

// proposal is what a transaction asks the core to commit.
type proposal struct {
	readVersion store.Version // zero: nothing was read
	reads       []span        // must not have changed since readVersion
	writes      *writeSet
	conflicts   []span // count as written
	size        int    // bytes towards the limit
}

// commit resolves the proposal and applies it at a version of its own, or
// returns an error and applies nothing. Over a base the commit is not done
// before the batch is; without one the batch is nil, and the watches that the
// commit fires have been woken. With a conflict, the batch is one after which
// what the proposal conflicts with is visible, nil when it is so already.
func (c *core) commit(p proposal) (store.Version, *batch, error) {
	var (
		f    fetched
		done clock.Event
	)
	if c.base != nil {
		var err error
		if f, err = c.fetch(p.writes); err != nil {
			return 0, nil, c.baseError(err)
		}
		done = c.clock.NewEvent() // before the lock is taken
	}
	c.mu.Lock()
	err := c.resolve(p)
	if err == nil && c.base != nil {
		err = c.refetch(&f, p.writes)
	}
	if err != nil {
		var pending *batch
		if n := c.batches.queue.len(); n > 0 && errors.Is(err, store.ErrConflict) {
			pending = *c.batches.queue.at(n - 1)
		}
		c.mu.Unlock()
		return 0, pending, err
	}
	c.version++
	v := c.version
	c.apply(p, &f)
	var b *batch
	var woken bool
	if c.base == nil {
		c.publish(v, c.touched)
	} else {
		b, woken = c.batches.join(done, p.size)
		b.last = v
		b.entries = append(b.entries, c.touched...)
	}
	clear(c.touched)
	c.touched = c.touched[:0]
	fired := c.watches.takeFired()
	c.mu.Unlock()
	wake(fired)
	if woken {
		c.batches.wake()
	}
	return v, b, nil
}

// resolve tells whether the proposal may be committed.
func (c *core) resolve(p proposal) error {
	if err := c.refused(); err != nil {
		return err
	}
	if p.readVersion == 0 {
		return nil
	}
	if p.readVersion < c.horizon {
		return errTooOld
	}
	for _, s := range p.reads {
		if c.resolver.changed(s, p.readVersion) {
			return errConflict
		}
	}
	return nil
}

// order is the place of a transaction among those of one version. Here each
// transaction has a version of its own.
const order = 0

// apply puts the proposal into the map and the resolver at version c.version,
// and the entries that it changes into touched.
func (c *core) apply(p proposal, f *fetched) {
	ws := p.writes
	for i, s := range ws.cleared {
		c.touched = c.data.removeRange(s, c.version, c.touched)
		if c.base != nil {
			for _, row := range f.ranges[i] {
				c.put(row.Key, row.Value, nil)
			}
		}
		c.resolver.write(s, c.version)
	}
	for i := range ws.order {
		w := ws.at(i)
		var below []byte
		if c.base != nil {
			below = f.values[i]
		}
		var base []byte
		if !w.independent() {
			base = c.data.last(w.key, below)
		}
		c.put(w.key, below, w.apply(base, c.version, order))
		c.resolver.writeKey(w.key, c.version)
	}
	for _, s := range p.conflicts {
		c.resolver.write(s, c.version)
	}
}

// put gives key a value at version c.version. below is what the base has for it,
// of use only when the key is not in the map.
func (c *core) put(key, below, value []byte) {
	if e := c.data.put(key, below, value, c.version); e != nil {
		c.touched = append(c.touched, e)
	}
}

// publish makes the commits up to version v visible, which changed the entries,
// and forgets what has left the window.
func (c *core) publish(v store.Version, entries []*entry) {
	c.visible = v
	c.watches.compare(entries, v)
	if v-c.horizon > c.window {
		c.horizon = v - c.window
		c.data.trim(c.horizon)
		c.resolver.forget(c.horizon)
	}
}

// refuse makes the engine refuse everything with err, unless it refuses
// everything already, and ends all watches.
func (c *core) refuse(err error) {
	c.mu.Lock()
	c.refuseLocked(err)
	woken := c.watches.takeFired()
	c.mu.Unlock()
	wake(woken)
}

func (c *core) refuseLocked(err error) {
	if c.refused() == nil {
		c.refusal.Store(&err)
		c.watches.endAll(err)
	}
}

func wake(events []clock.Event) {
	for _, e := range events {
		e.Set()
	}
}
