//go:build !fdb

package soak

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

var errNoFDB = errors.New("--store fdb: this simrun is built without FoundationDB's client; build it with -tags fdb")

// fdbStore takes the flags of the real one, so that its error is the one about
// the tag.
func fdbStore() Store {
	return Store{
		Name:    "fdb",
		Flags:   func(fs *pflag.FlagSet) { fs.String("fdb-cluster", "", fdbClusterUsage) },
		Open:    func(context.Context, clock.Clock) (Cluster, error) { return nil, errNoFDB },
		Connect: func(context.Context, clock.Clock, string) (store.Engine, error) { return nil, errNoFDB },
	}
}
