package storetest

import (
	"context"

	"github.com/kelpie-registry/kelpie/store"
)

// hooks replace calls of one transaction; nil leaves the call as it is. Each is
// given nothing of the transaction: it closes over it.
type hooks struct {
	get           func(key []byte) ([]byte, error)
	getAll        func(keys [][]byte) ([][]byte, error)
	getRange      func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error)
	snapshot      func() store.Reader
	set           func(key, value []byte)
	remove        func(key []byte)
	removeRange   func(begin, end []byte)
	add           func(key []byte, delta int64)
	stamp         func(key, value []byte, offset int)
	readConflict  func(begin, end []byte)
	writeConflict func(begin, end []byte)
	watch         func(key []byte) (store.Watch, error)
	readVersion   func() (store.Version, error)
	commit        func() error
	committed     func() store.Version
	cancel        func()
}

// broken is an engine with hooks.
type broken struct {
	store.Engine
	// begin replaces Begin; it may be nil.
	begin func(e store.Engine, ctx context.Context) store.Txn
	// hook makes the hooks of one transaction; it may be nil.
	hook func(e store.Engine, tx store.Txn) hooks
	// close replaces Close; it may be nil.
	close func(e store.Engine) error
	// deaf: what a watch misses while its connection is cut, it never hears of.
	deaf bool
}

func (b *broken) Begin(ctx context.Context) store.Txn {
	var tx store.Txn
	if b.begin != nil {
		tx = b.begin(b.Engine, ctx)
	} else {
		tx = b.Engine.Begin(ctx)
	}
	if b.hook == nil {
		return tx
	}
	return &hooked{tx, b.hook(b.Engine, tx)}
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close(b.Engine)
	}
	return b.Engine.Close()
}

// hooked is a transaction with hooks.
type hooked struct {
	store.Txn
	h hooks
}

func (t *hooked) Get(key []byte) ([]byte, error) {
	if t.h.get != nil {
		return t.h.get(key)
	}
	return t.Txn.Get(key)
}

func (t *hooked) GetAll(keys ...[]byte) ([][]byte, error) {
	if t.h.getAll != nil {
		return t.h.getAll(keys)
	}
	if t.h.get == nil {
		return t.Txn.GetAll(keys...)
	}
	values := make([][]byte, len(keys))
	for i, k := range keys {
		var err error
		if values[i], err = t.h.get(k); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (t *hooked) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if t.h.getRange != nil {
		return t.h.getRange(begin, end, o)
	}
	return t.Txn.GetRange(begin, end, o)
}

func (t *hooked) Snapshot() store.Reader {
	if t.h.snapshot != nil {
		return t.h.snapshot()
	}
	return t.Txn.Snapshot()
}

func (t *hooked) Set(key, value []byte) {
	if t.h.set != nil {
		t.h.set(key, value)
		return
	}
	t.Txn.Set(key, value)
}

func (t *hooked) Clear(key []byte) {
	if t.h.remove != nil {
		t.h.remove(key)
		return
	}
	t.Txn.Clear(key)
}

func (t *hooked) ClearRange(begin, end []byte) {
	if t.h.removeRange != nil {
		t.h.removeRange(begin, end)
		return
	}
	t.Txn.ClearRange(begin, end)
}

func (t *hooked) Add(key []byte, delta int64) {
	if t.h.add != nil {
		t.h.add(key, delta)
		return
	}
	t.Txn.Add(key, delta)
}

func (t *hooked) SetStamped(key, value []byte, offset int) {
	if t.h.stamp != nil {
		t.h.stamp(key, value, offset)
		return
	}
	t.Txn.SetStamped(key, value, offset)
}

func (t *hooked) AddReadConflict(begin, end []byte) {
	if t.h.readConflict != nil {
		t.h.readConflict(begin, end)
		return
	}
	t.Txn.AddReadConflict(begin, end)
}

func (t *hooked) AddWriteConflict(begin, end []byte) {
	if t.h.writeConflict != nil {
		t.h.writeConflict(begin, end)
		return
	}
	t.Txn.AddWriteConflict(begin, end)
}

func (t *hooked) Watch(key []byte) (store.Watch, error) {
	if t.h.watch != nil {
		return t.h.watch(key)
	}
	return t.Txn.Watch(key)
}

func (t *hooked) ReadVersion() (store.Version, error) {
	if t.h.readVersion != nil {
		return t.h.readVersion()
	}
	return t.Txn.ReadVersion()
}

func (t *hooked) Commit() error {
	if t.h.commit != nil {
		return t.h.commit()
	}
	return t.Txn.Commit()
}

func (t *hooked) Committed() store.Version {
	if t.h.committed != nil {
		return t.h.committed()
	}
	return t.Txn.Committed()
}

func (t *hooked) Cancel() {
	if t.h.cancel != nil {
		t.h.cancel()
		return
	}
	t.Txn.Cancel()
}

// hookedWatch is a watch with hooks; nil leaves the call as it is.
type hookedWatch struct {
	store.Watch
	wait   func(ctx context.Context) error
	cancel func()
}

func (w *hookedWatch) Wait(ctx context.Context) error {
	if w.wait != nil {
		return w.wait(ctx)
	}
	return w.Watch.Wait(ctx)
}

func (w *hookedWatch) Cancel() {
	if w.cancel != nil {
		w.cancel()
		return
	}
	w.Watch.Cancel()
}
