//go:build fdb

package daemon

import (
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/fdb"
)

// checkFDB returns nil: this build has FoundationDB's client.
func checkFDB() error { return nil }

func openFDB(ctx context.Context, clusterFile, namespace string) (store.Engine, error) {
	e, err := fdb.Open(ctx, fdb.Options{ClusterFile: clusterFile, Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("--store fdb: %w", err)
	}
	return e, nil
}
