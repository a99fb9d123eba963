package storetest

import (
	"context"

	"github.com/kelpie-registry/kelpie/store"
)

// Yielding wraps an engine whose calls take no time, for the simulator: yield
// runs before each call that asks the engine something, and on both sides of a
// commit, so that transactions of several tasks interleave. They interleave
// best when yield sleeps for a short random time.
func Yielding(e store.Engine, yield func()) store.Engine {
	return yieldingEngine{e, yield}
}

type yieldingEngine struct {
	store.Engine
	yield func()
}

func (e yieldingEngine) Begin(ctx context.Context) store.Txn {
	return &yieldingTxn{e.Engine.Begin(ctx), e.yield}
}

type yieldingTxn struct {
	store.Txn
	yield func()
}

func (t *yieldingTxn) Get(key []byte) ([]byte, error) {
	t.yield()
	return t.Txn.Get(key)
}

func (t *yieldingTxn) GetAll(keys ...[]byte) ([][]byte, error) {
	t.yield()
	return t.Txn.GetAll(keys...)
}

func (t *yieldingTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	t.yield()
	return t.Txn.GetRange(begin, end, o)
}

func (t *yieldingTxn) ReadVersion() (store.Version, error) {
	t.yield()
	return t.Txn.ReadVersion()
}

func (t *yieldingTxn) Commit() error {
	t.yield()
	err := t.Txn.Commit()
	t.yield()
	return err
}
