package sim

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// Rules that the package itself checks.
const (
	RulePanic    = "panic"    // a task, callback or invariant panicked
	RuleDeadlock = "deadlock" // tasks wait and nothing is left to happen
	RuleLivelock = "livelock" // too many events, in all or at one instant
)

// Failure is why a world stopped: the first rule that was broken, and the
// event that broke it.
type Failure struct {
	Rule    string
	At      time.Duration // true time
	Event   uint64        // index of the event, from 1; 0 before the first
	Process string        // to which the event belonged; "" for the world
	Task    string        // task or callback that ran; "" for the driver
	Err     error
	Stack   string // of a panic, from where it began to the task's start

	where string // of a panic: the function that panicked
}

// Error describes the failure in one or more lines, without the stack.
func (f *Failure) Error() string {
	var who string
	switch {
	case f.Process != "" && f.Task != "":
		who = " in " + f.Process + "/" + f.Task
	case f.Process+f.Task != "":
		who = " in " + f.Process + f.Task
	}
	return fmt.Sprintf("%s at %v, event %d%s: %v", f.Rule, f.At, f.Event, who, f.Err)
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// maxSignature bounds the length of a signature's second part, in bytes.
const maxSignature = 120

// Signature names the cause: failures of many seeds with one cause share it.
// It is the rule and where it was broken: the function that panicked; for
// other rules what Where() returns of an error in Err's tree that has such a
// method; and else the first line of the error with its numbers left out.
func (f *Failure) Signature() string {
	where := f.where
	var located interface{ Where() string }
	if where == "" && errors.As(f.Err, &located) {
		where = located.Where()
	}
	if where == "" && f.Err != nil {
		where, _, _ = strings.Cut(f.Err.Error(), "\n")
	}
	where = withoutNumbers(where)
	if len(where) > maxSignature {
		where = strings.ToValidUTF8(where[:maxSignature], "")
	}
	return f.Rule + ": " + where
}

// withoutNumbers replaces each run of digits with one '#'.
func withoutNumbers(s string) string {
	var b strings.Builder
	inNumber := false
	for _, r := range s {
		digit := r >= '0' && r <= '9'
		switch {
		case !digit:
			b.WriteRune(r)
		case !inNumber:
			b.WriteByte('#')
		}
		inNumber = digit
	}
	return b.String()
}

// Fail stops the world after the present event with a failure of that rule.
// Only the first failure counts. A nil err stands for the rule itself.
func (w *World) Fail(rule string, err error) {
	if w.mute() {
		return
	}
	if err == nil {
		err = errors.New(rule)
	}
	w.fail(&Failure{Rule: rule, Err: err})
}

// Failure returns why the world stopped; nil if it did not or only by Stop.
func (w *World) Failure() *Failure { return w.failure }

func (w *World) fail(f *Failure) {
	if w.failure != nil || w.closed {
		return
	}
	f.At, f.Event = w.now, w.stats.Events
	switch {
	case w.task != nil:
		f.Process, f.Task = w.task.host.proc.name, w.task.name
	case w.inRun && w.stats.Events > 0:
		f.Task = w.eventName
		if w.eventHost != nil {
			f.Process = w.eventHost.proc.name
		}
	}
	w.failure = f
	w.halted = true
	w.fold(f.Rule, w.stats.Events, uint64(w.now))
	if w.trace != nil {
		w.trace.detail(w, "FAILURE "+f.Error())
	}
}

// errGoexit is the failure of code that ended its goroutine.
var errGoexit = errors.New("runtime.Goexit was called (by FailNow, Fatal or Skip of a test?)")

// caught turns what recover returned into a failure; nil stands for Goexit.
func (w *World) caught(r any) {
	if w.failure != nil || w.closed {
		return
	}
	f := &Failure{Rule: RulePanic, Err: errGoexit}
	switch r := r.(type) {
	case nil:
	case error:
		f.Err = fmt.Errorf("panic: %w", r)
	default:
		f.Err = fmt.Errorf("panic: %v", r)
	}
	f.Stack, f.where = origin()
	w.fail(f)
}

// guard runs the function of a callback or port. What it panics with becomes
// a failure.
func (w *World) guard(d *delivery) {
	w.callback = source{ident: d.ident}
	w.task, w.src = nil, &w.callback
	returned := false
	defer func() {
		if !returned {
			w.caught(recover())
		}
		w.src = &w.driver
	}()
	if d.kind == kindMessage {
		d.to.deliver(Message{From: d.from, Body: d.body})
	} else {
		d.f()
	}
	returned = true
}

// invariant is something that must hold after every event.
type invariant struct {
	rule  string
	check func() error
}

// Invariant has check run after every event. An error stops the world at that
// event with a failure of that rule. The checks run in the order in which they
// were given; check must not block and should change nothing.
func (w *World) Invariant(rule string, check func() error) {
	w.invariants = append(w.invariants, invariant{rule, check})
}

func (w *World) checkInvariant(i invariant) {
	returned := false
	defer func() {
		if !returned {
			w.caught(recover())
		}
	}()
	err := i.check()
	returned = true
	if err != nil {
		w.fail(&Failure{Rule: i.rule, Err: err})
	}
}

// simPath is the import path of this package.
var simPath = reflect.TypeFor[World]().PkgPath()

// internal reports whether a frame belongs to the simulator, the runtime or
// package clock, rather than to the code that runs on them.
func internal(f *runtime.Frame) bool {
	if strings.HasPrefix(f.Function, "runtime.") || strings.HasPrefix(f.Function, path.Dir(simPath)+"/clock.") {
		return true
	}
	return strings.HasPrefix(f.Function, simPath+".") && !strings.HasSuffix(f.File, "_test.go")
}

// base reports whether a frame is where the simulator calls the user's code.
func base(f *runtime.Frame) bool {
	switch strings.TrimPrefix(f.Function, simPath+".") {
	case "(*task).run", "(*World).guard", "(*World).checkInvariant":
		return true
	}
	return false
}

const maxFrames = 128

// origin returns the stack of the panic being recovered, from where it began
// to the simulator's base, and the function where it began.
func origin() (stack, where string) {
	var pcs [maxFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	var b strings.Builder
	inside := false // beyond the frames of the recovery itself
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if !inside {
			inside = f.Function == "runtime.gopanic" || f.Function == "runtime.Goexit"
			continue
		}
		if base(&f) {
			break
		}
		if where == "" && !strings.HasPrefix(f.Function, "runtime.") {
			where = position(&f)
		}
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String(), where
}

// caller returns the innermost function on the stack that is not the
// simulator's.
func caller() string {
	var pcs [maxFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if !internal(&f) {
			return position(&f)
		}
	}
	return ""
}

// position is "pkg.Func (file.go:12)".
func position(f *runtime.Frame) string {
	return fmt.Sprintf("%s (%s:%d)", path.Base(f.Function), path.Base(f.File), f.Line)
}
