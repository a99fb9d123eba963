package linearizability

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Errors of a file that is not a history. A [LineError] around them says where.
var (
	// ErrForeign: the first line is not a history's header.
	ErrForeign = errors.New("not a " + Format + " file")
	// ErrNewer: the file has a format version that this code does not know.
	ErrNewer = errors.New("newer format version")
	// ErrTruncated: the file ends before its end line.
	ErrTruncated = errors.New("truncated")
	// ErrTooBig: the file is over one of the [Limits].
	ErrTooBig = errors.New("too big")
	// ErrEvent: a line is not an event, or not one that may stand there.
	ErrEvent = errors.New("invalid event")
)

// LineError says which line of a file an error is about.
type LineError struct {
	Line int // counted from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("history line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Decode reads a whole history, a line at a time. All its errors but those of r
// are a [*LineError]. A history that comes with a nil error is valid.
//
// When r is an [io.Seeker] that can seek, such as a file, the lines behind the
// header are counted before they are read: one that is over a limit is refused
// at the cost of a buffer. Of another r, such as a pipe, Decode keeps what is
// within the limits until it meets what is not.
func Decode(r io.Reader, l Limits) (*History, error) {
	d := newDecoder(r, l)
	if err := d.decode(); err != nil {
		return nil, err
	}
	d.h.Ops = d.ops.all()
	return &d.h, nil
}

func newDecoder(r io.Reader, l Limits) *decoder {
	l = l.withDefaults()
	return &decoder{
		source:  r,
		r:       bufio.NewReaderSize(r, max(l.LineBytes, 16)),
		limits:  l,
		strings: make(map[string]string),
	}
}

type decoder struct {
	source  io.Reader
	r       *bufio.Reader // of source
	limits  Limits
	line    int
	bytes   int64 // of the lines so far
	h       History
	ops     table
	strings map[string]string
	events  uint64
	ended   bool
	journal bool // the file may end at any byte
}

func (d *decoder) decode() error {
	for {
		line, err := d.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := d.take(line); err != nil {
			return &LineError{d.line, err}
		}
		if d.line == 1 {
			if err := d.survey(); err != nil {
				return err
			}
		}
	}
	if d.journal {
		return nil
	}
	if d.line == 0 {
		return &LineError{1, fmt.Errorf("%w: it is empty", ErrForeign)}
	}
	if !d.ended {
		return &LineError{d.line, fmt.Errorf("%w: the file ends without an end line", ErrTruncated)}
	}
	return nil
}

// next returns the next line without its newline, valid until the next call,
// or io.EOF.
func (d *decoder) next() ([]byte, error) {
	line, err := d.r.ReadSlice('\n')
	atEnd := errors.Is(err, io.EOF)
	if len(line) == 0 && atEnd {
		return nil, io.EOF
	}
	d.line++
	d.bytes += int64(len(line))
	tooLong := errors.Is(err, bufio.ErrBufferFull) || len(line) > d.limits.LineBytes
	switch {
	case d.journal && atEnd && !tooLong:
		return nil, io.EOF
	case d.line == 1 && atEnd && !tooLong:
		return nil, &LineError{d.line, fmt.Errorf("%w: its first line has no end", ErrForeign)}
	case d.line == 1 && tooLong:
		return nil, &LineError{d.line, fmt.Errorf("%w: its first line has no end within %d bytes", ErrForeign, d.limits.LineBytes)}
	case tooLong:
		return nil, &LineError{d.line, fmt.Errorf("%w: the line is longer than %d bytes", ErrTooBig, d.limits.LineBytes)}
	case atEnd:
		return nil, &LineError{d.line, fmt.Errorf("%w: the file ends in the middle of the line", ErrTruncated)}
	case err != nil:
		return nil, fmt.Errorf("read history, line %d: %w", d.line, err)
	case d.line > d.limits.Lines:
		return nil, d.limits.tooManyLines()
	case d.bytes > d.limits.Bytes:
		return nil, d.limits.tooManyBytes(d.line)
	}
	return line[:len(line)-1], nil
}

// take handles one line.
func (d *decoder) take(line []byte) error {
	if d.line == 1 {
		return d.header(line)
	}
	if d.ended {
		return fmt.Errorf("%w: text after the end line", ErrEvent)
	}
	var ev event
	if err := eachMember(line, func(key []byte, v value) error { return ev.set(d, key, v) }); err != nil {
		if errors.Is(err, ErrEvent) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if err := ev.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	switch ev.what {
	case "invoke":
		d.events++
		return d.invoke(&ev)
	case "return":
		d.events++
		return d.returned(&ev)
	default:
		if ev.events != d.events {
			return fmt.Errorf("%w: the end line counts %d events, the file has %d", ErrTruncated, ev.events, d.events)
		}
		d.ended = true
		return nil
	}
}

// header checks the first line. Only the format and the version are looked at
// until both are known to be ours.
func (d *decoder) header(line []byte) error {
	var format, scenario string
	var version, seed uint64
	var seen [4]bool
	unknown := ""
	err := eachMember(line, func(key []byte, v value) error {
		var field int
		switch string(key) {
		case "format":
			field, format = 0, string(v.text)
		case "version":
			field, version = 1, v.number
		case "scenario":
			field, scenario = 2, string(v.text)
		case "seed":
			field, seed = 3, v.number
		default:
			unknown = string(key)
			return nil
		}
		isNumber := v.kind == valueNumber
		if seen[field] || v.kind == valueBool || isNumber != (field == 1 || field == 3) {
			return errSyntax
		}
		seen[field] = true
		return nil
	})
	switch {
	case err != nil || format != Format || !seen[1]:
		return fmt.Errorf("%w: the first line is not its header", ErrForeign)
	case version > FormatVersion:
		return fmt.Errorf("%w: the file has version %d, this program knows up to %d", ErrNewer, version, FormatVersion)
	case version == 0:
		return fmt.Errorf("%w: version 0", ErrForeign)
	case unknown != "":
		return fmt.Errorf("%w: unknown member %q of the header", ErrEvent, unknown)
	case !seen[2] || !seen[3]:
		return fmt.Errorf("%w: the header must have scenario and seed", ErrEvent)
	}
	if err := checkID("scenario", scenario); err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	d.h.Header = Header{Scenario: scenario, Seed: seed}
	return nil
}

func (d *decoder) invoke(ev *event) error {
	op := ev.op
	op.Call, op.Return = ev.at, Open
	kind, err := ParseKind(ev.kind)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	op.Kind = kind
	if extra := ev.fields() &^ (kinds[kind].invoke.must | kinds[kind].invoke.may); extra != 0 {
		return fmt.Errorf("%w: the call of operation %d, a %v, must not have %v", ErrEvent, op.ID, kind, extra)
	}
	if err := op.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if d.ops.find(op.ID) != nil {
		return fmt.Errorf("%w: duplicate id: operation %d was invoked before", ErrEvent, op.ID)
	}
	if d.ops.n == d.limits.Operations {
		return fmt.Errorf("%w: more than %d operations", ErrTooBig, d.limits.Operations)
	}
	d.ops.add(&op)
	return nil
}

func (d *decoder) returned(ev *event) error {
	called := d.ops.find(ev.op.ID)
	if called == nil {
		return fmt.Errorf("%w: return without invoke: operation %d", ErrEvent, ev.op.ID)
	}
	outcome, err := ParseOutcome(ev.outcome)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	op := *called
	if op.Outcome != OutcomePending {
		return fmt.Errorf("%w: duplicate id: operation %d returned before", ErrEvent, op.ID)
	}
	k := &kinds[op.Kind]
	if r := k.results[outcome]; r.allowed {
		if extra := ev.fields() &^ (r.must | r.may); extra != 0 {
			return fmt.Errorf("%w: the return of operation %d, %v %v, must not have %v", ErrEvent, op.ID, op.Kind, outcome, extra)
		}
	}
	op.complete(ev.at, Result{
		Outcome:          outcome,
		Incarnation:      ev.op.Incarnation,
		Token:            ev.op.Token,
		OwnerNode:        ev.op.OwnerNode,
		OwnerIncarnation: ev.op.OwnerIncarnation,
		NewToken:         ev.op.NewToken,
		Version:          ev.op.Version,
	})
	if op.Return < op.Call {
		return fmt.Errorf("%w: return before call: operation %d was called at %d and returned at %d", ErrEvent, op.ID, op.Call, op.Return)
	}
	if err := op.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrEvent, err)
	}
	*called = op
	return nil
}

// member is a set of an event line's members. The bits from memberField up are
// an operation's fields, in the order of the field constants.
type member uint32

const (
	memberEvent member = 1 << iota
	memberID
	memberTime
	memberClient
	memberKind
	memberOutcome
	memberEvents
	memberField
)

// memberSpec says how a member is called and of which type it is.
type memberSpec struct {
	name string
	bit  member
	kind valueKind
}

var members = [...]memberSpec{
	{"e", memberEvent, valueString},
	{"id", memberID, valueNumber},
	{"t", memberTime, valueNumber},
	{"client", memberClient, valueString},
	{"kind", memberKind, valueString},
	{"outcome", memberOutcome, valueString},
	{"events", memberEvents, valueNumber},
	{"node", memberField * member(fieldNode), valueString},
	{"inc", memberField * member(fieldIncarnation), valueNumber},
	{"actor", memberField * member(fieldActor), valueString},
	{"token", memberField * member(fieldToken), valueNumber},
	{"replace", memberField * member(fieldReplace), valueBool},
	{"given", memberField * member(fieldGiven), valueBool},
	{"owner", memberField * member(fieldOwner), valueString},
	{"owner_inc", memberField * member(fieldOwnerIncarnation), valueNumber},
	{"new_token", memberField * member(fieldNewToken), valueNumber},
	{"version", memberField * member(fieldVersion), valueNumber},
}

func (m member) String() string {
	var names []string
	for i := range members {
		if m&members[i].bit != 0 {
			names = append(names, members[i].name)
		}
	}
	return strings.Join(names, ", ")
}

// event is an event line taken apart.
type event struct {
	what          string // "invoke", "return" or "end"
	at            time.Duration
	kind, outcome string
	events        uint64
	op            Op
	members       member
}

// set stores one member of the line.
func (ev *event) set(d *decoder, key []byte, v value) error {
	i := slices.IndexFunc(members[:], func(m memberSpec) bool { return m.name == string(key) })
	if i < 0 {
		return fmt.Errorf("%w: unknown member %q", ErrEvent, key)
	}
	m := &members[i]
	if ev.members&m.bit != 0 {
		return fmt.Errorf("%w: member %s twice", ErrEvent, m.name)
	}
	ev.members |= m.bit
	if v.kind != m.kind {
		return fmt.Errorf("%w: member %s has a value of the wrong type", ErrEvent, m.name)
	}
	switch v.kind {
	case valueString:
		if len(v.text) == 0 {
			return fmt.Errorf("%w: %s is empty", ErrEvent, m.name)
		}
		if len(v.text) > MaxIDBytes {
			return fmt.Errorf("%w: %s is %d bytes long, at most %d are allowed", ErrEvent, m.name, len(v.text), MaxIDBytes)
		}
		*ev.text(m.bit) = d.intern(v.text)
	case valueNumber:
		return ev.setNumber(m.name, m.bit, v.number)
	case valueBool:
		if m.bit == memberField*member(fieldGiven) {
			ev.op.Given = v.truth
		} else {
			ev.op.Replace = v.truth
		}
	}
	return nil
}

// text returns where a member that is a string belongs.
func (ev *event) text(m member) *string {
	switch m {
	case memberEvent:
		return &ev.what
	case memberClient:
		return &ev.op.Client
	case memberKind:
		return &ev.kind
	case memberOutcome:
		return &ev.outcome
	case memberField * member(fieldNode):
		return &ev.op.Node
	case memberField * member(fieldActor):
		return &ev.op.Actor
	default:
		return &ev.op.OwnerNode
	}
}

func (ev *event) setNumber(name string, m member, n uint64) error {
	switch m {
	case memberID:
		if n > maxID {
			return fmt.Errorf("%w: id is %d, at most %d is allowed", ErrEvent, n, maxID)
		}
		ev.op.ID = int(n)
		return nil
	case memberTime:
		if n > uint64(MaxTime) {
			return fmt.Errorf("%w: t is %d, at most %d is allowed", ErrEvent, n, MaxTime)
		}
		ev.at = time.Duration(n)
		return nil
	case memberEvents:
		ev.events = n
		return nil
	default: // a field
	}
	if n == 0 {
		return fmt.Errorf("%w: %s is 0", ErrEvent, name)
	}
	switch m {
	case memberField * member(fieldIncarnation):
		ev.op.Incarnation = n
	case memberField * member(fieldToken):
		ev.op.Token = n
	case memberField * member(fieldOwnerIncarnation):
		ev.op.OwnerIncarnation = n
	case memberField * member(fieldNewToken):
		ev.op.NewToken = n
	default:
		ev.op.Version = n
	}
	return nil
}

// maxID is the largest id of an operation in a file.
const maxID = 1<<31 - 1

// check makes sure that the line has the members of its kind of event, and no
// others but an operation's fields, which depend on its kind.
func (ev *event) check() error {
	var must, may member
	switch ev.what {
	case "invoke":
		must, may = memberEvent|memberID|memberTime|memberClient|memberKind, ^(memberField - 1)
	case "return":
		must, may = memberEvent|memberID|memberTime|memberOutcome, ^(memberField - 1)
	case "end":
		must = memberEvent | memberEvents
	case "":
		return errors.New("missing member e")
	default:
		return fmt.Errorf("unknown event %q", ev.what)
	}
	if missing := must &^ ev.members; missing != 0 {
		return fmt.Errorf("%s: missing member %v", ev.what, missing)
	}
	if extra := ev.members &^ (must | may); extra != 0 {
		return fmt.Errorf("%s: must not have member %v", ev.what, extra)
	}
	return nil
}

// fields returns the operation's fields that the line has.
func (ev *event) fields() field { return field(ev.members / memberField) }

// intern returns the string of b, the same one each time.
func (d *decoder) intern(b []byte) string {
	if s, ok := d.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	d.strings[s] = s
	return s
}
