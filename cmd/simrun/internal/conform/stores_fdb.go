//go:build fdb

package conform

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onfdb"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/fdb"
)

// fdbStore is a real cluster: by the official binding at the level Client, by
// store/fdb at the level Port.
func fdbStore() Store {
	var o onfdb.Options
	return Store{
		Name: "fdb", Levels: []litmus.Level{litmus.Port, litmus.Client},
		Flags: func(fs *pflag.FlagSet) { fs.StringVar(&o.ClusterFile, "fdb-cluster", "", fdbClusterUsage) },
		Open: func(level litmus.Level) (s litmus.Store, err error) {
			if level == litmus.Port {
				s, err = openPort(o.ClusterFile)
			} else {
				s, err = onfdb.Open(o)
			}
			if err != nil {
				return nil, fmt.Errorf("--fdb-cluster: %w", err)
			}
			return s, nil
		},
	}
}

// Of programs at the level Port, in real time: the window of a cluster and more,
// and how long a watch that must not fire is watched.
const (
	fdbWindow = 7500 * time.Millisecond
	fdbQuiet  = 30 * time.Millisecond
)

// openPort opens store/fdb in a namespace of its own, which every program leaves
// empty.
func openPort(clusterFile string) (litmus.Store, error) {
	e, err := fdb.Open(context.Background(), fdb.Options{ClusterFile: clusterFile, Namespace: "kelpie-conform-" + rand.Text()})
	if err != nil {
		return nil, err
	}
	return onport.New(onport.Options{
		Open: func() (store.Engine, error) { return e, nil },
		Keep: true, Age: onport.AgeByTime(clock.System(), fdbWindow), Quiet: fdbQuiet,
	}), nil
}
