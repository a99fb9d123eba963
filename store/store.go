// Package store is the port through which the registry keeps its state: a
// strictly serializable, versioned, ordered key-value store with optimistic
// transactions.
//
// An engine implements [Engine] and [Txn]; application code uses a [DB], which
// adds the retry loop. The semantics are those of FoundationDB's client, cut
// down to what a registry needs, so that an engine over FoundationDB is thin:
//
//   - Transactions are strictly serializable: they take effect one by one, in
//     the order of their commit versions, each between its start and its end.
//   - Reads see the transaction's own writes. Reads that are not snapshot reads
//     add to the read conflict ranges; a commit fails with [ErrConflict] when a
//     key in them changed after the transaction's read version.
//   - Writes are buffered and sent with the commit. A transaction that wrote
//     nothing commits without a commit version and cannot conflict.
//   - Of two transactions that conflict, the later has the higher [Version].
//     Transactions that do not conflict may share one.
//
// The one error contract that matters: a commit that returns an error other
// than [ErrCommitUnknown] has not been applied and never will be.
package store

import (
	"context"
	"errors"
	"time"
)

// Version orders commits: of two conflicting commits the later has the higher
// one. Zero means none.
type Version uint64

// Limits that every engine enforces, in bytes (FoundationDB's).
const (
	MaxKeyBytes   = 10_000
	MaxValueBytes = 100_000
	MaxTxnBytes   = 10_000_000 // keys, values and conflict ranges together
)

// Errors. [Retryable] says which of them a fresh attempt may cure.
var (
	// ErrConflict: a key that the transaction read was changed before it could
	// commit. Nothing was applied. Retryable.
	ErrConflict = errors.New("store: conflict")
	// ErrTooOld: the read version is older than the engine remembers. Nothing
	// was applied. Retryable.
	ErrTooOld = errors.New("store: transaction too old")
	// ErrUnavailable: the engine cannot be reached or cannot serve just now.
	// Nothing was applied. Retryable.
	ErrUnavailable = errors.New("store: unavailable")

	// ErrCommitUnknown: the commit may have been applied, or may yet be. Not
	// retryable as it stands: the caller makes its operation recognisable and
	// looks whether it took effect.
	ErrCommitUnknown = errors.New("store: commit result unknown")

	// ErrTimedOut: the transaction's own deadline passed before it was sent to
	// commit. Nothing was applied.
	ErrTimedOut = errors.New("store: timed out")
	// ErrTooLarge: a key, a value or the transaction is over its limit.
	ErrTooLarge = errors.New("store: too large")
	// ErrInvalid: a call that makes no sense, such as an inverted range or a
	// stamp outside its value.
	ErrInvalid = errors.New("store: invalid use")
	// ErrUsed: the transaction was used after its commit or its cancel.
	ErrUsed = errors.New("store: transaction already used")
	// ErrUnreadable: a stamped value was read before its commit.
	ErrUnreadable = errors.New("store: read of a value that is not known yet")
	// ErrClosed: the engine has been closed.
	ErrClosed = errors.New("store: closed")
)

// Retryable reports whether err promises that nothing was applied and that a
// fresh transaction may succeed.
func Retryable(err error) bool {
	if errors.Is(err, ErrCommitUnknown) {
		return false
	}
	return errors.Is(err, ErrConflict) || errors.Is(err, ErrTooOld) || errors.Is(err, ErrUnavailable)
}

// KeyValue is one row of a range read.
type KeyValue struct {
	Key   []byte
	Value []byte
}

// RangeOptions bound a range read. The zero value reads forward without limit.
type RangeOptions struct {
	Limit   int  // at most so many rows; 0 means no limit; negative is ErrInvalid
	Reverse bool // from the end of the range downwards
}

// Reader reads keys. Returned slices belong to the caller.
type Reader interface {
	// Get returns the value of key, or nil when there is none. An empty value
	// is not nil.
	Get(key []byte) ([]byte, error)

	// GetAll is Get of several keys at the cost of one round trip. The result
	// has the order of keys.
	GetAll(keys ...[]byte) ([][]byte, error)

	// GetRange returns the rows with begin <= key < end, in key order (or
	// reversed). more reports that the limit, or the engine's own bound on one
	// answer, may have cut the result short: go on behind the last row. Without
	// more, the conflict range is the whole range; with more, it ends at the
	// last row returned.
	GetRange(begin, end []byte, o RangeOptions) (rows []KeyValue, more bool, err error)
}

// Tx is what the body of a transaction may do. It is for one task; it must not
// be used after the body returned. Mutations report their errors at commit.
type Tx interface {
	Reader

	// Snapshot returns a reader of the same read version whose reads add no
	// conflict ranges. It sees the transaction's own writes.
	Snapshot() Reader

	// Set gives key a value; nil counts as empty.
	Set(key, value []byte)
	// Clear removes key.
	Clear(key []byte)
	// ClearRange removes all keys with begin <= key < end.
	ClearRange(begin, end []byte)
	// Add adds delta to the value of key, a little-endian 64-bit two's
	// complement integer, without reading it: additions do not conflict with
	// each other. A missing key counts as zero; a shorter value is extended with
	// zero bytes and a longer one cut to 8 bytes.
	Add(key []byte, delta int64)
	// SetStamped gives key a value in which the 10 bytes from offset on are
	// replaced by the commit's stamp: the version, 8 bytes big-endian, and an
	// order within the version, 2 bytes big-endian. See [StampVersion]. The key
	// cannot be read until the commit.
	SetStamped(key, value []byte, offset int)

	// AddReadConflict acts as if the range [begin, end) had been read.
	AddReadConflict(begin, end []byte)
	// AddWriteConflict acts as if the range [begin, end) had been written.
	AddWriteConflict(begin, end []byte)

	// Watch returns a watch that is set once the transaction has committed and
	// then fires when key's value differs from what the transaction saw, its
	// own writes included. It adds no conflict range.
	Watch(key []byte) (Watch, error)

	// ReadVersion returns the version that reads see.
	ReadVersion() (Version, error)
}

// Watch waits for a key to change. It fires once; it may fire although the
// value is as before, and it may miss a change that was undone.
type Watch interface {
	// Wait blocks until the watch fires, and returns nil, or until ctx or the
	// watch ends, and returns why. A lost connection ends it with
	// ErrUnavailable; a transaction that did not commit, with its error.
	Wait(ctx context.Context) error
	// Cancel ends the watch. It is safe to call more than once.
	Cancel()
}

// Engine is a store as an engine offers it.
type Engine interface {
	// Begin starts a transaction. It does not block. All calls on the
	// transaction end when ctx does: reads with ctx.Err() (wrapped), a commit
	// that is under way with ErrCommitUnknown.
	Begin(ctx context.Context) Txn

	// Close refuses all further work with ErrClosed and ends all watches.
	Close() error
}

// Txn is one attempt at a transaction.
type Txn interface {
	Tx

	// Commit sends the writes. It returns nil, ErrCommitUnknown, or an error
	// that promises that nothing was applied.
	Commit() error

	// Committed returns the commit version after a successful Commit; zero for
	// a transaction that wrote nothing.
	Committed() Version

	// Cancel gives the transaction up. After Commit it does nothing.
	Cancel()
}

// StampBytes is the length of a commit's stamp.
const StampBytes = 10

// StampVersion returns the version of the stamp at offset in a stored value,
// or ErrInvalid when the value is too short.
func StampVersion(value []byte, offset int) (Version, error) {
	if offset < 0 || offset > len(value) || len(value)-offset < StampBytes {
		return 0, errInvalidStamp(value, offset)
	}
	var v Version
	for _, b := range value[offset : offset+8] {
		v = v<<8 | Version(b)
	}
	return v, nil
}

// AttemptTimeout is the default bound on one attempt at a transaction.
const AttemptTimeout = 5 * time.Second
