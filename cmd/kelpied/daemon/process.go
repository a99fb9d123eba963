package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// process is a kelpied.
type process struct {
	flags flags
	log   *slog.Logger
	begun time.Time

	tokens       *credentials.Tokens       // nil: none are asked for
	certificates *credentials.Certificates // nil: plain HTTP
	authorize    func(*http.Request) error // nil: everybody may call

	net    *httpnet.Net
	host   *host.System
	engine store.Engine
	server atomic.Pointer[remote.Server] // nil until the store is open

	openStore func(context.Context) (store.Engine, error)
	readiness readiness
}

// newProcess returns one that has done nothing yet.
func newProcess(f flags, log *slog.Logger) *process {
	p := &process{flags: f, log: log, begun: time.Now()}
	p.openStore = p.openFlagged
	p.readiness.set("the store is being opened")
	return p
}

// run serves until ctx ends. Its errors are those of usage, of the start, and of
// what failed while it ran.
func (p *process) run(ctx context.Context, stdout io.Writer) error {
	if err := p.open(ctx); err != nil {
		return errors.Join(err, p.close())
	}
	log := p.log
	log.Info("serving", "address", p.net.Address(), "store", p.flags.store, "version", version())
	if _, err := fmt.Fprintf(stdout, "%s%s\n", Announcement, p.net.Address()); err != nil {
		return errors.Join(fmt.Errorf("writing to stdout: %w", err), p.close())
	}
	failure := p.watch(ctx)
	if failure == nil {
		log.Info("ending: told to")
	} else {
		log.Error("ending: failed", "error", failure)
	}
	err := errors.Join(failure, p.drain(), p.close())
	if err == nil {
		log.Info("ended in order")
	}
	return err
}

// open reads the files, listens, and opens the store, in this order: who has
// something wrong to say learns it before anything is changed, and the port answers
// while a big store is being read.
func (p *process) open(ctx context.Context) error {
	o := p.flags.network()
	o.Logger, o.Elsewhere = p.log, p.endpoints()
	if err := p.credentials(&o); err != nil {
		return usageError{err}
	}
	if p.flags.store == "fdb" {
		if err := checkFDB(); err != nil {
			return usageError{err}
		}
	}
	p.fitDescriptors(&o)
	if err := p.advertise(&o); err != nil {
		return err
	}
	var err error
	if p.net, err = httpnet.New(o); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	p.log.Info("listening", "address", p.net.Address(), "tls", p.certificates != nil,
		"tokens", p.tokens != nil, "client_certificates", p.flags.tlsClientCA != "")
	if p.host, err = host.NewSystem(host.SystemOptions{Name: "kelpied", Network: p.net}); err != nil {
		return err
	}
	if p.engine, err = p.openStore(ctx); err != nil {
		return err
	}
	server, err := remote.NewServer(p.host, p.engine, p.flags.server())
	if err != nil {
		return err
	}
	p.server.Store(server)
	p.readiness.set(p.ask(ctx))
	return nil
}

// credentials reads the files of tokens and certificates.
func (p *process) credentials(o *httpnet.Options) (err error) {
	var judges []func(*http.Request) error
	if name := p.flags.tokenFile; name != "" {
		if p.tokens, err = credentials.OpenTokens(name, p.log); err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		judges = append(judges, p.tokens.Authorize)
	}
	if p.flags.tlsCert != "" {
		files := credentials.CertificateFiles{Cert: p.flags.tlsCert, Key: p.flags.tlsKey, CA: p.flags.tlsClientCA}
		if p.certificates, err = credentials.OpenCertificates(files, p.log); err != nil {
			return fmt.Errorf("--tls-cert, --tls-key, --tls-client-ca: %w", err)
		}
		o.ServerTLS = p.certificates.Server()
		if files.CA != "" {
			judges = append(judges, p.certificates.Authorize)
		}
	}
	if len(judges) > 0 {
		o.Authorize = func(r *http.Request) error {
			for _, judge := range judges {
				if err := judge(r); err != nil {
					return err
				}
			}
			return nil
		}
	}
	p.authorize = o.Authorize
	return nil
}

// otherDescriptors are those that connections leave for the store and the rest.
const otherDescriptors = 64

// fitDescriptors lowers the number of connections to what the system lets a process
// have open.
func (p *process) fitDescriptors(o *httpnet.Options) {
	limit := descriptors()
	if limit == 0 || uint64(o.MaxConnections)+otherDescriptors <= limit {
		return
	}
	o.MaxConnections = max(1, int(limit)-otherDescriptors)
	p.log.Warn("fewer connections than --max-connections: the system's limit of open files is lower",
		"connections", o.MaxConnections, "limit", limit)
}

// advertise names the machine where --listen names every interface of it.
func (p *process) advertise(o *httpnet.Options) error {
	name, port, err := net.SplitHostPort(o.Listen)
	if err != nil || !everyInterface(name) {
		return err
	}
	if name, err = os.Hostname(); err != nil {
		return fmt.Errorf("the name of this machine: %w", err)
	}
	o.Advertise = network.Address(net.JoinHostPort(name, port))
	return nil
}

// openFlagged opens the store that the flags name.
func (p *process) openFlagged(ctx context.Context) (store.Engine, error) {
	if p.flags.store == "fdb" {
		return openFDB(ctx, p.flags.fdbCluster, p.flags.fdbNamespace)
	}
	e, err := disk.Open(p.flags.data, disk.Options{Clock: p.host})
	switch {
	case errors.Is(err, disk.ErrForeign), errors.Is(err, disk.ErrNewerFormat):
		return nil, usage("--data: %w", err)
	case err != nil:
		return nil, fmt.Errorf("--data: %w", err)
	}
	return e, nil
}

const (
	// drainPoll is how often a process looks whether what is under way has ended.
	drainPoll = 5 * time.Millisecond
	// replyTimeout bounds how long the last answers may take to leave.
	replyTimeout = time.Second
)

// drain refuses what is new and waits for what is under way. It fails when that
// takes longer than --shutdown-timeout. It does not wait for requests that have not
// arrived as a whole: nothing of them was done.
func (p *process) drain() error {
	ctx, cancel := p.host.WithTimeout(context.Background(), p.flags.shutdownTimeout)
	defer cancel()
	p.readiness.end("it is about to end")
	server := p.server.Load()
	server.Drain()
	// It still listens, so that what is refused gets an answer, and /readyz says so.
	for server.Stats().Busy > 0 {
		if p.host.Sleep(ctx, drainPoll) != nil {
			return fmt.Errorf("%d requests were still under way after --shutdown-timeout, %v: their commits may be in doubt",
				server.Stats().Busy, p.flags.shutdownTimeout)
		}
	}
	leaving, cancel := p.host.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	if err := p.net.Close(leaving); err != nil {
		p.log.Info("connections were broken off that had no whole request, or did not take their answer", "error", err)
	}
	return nil
}

// closeTimeout bounds the end of what nobody waits for any more.
const closeTimeout = 5 * time.Second

// close ends what has been opened. It does not wait for a store that hangs.
func (p *process) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() {
		var errs []error
		if server := p.server.Load(); server != nil {
			errs = append(errs, server.Close())
		}
		if p.net != nil {
			errs = append(errs, p.net.Close(ctx))
		}
		if p.engine != nil {
			errs = append(errs, p.engine.Close())
		}
		if p.host != nil {
			errs = append(errs, p.host.Close(ctx))
		}
		closed <- errors.Join(errs...)
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the store has not been closed within %v", closeTimeout)
	}
}
