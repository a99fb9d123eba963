package simstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// txn implements store.Txn. Mutations go to the inner transaction at once; it
// buffers them.
type txn struct {
	engine *engine
	ctx    context.Context
	inner  store.Txn
	number uint64 // in the life
	calls  uint64

	wrote   bool // a commit has something to send
	used    bool // committed or canceled
	watches []*watch
}

func (t *txn) call() call {
	t.calls++
	return call{engine: t.engine, txn: t.number, number: t.calls}
}

// usable returns why the transaction cannot be used, if it cannot.
func (t *txn) usable(doing string) error {
	switch {
	case t.used:
		return fmt.Errorf("simstore: %s: %w", doing, store.ErrUsed)
	case t.engine.closed:
		return fmt.Errorf("simstore: %s: %w", doing, store.ErrClosed)
	}
	if err := t.ctx.Err(); err != nil {
		return fmt.Errorf("simstore: %s: %w", doing, err)
	}
	return nil
}

// read has the server run f, a read of the inner transaction.
func (t *txn) read(doing string, f func() error) error {
	if err := t.usable(doing); err != nil {
		return err
	}
	x := &exchange{call: t.call(), doing: doing, serve: f}
	return x.do(t.ctx)
}

// reader is the reads of a transaction, or of its snapshot.
type reader struct {
	t     *txn
	inner store.Reader
}

// Get implements store.Reader.
func (r reader) Get(key []byte) (value []byte, err error) {
	err = r.t.read("get", func() (err error) {
		value, err = r.inner.Get(key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// GetAll implements store.Reader.
func (r reader) GetAll(keys ...[]byte) (values [][]byte, err error) {
	err = r.t.read("get", func() (err error) {
		values, err = r.inner.GetAll(keys...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// GetRange implements store.Reader.
func (r reader) GetRange(begin, end []byte, o store.RangeOptions) (rows []store.KeyValue, more bool, err error) {
	err = r.t.read("get range", func() (err error) {
		rows, more, err = r.inner.GetRange(begin, end, o)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return rows, more, nil
}

// Get implements store.Reader.
func (t *txn) Get(key []byte) ([]byte, error) { return reader{t, t.inner}.Get(key) }

// GetAll implements store.Reader.
func (t *txn) GetAll(keys ...[]byte) ([][]byte, error) { return reader{t, t.inner}.GetAll(keys...) }

// GetRange implements store.Reader.
func (t *txn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return reader{t, t.inner}.GetRange(begin, end, o)
}

// Snapshot implements store.Tx.
func (t *txn) Snapshot() store.Reader { return reader{t, t.inner.Snapshot()} }

// ReadVersion implements store.Tx.
func (t *txn) ReadVersion() (v store.Version, err error) {
	err = t.read("read version", func() (err error) {
		v, err = t.inner.ReadVersion()
		return err
	})
	return v, err
}

// mutate makes a mutation, unless the transaction is over.
func (t *txn) mutate(f func(inner store.Txn)) {
	if !t.used {
		t.wrote = true
		f(t.inner)
	}
}

// Set implements store.Tx.
func (t *txn) Set(key, value []byte) { t.mutate(func(inner store.Txn) { inner.Set(key, value) }) }

// Clear implements store.Tx.
func (t *txn) Clear(key []byte) { t.mutate(func(inner store.Txn) { inner.Clear(key) }) }

// ClearRange implements store.Tx.
func (t *txn) ClearRange(begin, end []byte) {
	t.mutate(func(inner store.Txn) { inner.ClearRange(begin, end) })
}

// Add implements store.Tx.
func (t *txn) Add(key []byte, delta int64) {
	t.mutate(func(inner store.Txn) { inner.Add(key, delta) })
}

// SetStamped implements store.Tx.
func (t *txn) SetStamped(key, value []byte, offset int) {
	t.mutate(func(inner store.Txn) { inner.SetStamped(key, value, offset) })
}

// AddReadConflict implements store.Tx.
func (t *txn) AddReadConflict(begin, end []byte) {
	if !t.used {
		t.inner.AddReadConflict(begin, end)
	}
}

// AddWriteConflict implements store.Tx.
func (t *txn) AddWriteConflict(begin, end []byte) {
	t.mutate(func(inner store.Txn) { inner.AddWriteConflict(begin, end) })
}

// Committed implements store.Txn.
func (t *txn) Committed() store.Version { return t.inner.Committed() }

// Cancel implements store.Txn.
func (t *txn) Cancel() {
	if t.used {
		return
	}
	t.end(fmt.Errorf("simstore: watch: %w: the transaction was canceled", store.ErrUsed))
}

// end gives the transaction up before its commit, and its watches with err.
func (t *txn) end(err error) {
	t.used = true
	t.failWatches(err)
	t.inner.Cancel()
}

func (t *txn) failWatches(err error) {
	for _, w := range t.watches {
		w.fail(err)
	}
	t.watches = nil
}

// Commit implements store.Txn.
func (t *txn) Commit() error {
	if err := t.usable("commit"); err != nil {
		if !t.used {
			t.end(err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", store.ErrTimedOut, err)
		}
		return err
	}
	t.used = true
	err := t.commit()
	if err != nil {
		t.failWatches(err)
	}
	return err
}

func (t *txn) commit() error {
	if !t.wrote {
		return t.inner.Commit() // nothing to send: no fault, no doubt
	}
	x := &exchange{call: t.call(), doing: "commit", commit: true, serve: t.inner.Commit, cancel: t.inner.Cancel}
	return x.do(t.ctx)
}
