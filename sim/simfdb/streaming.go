package simfdb

import "github.com/kelpie-registry/kelpie/store"

// StreamingMode says how much of a range each answer should hold. The values are
// those of the Go binding.
type StreamingMode int

// The streaming modes, with what bounds an answer in bytes. Each row is counted
// with a few bytes more, and there is at least one row.
const (
	StreamingModeWantAll  StreamingMode = -1 // 80,000
	StreamingModeIterator StreamingMode = 0  // 4,096, and half as much again with each answer
	StreamingModeExact    StreamingMode = 1  // nothing: it needs a limit or a target
	StreamingModeSmall    StreamingMode = 2  // 256
	StreamingModeMedium   StreamingMode = 3  // 1,000
	StreamingModeLarge    StreamingMode = 4  // 4,096
	StreamingModeSerial   StreamingMode = 5  // 80,000
)

// iteratorBytes bounds the answers of StreamingModeIterator, the last one all
// that follow.
var iteratorBytes = [...]int{4096, 6144, 9216, 13_824, 20_736, 31_104, 46_656, 69_984, 80_000, 120_000}

// Chunk is one answer to a range read.
type Chunk struct {
	KeyValues []KeyValue
	More      bool // that there may be more behind
}

// KeyValue is one row of a range read.
type KeyValue = store.KeyValue

// ChunkOptions bound one answer of [Transaction.GetChunk], as the C API has them.
type ChunkOptions struct {
	Limit       int // rows; 0 and -1: no limit
	TargetBytes int // 0 and -1: what Mode says; else the lower of the two
	Mode        StreamingMode
	Iteration   int // of StreamingModeIterator; from 1 on
	Reverse     bool
}

// bounds returns where the read stops, or an error number.
func (o ChunkOptions) bounds() (rangeBounds, int) {
	b := rangeBounds{limit: max(o.Limit, 0), bytes: max(o.TargetBytes, 0), reverse: o.Reverse}
	if o.Mode == StreamingModeExact && o.Limit == 0 && o.TargetBytes == 0 {
		return b, CodeExactModeWithoutLimits
	}
	var most int
	switch o.Mode {
	case StreamingModeExact:
	case StreamingModeSmall:
		most = 256
	case StreamingModeMedium:
		most = 1000
	case StreamingModeLarge:
		most = 4096
	case StreamingModeSerial, StreamingModeWantAll:
		most = answerBytes
	case StreamingModeIterator:
		if o.Iteration <= 0 {
			return b, CodeInvalidOperation
		}
		most = iteratorBytes[min(o.Iteration, len(iteratorBytes))-1]
	default:
		return b, CodeInvalidOperation
	}
	if o.Limit < -1 || o.TargetBytes < -1 {
		return b, CodeRangeLimitsInvalid
	}
	if most > 0 && (b.bytes == 0 || b.bytes > most) {
		b.bytes = most
	}
	return b, 0
}

// GetChunk reads one answer's worth of the rows from begin to end: the range read
// of the C API, which GetRange is made of.
func (t *Transaction) GetChunk(begin, end KeySelector, o ChunkOptions) *Future[Chunk] {
	return t.life.getChunkLater(begin, end, o, false)
}

// GetChunk is [Transaction.GetChunk].
func (s Snapshot) GetChunk(begin, end KeySelector, o ChunkOptions) *Future[Chunk] {
	return s.t.life.getChunkLater(begin, end, o, true)
}

func (l *life) getChunkLater(begin, end KeySelector, o ChunkOptions, snapshot bool) *Future[Chunk] {
	f := newFuture[Chunk](l)
	f.read = true
	if string(begin.Key) >= firstSpecialKey {
		return l.getSpecialRange(f, string(begin.Key), string(end.Key))
	}
	bounds, code := o.bounds()
	if code != 0 {
		return f.fail(Error{code})
	}
	if err := l.usable("get range"); err != nil {
		return f.fail(err)
	}
	if most := l.maxRead(); string(begin.Key) > most || string(end.Key) > most {
		return f.fail(Error{CodeKeyOutsideLegalRange})
	}
	v := l.reader(snapshot, true)
	later(f, func() (Chunk, error) {
		rows, more, err := v.between(begin.plain(), end.plain(), bounds, snapshot)
		return Chunk{keyValues(rows), more}, err
	})
	return f
}

func keyValues(rows []row) []KeyValue {
	kvs := make([]KeyValue, len(rows))
	for i, row := range rows {
		kvs[i] = KeyValue{Key: []byte(row.key), Value: bytesOf(row.value, true)}
	}
	return kvs
}

// RangeOptions bound a range read. The zero value reads forward without limit, in
// StreamingModeIterator.
type RangeOptions struct {
	Limit   int // rows; 0: no limit
	Mode    StreamingMode
	Reverse bool
}

// RangeResult is a range to read, and its first answer on the way.
type RangeResult struct {
	begin, end KeySelector
	o          RangeOptions
	fetch      func(begin, end KeySelector, o ChunkOptions) *Future[Chunk]
	first      *Future[Chunk]
}

// GetRange starts to read the rows from begin to end.
func (t *Transaction) GetRange(begin, end KeySelector, o RangeOptions) *RangeResult {
	return newRangeResult(begin, end, o, t.GetChunk)
}

// GetRange is [Transaction.GetRange].
func (s Snapshot) GetRange(begin, end KeySelector, o RangeOptions) *RangeResult {
	return newRangeResult(begin, end, o, s.GetChunk)
}

func newRangeResult(begin, end KeySelector, o RangeOptions, fetch func(begin, end KeySelector, o ChunkOptions) *Future[Chunk]) *RangeResult {
	r := &RangeResult{begin: begin, end: end, o: o, fetch: fetch}
	r.first = fetch(begin, end, ChunkOptions{Limit: o.Limit, Mode: o.Mode, Iteration: 1, Reverse: o.Reverse})
	return r
}

// GetSliceWithError waits for all rows of the range and returns them.
func (r *RangeResult) GetSliceWithError() ([]KeyValue, error) {
	it := r.Iterator()
	it.o.Mode = StreamingModeWantAll
	if it.o.Limit != 0 {
		it.o.Mode = StreamingModeExact
	}
	var rows []KeyValue
	for it.Advance() {
		if it.err != nil {
			return nil, it.err
		}
		rows = append(rows, it.rows...)
		it.index = len(it.rows)
		it.fetchNext()
	}
	return rows, nil
}

// Iterator returns the means to read the range row by row.
func (r *RangeResult) Iterator() *RangeIterator {
	return &RangeIterator{RangeResult: *r, answer: r.first, iteration: 1}
}

// RangeIterator reads a range row by row. It asks for the next answer when the
// last row of one has been taken.
type RangeIterator struct {
	RangeResult
	answer    *Future[Chunk] // nil: it has been taken
	iteration int
	rows      []KeyValue
	index     int // of the next row
	more      bool
	done      bool
	err       error
}

// Advance waits for the next row and reports whether Get has one, or an error.
func (it *RangeIterator) Advance() bool {
	if it.done || it.answer == nil {
		return !it.done
	}
	chunk, err := it.answer.Get()
	it.answer, it.index = nil, 0
	it.rows, it.more, it.err = chunk.KeyValues, chunk.More, err
	return err != nil || len(it.rows) > 0
}

// Get returns the row that Advance reported.
func (it *RangeIterator) Get() (KeyValue, error) {
	if it.err != nil {
		return KeyValue{}, it.err
	}
	kv := it.rows[it.index]
	it.index++
	if it.index == len(it.rows) {
		it.fetchNext()
	}
	return kv, nil
}

func (it *RangeIterator) fetchNext() {
	if !it.more || it.index == it.o.Limit {
		it.done = true
		return
	}
	if it.o.Limit > 0 {
		it.o.Limit -= it.index
	}
	if last := it.rows[it.index-1].Key; it.o.Reverse {
		it.end = FirstGreaterOrEqual(last)
	} else {
		it.begin = FirstGreaterThan(last)
	}
	it.iteration++
	it.answer = it.fetch(it.begin, it.end, ChunkOptions{Limit: it.o.Limit, Mode: it.o.Mode, Iteration: it.iteration, Reverse: it.o.Reverse})
}
