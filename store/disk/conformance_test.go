package disk_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is small, so that the suite's histories reach it.
const window = 1000

// age commits until every version taken so far has left the window.
var age = storetest.AgeByCommits(window+1, false)

func conform(t *testing.T, o disk.Options, histories int) {
	t.Helper()
	o.Window = window
	storetest.Run(t, storetest.Harness{
		Age:       age,
		Histories: histories,
		New: func(tb testing.TB, _ uint64) storetest.World {
			e, err := disk.Open(tb.TempDir(), o)
			if err != nil {
				tb.Fatal(err)
			}
			return storetest.Goroutines(e, func() error {
				err := e.Check(context.Background())
				if errors.Is(err, store.ErrClosed) && !errors.Is(err, disk.ErrFailed) {
					return nil // by the case; then there is nothing to check
				}
				return err
			})
		},
	})
}

func TestConformance(t *testing.T) {
	conform(t, disk.Options{NoSync: true}, 0)
}

// TestConformanceWithSyncs is the same as it is in production, but for the
// window.
func TestConformanceWithSyncs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute on a slow disk")
	}
	conform(t, disk.Options{}, 5)
}

// TestConformanceWithSmallAnswers cuts ranges and batches short wherever it can.
func TestConformanceWithSmallAnswers(t *testing.T) {
	conform(t, disk.Options{NoSync: true, RangeRows: 2, BatchTxns: 2}, 0)
}

var _ store.Engine = (*disk.Engine)(nil)
