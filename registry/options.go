package registry

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/kelpie-registry/kelpie/clock"
)

// Limits of [Options].
const (
	MinTTL       = 10 * time.Millisecond
	MaxTTL       = 24 * time.Hour
	DriftLimit   = 0.2       // upper limit of Options.MaxDrift
	MaxFailures  = 100       // upper limit of Options.DegradedAfter
	MaxRevokeMin = 1_000_000 // upper limit of Options.RevokeMin
	MaxMonitors  = 100       // upper limit of Options.Monitors
	MinLogKeep   = 16
	MaxLogKeep   = 1 << 20
	MaxSweepRate = 1_000_000 // upper limit of Options.SweepRate

	MaxNodeRetention = 10 * 365 * 24 * time.Hour // upper limit of Options.NodeRetention
)

// Defaults of [Options].
const (
	DefaultNamespace     = "kelpie"
	DefaultTTL           = 30 * time.Second
	DefaultMaxDrift      = 0.01
	DefaultDegradedAfter = 2
	DefaultDegradedShare = 1.0 / 3
	DefaultRevokeMin     = 4
	DefaultRevokeShare   = 0.25
	DefaultMonitors      = 3
	DefaultLogKeep       = 4096
	DefaultSweepRate     = 1000
	DefaultNodeRetention = time.Hour
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

	// Stagger spaces the nodes that want to write the same: the claim of an actor
	// that became free while they waited for it, the revocation of a session. A
	// node waits U·log2(1+r) and a jitter of U/4, r being how many live nodes rank
	// before it, and 14·U at most; and U more to revoke a session that another node has
	// marked as degraded, which then has the first turn. Then it reads again. U is Stagger,
	// or twice what a transaction of the process takes when that is longer, as far as 14·U
	// stays below TTL; what it takes is the second longest of the last eight renewals, so
	// that one in which the process stood still does not count. Who finds an actor free, and has not seen it held, waits by
	// the latter alone. Above 0, and 14·Stagger must be below TTL. Default: TTL/200.
	Stagger time.Duration

	// RevokeMin and RevokeShare limit the revocations of all nodes together: in a
	// window, which lasts for TTL of true time at least, no more sessions are revoked
	// than the larger of RevokeMin and RevokeShare of the live nodes. So an outage that
	// looks like the death of everybody ends few sessions, and those few slowly. What
	// is refused is told by [EventRevokeLimited], once until [EventRevokeLimitOver];
	// see [Registry.RevocationLimit].
	// RevokeMin is 1 to [MaxRevokeMin], RevokeShare above 0 and at most 1, which is no
	// limit. Defaults: [DefaultRevokeMin] and [DefaultRevokeShare].
	RevokeMin   int
	RevokeShare float64

	// Monitors is how many nodes watch over each session; 1 to [MaxMonitors], or
	// below 0 for none: then a session's end is noticed by those who want its actors
	// or its node id, no node knows the others, so that none waits by its rank, and
	// nothing is swept. Default: [DefaultMonitors].
	Monitors int

	// LogKeep is how many changes of nodes are kept for those who watch them; from
	// [MinLogKeep] to [MaxLogKeep]. Who is further behind gets a snapshot. It should
	// be the same in every process of a namespace, where the least counts. Default:
	// [DefaultLogKeep].
	LogKeep int

	// LookEvery is the time between two looks of a monitor; above 0, and with its
	// jitter of an eighth below DegradedShare·TTL, so that a session is seen to be
	// degraded before it is revoked. Default: TTL/8, and DegradedShare·TTL/2 at most.
	LookEvery time.Duration

	// SweepRate bounds how many actors of ended sessions one node clears in a second;
	// 1 to [MaxSweepRate]. Default: [DefaultSweepRate].
	SweepRate int

	// NodeRetention is how long a node whose session has ended is remembered once all
	// that it left is cleared; from TTL to [MaxNodeRetention]. Default:
	// [DefaultNodeRetention], and TTL at least.
	NodeRetention time.Duration

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
	if o.Stagger == 0 {
		o.Stagger = o.TTL / 200
	}
	if o.RevokeMin == 0 {
		o.RevokeMin = DefaultRevokeMin
	}
	if o.RevokeShare == 0 {
		o.RevokeShare = DefaultRevokeShare
	}
	if o.Monitors == 0 {
		o.Monitors = DefaultMonitors
	}
	if o.LogKeep == 0 {
		o.LogKeep = DefaultLogKeep
	}
	if o.LookEvery == 0 {
		o.LookEvery = max(min(o.TTL/8, time.Duration(o.DegradedShare*float64(o.TTL))/2), 1)
	}
	if o.SweepRate == 0 {
		o.SweepRate = DefaultSweepRate
	}
	if o.NodeRetention == 0 {
		o.NodeRetention = max(DefaultNodeRetention, o.TTL)
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
	case o.LogKeep < MinLogKeep || o.LogKeep > MaxLogKeep:
		return invalid("Options.LogKeep is %d, must be from %d to %d", o.LogKeep, MinLogKeep, MaxLogKeep)
	case o.LookEvery <= 0:
		return invalid("Options.LookEvery is %v, must be above 0", o.LookEvery)
	case o.SweepRate < 1 || o.SweepRate > MaxSweepRate:
		return invalid("Options.SweepRate is %d, must be from 1 to %d", o.SweepRate, MaxSweepRate)
	case o.NodeRetention < o.TTL || o.NodeRetention > MaxNodeRetention:
		return invalid("Options.NodeRetention is %v, must be from TTL (%v) to %v", o.NodeRetention, o.TTL, MaxNodeRetention)
	case o.PollEvery <= 0:
		return invalid("Options.PollEvery is %v, must be above 0", o.PollEvery)
	case o.Stagger <= 0 || o.Stagger > o.staggerMost():
		return invalid("Options.Stagger is %v, must be above 0, and %d·Stagger below TTL (%v)", o.Stagger, staggerSpan, o.TTL)
	case o.RevokeMin < 1 || o.RevokeMin > MaxRevokeMin:
		return invalid("Options.RevokeMin is %d, must be from 1 to %d", o.RevokeMin, MaxRevokeMin)
	case math.IsNaN(o.RevokeShare) || o.RevokeShare <= 0 || o.RevokeShare > 1:
		return invalid("Options.RevokeShare is %v, must be above 0 and at most 1", o.RevokeShare)
	}
	if err := o.Retry.Validate(); err != nil {
		return invalid("Options.Retry: %v", err)
	}
	if look, most := float64(o.LookEvery)*9/8, o.DegradedShare*float64(o.TTL); look >= most {
		return invalid("a session would be revoked before it is seen to be degraded: LookEvery·9/8 = %v·9/8 = %v, must be below DegradedShare·TTL = %v·%v = %v",
			o.LookEvery, time.Duration(look), o.DegradedShare, o.TTL, time.Duration(most))
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
