package optimistic

import (
	"bytes"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Set implements [store.Tx].
func (t *Txn) Set(key, value []byte) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if t.fits(key, value) {
		t.writes.set(t.arena.copy(key, 0), clone(value))
	}
}

// Clear implements [store.Tx]. There is no key over the limit to clear.
func (t *Txn) Clear(key []byte) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if len(key) <= store.MaxKeyBytes {
		t.writes.remove(t.arena.copy(key, 0))
	}
}

// ClearRange implements [store.Tx].
func (t *Txn) ClearRange(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if t.upright("ClearRange", begin, end) {
		t.writes.removeRange(t.arena.span(shortened(begin), shortened(end)))
	}
}

// Add implements [store.Tx].
func (t *Txn) Add(key []byte, delta int64) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if t.fits(key, nil) {
		t.writes.add(t.arena.copy(key, 0), uint64(delta))
	}
}

// SetStamped implements [store.Tx].
func (t *Txn) SetStamped(key, value []byte, offset int) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if !t.fits(key, value) {
		return
	}
	if offset < 0 || offset > len(value)-store.StampBytes {
		_ = t.fail(fmt.Errorf("optimistic: SetStamped: %w: a stamp of %d bytes at offset %d of a %d-byte value", store.ErrInvalid, store.StampBytes, offset, len(value)))
		return
	}
	t.writes.stamp(t.arena.copy(key, 0), clone(value), offset)
}

// AddReadConflict implements [store.Tx]. Keys that the transaction has written
// by now do not count as read. It takes no read version: a transaction that
// reads nothing cannot conflict.
func (t *Txn) AddReadConflict(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if t.upright("AddReadConflict", begin, end) {
		t.noteRead(t.arena.span(begin, end))
	}
}

// AddWriteConflict implements [store.Tx].
func (t *Txn) AddWriteConflict(begin, end []byte) {
	if !t.mutate() {
		return
	}
	defer t.leave()
	if t.upright("AddWriteConflict", begin, end) && !bytes.Equal(begin, end) {
		t.conflicts.add(t.arena.span(begin, end))
	}
}

// fits reports whether key and value are within their limits, and breaks the
// transaction when they are not.
func (t *Txn) fits(key, value []byte) bool {
	if len(key) > store.MaxKeyBytes {
		_ = t.fail(fmt.Errorf("optimistic: %w: a key has %d bytes, limit %d", store.ErrTooLarge, len(key), store.MaxKeyBytes))
		return false
	}
	if len(value) > store.MaxValueBytes {
		_ = t.fail(fmt.Errorf("optimistic: %w: the value of %q has %d bytes, limit %d", store.ErrTooLarge, clip(key), len(value), store.MaxValueBytes))
		return false
	}
	return true
}

// shortened returns a bound below which, and from which on, there are the same
// keys: none is between it and the given one, because it would be over the limit.
func shortened(bound []byte) []byte {
	return bound[:min(len(bound), store.MaxKeyBytes+1)]
}

// upright reports whether begin <= end, and breaks the transaction when not.
func (t *Txn) upright(call string, begin, end []byte) bool {
	if err := inverted(call, begin, end); err != nil {
		_ = t.fail(err)
		return false
	}
	return true
}

func inverted(call string, begin, end []byte) error {
	if bytes.Compare(begin, end) <= 0 {
		return nil
	}
	return fmt.Errorf("optimistic: %s: %w: range [%q, %q) is inverted", call, store.ErrInvalid, clip(begin), clip(end))
}

// clip shortens a key for an error text.
func clip(key []byte) []byte {
	const longest = 40
	return key[:min(len(key), longest)]
}
