package fdb

import (
	"context"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is that of the stand-in, in transactions. It is small, so that the
// suite's histories reach it.
const window = 1000

// The suite on the engine as it is, over the stand-in for the client.
func TestConformanceOverTheStandIn(t *testing.T) {
	e := newStandIn().engine(Options{})
	storetest.Run(t, storetest.Harness{
		New: func(testing.TB, uint64) storetest.World {
			s := newStandIn()
			return storetest.Goroutines(s.engine(Options{}), s.inner.Check)
		},
		Age: func(ctx context.Context, w storetest.World, client int) error {
			for range window + 1 {
				tx := w.Engine(client).Begin(ctx)
				tx.Set([]byte("age"), nil)
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			return nil
		},
		MaxKeyBytes: store.MaxKeyBytes - len(e.space),
		Histories:   20,
	})
}
