package httpnet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kelpie-registry/kelpie/network"
)

// FuzzMethodPath checks that each method has one path, and each path at most
// one method.
func FuzzMethodPath(f *testing.F) {
	for _, s := range []string{"", "registry.Claim", "a/b", "..", "%2F", "ü\xff", "?#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) <= MaxMethod {
			if got, ok := methodOf("kelpie", methodPath("kelpie", s)); !ok || got != s {
				t.Errorf("method %q became %q, %v", s, got, ok)
			}
		}
		if method, ok := methodOf("kelpie", s); ok && methodPath("kelpie", method) != s {
			t.Errorf("path %q is read as method %q, whose path is %q", s, method, methodPath("kelpie", method))
		}
	})
}

// FuzzServe feeds bytes to the server: it must not panic, must answer with one
// of its results, and must run a handler for a POST within the limits only.
func FuzzServe(f *testing.F) {
	f.Add([]byte("POST /kelpie/m HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST /kelpie/m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("POST /kelpie/m HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\nabc"))
	f.Add([]byte("GET /kelpie/%6d HTTP/1.0\r\n\r\n"))
	f.Add([]byte("POST http://x/kelpie/m HTTP/1.1\r\nHost: x\r\n\r\n"))
	o, err := Options{MaxRequest: 64, Logger: slog.New(slog.DiscardHandler)}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		ran := false
		n := &Net{o: o, handlers: map[string]network.Handler{}, complaints: newComplaints(o.Logger)}
		n.Handle("m", func(_ context.Context, req []byte) ([]byte, error) {
			ran = true
			if len(req) > o.MaxRequest {
				t.Errorf("a request of %d bytes", len(req))
			}
			return req, nil
		})
		w := httptest.NewRecorder()
		n.serve(w, r)
		if result := w.Header().Get(resultHeader); (result == resultOK) != ran {
			t.Errorf("result %q, the handler ran: %v", result, ran)
		}
		if ran && r.Method != http.MethodPost {
			t.Errorf("the handler ran for %s", r.Method)
		}
		if n.inFlight.Load() != 0 {
			t.Errorf("%d requests in flight", n.inFlight.Load())
		}
	})
}

// FuzzReply feeds bytes to a caller as the answer to its call: it must come to a
// reply within the limit or to an error of package network.
func FuzzReply(f *testing.F) {
	for _, result := range []string{resultOK, resultError, resultReplyTooLarge, resultRequestTooLarge, resultRefused, "?"} {
		f.Add([]byte("HTTP/1.1 200 OK\r\n" + resultHeader + ": " + result + "\r\nContent-Length: 3\r\n\r\nabc"))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\n" + resultHeader + ": " + resultOK + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n" + resultHeader + ": " + resultOK + "\r\nContent-Length: 300\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 404 Not Found\r\n\r\n<html>"))
	o, err := Options{MaxReply: 64, Logger: slog.New(slog.DiscardHandler)}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		reply, err := (&Net{o: o}).decode(resp, "m")
		var remote *network.RemoteError
		switch {
		case err == nil:
			if resp.Header.Get(resultHeader) != resultOK || len(reply) > o.MaxReply {
				t.Errorf("a reply of %d bytes, result %q", len(reply), resp.Header.Get(resultHeader))
			}
		case errors.As(err, &remote):
			if len(remote.Message) > MaxMessage {
				t.Errorf("a message of %d bytes", len(remote.Message))
			}
		case !errors.Is(err, network.ErrNoReply) && !errors.Is(err, network.ErrTooLarge) && !errors.Is(err, network.ErrRefused):
			t.Errorf("error %v", err)
		}
	})
}

// FuzzAddress checks that what passes for an address is what is called.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"", "a:1", "[::1]:80", "[fe80::1%eth0]:80", "10.0.0.1:65536", "user@host:80", "a:1/x", "a:01", "é:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := checkAddress(network.Address(s)); err != nil {
			if !errors.Is(err, network.ErrUnknownAddress) {
				t.Errorf("error %v", err)
			}
			return
		}
		r, err := http.NewRequest(http.MethodPost, callURL("http", network.Address(s), "kelpie", "m"), nil)
		if err != nil {
			t.Fatalf("no request to %q: %v", s, err)
		}
		if r.URL.Host != s || r.URL.User != nil || r.URL.Path != "/kelpie/m" || r.URL.RawQuery != "" {
			t.Errorf("a request to %q goes to %v", s, r.URL)
		}
	})
}
