package etcd_test

import (
	"context"
	"testing"

	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: func(ctx context.Context, w storetest.World, client int) error {
			return w.Engine(client).(*etcd.Engine).Forget(ctx)
		},
		New: func(tb testing.TB, _ uint64) storetest.World {
			return storetest.Goroutines(open(tb, fresh(tb)), nil)
		},
		Histories: 10,
	})
}
