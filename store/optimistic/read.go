package optimistic

import (
	"bytes"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Get implements [store.Reader].
func (t *Txn) Get(key []byte) ([]byte, error) { return t.getOne(key, true) }

// GetAll implements [store.Reader].
func (t *Txn) GetAll(keys ...[]byte) ([][]byte, error) { return t.getAll(keys, true) }

// GetRange implements [store.Reader].
func (t *Txn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.getRange(begin, end, o, true)
}

// snapshot reads without read conflicts.
type snapshot struct{ t *Txn }

func (s snapshot) Get(key []byte) ([]byte, error) { return s.t.getOne(key, false) }

func (s snapshot) GetAll(keys ...[]byte) ([][]byte, error) { return s.t.getAll(keys, false) }

func (s snapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return s.t.getRange(begin, end, o, false)
}

func (t *Txn) getOne(key []byte, conflict bool) ([]byte, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	return t.get(key, conflict)
}

func (t *Txn) getAll(keys [][]byte, conflict bool) ([][]byte, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	values := make([][]byte, len(keys))
	for i, key := range keys {
		var err error
		if values[i], err = t.get(key, conflict); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// get is Get inside a call. The result belongs to the caller.
func (t *Txn) get(key []byte, conflict bool) ([]byte, error) {
	w := t.writes.find(key)
	if w != nil && w.unreadable {
		return nil, t.fail(errUnreadable)
	}
	if w != nil && w.independent() {
		if w.kind == opClear {
			return nil, nil
		}
		return clone(w.value), nil
	}
	if w == nil && t.writes.isCleared(key) {
		return nil, nil
	}
	value, err := t.engine.core.get(key, &t.readVersion)
	if err != nil {
		return nil, err
	}
	if conflict {
		t.reads.add(t.arena.key(key))
	}
	if w != nil {
		value = w.apply(value, 0, 0)
	}
	return value, nil
}

// noteRead adds a read conflict for what the transaction's own writes leave
// open in s.
func (t *Txn) noteRead(s span) {
	t.writes.unwritten(s, t.reads.add)
}

func (t *Txn) getRange(begin, end []byte, o store.RangeOptions, conflict bool) ([]store.KeyValue, bool, error) {
	if err := t.enter(); err != nil {
		return nil, false, err
	}
	defer t.leave()
	if o.Limit < 0 {
		return nil, false, fmt.Errorf("optimistic: GetRange: %w: RangeOptions.Limit is %d, must be 0 or more", store.ErrInvalid, o.Limit)
	}
	if err := inverted("GetRange", begin, end); err != nil {
		return nil, false, err
	}
	if bytes.Equal(begin, end) {
		return nil, false, nil
	}
	limit := t.engine.rangeRows
	if o.Limit > 0 {
		limit = min(limit, o.Limit)
	}
	s := t.arena.span(begin, end)
	m := merger{t: t, span: s, limit: limit, reverse: o.Reverse}
	if err := m.run(); err != nil {
		return nil, false, err
	}
	more := len(m.rows) == limit
	if more {
		last := t.arena.key(m.rows[limit-1].Key)
		if o.Reverse {
			s.begin = last.begin
		} else {
			s.end = last.end
		}
	}
	if conflict {
		t.noteRead(s)
	}
	return m.rows, more, nil
}
