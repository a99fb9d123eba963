// Package credentialstest makes certificates and tokens in files, for tests and
// examples. It panics when it cannot.
package credentialstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority issues certificates.
type Authority struct {
	// File holds its certificate.
	File string

	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose files are in a folder.
func NewAuthority(folder string) *Authority {
	a := &Authority{folder: folder, key: newKey()}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	check(err)
	a.cert, err = x509.ParseCertificate(der)
	check(err)
	a.File = filepath.Join(a.folder, "ca.pem")
	Write(a.File, 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// Issue writes a certificate for this machine's loopback interface, and its key,
// for servers and clients. It replaces those of the same name.
func (a *Authority) Issue(name string, from, until time.Time) (cert, key string) {
	own := newKey()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	check(err)
	cert, key = filepath.Join(a.folder, name+".pem"), filepath.Join(a.folder, name+".key")
	Write(cert, 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	Write(key, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return cert, key
}

// Write replaces a file as a whole.
func Write(name string, mode os.FileMode, data []byte) {
	check(os.WriteFile(name+".new", data, mode))
	check(os.Chmod(name+".new", mode)) // whatever the umask
	check(os.Rename(name+".new", name))
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return key
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
