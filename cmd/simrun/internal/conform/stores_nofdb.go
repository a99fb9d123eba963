//go:build !fdb

package conform

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/litmus"
)

var errNoFDB = errors.New("--store fdb: this simrun is built without FoundationDB's client; build it with -tags fdb")

// fdbStore takes the flags of the real one, so that its error is the one about
// the tag.
func fdbStore() Store {
	return Store{
		Name: "fdb", Levels: []litmus.Level{litmus.Port, litmus.Client},
		Flags: func(fs *pflag.FlagSet) { fs.String("fdb-cluster", "", fdbClusterUsage) },
		Open:  func(litmus.Level) (litmus.Store, error) { return nil, errNoFDB },
	}
}
