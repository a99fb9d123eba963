// Command simrun runs the registry's production code in simulated worlds and
// judges what it did.
//
// It runs seeded scenarios (run, fuzz), reproduces a run from its artifact
// (replay), judges histories of simulated and of real runs (check), runs the
// registry for real, in one process or many that it kills (soak), and measures itself against
// known bugs (mutants). The help of each command says more.
//
// It exits with 0 when all held, 1 when a violation was found or something
// stayed undecided, 2 after wrong usage or bad input, 3 when a replay diverged
// from its recording, and 130 when it was interrupted. Under "go run" every
// code but 0 becomes 1.
package main

import (
	"os"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

func main() {
	os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
