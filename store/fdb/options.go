package fdb

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kelpie-registry/kelpie/store"
)

// Limits and defaults of [Options].
const (
	DefaultNamespace   = "kelpie"
	DefaultOpenTimeout = 10 * time.Second
	MaxNamespaceBytes  = 100
	MaxTimeout         = 24 * time.Hour
	MinSizeLimit       = 32 // bytes; FoundationDB's lower limit
)

// Options of [Open]. The zero value is ready for use.
type Options struct {
	// ClusterFile is the path of the cluster file. Default: that of the client
	// library, which is $FDB_CLUSTER_FILE, else fdb.cluster in the working
	// directory, else the system's, on Linux /etc/foundationdb/fdb.cluster.
	ClusterFile string
	// Namespace keeps users of one cluster apart: valid UTF-8 without zero bytes,
	// at most [MaxNamespaceBytes] bytes. Every key is stored with the namespace
	// and two bytes more in front, and FoundationDB takes keys of 10,000 bytes in
	// all: that many fewer are left for a key of the port. Default:
	// [DefaultNamespace].
	Namespace string
	// OpenTimeout bounds the read that Open makes to see that the cluster
	// answers; at least a millisecond, at most [MaxTimeout]. Default:
	// [DefaultOpenTimeout].
	OpenTimeout time.Duration
	// Timeout bounds each transaction, beside its context; from a millisecond to
	// [MaxTimeout]. A transaction over it ends with store.ErrTimedOut, which
	// store.DB does not retry, or with store.ErrCommitUnknown when its commit was
	// on its way. Zero means none, the default.
	Timeout time.Duration
	// SizeLimit bounds the size of each transaction, in bytes, from
	// [MinSizeLimit] to store.MaxTxnBytes. Zero means store.MaxTxnBytes, the
	// default.
	SizeLimit int
	// AutomaticIdempotency makes the client find out by itself whether a commit
	// with an unknown result was applied (FoundationDB's option
	// automatic_idempotency). A context that ends still leaves a commit in doubt.
	// Each transaction then writes a key more. Default: off.
	AutomaticIdempotency bool
}

// withDefaults fills in the defaults and validates the result. The error wraps
// store.ErrInvalid and names the field and its limit.
func (o Options) withDefaults() (Options, error) {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.OpenTimeout == 0 {
		o.OpenTimeout = DefaultOpenTimeout
	}
	switch {
	case len(o.Namespace) > MaxNamespaceBytes:
		return o, invalid("Options.Namespace has %d bytes, at most %d are allowed", len(o.Namespace), MaxNamespaceBytes)
	case !utf8.ValidString(o.Namespace) || strings.Contains(o.Namespace, "\x00"):
		return o, invalid("Options.Namespace is %q, must be UTF-8 without zero bytes", o.Namespace)
	case o.OpenTimeout < time.Millisecond || o.OpenTimeout > MaxTimeout:
		return o, invalid("Options.OpenTimeout is %v, must be from 1ms to %v", o.OpenTimeout, MaxTimeout)
	case o.Timeout != 0 && (o.Timeout < time.Millisecond || o.Timeout > MaxTimeout):
		return o, invalid("Options.Timeout is %v, must be 0 or from 1ms to %v", o.Timeout, MaxTimeout)
	case o.SizeLimit != 0 && (o.SizeLimit < MinSizeLimit || o.SizeLimit > store.MaxTxnBytes):
		return o, invalid("Options.SizeLimit is %d, must be 0 or from %d to %d", o.SizeLimit, MinSizeLimit, store.MaxTxnBytes)
	}
	return o, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("fdb: %w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

// timeoutSlack is how much later than a context's deadline the client's own
// timeout comes. The context decides, since what ends at its deadline may be
// tried again; the timeout only ends calls of a client that cannot cancel them,
// as one with external libraries that never reached its cluster.
const timeoutSlack = time.Second

// timeoutOf returns the client's timeout for a transaction of ctx that limit
// bounds as well. Zero is none, for both.
// A deadline further away than MaxTimeout needs none, and the client refuses
// timeouts of more than 24 days.
func timeoutOf(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline), 0)
		if left <= MaxTimeout && (limit == 0 || left+timeoutSlack < limit) {
			limit = left + timeoutSlack
		}
	}
	return limit
}

// milliseconds rounds up to what the client's options take.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
