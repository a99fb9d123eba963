package faults

import (
	"fmt"
	"slices"
	"time"
)

// Kind names a kind of fault. [Kinds] is the table of them.
type Kind string

// The kinds that the world itself shows.
const (
	Crash     Kind = "crash"
	Pause     Kind = "pause"
	Cut       Kind = "cut"
	Partition Kind = "partition"
	SlowLink  Kind = "slow-link"
	Loss      Kind = "loss"
	Duplicate Kind = "duplicate"
	Reorder   Kind = "reorder"
	Reset     Kind = "reset"
	WallJump  Kind = "wall-jump"
	ClockRate Kind = "clock-rate"
)

// The kinds that the store shows, through a [Handler].
const (
	StoreUnknown     Kind = "store-unknown"
	StoreLate        Kind = "store-late"
	StoreConflict    Kind = "store-conflict"
	StoreUnavailable Kind = "store-unavailable"
	StoreSlow        Kind = "store-slow"
	ServerCrash      Kind = "server-crash"
	ServerDrain      Kind = "server-drain"
	Throttle         Kind = "throttle"
)

// ReorderMax is by how much a message of a [Reorder] fault may be late.
const ReorderMax = 50 * time.Millisecond

// Spec is a row of the table of kinds: what a kind does and which fields it
// uses. A field that a kind does not use must be zero.
type Spec struct {
	Kind Kind
	// About says what happens, in the words of the fields.
	About string
	// Store: the kind is shown by a Handler, and Target may be empty, which
	// means all. The other kinds need a Target that is a process of the world.
	Store bool
	// Peer: the kind uses Peer, another process. Empty means every process that
	// exists when the fault begins.
	Peer bool
	// Lasts: the kind uses For; 0 means for ever.
	Lasts bool
	// Unit is that of Amount; empty when the kind does not use it.
	Unit string
	// AmountMin and AmountMax bound Amount, which must not be 0 when it is used.
	AmountMin, AmountMax float64
	// UsualMin and UsualMax bound the amounts that Generate draws by default.
	UsualMin, UsualMax float64
}

const (
	probability  = "probability"
	milliseconds = "milliseconds"
	seconds      = "seconds"
	perBillion   = "parts per billion"
)

// table has a row for each kind; its order is that of reports.
var table = []Spec{
	{
		Kind: Crash, Lasts: true,
		About: "Target loses its memory and starts again after For",
	},
	{
		Kind: Pause, Lasts: true,
		About: "Target stands still for For, its clocks do not",
	},
	{
		Kind: Cut, Peer: true, Lasts: true,
		About: "no message from Target reaches Peer",
	},
	{
		Kind: Partition, Peer: true, Lasts: true,
		About: "no message passes between Target and Peer",
	},
	{
		Kind: SlowLink, Peer: true, Lasts: true,
		About: "messages between Target and Peer take Amount/2 to Amount longer",
		Unit:  milliseconds, AmountMax: 60_000, UsualMin: 2, UsualMax: 2_000,
	},
	{
		Kind: Loss, Peer: true, Lasts: true,
		About: "a message between Target and Peer is lost with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.01, UsualMax: 0.6,
	},
	{
		Kind: Duplicate, Peer: true, Lasts: true,
		About: "a message between Target and Peer comes twice with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.01, UsualMax: 0.6,
	},
	{
		Kind: Reorder, Peer: true, Lasts: true,
		About: "a message between Target and Peer leaves the order, late by up to 50 ms, with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.01, UsualMax: 0.6,
	},
	{
		Kind: Reset, Peer: true,
		About: "the calls under way between Target and Peer break",
	},
	{
		Kind: WallJump, Lasts: true,
		About: "the wall clock of Target jumps by Amount, and back after For",
		Unit:  seconds, AmountMin: -315_360_000, AmountMax: 315_360_000, UsualMin: -7_200, UsualMax: 7_200,
	},
	{
		Kind: ClockRate, Lasts: true,
		About: "the monotonic clock of Target has the rate error Amount; of several, that of the fault begun last",
		Unit:  perBillion, AmountMin: -999_999_999, AmountMax: 999_999_999, UsualMin: -1_000_000, UsualMax: 1_000_000,
	},
	{
		Kind: StoreUnknown, Store: true, Lasts: true,
		About: "the result of a commit of Target is lost, applied or not, with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.02, UsualMax: 0.8,
	},
	{
		Kind: StoreLate, Store: true, Lasts: true,
		About: "the result of a commit of Target is lost, and it applies later, with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.02, UsualMax: 0.8,
	},
	{
		Kind: StoreConflict, Store: true, Lasts: true,
		About: "a commit of Target is refused as a conflict with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.02, UsualMax: 0.8,
	},
	{
		Kind: StoreUnavailable, Store: true, Lasts: true,
		About: "a call of Target to the store fails as unavailable with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.1, UsualMax: 1,
	},
	{
		Kind: StoreSlow, Store: true, Lasts: true,
		About: "a call of Target to the store takes up to Amount longer",
		Unit:  milliseconds, AmountMax: 60_000, UsualMin: 2, UsualMax: 2_000,
	},
	{
		Kind: ServerCrash, Store: true, Lasts: true,
		About: "Target, a server of the store, is down for For",
	},
	{
		Kind: ServerDrain, Store: true, Lasts: true,
		About: "Target, a server of the store, ends in order, with what is under way or after For, and is back after For",
	},
	{
		Kind: Throttle, Store: true, Lasts: true,
		About: "the store turns a request of Target away with probability Amount",
		Unit:  probability, AmountMax: 1, UsualMin: 0.1, UsualMax: 1,
	},
}

// Kinds returns the table of kinds.
func Kinds() []Spec { return slices.Clone(table) }

// Spec returns the kind's row of the table; false when there is none.
func (k Kind) Spec() (Spec, bool) {
	if i := k.index(); i >= 0 {
		return table[i], true
	}
	return Spec{}, false
}

// index returns the kind's place in the table, -1 when it has none.
func (k Kind) index() int {
	return slices.IndexFunc(table, func(s Spec) bool { return s.Kind == k })
}

// check returns an error that names the field of f and the limit it breaks.
func (s Spec) check(f Fault) error {
	switch {
	case f.Target == "" && !s.Store:
		return fmt.Errorf("target is empty, %s needs a process", s.Kind)
	case f.Peer != "" && !s.Peer:
		return fmt.Errorf("peer is %q, %s uses none", f.Peer, s.Kind)
	case f.Peer != "" && f.Peer == f.Target:
		return fmt.Errorf("peer is %q, the target itself", f.Peer)
	case f.For != 0 && !s.Lasts:
		return fmt.Errorf("for is %v, %s is over at once and uses none", f.For, s.Kind)
	case s.Unit == "" && f.Amount != 0:
		return fmt.Errorf("amount is %v, %s uses none", f.Amount, s.Kind)
	case s.Unit != "" && f.Amount == 0:
		return fmt.Errorf("amount is 0, must not be for %s", s.Kind)
	case !(f.Amount >= s.AmountMin && f.Amount <= s.AmountMax): // a NaN is neither
		return fmt.Errorf("amount is %v, must be %v to %v %s for %s", f.Amount, s.AmountMin, s.AmountMax, s.Unit, s.Kind)
	}
	return nil
}
