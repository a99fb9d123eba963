package scale

import (
	"context"
	"errors"

	"github.com/kelpie-registry/kelpie/store"
)

// Meter counts what reaches the store.
type Meter struct {
	Reads     uint64 // calls that read, each one round trip
	Writes    uint64 // transactions that wrote and committed
	Conflicts uint64 // transactions that wrote and conflicted
}

// since returns what came after an earlier reading.
func (m Meter) since(before Meter) Meter {
	return Meter{m.Reads - before.Reads, m.Writes - before.Writes, m.Conflicts - before.Conflicts}
}

// metered is an engine that counts.
type metered struct {
	store.Engine
	m *Meter
}

func (e *metered) Begin(ctx context.Context) store.Txn {
	return &meteredTxn{Txn: e.Engine.Begin(ctx), m: e.m}
}

type meteredTxn struct {
	store.Txn
	m     *Meter
	wrote bool
}

func (t *meteredTxn) Get(key []byte) ([]byte, error) {
	t.m.Reads++
	return t.Txn.Get(key)
}

func (t *meteredTxn) GetAll(keys ...[]byte) ([][]byte, error) {
	t.m.Reads++
	return t.Txn.GetAll(keys...)
}

func (t *meteredTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	t.m.Reads++
	return t.Txn.GetRange(begin, end, o)
}

func (t *meteredTxn) Snapshot() store.Reader { return &meteredReader{t.Txn.Snapshot(), t.m} }

func (t *meteredTxn) Set(key, value []byte) {
	t.wrote = true
	t.Txn.Set(key, value)
}

func (t *meteredTxn) SetStamped(key, value []byte, offset int) {
	t.wrote = true
	t.Txn.SetStamped(key, value, offset)
}

func (t *meteredTxn) Add(key []byte, delta int64) {
	t.wrote = true
	t.Txn.Add(key, delta)
}

func (t *meteredTxn) Clear(key []byte) {
	t.wrote = true
	t.Txn.Clear(key)
}

func (t *meteredTxn) ClearRange(begin, end []byte) {
	t.wrote = true
	t.Txn.ClearRange(begin, end)
}

func (t *meteredTxn) AddWriteConflict(begin, end []byte) {
	t.wrote = true
	t.Txn.AddWriteConflict(begin, end)
}

func (t *meteredTxn) Commit() error {
	err := t.Txn.Commit()
	switch {
	case !t.wrote:
	case err == nil:
		t.m.Writes++
	case errors.Is(err, store.ErrConflict):
		t.m.Conflicts++
	}
	return err
}

type meteredReader struct {
	store.Reader
	m *Meter
}

func (r *meteredReader) Get(key []byte) ([]byte, error) {
	r.m.Reads++
	return r.Reader.Get(key)
}

func (r *meteredReader) GetAll(keys ...[]byte) ([][]byte, error) {
	r.m.Reads++
	return r.Reader.GetAll(keys...)
}

func (r *meteredReader) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	r.m.Reads++
	return r.Reader.GetRange(begin, end, o)
}
