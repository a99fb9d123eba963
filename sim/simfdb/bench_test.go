package simfdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// BenchmarkWorld runs whole worlds of 60 virtual seconds: three clients and 150
// transactions, each of which reads two keys and writes one. It reports what a
// transaction costs, its share of the cluster's start included.
func BenchmarkWorld(b *testing.B) {
	for _, invariants := range []bool{false, true} {
		b.Run(fmt.Sprintf("invariants=%v", invariants), func(b *testing.B) {
			arena := sim.NewArena()
			defer arena.Close()
			b.ReportAllocs()
			var seed, transactions, events uint64
			for b.Loop() {
				seed++
				w := sim.NewWorld(seed, sim.Options{Arena: arena})
				c := NewCluster(w, Options{})
				if invariants {
					w.Invariant("cluster", c.Invariants)
				}
				for i := range 3 {
					w.Process(fmt.Sprint("node-", i), sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
						beats(ctx, h, c.Client(h), 50, time.Second)
					})
				}
				if err := w.Run(60 * time.Second); err != nil {
					b.Fatal(err)
				}
				transactions += c.Counts().Committed
				events += w.Stats().Events
				w.Close()
			}
			report(b, transactions, events)
		})
	}
}

// BenchmarkLoad keeps a cluster busy with a number of clients, each with
// transactions on a key of its own, one after the other.
func BenchmarkLoad(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			w := sim.NewWorld(1, sim.Options{MaxEvents: 1 << 60})
			defer w.Close()
			c := NewCluster(w, Options{})
			for i := range clients {
				w.Process(fmt.Sprint("node-", i), sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
					beats(ctx, h, c.Client(h), 1<<62, 0)
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				for n := c.Counts().Committed; c.Counts().Committed < n+1000; {
					if err := w.Run(w.Now() + 10*time.Millisecond); err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b, c.Counts().Committed, w.Stats().Events)
		})
	}
}

func report(b *testing.B, transactions, events uint64) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(transactions), "µs/txn")
	b.ReportMetric(float64(events)/float64(transactions), "events/txn")
	b.ReportMetric(float64(transactions)/float64(b.N), "txn/op")
}

// beats commits n transactions with a pause before each.
func beats(ctx context.Context, h *sim.Host, e store.Engine, n int, pause time.Duration) {
	mine, shared := []byte("beat/"+h.Name()), []byte("state")
	for range n {
		if pause > 0 {
			if h.Sleep(ctx, pause+time.Duration(h.Rand().Int64N(int64(pause/5)))) != nil {
				return
			}
		}
		for {
			err := beat(e.Begin(ctx), mine, shared)
			if err == nil {
				break
			}
			if !store.Retryable(err) {
				panic(err)
			}
		}
	}
}

func beat(tx store.Txn, mine, shared []byte) error {
	defer tx.Cancel()
	if _, err := tx.GetAll(mine, shared); err != nil {
		return err
	}
	tx.SetStamped(mine, make([]byte, store.StampBytes), 0)
	return tx.Commit()
}
