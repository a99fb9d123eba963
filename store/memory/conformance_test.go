package memory_test

import (
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is small, so that the suite's histories reach it.
const window = 1000

// age commits until every version taken so far has left the window.
var age = storetest.AgeByCommits(window+1, false)

func TestConformanceOnGoroutines(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: func(testing.TB, uint64) storetest.World {
			e := memory.New(memory.Options{Window: window})
			return storetest.Goroutines(e, e.Check)
		},
	})
}

// TestConformanceWithSmallAnswers cuts ranges short wherever it can.
func TestConformanceWithSmallAnswers(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: func(testing.TB, uint64) storetest.World {
			e := memory.New(memory.Options{Window: window, RangeRows: 2})
			return storetest.Goroutines(e, e.Check)
		},
	})
}

var _ store.Engine = (*memory.Engine)(nil)
