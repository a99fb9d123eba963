package simfdb

import (
	"fmt"
	"math"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// defaults are the options that a client's transactions begin with.
type defaults struct {
	kept       keptOptions
	life       lifeOptions
	maxWatches int
}

func newDefaults() defaults {
	return defaults{
		kept:       keptOptions{retryLimit: -1, maxRetryDelay: maxBackoff},
		maxWatches: 10_000,
	}
}

// DatabaseOptions sets the options of a client. A value out of range is error
// 2006, and changes nothing.
type DatabaseOptions struct{ cl *Client }

// Options returns the means to set the client's options.
func (cl *Client) Options() DatabaseOptions { return DatabaseOptions{cl} }

// set stores v, if it is in range.
func (o DatabaseOptions) set(name string, v, least, most int64, store func(d *defaults)) error {
	if code := within(v, least, most); code != 0 {
		return fmt.Errorf("simfdb: %s is %d, must be %d to %d: %w", name, v, least, most, Error{code})
	}
	store(&o.cl.defaults)
	return nil
}

// SetMaxWatches bounds the watches of the client that have not ended; more end
// with error 1032. 0 to 1,000,000; default: 10,000.
func (o DatabaseOptions) SetMaxWatches(n int64) error {
	return o.set("MaxWatches", n, 0, 1_000_000, func(d *defaults) { d.maxWatches = int(n) })
}

// SetTransactionTimeout sets the timeout of transactions made from then on, in
// milliseconds.
func (o DatabaseOptions) SetTransactionTimeout(ms int64) error {
	return o.set("TransactionTimeout", ms, 0, math.MaxInt32, func(d *defaults) {
		d.kept.timeout = time.Duration(ms) * time.Millisecond
	})
}

// SetTransactionRetryLimit sets the retry limit of transactions made from then on.
func (o DatabaseOptions) SetTransactionRetryLimit(n int64) error {
	return o.set("TransactionRetryLimit", n, -1, math.MaxInt32, func(d *defaults) { d.kept.retryLimit = n })
}

// SetTransactionMaxRetryDelay sets the maximal retry delay of transactions made
// from then on, in milliseconds.
func (o DatabaseOptions) SetTransactionMaxRetryDelay(ms int64) error {
	return o.set("TransactionMaxRetryDelay", ms, 0, math.MaxInt32, func(d *defaults) {
		d.kept.maxRetryDelay = time.Duration(ms) * time.Millisecond
	})
}

// SetTransactionSizeLimit sets the size limit of transactions made from then on,
// in bytes.
func (o DatabaseOptions) SetTransactionSizeLimit(n int64) error {
	return o.set("TransactionSizeLimit", n, minSizeLimit, store.MaxTxnBytes, func(d *defaults) { d.life.sizeLimit = n })
}

// SetSnapshotRywDisable makes snapshot reads of transactions made from then on
// not see the transaction's writes.
func (o DatabaseOptions) SetSnapshotRywDisable() error {
	o.cl.defaults.life.snapshotHides++
	return nil
}
