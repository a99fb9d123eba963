package linearizability

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Format and FormatVersion are in the first line of every history file.
const (
	Format        = "kelpie-history"
	FormatVersion = 1
)

// Encoder writes a history line by line, as it happens. It is safe for use
// from several tasks. docs/history.md describes the format.
//
// Errors of the underlying writer stick: they are returned by all later calls.
type Encoder struct {
	mu     sync.Mutex
	w      *bufio.Writer
	line   []byte
	events uint64
	err    error
}

// NewEncoder writes the header line to w.
func NewEncoder(w io.Writer, h Header) (*Encoder, error) {
	if err := checkID("scenario", h.Scenario); err != nil {
		return nil, fmt.Errorf("linearizability: %w", err)
	}
	e := &Encoder{w: bufio.NewWriterSize(w, 64<<10)}
	b := append(e.line, `{"format":"`...)
	b = append(b, Format...)
	b = append(b, `","version":`...)
	b = strconv.AppendInt(b, FormatVersion, 10)
	b = append(b, `,"scenario":`...)
	b = appendString(b, h.Scenario)
	b = append(b, `,"seed":`...)
	b = strconv.AppendUint(b, h.Seed, 10)
	e.write(b)
	return e, e.err
}

// Invoke writes the call of an operation. It uses the fields that are known at
// the call, with op.Call as the time.
func (e *Encoder) Invoke(op *Op) error {
	if err := op.validateInvoke(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	b := append(e.line[:0], `{"e":"invoke","id":`...)
	b = strconv.AppendInt(b, int64(op.ID), 10)
	b = appendTime(b, op.Call)
	b = append(b, `,"client":`...)
	b = appendString(b, op.Client)
	b = append(b, `,"kind":"`...)
	b = append(b, op.Kind.String()...)
	b = append(b, '"')
	k := &kinds[op.Kind].invoke
	b = op.appendFields(b, k.must|k.may)
	e.events++
	e.write(b)
	return e.err
}

// Return writes the return of an operation: op with its result, the whole of
// which is checked against the table.
func (e *Encoder) Return(op *Op) error {
	if op.Outcome == OutcomePending {
		return fmt.Errorf("%w: operation %d has not returned", ErrOp, op.ID)
	}
	if err := op.Validate(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	b := append(e.line[:0], `{"e":"return","id":`...)
	b = strconv.AppendInt(b, int64(op.ID), 10)
	b = appendTime(b, op.Return)
	b = append(b, `,"outcome":"`...)
	b = append(b, op.Outcome.String()...)
	b = append(b, '"')
	r := &kinds[op.Kind].results[op.Outcome]
	b = op.appendFields(b, r.must|r.may)
	e.events++
	e.write(b)
	return e.err
}

// Flush hands everything written so far to the underlying writer.
func (e *Encoder) Flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// Close writes the end line, without which a file counts as truncated, and
// flushes. It does not close the underlying writer.
func (e *Encoder) Close() error {
	e.mu.Lock()
	b := append(e.line[:0], `{"e":"end","events":`...)
	b = strconv.AppendUint(b, e.events, 10)
	e.write(b)
	e.mu.Unlock()
	return e.Flush()
}

func (e *Encoder) write(b []byte) {
	b = append(b, "}\n"...)
	e.line = b
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func appendTime(b []byte, t time.Duration) []byte {
	b = append(b, `,"t":`...)
	return strconv.AppendInt(b, int64(t), 10)
}

// appendFields writes those of the fields that are not zero.
func (o *Op) appendFields(b []byte, fields field) []byte {
	fields &= o.fields()
	for _, f := range fieldNames {
		if fields&f.bit == 0 {
			continue
		}
		b = append(b, `,"`...)
		b = append(b, f.name...)
		b = append(b, `":`...)
		switch f.bit {
		case fieldNode:
			b = appendString(b, o.Node)
		case fieldIncarnation:
			b = strconv.AppendUint(b, o.Incarnation, 10)
		case fieldActor:
			b = appendString(b, o.Actor)
		case fieldToken:
			b = strconv.AppendUint(b, o.Token, 10)
		case fieldReplace, fieldGiven:
			b = append(b, "true"...)
		case fieldOwner:
			b = appendString(b, o.OwnerNode)
		case fieldOwnerIncarnation:
			b = strconv.AppendUint(b, o.OwnerIncarnation, 10)
		case fieldNewToken:
			b = strconv.AppendUint(b, o.NewToken, 10)
		case fieldVersion:
			b = strconv.AppendUint(b, o.Version, 10)
		default: // a set of fields
		}
	}
	return b
}

// appendString writes s, which is valid UTF-8, as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil { // a string never fails
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Encode writes the whole history, its events in the order of their times.
func (h *History) Encode(w io.Writer) error {
	if err := h.Validate(); err != nil {
		return err
	}
	e, err := NewEncoder(w, h.Header)
	if err != nil {
		return err
	}
	type event struct {
		at  time.Duration
		ret bool
		op  int
	}
	events := make([]event, 0, 2*len(h.Ops))
	for i := range h.Ops {
		events = append(events, event{h.Ops[i].Call, false, i})
		if h.Ops[i].Outcome != OutcomePending {
			events = append(events, event{h.Ops[i].Return, true, i})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if a.ret != b.ret {
			if b.ret {
				return -1
			}
			return 1
		}
		return 0
	})
	for _, ev := range events {
		op := &h.Ops[ev.op]
		if ev.ret {
			err = e.Return(op)
		} else {
			err = e.Invoke(op)
		}
		if err != nil {
			return err
		}
	}
	return e.Close()
}
