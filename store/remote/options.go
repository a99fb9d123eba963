package remote

import (
	"fmt"
	"math"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// Bounds of options.
const (
	// MinMessage and MaxMessage bound ServerOptions.MessageBytes: a message holds
	// a row of the largest size.
	MinMessage = 128 << 10
	MaxMessage = 1 << 30
	// MaxWait bounds the durations that travel.
	MaxWait = 24 * time.Hour
)

// ServerOptions of [NewServer]. The zero value is ready for use; a zero field has
// its default, a negative one is refused.
type ServerOptions struct {
	// MessageBytes bounds requests and replies. The network must let messages of
	// this size through at both ends. [MinMessage] to [MaxMessage]. Default:
	// 512 KiB.
	MessageBytes int

	// ClientIdle is how long a client may be silent before the server forgets it,
	// with its watches. At most [MaxWait]. Default: 60 s.
	ClientIdle time.Duration
	// TxnIdle is how long a transaction may be without a call before the server
	// ends it. Default: store.AttemptTimeout.
	TxnIdle time.Duration
	// TxnLife bounds a transaction as a whole, its commit included. Default: 60 s.
	TxnLife time.Duration
	// PollMax bounds one wait for a watch; a client waits again. At most
	// [MaxWait]. Default: 20 s.
	PollMax time.Duration

	// Clients bounds the clients. Default: 4096.
	Clients int
	// Txns and TxnsPerClient bound the transactions that are under way, in all and
	// of one client. Defaults: 65,536 and 4096.
	Txns, TxnsPerClient int
	// Bytes and BytesPerClient bound what transactions under way hold: their
	// mutations and the last reply of each. A reply may go over it once. Defaults:
	// 1 GiB and 128 MiB.
	Bytes, BytesPerClient int
	// Watches bounds the watches of one client. Default: 65,536.
	Watches int
	// Outcomes is how many commits of one client are remembered, so that a late
	// copy of one gets its answer. A copy that comes later still gets
	// store.ErrCommitUnknown. Default: 4096.
	Outcomes int
}

func (o ServerOptions) withDefaults() (ServerOptions, error) {
	for _, f := range []struct {
		name                string
		value               *int
		preset, least, most int
	}{
		{"MessageBytes", &o.MessageBytes, 512 << 10, MinMessage, MaxMessage},
		{"Clients", &o.Clients, 4096, 1, math.MaxInt32},
		{"Txns", &o.Txns, 65_536, 1, math.MaxInt32},
		{"TxnsPerClient", &o.TxnsPerClient, 4096, 1, math.MaxInt32},
		{"Bytes", &o.Bytes, 1 << 30, 1, math.MaxInt},
		{"BytesPerClient", &o.BytesPerClient, 128 << 20, 1, math.MaxInt},
		{"Watches", &o.Watches, 65_536, 1, math.MaxInt32},
		{"Outcomes", &o.Outcomes, 4096, 1, math.MaxInt32},
	} {
		if *f.value == 0 {
			*f.value = f.preset
		}
		if *f.value < f.least || *f.value > f.most {
			return o, fmt.Errorf("remote: %w: ServerOptions.%s is %d, must be 0 (default) or %d to %d", store.ErrInvalid, f.name, *f.value, f.least, f.most)
		}
	}
	for _, f := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"ClientIdle", &o.ClientIdle, time.Minute},
		{"TxnIdle", &o.TxnIdle, store.AttemptTimeout},
		{"TxnLife", &o.TxnLife, time.Minute},
		{"PollMax", &o.PollMax, 20 * time.Second},
	} {
		if err := duration("ServerOptions", f.name, f.value, f.preset); err != nil {
			return o, err
		}
	}
	return o, nil
}

// Options of [Open]. Servers is required; a zero field has its default, a
// negative one is refused.
type Options struct {
	// Servers are the addresses of servers over one and the same store, at least
	// one. The client stays with one and goes to the next when that one fails.
	Servers []network.Address

	// CallTimeout bounds the wait for a reply, beside the context of the
	// transaction. Then a read ends with store.ErrUnavailable and a commit with
	// store.ErrCommitUnknown. 1 ms to [MaxWait]. Default: 2 s.
	CallTimeout time.Duration
	// Backoff is for how long a server that failed is avoided while another is
	// there, with jitter. Default: 50 ms to 5 s.
	Backoff clock.Backoff
	// Poll bounds one wait for a watch, in whole milliseconds: it is how long a watch
	// takes to notice that a server vanished. 1 ms to [MaxWait]. Default: 10 s.
	Poll time.Duration
	// PollRetries is how often a wait for a watch that got no reply is repeated
	// before the watch ends with store.ErrUnavailable. Default: 3.
	PollRetries int
}

func (o Options) withDefaults() (Options, error) {
	if len(o.Servers) == 0 {
		return o, fmt.Errorf("remote: %w: Options.Servers is empty, must have an address", store.ErrInvalid)
	}
	if o.Backoff == (clock.Backoff{}) {
		o.Backoff = clock.Backoff{Initial: 50 * time.Millisecond, Max: 5 * time.Second}
	}
	if err := o.Backoff.Validate(); err != nil {
		return o, fmt.Errorf("remote: %w: Options.Backoff: %w", store.ErrInvalid, err)
	}
	if o.PollRetries == 0 {
		o.PollRetries = 3
	}
	if o.PollRetries < 0 {
		return o, fmt.Errorf("remote: %w: Options.PollRetries is %d, must be 0 (default) or more", store.ErrInvalid, o.PollRetries)
	}
	if err := duration("Options", "CallTimeout", &o.CallTimeout, 2*time.Second); err != nil {
		return o, err
	}
	return o, duration("Options", "Poll", &o.Poll, 10*time.Second)
}

// duration fills a field and holds it to its range.
func duration(options, name string, value *time.Duration, preset time.Duration) error {
	if *value == 0 {
		*value = preset
	}
	if *value < time.Millisecond || *value > MaxWait {
		return fmt.Errorf("remote: %w: %s.%s is %v, must be 0 (default) or 1ms to %v", store.ErrInvalid, options, name, *value, MaxWait)
	}
	return nil
}
