package simfdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// Transaction is a transaction of the client library. It implements store.Txn;
// its other methods are FoundationDB's own.
//
// Reads see the transaction's writes (writeMap) and are not repeated for what
// has been read before (readCache). A mutation that is refused makes every
// later read, and the commit, fail with its error.
type Transaction struct {
	client *Client
	ctx    context.Context

	state    transactionState
	deferred error // of a mutation; nil when none was refused

	readVersion Version // invalidVersion: not known yet
	base        Version // the last commit at or before readVersion
	cache       readCache
	writes      writeMap
	reads       rangeSet // read conflict ranges
	written     rangeSet // write conflict ranges
	hidden      bool     // the next write adds no write conflict range
	approximate int      // size in bytes, each call counted for itself

	watches []*Watch

	grv       grvRequest
	request   commitRequest
	committed Version
	order     uint16

	// Room for what most transactions need.
	roomForReads   [4]KeyRange
	roomForWrites  [2]KeyRange
	roomForEntries [2]writeEntry
}

type transactionState uint8

const (
	stateOpen transactionState = iota
	stateCommitting
	stateCommitted
	stateFailed
	stateCancelled
)

// usable returns why the transaction cannot be used, if it cannot.
func (t *Transaction) usable(doing string) error {
	switch {
	case t.state == stateCancelled:
		return Error{CodeTransactionCancelled}
	case t.state != stateOpen:
		return Error{CodeUsedDuringCommit}
	case t.client.closed:
		return fmt.Errorf("simfdb: %s: %w", doing, store.ErrClosed)
	}
	if err := t.ctx.Err(); err != nil {
		return fmt.Errorf("simfdb: %s: %w", doing, err)
	}
	return t.deferred
}

// refuse makes the transaction fail with the first error of a mutation.
func (t *Transaction) refuse(code int) {
	if t.deferred == nil {
		t.deferred = Error{code}
	}
}

// pointOf copies a key into the range that holds it alone.
func pointOf(key []byte) KeyRange {
	var b strings.Builder
	b.Grow(len(key) + 1)
	b.Write(key)
	b.WriteByte(0)
	s := b.String()
	return KeyRange{s[:len(key)], s}
}

// ReadVersion implements store.Tx.
func (t *Transaction) ReadVersion() (store.Version, error) {
	if err := t.usable("read version"); err != nil {
		return 0, err
	}
	if err := t.ensureReadVersion(); err != nil {
		return 0, err
	}
	return store.Version(t.readVersion), nil
}

func (t *Transaction) ensureReadVersion() error {
	if t.readVersion != invalidVersion {
		return nil
	}
	reply, err := t.client.grv(t.ctx, &t.grv)
	if err != nil {
		t.grv = grvRequest{}
		return err
	}
	t.readVersion, t.base = reply.version, reply.base
	return nil
}

// SetReadVersion makes reads see version v, which the transaction need not have
// asked for. Error 2010 when it has a version already, 2011 when v is not above 0.
func (t *Transaction) SetReadVersion(v Version) error {
	if err := t.usable("set read version"); err != nil {
		return err
	}
	switch {
	case t.readVersion != invalidVersion:
		t.refuse(CodeReadVersionAlreadySet)
	case v <= 0:
		t.refuse(CodeVersionInvalid)
	default:
		t.readVersion, t.base = v, v
		if last := t.client.lately; last.base <= v && v <= last.version {
			t.base = last.base
		}
	}
	return t.deferred
}

// Set implements store.Tx.
func (t *Transaction) Set(key, value []byte) {
	if t.checkWrite(key, value) {
		r := pointOf(key)
		m := mutation{kind: mutationSet, key: r.Begin, param: string(value)}
		t.writes.write(m)
		t.wrote(r, m.size())
	}
}

// Clear implements store.Tx.
func (t *Transaction) Clear(key []byte) {
	if t.checkWrite(nil, nil) && t.legal(key) {
		r := pointOf(key)
		t.writes.clear(r)
		t.wrote(r, clearSize(r))
	}
}

// ClearRange implements store.Tx.
func (t *Transaction) ClearRange(begin, end []byte) {
	r := KeyRange{string(begin), string(end)}
	if t.checkWrite(nil, nil) && t.checkRange(r) {
		t.writes.clear(r)
		t.wrote(r, clearSize(r))
	}
}

// Add implements store.Tx.
func (t *Transaction) Add(key []byte, delta int64) {
	var operand [8]byte
	for i := range operand {
		operand[i] = byte(delta >> (8 * i))
	}
	t.Atomic(Add, key, operand[:])
}

// Atomic makes an atomic operation. A versionstamped operation is refused: see
// [Transaction.SetStamped] and [Transaction.SetStampedKey].
func (t *Transaction) Atomic(op MutationType, key, operand []byte) {
	if !t.checkWrite(key, operand) {
		return
	}
	if !op.atomic() {
		t.refuse(CodeInvalidMutationType)
		return
	}
	r := pointOf(key)
	m := mutation{kind: op, key: r.Begin, param: string(operand)}
	t.writes.write(m)
	t.wrote(r, m.size())
}

// SetStamped implements store.Tx.
func (t *Transaction) SetStamped(key, value []byte, offset int) {
	if !t.checkWrite(key, value) {
		return
	}
	if offset < 0 || offset > len(value)-store.StampBytes {
		t.refuse(CodeInvalidOperation)
		return
	}
	r := pointOf(key)
	m := mutation{kind: SetVersionstampedVal, key: r.Begin, param: string(value), offset: offset}
	t.writes.write(m)
	t.wrote(r, m.size())
}

// SetStampedKey gives value to the key that key becomes when its 10 bytes from
// offset on are replaced by the commit's stamp.
func (t *Transaction) SetStampedKey(key, value []byte, offset int) {
	if !t.checkWrite(key, value) {
		return
	}
	if offset < 0 || offset > len(key)-store.StampBytes {
		t.refuse(CodeInvalidOperation)
		return
	}
	m := mutation{kind: SetVersionstampedKey, key: string(key), param: string(value), offset: offset}
	t.writes.writeStampedKey(m)
	t.wrote(m.stampRange(), m.size())
}

// checkWrite reports whether the transaction takes writes and a write is within
// the limits; if it is not, the transaction fails with its error.
func (t *Transaction) checkWrite(key, value []byte) bool {
	switch {
	case t.state != stateOpen || t.deferred != nil:
		return false
	case len(key) > store.MaxKeyBytes:
		t.refuse(CodeKeyTooLarge)
	case len(value) > store.MaxValueBytes:
		t.refuse(CodeValueTooLarge)
	default:
		return t.legal(key)
	}
	return false
}

// legal refuses a write of a system key.
func (t *Transaction) legal(key []byte) bool {
	if string(key) < firstSystemKey {
		return true
	}
	t.refuse(CodeKeyOutsideLegalRange)
	return false
}

// checkRange refuses a range that is inverted or reaches into the system keys.
func (t *Transaction) checkRange(r KeyRange) bool {
	switch {
	case r.Begin > r.End:
		t.refuse(CodeInvertedRange)
	case r.End > firstSystemKey:
		t.refuse(CodeKeyOutsideLegalRange)
	default:
		return true
	}
	return false
}

// wrote adds the write conflict range of a mutation of that size, unless the
// write is to be hidden.
func (t *Transaction) wrote(r KeyRange, size int) {
	t.approximate += size
	if !t.hidden {
		t.written.add(r)
		t.approximate += r.size()
	}
	t.hidden = false
}

// clearSize is the size of the mutation that clears r.
func clearSize(r KeyRange) int { return mutationOverhead + len(r.Begin) + len(r.End) }

// HideNextWrite makes the next write add no write conflict range
// (FoundationDB's option next_write_no_write_conflict_range).
func (t *Transaction) HideNextWrite() { t.hidden = true }

// AddReadConflict implements store.Tx. Keys that the transaction itself has set
// or cleared are left out, as in a read.
func (t *Transaction) AddReadConflict(begin, end []byte) {
	r := KeyRange{string(begin), string(end)}
	if t.state == stateOpen && t.checkRange(r) {
		t.conflictOn(r)
	}
}

// AddWriteConflict implements store.Tx.
func (t *Transaction) AddWriteConflict(begin, end []byte) {
	r := KeyRange{string(begin), string(end)}
	if t.state == stateOpen && t.checkRange(r) {
		t.written.add(r)
	}
}

// conflictOn adds the read conflict ranges of a read of r.
func (t *Transaction) conflictOn(r KeyRange) {
	if !r.empty() {
		t.writes.stored(r, t.reads.add)
	}
}

// ReadConflicts returns the read conflict ranges so far, in key order.
func (t *Transaction) ReadConflicts() []KeyRange { return append([]KeyRange(nil), t.reads.ranges...) }

// WriteConflicts returns the write conflict ranges so far, in key order.
func (t *Transaction) WriteConflicts() []KeyRange {
	return append([]KeyRange(nil), t.written.ranges...)
}

// ApproximateSize returns the transaction's size in bytes as FoundationDB's
// client estimates it: each call counts, also one that changes or reads the same
// again. What counts against the limit is what the commit sends.
func (t *Transaction) ApproximateSize() int { return t.approximate }

// Cancel implements store.Txn. During a commit it ends the wait for the commit,
// not the commit.
func (t *Transaction) Cancel() {
	switch t.state {
	case stateOpen:
		t.state = stateCancelled
		t.endWatches(Error{CodeTransactionCancelled})
	case stateCommitting:
		t.request.call.finish(codeCanceled)
	case stateCommitted, stateFailed, stateCancelled:
	}
}
