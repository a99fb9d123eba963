// Package httpnet is the real network: requests and responses over HTTP/1.1.
//
// A call is one POST to /PREFIX/METHOD with the request as its body. The answer
// carries a Kelpie-Result header that says what became of the request, so that
// an answer of some other server, or of a proxy between the two, is never taken
// for one of a handler.
//
// It guarantees that a call sends its request at most once: it never retries,
// never follows a redirect and asks no proxy. Of the errors of a call only
// network.ErrUnknownAddress, network.ErrRefused and network.ErrTooLarge "of the
// request" are returned, and only they, when it is certain that no handler ran.
// Bodies, headers, requests in flight and the times that a peer may take are
// bounded by [Options].
//
// By default it does not encrypt and does not ask who calls: that is for a network
// whose machines trust each other. [Options] has TLS, certificates of both ends,
// and tokens. It does not bound how long a handler runs, nor a call whose context
// has no deadline.
package httpnet

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/network"
)

// ErrClosed is wrapped, beside network.ErrRefused or network.ErrNoReply, by the
// error of a call on a closed [Net].
var ErrClosed = errors.New("httpnet: closed")

// ErrUnauthenticated is wrapped, beside network.ErrRefused, by the error of a call
// that the other process's Options.Authorize refused. The text says why.
var ErrUnauthenticated = errors.New("httpnet: unauthenticated")

// Net is a process's place on an HTTP network. It implements network.Network.
type Net struct {
	o       Options
	address network.Address

	server      *http.Server
	connections *connections
	complaints  *complaints
	serving     chan struct{} // closed when the listener's loop has ended
	transport   *http.Transport
	inFlight    atomic.Int64  // requests being served; at most o.MaxInFlight pass
	served      atomic.Uint64 // requests that reached a handler

	// life ends when Close gives up waiting; it ends calls and handlers.
	life context.Context
	kill context.CancelCauseFunc

	handlersMu sync.RWMutex
	handlers   map[string]network.Handler

	callsMu sync.Mutex
	closed  bool          // no new calls
	calls   int           // calls that have not returned
	drained chan struct{} // closed when closed && calls == 0
}

var _ network.Network = (*Net)(nil)

// New listens and serves until [Net.Close]. It returns an error that names the
// option when one is out of its range, and the listener's error otherwise.
func New(o Options) (*Net, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("httpnet: Options.Listen is %q: %w", clip(o.Listen), err)
	}
	address := o.Advertise
	if address == "" {
		if tcp, ok := listener.Addr().(*net.TCPAddr); !ok || tcp.IP.IsUnspecified() {
			return nil, errors.Join(
				fmt.Errorf("httpnet: Options.Advertise must be set when Options.Listen is %q", o.Listen),
				listener.Close(),
			)
		}
		address = network.Address(listener.Addr().String())
	}
	n := &Net{
		o:          o,
		address:    address,
		complaints: newComplaints(o.Logger),
		serving:    make(chan struct{}),
		handlers:   map[string]network.Handler{},
		drained:    make(chan struct{}),
	}
	n.connections = &connections{Listener: listener, most: o.MaxConnections, evict: n.evicted}
	n.life, n.kill = context.WithCancelCause(context.Background())
	n.transport = newTransport(o)
	n.server = n.newServer()
	go func() {
		defer close(n.serving)
		if err := n.listen(); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("httpnet: the listener failed", "address", address, "error", err)
		}
	}()
	return n, nil
}

// listen serves until the listener ends.
func (n *Net) listen() error {
	if n.o.ServerTLS == nil {
		return n.server.Serve(n.connections)
	}
	return n.server.ServeTLS(n.connections, "", "") // the certificate is in the configuration
}

// Stopped returns a channel that is closed when nothing listens any more: after
// Close, or because the listener failed.
func (n *Net) Stopped() <-chan struct{} { return n.serving }

// evicted logs that a connection had to go.
func (n *Net) evicted(remote net.Addr, refused bool) {
	kind := complainEvicted
	if refused {
		kind = complainConnections
	}
	n.complaints.warn(kind, "remote", remote.String(), "limit", n.o.MaxConnections)
}

func (n *Net) newServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      http.HandlerFunc(n.serve),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            n.o.ReadHeaderTimeout,
		IdleTimeout:                  n.o.IdleTimeout,
		MaxHeaderBytes:               maxHeader,
		Protocols:                    protocols,
		TLSConfig:                    n.o.ServerTLS.Clone(),
		ErrorLog:                     log.New(n.complaints, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return n.life },
		ConnContext:                  withConnection,
		ConnState:                    n.changed,
	}
}

// Address returns the address at which others reach this process.
func (n *Net) Address() network.Address { return n.address }

// Handle serves calls of method with h, each in a goroutine of its own. A
// second Handle of one method replaces the first; a nil h removes it. The
// context of h ends when the caller is gone or when Close gives up waiting. A
// panic of h is logged with its stack and reaches the caller as a
// network.RemoteError; the process goes on.
//
// Handle panics when method is longer than [MaxMethod], since no call could
// reach it.
func (n *Net) Handle(method string, h network.Handler) {
	if len(method) > MaxMethod {
		panic(fmt.Sprintf("httpnet: method %q has %d bytes, at most %d are allowed", clip(method), len(method), MaxMethod))
	}
	n.handlersMu.Lock()
	defer n.handlersMu.Unlock()
	if h == nil {
		delete(n.handlers, method)
		return
	}
	n.handlers[method] = h
}

func (n *Net) handler(method string) network.Handler {
	n.handlersMu.RLock()
	defer n.handlersMu.RUnlock()
	return n.handlers[method]
}

// Close stops listening, waits for the requests being served, then refuses new
// calls and waits for those under way; handlers may call until they return. It
// may be called more than once.
//
// When ctx ends first, Close breaks all connections, ends the contexts of
// handlers and calls, and returns an error that wraps ctx.Err(). It does not
// wait for handlers that ignore their context.
func (n *Net) Close(ctx context.Context) error {
	err := n.server.Shutdown(ctx)
	n.refuseCalls()
	if err == nil {
		select {
		case <-n.drained:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		// Before the handlers' contexts end: that they did is no answer to a call.
		err = errors.Join(fmt.Errorf("httpnet: closing %s: %w", n.address, err), n.server.Close())
	}
	n.kill(ErrClosed)
	<-n.serving
	n.transport.CloseIdleConnections()
	return err
}

// beginCall counts a call in, unless the net is closed.
func (n *Net) beginCall() bool {
	n.callsMu.Lock()
	defer n.callsMu.Unlock()
	if n.closed {
		return false
	}
	n.calls++
	return true
}

func (n *Net) endCall() {
	n.callsMu.Lock()
	defer n.callsMu.Unlock()
	n.calls--
	if n.closed && n.calls == 0 {
		close(n.drained)
	}
}

func (n *Net) refuseCalls() {
	n.callsMu.Lock()
	defer n.callsMu.Unlock()
	if !n.closed && n.calls == 0 {
		close(n.drained)
	}
	n.closed = true
}
