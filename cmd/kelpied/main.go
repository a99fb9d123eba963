// Command kelpied serves a store to nodes of other processes and machines.
//
// It exits with 0 after an orderly end, 1 when it could not start or failed while
// running, and 2 when flags, or the files that they name, are wrong. The first
// SIGINT or SIGTERM ends it in order, the second at once, with 128 and the number of
// the signal.
package main

import (
	"os"

	"github.com/kelpie-registry/kelpie/cmd/kelpied/daemon"
)

func main() {
	os.Exit(daemon.Run(os.Args[1:], os.Stdout, os.Stderr))
}
