package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
)

func TestBadCertificatesAreRefused(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	now := time.Now()
	cert, key := a.Issue("good", now.Add(-time.Hour), now.Add(time.Hour))
	_, otherKey := a.Issue("other", now.Add(-time.Hour), now.Add(time.Hour))
	expired, expiredKey := a.Issue("expired", now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, earlyKey := a.Issue("early", now.Add(time.Hour), now.Add(2*time.Hour))
	folder := t.TempDir()
	text, open := filepath.Join(folder, "text"), filepath.Join(folder, "open.key")
	credentialstest.Write(text, 0o600, []byte("not PEM"))
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	credentialstest.Write(open, 0o644, secret)
	for _, c := range []struct {
		name  string
		files CertificateFiles
		want  string
	}{
		{"no key", CertificateFiles{Cert: cert}, "belong together"},
		{"no certificate", CertificateFiles{Key: key}, "belong together"},
		{"no such file", CertificateFiles{Cert: filepath.Join(folder, "no"), Key: key}, "no such file"},
		{"another's key", CertificateFiles{Cert: cert, Key: otherKey}, "does not match"},
		{"not PEM", CertificateFiles{Cert: text, Key: key}, text},
		{"the key is not PEM", CertificateFiles{Cert: cert, Key: text}, text},
		{"authorities that are not PEM", CertificateFiles{CA: text}, "no certificate in it"},
		{"a key that others may read", CertificateFiles{Cert: cert, Key: open}, "mode 0644"},
		{"expired", CertificateFiles{Cert: expired, Key: expiredKey}, "expired on " + date(now.Add(-time.Hour))},
		{"not valid yet", CertificateFiles{Cert: early, Key: earlyKey}, "valid from " + date(now.Add(time.Hour))},
	} {
		_, err := OpenCertificates(c.files, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := OpenCertificates(CertificateFiles{Cert: cert, Key: key, CA: a.File}, nil); err != nil {
		t.Errorf("good ones: %v", err)
	}
}

// inUse returns the certificate that a server presents.
func inUse(t *testing.T, c *Certificates) *x509.Certificate {
	t.Helper()
	config, err := c.Server().GetConfigForClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	return config.Certificates[0].Leaf
}

func TestCertificatesFollowTheirFiles(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	now := time.Now()
	cert, key := a.Issue("server", now.Add(-time.Hour), now.Add(time.Hour))
	var log bytes.Buffer
	clock := &later{}
	c, err := openCertificates(CertificateFiles{Cert: cert, Key: key}, slog.New(slog.NewTextHandler(&log, nil)), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	first := inUse(t, c)
	a.Issue("server", now.Add(-time.Hour), now.Add(30*24*time.Hour))
	clock.after += refreshEvery
	second := inUse(t, c)
	if second.Equal(first) {
		t.Fatal("the new certificate is not in use")
	}
	log.Reset()
	a.Issue("server", now.Add(-2*time.Hour), now.Add(-time.Hour))
	for range 3 {
		clock.after += refreshEvery
		if !inUse(t, c).Equal(second) {
			t.Fatal("a certificate that has expired is in use in place of a good one")
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "expired on") {
		t.Errorf("the log, want one line:\n%s", got)
	}
}

func TestTheEndOfACertificateIsLogged(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	now := time.Now()
	cert, key := a.Issue("server", now.Add(-time.Hour), now.Add(soon+time.Hour))
	var log bytes.Buffer
	clock := &later{}
	c, err := openCertificates(CertificateFiles{Cert: cert, Key: key}, slog.New(slog.NewTextHandler(&log, nil)), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, ""}, {2 * time.Hour, "expires soon"}, {soon + 2*time.Hour, "has expired"}} {
		clock.after = step.after
		log.Reset()
		for range 3 {
			c.Refresh()
		}
		got := log.String()
		if want := min(1, len(step.want)); strings.Count(got, "\n") != want || !strings.Contains(got, step.want) {
			t.Errorf("after %v: the log, want %q once:\n%s", step.after, step.want, got)
		}
	}
}

func TestClientCertificatesAreDemanded(t *testing.T) {
	a := credentialstest.NewAuthority(t.TempDir())
	now := time.Now()
	cert, key := a.Issue("node", now.Add(-time.Hour), now.Add(time.Hour))
	clock := &later{}
	c, err := openCertificates(CertificateFiles{Cert: cert, Key: key, CA: a.File}, slog.New(slog.DiscardHandler), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	leaf := inUse(t, c)
	verified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	for _, step := range []struct {
		name  string
		state *tls.ConnectionState
		after time.Duration
		want  string
	}{
		{"plain HTTP", nil, 0, "there is none"},
		{"no certificate", &tls.ConnectionState{}, 0, "there is none"},
		{"one that nobody verified", &tls.ConnectionState{PeerCertificates: verified.PeerCertificates}, 0, "there is none"},
		{"a good one", verified, 0, ""},
		{"one that has expired since", verified, 2 * time.Hour, "expired on"},
	} {
		clock.after = step.after
		err := c.Authorize(&http.Request{TLS: step.state})
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: error %v, want %q", step.name, err, step.want)
		}
	}
}
