//go:build fdb

package soak

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/fdb"
)

// fdbStore is a fresh namespace of a FoundationDB cluster, cleared at the end.
func fdbStore() Store {
	var clusterFile string
	return Store{
		Name: "fdb",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&clusterFile, "fdb-cluster", "", fdbClusterUsage)
		},
		Open: func(ctx context.Context, c clock.Clock) (Cluster, error) { return openFDB(ctx, c, clusterFile) },
		Connect: func(ctx context.Context, _ clock.Clock, shared string) (store.Engine, error) {
			var o fdb.Options
			if err := json.Unmarshal([]byte(shared), &o); err != nil {
				return nil, fmt.Errorf("connect to FoundationDB: %w", err)
			}
			return fdb.Open(ctx, o)
		},
	}
}

// fdbCluster is one engine for all nodes: the client library is one for a
// process, whatever the number of engines.
type fdbCluster struct {
	options  fdb.Options
	engine   *fdb.Engine
	clock    clock.Clock
	versions fdb.Versions
}

func openFDB(ctx context.Context, c clock.Clock, clusterFile string) (Cluster, error) {
	o := fdb.Options{ClusterFile: clusterFile, Namespace: "kelpie-soak-" + rand.Text()}
	e, err := fdb.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("--fdb-cluster: %w", err)
	}
	f := &fdbCluster{options: o, engine: e, clock: c}
	f.ask(ctx)
	return f, nil
}

// askPatience bounds a question for the versions.
const askPatience = 10 * time.Second

// ask asks for the versions. A cluster that does not tell has none to print.
func (f *fdbCluster) ask(ctx context.Context) {
	ctx, cancel := f.clock.WithTimeout(ctx, askPatience)
	defer cancel()
	if v, err := f.engine.Versions(ctx); err == nil {
		f.versions = v
	}
}

func (f *fdbCluster) Engine(int) (store.Engine, error) { return f.engine, nil }

// Shared implements [Sharer]: the cluster's file and the namespace.
func (f *fdbCluster) Shared() string {
	shared, err := json.Marshal(&f.options)
	if err != nil { // of strings and numbers
		panic(err)
	}
	return string(shared)
}

// String names the versions. The cluster hears of a new client a while after it
// has connected.
func (f *fdbCluster) String() string {
	if len(f.versions.Client) == 0 || len(f.versions.Server) == 0 {
		f.ask(context.Background())
	}
	return f.versions.String()
}

// clearPatience is how long a cluster that is down may keep Close from clearing
// the namespace.
const clearPatience = 2 * time.Minute

// Close clears the namespace, once the cluster answers.
func (f *fdbCluster) Close() error {
	ctx, cancel := f.clock.WithTimeout(context.Background(), clearPatience)
	defer cancel()
	for {
		tx := f.engine.Begin(ctx)
		tx.ClearRange(nil, []byte{0xff})
		err := tx.Commit()
		tx.Cancel()
		// To clear twice does no harm.
		if store.Retryable(err) || errors.Is(err, store.ErrCommitUnknown) {
			if f.clock.Sleep(ctx, 100*time.Millisecond) == nil {
				continue
			}
		}
		if err != nil {
			err = fmt.Errorf("clear the namespace: %w", err)
		}
		return errors.Join(err, f.engine.Close())
	}
}
