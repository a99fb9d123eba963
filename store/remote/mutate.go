package remote

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// put notes a mutation. commits says that a commit has to tell the server.
func (t *attempt) put(w write, commits bool) {
	if t.used || t.broken != nil {
		return
	}
	t.size += len(w.key) + len(w.end) + len(w.value)
	if t.size > store.MaxTxnBytes {
		t.fail(fmt.Errorf("remote: %w: the transaction has over %d bytes", store.ErrTooLarge, store.MaxTxnBytes))
		t.data, t.ends = nil, nil
		return
	}
	t.data = w.append(t.data)
	t.ends = append(t.ends, len(t.data))
	t.wrote = t.wrote || commits
}

// fail makes the transaction refuse everything from now on, its commit too.
func (t *attempt) fail(err error) {
	if !t.used && t.broken == nil {
		t.broken = err
	}
}

// within reports whether key and value are within their limits, and breaks the
// transaction when they are not.
func (t *attempt) within(key, value []byte) bool {
	switch {
	case len(key) > store.MaxKeyBytes:
		t.fail(fmt.Errorf("remote: %w: a key has %d bytes, limit %d", store.ErrTooLarge, len(key), store.MaxKeyBytes))
	case len(value) > store.MaxValueBytes:
		t.fail(fmt.Errorf("remote: %w: a value has %d bytes, limit %d", store.ErrTooLarge, len(value), store.MaxValueBytes))
	default:
		return true
	}
	return false
}

// Set implements store.Tx.
func (t *attempt) Set(key, value []byte) {
	if t.within(key, value) {
		t.put(write{kind: writeSet, key: key, value: value}, true)
	}
}

// Clear implements store.Tx. There is no key over the limit to clear.
func (t *attempt) Clear(key []byte) {
	if len(key) <= store.MaxKeyBytes {
		t.put(write{kind: writeClear, key: key}, true)
	}
}

// ClearRange implements store.Tx.
func (t *attempt) ClearRange(begin, end []byte) {
	t.putRange("ClearRange", writeClearRange, begin, end)
}

// Add implements store.Tx.
func (t *attempt) Add(key []byte, delta int64) {
	if t.within(key, nil) {
		t.put(write{kind: writeAdd, key: key, delta: delta}, true)
	}
}

// SetStamped implements store.Tx.
func (t *attempt) SetStamped(key, value []byte, offset int) {
	switch {
	case !t.within(key, value):
	case offset < 0 || offset > len(value)-store.StampBytes:
		t.fail(fmt.Errorf("remote: SetStamped: %w: a stamp of %d bytes at offset %d of a %d-byte value", store.ErrInvalid, store.StampBytes, offset, len(value)))
	default:
		t.put(write{kind: writeStamped, key: key, value: value, offset: offset}, true)
	}
}

// AddReadConflict implements store.Tx.
func (t *attempt) AddReadConflict(begin, end []byte) {
	t.putRange("AddReadConflict", writeReadConflict, begin, end)
}

// AddWriteConflict implements store.Tx.
func (t *attempt) AddWriteConflict(begin, end []byte) {
	t.putRange("AddWriteConflict", writeWriteConflict, begin, end)
}

func (t *attempt) putRange(call string, k writeKind, begin, end []byte) {
	if err := upright(call, begin, end); err != nil {
		t.fail(err)
		return
	}
	t.put(write{kind: k, key: shortened(begin), end: shortened(end)}, k != writeReadConflict)
}
