package httpnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// start returns a net that is closed, and has to leave no goroutine behind, at
// the end of the test.
func start(t *testing.T, o httpnet.Options) *httpnet.Net {
	t.Helper()
	noLeaks(t)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := httpnet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // whatever still runs is broken off
		_ = n.Close(ctx)
	})
	return n
}

// watched holds the tests that noLeaks watches already.
var watched sync.Map

// noLeaks fails a test that ends with more goroutines than it began with. Only
// its first call in a test counts: what later ones see depends on the first.
func noLeaks(t *testing.T) {
	t.Helper()
	if _, again := watched.LoadOrStore(t, true); again {
		return
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		watched.Delete(t)
		for range 2000 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(time.Millisecond)
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before the test:\n%s",
			runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
	})
}

// echo answers with the request.
func echo(_ context.Context, req []byte) ([]byte, error) { return req, nil }

// rawPeer listens as a process that is not of this package: answer gets each
// connection. It counts the requests that arrived complete, when answer reads
// them with its argument read.
type rawPeer struct {
	address network.Address
	mu      sync.Mutex
	arrived int
}

func newRawPeer(t *testing.T, answer func(c net.Conn, read func() error)) *rawPeer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{address: network.Address(listener.Addr().String())}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				answer(c, func() error { return p.read(in) })
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return p
}

func (p *rawPeer) read(in *bufio.Reader) error {
	r, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived++
	return nil
}

func (p *rawPeer) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived
}

// exchange sends text to a net and returns the status of its answer and the
// result header; status 0 when the connection closed without an answer.
func exchange(t *testing.T, to network.Address, text string) (status int, result string) {
	t.Helper()
	c, err := net.Dial("tcp", string(to))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	go func() { _, _ = io.Copy(c, strings.NewReader(text)) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, resp.Header.Get("Kelpie-Result")
}

// post prints a request of a method.
func post(method, headers, body string) string {
	return fmt.Sprintf("POST /kelpie/%s HTTP/1.1\r\nHost: x\r\n%s\r\n%s", method, headers, body)
}

// wantError fails unless err is want, and says each of the parts.
func wantError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want one that is %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	// The sentinels exclude each other.
	is := 0
	for _, s := range []error{network.ErrUnknownAddress, network.ErrRefused, network.ErrTooLarge, network.ErrNoReply} {
		if errors.Is(err, s) {
			is++
		}
	}
	if is != 1 {
		t.Errorf("error %q is %d of the sentinels", err, is)
	}
}
