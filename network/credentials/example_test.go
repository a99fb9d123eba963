package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// Both ends show a certificate, and the caller a token.
func Example() {
	folder, err := os.MkdirTemp("", "kelpie-example-")
	check(err)
	defer func() { check(os.RemoveAll(folder)) }()
	authority := credentialstest.NewAuthority(folder)
	cert, key := authority.Issue("process", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	file := filepath.Join(folder, "tokens")
	credentialstest.Write(file, 0o600, []byte("# of this week\na-token-of-the-nodes\n"))

	certificates, err := credentials.OpenCertificates(credentials.CertificateFiles{Cert: cert, Key: key, CA: authority.File}, nil)
	check(err)
	tokens, err := credentials.OpenTokens(file, nil)
	check(err)

	ctx := context.Background()
	server, err := httpnet.New(httpnet.Options{ServerTLS: certificates.Server(), Authorize: tokens.Authorize})
	check(err)
	defer server.Close(ctx)
	server.Handle("greet", func(context.Context, []byte) ([]byte, error) { return []byte("hello"), nil })

	known, err := httpnet.New(httpnet.Options{ClientTLS: certificates.Client(), Token: tokens.Token})
	check(err)
	defer known.Close(ctx)
	reply, err := known.Call(ctx, server.Address(), "greet", nil)
	fmt.Println(string(reply), err)

	stranger, err := httpnet.New(httpnet.Options{ClientTLS: certificates.Client()})
	check(err)
	defer stranger.Close(ctx)
	_, err = stranger.Call(ctx, server.Address(), "greet", nil)
	fmt.Println(errors.Is(err, httpnet.ErrUnauthenticated))
	// Output:
	// hello <nil>
	// true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
