package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

const (
	// Limits of the members, with which the engine has those of package store.
	conformTxnOps       = 4096
	conformRequestBytes = 16 << 20

	// conformWindow is longer than any program takes that does not wait.
	conformWindow = 3 * time.Second
	// ageWindows is after how many windows an engine has forgotten what was read, and
	// more: it takes up to two and what the next commit takes to come.
	ageWindows = 3
	// conformQuiet is how long a watch that must not fire is watched.
	conformQuiet = 10 * time.Millisecond
)

// conformStore is etcd for conform: a cluster of one member for each worker, because
// to age a transaction takes a compaction, which is of the whole cluster. It need not
// survive the machine, so it does not wait for syncs.
func conformStore(window time.Duration) command.ConformStore {
	return command.ConformStore{
		Name: "etcd", Levels: []litmus.Level{litmus.Port},
		Open: func(litmus.Level) (litmus.Store, error) { return openConform(context.Background(), window) },
	}
}

// compacted is a store with the cluster that it is on, and a client to compact it.
type compacted struct {
	litmus.Store
	cluster *embedded.Cluster
	client  *clientv3.Client
}

func openConform(ctx context.Context, window time.Duration) (litmus.Store, error) {
	cluster, err := embedded.Start(ctx, embedded.Options{
		Members: 1, NoSync: true, MaxTxnOps: conformTxnOps, MaxRequestBytes: conformRequestBytes,
	})
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	c := &compacted{cluster: cluster, client: client}
	c.Store = onport.New(onport.Options{
		Open: func() (store.Engine, error) {
			return etcd.Open(ctx, etcd.Options{
				Endpoints: cluster.Endpoints(), Window: window, MaxTxnOps: conformTxnOps, MaxRequestBytes: conformRequestBytes,
			})
		},
		Keep: true, Age: c.age(window), Quiet: conformQuiet,
	})
	return c, nil
}

// age makes transactions too old to commit, which time does (etcd.Options.Window), and
// too old to read, which takes a compaction.
func (c *compacted) age(window time.Duration) func(store.Engine) error {
	wait := onport.AgeByTime(clock.System(), ageWindows*window)
	return func(e store.Engine) error {
		if err := wait(e); err != nil {
			return err
		}
		ctx := context.Background()
		now, err := c.client.Get(ctx, "any")
		if err == nil {
			_, err = c.client.Compact(ctx, now.Header.Revision)
		}
		if err != nil {
			return fmt.Errorf("%w: compact: %w", litmus.ErrInterfered, err)
		}
		return nil
	}
}

// Close implements litmus.Store.
func (c *compacted) Close() error {
	return errors.Join(c.Store.Close(), c.client.Close(), c.cluster.Close())
}
