// Command simrun-etcd is simrun with one more store to soak on: etcd. With
// --etcd-endpoints it uses a cluster that is there, in a namespace of its own,
// and else it starts one of three members inside the process.
package main

import (
	"os"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

func main() {
	os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, etcdStore()))
}
