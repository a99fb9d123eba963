// Package network makes request and response between processes a dependency.
//
// A [Network] is one process's place on a network: it has an address, calls
// other addresses and serves the calls made to it. Package httpnet holds the
// real one, over HTTP; package sim a simulated one.
//
// A call takes effect at most once per request that arrives, but a request may
// arrive although its caller saw an error: only [ErrUnknownAddress],
// [ErrRefused] and [ErrTooLarge] of the request promise that no handler ran.
package network

import (
	"context"
	"errors"
	"fmt"
)

// Address names a process on a network. Its form belongs to the network:
// "host:port" for httpnet, a process name in the simulator.
type Address string

// Handler serves one request. The returned error reaches the caller as a
// [*RemoteError] that carries its text.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Network is one process's place on a network. Methods may be called from
// several tasks at once.
type Network interface {
	// Address returns the address at which others reach this process.
	Address() Address

	// Call sends req to the handler of method at to and waits for its answer.
	// It ends when ctx does, with an error that wraps ctx.Err() and [ErrNoReply].
	Call(ctx context.Context, to Address, method string, req []byte) ([]byte, error)

	// Handle serves calls of method with h, each in a task of its own. A second
	// Handle of one method replaces the first; a nil h removes it.
	Handle(method string, h Handler)
}

// Errors of a call. Those of the first group promise that no handler ran.
var (
	// ErrUnknownAddress: the address has the wrong form or names nothing.
	ErrUnknownAddress = errors.New("network: unknown address")
	// ErrRefused: nobody listens at the address, or nobody serves the method.
	ErrRefused = errors.New("network: connection refused")
	// ErrTooLarge: the request or the reply is over the size limit. When the
	// reply is, the handler did run; the error text says which.
	ErrTooLarge = errors.New("network: body too large")

	// ErrNoReply: the request may have been handled; its reply did not arrive.
	ErrNoReply = errors.New("network: no reply")
)

// RemoteError is the error that a handler returned.
type RemoteError struct {
	Method  string // the method that was called
	Message string // the text of the handler's error
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("network: remote %s: %s", e.Method, e.Message)
}
