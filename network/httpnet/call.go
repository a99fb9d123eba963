package httpnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/network"
)

// expectBytes is the size above which a request asks for leave (HTTP's Expect:
// 100-continue) before it sends its body. The server of net/http breaks the
// connection instead of reading more than this of a body that it refused, and
// the refusal could be lost with it.
const expectBytes = 128 << 10

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 retries what a closing server did not take
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
		DisableCompression:     true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        o.IdleTimeout / 2,
		ExpectContinueTimeout:  o.ReadHeaderTimeout,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              protocols,
		TLSClientConfig:        o.ClientTLS.Clone(),
		TLSHandshakeTimeout:    o.DialTimeout,
	}
}

// Call sends req to the handler of method at to and waits for its answer. Its
// errors are those of package network:
//
//   - ErrUnknownAddress: to is not a "host:port", or its name does not exist.
//   - ErrRefused: no connection could be made (nobody listens, no route, a dial
//     timeout, a name server that fails, a certificate that is not trusted), nobody
//     serves the method, the other process is at its Options.MaxInFlight or does not
//     know the caller ([ErrUnauthenticated]), or this Net is closed.
//   - ErrTooLarge: the request is over the limit of either end, or the reply is;
//     the text says which.
//   - *RemoteError: the handler failed or panicked.
//   - ErrNoReply: the connection was lost after it had been made, ctx ended, the
//     answer is not one of this package, or Close gave up waiting.
func (n *Net) Call(ctx context.Context, to network.Address, method string, req []byte) ([]byte, error) {
	reply, err := n.call(ctx, to, method, req)
	if err == nil {
		return reply, nil
	}
	var remote *network.RemoteError
	if errors.As(err, &remote) {
		return nil, remote
	}
	return nil, fmt.Errorf("httpnet: calling %s at %s: %w", clip(method), clip(string(to)), err)
}

func (n *Net) call(ctx context.Context, to network.Address, method string, req []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", network.ErrNoReply, err)
	}
	if err := checkAddress(to); err != nil {
		return nil, err
	}
	if len(method) > MaxMethod {
		return nil, fmt.Errorf("%w: the method's name has %d bytes, at most %d are allowed",
			network.ErrRefused, len(method), MaxMethod)
	}
	if len(req) > n.o.MaxRequest {
		return nil, fmt.Errorf("%w: the request has %d bytes, at most %d are allowed",
			network.ErrTooLarge, len(req), n.o.MaxRequest)
	}
	if !n.beginCall() {
		return nil, fmt.Errorf("%w: %w", network.ErrRefused, ErrClosed)
	}
	defer n.endCall()

	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()

	resp, err := n.send(sending, to, method, req)
	if err != nil {
		return nil, n.explain(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := n.decode(resp, method)
	if errors.Is(err, network.ErrNoReply) {
		return nil, n.explain(ctx, err)
	}
	return reply, err
}

// explain replaces an error that came without an answer by what ended the call,
// when something did: the transport's own words for that say less.
func (n *Net) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", network.ErrNoReply, ctx.Err())
	case n.life.Err() != nil:
		return fmt.Errorf("%w: %w", network.ErrNoReply, ErrClosed)
	default:
		return err
	}
}

// send makes the one attempt. Its errors are ErrUnknownAddress, ErrRefused and
// ErrNoReply.
func (n *Net) send(ctx context.Context, to network.Address, method string, req []byte) (*http.Response, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	// NewRequest knows how to rewind this body. The transport does so only for a
	// kept connection that turned out closed before the first byte was written.
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, callURL(n.o.scheme(), to, n.o.Prefix, method), bytes.NewReader(req))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", network.ErrUnknownAddress, err)
	}
	if err := n.o.authenticate(r, to); err != nil {
		return nil, fmt.Errorf("%w: %w", network.ErrRefused, err)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("User-Agent", "kelpie")
	if len(req) > expectBytes {
		r.Header.Set("Expect", "100-continue")
	}
	resp, err := n.transport.RoundTrip(r)
	if err == nil {
		return resp, nil
	}
	var dns *net.DNSError
	switch {
	case connected.Load():
		return nil, fmt.Errorf("%w: %w", network.ErrNoReply, err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, fmt.Errorf("%w: %w", network.ErrUnknownAddress, err)
	default:
		return nil, fmt.Errorf("%w: %w", network.ErrRefused, err)
	}
}

// decode turns an answer into a reply or an error.
func (n *Net) decode(resp *http.Response, method string) ([]byte, error) {
	result := resp.Header.Get(resultHeader)
	if result == resultOK {
		return n.readReply(resp)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxMessage))
	if err != nil {
		return nil, fmt.Errorf("%w: the answer broke off: %w", network.ErrNoReply, err)
	}
	switch result {
	case resultError:
		return nil, &network.RemoteError{Method: method, Message: string(text)}
	case resultReplyTooLarge:
		return nil, fmt.Errorf("%w: the reply, and the handler did run: %s", network.ErrTooLarge, text)
	case resultRequestTooLarge:
		return nil, fmt.Errorf("%w: the request: %s", network.ErrTooLarge, text)
	case resultRefused:
		return nil, fmt.Errorf("%w: %s", network.ErrRefused, text)
	case resultUnauthenticated:
		return nil, fmt.Errorf("%w: %w: %s", network.ErrRefused, ErrUnauthenticated, text)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestHeaderFieldsTooLarge:
		// net/http refused the request, or another kind of server lives there.
		return nil, fmt.Errorf("%w: HTTP status %s", network.ErrRefused, resp.Status)
	default:
		return nil, fmt.Errorf("%w: the answer is not one of a kelpie process: HTTP status %s", network.ErrNoReply, resp.Status)
	}
}

// readReply reads the body of a reply within the limit.
func (n *Net) readReply(resp *http.Response) ([]byte, error) {
	tooLarge := func() error {
		return fmt.Errorf("%w: the reply, and the handler did run: over %d bytes", network.ErrTooLarge, n.o.MaxReply)
	}
	if resp.ContentLength > int64(n.o.MaxReply) {
		return nil, tooLarge()
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, int64(n.o.MaxReply)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the reply broke off: %w", network.ErrNoReply, err)
	case len(reply) > n.o.MaxReply:
		return nil, tooLarge()
	}
	return reply, nil
}
