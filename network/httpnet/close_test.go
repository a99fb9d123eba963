package httpnet_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// outcome is what a call returned.
type outcome struct {
	reply []byte
	err   error
}

func callAsync(t *testing.T, from *httpnet.Net, to network.Address, method string) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	go func() {
		reply, err := from.Call(context.WithoutCancel(t.Context()), to, method, nil)
		done <- outcome{reply, err}
	}()
	return done
}

func TestCloseFinishesWhatItServes(t *testing.T) {
	caller, server := start(t, httpnet.Options{}), start(t, httpnet.Options{})
	caller.Handle("name", func(context.Context, []byte) ([]byte, error) { return []byte("caller"), nil })
	running, release := make(chan struct{}), make(chan struct{})
	server.Handle("m", func(ctx context.Context, _ []byte) ([]byte, error) {
		close(running)
		<-release
		return server.Call(ctx, caller.Address(), "name", nil) // may call until it returns
	})
	call := callAsync(t, caller, server.Address(), "m")
	<-running
	closed := make(chan error, 1)
	go func() { closed <- server.Close(context.WithoutCancel(t.Context())) }()
	for !refuses(server.Address()) {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while a handler ran", err)
	default:
	}
	close(release)
	if got := <-call; got.err != nil || string(got.reply) != "caller" {
		t.Errorf("reply %q, error %v", got.reply, got.err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
}

// refuses reports whether nobody listens at an address.
func refuses(a network.Address) bool {
	c, err := net.Dial("tcp", string(a))
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

func TestCloseFinishesTheCallsUnderWay(t *testing.T) {
	caller, server := start(t, httpnet.Options{}), start(t, httpnet.Options{})
	running, release := make(chan struct{}), make(chan struct{})
	server.Handle("m", func(context.Context, []byte) ([]byte, error) {
		close(running)
		<-release
		return []byte("done"), nil
	})
	call := callAsync(t, caller, server.Address(), "m")
	<-running
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if err := caller.Close(t.Context()); err != nil {
		t.Fatalf("Close = %v", err)
	}
	if got := <-call; got.err != nil || string(got.reply) != "done" {
		t.Errorf("reply %q, error %v", got.reply, got.err)
	}
}

func TestAfterClose(t *testing.T) {
	n, other := start(t, httpnet.Options{}), start(t, httpnet.Options{})
	other.Handle("echo", echo)
	n.Handle("echo", echo)
	if _, err := other.Call(t.Context(), n.Address(), "echo", nil); err != nil { // leaves a kept connection
		t.Fatal(err)
	}
	for range 3 {
		if err := n.Close(t.Context()); err != nil {
			t.Fatalf("Close = %v", err)
		}
	}
	_, err := n.Call(t.Context(), other.Address(), "echo", nil)
	wantError(t, err, network.ErrRefused)
	if !errors.Is(err, httpnet.ErrClosed) {
		t.Errorf("error %v", err)
	}
	time.Sleep(10 * time.Millisecond) // the end of the kept connection arrives
	_, err = other.Call(t.Context(), n.Address(), "echo", nil)
	wantError(t, err, network.ErrRefused)
}

func TestCloseBreaksOffWhenItsContextEnds(t *testing.T) {
	caller, server := start(t, httpnet.Options{}), start(t, httpnet.Options{})
	running, cause := make(chan struct{}), make(chan error, 1)
	server.Handle("m", func(ctx context.Context, _ []byte) ([]byte, error) {
		close(running)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	call := callAsync(t, caller, server.Address(), "m")
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := server.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), string(server.Address())) {
		t.Errorf("Close = %v", err)
	}
	wantError(t, (<-call).err, network.ErrNoReply)
	if err := <-cause; !errors.Is(err, httpnet.ErrClosed) && !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended because of %v", err)
	}
}

func TestCloseBreaksOffCallsWhenItsContextEnds(t *testing.T) {
	n := start(t, httpnet.Options{})
	arrived := make(chan struct{})
	p := newRawPeer(t, func(_ net.Conn, read func() error) {
		if read() == nil {
			close(arrived)
			_ = read()
		}
	})
	call := callAsync(t, n, p.address, "m")
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close = %v", err)
	}
	err := (<-call).err
	wantError(t, err, network.ErrNoReply)
	if !errors.Is(err, httpnet.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
