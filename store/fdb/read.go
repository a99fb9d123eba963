package fdb

import (
	"github.com/kelpie-registry/kelpie/store"
)

// answerRows bounds the rows of one answer when the caller sets no limit, so
// that a long range is neither held in memory whole nor read in one transaction
// that grows too old.
const answerRows = 1000

// Get implements [store.Reader].
func (t *Txn) Get(key []byte) ([]byte, error) { return t.get(key, false) }

// GetAll implements [store.Reader].
func (t *Txn) GetAll(keys ...[]byte) ([][]byte, error) { return t.getAll(keys, false) }

// GetRange implements [store.Reader]. An answer has at most 1000 rows, or
// o.Limit.
func (t *Txn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.getRange(begin, end, o, false)
}

// Snapshot implements [store.Tx].
func (t *Txn) Snapshot() store.Reader { return snapshot{t} }

// snapshot is a transaction whose reads add no conflict ranges.
type snapshot struct{ t *Txn }

func (s snapshot) Get(key []byte) ([]byte, error) { return s.t.get(key, true) }

func (s snapshot) GetAll(keys ...[]byte) ([][]byte, error) { return s.t.getAll(keys, true) }

func (s snapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return s.t.getRange(begin, end, o, true)
}

// ReadVersion implements [store.Tx].
func (t *Txn) ReadVersion() (store.Version, error) {
	if err := t.enter("read version"); err != nil {
		return 0, err
	}
	defer t.busy.Unlock()
	v, err := t.tr.readVersion()()
	if err != nil {
		return 0, t.failed("read version", err)
	}
	return store.Version(v), nil
}

func (t *Txn) get(key []byte, snapshot bool) ([]byte, error) {
	if err := t.enter("get"); err != nil {
		return nil, err
	}
	defer t.busy.Unlock()
	v, err := t.tr.get(t.engine.space.key(key), snapshot)()
	if err != nil {
		return nil, t.failed("get", err)
	}
	return v, nil
}

func (t *Txn) getAll(keys [][]byte, snapshot bool) ([][]byte, error) {
	if err := t.enter("get all"); err != nil {
		return nil, err
	}
	defer t.busy.Unlock()
	waits := make([]func() ([]byte, error), len(keys))
	for i, key := range keys {
		waits[i] = t.tr.get(t.engine.space.key(key), snapshot)
	}
	values := make([][]byte, len(keys))
	for i, wait := range waits {
		var err error
		if values[i], err = wait(); err != nil {
			return nil, t.failed("get all", err)
		}
	}
	return values, nil
}

func (t *Txn) getRange(begin, end []byte, o store.RangeOptions, snapshot bool) ([]store.KeyValue, bool, error) {
	if err := t.enter("get range"); err != nil {
		return nil, false, err
	}
	defer t.busy.Unlock()
	switch {
	case o.Limit < 0:
		return nil, false, invalid("get range: the limit is %d, must be 0 or more", o.Limit)
	case string(begin) > string(end):
		return nil, false, invalid("get range: begin %q lies behind end %q", begin, end) // empty, to the client
	}
	limit := o.Limit
	if limit == 0 {
		limit = answerRows
	}
	rows, err := t.tr.getRange(t.engine.space.key(begin), t.engine.space.key(end), limit, o.Reverse, snapshot)
	if err != nil {
		return nil, false, t.failed("get range", err)
	}
	for i := range rows {
		rows[i].Key = t.engine.space.strip(rows[i].Key)
	}
	// At the limit the client has seen nothing behind the last row, and its
	// conflict range ends there.
	return rows, len(rows) == limit, nil
}
