package onsimfdb

import (
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
	"github.com/kelpie-registry/kelpie/store"
)

// transaction takes the steps of one transaction of the native client.
type transaction struct {
	*session
	client *simfdb.Client
	tx     *simfdb.Transaction
	over   bool // it was canceled
}

// Close implements litmus.Transaction.
func (t *transaction) Close() { t.tx.Cancel() }

// Do implements litmus.Transaction.
func (t *transaction) Do(s *litmus.Step, version int64) litmus.Answer {
	switch s.Kind {
	case litmus.ReadVersion, litmus.Get, litmus.GetAll, litmus.GetRange, litmus.GetKey, litmus.GetSelected, litmus.WatchKey:
		return t.read(s)
	case litmus.Commit, litmus.Committed, litmus.Versionstamp, litmus.Conflicts, litmus.ApproximateSize:
		return t.ask(s)
	case litmus.Cancel:
		t.tx.Cancel()
		t.over = true
	case litmus.Reset:
		t.reset()
	case litmus.OnError:
		return litmus.Answer{Err: t.onError(int(s.N))}
	case litmus.SetReadVersion:
		// What is wrong with it, the next call says, as in the real client.
		_ = t.tx.SetReadVersion(simfdb.Version(version))
	default:
		return t.write(s)
	}
	return litmus.Answer{}
}

// read makes a call that reads.
func (t *transaction) read(s *litmus.Step) litmus.Answer {
	var a litmus.Answer
	reader := store.Reader(t.tx)
	if s.Snapshot {
		reader = t.tx.Snapshot()
	}
	o := store.RangeOptions{Limit: s.Limit, Reverse: s.Reverse}
	switch s.Kind {
	case litmus.Get:
		a.Value, a.Err = reader.Get(t.prefix.Key(s.Key))
	case litmus.GetAll:
		keys := make([][]byte, len(s.Keys))
		for i, k := range s.Keys {
			keys[i] = t.prefix.Key(k)
		}
		a.Values, a.Err = reader.GetAll(keys...)
	case litmus.GetRange:
		begin, end := t.prefix.Bound(s.Key), t.prefix.Bound(s.End)
		if s.Key > s.End { // which the port refuses, and the client does not
			a.Rows, a.More, a.Err = t.tx.GetRangeSelected(simfdb.FirstAtOrAfter(begin), simfdb.FirstAtOrAfter(end), o)
			break
		}
		a.Rows, a.More, a.Err = reader.GetRange(begin, end, o)
	case litmus.GetSelected:
		a.Rows, a.More, a.Err = t.tx.GetRangeSelected(t.selector(s.From), t.selector(s.To), o)
	case litmus.GetKey:
		var key []byte
		key, a.Err = t.tx.GetKey(t.selector(s.From))
		a.Key = t.prefix.Strip(string(key))
	case litmus.WatchKey:
		// What the watch compares with, read so that nothing is added.
		if a.Value, a.Err = t.tx.Snapshot().Get(t.prefix.Key(s.Key)); a.Err == nil {
			a.Watch, a.Err = t.tx.WatchConflicting(t.prefix.Key(s.Key))
		}
	default:
		var v store.Version
		v, a.Err = t.tx.ReadVersion()
		a.Version = int64(v)
	}
	a.Rows = t.prefix.Rows(a.Rows)
	return a
}

func (t *transaction) selector(s litmus.Selector) simfdb.Selector {
	return simfdb.Selector{Key: t.prefix.Bound(s.Key), OrEqual: s.OrEqual, Offset: s.Offset}
}

// write makes a call that changes what the commit does.
func (t *transaction) write(s *litmus.Step) litmus.Answer {
	key, begin, end := t.prefix.Key(s.Key), t.prefix.Bound(s.Key), t.prefix.Bound(s.End)
	switch s.Kind {
	case litmus.Set:
		t.tx.Set(key, []byte(s.Value))
	case litmus.Clear:
		t.tx.Clear(key)
	case litmus.ClearRange:
		t.tx.ClearRange(begin, end)
	case litmus.Add:
		t.tx.Add(key, s.N)
	case litmus.AtomicOp:
		t.tx.Atomic(simfdb.MutationType(s.Op), key, []byte(s.Value))
	case litmus.SetStamped:
		t.tx.SetStamped(key, []byte(s.Value), int(s.N))
	case litmus.SetStampedKey:
		t.tx.SetStampedKey(key, []byte(s.Value), t.prefix.Shift(s.Key, s.N))
	case litmus.Fill:
		litmus.FillWith(s, func(key, value []byte) { t.tx.Set(t.prefix.Key(string(key)), value) })
	case litmus.ReadConflict:
		t.tx.AddReadConflict(begin, end)
	case litmus.WriteConflict:
		t.tx.AddWriteConflict(begin, end)
	case litmus.HideWrite:
		t.tx.HideNextWrite()
	default:
		return litmus.Answer{Err: fmt.Errorf("onsimfdb: the client has no %s", s.Kind.Name())}
	}
	return litmus.Answer{}
}

// ask commits, or asks about the transaction.
func (t *transaction) ask(s *litmus.Step) litmus.Answer {
	switch s.Kind {
	case litmus.Commit:
		err := t.tx.Commit()
		return litmus.Answer{Err: err, Version: int64(t.tx.CommittedVersion())}
	case litmus.Committed:
		return litmus.Answer{Version: int64(t.tx.CommittedVersion())}
	case litmus.Versionstamp:
		stamp, err := t.tx.Versionstamp()
		return litmus.Answer{Stamp: stamp[:], Err: err}
	case litmus.ApproximateSize:
		return litmus.Answer{Size: int64(t.tx.ApproximateSize())}
	default:
		return litmus.Answer{Reads: t.spans(t.tx.ReadConflicts()), Writes: t.spans(t.tx.WriteConflicts())}
	}
}

func (t *transaction) spans(ranges []simfdb.KeyRange) []litmus.Span {
	spans := make([]litmus.Span, len(ranges))
	for i, r := range ranges {
		spans[i] = litmus.Span{Begin: t.prefix.Strip(r.Begin), End: t.prefix.Strip(r.End)}
	}
	return spans
}

// reset begins anew, which is what the real client's reset amounts to.
func (t *transaction) reset() {
	t.tx.Cancel()
	t.tx, t.over = t.client.Transaction(t.h.Context()), false
}

// onError does what the real client's does, but for the wait: after an error
// that may be retried it begins anew, any other ends the transaction.
func (t *transaction) onError(code int) error {
	e := simfdb.Error{Code: code}
	switch {
	case t.over:
		return simfdb.Error{Code: simfdb.CodeTransactionCancelled}
	case slices.Contains(retried, code):
		t.reset()
		return nil
	default:
		t.tx.Cancel()
		t.over = true
		return e
	}
}

// retried are the numbers that a real client's on_error retried.
var retried = []int{1007, 1009, 1020, 1021, 1037, 1038, 1042, 1051, 1078, 1079, 1213, 1223}
