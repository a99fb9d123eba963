package etcd

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Set implements [store.Tx].
func (t *Txn) Set(key, value []byte) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if t.fits(key, value) {
		t.writes.set(string(key), clone(value))
	}
}

// Clear implements [store.Tx]. There is no key over the limit to clear.
func (t *Txn) Clear(key []byte) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if len(key) <= store.MaxKeyBytes {
		t.writes.remove(string(key))
	}
}

// ClearRange implements [store.Tx].
func (t *Txn) ClearRange(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if s, ok := t.upright("ClearRange", begin, end); ok {
		t.writes.removeRange(span{shortened(s.begin), shortened(s.end)})
	}
}

// Add implements [store.Tx].
func (t *Txn) Add(key []byte, delta int64) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if t.fits(key, nil) {
		t.writes.add(string(key), uint64(delta))
	}
}

// SetStamped implements [store.Tx].
func (t *Txn) SetStamped(key, value []byte, offset int) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if !t.fits(key, value) {
		return
	}
	if offset < 0 || offset > len(value)-store.StampBytes {
		_ = t.fail(fmt.Errorf("etcd: SetStamped: %w: a stamp of %d bytes at offset %d of a %d-byte value", store.ErrInvalid, store.StampBytes, offset, len(value)))
		return
	}
	t.writes.stamp(string(key), clone(value), offset)
}

// AddReadConflict implements [store.Tx]. Keys that the transaction has written
// by then do not count as read. It takes no read version: a transaction that
// reads nothing else cannot conflict.
func (t *Txn) AddReadConflict(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if s, ok := t.upright("AddReadConflict", begin, end); ok {
		t.noteRange(s)
	}
}

// AddWriteConflict implements [store.Tx].
func (t *Txn) AddWriteConflict(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.busy.Unlock()
	if s, ok := t.upright("AddWriteConflict", begin, end); ok {
		t.writes.conflict(s)
	}
}

// noteRange adds a read conflict for what the transaction's own writes leave
// open in s.
func (t *Txn) noteRange(s span) {
	t.writes.unwritten(s, func(open span) {
		t.readSize += len(open.begin) + len(open.end)
		t.ranges.add(open)
	})
}

// fits reports whether key and value are within their limits, and breaks the
// transaction when they are not.
func (t *Txn) fits(key, value []byte) bool {
	if len(key) > store.MaxKeyBytes {
		_ = t.fail(fmt.Errorf("etcd: %w: a key has %d bytes, limit %d", store.ErrTooLarge, len(key), store.MaxKeyBytes))
		return false
	}
	if len(value) > store.MaxValueBytes {
		_ = t.fail(fmt.Errorf("etcd: %w: the value of %q has %d bytes, limit %d", store.ErrTooLarge, clip(string(key)), len(value), store.MaxValueBytes))
		return false
	}
	return true
}

// shortened returns a bound below which, and from which on, there are the same
// keys: none is between it and the given one, because it would be over the limit.
func shortened(bound string) string { return bound[:min(len(bound), store.MaxKeyBytes+1)] }

// upright returns the span when begin <= end, and breaks the transaction when
// not.
func (t *Txn) upright(call string, begin, end []byte) (span, bool) {
	s, err := newSpan(call, begin, end)
	if err != nil {
		_ = t.fail(err)
	}
	return s, err == nil
}

func newSpan(call string, begin, end []byte) (span, error) {
	s := span{string(begin), string(end)}
	if s.begin > s.end {
		return span{}, fmt.Errorf("etcd: %s: %w: range [%q, %q) is inverted", call, store.ErrInvalid, clip(s.begin), clip(s.end))
	}
	return s, nil
}
