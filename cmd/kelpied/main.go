// Command kelpied serves a store to nodes of other processes and machines.
//
// It exits with 0 after an orderly end, 1 when it could not start or failed while
// running, and 2 when flags, or the files that they name, are wrong. The first
// SIGINT or SIGTERM ends it in order, the second at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/kelpie-registry/kelpie/cmd/kelpied/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal does what it does by default
	os.Exit(daemon.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
