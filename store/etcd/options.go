package etcd

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Options of an engine. Only Endpoints is required; a field that is zero has
// its default.
type Options struct {
	// Endpoints are the client addresses of the cluster's members, as host:port
	// or as a URL with http, https or unix. 1 to 100 of them. The engine spreads
	// its requests over those that can be reached.
	Endpoints []string

	// Namespace keeps registries apart that share a cluster: all keys begin with
	// it and a zero byte. 1 to 128 bytes without a zero byte. Default:
	// [DefaultNamespace].
	Namespace string

	// DialTimeout bounds Open. 10 ms to 10 min. Default: [DefaultDialTimeout].
	DialTimeout time.Duration

	// TLS, when not nil, secures the connections.
	TLS *tls.Config

	// Username and Password log in to a cluster with authentication. Both or
	// neither.
	Username, Password string

	// MaxTxnOps is the limit --max-txn-ops of the cluster's members: operations
	// and conditions of one transaction. 16 to 1,000,000. Default:
	// [DefaultMaxTxnOps], as theirs.
	MaxTxnOps int

	// MaxRequestBytes is the limit --max-request-bytes of the cluster's members.
	// 64 KiB to 1 GiB. Default: [DefaultMaxRequestBytes], as theirs.
	MaxRequestBytes int

	// Window is how long a transaction with a read version may take before it is
	// too old. What removed keys leave behind is kept for that long. 100 ms to
	// 24 h. Default: [DefaultWindow]. It is not about safety: an engine with a
	// short window makes the others' transactions too old, never wrong.
	Window time.Duration

	// RangeRows bounds the rows of one answer to GetRange; a longer range is
	// answered in part, with more. 1 to 100,000. Default: [DefaultRangeRows].
	RangeRows int

	// Remember is the number of keys whose values are remembered for guessing;
	// see [store.Guesser]. Up to 10,000,000; negative for none, and then nothing
	// is guessed. Default: [DefaultRemember].
	Remember int

	// MaxWatches bounds the watches that are not over. One too many ends at once
	// with store.ErrUnavailable. 1 to 10,000,000. Default: [DefaultMaxWatches].
	MaxWatches int

	// Clock times the removal of what is out of the window. Default:
	// [clock.System].
	Clock clock.Clock

	// wire, when not nil, stands between the engine and the cluster, for tests.
	wire func(etcdserverpb.KVClient) etcdserverpb.KVClient
}

// Defaults of [Options].
const (
	DefaultNamespace       = "kelpie"
	DefaultDialTimeout     = 5 * time.Second
	DefaultMaxTxnOps       = 128
	DefaultMaxRequestBytes = 1536 << 10
	DefaultWindow          = time.Minute
	DefaultRangeRows       = 1000
	DefaultRemember        = 1 << 16
	DefaultMaxWatches      = 1 << 16
)

const (
	maxEndpoints = 100
	maxNamespace = 128 // bytes
)

// withDefaults returns o with its defaults filled in, or an error that wraps
// store.ErrInvalid and names the field and its limit.
func (o Options) withDefaults() (Options, error) {
	if n := len(o.Endpoints); n < 1 || n > maxEndpoints {
		return o, fmt.Errorf("etcd: Options.Endpoints: %w: %d of them, 1 to %d are allowed", store.ErrInvalid, n, maxEndpoints)
	}
	o.Endpoints = slices.Clone(o.Endpoints)
	for _, e := range o.Endpoints {
		if err := checkEndpoint(e, o.TLS != nil); err != nil {
			return o, err
		}
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if n := len(o.Namespace); n > maxNamespace || strings.Contains(o.Namespace, "\x00") {
		return o, fmt.Errorf("etcd: Options.Namespace: %w: %q has %d bytes; at most %d and no zero byte are allowed", store.ErrInvalid, clip(o.Namespace), n, maxNamespace)
	}
	if (o.Username == "") != (o.Password == "") {
		return o, fmt.Errorf("etcd: Options.Username and Options.Password: %w: one is set without the other", store.ErrInvalid)
	}
	for _, d := range []struct {
		name       string
		value      *time.Duration
		def        time.Duration
		least, top time.Duration
	}{
		{"DialTimeout", &o.DialTimeout, DefaultDialTimeout, 10 * time.Millisecond, 10 * time.Minute},
		{"Window", &o.Window, DefaultWindow, 100 * time.Millisecond, 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.least || *d.value > d.top {
			return o, fmt.Errorf("etcd: Options.%s: %w: %v, must be from %v to %v", d.name, store.ErrInvalid, *d.value, d.least, d.top)
		}
	}
	for _, n := range []struct {
		name       string
		value      *int
		def        int
		least, top int
	}{
		{"MaxTxnOps", &o.MaxTxnOps, DefaultMaxTxnOps, 16, 1_000_000},
		{"MaxRequestBytes", &o.MaxRequestBytes, DefaultMaxRequestBytes, 64 << 10, 1 << 30},
		{"RangeRows", &o.RangeRows, DefaultRangeRows, 1, 100_000},
		{"MaxWatches", &o.MaxWatches, DefaultMaxWatches, 1, 10_000_000},
	} {
		if *n.value == 0 {
			*n.value = n.def
		}
		if *n.value < n.least || *n.value > n.top {
			return o, fmt.Errorf("etcd: Options.%s: %w: %d, must be from %d to %d", n.name, store.ErrInvalid, *n.value, n.least, n.top)
		}
	}
	const mostRemembered = 10_000_000
	if o.Remember == 0 {
		o.Remember = DefaultRemember
	}
	if o.Remember > mostRemembered {
		return o, fmt.Errorf("etcd: Options.Remember: %w: %d, must be at most %d", store.ErrInvalid, o.Remember, mostRemembered)
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return o, nil
}

// checkEndpoint returns an error unless e is host:port or a URL of it. What a
// client library makes of the rest is often a name that never resolves.
func checkEndpoint(e string, secure bool) error {
	bad := func(why string) error {
		return fmt.Errorf("etcd: Options.Endpoints: %w: %q %s", store.ErrInvalid, clip(e), why)
	}
	scheme, rest, ok := strings.Cut(e, "://")
	if !ok {
		scheme, rest = "", e
	}
	switch scheme {
	case "unix", "unixs":
		if rest == "" {
			return bad("has no path")
		}
		return nil
	case "", "http":
	case "https":
		if !secure {
			return bad("is https, and Options.TLS is nil")
		}
	default:
		return bad("has a scheme other than http, https and unix")
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 1 || !isPort(rest[i+1:]) {
		return bad("is not host:port")
	}
	if strings.ContainsAny(rest, "/?#@ ") {
		return bad("has more than a host and a port")
	}
	return nil
}

func isPort(s string) bool {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = 10*n + int(c-'0')
	}
	return n > 0 && n <= 65535
}

// clip shortens a key or another text for an error.
func clip(s string) string {
	const longest = 40
	return s[:min(len(s), longest)]
}
