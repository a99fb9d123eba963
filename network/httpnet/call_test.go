package httpnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func TestCallReturnsWhatTheHandlerReplied(t *testing.T) {
	a, b := start(t, httpnet.Options{}), start(t, httpnet.Options{})
	b.Handle("echo", echo)
	for _, size := range []int{0, 1, 1000, 128 << 10, 128<<10 + 1, 1 << 20} {
		req := bytes.Repeat([]byte{0, 'k', 0xff}, size/3+1)[:size]
		reply, err := a.Call(t.Context(), b.Address(), "echo", req)
		if err != nil || !bytes.Equal(reply, req) {
			t.Errorf("%d bytes: %d came back, error %v", size, len(reply), err)
		}
	}
	if _, err := b.Call(t.Context(), b.Address(), "echo", nil); err != nil {
		t.Errorf("a call to oneself: %v", err)
	}
}

func TestCallsRunAtOnce(t *testing.T) {
	n := start(t, httpnet.Options{})
	const calls = 50
	var together sync.WaitGroup
	together.Add(calls)
	n.Handle("meet", func(context.Context, []byte) ([]byte, error) {
		together.Done()
		together.Wait() // every handler has to be running
		return nil, nil
	})
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := n.Call(t.Context(), n.Address(), "meet", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMethodsOfEveryNameReachTheirOwnHandler(t *testing.T) {
	n := start(t, httpnet.Options{Prefix: "a/b"})
	methods := []string{
		"", ".", "..", "../x", "a/b", "a%2Fb", "a b", "?q=1", "#f", "registry.Claim", "ü\x00\xff", "//",
		strings.Repeat("/", httpnet.MaxMethod),
	}
	for _, m := range methods {
		n.Handle(m, func(context.Context, []byte) ([]byte, error) { return []byte("I am " + m), nil })
	}
	for _, m := range methods {
		reply, err := n.Call(t.Context(), n.Address(), m, nil)
		if err != nil || string(reply) != "I am "+m {
			t.Errorf("method %q: reply %q, error %v", m, reply, err)
		}
	}
}

func TestUnknownAddress(t *testing.T) {
	n := start(t, httpnet.Options{})
	for _, to := range []network.Address{
		"", "localhost", "localhost:", ":80", "localhost:0", "localhost:65536", "localhost:-1", "localhost:+80",
		"localhost:080", "localhost:http", "http://localhost:80", "a b:80", "a/b:80", "a@b:80", "a%20b:80", "[::1", "::1:80",
		"[::1%a/b]:80", "[1::g]:80", "x\r\nHost: y:80", network.Address(strings.Repeat("h", 254) + ":80"),
		network.Address(strings.Repeat("h", 1<<20)),
	} {
		_, err := n.Call(t.Context(), to, "m", nil)
		wantError(t, err, network.ErrUnknownAddress)
		if len(err.Error()) > 2000 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
}

// The top-level domain "invalid" never exists (RFC 6761), but a machine may
// have no name server to say so.
func TestNameThatDoesNotExist(t *testing.T) {
	n := start(t, httpnet.Options{})
	_, err := n.Call(t.Context(), "no-such-host.invalid:80", "m", nil)
	if !errors.Is(err, network.ErrUnknownAddress) && !errors.Is(err, network.ErrRefused) {
		t.Errorf("error %v", err)
	}
}

func TestRefused(t *testing.T) {
	n := start(t, httpnet.Options{})
	n.Handle("removed", echo)
	n.Handle("removed", nil)
	other := start(t, httpnet.Options{Prefix: "other"})
	other.Handle("echo", echo)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		to     network.Address
		method string
		parts  []string
	}{
		{"nobody listens", network.Address(gone.Addr().String()), "m", []string{gone.Addr().String()}},
		{"unknown method", n.Address(), "m", []string{`nobody serves method "m"`}},
		{"removed method", n.Address(), "removed", []string{`"removed"`}},
		{"method over the limit", n.Address(), strings.Repeat("m", httpnet.MaxMethod+1), []string{"257", "256"}},
		{"another prefix", other.Address(), "echo", []string{"no such path"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := n.Call(t.Context(), c.to, c.method, nil)
			wantError(t, err, network.ErrRefused, c.parts...)
		})
	}
}

func TestSecondHandleReplacesTheFirst(t *testing.T) {
	n := start(t, httpnet.Options{})
	for _, want := range []string{"first", "second"} {
		n.Handle("m", func(context.Context, []byte) ([]byte, error) { return []byte(want), nil })
		if reply, err := n.Call(t.Context(), n.Address(), "m", nil); err != nil || string(reply) != want {
			t.Errorf("reply %q, error %v, want %q", reply, err, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	small := httpnet.Options{MaxRequest: 1000, MaxReply: 1000}
	for _, c := range []struct {
		name           string
		caller, server httpnet.Options
		request, reply int
		ran            bool
		parts          []string
	}{
		{"request, over the caller's limit", small, httpnet.Options{}, 1001, 0, false, []string{"the request has 1001", "1000"}},
		{"request, over the server's limit", httpnet.Options{}, small, 1001, 0, false, []string{"the request", "1000"}},
		{"request, far over the server's limit", httpnet.Options{}, small, 1 << 20, 0, false, []string{"the request", "1000"}},
		{"reply, over the server's limit", httpnet.Options{}, small, 0, 1001, true, []string{"the handler did run", "1001"}},
		{"reply, over the caller's limit", small, httpnet.Options{}, 0, 1001, true, []string{"the handler did run", "1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller, server := start(t, c.caller), start(t, c.server)
			ran := make(chan struct{}, 10)
			server.Handle("m", func(context.Context, []byte) ([]byte, error) {
				ran <- struct{}{}
				return make([]byte, c.reply), nil
			})
			_, err := caller.Call(t.Context(), server.Address(), "m", make([]byte, c.request))
			wantError(t, err, network.ErrTooLarge, c.parts...)
			if got := len(ran) > 0; got != c.ran {
				t.Errorf("the handler ran: %v", got)
			}
		})
	}
}

func TestBodiesAtTheLimitPass(t *testing.T) {
	n := start(t, httpnet.Options{MaxRequest: 1000, MaxReply: 1000})
	n.Handle("echo", echo)
	if reply, err := n.Call(t.Context(), n.Address(), "echo", make([]byte, 1000)); err != nil || len(reply) != 1000 {
		t.Errorf("%d bytes, error %v", len(reply), err)
	}
}

func TestHandlerErrorReachesTheCaller(t *testing.T) {
	n := start(t, httpnet.Options{})
	long := strings.Repeat("ü", httpnet.MaxMessage)
	for _, c := range []struct{ text, want string }{
		{"the actor is held", "the actor is held"},
		{"", ""},
		{long, long[:2*((httpnet.MaxMessage-3)/2)] + "…"},
	} {
		n.Handle("m", func(context.Context, []byte) ([]byte, error) { return []byte("ignored"), errors.New(c.text) })
		reply, err := n.Call(t.Context(), n.Address(), "m", nil)
		var remote *network.RemoteError
		if !errors.As(err, &remote) {
			t.Fatalf("error %v", err)
		}
		if remote.Method != "m" || remote.Message != c.want || reply != nil {
			t.Errorf("reply %q, error %.100q", reply, remote)
		}
	}
}

// A caller must not believe the sentinels of another process to be its own.
func TestHandlerErrorIsNotASentinelOfTheCaller(t *testing.T) {
	n := start(t, httpnet.Options{})
	n.Handle("m", func(context.Context, []byte) ([]byte, error) { return nil, network.ErrRefused })
	_, err := n.Call(t.Context(), n.Address(), "m", nil)
	if errors.Is(err, network.ErrRefused) {
		t.Errorf("error %v promises that no handler ran", err)
	}
}

func TestLostConnectionIsNoReplyAndTheRequestIsSentOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		served int    // requests that are answered before the one that is lost
		last   string // what is sent before the connection breaks
	}{
		{"first request of a connection", 0, ""},
		{"request on a kept connection", 1, ""},
		{"in the middle of the header", 0, "HTTP/1.1 200 OK\r\nKelpie-Res"},
		{"in the middle of the reply", 0, "HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nContent-Length: 10\r\n\r\nabc"},
		{"in the middle of an error", 0, "HTTP/1.1 500 no\r\nKelpie-Result: error\r\nContent-Length: 10\r\n\r\nabc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, httpnet.Options{})
			p := newRawPeer(t, func(conn net.Conn, read func() error) {
				for range c.served {
					if read() != nil {
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nContent-Length: 0\r\n\r\n")
				}
				if read() == nil {
					_, _ = io.WriteString(conn, c.last)
				}
			})
			for range c.served {
				if _, err := n.Call(t.Context(), p.address, "m", []byte("request")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := n.Call(t.Context(), p.address, "m", []byte("request"))
			wantError(t, err, network.ErrNoReply)
			time.Sleep(10 * time.Millisecond) // room for a second sending
			if got := p.requests(); got != c.served+1 {
				t.Errorf("%d requests arrived, want %d", got, c.served+1)
			}
		})
	}
}

// A kept connection that the other process closed while it was idle is no
// reason to fail.
func TestKeptConnectionThatClosedWhileIdleIsReplaced(t *testing.T) {
	n := start(t, httpnet.Options{})
	p := newRawPeer(t, func(conn net.Conn, read func() error) {
		if read() == nil { // one request each
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nContent-Length: 0\r\n\r\n")
		}
	})
	for i := range 5 {
		if _, err := n.Call(t.Context(), p.address, "m", nil); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		time.Sleep(20 * time.Millisecond) // the close arrives
	}
}

func TestAnswersOfOtherServers(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   error
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", network.ErrNoReply},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", network.ErrNoReply},
		{"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", network.ErrNoReply},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", network.ErrRefused},
		{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", network.ErrNoReply},
		{"HTTP/1.1 200 OK\r\nKelpie-Result: unheard-of\r\nContent-Length: 0\r\n\r\n", network.ErrNoReply},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", network.ErrNoReply},
		{"SSH-2.0-OpenSSH_9.6\r\n", network.ErrNoReply},
		{"HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("100000\r\n"+strings.Repeat("x", 0x100000)+"\r\n", 2) + "0\r\n\r\n", network.ErrTooLarge},
	} {
		t.Run(fmt.Sprintf("%.40q", c.answer), func(t *testing.T) {
			n := start(t, httpnet.Options{})
			p := newRawPeer(t, func(conn net.Conn, read func() error) {
				if read() == nil {
					_, _ = io.WriteString(conn, c.answer)
				}
			})
			_, err := n.Call(t.Context(), p.address, "m", nil)
			wantError(t, err, c.want)
			if got := p.requests(); got != 1 {
				t.Errorf("%d requests arrived", got)
			}
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	silent := func(_ net.Conn, read func() error) {
		for read() == nil { // until the caller closes
		}
	}
	half := func(conn net.Conn, read func() error) {
		_ = read()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nContent-Length: 10\r\n\r\nabc")
		_ = read()
	}
	for _, c := range []struct {
		name   string
		answer func(net.Conn, func() error)
		cancel bool
		want   error
	}{
		{"deadline, no answer", silent, false, context.DeadlineExceeded},
		{"cancel, no answer", silent, true, context.Canceled},
		{"deadline, half a reply", half, false, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, httpnet.Options{})
			p := newRawPeer(t, c.answer)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if c.cancel {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			_, err := n.Call(ctx, p.address, "m", nil)
			wantError(t, err, network.ErrNoReply)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want one that wraps %v", err, c.want)
			}
		})
	}
}

func TestCallWithAnEndedContextSendsNothing(t *testing.T) {
	n := start(t, httpnet.Options{})
	p := newRawPeer(t, func(_ net.Conn, read func() error) { _ = read() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.Call(ctx, p.address, "m", nil)
	wantError(t, err, network.ErrNoReply)
	if !errors.Is(err, context.Canceled) || p.requests() != 0 {
		t.Errorf("error %v, %d requests", err, p.requests())
	}
}
