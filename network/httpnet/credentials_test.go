package httpnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// logged is a log that several goroutines write and a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// await waits until the log says something.
func (l *logged) await(t *testing.T, what string) {
	t.Helper()
	for !strings.Contains(l.String(), what) {
		if t.Context().Err() != nil {
			t.Fatalf("the log does not say %q:\n%s", what, l)
		}
		time.Sleep(time.Millisecond)
	}
}

func tokens(t *testing.T, text string) *credentials.Tokens {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens")
	credentialstest.Write(name, 0o600, []byte(text))
	tokens, err := credentials.OpenTokens(name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func certificates(t *testing.T, files credentials.CertificateFiles) *credentials.Certificates {
	t.Helper()
	c, err := credentials.OpenCertificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCallsWithoutATokenAreRefused(t *testing.T) {
	var log logged
	known := tokens(t, "0123456789abcdef\nfedcba9876543210")
	server := start(t, httpnet.Options{Authorize: known.Authorize, Logger: log.logger()})
	server.Handle("echo", echo)
	for _, c := range []struct {
		name  string
		token func(network.Address) (string, error)
		want  error
		parts []string
	}{
		{"none", nil, httpnet.ErrUnauthenticated, []string{"there is none"}},
		{"an empty one", func(network.Address) (string, error) { return "", nil }, httpnet.ErrUnauthenticated, []string{"there is none"}},
		{"another", tokens(t, "another-token-of-somebody").Token, httpnet.ErrUnauthenticated, []string{"none of those"}},
		{"one that cannot be had", func(network.Address) (string, error) { return "", io.ErrUnexpectedEOF }, io.ErrUnexpectedEOF, []string{"token"}},
		{"one that no header holds", func(network.Address) (string, error) { return "a\nb", nil }, network.ErrRefused, []string{"header"}},
		{"the right one", known.Token, nil, nil},
		{"the second", tokens(t, "fedcba9876543210").Token, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := start(t, httpnet.Options{Token: c.token})
			for _, size := range []int{0, 1, 1 << 20} {
				reply, err := caller.Call(t.Context(), server.Address(), "echo", make([]byte, size))
				if c.want == nil {
					if err != nil || len(reply) != size {
						t.Errorf("%d bytes: %d came back, error %v", size, len(reply), err)
					}
					continue
				}
				wantError(t, err, network.ErrRefused, c.parts...)
				if !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
		})
	}
	if s := server.Stats(); s.Unauthenticated == 0 || s.Served == 0 {
		t.Errorf("stats %+v", s)
	}
	if got := log.String(); !strings.Contains(got, "unauthenticated") || strings.Contains(got, "another-token") {
		t.Errorf("the log:\n%s", got)
	}
}

// An unauthenticated request costs no more than its header, whatever it announces.
func TestTheBodyOfAnUnauthenticatedRequestIsNotRead(t *testing.T) {
	server := start(t, httpnet.Options{Authorize: tokens(t, "0123456789abcdef").Authorize})
	server.Handle("m", func(context.Context, []byte) ([]byte, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	for _, method := range []string{"m", "unknown"} { // nor does it learn what is served
		status, result := exchange(t, server.Address(), post(method, "Content-Length: 1000000\r\n", "abc"))
		if status != http.StatusUnauthorized || result != "unauthenticated" {
			t.Errorf("%s: answer %d %q", method, status, result)
		}
	}
}

func TestTLS(t *testing.T) {
	a, other := credentialstest.NewAuthority(t.TempDir()), credentialstest.NewAuthority(t.TempDir())
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	cert, key := a.Issue("server", from, until)
	clientCert, clientKey := a.Issue("client", from, until)
	strangeCert, strangeKey := other.Issue("stranger", from, until)
	var log logged
	own := certificates(t, credentials.CertificateFiles{Cert: cert, Key: key, CA: a.File})
	server := start(t, httpnet.Options{ServerTLS: own.Server(), Authorize: own.Authorize, Logger: log.logger()})
	server.Handle("echo", echo)
	for _, c := range []struct {
		name  string
		files credentials.CertificateFiles
		want  error // nil: the call succeeds
		parts []string
	}{
		{"both know each other", credentials.CertificateFiles{Cert: clientCert, Key: clientKey, CA: a.File}, nil, nil},
		{"no client certificate", credentials.CertificateFiles{CA: a.File}, httpnet.ErrUnauthenticated, []string{"a client certificate is needed"}},
		{"another authority's server", credentials.CertificateFiles{Cert: clientCert, Key: clientKey, CA: other.File}, network.ErrRefused, []string{"unknown authority"}},
		// The client is through with its handshake before the server judges it.
		{"another authority's client", credentials.CertificateFiles{Cert: strangeCert, Key: strangeKey, CA: a.File}, network.ErrNoReply, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := start(t, httpnet.Options{ClientTLS: certificates(t, c.files).Client()})
			reply, err := caller.Call(t.Context(), server.Address(), "echo", []byte("hello"))
			if c.want == nil {
				if err != nil || string(reply) != "hello" {
					t.Errorf("reply %q, error %v", reply, err)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
		})
	}
	log.await(t, "TLS handshake error") // of the stranger
}

func TestPlainAndEncryptedDoNotMix(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	cert, key := a.Issue("server", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	own := certificates(t, credentials.CertificateFiles{Cert: cert, Key: key, CA: a.File})
	encrypted := start(t, httpnet.Options{ServerTLS: own.Server()})
	plain := start(t, httpnet.Options{ClientTLS: own.Client()}) // encrypts what it calls only
	encrypted.Handle("echo", echo)
	plain.Handle("echo", echo)
	_, err := encrypted.Call(t.Context(), encrypted.Address(), "echo", nil)
	wantError(t, err, network.ErrRefused, "400")
	_, err = plain.Call(t.Context(), plain.Address(), "echo", nil)
	wantError(t, err, network.ErrRefused, "TLS handshake")
}

func TestAServerThatLearnsANewCertificateKeepsItsConnections(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	from := time.Now().Add(-time.Hour)
	cert, key := a.Issue("server", from, time.Now().Add(time.Hour))
	own := certificates(t, credentials.CertificateFiles{Cert: cert, Key: key, CA: a.File})
	server := start(t, httpnet.Options{ServerTLS: own.Server()})
	server.Handle("echo", echo)
	before := start(t, httpnet.Options{ClientTLS: own.Client()})
	for range 2 {
		if _, err := before.Call(t.Context(), server.Address(), "echo", nil); err != nil {
			t.Fatal(err)
		}
		a.Issue("server", from, time.Now().Add(2*time.Hour))
	}
	if n := server.Stats().Connections; n != 1 {
		t.Errorf("%d connections, want the first", n)
	}
}

func TestServerTLSWithoutACertificateIsRefused(t *testing.T) {
	_, err := httpnet.New(httpnet.Options{ServerTLS: certificates(t, credentials.CertificateFiles{}).Client()})
	if err == nil || !strings.Contains(err.Error(), "Options.ServerTLS has no certificate") {
		t.Errorf("error %v", err)
	}
}

func TestElsewhereServesOtherPathsWithoutAToken(t *testing.T) {
	server := start(t, httpnet.Options{
		Authorize: tokens(t, "0123456789abcdef").Authorize,
		Elsewhere: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path)
		}),
	})
	for path, want := range map[string]int{"/healthz": 200, "/kelpies": 200, "/kelpie/m": 401, "/kelpie/%6d": 200} {
		resp, err := http.Get("http://" + string(server.Address()) + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
		}
	}
}
