//go:build fdb

package fdb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/kelpie-registry/kelpie/store"
)

// Open connects to a cluster and reads a key from it, so that what is wrong with
// the cluster file or the cluster is known at once.
//
// Errors about the cluster name its file. They wrap store.ErrInvalid for options and
// cluster files that cannot be right, store.ErrUnavailable when the cluster does
// not answer within Options.OpenTimeout, and ctx.Err() when ctx ended first.
//
// A process has one client library and one API version: Open fails when the
// process has chosen another than 730.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.ClusterFile = clusterFile(o.ClusterFile)
	if err := checkClusterFile(o.ClusterFile); err != nil {
		return nil, err
	}
	db, err := openDatabase(o.ClusterFile)
	if err != nil {
		return nil, err
	}
	e := newEngine(db, o)
	if err := e.probe(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// opening guards the binding's table of open databases, which it shares by
// cluster file and does not lock.
var opening sync.Mutex

func openDatabase(clusterFile string) (native, error) {
	opening.Lock()
	defer opening.Unlock()
	if err := fdb.APIVersion(apiVersion); err != nil {
		if chosen, unset := fdb.GetAPIVersion(); unset == nil {
			return native{}, fmt.Errorf("fdb: %w: the process has chosen API version %d of FoundationDB, %d is needed: %w", store.ErrInvalid, chosen, apiVersion, err)
		}
		return native{}, fmt.Errorf("fdb: API version %d: %w", apiVersion, numbered(err))
	}
	db, err := fdb.OpenDatabase(clusterFile)
	if err != nil {
		return native{}, callError("open the database", numbered(err), nil)
	}
	return native{db}, nil
}

// numbered turns the binding's errors into those of this package.
func numbered(err error) error {
	var e fdb.Error
	if errors.As(err, &e) {
		return Error{e.Code}
	}
	return err
}

// native is the client's database.
type native struct{ db fdb.Database }

func (n native) begin(o transactionOptions) (transaction, error) {
	tr, err := n.db.CreateTransaction()
	if err != nil {
		return nil, numbered(err)
	}
	options := tr.Options()
	if o.timeout > 0 {
		err = options.SetTimeout(milliseconds(o.timeout))
	}
	if err == nil && o.sizeLimit > 0 {
		err = options.SetSizeLimit(int64(o.sizeLimit))
	}
	if err == nil && o.idempotent {
		err = options.SetAutomaticIdempotency()
	}
	if err != nil {
		return nil, numbered(err)
	}
	return nativeTransaction{tr}, nil
}

// nativeTransaction is the client's transaction.
type nativeTransaction struct{ tr fdb.Transaction }

func (n nativeTransaction) get(key []byte, snapshot bool) func() ([]byte, error) {
	var f fdb.FutureByteSlice
	if snapshot {
		f = n.tr.Snapshot().Get(fdb.Key(key))
	} else {
		f = n.tr.Get(fdb.Key(key))
	}
	return func() ([]byte, error) {
		v, err := f.Get()
		return v, numbered(err)
	}
}

// getRange asks for exactly limit rows, which the binding collects from as many
// answers as it takes.
func (n nativeTransaction) getRange(begin, end []byte, limit int, reverse, snapshot bool) ([]store.KeyValue, error) {
	r := keyRange(begin, end)
	o := fdb.RangeOptions{Limit: limit, Mode: fdb.StreamingModeExact, Reverse: reverse}
	var result fdb.RangeResult
	if snapshot {
		result = n.tr.Snapshot().GetRange(r, o)
	} else {
		result = n.tr.GetRange(r, o)
	}
	found, err := result.GetSliceWithError()
	if err != nil {
		return nil, numbered(err)
	}
	rows := make([]store.KeyValue, len(found))
	for i, kv := range found {
		rows[i] = store.KeyValue{Key: kv.Key, Value: kv.Value}
	}
	return rows, nil
}

func (n nativeTransaction) readVersion() func() (int64, error) {
	f := n.tr.GetReadVersion()
	return func() (int64, error) {
		v, err := f.Get()
		return v, numbered(err)
	}
}

func (n nativeTransaction) set(key, value []byte)        { n.tr.Set(fdb.Key(key), value) }
func (n nativeTransaction) clear(key []byte)             { n.tr.Clear(fdb.Key(key)) }
func (n nativeTransaction) clearRange(begin, end []byte) { n.tr.ClearRange(keyRange(begin, end)) }
func (n nativeTransaction) add(key, operand []byte)      { n.tr.Add(fdb.Key(key), operand) }

func (n nativeTransaction) setStamped(key, operand []byte) {
	n.tr.SetVersionstampedValue(fdb.Key(key), operand)
}

func (n nativeTransaction) addReadConflict(begin, end []byte) error {
	return numbered(n.tr.AddReadConflictRange(keyRange(begin, end)))
}

func (n nativeTransaction) addWriteConflict(begin, end []byte) error {
	return numbered(n.tr.AddWriteConflictRange(keyRange(begin, end)))
}

func (n nativeTransaction) watch(key []byte) (wait func() error, cancel func()) {
	f := n.tr.Watch(fdb.Key(key))
	return waiting(f), f.Cancel
}

func (n nativeTransaction) commit() func() error { return waiting(n.tr.Commit()) }

func (n nativeTransaction) committedVersion() (int64, error) {
	v, err := n.tr.GetCommittedVersion()
	return v, numbered(err)
}

func (n nativeTransaction) onError(code int) error {
	return waiting(n.tr.OnError(fdb.Error{Code: code}))()
}

// cancel comes from other goroutines, when nobody else may hold the transaction
// any more: without a word to the collector, its finalizer could destroy it
// beneath the call.
func (n nativeTransaction) cancel() {
	n.tr.Cancel()
	runtime.KeepAlive(n.tr)
}

func waiting(f fdb.FutureNil) func() error {
	return func() error { return numbered(f.Get()) }
}

func keyRange(begin, end []byte) fdb.KeyRange {
	return fdb.KeyRange{Begin: fdb.Key(begin), End: fdb.Key(end)}
}
