package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// simulated returns a world of simulated processes around one engine. Each call
// of an engine is a scheduling point, so that transactions interleave.
func simulated(tb testing.TB, seed uint64) (*sim.World, storetest.World) {
	tb.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	tb.Cleanup(w.Close)
	var processes [storetest.Clients]*sim.Process
	for i := range processes {
		processes[i] = w.Process(fmt.Sprintf("client-%d", i), sim.ProcessOptions{})
		processes[i].Start(func(context.Context, *sim.Host) {})
	}
	e := memory.New(memory.Options{Clock: processes[0].Host(), Window: window})
	return w, &storetest.Hosts{
		Host: func(client int) host.Host { return processes[client].Host() },
		Connect: func(client int) store.Engine {
			h := processes[client].Host()
			return storetest.Yielding(e, func() { _ = h.Sleep(h.Context(), time.Duration(h.Rand().IntN(100))*time.Microsecond) })
		},
		Step:  func() error { return w.Run(w.Now() + time.Second) },
		Check: e.Check,
	}
}

func TestConformanceInTheSimulator(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: func(tb testing.TB, seed uint64) storetest.World {
			_, w := simulated(tb, seed)
			return w
		},
	})
}

// TestRunsAreDeterministic runs the same clients in two worlds of one seed.
func TestRunsAreDeterministic(t *testing.T) {
	run := func(seed uint64) (sim.Hash, string) {
		w, world := simulated(t, seed)
		for i := range storetest.Clients {
			world.Go(i, "client", func(ctx context.Context) {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				for range 50 {
					w.Note("outcome", oneTransaction(world.Engine(i).Begin(ctx), r))
				}
			})
		}
		if err := world.Wait(); err != nil {
			t.Fatal(err)
		}
		tx := world.Engine(0).Begin(context.Background())
		var rows []store.KeyValue
		world.Go(0, "reader", func(context.Context) {
			rows, _, _ = tx.GetRange([]byte{0}, []byte{255}, store.RangeOptions{})
		})
		if err := world.Wait(); err != nil {
			t.Fatal(err)
		}
		return w.Hash(), fmt.Sprintf("%q", rows)
	}
	conflicts := map[string]bool{}
	for seed := range uint64(20) {
		hash, rows := run(seed)
		again, rowsAgain := run(seed)
		if hash != again || rows != rowsAgain {
			t.Fatalf("seed %d: two runs differ:\n%v %s\n%v %s", seed, hash, rows, again, rowsAgain)
		}
		conflicts[rows] = true
	}
	if len(conflicts) < 15 {
		t.Errorf("20 seeds came to %d ends only", len(conflicts))
	}
}

// oneTransaction reads and writes a few keys and returns what came of it.
func oneTransaction(tx store.Txn, r *rand.Rand) string {
	defer tx.Cancel()
	key := func() []byte { return []byte{'a' + byte(r.IntN(6))} }
	v, err := tx.Get(key())
	if err != nil {
		return err.Error()
	}
	tx.Set(key(), append(v[:min(len(v), 4)], byte('0'+r.IntN(10))))
	if err := tx.Commit(); err != nil {
		return err.Error()
	}
	return fmt.Sprint(tx.Committed())
}
