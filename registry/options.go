package registry

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/kelpie-registry/kelpie/clock"
)

// Limits of [Options].
const (
	MinTTL      = 10 * time.Millisecond
	MaxTTL      = 24 * time.Hour
	DriftLimit  = 0.2 // upper limit of Options.MaxDrift
	MaxFailures = 100 // upper limit of Options.DegradedAfter
	MaxMonitors = 100 // upper limit of Options.Monitors
)

// Defaults of [Options].
const (
	DefaultNamespace     = "kelpie"
	DefaultTTL           = 30 * time.Second
	DefaultMaxDrift      = 0.01
	DefaultDegradedAfter = 2
	DefaultDegradedShare = 1.0 / 3
	DefaultMonitors      = 3
)

// Options of a [Registry]. The zero value means the defaults.
type Options struct {
	// Namespace keeps registries in one store apart: 1 to [MaxNamespaceBytes]
	// bytes of UTF-8. Default: [DefaultNamespace].
	Namespace string

	// TTL is the length of a session's lease, from [MinTTL] to [MaxTTL].
	// Default: [DefaultTTL].
	TTL time.Duration

	// RenewEvery is the time between the starts of two renewals; above 0, and
	// DegradedAfter renewals must fit into the holder's share of the lease:
	// DegradedAfter·RenewEvery < TTL·(1−MaxDrift). Default: TTL/3.
	RenewEvery time.Duration

	// RenewTimeout bounds one attempt at a renewal; above 0 and at most TTL.
	// Default: RenewEvery/2.
	RenewTimeout time.Duration

	// MaxDrift bounds the rate error of every node's monotonic clock as a
	// fraction, from 0 to [DriftLimit]: within MaxDrift, a clock shows between
	// 1−MaxDrift and 1+MaxDrift seconds a second. All nodes must use the same.
	// Zero means the default, [DefaultMaxDrift]; a negative value is refused.
	MaxDrift float64

	// DegradedAfter is how many renewals in a row must fail before the session
	// is [Degraded]; 1 to [MaxFailures]. Default: [DefaultDegradedAfter].
	DegradedAfter int

	// DegradedShare is the share of the lease below which the session is
	// [Degraded], whatever the reason; between 0 and 1. A renewal that succeeds
	// in time leaves 1 − RenewEvery/TTL, which must be above it. Default:
	// [DefaultDegradedShare].
	DegradedShare float64

	// Retry spaces the attempts after a failed renewal and after a commit whose
	// outcome is unknown. Default: RenewEvery/64 (1 ms at least) to RenewEvery/4.
	Retry clock.Backoff

	// PollEvery bounds the time between two looks at an actor that is waited
	// for; above 0. Releases are noticed sooner, through a watch. Default: TTL/10.
	PollEvery time.Duration

	// Monitors is how many nodes watch over each session; 1 to [MaxMonitors], or
	// below 0 for none: then a session's end is noticed by those who want its actors
	// or its node id, and no node knows the others. Default: [DefaultMonitors].
	Monitors int

	// Events, when not nil, is told of what the registry does by itself. It is
	// called without locks held, from the task that acts, and must not block.
	Events func(Event)
}

// withDefaults fills in the defaults and validates the result.
func (o Options) withDefaults() (Options, error) {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.RenewEvery == 0 {
		o.RenewEvery = o.TTL / 3
	}
	if o.RenewTimeout == 0 {
		o.RenewTimeout = o.RenewEvery / 2
	}
	if o.MaxDrift == 0 {
		o.MaxDrift = DefaultMaxDrift
	}
	if o.DegradedAfter == 0 {
		o.DegradedAfter = DefaultDegradedAfter
	}
	if o.DegradedShare == 0 {
		o.DegradedShare = DefaultDegradedShare
	}
	if o.Retry == (clock.Backoff{}) {
		o.Retry.Initial = max(o.RenewEvery/64, time.Millisecond)
		o.Retry.Max = max(o.RenewEvery/4, o.Retry.Initial)
	}
	if o.PollEvery == 0 {
		o.PollEvery = o.TTL / 10
	}
	if o.Monitors == 0 {
		o.Monitors = DefaultMonitors
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case len(o.Namespace) > MaxNamespaceBytes:
		return invalid("Options.Namespace has %d bytes, at most %d are allowed", len(o.Namespace), MaxNamespaceBytes)
	case !utf8.ValidString(o.Namespace):
		return invalid("Options.Namespace %q is not valid UTF-8", o.Namespace)
	case o.TTL < MinTTL || o.TTL > MaxTTL:
		return invalid("Options.TTL is %v, must be from %v to %v", o.TTL, MinTTL, MaxTTL)
	case math.IsNaN(o.MaxDrift) || o.MaxDrift < 0 || o.MaxDrift > DriftLimit:
		return invalid("Options.MaxDrift is %v, must be from 0 to %v", o.MaxDrift, DriftLimit)
	case o.RenewEvery <= 0 || o.RenewEvery >= o.TTL:
		return invalid("Options.RenewEvery is %v, must be above 0 and below TTL (%v)", o.RenewEvery, o.TTL)
	case o.RenewTimeout <= 0 || o.RenewTimeout > o.TTL:
		return invalid("Options.RenewTimeout is %v, must be above 0 and at most TTL (%v)", o.RenewTimeout, o.TTL)
	case o.DegradedAfter < 1 || o.DegradedAfter > MaxFailures:
		return invalid("Options.DegradedAfter is %d, must be from 1 to %d", o.DegradedAfter, MaxFailures)
	case math.IsNaN(o.DegradedShare) || o.DegradedShare <= 0 || o.DegradedShare >= 1:
		return invalid("Options.DegradedShare is %v, must be between 0 and 1", o.DegradedShare)
	case o.Monitors > MaxMonitors:
		return invalid("Options.Monitors is %d, must be at most %d", o.Monitors, MaxMonitors)
	case o.PollEvery <= 0:
		return invalid("Options.PollEvery is %v, must be above 0", o.PollEvery)
	}
	if err := o.Retry.Validate(); err != nil {
		return invalid("Options.Retry: %v", err)
	}
	held := shrink(o.TTL, o.MaxDrift)
	if spent := time.Duration(o.DegradedAfter) * o.RenewEvery; spent/time.Duration(o.DegradedAfter) != o.RenewEvery || spent >= held {
		return invalid("DegradedAfter·RenewEvery = %d·%v = %v, must be below TTL·(1−MaxDrift) = %v·(1−%v) = %v",
			o.DegradedAfter, o.RenewEvery, spent, o.TTL, o.MaxDrift, held)
	}
	if left, floor := held-o.RenewEvery, time.Duration(o.DegradedShare*float64(held)); left <= floor {
		return invalid("a healthy session would always be degraded: TTL·(1−MaxDrift)−RenewEvery = %v−%v = %v, must be above DegradedShare·TTL·(1−MaxDrift) = %v",
			held, o.RenewEvery, left, floor)
	}
	return nil
}
