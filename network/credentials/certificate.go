package credentials

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// CertificateFiles names files in PEM.
type CertificateFiles struct {
	// Cert holds this process's certificate, followed by those of the authorities
	// between it and the root, and Key its private key, which must be closed to all
	// but its owner. A server has both; a client both or neither.
	Cert, Key string
	// CA holds the certificates of the authorities that others' certificates must
	// come from. Default: a server asks for no certificates, a client trusts what
	// its system does.
	CA string
}

// Certificates are the certificates in files. A certificate that has expired, or is
// not valid yet, is not taken from a file. One that expires later stays in use, as
// its callers can judge for themselves; the log says it a week before, and then.
//
// Certificates is safe for use by many goroutines.
type Certificates struct {
	files  CertificateFiles
	logger *slog.Logger
	now    func() time.Time
	file   kept[*certificates]

	mu     sync.Mutex
	warned warning   // what has been logged
	about  time.Time // of the certificate that expires then
}

// certificates are what files held.
type certificates struct {
	file [sha256.Size]byte // of all of them
	own  *tls.Certificate  // nil: none
	ca   *x509.CertPool    // nil: none
}

// warning is what the log has said of the end of a certificate.
type warning int

const (
	warnedNot warning = iota
	warnedSoon
	warnedOver
)

// soon is how long before its end the log says that a certificate expires.
const soon = 7 * 24 * time.Hour

// OpenCertificates reads certificates. The logger hears of changes, and of the end
// of what is in use; nil is slog.Default(). The error is about a file.
func OpenCertificates(files CertificateFiles, logger *slog.Logger) (*Certificates, error) {
	return openCertificates(files, logger, time.Now)
}

func openCertificates(files CertificateFiles, logger *slog.Logger, now func() time.Time) (*Certificates, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("credentials: certificates: Cert and Key belong together, and one of them is missing")
	}
	if logger == nil {
		logger = slog.Default()
	}
	c := &Certificates{files: files, logger: logger, now: now}
	c.file = kept[*certificates]{what: "certificates", logger: logger, now: now, read: func(now time.Time, old *certificates) (*certificates, error) {
		return readCertificates(files, now, old)
	}}
	if err := c.file.open(); err != nil {
		return nil, fmt.Errorf("credentials: certificates: %w", err)
	}
	c.Refresh()
	return c, nil
}

func readCertificates(files CertificateFiles, now time.Time, old *certificates) (*certificates, error) {
	var pem [3][]byte
	sum := sha256.New()
	for i, name := range [...]string{files.Cert, files.Key, files.CA} {
		if name == "" {
			continue
		}
		b, err := readFile(name, i == 1)
		if err != nil {
			return nil, err
		}
		pem[i] = b
		part := sha256.Sum256(b)
		sum.Write(part[:])
	}
	c := &certificates{}
	sum.Sum(c.file[:0])
	if old != nil && c.file == old.file {
		return nil, errSame
	}
	if files.Cert != "" {
		pair, err := tls.X509KeyPair(pem[0], pem[1])
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", files.Cert, files.Key, err)
		}
		if err := inTime(pair.Leaf, now); err != nil {
			return nil, fmt.Errorf("%s: %w", files.Cert, err)
		}
		c.own = &pair
	}
	if files.CA != "" {
		c.ca = x509.NewCertPool()
		if !c.ca.AppendCertsFromPEM(pem[2]) {
			return nil, fmt.Errorf("%s: there is no certificate in it", files.CA)
		}
	}
	return c, nil
}

// inTime returns an error unless a certificate is valid now.
func inTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate expired on %s", date(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate is valid from %s on only", date(cert.NotBefore))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Refresh reads the files again when a second has passed, so that their faults, and
// the end of a certificate, are logged although nobody calls.
func (c *Certificates) Refresh() { c.get() }

// get returns what is in use, and logs when it is about to expire.
func (c *Certificates) get() *certificates {
	cs := c.file.get()
	if cs.own == nil {
		return cs
	}
	now, end := c.now(), cs.own.Leaf.NotAfter
	c.mu.Lock()
	defer c.mu.Unlock()
	if !end.Equal(c.about) {
		c.about, c.warned = end, warnedNot
	}
	switch {
	case now.After(end) && c.warned < warnedOver:
		c.warned = warnedOver
		c.logger.Error("credentials: the certificate has expired", "file", c.files.Cert, "on", date(end))
	case now.After(end.Add(-soon)) && c.warned < warnedSoon:
		c.warned = warnedSoon
		c.logger.Warn("credentials: the certificate expires soon", "file", c.files.Cert, "on", date(end))
	}
	return cs
}

// Server returns a configuration for httpnet.Options.ServerTLS: TLS 1.3 with what
// is in the files at the time of each connection. With a CA it verifies the
// certificates of clients, and lets those without one through: [Certificates.Authorize]
// is to refuse them, with an answer that says so. It needs a certificate.
func (c *Certificates) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cs := c.get()
			config := &tls.Config{
				MinVersion: tls.VersionTLS13,
				NextProtos: []string{"http/1.1"},
				// A resumed session would be judged by what was in the files before.
				SessionTicketsDisabled: true,
			}
			if cs.own != nil {
				config.Certificates = []tls.Certificate{*cs.own}
			}
			if cs.ca != nil {
				config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, cs.ca
			}
			return config, nil
		},
	}
}

// Client returns a configuration for httpnet.Options.ClientTLS: TLS 1.3 with the
// certificate that is in the files at the time of each connection, and with the
// authorities that are there now.
func (c *Certificates) Client() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.get().ca}
	if c.files.Cert != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.get().own, nil }
	}
	return config
}

// Authorize returns an error unless a request came over a connection whose client
// has a certificate that was verified and is still valid. It is an
// httpnet.Options.Authorize.
func (c *Certificates) Authorize(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return errors.New("a client certificate is needed, and there is none")
	}
	if err := inTime(r.TLS.PeerCertificates[0], c.now()); err != nil {
		return fmt.Errorf("the client's: %w", err)
	}
	return nil
}
