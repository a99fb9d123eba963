// Package clock makes time, and waiting for something to happen, a dependency.
//
// Code that may run in the simulator never calls time.Now, time.Sleep or
// context.WithTimeout and never blocks on a channel: it asks a [Clock]. The
// real clock is [System]; package sim holds a simulated one.
//
// A Clock shows two times. [Clock.Now] is the wall clock: it is for people, may
// jump either way, and no decision may rest on it. [Clock.Monotonic] is the
// time that decisions use: it never goes back, goes on while the machine is
// suspended, and runs at a rate that is wrong by a bounded fraction only.
//
// The package does not promise that two clocks agree on anything but the
// approximate length of a second.
package clock

import (
	"context"
	"time"
)

// Clock is what a process may ask about time. All methods may be called from
// several tasks at once.
type Clock interface {
	// Now returns the wall-clock time, for logs and for people.
	Now() time.Time

	// Monotonic returns the time passed since an origin that is fixed for the
	// life of the process. It never decreases, and it counts the time during
	// which the machine was suspended.
	Monotonic() time.Duration

	// Uptime is Monotonic for what is asked often and of which little depends: it
	// costs less, and may leave out the time during which the machine was
	// suspended. It is not for leases.
	Uptime() time.Duration

	// Sleep blocks until d of monotonic time has passed, and returns nil, or
	// until ctx ends, and returns ctx.Err(). A d of zero or less yields to the
	// other tasks once and returns ctx.Err().
	Sleep(ctx context.Context, d time.Duration) error

	// AfterFunc runs f once, in a task of its own, when d of monotonic time has
	// passed. A d of zero or less runs it as soon as the caller yields.
	AfterFunc(d time.Duration, f func()) Timer

	// WithCancel is context.WithCancelCause on this clock's kind of context.
	WithCancel(parent context.Context) (context.Context, context.CancelCauseFunc)

	// WithTimeout is context.WithTimeout measured on this clock's monotonic
	// time. The context's Deadline is the wall-clock estimate made at the call.
	WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc)

	// NewEvent returns a one-shot event that is not set.
	NewEvent() Event
}

// Timer is a pending call of a function passed to [Clock.AfterFunc].
type Timer interface {
	// Stop prevents the call and reports whether it did; false means that the
	// function has started already or that the timer was stopped before.
	Stop() bool
}

// Event is a one-shot wake-up: the replacement for closing a channel.
type Event interface {
	// Set wakes all present and future waiters. Only the first call has an
	// effect.
	Set()

	// IsSet reports whether Set has been called.
	IsSet() bool

	// Wait blocks until the event is set, and returns nil, or until ctx ends,
	// and returns ctx.Err(). A set event wins over an ended context.
	Wait(ctx context.Context) error
}

// CauseKey is the key under which a context of a clock other than the system's
// answers Value with itself, as a value that has a Cause() error method. So
// [Cause] finds it through the contexts that context.WithValue makes of it.
type CauseKey struct{}

// Cause returns why ctx ended, like context.Cause, for contexts of every
// clock. It returns nil while ctx has not ended.
func Cause(ctx context.Context) error {
	if c, ok := ctx.Value(CauseKey{}).(interface{ Cause() error }); ok {
		if err := c.Cause(); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
