package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// flags are what kelpied is told.
type flags struct {
	store                    string
	data                     string
	fdbCluster, fdbNamespace string

	listen string

	tlsCert, tlsKey, tlsClientCA      string
	tokenFile                         string
	withoutAuthentication, withoutTLS bool

	messageBytes, connections, requests, clients int
	headerTimeout, bodyTimeout, idleTimeout      time.Duration
	transactionTimeout, shutdownTimeout          time.Duration

	logFormat, logLevel string

	ranges []func() error // one for each flag that has one
}

// choices of flags, the default first.
var (
	storeNames = []string{"disk", "fdb"}
	logFormats = []string{"text", "json"}
	logLevels  = []string{"info", "debug", "warn", "error"}
)

// define defines the flags. Those that have a range say so.
func (f *flags) define(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.choice(fs, &f.store, "store", storeNames, "store to serve")
	fs.StringVar(&f.data, "data", "", "`folder` of the data of --store disk, which is made unless it is there")
	fs.StringVar(&f.fdbCluster, "fdb-cluster", "", "cluster `file` of --store fdb (default the client's)")
	fs.StringVar(&f.fdbNamespace, "fdb-namespace", "", "`name` that keeps users of one cluster apart, of --store fdb (default \"kelpie\")")

	fs.StringVar(&f.listen, "listen", "127.0.0.1:7000", "`host:port` to listen on; port 0 takes a free one, no host every interface")

	fs.StringVar(&f.tlsCert, "tls-cert", "", "`file` of the server's certificate, in PEM, followed by those between it and the root")
	fs.StringVar(&f.tlsKey, "tls-key", "", "`file` of its private key, in PEM, closed to all but its owner")
	fs.StringVar(&f.tlsClientCA, "tls-client-ca", "", "`file` of the authorities, in PEM, one of which the certificate of each client must come from")
	fs.StringVar(&f.tokenFile, "token-file", "", fmt.Sprintf(
		"`file` of bearer tokens, one of which each client must send; one a line, %d to %d bytes, at most %d, closed to all but its owner",
		credentials.MinToken, credentials.MaxToken, credentials.MaxTokens))
	fs.BoolVar(&f.withoutAuthentication, "insecure-without-authentication", false,
		"listen elsewhere than on loopback with neither --token-file nor --tls-client-ca: whoever reaches it owns the data")
	fs.BoolVar(&f.withoutTLS, "insecure-without-tls", false,
		"listen elsewhere than on loopback without --tls-cert: whoever reads the network reads the data and the tokens")

	f.number(fs, &f.messageBytes, "max-message-bytes", 512<<10, remote.MinMessage, 64<<20, "largest body of a request and of an answer, in bytes; clients need room for it")
	f.number(fs, &f.connections, "max-connections", 4096, 1, 1_000_000, "connections that are open; one more takes the place of one that is idle")
	f.number(fs, &f.requests, "max-requests", 4096, 1, 1_000_000, "requests under way, waits for watches among them; one more is refused")
	f.number(fs, &f.clients, "max-clients", 4096, 1, 1_000_000, "clients; one more is refused")
	f.duration(fs, &f.headerTimeout, "header-timeout", 5*time.Second, "time for the header of a request to arrive, and for a TLS handshake")
	f.duration(fs, &f.bodyTimeout, "body-timeout", 30*time.Second, "time for the body of a request to arrive, and for an answer to leave")
	f.duration(fs, &f.idleTimeout, "idle-timeout", 90*time.Second, "time that a connection may be without a request")
	f.duration(fs, &f.transactionTimeout, "transaction-timeout", time.Minute, "time for a transaction, its commit included")
	f.duration(fs, &f.shutdownTimeout, "shutdown-timeout", 10*time.Second, "time for what is under way when it is told to end")

	f.choice(fs, &f.logFormat, "log-format", logFormats, "form of the log")
	f.choice(fs, &f.logLevel, "log-level", logLevels, "lowest level that is logged")
}

func (f *flags) choice(fs *pflag.FlagSet, value *string, name string, of []string, what string) {
	fs.StringVar(value, name, of[0], fmt.Sprintf("%s: `%s`", what, strings.Join(of, "|")))
	f.ranges = append(f.ranges, func() error {
		if !slices.Contains(of, *value) {
			return fmt.Errorf("--%s is %q, must be one of: %s", name, *value, strings.Join(of, ", "))
		}
		return nil
	})
}

func (f *flags) number(fs *pflag.FlagSet, value *int, name string, preset, least, most int, what string) {
	fs.IntVar(value, name, preset, fmt.Sprintf("%s; `n` from %d to %d", what, least, most))
	f.ranges = append(f.ranges, func() error {
		if *value < least || *value > most {
			return fmt.Errorf("--%s is %d, must be %d to %d", name, *value, least, most)
		}
		return nil
	})
}

// Bounds of durations.
const (
	minDuration = 10 * time.Millisecond
	maxDuration = time.Hour
)

func (f *flags) duration(fs *pflag.FlagSet, value *time.Duration, name string, preset time.Duration, what string) {
	fs.DurationVar(value, name, preset, fmt.Sprintf("%s, from %v to %v", what, minDuration, maxDuration))
	f.ranges = append(f.ranges, func() error {
		if *value < minDuration || *value > maxDuration {
			return fmt.Errorf("--%s is %v, must be %v to %v", name, *value, minDuration, maxDuration)
		}
		return nil
	})
}

// check returns an error that names the flag which is wrong.
func (f *flags) check() error {
	for _, inRange := range f.ranges {
		if err := inRange(); err != nil {
			return err
		}
	}
	if err := f.checkStore(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(f.listen)
	switch {
	case err != nil:
		return fmt.Errorf("--listen is %q, must be host:port", f.listen)
	case everyInterface(host) && port == "0":
		return fmt.Errorf("--listen is %q: port 0 needs a host", f.listen)
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return fmt.Errorf("--tls-cert and --tls-key belong together, and one of them is missing")
	case f.tlsClientCA != "" && f.tlsCert == "":
		return fmt.Errorf("--tls-client-ca needs --tls-cert and --tls-key")
	case loopback(host):
		return nil
	case f.tokenFile == "" && f.tlsClientCA == "" && !f.withoutAuthentication:
		return fmt.Errorf("--listen is %q, which others can reach: it needs --token-file or --tls-client-ca, or else --insecure-without-authentication", f.listen)
	case f.tlsCert == "" && !f.withoutTLS:
		return fmt.Errorf("--listen is %q, which others can reach: it needs --tls-cert and --tls-key, or else --insecure-without-tls", f.listen)
	}
	return nil
}

func (f *flags) checkStore() error {
	switch {
	case f.store == "disk" && f.data == "":
		return fmt.Errorf("--data is missing, the folder of the data; see kelpied --help")
	case f.store == "disk" && (f.fdbCluster != "" || f.fdbNamespace != ""):
		return fmt.Errorf("--fdb-cluster and --fdb-namespace are for --store fdb")
	case f.store != "disk" && f.data != "":
		return fmt.Errorf("--data is for --store disk")
	}
	return nil
}

// loopback reports whether only this machine can reach a host of --listen. A name
// other than localhost may mean anything.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// everyInterface reports whether a host of --listen means all of them.
func everyInterface(host string) bool {
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}

// network returns the options of the network, but for those that need files.
func (f *flags) network() httpnet.Options {
	o := httpnet.Options{
		Listen:     f.listen,
		MaxRequest: f.messageBytes, MaxReply: f.messageBytes,
		MaxInFlight: f.requests, MaxConnections: f.connections,
		ReadHeaderTimeout: f.headerTimeout, BodyTimeout: f.bodyTimeout, IdleTimeout: f.idleTimeout,
	}
	return o
}

// server returns the options of the server.
func (f *flags) server() remote.ServerOptions {
	return remote.ServerOptions{MessageBytes: f.messageBytes, Clients: f.clients, TxnLife: f.transactionTimeout}
}
