package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
)

func TestBadFilesOfCredentialsAreRefusedAndNothingIsChanged(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	a := credentialstest.NewAuthority(t.TempDir())
	now := time.Now()
	cert, key := a.Issue("server", now.Add(-time.Hour), now.Add(time.Hour))
	expired, expiredKey := a.Issue("expired", now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, earlyKey := a.Issue("early", now.Add(time.Hour), now.Add(2*time.Hour))
	open := tokenFile(t, token)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no tokens", []string{"--token-file", tokenFile(t, "")}, []string{"--token-file", "no token in it"}},
		{"no file of tokens", []string{"--token-file", folder}, []string{"--token-file", "no such file"}},
		{"a folder of tokens", []string{"--token-file", t.TempDir()}, []string{"--token-file", "not a regular file"}},
		{"tokens that others may read", []string{"--token-file", open}, []string{"--token-file", "mode 0644"}},
		{"a short token", []string{"--token-file", tokenFile(t, "short")}, []string{"--token-file", "line 1", "16"}},
		{"no certificate", []string{"--tls-cert", folder, "--tls-key", key}, []string{"--tls-cert", "no such file"}},
		{"another's key", []string{"--tls-cert", cert, "--tls-key", expiredKey}, []string{"--tls-key", "does not match"}},
		{"a certificate that has expired", []string{"--tls-cert", expired, "--tls-key", expiredKey}, []string{"--tls-cert", "expired on 20"}},
		{"a certificate that is not valid yet", []string{"--tls-cert", early, "--tls-key", earlyKey}, []string{"--tls-cert", "valid from 20"}},
		{"no authority", []string{"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", tokenFile(t, token)}, []string{"--tls-client-ca", "no certificate in it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := refused(t, append(c.args, "--data", folder, "--listen", "127.0.0.1:0")...)
			if code != ExitUsage {
				t.Errorf("exit code %d", code)
			}
			for _, part := range c.want {
				if !strings.Contains(said, part) {
					t.Errorf("it does not say %q:\n%s", part, said)
				}
			}
			if strings.Contains(said, token) {
				t.Errorf("it tells a token:\n%s", said)
			}
			if _, err := os.Stat(folder); !os.IsNotExist(err) {
				t.Errorf("the folder: %v", err)
			}
		})
	}
}

// A node with a certificate and a token is served; one that lacks either is told so.
func TestTLSWithCertificatesOfBothEndsAndTokens(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	cert, key := a.Issue("server", from, until)
	nodeCert, nodeKey := a.Issue("node", from, until)
	r := begin(t, "--data", t.TempDir(), "--token-file", tokenFile(t, token),
		"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", a.File)
	_, port, _ := strings.Cut(string(r.address), ":")
	r.address = network.Address("localhost:" + port) // which the certificate names as well

	with := func(token string, files credentials.CertificateFiles) httpnet.Options {
		options := send(token)
		options.ClientTLS = certificates(t, files).Client()
		return options
	}
	node := credentials.CertificateFiles{Cert: nodeCert, Key: nodeKey, CA: a.File}
	o := with(token, node)
	if err := r.connect(o).set(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name string
		o    httpnet.Options
		want string
	}{
		{"no token", with("", node), "a bearer token is needed"},
		{"another token", with(token+"x", node), "the token is none of those"},
		{"no certificate", with(token, credentials.CertificateFiles{CA: a.File}), "a client certificate is needed"},
		{"plain HTTP", send(token), "400"},
		{"another authority", with(token, credentials.CertificateFiles{Cert: nodeCert, Key: nodeKey, CA: credentialstest.NewAuthority(t.TempDir()).File}), "unknown authority"},
	} {
		if err := read(t.Context(), r.connect(c.o)); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if got := r.connect(o).dump(t); got != "\"k\" \"v\"\n" {
		t.Errorf("the store has %s", got)
	}
	r.log.await(t, "unauthenticated")
	r.log.await(t, "client sent an HTTP request to an HTTPS server")
	r.log.await(t, "remote error: tls: ")
}

func TestEveryInterfaceIsServedWhenToldToInWords(t *testing.T) {
	for port := 20_000; ; port++ { // a free one is not known before
		var out, log text
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() {
			code <- Main(ctx, []string{
				"--data", t.TempDir(), "--listen", fmt.Sprint(":", port), "--insecure-without-authentication", "--insecure-without-tls",
			}, &out, &log)
		}()
		for !strings.Contains(out.String(), "\n") && !strings.Contains(log.String(), "address already in use") {
			time.Sleep(time.Millisecond)
		}
		if strings.HasPrefix(out.String(), Announcement) {
			if status, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port)); status != 200 {
				t.Errorf("status %d, error %v", status, err)
			}
			cancel()
			if c := <-code; c != ExitClean {
				t.Errorf("exit code %d:\n%s", c, &log)
			}
			return
		}
		cancel()
		<-code
	}
}

// Tokens are replaced while a node works: it never sees an error.
func TestTokensAreReplacedWithoutAnInterruption(t *testing.T) {
	const next = "the-next-token-of-all-the-tests"
	servers, nodes := tokenFile(t, token), tokenFile(t, token)
	r := begin(t, "--data", t.TempDir(), "--token-file", servers)
	sent, err := credentials.OpenTokens(nodes, nil)
	if err != nil {
		t.Fatal(err)
	}
	node := r.connect(httpnet.Options{Token: sent.Token})
	works := func() {
		t.Helper()
		if err := read(t.Context(), node); err != nil {
			t.Error(err)
		}
	}
	works()
	credentialstest.Write(servers, 0o600, []byte(token+"\n"+next))
	for read(t.Context(), r.connect(send(next))) != nil {
		works()
		time.Sleep(50 * time.Millisecond)
	}
	credentialstest.Write(nodes, 0o600, []byte(next))
	for {
		if token, _ := sent.Token(""); token == next {
			break
		}
		works()
		time.Sleep(50 * time.Millisecond)
	}
	credentialstest.Write(servers, 0o600, []byte("# no others\n"+next))
	for read(t.Context(), r.connect(send(token))) == nil {
		works()
		time.Sleep(50 * time.Millisecond)
	}
	works()
	if err := os.Chmod(servers, 0o644); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "mode 0644") // though nobody calls
	works()
}

// A certificate that expired is replaced while kelpied runs.
func TestCertificatesAreReplacedWhileItRuns(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	cert, key := a.Issue("server", time.Now().Add(-time.Hour), time.Now().Add(4*time.Second))
	r := begin(t, "--data", t.TempDir(), "--tls-cert", cert, "--tls-key", key)
	trust := certificates(t, credentials.CertificateFiles{CA: a.File})
	r.log.await(t, "the certificate expires soon")
	r.log.await(t, "the certificate has expired") // though nobody calls
	if err := read(t.Context(), r.connect(httpnet.Options{ClientTLS: trust.Client()})); err == nil || !strings.Contains(err.Error(), "certificate has expired") {
		t.Errorf("error %v", err)
	}
	a.Issue("server", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	for read(t.Context(), r.connect(httpnet.Options{ClientTLS: trust.Client()})) != nil {
		time.Sleep(50 * time.Millisecond)
	}
}
