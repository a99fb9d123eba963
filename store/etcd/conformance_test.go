package etcd_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// age makes every read version of a world too old.
func age(ctx context.Context, w storetest.World, client int) error {
	return w.Engine(client).(*etcd.Engine).Forget(ctx)
}

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: func(tb testing.TB, _ uint64) storetest.World {
			return storetest.Goroutines(open(tb, fresh(tb)), nil)
		},
		Histories: 6,
	})
}

// TestConformanceWithSmallAnswers cuts ranges short wherever it can.
func TestConformanceWithSmallAnswers(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: func(tb testing.TB, _ uint64) storetest.World {
			o := fresh(tb)
			o.RangeRows = 40
			return storetest.Goroutines(open(tb, o), nil)
		},
		Histories: 2,
	})
}

// TestConformanceOnABadWire loses requests and answers.
func TestConformanceOnABadWire(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Lacks:  []storetest.Feature{storetest.Window, storetest.Limits},
		Faults: []storetest.Fault{storetest.TransientErrors, storetest.UnknownCommits, storetest.LostWatches},
		New: func(tb testing.TB, seed uint64) storetest.World {
			s := &wireState{rand: rand.New(rand.NewPCG(seed, 1))}
			e := open(tb, etcd.WithWire(fresh(tb), s.between))
			s.mu.Lock()
			s.faults = true
			s.mu.Unlock()
			return storetest.Goroutines(e, nil)
		},
		Histories: 2,
	})
}
