package httpnet_test

import (
	"bytes"
	"context"
	"io"
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

func dial(t *testing.T, to network.Address) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", string(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// closed waits for the other end to close a connection.
func closed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestStrangersMakeRoomForNewConnectionsBeforeOthersDo(t *testing.T) {
	var log logged
	server := start(t, httpnet.Options{
		MaxConnections: 3, Logger: log.logger(), Authorize: tokens(t, "0123456789abcdef").Authorize, ReadHeaderTimeout: time.Hour,
	})
	server.Handle("echo", echo)
	caller := start(t, httpnet.Options{Token: tokens(t, "0123456789abcdef").Token})
	call := func() {
		t.Helper()
		if _, err := caller.Call(t.Context(), server.Address(), "echo", nil); err != nil {
			t.Fatal(err)
		}
	}
	call()
	first := dial(t, server.Address())
	second := dial(t, server.Address())
	if _, err := io.WriteString(second, "POST /kelpie/echo HTTP/1.1\r\nHost: x\r\n"); err != nil { // and no more
		t.Fatal(err)
	}
	third := dial(t, server.Address())
	closed(first) // the test does not end unless it is closed
	fourth := dial(t, server.Address())
	closed(second)
	call() // on the first connection: it would not be sent again
	if s := server.Stats(); s.Connections != 3 || s.Evicted != 2 {
		t.Errorf("stats %+v", s)
	}
	for _, c := range []net.Conn{third, fourth} {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("a younger connection: %v", err)
		}
	}
	if !strings.Contains(log.String(), "made room") {
		t.Errorf("the log:\n%s", log.String())
	}
}

func TestAConnectionWithARequestUnderWayIsNotClosedForANewOne(t *testing.T) {
	var log logged
	server := start(t, httpnet.Options{MaxConnections: 2, Logger: log.logger()})
	running, release := make(chan struct{}), make(chan struct{})
	server.Handle("wait", func(context.Context, []byte) ([]byte, error) {
		running <- struct{}{}
		<-release
		return []byte("done"), nil
	})
	caller := start(t, httpnet.Options{})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if reply, err := caller.Call(t.Context(), server.Address(), "wait", nil); err != nil || string(reply) != "done" {
				t.Errorf("reply %q, error %v", reply, err)
			}
		})
		<-running
	}
	closed(dial(t, server.Address()))
	log.await(t, "a connection is refused")
	close(release)
	calls.Wait()
	server.Handle("echo", echo)
	newcomer := start(t, httpnet.Options{})
	if _, err := newcomer.Call(t.Context(), server.Address(), "echo", nil); err != nil {
		t.Errorf("a connection that is idle did not make room: %v", err)
	}
}

func TestMalformedHeadersAreLogged(t *testing.T) {
	for name, text := range map[string]string{
		"not HTTP":      "hello\r\n\r\n",
		"a huge header": "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n",
		"cut off":       "POST /kelpie/m HT",
		"slow":          "POST /kelpie/m HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var log logged
			server := start(t, httpnet.Options{Logger: log.logger(), ReadHeaderTimeout: 50 * time.Millisecond})
			c := dial(t, server.Address())
			go func() { _, _ = io.Copy(c, strings.NewReader(text)) }()
			if name == "cut off" {
				time.Sleep(10 * time.Millisecond)
				_ = c.Close()
			}
			log.await(t, "a request's header was malformed, too large, too slow or cut off")
			if n := server.Stats().Broken; n != 1 {
				t.Errorf("%d broken requests, want 1", n)
			}
		})
	}
}

// What nobody reads of a request is bounded as well.
func TestARefusedRequestWhoseBodyDoesNotComeIsBrokenOff(t *testing.T) {
	server := start(t, httpnet.Options{BodyTimeout: 50 * time.Millisecond})
	c := dial(t, server.Address())
	if _, err := io.WriteString(c, post("unknown", "Content-Length: 1000\r\n", "abc")); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(c) // returns when the server closes
	if !bytes.Contains(got, []byte("404 Not Found")) {
		t.Errorf("answer %q", got)
	}
}

func TestLinesThatCallersCauseAreFew(t *testing.T) {
	var log logged
	server := start(t, httpnet.Options{Logger: log.logger()})
	const requests = 1000
	begun := time.Now()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range requests {
		resp, err := client.Get("http://" + string(server.Address()) + "/" + strings.Repeat("x", 1000))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	minutes := 1 + int(time.Since(begun)/time.Minute)
	if n := strings.Count(log.String(), "\n"); n < 1 || n > 10*minutes {
		t.Errorf("%d lines for %d requests:\n%s", n, requests, log.String())
	}
	if n := server.Stats().Nowhere; n != requests {
		t.Errorf("%d of %d requests are counted", n, requests)
	}
}

// heap returns what is in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) + int64(m.StackInuse)
}

// Ten thousand connections that never say anything come, as many as the process has
// descriptors for at a time, and a caller with a token is served meanwhile.
func TestTenThousandIdleConnectionsDoNotKeepACallerOut(t *testing.T) {
	const total, most = 10_000, 500
	server := start(t, httpnet.Options{
		MaxConnections: most, Authorize: tokens(t, "0123456789abcdef").Authorize, ReadHeaderTimeout: time.Hour,
	})
	server.Handle("echo", echo)
	known := tokens(t, "0123456789abcdef")
	caller := start(t, httpnet.Options{Token: known.Token})
	call := func() {
		t.Helper()
		if reply, err := caller.Call(t.Context(), server.Address(), "echo", []byte("x")); err != nil || string(reply) != "x" {
			t.Fatalf("reply %q, error %v", reply, err)
		}
	}
	at := descriptors(t, total)
	var conns []net.Conn
	connect := func(n int) {
		for range n {
			if len(conns) == at {
				_ = conns[0].Close()
				conns = conns[1:]
			}
			c, err := net.Dial("tcp", string(server.Address()))
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
	}
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	call()
	connect(2 * most)
	call()
	before := heap()
	for range 10 {
		connect((total - 2*most) / 10)
		call()
	}
	// The test holds its own ends, of about a kilobyte each.
	grown := heap() - before - int64(len(conns)-2*most)*2048
	if grown > 8<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	for server.Stats().Evicted < total-2*most { // the last ones are still to be accepted
		time.Sleep(time.Millisecond)
	}
	if s := server.Stats(); s.Connections > most {
		t.Errorf("stats %+v", s)
	}
	newcomer := start(t, httpnet.Options{Token: known.Token})
	if _, err := newcomer.Call(t.Context(), server.Address(), "echo", nil); err != nil {
		t.Errorf("a new caller: %v", err)
	}
}
