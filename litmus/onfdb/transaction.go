//go:build fdb

package onfdb

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/store"
)

// transaction takes the steps of one transaction of the binding.
type transaction struct {
	*session
	tx     fdb.Transaction
	broken error         // it could not be created
	stamp  fdb.FutureKey // asked for before the commit, as it has to be
}

// Close implements litmus.Transaction.
func (t *transaction) Close() {
	if t.broken == nil {
		t.tx.Cancel()
		runtime.KeepAlive(t.tx) // its finalizer destroys what Cancel cancels
	}
}

// Do implements litmus.Transaction.
func (t *transaction) Do(s *litmus.Step, version int64) litmus.Answer {
	if t.broken != nil {
		return litmus.Answer{Err: fmt.Errorf("%w: %w", litmus.ErrInterfered, t.broken)}
	}
	var a litmus.Answer
	switch s.Kind {
	case litmus.ReadVersion, litmus.Get, litmus.GetAll, litmus.GetRange, litmus.GetKey, litmus.GetSelected, litmus.WatchKey, litmus.Iterate:
		a = t.read(s)
	case litmus.Conflicting, litmus.LateStamp, litmus.Commit, litmus.Committed, litmus.Versionstamp, litmus.Conflicts, litmus.ApproximateSize:
		a = t.ask(s)
	case litmus.Cancel:
		t.tx.Cancel()
	case litmus.Reset:
		t.tx.Reset()
		t.stamp = nil
		a.Err = t.tx.Options().SetTimeout(callTimeout.Milliseconds()) // which Reset takes back
	case litmus.OnError:
		a.Err = t.tx.OnError(fdb.Error{Code: int(s.N)}).Get()
		t.stamp = nil
		return a // the number that was asked about is no interference
	case litmus.SetReadVersion:
		t.tx.SetReadVersion(version)
	case litmus.SetOption:
		a.Err = t.option(s)
	default:
		a = t.write(s)
	}
	a.Err = interfered(a.Err)
	return a
}

// reader is what a transaction and its snapshot have in common.
type reader interface {
	Get(key fdb.KeyConvertible) fdb.FutureByteSlice
	GetRange(r fdb.Range, o fdb.RangeOptions) fdb.RangeResult
	GetKey(s fdb.Selectable) fdb.FutureKey
}

// read makes a call that reads.
func (t *transaction) read(s *litmus.Step) litmus.Answer {
	var a litmus.Answer
	var from reader = t.tx
	if s.Snapshot {
		from = t.tx.Snapshot()
	}
	switch s.Kind {
	case litmus.Get:
		a.Value, a.Err = from.Get(fdb.Key(t.prefix.Key(s.Key))).Get()
	case litmus.GetAll:
		a.Values, a.Err = t.getAll(from, s.Keys)
	case litmus.GetRange:
		r := fdb.KeyRange{Begin: fdb.Key(t.prefix.Bound(s.Key)), End: fdb.Key(t.prefix.Bound(s.End))}
		t.getRange(from, r, s, &a)
	case litmus.Iterate:
		t.iterate(from, s, &a)
	case litmus.GetSelected:
		t.getRange(from, fdb.SelectorRange{Begin: t.selector(s.From), End: t.selector(s.To)}, s, &a)
	case litmus.GetKey:
		var key fdb.Key
		key, a.Err = from.GetKey(t.selector(s.From)).Get()
		a.Key = t.prefix.Strip(string(key))
	case litmus.WatchKey:
		t.watch(s, &a)
	default:
		a.Version, a.Err = t.tx.GetReadVersion().Get()
	}
	return a
}

// getAll asks for all keys before it waits for one.
func (t *transaction) getAll(from reader, keys []string) ([][]byte, error) {
	futures := make([]fdb.FutureByteSlice, len(keys))
	for i, k := range keys {
		futures[i] = from.Get(fdb.Key(t.prefix.Key(k)))
	}
	values := make([][]byte, len(keys))
	for i, f := range futures {
		var err error
		if values[i], err = f.Get(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// getRange reads a range. The binding keeps for itself what FoundationDB says of
// more; it says so when the limit was reached, and the ranges of programs are
// too short for anything else to end an answer.
func (t *transaction) getRange(from reader, r fdb.Range, s *litmus.Step, a *litmus.Answer) {
	rows, err := from.GetRange(r, fdb.RangeOptions{Limit: s.Limit, Mode: fdb.StreamingModeWantAll, Reverse: s.Reverse}).GetSliceWithError()
	a.More = s.Limit > 0 && len(rows) == s.Limit
	a.Rows, a.Err = t.prefix.Rows(keyValues(rows)), err
}

// iterate takes rows one by one. It looks for one more at last, so that nothing
// is under way behind the step.
func (t *transaction) iterate(from reader, s *litmus.Step, a *litmus.Answer) {
	r := fdb.KeyRange{Begin: fdb.Key(t.prefix.Bound(s.Key)), End: fdb.Key(t.prefix.Bound(s.End))}
	it := from.GetRange(r, fdb.RangeOptions{Limit: s.Limit, Mode: fdb.StreamingMode(s.Mode), Reverse: s.Reverse}).Iterator()
	var rows []fdb.KeyValue
	for a.More = it.Advance(); a.More && len(rows) < int(s.N); a.More = it.Advance() {
		kv, err := it.Get()
		if err != nil {
			a.Err = err
			return
		}
		rows = append(rows, kv)
	}
	a.Rows = t.prefix.Rows(keyValues(rows))
}

func (t *transaction) selector(s litmus.Selector) fdb.KeySelector {
	return fdb.KeySelector{Key: fdb.Key(t.prefix.Bound(s.Key)), OrEqual: s.OrEqual, Offset: s.Offset}
}

// watch sets a watch. An error of the call shows in the future, at once.
func (t *transaction) watch(s *litmus.Step, a *litmus.Answer) {
	key := fdb.Key(t.prefix.Key(s.Key))
	// What the watch compares with, read so that nothing is added.
	if a.Value, a.Err = t.tx.Snapshot().Get(key).Get(); a.Err != nil {
		return
	}
	f := t.tx.Watch(key)
	if f.IsReady() {
		if a.Err = f.Get(); a.Err != nil {
			return
		}
	}
	a.Watch = watch{f}
}

// write makes a call that changes what the commit does.
func (t *transaction) write(s *litmus.Step) litmus.Answer {
	key, value := fdb.Key(t.prefix.Key(s.Key)), []byte(s.Value)
	span := fdb.KeyRange{Begin: fdb.Key(t.prefix.Bound(s.Key)), End: fdb.Key(t.prefix.Bound(s.End))}
	var err error
	switch s.Kind {
	case litmus.Set:
		t.tx.Set(key, value)
	case litmus.Clear:
		t.tx.Clear(key)
	case litmus.ClearRange:
		t.tx.ClearRange(span)
	case litmus.Add:
		t.tx.Add(key, binary.LittleEndian.AppendUint64(nil, uint64(s.N)))
	case litmus.AtomicOp:
		err = t.atomic(s.Op, key, value)
	case litmus.SetStamped:
		t.tx.SetVersionstampedValue(key, withOffset(value, int(s.N)))
	case litmus.SetStampedKey:
		t.tx.SetVersionstampedKey(fdb.Key(withOffset(key, t.prefix.Shift(s.Key, s.N))), value)
	case litmus.Fill:
		litmus.FillWith(s, func(key, value []byte) { t.tx.Set(fdb.Key(t.prefix.Key(string(key))), value) })
	case litmus.ReadConflict:
		err = t.tx.AddReadConflictRange(span)
	case litmus.WriteConflict:
		err = t.tx.AddWriteConflictRange(span)
	case litmus.HideWrite:
		err = t.tx.Options().SetNextWriteNoWriteConflictRange()
	default:
		err = fmt.Errorf("onfdb: the binding has no %s", s.Kind.Name())
	}
	return litmus.Answer{Err: err}
}

// withOffset appends where the stamp goes, as the client wants it.
func withOffset(b []byte, at int) []byte {
	return binary.LittleEndian.AppendUint32(append([]byte(nil), b...), uint32(at))
}

func (t *transaction) atomic(op litmus.Atomic, key fdb.Key, operand []byte) error {
	calls := map[litmus.Atomic]func(fdb.KeyConvertible, []byte){
		litmus.AtomicAdd: t.tx.Add, litmus.BitAnd: t.tx.BitAnd, litmus.BitOr: t.tx.BitOr, litmus.BitXor: t.tx.BitXor,
		litmus.AppendIfFits: t.tx.AppendIfFits, litmus.Max: t.tx.Max, litmus.Min: t.tx.Min,
		litmus.ByteMin: t.tx.ByteMin, litmus.ByteMax: t.tx.ByteMax, litmus.CompareAndClear: t.tx.CompareAndClear,
	}
	call, ok := calls[op]
	if !ok {
		return fmt.Errorf("onfdb: the binding has no %v", op)
	}
	call(key, operand)
	return nil
}

// ask commits, or asks about the transaction.
func (t *transaction) ask(s *litmus.Step) (a litmus.Answer) {
	switch s.Kind {
	case litmus.Commit:
		if t.stamp == nil {
			t.stamp = t.tx.GetVersionstamp()
		}
		if a.Err = t.tx.Commit().Get(); a.Err == nil {
			a.Version, a.Err = t.tx.GetCommittedVersion()
		}
	case litmus.Committed:
		a.Version, a.Err = t.tx.GetCommittedVersion()
	case litmus.Versionstamp:
		var key fdb.Key
		key, a.Err = t.stamp.Get()
		a.Stamp = key
	case litmus.LateStamp:
		_, a.Err = t.tx.GetVersionstamp().Get()
	case litmus.Conflicting:
		a.Reads, a.Err = t.conflicts("conflicting_keys/")
	case litmus.ApproximateSize:
		a.Size, a.Err = t.tx.GetApproximateSize().Get()
	default:
		if a.Reads, a.Err = t.conflicts("read_conflict_range/"); a.Err == nil {
			a.Writes, a.Err = t.conflicts("write_conflict_range/")
		}
	}
	return a
}

// conflicts reads the ranges that the client shows in a part of its special keys;
// see [litmus.Prefix.Spans].
func (t *transaction) conflicts(part string) ([]litmus.Span, error) {
	space := "\xff\xff/transaction/" + part
	rows, err := t.tx.GetRange(fdb.KeyRange{Begin: fdb.Key(space), End: fdb.Key(space + "\xff\xff")}, fdb.RangeOptions{}).GetSliceWithError()
	if err != nil {
		return nil, err
	}
	return t.prefix.Spans(space, keyValues(rows)), nil
}

func keyValues(rows []fdb.KeyValue) []store.KeyValue {
	kvs := make([]store.KeyValue, len(rows))
	for i, kv := range rows {
		kvs[i] = store.KeyValue{Key: kv.Key, Value: kv.Value}
	}
	return kvs
}
