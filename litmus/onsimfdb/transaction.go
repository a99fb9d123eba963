package onsimfdb

import (
	"encoding/binary"
	"fmt"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
)

// transaction takes the steps of one transaction of the native client.
type transaction struct {
	*session
	tx    *simfdb.Transaction
	stamp *simfdb.FutureKey // asked for before the commit, as it has to be
}

// Close implements litmus.Transaction.
func (t *transaction) Close() { t.tx.Cancel() }

// Do implements litmus.Transaction.
func (t *transaction) Do(s *litmus.Step, version int64) litmus.Answer {
	switch s.Kind {
	case litmus.ReadVersion, litmus.Get, litmus.GetAll, litmus.GetRange, litmus.GetKey, litmus.GetSelected, litmus.WatchKey, litmus.Iterate:
		return t.read(s)
	case litmus.Conflicting, litmus.LateStamp, litmus.Commit, litmus.Committed, litmus.Versionstamp, litmus.Conflicts, litmus.ApproximateSize:
		return t.ask(s)
	case litmus.Cancel:
		t.tx.Cancel()
	case litmus.Reset:
		t.tx.Reset()
		t.stamp = nil
	case litmus.OnError:
		err := t.tx.OnError(simfdb.Error{Code: int(s.N)}).Get()
		t.stamp = nil
		return litmus.Answer{Err: err}
	case litmus.SetReadVersion:
		t.tx.SetReadVersion(version)
	case litmus.SetOption:
		return litmus.Answer{Err: t.option(s)}
	default:
		return t.write(s)
	}
	return litmus.Answer{}
}

// reader is what a transaction and its snapshot have in common.
type reader interface {
	Get(key []byte) *simfdb.FutureByteSlice
	GetChunk(begin, end simfdb.KeySelector, o simfdb.ChunkOptions) *simfdb.Future[simfdb.Chunk]
	GetRange(begin, end simfdb.KeySelector, o simfdb.RangeOptions) *simfdb.RangeResult
	GetKey(s simfdb.KeySelector) *simfdb.FutureKey
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
		a.Value, a.Err = from.Get(t.prefix.Key(s.Key)).Get()
	case litmus.GetAll:
		a.Values, a.Err = t.getAll(from, s.Keys)
	case litmus.GetRange:
		begin, end := t.prefix.Bound(s.Key), t.prefix.Bound(s.End)
		t.getRange(from, simfdb.FirstGreaterOrEqual(begin), simfdb.FirstGreaterOrEqual(end), s, &a)
	case litmus.Iterate:
		t.iterate(from, s, &a)
	case litmus.GetSelected:
		t.getRange(from, t.selector(s.From), t.selector(s.To), s, &a)
	case litmus.GetKey:
		var key []byte
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
	futures := make([]*simfdb.FutureByteSlice, len(keys))
	for i, k := range keys {
		futures[i] = from.Get(t.prefix.Key(k))
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

// getRange reads a range in one answer: those of programs are short.
func (t *transaction) getRange(from reader, begin, end simfdb.KeySelector, s *litmus.Step, a *litmus.Answer) {
	o := simfdb.ChunkOptions{Limit: s.Limit, Mode: simfdb.StreamingModeWantAll, Reverse: s.Reverse}
	chunk, err := from.GetChunk(begin, end, o).Get()
	a.Rows, a.More, a.Err = t.prefix.Rows(chunk.KeyValues), chunk.More, err
}

// iterate takes rows one by one. It looks for one more at last, so that nothing
// is under way behind the step.
func (t *transaction) iterate(from reader, s *litmus.Step, a *litmus.Answer) {
	begin, end := simfdb.FirstGreaterOrEqual(t.prefix.Bound(s.Key)), simfdb.FirstGreaterOrEqual(t.prefix.Bound(s.End))
	it := from.GetRange(begin, end, simfdb.RangeOptions{Limit: s.Limit, Mode: simfdb.StreamingMode(s.Mode), Reverse: s.Reverse}).Iterator()
	var rows []simfdb.KeyValue
	for a.More = it.Advance(); a.More && len(rows) < int(s.N); a.More = it.Advance() {
		kv, err := it.Get()
		if err != nil {
			a.Err = err
			return
		}
		rows = append(rows, kv)
	}
	a.Rows = t.prefix.Rows(rows)
}

func (t *transaction) selector(s litmus.Selector) simfdb.KeySelector {
	return simfdb.KeySelector{Key: t.prefix.Bound(s.Key), OrEqual: s.OrEqual, Offset: s.Offset}
}

// watch sets a watch. An error of the call shows in the watch, at once.
func (t *transaction) watch(s *litmus.Step, a *litmus.Answer) {
	key := t.prefix.Key(s.Key)
	// What the watch compares with, read so that nothing is added.
	if a.Value, a.Err = t.tx.Snapshot().Get(key).Get(); a.Err != nil {
		return
	}
	w := t.tx.Watch(key)
	if w.IsReady() {
		if a.Err = w.Get(); a.Err != nil {
			return
		}
	}
	a.Watch = w
}

// write makes a call that changes what the commit does.
func (t *transaction) write(s *litmus.Step) litmus.Answer {
	key, value := t.prefix.Key(s.Key), []byte(s.Value)
	begin, end := t.prefix.Bound(s.Key), t.prefix.Bound(s.End)
	var err error
	switch s.Kind {
	case litmus.Set:
		t.tx.Set(key, value)
	case litmus.Clear:
		t.tx.Clear(key)
	case litmus.ClearRange:
		t.tx.ClearRange(begin, end)
	case litmus.Add:
		t.tx.Add(key, binary.LittleEndian.AppendUint64(nil, uint64(s.N)))
	case litmus.AtomicOp:
		t.tx.Atomic(simfdb.MutationType(s.Op), key, value)
	case litmus.SetStamped:
		t.tx.SetVersionstampedValue(key, withOffset(value, int(s.N)))
	case litmus.SetStampedKey:
		t.tx.SetVersionstampedKey(withOffset(key, t.prefix.Shift(s.Key, s.N)), value)
	case litmus.Fill:
		litmus.FillWith(s, func(key, value []byte) { t.tx.Set(t.prefix.Key(string(key)), value) })
	case litmus.ReadConflict:
		err = t.tx.AddReadConflictRange(begin, end)
	case litmus.WriteConflict:
		err = t.tx.AddWriteConflictRange(begin, end)
	case litmus.HideWrite:
		err = t.tx.Options().SetNextWriteNoWriteConflictRange()
	default:
		err = fmt.Errorf("onsimfdb: the client has no %s", s.Kind.Name())
	}
	return litmus.Answer{Err: err}
}

// withOffset appends where the stamp goes, as the client wants it.
func withOffset(b []byte, at int) []byte {
	return binary.LittleEndian.AppendUint32(append([]byte(nil), b...), uint32(at))
}

// ask commits, or asks about the transaction.
func (t *transaction) ask(s *litmus.Step) (a litmus.Answer) {
	switch s.Kind {
	case litmus.Commit:
		if t.stamp == nil {
			t.stamp = t.tx.GetVersionstamp()
		}
		if a.Err = t.tx.Commit().Get(); a.Err == nil {
			a.Version = t.tx.GetCommittedVersion()
		}
	case litmus.Committed:
		a.Version = t.tx.GetCommittedVersion()
	case litmus.Versionstamp:
		a.Stamp, a.Err = t.stamp.Get()
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
	begin, end := simfdb.FirstGreaterOrEqual([]byte(space)), simfdb.FirstGreaterOrEqual([]byte(space+"\xff\xff"))
	chunk, err := t.tx.GetChunk(begin, end, simfdb.ChunkOptions{Mode: simfdb.StreamingModeWantAll}).Get()
	if err != nil {
		return nil, err
	}
	return t.prefix.Spans(space, chunk.KeyValues), nil
}
