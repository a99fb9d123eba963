package linearizability

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Journal is a [Recorder] whose history is in a file as it happens: each event is
// one Write of one line, made before Invoke or Return comes back. A process that is
// killed has lost at most the line that it was writing. [DecodeJournal] reads what is
// there. It is safe for use from several tasks.
//
// Errors of the writer, and operations that the format does not allow, stick: see
// [Journal.Err].
type Journal struct {
	mu      sync.Mutex
	encoder *Encoder
	pending map[int]Op
	next    int
	err     error
}

// NewJournal writes the header line to w.
func NewJournal(w io.Writer, h Header) (*Journal, error) {
	e, err := NewEncoder(w, h)
	if err != nil {
		return nil, err
	}
	return &Journal{encoder: e, pending: make(map[int]Op)}, e.Flush()
}

// Invoke writes the call of an operation at now and returns its id. Of op it takes
// the fields that are known at the call.
func (j *Journal) Invoke(now time.Duration, op Op) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := j.next
	j.next++
	op.ID, op.Call, op.Return, op.Outcome = id, now, Open, OutcomePending
	j.pending[id] = op
	j.line(j.encoder.Invoke(&op))
	return id
}

// Return writes the end of operation id at now. It panics when the operation does
// not exist or has returned: the caller's own bookkeeping is broken.
func (j *Journal) Return(now time.Duration, id int, res Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	op, ok := j.pending[id]
	if !ok {
		panic(fmt.Sprintf("linearizability: return of operation %d, which is not under way", id))
	}
	delete(j.pending, id)
	op.complete(now, res)
	j.line(j.encoder.Return(&op))
}

// Note writes an operation that takes no time, such as a [KindLost] note.
func (j *Journal) Note(now time.Duration, op Op, res Result) {
	j.Return(now, j.Invoke(now, op), res)
}

// Len returns the number of operations written.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Err returns the first error. What came after it may be missing in the file.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// line hands a line on to the writer.
func (j *Journal) line(err error) {
	if err == nil {
		err = j.encoder.Flush()
	}
	if j.err == nil {
		j.err = err
	}
}

// DecodeJournal reads the history of a [Journal], which may have ended at any byte:
// it needs no end line, and drops a last line without its newline. Everything else
// is as for [Decode]. A file that ends before its first newline is a history without
// operations or header.
func DecodeJournal(r io.Reader, l Limits) (*History, error) {
	d := newDecoder(r, l)
	d.journal = true
	if err := d.decode(); err != nil {
		return nil, err
	}
	d.h.Ops = d.ops.all()
	return &d.h, nil
}

// Merge returns one history of those of several processes, which must have measured
// their times from one origin. Operations are in the order of their calls, and
// numbered anew.
func Merge(h Header, parts ...*History) *History {
	n := 0
	for _, p := range parts {
		n += len(p.Ops)
	}
	merged := &History{Header: h, Ops: make([]Op, 0, n)}
	for _, p := range parts {
		merged.Ops = append(merged.Ops, p.Ops...)
	}
	slices.SortStableFunc(merged.Ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	for i := range merged.Ops {
		merged.Ops[i].ID = i
	}
	return merged
}
