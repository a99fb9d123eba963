package optimistic

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// check verifies the whole structure.
func (c *core) check() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var errs []error
	if want := max(c.origin, max(c.visible, c.window)-c.window); c.horizon != want {
		errs = append(errs, fmt.Errorf("horizon is %d, want %d at version %d with a window of %d from %d on", c.horizon, want, c.visible, c.window, c.origin))
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
	if err := c.checkBatches(); err != nil {
		errs = append(errs, fmt.Errorf("batches: %w", err))
	}
	if err := c.checkBase(); err != nil {
		errs = append(errs, fmt.Errorf("base: %w", err))
	}
	value, err := c.watchedValues()
	if err != nil {
		errs = append(errs, err)
	} else if err := c.watches.check(value, c.refused() != nil); err != nil {
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

// checkBatches verifies that what waits for the base is what is not visible.
func (c *core) checkBatches() error {
	var errs []error
	q := &c.batches
	waiting, last := 0, c.visible
	for i := range q.queue.len() {
		b := *q.queue.at(i)
		waiting += b.txns
		if b.txns < 1 || b.last != last+store.Version(b.txns) || b.done.IsSet() {
			errs = append(errs, fmt.Errorf("batch %d of %d commits ends at version %d behind %d, done %v", i, b.txns, b.last, last, b.done.IsSet()))
		}
		last = b.last
	}
	if waiting != q.waiting || (c.refused() == nil && last != c.version) {
		errs = append(errs, fmt.Errorf("%d commits wait, counted %d, up to version %d of %d", waiting, q.waiting, last, c.version))
	}
	return errors.Join(errs...)
}

// checkBase verifies that the base has the visible value of each key in the map.
// While a batch is being written, or once a write has failed, nobody knows.
func (c *core) checkBase() error {
	if c.base == nil || c.batches.underWay || c.refused() != nil {
		return nil
	}
	var keys, want [][]byte
	c.data.entries.Scan(func(key string, e *entry) bool {
		keys = append(keys, []byte(key))
		want = append(want, e.at(c.visible))
		return true
	})
	got, err := c.base.Values(keys)
	if err != nil {
		return err
	}
	var errs []error
	for i, key := range keys {
		if !equalValue(got[i], want[i]) {
			errs = append(errs, fmt.Errorf("key %q has %d bytes, in the map %d bytes, or others", key, len(got[i]), len(want[i])))
		}
	}
	return errors.Join(errs...)
}

// watchedValues returns a function from a watched key to its visible value.
func (c *core) watchedValues() (func(key string) []byte, error) {
	below := map[string][]byte{}
	if c.base != nil && c.refused() == nil {
		var keys [][]byte
		for w := c.watches.first; w != nil; w = w.next {
			keys = append(keys, []byte(w.key))
		}
		values, err := c.base.Values(keys)
		if err != nil {
			return nil, fmt.Errorf("base: %w", err)
		}
		for i, key := range keys {
			below[string(key)] = values[i]
		}
	}
	return func(key string) []byte {
		if e := c.data.find([]byte(key)); e != nil {
			return e.at(c.visible)
		}
		return below[key]
	}, nil
}
