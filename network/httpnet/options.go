package httpnet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/network"
)

// Bounds of [Options] and of the protocol.
const (
	// MaxBody is the largest limit that Options.MaxRequest and MaxReply may set.
	MaxBody = 1 << 30
	// MaxMethod is the length limit of a method's name, in bytes.
	MaxMethod = 256
	// MaxMessage is the length, in bytes, at which the text of a handler's error
	// is cut before it is sent.
	MaxMessage = 4 << 10
	// MaxPrefix is the length limit of Options.Prefix, in bytes.
	MaxPrefix = 64

	maxHeader = 16 << 10 // bytes of the header of a request or a reply
)

// Options of a [Net]. The zero value serves on a free port of the loopback
// interface. Zero fields take their defaults; negative ones are refused.
type Options struct {
	// Listen is the "host:port" to listen on. Port 0 takes a free one.
	// Default: "127.0.0.1:0".
	Listen string
	// Advertise is the "host:port" at which others reach this process, when it
	// differs from Listen. It is needed when Listen names every interface.
	// Default: the address that is listened on.
	Advertise network.Address
	// Prefix is the path, without a slash at its ends, that requests are served
	// under: parts of letters, digits, '.', '_' and '-'. Both ends of a call
	// must agree on it. Default: "kelpie".
	Prefix string

	// MaxRequest and MaxReply bound bodies, in bytes, both when this process
	// calls and when it serves; at most [MaxBody]. Default: 1 MiB each.
	MaxRequest, MaxReply int
	// MaxInFlight bounds the requests that are served at once; calls above it
	// are refused. The memory held by requests is at most MaxInFlight·MaxRequest.
	// Default: 1024.
	MaxInFlight int
	// MaxConnections bounds the connections that are served. A new one above it
	// takes the place of the oldest that never had a request that was accepted, else
	// of the one that has been without one for longest; it is closed when all have
	// one under way. Default: 4096.
	MaxConnections int

	// ServerTLS, when not nil, encrypts what this process serves; it needs a
	// certificate. Default: none, plain HTTP.
	ServerTLS *tls.Config
	// ClientTLS, when not nil, encrypts each call of this process, and judges whom it
	// has reached. Default: none, plain HTTP.
	ClientTLS *tls.Config
	// Token returns the bearer token to send with a call of an address, or "" to
	// send none. An error refuses the call. Who reads the network reads the token,
	// unless ClientTLS is set. Default: none is sent.
	Token func(to network.Address) (string, error)
	// Authorize judges a request under Prefix by its header and its connection,
	// before its body is read: an error refuses it. The caller gets the text of the
	// error, in one that wraps [ErrUnauthenticated]. It is called from several
	// goroutines. Default: every request is accepted.
	Authorize func(*http.Request) error
	// Elsewhere serves the paths that are not under Prefix, within the same limits of
	// connections, headers and time, but neither under Authorize nor MaxInFlight.
	// Default: they are refused.
	Elsewhere http.Handler

	// DialTimeout bounds the making of a connection. Default: 5 s.
	DialTimeout time.Duration
	// ReadHeaderTimeout bounds the arrival of a request's header. Default: 5 s.
	ReadHeaderTimeout time.Duration
	// BodyTimeout bounds the arrival of a request's body after its header, and
	// the sending of a reply. Default: 30 s.
	BodyTimeout time.Duration
	// IdleTimeout is how long a served connection may stay unused. Connections
	// for calls are kept for half of it, so that of two processes with equal
	// options the caller closes first and no call meets a closing connection.
	// Default: 90 s.
	IdleTimeout time.Duration

	// Logger receives what is refused, failures and panics of handlers, and errors of
	// the HTTP server: of each kind at most ten lines a minute, with the number of
	// those left out. Default: slog.Default().
	Logger *slog.Logger
}

// withDefaults fills the zero fields and validates the others.
func (o Options) withDefaults() (Options, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Prefix == "" {
		o.Prefix = "kelpie"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, f := range []struct {
		name         string
		value        *int
		preset, most int
	}{
		{"MaxRequest", &o.MaxRequest, 1 << 20, MaxBody},
		{"MaxReply", &o.MaxReply, 1 << 20, MaxBody},
		{"MaxInFlight", &o.MaxInFlight, 1024, math.MaxInt32},
		{"MaxConnections", &o.MaxConnections, 4096, math.MaxInt32},
	} {
		if *f.value < 0 || *f.value > f.most {
			return o, fmt.Errorf("httpnet: Options.%s is %d, must be 0 (default) to %d", f.name, *f.value, f.most)
		}
		if *f.value == 0 {
			*f.value = f.preset
		}
	}
	for _, f := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"DialTimeout", &o.DialTimeout, 5 * time.Second},
		{"ReadHeaderTimeout", &o.ReadHeaderTimeout, 5 * time.Second},
		{"BodyTimeout", &o.BodyTimeout, 30 * time.Second},
		{"IdleTimeout", &o.IdleTimeout, 90 * time.Second},
	} {
		if *f.value < 0 {
			return o, fmt.Errorf("httpnet: Options.%s is %v, must be 0 (default) or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.preset
		}
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return o, fmt.Errorf("httpnet: Options.Prefix is %q: %w", o.Prefix, err)
	}
	if t := o.ServerTLS; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return o, errors.New("httpnet: Options.ServerTLS has no certificate")
	}
	if o.Advertise != "" {
		if err := checkAddress(o.Advertise); err != nil {
			return o, fmt.Errorf("httpnet: Options.Advertise: %w", err)
		}
	}
	return o, nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > MaxPrefix {
		return fmt.Errorf("%d bytes, at most %d allowed", len(prefix), MaxPrefix)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		switch {
		case part == "", part == ".", part == "..":
			return fmt.Errorf("the part %q is not allowed", part)
		case strings.Trim(part, nameBytes) != "":
			return errors.New("only letters, digits, '.', '_', '-' and inner slashes are allowed")
		}
	}
	return nil
}

// scheme returns that of the URLs of calls.
func (o Options) scheme() string {
	if o.ClientTLS != nil {
		return "https"
	}
	return "http"
}

// authenticate adds the token, if there is one, to a call.
func (o Options) authenticate(r *http.Request, to network.Address) error {
	if o.Token == nil {
		return nil
	}
	token, err := o.Token(to)
	if err != nil {
		return fmt.Errorf("the token: %w", err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}
