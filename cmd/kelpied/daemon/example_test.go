package daemon_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/kelpied/daemon"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/credentials"
	"github.com/kelpie-registry/kelpie/network/credentials/credentialstest"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// A node joins a registry that kelpied has, over TLS, with a token.
func Example() {
	folder, err := os.MkdirTemp("", "kelpied-example-")
	check(err)
	defer func() { check(os.RemoveAll(folder)) }()
	authority := credentialstest.NewAuthority(folder)
	cert, key := authority.Issue("server", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	tokens := filepath.Join(folder, "tokens")
	credentialstest.Write(tokens, 0o600, []byte("a-token-of-the-nodes\n"))

	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	code := make(chan int)
	go func() {
		code <- daemon.Main(ctx, []string{
			"--data", filepath.Join(folder, "data"), "--listen", "localhost:0",
			"--tls-cert", cert, "--tls-key", key, "--token-file", tokens,
		}, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	check(err)
	address := strings.TrimSpace(strings.TrimPrefix(line, daemon.Announcement))

	check(node(network.Address(address), authority.File, tokens))
	stop()
	fmt.Println("kelpied ended with", <-code)
	// Output:
	// node-1 owns player/42
	// kelpied ended with 0
}

// node is what a node does.
func node(server network.Address, authorities, tokens string) error {
	ctx := context.Background()
	certificates, err := credentials.OpenCertificates(credentials.CertificateFiles{CA: authorities}, nil)
	check(err)
	token, err := credentials.OpenTokens(tokens, nil)
	check(err)
	net, err := httpnet.New(httpnet.Options{
		ClientTLS: certificates.Client(),
		Token: func(to network.Address) (string, error) {
			if to != server {
				return "", nil // the other nodes are not to know it
			}
			return token.Token(to)
		},
	})
	check(err)
	defer net.Close(ctx)
	h, err := host.NewSystem(host.SystemOptions{Name: "node-1", Network: net})
	check(err)
	engine, err := remote.Open(h, remote.Options{Servers: []network.Address{server}})
	check(err)
	defer engine.Close()
	db, err := store.Open(engine, h, h.Rand(), store.Options{})
	check(err)
	reg, err := registry.Open(h, db, registry.Options{})
	check(err)
	session, err := reg.Join(ctx, "node-1", registry.JoinOptions{})
	check(err)
	_, err = session.Claim(ctx, "player/42")
	check(err)
	owner, err := reg.Lookup(ctx, "player/42")
	check(err)
	fmt.Println(owner.Node, "owns player/42")
	return session.Leave(ctx)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
