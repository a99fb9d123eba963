package httpnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func TestPanicOfAHandlerIsARemoteErrorAndIsLogged(t *testing.T) {
	var log bytes.Buffer
	n := start(t, httpnet.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	n.Handle("panics", func(context.Context, []byte) ([]byte, error) { panic(errors.New("index out of range")) })
	n.Handle("aborts", func(context.Context, []byte) ([]byte, error) { panic(http.ErrAbortHandler) })
	n.Handle("echo", echo)
	for _, m := range []string{"panics", "aborts"} {
		_, err := n.Call(t.Context(), n.Address(), m, nil)
		var remote *network.RemoteError
		if !errors.As(err, &remote) || !strings.Contains(remote.Message, "panicked") {
			t.Errorf("%s: error %v", m, err)
		}
	}
	if _, err := n.Call(t.Context(), n.Address(), "echo", nil); err != nil {
		t.Errorf("after the panics: %v", err)
	}
	if s := log.String(); !strings.Contains(s, "index out of range") || !strings.Contains(s, "serve_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", s)
	}
}

func TestMalformedRequestsRunNoHandler(t *testing.T) {
	n := start(t, httpnet.Options{MaxRequest: 100})
	n.Handle("m", func(context.Context, []byte) ([]byte, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	big := strings.Repeat("x", 101)
	for _, c := range []struct {
		name, text string
		status     int
		result     string
	}{
		{"not HTTP", "hello\r\n\r\n", 400, ""},
		{"an unknown version", "POST /kelpie/m HTTP/9.1\r\nHost: x\r\n\r\n", 505, ""},
		{"no host", "POST /kelpie/m HTTP/1.1\r\n\r\n", 400, ""},
		{"GET", "GET /kelpie/m HTTP/1.1\r\nHost: x\r\n\r\n", 405, "refused"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "refused"},
		{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "refused"},
		{"root", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404, "refused"},
		{"another prefix", "POST /kelpies/m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404, "refused"},
		{"dots in the path", "POST /x/../kelpie/m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404, "refused"},
		{"a method escaped otherwise", post("%6d", "Content-Length: 0\r\n", ""), 404, "refused"},
		{"a broken escape", post("%zz", "Content-Length: 0\r\n", ""), 400, ""},
		{"two lengths", post("m", "Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400, ""},
		{"a negative length", post("m", "Content-Length: -1\r\n", ""), 400, ""},
		{"a length over the limit", post("m", "Content-Length: 101\r\n", big), 413, "request-too-large"},
		{"a huge length", post("m", "Content-Length: 9000000000000000000\r\n", "x"), 413, "request-too-large"},
		{"chunks over the limit", post("m", "Transfer-Encoding: chunked\r\n", "65\r\n"+big+"\r\n0\r\n\r\n"), 413, "request-too-large"},
		{"a broken chunk", post("m", "Transfer-Encoding: chunked\r\n", "zz\r\n"), 400, "refused"},
		{"a huge header", post("m", "X: "+strings.Repeat("x", 1<<20)+"\r\n", ""), 431, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, result := exchange(t, n.Address(), c.text); status != c.status || result != c.result {
				t.Errorf("answer %d %q, want %d %q", status, result, c.status, c.result)
			}
		})
	}
}

func TestSlowRequestsAreBrokenOff(t *testing.T) {
	n := start(t, httpnet.Options{
		ReadHeaderTimeout: 30 * time.Millisecond,
		BodyTimeout:       30 * time.Millisecond,
		IdleTimeout:       30 * time.Millisecond,
	})
	n.Handle("m", func(context.Context, []byte) ([]byte, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	for _, c := range []struct{ name, sent, answer string }{
		{"nothing", "", ""},
		{"half a header", "POST /kelpie/m HT", "400 Bad Request"},
		{"half a body", post("m", "Content-Length: 10\r\n", "abc"), "400 Bad Request"},
		{"an answered request, then nothing", post("unknown", "Content-Length: 0\r\n", ""), "404 Not Found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", string(n.Address()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(conn) // returns when the server closes
			if !strings.Contains(string(got), c.answer) || (c.answer == "") != (len(got) == 0) {
				t.Errorf("answer %q, want %q", got, c.answer)
			}
		})
	}
}

func TestHandlerMayRunLongerThanTheTimeouts(t *testing.T) {
	const short = 100 * time.Millisecond
	n := start(t, httpnet.Options{ReadHeaderTimeout: short, BodyTimeout: short, IdleTimeout: short})
	n.Handle("slow", func(ctx context.Context, _ []byte) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(3 * short):
			return []byte("done"), nil
		}
	})
	for _, req := range [][]byte{nil, []byte("request")} {
		caller := start(t, httpnet.Options{}) // without a kept connection, which may just be closed
		reply, err := caller.Call(t.Context(), n.Address(), "slow", req)
		if err != nil || string(reply) != "done" {
			t.Errorf("reply %q, error %v", reply, err)
		}
	}
}

func TestHandlersContextEndsWhenTheCallerIsGone(t *testing.T) {
	n := start(t, httpnet.Options{})
	running, ended := make(chan struct{}), make(chan error, 1)
	n.Handle("m", func(ctx context.Context, _ []byte) ([]byte, error) {
		close(running)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	_, err := n.Call(ctx, n.Address(), "m", nil)
	wantError(t, err, network.ErrNoReply)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended with %v", err)
	}
}

func TestCallsOverMaxInFlightAreRefused(t *testing.T) {
	n := start(t, httpnet.Options{MaxInFlight: 2})
	running, release := make(chan struct{}), make(chan struct{})
	n.Handle("wait", func(context.Context, []byte) ([]byte, error) {
		running <- struct{}{}
		<-release
		return nil, nil
	})
	n.Handle("echo", echo)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := n.Call(t.Context(), n.Address(), "wait", nil); err != nil {
				t.Error(err)
			}
		})
		<-running
	}
	_, err := n.Call(t.Context(), n.Address(), "echo", nil)
	wantError(t, err, network.ErrRefused, "busy", "2")
	close(release)
	wg.Wait()
	for n.InFlight() > 0 { // the last handlers return after their replies left
		time.Sleep(time.Millisecond)
	}
	if _, err := n.Call(t.Context(), n.Address(), "echo", nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestHandlePanicsOnAMethodThatNoCallCanReach(t *testing.T) {
	n := start(t, httpnet.Options{})
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "256") {
			t.Errorf("panic %q does not name the limit", p)
		}
	}()
	n.Handle(strings.Repeat("m", httpnet.MaxMethod+1), echo)
}
