// Package command is simrun without its main function, so that a store which is
// a module of its own can offer the same command with itself added.
package command

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/conform"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/scenario"
)

// A Store is a kind of store that is added to simrun.
type Store struct {
	Soak    SoakStore
	Conform ConformStore
}

// A SoakStore is a kind of store that soak can run on.
type SoakStore = soak.Store

// A Cluster is a store that has been opened for one soak.
type Cluster = soak.Cluster

// A ConformStore is a kind of store that conform can take programs through.
type ConformStore = conform.Store

// Main runs simrun with the arguments and returns its exit code. The stores are
// added to those that simrun itself knows. The first interrupt ends the work
// early and in order; the second ends the process.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, stores ...Store) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := app{stdin: stdin, stdout: stdout, stderr: stderr, stores: soak.Stores(), conformStores: conform.Stores()}
	for i := range stores {
		a.stores = append(a.stores, stores[i].Soak)
		a.conformStores = append(a.conformStores, stores[i].Conform)
	}
	for _, s := range scenario.All() {
		a.subjects = append(a.subjects, batch.Of(s))
	}
	return a.main(ctx, args)
}
