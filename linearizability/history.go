package linearizability

import (
	"fmt"
	"sync"
	"time"
)

// Header names the run that a history came from.
type Header struct {
	Scenario string // at most MaxIDBytes; may be empty
	Seed     uint64
}

// History is what the clients of one run did and saw. The order of Ops has no
// meaning; a recorder leaves them in the order of their calls.
type History struct {
	Header
	Ops []Op
}

// Validate returns the first error of an operation, and an error when an id
// occurs twice. All errors wrap [ErrOp].
func (h *History) Validate() error {
	dense := true
	for i := range h.Ops {
		if err := h.Ops[i].Validate(); err != nil {
			return err
		}
		dense = dense && h.Ops[i].ID == i
	}
	if dense {
		return nil
	}
	seen := make(map[int]struct{}, len(h.Ops))
	for i := range h.Ops {
		id := h.Ops[i].ID
		if _, ok := seen[id]; ok {
			return fmt.Errorf("%w: id %d occurs twice", ErrOp, id)
		}
		seen[id] = struct{}{}
	}
	return nil
}

// Recorder collects a history as it happens. It is safe for use from several
// tasks. Times come from the caller, who reads the clock before the call of
// Invoke and after the operation's end: an interval that is too wide costs
// sharpness, one that is too narrow is a lie.
type Recorder struct {
	mu sync.Mutex
	h  History
}

// NewRecorder returns a recorder with room for capacity operations. It grows
// beyond that when it must.
func NewRecorder(h Header, capacity int) *Recorder {
	return &Recorder{h: History{Header: h, Ops: make([]Op, 0, max(capacity, 0))}}
}

// Invoke records a call at now and returns the operation's id. Of op it takes
// the fields that are known at the call.
func (r *Recorder) Invoke(now time.Duration, op Op) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := len(r.h.Ops)
	op.ID, op.Call, op.Return, op.Outcome = id, now, Open, OutcomePending
	r.h.Ops = append(r.h.Ops, op)
	return id
}

// Return records the end of operation id at now. It panics when the operation
// does not exist or has returned: the caller's own bookkeeping is broken.
func (r *Recorder) Return(now time.Duration, id int, res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id < 0 || id >= len(r.h.Ops) {
		panic(fmt.Sprintf("linearizability: return of operation %d, which was never invoked", id))
	}
	op := &r.h.Ops[id]
	if op.Outcome != OutcomePending {
		panic(fmt.Sprintf("linearizability: second return of operation %d", id))
	}
	op.complete(now, res)
}

// Note records an operation that takes no time, such as a [KindLost] note.
func (r *Recorder) Note(now time.Duration, op Op, res Result) {
	r.Return(now, r.Invoke(now, op), res)
}

// Len returns the number of operations recorded.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Ops)
}

// History returns what has been recorded so far. It shares memory with the
// recorder: it is valid until the next call of Invoke, Return or Reset.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &r.h
}

// Reset forgets all operations and keeps their memory.
func (r *Recorder) Reset(h Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.h.Ops)
	r.h.Header, r.h.Ops = h, r.h.Ops[:0]
}

// complete adds a result to a pending operation.
func (o *Op) complete(now time.Duration, res Result) {
	o.Return, o.Outcome = now, res.Outcome
	if res.Incarnation != 0 {
		o.Incarnation = res.Incarnation
	}
	if res.Token != 0 {
		o.Token = res.Token
	}
	if o.Kind != KindTransfer { // its call says who
		o.OwnerNode, o.OwnerIncarnation = res.OwnerNode, res.OwnerIncarnation
	}
	o.NewToken, o.Version = res.NewToken, res.Version
}
