// Command simrun-etcd is simrun with one more store: etcd. A soak with
// --etcd-endpoints uses a cluster that is there, in a namespace of its own, and else
// one of three members that it starts itself. Conform starts one of a single member for
// each worker.
package main

import (
	"os"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

// stores are what this command adds to simrun.
func stores() command.Store {
	return command.Store{Soak: soakStore(), Conform: conformStore(conformWindow)}
}

func main() {
	os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, stores()))
}
