package fdb

import (
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// database and transaction are what an engine needs of the client library: the
// calls of the official binding, one to one, with errors of type [Error]. Keys
// are the cluster's own. A call that returns a function has been sent when it
// returns; the function waits for the answer.
type database interface {
	begin(o transactionOptions) (transaction, error)
}

// transactionOptions are the client's. Zero fields leave its defaults.
type transactionOptions struct {
	timeout    time.Duration
	sizeLimit  int // bytes
	idempotent bool
}

type transaction interface {
	get(key []byte, snapshot bool) func() ([]byte, error)
	// getRange returns the first limit rows of a range, or the last ones in
	// reverse. limit > 0.
	getRange(begin, end []byte, limit int, reverse, snapshot bool) ([]store.KeyValue, error)
	readVersion() func() (int64, error)

	set(key, value []byte)
	clear(key []byte)
	clearRange(begin, end []byte)
	add(key, operand []byte)
	// setStamped: the last four bytes of operand are the offset of the stamp in
	// the others, little-endian.
	setStamped(key, operand []byte)
	addReadConflict(begin, end []byte) error
	addWriteConflict(begin, end []byte) error

	// watch counts as a read of key. It starts with the commit, ends with cancel
	// and outlives the transaction.
	watch(key []byte) (wait func() error, cancel func())

	commit() func() error
	// committedVersion is -1 when there is none.
	committedVersion() (int64, error)
	// onError makes the transaction new and waits for a while, when a transaction
	// that failed with the number is worth another try, or returns why not.
	onError(code int) error
	// cancel ends everything that waits, with 1025. It does not block.
	cancel()
}
