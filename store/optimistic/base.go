package optimistic

import (
	"github.com/kelpie-registry/kelpie/store"
)

// Base holds the newest durable state of an engine, one value for a key.
//
// Values and Rows may be called from several tasks and beside a Commit; each
// call reads one state, that before or that after the Commit. What they return
// belongs to the caller.
type Base interface {
	// Values returns the values of keys in their order, nil for none. An empty
	// value is not nil.
	Values(keys [][]byte) ([][]byte, error)

	// Rows returns the first rows with begin <= key < end in key order, or with
	// reverse the last ones from the end downwards, at most limit of them and at
	// least one if there is one. more reports that there may be others.
	Rows(begin, end []byte, reverse bool, limit int) (rows []store.KeyValue, more bool, err error)

	// Commit makes the changes, all or none of them, together with the version of
	// the last commit in them, and returns once they are durable. An error says
	// nothing about how far it came; the base must not be used after it. The
	// changes are sorted by key, no key twice; there may be none.
	Commit(last store.Version, changes []Change) error
}

// Change is what a batch did to one key. The slices must not be changed.
type Change struct {
	Key string
	Old []byte // the value that the base has; nil for none
	New []byte // the value that it gets; nil to remove the key
}

// fetched is what a commit needs of the base: what the keys that it writes held
// before. It is read without the lock, and good while the state it is of has not
// left the window: a key that is not in the map then has not changed since.
type fetched struct {
	at     store.Version      // the base was read at this version or a later one
	values [][]byte           // by position in the write set
	known  []bool             // which of values were read
	ranges [][]store.KeyValue // by cleared span
}

// fetch reads what ws needs. It must not be called with the lock.
func (c *core) fetch(ws *writeSet) (fetched, error) {
	f := fetched{values: make([][]byte, len(ws.order)), known: make([]bool, len(ws.order))}
	c.mu.RLock()
	f.at = c.visible
	for i := range ws.order {
		f.known[i] = c.data.find(ws.at(i).key) == nil
	}
	c.mu.RUnlock()
	return f, c.fill(&f, ws)
}

// refetch reads again, with the lock held, what has become of no use: the state
// left the window, or a key left the map.
func (c *core) refetch(f *fetched, ws *writeSet) error {
	stale := f.at < c.horizon
	again := stale && len(ws.cleared) > 0
	for i := range ws.order {
		if c.data.find(ws.at(i).key) == nil && (stale || !f.known[i]) {
			f.known[i], again = true, true
		}
	}
	if !again {
		return nil
	}
	return c.fill(f, ws)
}

// fill reads the known values and the cleared ranges.
func (c *core) fill(f *fetched, ws *writeSet) error {
	var keys [][]byte
	for i, known := range f.known {
		if known {
			keys = append(keys, ws.at(i).key)
		}
	}
	if len(keys) > 0 {
		values, err := c.base.Values(keys)
		if err != nil {
			return err
		}
		for i, known := range f.known {
			if known {
				f.values[i], values = values[0], values[1:]
			}
		}
	}
	f.ranges = f.ranges[:0]
	for _, s := range ws.cleared {
		rows, err := c.allRows(s)
		if err != nil {
			return err
		}
		f.ranges = append(f.ranges, rows)
	}
	return nil
}

// allRows reads a whole range of the base.
func (c *core) allRows(s span) ([]store.KeyValue, error) {
	var all []store.KeyValue
	for {
		rows, more, err := c.base.Rows(s.begin, s.end, false, mergeStretch)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if !more || len(rows) == 0 {
			return all, nil
		}
		s.begin = append(clone(rows[len(rows)-1].Key), 0)
	}
}
