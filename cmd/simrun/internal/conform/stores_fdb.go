//go:build fdb

package conform

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onfdb"
)

// fdbStore is a real cluster, by the official binding.
func fdbStore() Store {
	var o onfdb.Options
	return Store{
		Name: "fdb", Levels: []litmus.Level{litmus.Client},
		Flags: func(fs *pflag.FlagSet) { fs.StringVar(&o.ClusterFile, "fdb-cluster", "", fdbClusterUsage) },
		Open: func(litmus.Level) (litmus.Store, error) {
			s, err := onfdb.Open(o)
			if err != nil {
				return nil, fmt.Errorf("--fdb-cluster: %w", err)
			}
			return s, nil
		},
	}
}
